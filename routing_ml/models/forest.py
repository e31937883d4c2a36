"""The candidate `forest`: the mean of large trees, each grown on other rows and features."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from routing_ml.models.attributes import Prepared
from routing_ml.models.base import RoutingModel
from routing_ml.models.boosting import MAX_ROWS, SEED, SKETCH
from routing_ml.models.operations import Rows
from routing_ml.models.storage import Stored, prefixed
from routing_ml.models.trees import Ensemble, Grower, Shape, leaf_sums, sketch

TREES = 30
SHAPE = Shape(leaves=256, min_leaf=2, shrink=0.1)
ROW_SHARE = 0.7
FEATURE_SHARE = 0.5


class Forest(RoutingModel):
    """Votes of the leaves' operations. Rows a tree was not grown on calibrate the confidence."""

    name: ClassVar[str] = "forest"

    def _fit_operations(self, items: Prepared, matrix: np.ndarray, rows: Rows) -> np.ndarray:
        present = rows.present.astype(np.float32)
        count = len(present)
        random = np.random.default_rng(SEED)
        grower = Grower(matrix, self.design_.bins, SHAPE)
        centred = present - present.mean(axis=0)
        votes, voters = np.zeros(present.shape, np.float32), np.zeros((count, 1), np.float32)
        trees, values = [], []
        some = max(1, min(MAX_ROWS, round(ROW_SHARE * count)))
        for _ in range(TREES):
            own = np.sort(random.choice(count, some, replace=False))
            tree = grower.grow(sketch(centred, SKETCH, random), own, FEATURE_SHARE, random)
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
