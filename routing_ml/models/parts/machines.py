"""The machine of each operation, by shared trees on the item's features: how likely each of those
is that were used for it, and whether anybody still uses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from routing_ml.models.parts.confidence import Calibration
from routing_ml.models.parts.operations import Rows
from routing_ml.models.parts.recent import (
    DAY,
    HALF_LIVES,
    HELD_OUT,
    ages,
    last_used,
    trend,
)
from routing_ml.models.storage import Stored, prefixed
from routing_ml.models.trees.boosting import Plan, boost_numbers
from routing_ml.models.trees.ensemble import Ensemble, Shape

PLAN = Plan(trees=25, rate=0.3, shape=Shape(leaves=16, min_leaf=5))
UNUSED_DAYS = 730.5  # two years
UNUSED_SHARE = 0.02  # of its likelihood: only where no other machine is at all likely does it win
SHARPNESSES = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0)
LEAST = 0.003  # score of a machine that was used for the operation at all
MAX_TRIED = 6_000  # items, the newest: bounds the time
MIN_HELD_OUT = 40  # operations with a choice of machines, to learn from
SHOWN = 0.05  # likelihood from which another machine is named
MOST_SHOWN = 3
SPELLED = np.array([f"{k / 100:.2f}".lstrip("0") for k in range(101)], object)


@dataclass(frozen=True)
class Chosen:
    """Of k operations: the `machine`'s number, -1 for none, how `likely` it is (NaN for none), the
    `others` and what is to be said of any of them (`notes`), as texts or None."""

    machine: np.ndarray
    likely: np.ndarray
    others: np.ndarray
    notes: np.ndarray


class Machines:
    """`names` of machines; `choices` (K, 2): (operation, machine) pairs that were seen together,
    by operation; `base` (K,) and `trees` score them. Scores to the power of `sharpness` times
    `trend` (K,), as shares of their operation's, are the likelihoods; `top` corrects that of the
    likeliest. `used` (M,): the day of each machine's last use, NaN where unknown."""

    half_life: float = 0.0  # after a fit: that of `trend`, of the time that all routings span

    def __init__(
        self,
        names: list[str],
        choices: np.ndarray,
        base: np.ndarray,
        trees: Ensemble | None,
        *,
        sharpness: float = 1.2,
        trend: np.ndarray | None = None,
        top: Calibration | None = None,
        used: np.ndarray | None = None,
    ) -> None:
        self.names, self.choices, self.base, self.trees = names, choices, base, trees
        self.trend = np.ones(len(choices)) if trend is None else trend
        self.sharpness, self.top = sharpness, top
        self.used = np.full(len(names), np.nan) if used is None else used
        known = self.used[~np.isnan(self.used)]
        self.unused = self.used < known.max() - UNUSED_DAYS if len(known) else self.used < 0
        self._columns = {
            k: np.flatnonzero(choices[:, 0] == k) for k in np.unique(choices[:, 0]).tolist()
        }

    @classmethod
    def fit(
        cls,
        rows: Rows,
        matrix: np.ndarray,
        bins: np.ndarray,
        results: pd.DataFrame | None = None,
    ) -> Machines:
        """`RES_CD` may be missing, in rows or altogether.

        What has become commoner counts more only where that is shown to help: of the half-lives,
        the one that is right most often on the newest 15 % of the items when fitted on the others,
        none unless it is beaten by two standard errors. The sharpness is learned there too.
        """
        names, choices, target = targets(rows)
        if not len(choices):
            return cls([], choices, np.zeros(0), None)
        half_life, sharpness, top = _tried(rows, matrix, bins, choices, target)
        base, trees = boost_numbers(matrix, bins, target, PLAN)
        factors = None
        if half_life:
            factors = trend(target, choices[:, 0], ages(rows.entered), half_life)
        used = last_used(rows, names, results)
        found = cls(
            names, choices, base, trees, sharpness=sharpness, trend=factors, top=top, used=used
        )
        found.half_life = half_life
        return found

    def predict(self, matrix: np.ndarray, item: np.ndarray, operation: np.ndarray) -> np.ndarray:
        """The machine's number for each (item, operation), -1 for none."""
        return self.choose(matrix, item, operation).machine

    def choose(self, matrix: np.ndarray, item: np.ndarray, operation: np.ndarray) -> Chosen:
        """The machine for each (item, operation) and what is known of it."""
        found = Chosen(
            np.full(len(item), -1), np.full(len(item), np.nan),
            np.full(len(item), None, object), np.full(len(item), None, object),
        )  # fmt: skip
        if self.trees is None or not len(item):
            return found
        scores = self.base + self.trees.predict(matrix)
        for k, columns in self._columns.items():
            mine = np.flatnonzero(operation == k)
            if len(mine):
                self._fill(found, mine, scores[item[mine][:, None], columns], columns)
        return found

    def _fill(
        self, found: Chosen, mine: np.ndarray, scores: np.ndarray, columns: np.ndarray
    ) -> None:
        machines = self.choices[columns, 1]
        likely = self._corrected(_shares(scores, self.sharpness, self.trend[columns]))
        if self.unused[machines].any():
            likely = likely * np.where(self.unused[machines], UNUSED_SHARE, 1.0)
            likely /= likely.sum(axis=1, keepdims=True)
        best = likely.argmax(axis=1)
        found.machine[mine] = machines[best]
        found.likely[mine] = likely[np.arange(len(mine)), best]
        told = ((likely >= SHOWN).sum(axis=1) > 1) | self.unused[machines[best]]
        rows = mine[told]
        order = np.argsort(-likely[told], axis=1, kind="stable")[:, : 1 + MOST_SHOWN]
        others = machines[order[:, 1:]]  # the first is the best
        shares = np.take_along_axis(likely[told], order[:, 1:], axis=1)
        shown = shares >= SHOWN
        words = self._spelled[others] + SPELLED[np.rint(100 * shares).astype(int)]
        for row, some, kept in zip(rows.tolist(), words.tolist(), shown.tolist(), strict=True):
            found.others[row] = "; ".join([w for w, k in zip(some, kept, strict=True) if k]) or None
        named, shown = machines[order], np.c_[np.ones(len(rows), bool), shown]
        idle = shown & self.unused[named]
        for at in np.flatnonzero(idle.any(axis=1)).tolist():
            notes = map(self._not_used, named[at, idle[at]].tolist())
            found.notes[rows[at]] = "; ".join(notes)

    @cached_property
    def _spelled(self) -> np.ndarray:
        return np.array([f"{name} " for name in self.names], object)

    def _corrected(self, likely: np.ndarray) -> np.ndarray:
        """Likelihoods (m, c) with that of the likeliest as it turned out, the others alike."""
        if self.top is None or likely.shape[1] < 2:
            return likely
        first = likely.max(axis=1, keepdims=True)
        says = np.clip(self.top.apply(first), 1 / likely.shape[1], 1 - 1e-6)
        rest = (1 - says) / np.maximum(1 - first, 1e-9)
        # another one may not become likelier than the likeliest
        return np.where(likely == first, says, np.minimum(likely * rest, says))

    def _not_used(self, machine: int) -> str:
        day = date.fromordinal(DAY + int(self.used[machine]))
        return f"{self.names[machine]} not used since {day:%Y-%m}"

    def facts(self) -> dict[str, Any]:
        """JSON-able; what `from_stored` needs beside the arrays."""
        days = [None if np.isnan(day) else float(day) for day in self.used]
        return {"names": self.names, "used": days, "corrected": self.top is not None}

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_stored` needs beside the facts."""
        trees = prefixed("trees", self.trees.arrays()) if self.trees else {}
        top = prefixed("top", self.top.arrays()) if self.top else {}
        sharpness = np.array([self.sharpness])
        found = {"choices": self.choices, "base": self.base, "trend": self.trend}
        return {**found, "sharpness": sharpness, **trees, **top}

    @classmethod
    def from_stored(cls, stored: Stored, prefix: str, features: int, size: int) -> Machines:
        """The part of a stored model; one of 2.1.0 knows no last use."""
        names = stored.strings(f"{prefix}.names", unique=True)
        choices = stored.array(f"{prefix}.choices", "i", (None, 2), low=0)
        count = len(choices)
        if count and (choices.max(axis=0) >= [size, len(names)]).any():
            stored.refuse(f"{prefix}.choices", "names an operation or machine that is not there")
        base = stored.array(f"{prefix}.base", "f", (count,))
        trees = Ensemble.from_stored(stored, f"{prefix}.trees", features, count) if count else None
        if stored.format == 1:
            return cls(names, choices, base, trees)
        sharpness = float(stored.array(f"{prefix}.sharpness", "f", (1,), low=0.01, high=100)[0])
        days = stored.fact(f"{prefix}.used", list)
        if len(days) != len(names) or not all(_is_day(day) for day in days):
            stored.refuse(f"{prefix}.used", "holds something that is no day")
        top = None
        if stored.fact(f"{prefix}.corrected", bool):
            top = Calibration.from_stored(stored, f"{prefix}.top")
        used = np.array([np.nan if day is None else day for day in days], float)
        factors = stored.array(f"{prefix}.trend", "f", (count,), low=1e-9, high=1e9)
        return cls(
            names, choices, base, trees, sharpness=sharpness, trend=factors, top=top, used=used
        )


def _tried(
    rows: Rows, matrix: np.ndarray, bins: np.ndarray, choices: np.ndarray, target: np.ndarray
) -> tuple[float, float, Calibration | None]:
    """The half-life (0: none), the sharpness and the correction that the newest items ask for."""
    age = ages(rows.entered)
    order = np.argsort(-age, kind="stable")[-MAX_TRIED:]
    if age.any():
        old, new = np.split(order, [len(order) - int(HELD_OUT * len(order))])
    else:  # without dates any item is as good as another
        new = order[:: round(1 / HELD_OUT)]
        old = np.setdiff1d(order, new)
    groups = [np.flatnonzero(choices[:, 0] == k) for k in np.unique(choices[:, 0]).tolist()]
    asked = [(columns, new[(target[np.ix_(new, columns)] == 1).any(axis=1)]) for columns in groups]
    asked = [(columns, at) for columns, at in asked if len(columns) > 1 and len(at)]
    if sum(len(at) for _, at in asked) < MIN_HELD_OUT:
        return 0.0, 1.2, None
    base, trees = boost_numbers(matrix[old], bins, target[old], PLAN)
    scores = np.full((len(target), len(choices)), np.nan)
    scores[new] = base + trees.predict(matrix[new])
    told = [(scores[np.ix_(at, columns)], target[np.ix_(at, columns)] == 1)
            for columns, at in asked]  # fmt: skip

    def shares(sharpness: float, factors: np.ndarray) -> list[np.ndarray]:
        return [
            _shares(score, sharpness, factors[columns])
            for (score, _), (columns, _) in zip(told, asked, strict=True)
        ]

    def hits(likely: list[np.ndarray]) -> np.ndarray:
        return np.concatenate([
            hit[np.arange(len(hit)), share.argmax(axis=1)]
            for share, (_, hit) in zip(likely, told, strict=True)
        ])  # fmt: skip

    best, factors = 0.0, np.ones(len(choices))
    right = hits(shares(1.2, factors))
    for half_life in HALF_LIVES if age.any() else ():
        tried = trend(target[old], choices[:, 0], ages(rows.entered[old]), half_life)
        now = hits(shares(1.2, tried))
        gained, lost = (now & ~right).sum(), (right & ~now).sum()
        if gained - lost > 2 * np.sqrt(gained + lost):  # as in McNemar's test
            best, factors, right = half_life, tried, now
    losses = [
        -sum(
            np.log(share[hit]).sum()
            for share, (_, hit) in zip(shares(sharpness, factors), told, strict=True)
        )
        for sharpness in SHARPNESSES
    ]
    sharpness = SHARPNESSES[int(np.argmin(losses))]
    likely = shares(sharpness, factors)
    first = np.concatenate([share.max(axis=1) for share in likely])
    return best, sharpness, Calibration.fit(first, hits(likely))


def _shares(scores: np.ndarray, sharpness: float, factors: np.ndarray) -> np.ndarray:
    """(m, c) likelihoods of the machines of one operation. Scores are regressions on 0 and 1; as
    shares they fit better than a softmax does (log loss .365 against .379 on the sample)."""
    shares = np.clip(scores, LEAST, None) ** sharpness * factors
    return shares / shares.sum(axis=1, keepdims=True)


def _is_day(day: object) -> bool:
    return day is None or (isinstance(day, int | float) and abs(day) < DAY)


def targets(rows: Rows) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Machine names, (operation, machine) choices (K, 2), and target (n, K): 1 for the machine
    used, 0 for the operation's others, NaN where the item has no such operation or machine."""
    names: list[str] = []
    if "RES_CD" in rows.table:
        machine = rows.table["RES_CD"].astype("str").str.strip()
        names = sorted(name for name in machine.dropna().unique() if name)
    if not names:
        return names, np.zeros((0, 2), np.int64), np.zeros((len(rows.codes), 0), np.float32)
    codes = pd.Categorical(machine, categories=names).codes.astype(np.int64)
    known = codes >= 0
    pairs = rows.operation[known] * len(names) + codes[known]
    found, choice = np.unique(pairs, return_inverse=True)
    choices = np.stack(np.divmod(found, len(names)), axis=1)
    used = np.zeros((len(rows.codes), len(rows.operations)), bool)
    used[rows.item[known], rows.operation[known]] = True
    target = np.where(used[:, choices[:, 0]], 0, np.nan).astype(np.float32)
    target[rows.item[known], choice] = 1
    return names, choices, target
