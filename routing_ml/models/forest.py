"""The candidate `forest`: the mean of large random trees, each grown on other rows."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from routing_ml.models.base import RoutingModel
from routing_ml.models.features.attributes import Prepared
from routing_ml.models.parts.operations import Rows
from routing_ml.models.storage import Stored, prefixed
from routing_ml.models.trees.boosting import MAX_ROWS, SEED
from routing_ml.models.trees.ensemble import Ensemble, Tree, leaf_sums

TREES = 40
MIN_LEAF = 2
ROW_SHARE = 0.8
FEATURE_SHARE = 0.5  # of the features, tried at each split with one random cut each


class Forest(RoutingModel):
    """Extremely randomised trees. Rows a tree was not grown on calibrate the confidence.

    Source: P. Geurts, D. Ernst, L. Wehenkel, "Extremely randomized trees" (2006); grown by
    scikit-learn, kept as plain arrays.
    """

    name: ClassVar[str] = "forest"

    def _fit_operations(self, items: Prepared, matrix: np.ndarray, rows: Rows) -> np.ndarray:
        present = rows.present.astype(np.float32)
        count = len(present)
        random = np.random.default_rng(SEED)
        inputs = np.ascontiguousarray(matrix, np.float32)
        votes, voters = np.zeros(present.shape, np.float32), np.zeros((count, 1), np.float32)
        trees, values = [], []
        some = max(1, min(MAX_ROWS, round(ROW_SHARE * count)))
        for k in range(TREES):
            own = np.sort(random.choice(count, some, replace=False))
            tree = _grow(inputs[own], present[own], SEED + k)
            leaves, nodes = tree.leaves(matrix), len(tree.feature)
            size = np.maximum(1, np.bincount(leaves[own], minlength=nodes))[:, None]
            mean = leaf_sums(leaves[own], nodes, present[own]) / size
            others = np.setdiff1d(np.arange(count), own)
            votes[others] += mean[leaves[others]]
            voters[others] += 1
            trees.append(tree)
            values.append(mean / TREES)
        self.trees_ = Ensemble.of(trees, values)
        return np.where(voters > 0, votes / np.maximum(voters, 1), np.nan)

    def _probabilities(self, items: Prepared, matrix: np.ndarray) -> np.ndarray:
        return np.clip(self.trees_.predict(matrix), 0, 1)

    def contributions(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Exact path contributions in probability."""
        return self.trees_.contributions(matrix[0])

    def _parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {}, prefixed("forest", self.trees_.arrays())

    def _restore(self, stored: Stored) -> None:
        features, size = len(self.design_.features), len(self.operations_)
        self.trees_ = Ensemble.from_stored(stored, "forest", features, size)


def _grow(inputs: np.ndarray, present: np.ndarray, seed: int) -> Tree:
    # a quarter of a second that prediction must not wait for
    from sklearn.tree import ExtraTreeRegressor

    if not inputs.shape[1]:  # a factory without attributes: a tree without a split
        inputs = np.zeros((len(inputs), 1), np.float32)
    grown = ExtraTreeRegressor(
        min_samples_leaf=MIN_LEAF, max_features=FEATURE_SHARE, random_state=seed
    )
    nodes = grown.fit(inputs, present).tree_
    inner = nodes.children_left >= 0
    return Tree(
        np.where(inner, nodes.feature, -1).astype(np.int32),
        np.where(inner, np.floor(nodes.threshold), 0).astype(np.uint8),
        np.where(inner, nodes.children_left, 0).astype(np.int32),
        np.where(inner, nodes.children_right, 0).astype(np.int32),
        np.zeros(len(inner)),
        nodes.n_node_samples.astype(float),
    )
