"""Faults in the data of new items: a column that went empty, another unit, other spellings.

Each column's new families are counted on the last 1 to 7 days against what was usual at training
(beta-binomial), at a level that all columns, tests and looks of a year share: one false fault in 20
years. Items of a kind that training did not know are left out, for another kind fills in other
columns.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from routing_ml.drift.causes import DATA, Place, Verdict
from routing_ml.drift.evidence import LEVEL, YEAR_DAYS
from routing_ml.drift.profile import Column, Profile, Rate, numbers, rate, spelling, texts

WINDOWS = (1, 2, 3, 5, 7)  # days looked back
TESTS = 3  # of a column
LEAST_MISSING = 0.5  # of the new families: fewer are no column that went empty
RENAMED = 0.9  # of the new families: unknown values in nearly all are another list of values
RESTORED = 0.8  # of the numbers out of range: a factor that brings so many back is another unit
UNITS = {
    2.2046: "pounds and kilograms",
    2.54: "inches and centimetres",
    10.0: "millimetres and centimetres",
    12.0: "feet and inches",
    25.4: "inches and millimetres",
    60.0: "seconds, minutes and hours",
    100.0: "shares and per cent, or centimetres and metres",
    304.8: "feet and millimetres",
    1000.0: "thousandths and wholes, such as millimetres and metres",
    3600.0: "seconds and hours",
}


@dataclass(frozen=True)
class Fault:
    """A column at fault: `what` is 'missing', 'unit', 'spelling' or 'values'; `days` of the last
    days show it, in `hit` of `of` families; `factor` is what numbers moved by, 1 else."""

    column: str
    what: str
    days: int
    hit: int
    of: int
    words: str
    factor: float = 1.0


def faults_of(
    profile: Profile,
    items: pd.DataFrame,
    *,
    days: Iterable[date],
    families: Iterable[Hashable],
    today: date,
) -> tuple[Fault, ...]:
    """The faults of the items that were entered in the week up to `today`, each with its day and
    family (n,); a column's plainest one. Columns that training did not know are not looked at; one
    that is gone is missing."""
    age = np.array([(today - day).days for day in days], dtype=np.int64)
    recent = (age >= 0) & (age < max(WINDOWS))
    items, age = items[recent], age[recent]
    names = np.array([str(f) for f in families], object)[recent]
    if not len(items):
        return ()
    family = pd.factorize(names)[0].astype(np.int64)
    usual = _usual_kinds(profile, items)
    level = LEVEL / YEAR_DAYS / (max(len(profile.columns), 1) * TESTS * len(WINDOWS))
    found = []
    for name, column in profile.columns.items():
        values = items[name] if name in items else pd.Series([None] * len(items), dtype=object)
        among = np.ones(len(items), bool) if name == profile.kind else usual
        for fault in _looks(name, column, values, family, age, among, level):
            found.append(fault)
            break
    return tuple(found)


def blame(verdict: Verdict, found: Sequence[Fault]) -> Verdict:
    """The verdict with faults of the data named first, as the cause of what else is seen."""
    if not found:
        return verdict
    where = tuple(Place("column", fault.column, fault.words) for fault in found)
    words = "; ".join(fault.words for fault in found)
    words = f"The data of new items are at fault: {words}. Mend the source before anything else."
    if verdict.alarm:
        words += f" What else is seen may come of it: {verdict.words}"
    return replace(verdict, cause=DATA, where=where + verdict.where, words=words)


def _looks(
    name: str, column: Column, values: pd.Series, family: NDArray[np.int64],
    age: NDArray[np.int64], among: NDArray[np.bool_], level: float,
) -> Iterator[Fault]:  # fmt: skip
    """Of one column, each test on each window, the shortest first."""
    given = numbers(values) if column.numeric else None
    said = texts(values)
    gone = np.array([text is None for text in said])
    if given is not None:
        gone = ~np.isfinite(given)
    for window in WINDOWS:
        here = among & (age < window)
        past = f"of the last {window} days" if window > 1 else "of the last day"
        (hit, of), share = rate(gone, family, here)
        if share >= LEAST_MISSING and _rare((hit, of), column.missing, level):
            words = f"{name} is empty in {hit} of {of} families of items {past}"
            yield Fault(name, "missing", window, hit, of, words)
        if given is not None and column.outside is not None:
            yield from _unit(name, column, given, family, here, window, past, level)
        if column.categories is not None:
            yield from _categories(name, column, said, family, here, window, past, level)


def _unit(
    name: str, column: Column, given: NDArray[np.float64], family: NDArray[np.int64],
    here: NDArray[np.bool_], window: int, past: str, level: float,
) -> Iterator[Fault]:  # fmt: skip
    positive = here & np.isfinite(given) & (given > 0)
    logs = np.log(given, where=positive, out=np.full(len(given), column.middle))
    outside = (logs < column.low) | (logs > column.high)
    (hit, of), share = rate(outside, family, positive)
    if column.outside is None or not _rare((hit, of), column.outside, level):
        return
    moved = logs[positive & outside]
    # Where most have moved all tell by how much; those in range are not known from the rest.
    middle = float(np.median(logs[positive] if share > 0.3 else moved)) - column.middle
    steps = {sign * math.log(factor): factor for factor in UNITS for sign in (1, -1)}
    step = min(steps, key=lambda log: abs(middle - log))
    back = moved - step
    if np.mean((back >= column.low) & (back <= column.high)) >= RESTORED:
        way = "too high" if step > 0 else "too low"
        factor = steps[step]
        words = (
            f"{name} is {way} by a factor of {factor:g} ({UNITS[factor]}) in {hit} of {of} "
            f"families of items {past}"
        )
        yield Fault(name, "unit", window, hit, of, words, math.exp(step))


def _categories(
    name: str, column: Column, said: list[str | None], family: NDArray[np.int64],
    here: NDArray[np.bool_], window: int, past: str, level: float,
) -> Iterator[Fault]:  # fmt: skip
    known = set(column.categories or ())
    alike = {spelling(text): text for text in known}
    there = here & np.array([text is not None for text in said])
    strange = np.array([text is not None and text not in known for text in said])
    respelled = strange & np.array([text is not None and spelling(text) in alike for text in said])
    seen, _ = rate(respelled, family, there)
    if _rare(seen, column.respelled, level):
        text = next(t for t, hit in zip(said, respelled & there, strict=True) if hit and t)
        words = (
            f"{name} is spelled otherwise in {seen[0]} of {seen[1]} families of items {past} "
            f"({text!r} for {alike[spelling(text)]!r})"
        )
        yield Fault(name, "spelling", window, *seen, words)
    seen, share = rate(strange, family, there)
    if share >= RENAMED and _rare(seen, column.unknown, level):
        text = next(t for t, hit in zip(said, strange & there, strict=True) if hit and t)
        words = (
            f"{name} has values that no past item had in {seen[0]} of {seen[1]} families of items "
            f"{past} ({text!r})"
        )
        yield Fault(name, "values", window, *seen, words)


def _usual_kinds(profile: Profile, items: pd.DataFrame) -> NDArray[np.bool_]:
    """Which items (n,) are of a kind that training knew, or of none that is said."""
    column = profile.columns.get(profile.kind or "")
    if column is None or column.categories is None or profile.kind not in items:
        return np.ones(len(items), bool)
    known = {spelling(text) for text in column.categories}
    return np.array(
        [text is None or spelling(text) in known for text in texts(items[profile.kind])]
    )


def _rare(seen: Rate, usual: Rate, level: float) -> bool:
    """Whether so many families of so many are less likely than `level`, after what was `usual`
    (beta-binomial, from a uniform prior)."""
    (hit, of), (before, among) = seen, usual
    if hit <= of * (before + 1) / (among + 2):  # as usual, which most are
        return False
    chance = stats.betabinom.sf(hit - 1, of, before + 1, among - before + 1)
    return bool(chance < level)
