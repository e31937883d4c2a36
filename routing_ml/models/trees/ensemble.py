"""Trees on binned features with many outputs at once: grown by histograms, kept as flat arrays.

A split is sought on a random projection of the outputs (L. Iosipoi, A. Vakhrushev, "SketchBoost",
NeurIPS 2022): a tree then costs the same for ten operations as for a hundred. Prediction needs
numpy and scipy's sparse product only.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from routing_ml.models.storage import Stored
from routing_ml.models.trees.bits import Bits

LEAF = -1
NO_GAIN = np.zeros(0)


@dataclass(frozen=True)
class Shape:
    """How trees grow: most `leaves` of a tree, fewest rows of a leaf, shrinkage of leaf means."""

    leaves: int
    min_leaf: int
    shrink: float = 1.0


@dataclass(frozen=True)
class Tree:
    """Nodes in order of growth, the root first, children after parents.

    `feature` (k,) column of the matrix or LEAF, `threshold` (k,) uint8: greater goes right;
    `left`, `right` (k,) nodes; `gain` (k,) of the split, `cover` (k,) rows of the sample.
    """

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    gain: np.ndarray
    cover: np.ndarray

    def leaves(self, matrix: np.ndarray) -> np.ndarray:
        """The leaf each row of `matrix` (n, F) ends in: (n,)."""
        node = np.zeros(len(matrix), np.int64)
        rows = np.arange(len(matrix))
        while len(rows):
            here = node[rows]
            feature = self.feature[here]
            inner = feature >= 0
            rows, here, feature = rows[inner], here[inner], feature[inner]
            right = matrix[rows, feature] > self.threshold[here]
            node[rows] = np.where(right, self.right[here], self.left[here])
        return node


class Grower:
    """Grows trees on one matrix; yes/no features by dense, binned ones by sparse products."""

    def __init__(self, matrix: np.ndarray, bins: np.ndarray, shape: Shape) -> None:
        self.bins, self.shape = bins, shape
        self.flags = np.flatnonzero(bins == 2)
        self.scales = np.flatnonzero(bins > 2)
        self.dense = np.ascontiguousarray(matrix[:, self.flags])
        self.binned = np.ascontiguousarray(matrix[:, self.scales])

    def grow(
        self, targets: np.ndarray, rows: np.ndarray, share: float, random: np.random.Generator
    ) -> tuple[Tree, np.ndarray]:
        """A tree for `targets` (n, k) float32 on `rows` (m,) in order, over a random `share` of the
        features, and the leaf that each of the rows ends in (m,)."""
        return _Growth(self, targets, rows, share, random).tree()


class _Growth:
    """One tree while it grows. A histogram row: sums of the targets and the count, per bin."""

    def __init__(
        self,
        grower: Grower,
        targets: np.ndarray,
        rows: np.ndarray,
        share: float,
        random: np.random.Generator,
    ) -> None:
        flags, scales = (
            _some(len(columns), share, random) for columns in (grower.flags, grower.scales)
        )
        self.shape = grower.shape
        self.columns = np.r_[grower.flags[flags], grower.scales[scales]]
        self.flags, self.scales = len(flags), len(scales)
        self.dense = grower.dense.take(rows, axis=0)[:, flags].astype(np.float32, order="C")
        sizes = grower.bins[grower.scales[scales]]
        self.offsets = np.r_[0, np.cumsum(sizes)].astype(np.int32)
        binned = grower.binned.take(rows, axis=0)[:, scales]
        self.binned = np.add(binned, self.offsets[:-1], dtype=np.int32, order="C")
        self.every = np.arange(self.scales)
        self.owner = np.repeat(self.every, sizes)
        self.splits = np.ones(self.flags + len(self.owner), bool)
        self.splits[self.flags + self.offsets[1:] - 1] = False  # nothing is above the last bin
        self.values = np.ones((len(rows), targets.shape[1] + 1), np.float32)
        self.values[:, :-1] = targets.take(rows, axis=0)
        self.ones = np.ones(len(rows) * self.scales, np.float32)
        # (bins, m) which row has which; filled for each node, for making one takes longer
        self.marks = sparse.csc_matrix((len(self.owner), len(rows)), dtype=np.float32)

    def tree(self) -> tuple[Tree, np.ndarray]:
        """The tree, and the leaf of each row."""
        nodes: list[list[float]] = []  # feature, threshold, left, right, gain, cover
        leaf = np.zeros(len(self.values), np.int64)
        heap: list[tuple] = []
        least = 2 * self.shape.min_leaf  # of fewer rows there is nothing to split

        def add(rows: np.ndarray, histogram: np.ndarray | None, total: np.ndarray) -> int:
            node = len(nodes)
            nodes.append([LEAF, 0, 0, 0, 0.0, float(total[-1])])
            leaf[rows] = node
            if histogram is not None and len(rows) >= least:
                split, gain = self._best(histogram, total)
                if split >= 0:
                    heapq.heappush(heap, (-gain, node, rows, histogram, total, split))
            return node

        everything = np.arange(len(self.values))
        add(everything, *self._histogram(everything))
        leaves = 1
        while heap and leaves < self.shape.leaves:
            gain, node, rows, histogram, total, split = heapq.heappop(heap)
            leaves += 1
            column, threshold, right = self._cut(split, rows)
            below, above = rows[~right], rows[right]
            part: np.ndarray | None
            rest: np.ndarray | None
            small, large = (below, above) if len(below) < len(above) else (above, below)
            if leaves < self.shape.leaves and len(large) >= least:
                part, part_total = self._histogram(small)
                rest, rest_total = histogram - part, total - part_total
            else:
                part, rest = None, None
                part_total = self.values[small].sum(axis=0)
                rest_total = total - part_total
            sides = {id(small): (small, part, part_total), id(large): (large, rest, rest_total)}
            first, second = add(*sides[id(below)]), add(*sides[id(above)])
            nodes[node][:5] = [column, threshold, first, second, -gain]
        table = np.array(nodes)
        tree = Tree(
            table[:, 0].astype(np.int32), table[:, 1].astype(np.uint8),
            table[:, 2].astype(np.int32), table[:, 3].astype(np.int32), table[:, 4], table[:, 5],
        )  # fmt: skip
        return tree, leaf

    def _histogram(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values = self.values.take(rows, axis=0)
        sums = np.empty((len(self.splits), values.shape[1]), np.float32)
        sums[: self.flags] = self.dense.take(rows, axis=0).T @ values
        if self.scales:
            marks = self.marks
            marks.indices = self.binned.take(rows, axis=0).ravel()
            marks.data = self.ones[: len(marks.indices)]
            starts = np.zeros(marks.shape[1] + 1, np.int32)
            starts[rows + 1] = self.scales
            marks.indptr = starts.cumsum(dtype=np.int32)
            sums[self.flags :] = marks @ self.values
        return sums, values.sum(axis=0)

    def _best(self, histogram: np.ndarray, total: np.ndarray) -> tuple[int, float]:
        """The split that explains most, and how much; -1 where none is allowed."""
        splits, above = self._above(histogram, total)
        count = above[:, -1]
        rest = total[-1] - count
        enough = np.minimum(count, rest) >= self.shape.min_leaf
        allowed = (self.splits.take(splits) & enough).nonzero()[0]
        if not len(allowed):
            return -1, 0.0
        above = above.take(allowed, axis=0)
        splits, count, rest = (part.take(allowed) for part in (splits, count, rest))
        sums, all_ = above[:, :-1], total[:-1]
        left = all_ - sums
        shrink = self.shape.shrink
        explained = np.einsum("sk,sk->s", sums, sums) / (count + shrink)
        explained += np.einsum("sk,sk->s", left, left) / (rest + shrink)
        best = int(explained.argmax())
        gain = float(explained[best] - all_ @ all_ / (total[-1] + shrink))
        return (int(splits[best]), gain) if gain > 1e-7 else (-1, 0.0)

    def _above(self, histogram: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The splits (s,) that tell rows apart, and the sums of what goes right of each: an empty
        bin splits as the one before it."""
        filled = histogram[:, -1].nonzero()[0]
        some = histogram.take(filled, axis=0)
        flags = int(filled.searchsorted(self.flags))
        if flags < len(filled):
            owner = self.owner.take(filled[flags:] - self.flags)
            running = np.zeros((len(owner) + 1, len(total)))
            some[flags:].cumsum(axis=0, dtype=np.float64, out=running[1:])
            first = owner.searchsorted(self.every)
            some[flags:] = total - (running[1:] - running.take(first.take(owner), axis=0))
        return filled, some

    def _cut(self, split: int, rows: np.ndarray) -> tuple[int, int, np.ndarray]:
        """The matrix column and threshold of `split`, and which of `rows` go right."""
        if split < self.flags:
            return int(self.columns[split]), 0, self.dense[rows, split] > 0
        at = split - self.flags
        owner = self.owner[at]
        threshold = int(at - self.offsets[owner])
        return int(self.columns[self.flags + owner]), threshold, self.binned[rows, owner] > at


class Ensemble:
    """Trees laid end to end: `starts` (T + 1,), nodes (N,) with children counted from the tree's
    start, and `values` (N, L), which sum over the trees. `gain` (N,) is there after a fit only."""

    def __init__(
        self,
        starts: np.ndarray,
        feature: np.ndarray,
        threshold: np.ndarray,
        left: np.ndarray,
        right: np.ndarray,
        values: np.ndarray,
        gain: np.ndarray = NO_GAIN,
    ) -> None:
        self.starts, self.feature, self.threshold = starts, feature, threshold
        self.left, self.right, self.values, self.gain = left, right, values, gain
        base = np.repeat(starts[:-1], np.diff(starts))
        own = np.arange(len(feature))
        inner = feature >= 0
        # a leaf leads to itself, so that every walk may take as many steps as the longest
        self._children = np.stack(
            [np.where(inner, base + left, own), np.where(inner, base + right, own)], axis=1
        ).ravel()
        self._column = np.where(inner, feature, 0).astype(np.intp)
        self._depth = _depth(starts, feature, left, right)

    @classmethod
    def of(cls, trees: list[Tree], leaf_values: list[np.ndarray]) -> Ensemble:
        """Join trees; the value of an inner node becomes the mean of its leaves, by cover."""
        filled = [_fill(tree, leaf) for tree, leaf in zip(trees, leaf_values, strict=True)]
        return cls.joined(trees, filled)

    @classmethod
    def joined(cls, trees: list[Tree], values: list[np.ndarray]) -> Ensemble:
        """Join trees with the values (nodes, L) of all their nodes."""
        starts = np.r_[0, np.cumsum([len(tree.feature) for tree in trees])].astype(np.int64)
        feature, threshold, left, right = (
            np.concatenate([getattr(tree, name) for tree in trees])
            for name in ("feature", "threshold", "left", "right")
        )
        gain = np.concatenate([tree.gain for tree in trees])
        means = np.concatenate(values).astype(np.float32)
        return cls(starts, feature, threshold, left, right, means, gain)

    @property
    def count(self) -> int:
        """How many trees."""
        return len(self.starts) - 1

    def first(self, trees: int) -> Ensemble:
        """The first `trees` of them alone."""
        if trees >= len(self.starts) - 1:
            return self
        nodes = slice(0, int(self.starts[trees]))
        parts = (self.feature, self.threshold, self.left, self.right, self.values)
        return Ensemble(self.starts[: trees + 1], *(part[nodes] for part in parts))

    def until(self, trees: np.ndarray) -> Ensemble:
        """The same, of each output the first `trees` (L,) alone."""
        tree = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))
        values = np.where(tree[:, None] < trees, self.values, 0).astype(np.float32)
        return Ensemble(
            self.starts, self.feature, self.threshold, self.left, self.right, values, self.gain
        )

    def leaves(self, matrix: np.ndarray) -> np.ndarray:
        """The leaf of each row in each tree, as a node of the ensemble: (n, T)."""
        return self.walk(matrix) if self._bits is None else self._bits.leaves(matrix)

    @cached_property
    def _bits(self) -> Bits | None:
        return Bits.of(self.starts, self.feature, self.threshold, self.left, self.right)

    def walk(self, matrix: np.ndarray) -> np.ndarray:
        """The same for trees of any size, a level of all trees at a time."""
        count, width = matrix.shape
        flat = np.ascontiguousarray(matrix).ravel()
        row = (np.arange(count) * width)[:, None]
        node = np.broadcast_to(self.starts[:-1], (count, len(self.starts) - 1))
        for _ in range(self._depth):
            right = flat[row + self._column[node]] > self.threshold[node]
            node = self._children[2 * node + right]
        return node

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """The sum of the trees' values: (n, L) float32."""
        leaves = self.leaves(matrix)
        count, trees = leaves.shape
        marks = sparse.csr_matrix(
            (np.ones(leaves.size, np.float32), leaves.ravel(),
             np.arange(0, leaves.size + 1, trees)),
            shape=(count, len(self.feature)),
        )  # fmt: skip
        return np.asarray(marks @ self.values)

    def contributions(self, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What each feature of one `row` (F,) adds to the outputs: start (L,) and (F, L).

        Exact along the paths: a split adds the difference between the means below and above it
        (A. Saabas, "Interpreting random forests", 2014). Start and contributions sum to `predict`.
        """
        values = self.values.astype(np.float64)
        found = np.zeros((len(row), values.shape[1]))
        node = self.starts[:-1]
        start = values[node].sum(axis=0)
        while len(node):
            node = node[self.feature[node] >= 0]
            column = self._column[node]
            child = self._children[2 * node + (row[column] > self.threshold[node])]
            np.add.at(found, column, values[child] - values[node])
            node = child
        return start, found

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_stored` needs."""
        return {
            "starts": self.starts,
            "feature": self.feature.astype(np.int16),
            "threshold": self.threshold.astype(np.uint8),
            "left": self.left.astype(np.int32),
            "right": self.right.astype(np.int32),
            "values": self.values,
        }

    @classmethod
    def from_stored(cls, stored: Stored, prefix: str, features: int, outputs: int) -> Ensemble:
        """The trees of a stored model; ModelError where a node leads nowhere or in a circle."""
        starts = stored.array(f"{prefix}.starts", "i", (None,), low=0).astype(np.int64)
        feature = stored.array(f"{prefix}.feature", "i", (None,), low=LEAF, high=features - 1)
        count = len(feature)
        if len(starts) < 2 or starts[0] or starts[-1] != count or (np.diff(starts) < 1).any():
            stored.refuse(f"{prefix}.starts", "does not cut the nodes into trees")
        own = np.arange(count) - np.repeat(starts[:-1], np.diff(starts))
        size = np.repeat(np.diff(starts), np.diff(starts))
        sides = []
        for name in ("left", "right"):
            side = stored.array(f"{prefix}.{name}", "i", (count,))
            if ((feature >= 0) & ((side <= own) | (side >= size))).any():
                stored.refuse(f"{prefix}.{name}", "leads to a node that is not below")
            sides.append(side)
        inner = feature >= 0
        base = np.repeat(starts[:-1], np.diff(starts))
        reached = np.bincount(
            np.concatenate([(base + side)[inner] for side in sides]), minlength=count
        )
        reached[starts[:-1]] += 1
        if (reached != 1).any():
            stored.refuse(f"{prefix}.left", "does not lead to each node once")
        return cls(
            starts,
            feature.astype(np.int32),
            stored.array(f"{prefix}.threshold", "u", (count,), high=255).astype(np.uint8),
            sides[0],
            sides[1],
            stored.array(f"{prefix}.values", "f", (count, outputs)).astype(np.float32),
        )


def leaf_sums(leaves: np.ndarray, nodes: int, *values: np.ndarray) -> list[np.ndarray]:
    """Sums of each of the `values` (n, L) over the rows of each of `nodes` leaves: (nodes, L)."""
    marks = sparse.csr_matrix(
        (np.ones(len(leaves), np.float32), leaves, np.arange(len(leaves) + 1)),
        shape=(len(leaves), nodes),
    )
    of_nodes = marks.T
    return [np.asarray(of_nodes @ each) for each in values]


def sketch(targets: np.ndarray, width: int, random: np.random.Generator) -> np.ndarray:
    """`targets` (n, L) projected on `width` random directions; itself where it is as narrow."""
    size = targets.shape[1]
    if size <= width:
        return targets.astype(np.float32)
    directions = random.standard_normal((size, width)).astype(np.float32) / np.sqrt(width)
    return targets.astype(np.float32) @ directions


def _some(count: int, share: float, random: np.random.Generator) -> np.ndarray:
    """A sorted random `share` of range(count), at least one of any."""
    some = min(count, max(1, round(count * share)))
    return np.sort(random.choice(count, some, replace=False)) if count else np.zeros(0, np.intp)


def _fill(tree: Tree, leaf_values: np.ndarray) -> np.ndarray:
    values = np.array(leaf_values, np.float64)
    for node in range(len(tree.feature) - 1, -1, -1):
        if tree.feature[node] >= 0:
            sides = [int(tree.left[node]), int(tree.right[node])]
            weights = np.maximum(tree.cover[sides], 1e-9)
            values[node] = weights @ values[sides] / weights.sum()
    return values


def _depth(starts: np.ndarray, feature: np.ndarray, left: np.ndarray, right: np.ndarray) -> int:
    """Steps of the longest walk from a root to a leaf."""
    base = np.repeat(starts[:-1], np.diff(starts))
    level = starts[:-1]
    for depth in range(len(feature) + 1):
        level = level[feature[level] >= 0]
        if not len(level):
            return depth
        level = np.r_[base[level] + left[level], base[level] + right[level]]
    raise AssertionError("a walk cannot be longer than the nodes")
