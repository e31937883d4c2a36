"""The candidate `boosted`: gradient-boosted trees that decide all operations at once."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from routing_ml.models.base import RoutingModel
from routing_ml.models.features.attributes import Prepared
from routing_ml.models.parts.operations import Rows
from routing_ml.models.storage import Stored, prefixed
from routing_ml.models.trees.boosting import SEED, Plan, boost_flags, sigmoid
from routing_ml.models.trees.ensemble import Ensemble, Shape

PLAN = Plan(trees=150, rate=0.2, shape=Shape(leaves=10, min_leaf=5))
FOLDS = ((10_000, 3),)  # up to so many items, so many folds; two beyond


class Boosted(RoutingModel):
    """Newton boosting of the log loss of every operation, one tree for all at each step."""

    name: ClassVar[str] = "boosted"
    effect_unit: ClassVar[str] = "log-odds"

    def _fit_operations(self, items: Prepared, matrix: np.ndarray, rows: Rows) -> np.ndarray:
        present, bins = rows.present, self.design_.bins
        self.base_, self.trees_ = boost_flags(matrix, bins, present, PLAN)
        unseen = np.full(present.shape, np.nan, np.float32)
        folds = next((folds for most, folds in FOLDS if len(present) <= most), 2)
        fold = np.random.default_rng(SEED).permutation(len(present)) % folds
        for k in range(folds):
            base, trees = boost_flags(matrix[fold != k], bins, present[fold != k], PLAN)
            unseen[fold == k] = sigmoid(base + trees.predict(matrix[fold == k]))
        return unseen

    def _probabilities(self, items: Prepared, matrix: np.ndarray) -> np.ndarray:
        return sigmoid(self.base_ + self.trees_.predict(matrix))

    def contributions(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Exact path contributions in log-odds."""
        start, found = self.trees_.contributions(matrix[0])
        return self.base_ + start, found

    def _parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {}, {"boosted.base": self.base_, **prefixed("boosted", self.trees_.arrays())}

    def _restore(self, stored: Stored) -> None:
        size = len(self.operations_)
        self.base_ = stored.array("boosted.base", "f", (size,))
        self.trees_ = Ensemble.from_stored(stored, "boosted", len(self.design_.features), size)
