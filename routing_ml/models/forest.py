"""The candidate `forest`: the mean of large random trees, each grown on other rows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import numpy as np

from routing_ml.models.base import RoutingModel
from routing_ml.models.features.attributes import Prepared
from routing_ml.models.storage import Stored, prefixed
from routing_ml.models.trees.boosting import SEED
from routing_ml.models.trees.ensemble import Ensemble, Tree

TREES = 40
LEAST_TREES = 10
MIN_LEAF = 2
ROW_SHARE = 0.8
MOST_ROWS = 12_000  # of a tree: each sees others
FEATURE_SHARE = 0.5  # of the features, tried at each split with one random cut each


class Forest(RoutingModel):
    """Extremely randomised trees.

    Source: P. Geurts, D. Ernst, L. Wehenkel, "Extremely randomized trees" (2006); grown by
    scikit-learn, kept as plain arrays.
    """

    name: ClassVar[str] = "forest"

    def _learn(self, items: Sequence[Prepared], present: np.ndarray, rows: np.ndarray) -> None:
        matrix = np.vstack([self.design_.transform(part) for part in items])
        target = np.tile(present, (len(items), 1)).astype(np.float32)
        inputs = np.ascontiguousarray(matrix, np.float32)
        random = np.random.default_rng(SEED)
        some = max(1, min(MOST_ROWS, round(ROW_SHARE * len(target))))
        count = max(LEAST_TREES, round(TREES * self.effort_))
        own = [np.sort(random.choice(len(target), some, replace=False)) for _ in range(count)]

        def grow(k: int) -> tuple[Tree, np.ndarray]:
            tree, values = _grow(inputs[own[k]], target[own[k]], SEED + k)
            return tree, values / count

        with ThreadPoolExecutor(os.cpu_count()) as threads:
            trees, values = zip(*threads.map(grow, range(count)), strict=True)
        self.trees_ = Ensemble.joined(list(trees), list(values))

    def _probabilities(self, items: Prepared, matrix: np.ndarray) -> np.ndarray:
        return np.clip(self.trees_.predict(matrix), 0, 1)

    def contributions(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Exact path contributions in probability; None where the rates of a value are blended
        in."""
        if self.rates_:
            return None
        return self.trees_.contributions(matrix[0])

    def _parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {}, prefixed("forest", self.trees_.arrays())

    def _restore(self, stored: Stored) -> None:
        features, size = len(self.design_.features), len(self.operations_)
        self.trees_ = Ensemble.from_stored(stored, "forest", features, size)


def _grow(inputs: np.ndarray, present: np.ndarray, seed: int) -> tuple[Tree, np.ndarray]:
    """A tree, and the share of the rows of each node that has each operation: (nodes, L)."""
    # a quarter of a second that prediction must not wait for
    from sklearn.tree import ExtraTreeRegressor

    if not inputs.shape[1]:  # a factory without attributes: a tree without a split
        inputs = np.zeros((len(inputs), 1), np.float32)
    grown = ExtraTreeRegressor(
        min_samples_leaf=MIN_LEAF, max_features=FEATURE_SHARE, random_state=seed
    )
    nodes = grown.fit(inputs, present).tree_
    inner = nodes.children_left >= 0
    tree = Tree(
        np.where(inner, nodes.feature, -1).astype(np.int32),
        np.where(inner, np.floor(nodes.threshold), 0).astype(np.uint8),
        np.where(inner, nodes.children_left, 0).astype(np.int32),
        np.where(inner, nodes.children_right, 0).astype(np.int32),
        np.zeros(len(inner)),
        nodes.n_node_samples.astype(float),
    )
    return tree, nodes.value[:, :, 0]
