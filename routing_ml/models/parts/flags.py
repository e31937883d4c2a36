"""What of an operation is yes or no, item by item: that its setup or its run takes no time, that it
is done outside, that its run time is a lot's.

Of most operations it is always the same; where it differs between items, shared trees on the item's
features decide.
"""

from __future__ import annotations

import numpy as np

from routing_ml.models.parts.minutes import possible
from routing_ml.models.parts.operations import Rows
from routing_ml.models.storage import Stored, prefixed
from routing_ml.models.trees.boosting import Plan, boost_numbers
from routing_ml.models.trees.ensemble import Ensemble, Shape
from routing_ml.source import says_outside, says_yes

NO_SETUP, NO_RUN, OUTSIDE, PER_LOT = KINDS = range(4)
PLAN = Plan(trees=40, rate=0.3, shape=Shape(leaves=16, min_leaf=5))
MINORITY = 0.03  # share of the rarer answer from which it is worth asking item by item
MIN_ITEMS = 10  # with the rarer answer
MAX_OPEN = 300


class Flags:
    """`open` (C,): of which kind and operation (kind * L + operation) it differs between items;
    `base` (C,) and `trees` say how likely it is."""

    def __init__(
        self, size: int, which: np.ndarray, base: np.ndarray, trees: Ensemble | None
    ) -> None:
        self.size, self.open, self.base, self.trees = size, which, base, trees
        self._at = np.full(len(KINDS) * size, -1)
        self._at[which] = np.arange(len(which))

    @classmethod
    def none(cls, size: int) -> Flags:
        """Nothing differs between items, as far as anybody knows."""
        return cls(size, np.zeros(0, np.int64), np.zeros(0), None)

    @classmethod
    def fit(cls, rows: Rows, matrix: np.ndarray, bins: np.ndarray) -> Flags:
        """Times, INSIDE_FLAG and PER_LOT may be missing, in rows or altogether."""
        which, target = open_targets(rows)
        if not len(which):
            return cls.none(len(rows.operations))
        return cls(len(rows.operations), which, *boost_numbers(matrix, bins, target, PLAN))

    def likely(self, matrix: np.ndarray) -> np.ndarray:
        """(m, C): how likely each of what is open is."""
        if self.trees is None:
            return np.zeros((len(matrix), 0))
        return np.clip(self.base + self.trees.predict(matrix), 0, 1)

    def of(
        self, likely: np.ndarray, kind: int, item: np.ndarray, operation: np.ndarray
    ) -> np.ndarray:
        """(k,): how likely it is of each (item, operation), by what `likely` said of the items; NaN
        where it does not differ between items."""
        at = self._at[kind * self.size + operation]
        return np.where(at >= 0, np.c_[likely, np.full(len(likely), np.nan)][item, at], np.nan)

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_stored` needs."""
        trees = prefixed("trees", self.trees.arrays()) if self.trees else {}
        return {"open": self.open, "base": self.base, **trees}

    @classmethod
    def from_stored(cls, stored: Stored, prefix: str, features: int, size: int) -> Flags:
        """The part of a stored model; nothing of one of 2.1.0."""
        if stored.format == 1:
            return cls.none(size)
        which = stored.array(f"{prefix}.open", "i", (None,), low=0, high=len(KINDS) * size - 1)
        if len(np.unique(which)) != len(which):
            stored.refuse(f"{prefix}.open", "repeats an entry")
        base = stored.array(f"{prefix}.base", "f", (len(which),))
        trees = None
        if len(which):
            trees = Ensemble.from_stored(stored, f"{prefix}.trees", features, len(which))
        return cls(size, which, base, trees)


def open_targets(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """What differs between items, as of `Flags`, and (n, C) whether it is so: 1, 0, NaN where the
    item has no such operation or nobody said."""
    every = np.concatenate([_target(rows, kind) for kind in KINDS], axis=1)
    known, yes = (~np.isnan(every)).sum(axis=0), np.nansum(every, axis=0)
    rarer = np.minimum(yes, known - yes)
    which = np.flatnonzero((rarer >= MIN_ITEMS) & (rarer >= MINORITY * known))
    which = which[np.argsort(-rarer[which], kind="stable")][:MAX_OPEN]
    return which, every[:, which]


def _target(rows: Rows, kind: int) -> np.ndarray:
    """(n, L): the answer of each item's operation."""
    target = np.full((len(rows.codes), len(rows.operations)), np.nan, np.float32)
    said = _said(rows, kind)
    good = ~np.isnan(said)
    target[rows.item[good], rows.operation[good]] = said[good]
    return target


def _said(rows: Rows, kind: int) -> np.ndarray:
    """The answer of each row, NaN where there is none."""
    nobody = np.full(len(rows.table), np.nan)
    if kind in (NO_SETUP, NO_RUN):
        minutes = possible(rows.table[("SETUP_TIME", "RUN_TIME")[kind]].to_numpy(float))
        return np.where(np.isnan(minutes), np.nan, minutes == 0)
    column, says = (("INSIDE_FLAG", says_outside), ("PER_LOT", says_yes))[kind - OUTSIDE]
    if column not in rows.table:
        return nobody
    flags = rows.table[column]
    said = {flag: float(says(flag)) for flag in flags.dropna().unique()}
    answers = flags.map(said).to_numpy(float)
    if kind == PER_LOT:  # a flag that is not set is none
        return np.where(flags.isna(), 0.0, answers)
    return np.where(flags.isna(), np.nan, answers)
