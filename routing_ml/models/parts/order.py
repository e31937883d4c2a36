"""The order of operations: for every pair, which comes first.

Most pairs always stand the same way round; the majority of the fitted routings decides those. For
pairs whose order differs between items, shared trees on the item's features decide.
"""

from __future__ import annotations

import numpy as np

from routing_ml.models.parts.operations import Rows
from routing_ml.models.storage import Stored, prefixed
from routing_ml.models.trees.boosting import Plan, boost_numbers
from routing_ml.models.trees.ensemble import Ensemble, Shape

PLAN = Plan(trees=40, rate=0.3, shape=Shape(leaves=16, min_leaf=5))
MINORITY = 0.03  # share of the rarer direction from which a pair is worth asking about
MIN_ITEMS = 10  # with the rarer direction
MAX_PAIRS = 300


class Order:
    """`before` (L, L): the share of routings with both in which the row's operation comes first;
    `pairs` (K, 2), `base` (K,), `trees`: the pairs decided item by item."""

    def __init__(
        self, before: np.ndarray, pairs: np.ndarray, base: np.ndarray, trees: Ensemble | None
    ) -> None:
        self.before, self.pairs, self.base, self.trees = before, pairs, base, trees
        self._wins = np.where(before > 0.5, 1.0, 0.0) + 1e-3 * before

    @classmethod
    def fit(
        cls, rows: Rows, matrix: np.ndarray, bins: np.ndarray, pairs: np.ndarray | None = None
    ) -> Order:
        """Pairs never seen together are ordered by where in a routing each usually stands; `pairs`
        (K, 2) where it is known which are decided item by item."""
        size = len(rows.operations)
        place = places(rows)
        length = np.bincount(rows.item, minlength=len(rows.codes))
        where = (place[rows.item, rows.operation] + 0.5) / length[rows.item]
        counts = np.maximum(1, np.bincount(rows.operation, minlength=size))
        usual = np.bincount(rows.operation, weights=where, minlength=size) / counts
        first = _first(rows)
        both = first + first.T
        guess = np.where(usual[:, None] <= usual[None, :], 0.75, 0.25)
        before = np.where(both > 0, first / np.maximum(both, 1), guess)
        np.fill_diagonal(before, 0.5)
        pairs = _open_pairs(first) if pairs is None else pairs
        if not len(pairs):
            return cls(before, pairs, np.zeros(0), None)
        return cls(before, pairs, *boost_numbers(matrix, bins, _targets(place, pairs), PLAN))

    def directions(self, rows: Rows) -> np.ndarray:
        """(n, K) uint8: does the item have both operations of an open pair, the first one first."""
        place = places(rows)
        left, right = place[:, self.pairs[:, 0]], place[:, self.pairs[:, 1]]
        return ((left >= 0) & (left < right)).astype(np.uint8)

    def rank(self, matrix: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`placed` by the items' features."""
        return self.placed(self.likely(matrix), present)

    def placed(self, pairs: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For present (m, L) bool and how likely the first of each open pair comes first (m, K):
        each operation's place in its item's order (m, L), from 0, and how sure the order is (m,):
        the product over the item's open pairs of max(p, 1 - p).

        The place is the number of present operations that come before it (Copeland's count), equal
        counts by the sum of shares, then by number. Places of absent operations mean nothing.
        """
        some = present.astype(np.float64)
        score = some @ self._wins
        sure = np.ones(len(present))
        for k, (a, b) in enumerate(self.pairs.tolist()):
            both = np.flatnonzero(present[:, a] & present[:, b])
            p = pairs[both, k]
            won = np.where(p > 0.5, 1.0, 0.0) + 1e-3 * p
            score[both, b] += won - self._wins[a, b]
            score[both, a] += 1.001 - won - self._wins[b, a]
            sure[both] *= np.maximum(p, 1 - p)
        score = np.where(present, score, np.inf)
        order = np.argsort(score, axis=1, kind="stable")
        rank = np.empty_like(order)
        np.put_along_axis(rank, order, np.arange(order.shape[1])[None, :], axis=1)
        return rank, sure

    def likely(self, matrix: np.ndarray) -> np.ndarray:
        """(m, K): how likely the first operation of each open pair comes first."""
        if self.trees is None:
            return np.zeros((len(matrix), 0))
        return np.clip(self.base + self.trees.predict(matrix), 0.01, 0.99)

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_stored` needs."""
        trees = prefixed("trees", self.trees.arrays()) if self.trees else {}
        return {"before": self.before, "pairs": self.pairs, "base": self.base, **trees}

    @classmethod
    def from_stored(cls, stored: Stored, prefix: str, features: int, size: int) -> Order:
        """The part of a stored model."""
        before = stored.array(f"{prefix}.before", "f", (size, size), low=0, high=1)
        pairs = stored.array(f"{prefix}.pairs", "i", (None, 2), low=0, high=size - 1)
        count = len(pairs)
        base = stored.array(f"{prefix}.base", "f", (count,))
        trees = Ensemble.from_stored(stored, f"{prefix}.trees", features, count) if count else None
        return cls(before, pairs, base, trees)


def places(rows: Rows) -> np.ndarray:
    """(n, L): the place of each operation in its item's routing, from 0; -1 where absent."""
    length = np.bincount(rows.item, minlength=len(rows.codes))
    place = np.full((len(rows.codes), len(rows.operations)), -1)
    starts = np.r_[0, np.cumsum(length)[:-1]]
    place[rows.item, rows.operation] = np.arange(len(rows.item)) - starts[rows.item]
    return place


def targets(rows: Rows) -> np.ndarray:
    """(n, K): 1 where of an open pair the first operation comes first, 0 where the second does, NaN
    where the item has not both."""
    return _targets(places(rows), _open_pairs(_first(rows)))


def _targets(place: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    left, right = place[:, pairs[:, 0]], place[:, pairs[:, 1]]
    return np.where((left >= 0) & (right >= 0), left < right, np.nan).astype(np.float32)


def _first(rows: Rows) -> np.ndarray:
    """(L, L): in how many routings the row's operation comes before the column's."""
    size = len(rows.operations)
    length = np.bincount(rows.item, minlength=len(rows.codes))
    first = np.zeros((size, size))
    for gap in range(1, int(length.max(initial=0))):
        same = rows.item[gap:] == rows.item[:-gap]
        pair = rows.operation[:-gap][same] * size + rows.operation[gap:][same]
        first += np.bincount(pair, minlength=size * size).reshape(size, size)
    return first


def _open_pairs(first: np.ndarray) -> np.ndarray:
    """Pairs (a < b) seen both ways round often enough, the most often asked first: (K, 2)."""
    rarer = np.triu(np.minimum(first, first.T), 1)
    asked = (rarer >= MIN_ITEMS) & (rarer >= MINORITY * (first + first.T))
    pairs = np.argwhere(asked)
    order = np.argsort(-rarer[asked], kind="stable")[:MAX_PAIRS]
    return pairs[order].astype(np.int64)
