"""Past routings by the rules of now, where planners are shown to make items otherwise of late.

A few trees learn which operations occur from the items and from when they were entered, in steps.
What they say of an old item as if it were new, against what they say of it as of its time, is what
has changed; its routing is brought up to date by that before a candidate learns from it. What has
not changed is then learned from all items, where weighting the old ones less would unlearn it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from routing_ml.models.parts.recent import DAY
from routing_ml.models.trees.boosting import Plan, boost_flags, sigmoid
from routing_ml.models.trees.ensemble import Ensemble, Shape

SHARES = 0.5 * 0.8 ** np.arange(15)  # of the items, the newest ones: each begins a step
MIN_ITEMS = 20  # of the newest step
MAX_TRIED = 6_000  # items, the newest: bounds the time
ASKED = (0.10, 0.04, 0.0)  # of them, the newest: each part is asked of what was known before it
TRIED = Plan(trees=40, rate=0.3, shape=Shape(leaves=10, min_leaf=5), sketch=8)
PLAN = Plan(trees=100, rate=0.3, shape=Shape(leaves=10, min_leaf=5), sketch=16)
CHANGED = 0.5  # of a likelihood: less is not taken for a change of rule
MOST_NAMED, NAMED = 5, 0.25  # operations that are named, changed in so much of what the first is
SURE = 2.33  # standard errors: 1 %, one-sided


def steps(entered: np.ndarray) -> np.ndarray:
    """(n,) uint8: in which of a few steps of time each item was entered, `entered` (n,) in days;
    0 where unknown. The first takes half of the items, the later ones fewer and fewer; all are of
    one step where that cannot be told."""
    known = entered[~np.isnan(entered)]
    shares = SHARES[SHARES * len(known) >= MIN_ITEMS]
    if not len(shares):
        return (~np.isnan(entered)).astype(np.uint8)
    edges = np.unique(np.quantile(known, 1 - shares, method="lower"))
    edges = edges[edges > known.min()]
    found = 1 + np.searchsorted(edges, entered, side="right")
    return np.where(np.isnan(entered), 0, found).astype(np.uint8)


def shown(gain: np.ndarray, families: np.ndarray) -> bool:
    """Whether there is a gain in truth, by that of each item (n,): by that of each of the
    `families` (n,), whole numbers from 0."""
    each = np.bincount(families, gain)
    return bool(each.sum() > SURE * np.sqrt(np.square(each).sum()))


@dataclass(frozen=True)
class Dated:
    """By how much likelier each operation of each item has become since it was entered, `change`
    (n, L) in [-1, 1], 0 where that is less than CHANGED; about the day `since` which items are made
    otherwise, and the numbers of the `operations` that changed most."""

    change: np.ndarray
    since: date
    operations: list[int]

    def now(self, present: np.ndarray) -> np.ndarray:
        """The operations `present` (n, L) of the items by the rules of now, of 0 and 1."""
        return (present + self.change >= CHANGED).astype(present.dtype)

    @classmethod
    def learn(
        cls, matrix: np.ndarray, bins: np.ndarray, present: np.ndarray, entered: np.ndarray,
        families: np.ndarray,
    ) -> Dated | None:  # fmt: skip
        """What has changed in which operations are `present` (n, L), by features `matrix` (n, F);
        None where no change is shown.

        Trees that know the step of their items and trees that do not are asked of the newest tenth,
        each part of it by what was known before (prequentially: Dawid 1984). Items of one of the
        `families` (n,) count as one.
        """
        order = np.argsort(entered, kind="stable")  # those without a date come last
        order = order[: int((~np.isnan(entered)).sum())][-MAX_TRIED:]
        days = entered[order]
        if not len(order) or steps(days).max() < 2:
            return None
        gain = np.zeros(len(entered))
        cuts = [days[min(int((1 - share) * len(days)), len(days) - 1)] for share in ASKED]
        for cut, end in zip(cuts[:-1], [*cuts[1:-1], np.inf], strict=True):
            old, new = order[days < cut], order[(days >= cut) & (days < end)]
            step = steps(entered[old])
            if step.max(initial=0) < 2:
                continue
            none = np.zeros_like(step)
            known, plain = (
                _Trees.fit(matrix[old], bins, present[old], of, TRIED) for of in (step, none)
            )
            told, untold = (np.full(len(new), of, np.uint8) for of in (step.max(), 0))
            off = [
                np.square(present[new] - trees.likely(matrix[new], of)).sum(axis=1)  # Brier 1950
                for trees, of in ((plain, untold), (known, told))
            ]
            gain[new] = off[0] - off[1]
        if not shown(gain, families):
            return None
        step = steps(entered)
        trees = _Trees.fit(matrix, bins, present, step, PLAN)
        now = trees.likely(matrix, np.full_like(step, step.max()))
        change = now - trees.likely(matrix, step)
        change[np.abs(change) < CHANGED] = 0
        if not change.any():
            return None
        often = (change != 0).mean(axis=0)
        most = np.argsort(-often, kind="stable")[:MOST_NAMED]
        most = most[(often[most] > 0) & (often[most] >= NAMED * often.max())]
        return cls(change, trees.since(len(bins), step, entered), most.tolist())


@dataclass(frozen=True)
class _Trees:
    """Trees that know the step of each item, their last feature."""

    base: np.ndarray
    trees: Ensemble

    @classmethod
    def fit(
        cls, matrix: np.ndarray, bins: np.ndarray, present: np.ndarray, step: np.ndarray, plan: Plan
    ) -> _Trees:
        every = np.r_[bins, max(3, int(step.max()) + 1)]
        weight = np.ones(len(matrix), np.float32)
        return cls(*boost_flags(np.column_stack([matrix, step]), every, present, plan, weight))

    def likely(self, matrix: np.ndarray, step: np.ndarray) -> np.ndarray:
        """(m, L)"""
        return sigmoid(self.base + self.trees.predict(np.column_stack([matrix, step])))

    def since(self, column: int, step: np.ndarray, entered: np.ndarray) -> date:
        """The first day of the step at which it was most of use to split."""
        mine = self.trees.feature == column
        use = np.bincount(self.trees.threshold[mine], self.trees.gain[mine], minlength=1)
        return date.fromordinal(DAY + int(entered[step > use.argmax()].min()))
