"""The entry date as a column of steps that trees may split on while they are grown, where planners
are shown to make items otherwise of late.

Grown trees are settled to the newest step (`Ensemble.settled`), so that a model knows no dates and
proposes as planners do now. What has changed is then learned from the new items alone, and what has
not from all: weighting the old ones less would unlearn the one to learn the other.
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
PLAN = Plan(trees=40, rate=0.3, shape=Shape(leaves=10, min_leaf=5), sketch=8)
MOST_NAMED, NAMED = 5, 0.25  # operations that are named, moved by so much of what the first is
SURE = 2.33  # standard errors: 1 %, one-sided


def steps(entered: np.ndarray) -> np.ndarray:
    """(n,) uint8: in which of a few steps of time each item was entered, `entered` (n,) in days;
    0 where unknown. The first takes half of the items, the later ones fewer and fewer; all are of
    one step where that cannot be told."""
    known = entered[~np.isnan(entered)]
    shares = SHARES[SHARES * len(known) >= MIN_ITEMS]
    if not len(shares):
        return (~np.isnan(entered)).astype(np.uint8)
    edges = np.unique(np.quantile(known, 1 - shares, method="higher"))
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
    """What was found of the time at which items were entered: the `step` of each (n,), the day
    `since` which they are made otherwise, and the numbers of the `operations` that changed most."""

    step: np.ndarray
    since: date
    operations: list[int]

    @property
    def newest(self) -> int:
        """The step that what is new is taken to be of."""
        return int(self.step.max())

    @classmethod
    def learn(
        cls, matrix: np.ndarray, bins: np.ndarray, present: np.ndarray, entered: np.ndarray,
        families: np.ndarray,
    ) -> Dated | None:  # fmt: skip
        """Whether the step helps to say which operations occur, `present` (n, L) by features
        `matrix` (n, F); None where it is not shown to.

        A few trees that know the step of their items and some that do not are asked of the newest
        tenth, each part of it by what was known before (prequentially: Dawid 1984). Items of one of
        the `families` (n,) count as one.
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
            if not len(new) or step.max(initial=0) < 2:
                continue
            known, plain = (
                _fit(matrix[old], bins, present[old], column) for column in (step, 0 * step)
            )
            asked = matrix[new], present[new]
            gain[new] = _off(plain, *asked, 0) - _off(known, *asked, step.max())
        if not shown(gain, families):
            return None
        moved = np.abs(_likely(known, matrix[new], step.max()) - _likely(plain, matrix[new], 0))
        return cls(steps(entered), _since(known[1], len(bins), step, entered[old]), _most(moved))


Fitted = tuple[np.ndarray, Ensemble]


def _fit(matrix: np.ndarray, bins: np.ndarray, present: np.ndarray, step: np.ndarray) -> Fitted:
    every = np.r_[bins, max(3, int(step.max()) + 1)]
    weight = np.ones(len(matrix), np.float32)
    return boost_flags(np.column_stack([matrix, step]), every, present, PLAN, weight)


def _likely(fitted: Fitted, matrix: np.ndarray, step: int) -> np.ndarray:
    base, trees = fitted
    column = np.full(len(matrix), step, np.uint8)
    return sigmoid(base + trees.predict(np.column_stack([matrix, column])))


def _off(fitted: Fitted, matrix: np.ndarray, present: np.ndarray, step: int) -> np.ndarray:
    """(n,) how far off what is said of each item is: the sum of squares (Brier 1950)."""
    return np.square(present - _likely(fitted, matrix, step)).sum(axis=1)


def _since(trees: Ensemble, column: int, step: np.ndarray, entered: np.ndarray) -> date:
    """The first day of the step that the trees are split at to most use."""
    mine = trees.feature == column
    use = np.bincount(trees.threshold[mine], trees.gain[mine], minlength=1)
    return date.fromordinal(DAY + int(entered[step > use.argmax()].min()))


def _most(moved: np.ndarray) -> list[int]:
    """The operations whose likelihoods have `moved` (m, L) most."""
    mean = moved.mean(axis=0)
    most = np.argsort(-mean, kind="stable")[:MOST_NAMED]
    return most[mean[most] >= NAMED * mean.max(initial=0)].tolist()
