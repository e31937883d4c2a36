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
TESTS = 5  # of a column
LEAST_MISSING = 0.5  # of the new families: fewer are no column that went empty
RENAMED = 0.9  # of the new families: unknown values in nearly all are another list of values
NEVER_SEEN = 0.3  # of the numbers: where fewer are out of range, small ones are small items
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
        of_kind = name == profile.kind
        among = np.ones(len(items), bool) if of_kind else usual
        said = texts(values)
        given = numbers(values) if column.numeric else None
        looks = (
            _Look(name, column, family, among & (age < window), window, level) for window in WINDOWS
        )
        faults = (fault for look in looks for fault in look.faults(said, given))
        # Another kind has a name that no past item had, which is no fault.
        told = next((fault for fault in faults if not (of_kind and fault.what == "values")), None)
        found += [told] if told else []
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


@dataclass(frozen=True)
class _Look:
    """At one column of the items that are `here` (n,): those of the last `days`."""

    name: str
    column: Column
    family: NDArray[np.int64]
    here: NDArray[np.bool_]
    days: int
    level: float

    def faults(self, said: list[str | None], given: NDArray[np.float64] | None) -> Iterator[Fault]:
        """Of the column's values (n,) as texts, and as numbers where it is `given` as these, the
        plainest first."""
        gone = np.array([text is None for text in said])
        if given is not None:
            gone = ~np.isfinite(given)
        seen, share = rate(gone, self.family, self.here)
        if share >= LEAST_MISSING and _rare(seen, self.column.missing, self.level):
            yield self._fault("missing", seen, "is empty")
        if given is not None and self.column.outside is not None:
            yield from self._unit(given, self.column.outside)
        if self.column.categories is not None:
            yield from self._categories(said, self.column.categories)

    def _unit(self, given: NDArray[np.float64], usual: Rate) -> Iterator[Fault]:
        low, usual_middle, high = self.column.low, self.column.middle, self.column.high
        positive = self.here & np.isfinite(given) & (given > 0)
        logs = np.log(given, where=positive, out=np.full(len(given), usual_middle))
        outside = (logs < low) | (logs > high)
        seen, share = rate(outside, self.family, positive)
        beyond = ((logs < self.column.small, self.column.below),
                  (logs > self.column.large, self.column.above))  # fmt: skip
        most = share >= NEVER_SEEN and any(
            _rare(rate(hit, self.family, positive)[0], before, self.level) for hit, before in beyond
        )
        if not (most or _rare(seen, usual, self.level)):
            return
        moved = logs[positive & outside]
        # Where most have moved all tell by how much; else those in range are not known from it.
        middle = float(np.median(logs[positive] if share > 0.5 else moved)) - usual_middle
        steps = {sign * math.log(factor): factor for factor in UNITS for sign in (1, -1)}
        step = min(steps, key=lambda log: abs(middle - log))
        back = moved - step
        if np.mean((back >= low) & (back <= high)) >= RESTORED:
            way = "too high" if step > 0 else "too low"
            # Of few families the median says the factor only roughly: the next one is named too.
            error = 1.25 * (self.column.large - self.column.small) / 2.56 / math.sqrt(seen[1])
            near = sorted((abs(middle - log), log) for log in steps)
            named = [steps[log] for off, log in near[:2] if off - near[0][0] < error]
            what = " or ".join(f"{factor:g} ({UNITS[factor]})" for factor in named)
            yield self._fault(
                "unit", seen, f"is {way} by a factor of {what}", factor=math.exp(step)
            )

    def _categories(self, said: list[str | None], categories: tuple[str, ...]) -> Iterator[Fault]:
        known = set(categories)
        there = self.here & np.array([text is not None for text in said])
        strange = np.array([text is not None and text not in known for text in said])
        if not (strange & there).any():
            return
        alike = {spelling(text): text for text in categories}
        respelled = strange & np.array([text and spelling(text) in alike for text in said], bool)
        seen, _ = rate(respelled, self.family, there)
        if _rare(seen, self.column.respelled, self.level):
            text = said[int(np.flatnonzero(respelled & there)[0])] or ""
            more = f" ({text!r} for {alike[spelling(text)]!r})"
            yield self._fault("spelling", seen, "is spelled otherwise", more)
        seen, share = rate(strange, self.family, there)
        if share >= RENAMED and _rare(seen, self.column.unknown, self.level):
            text = said[int(np.flatnonzero(strange & there)[0])] or ""
            yield self._fault("values", seen, "has values that no past item had", f" ({text!r})")

    def _fault(
        self, what: str, seen: Rate, says: str, more: str = "", *, factor: float = 1.0
    ) -> Fault:
        past = f"of the last {self.days} days" if self.days > 1 else "of the last day"
        words = f"{self.name} {says} in {seen[0]} of {seen[1]} families of items {past}{more}"
        return Fault(self.name, what, self.days, *seen, words, factor)


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
