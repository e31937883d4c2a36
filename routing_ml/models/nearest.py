"""The candidate `nearest`: the most similar past items vote on each operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from routing_ml.models.base import RoutingModel
from routing_ml.models.features.attributes import Prepared
from routing_ml.models.storage import Stored

NEIGHBOURS = 10
SHARPNESS = 20.0  # a vote weighs exp(SHARPNESS * (similarity - the best similarity))


class Nearest(RoutingModel):
    """Votes of the ten most similar items, weighted by how similar each is."""

    name: ClassVar[str] = "nearest"
    learns_copies: ClassVar[bool] = False

    def _learn(self, items: Sequence[Prepared], present: np.ndarray, rows: np.ndarray) -> None:
        self.among_, self.present_ = self.gower_.only(rows), present.astype(np.float32)

    def _probabilities(self, items: Prepared, matrix: np.ndarray) -> np.ndarray:
        return self._vote(*self.among_.nearest(items, NEIGHBOURS))

    def _vote(self, near: np.ndarray, scores: np.ndarray) -> np.ndarray:
        weights = np.exp(SHARPNESS * (scores - scores.max(axis=1, keepdims=True)))
        weights = weights / weights.sum(axis=1, keepdims=True)
        return np.einsum("mk,mkl->ml", weights, self.present_[near])

    def _parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        now = self.present_.astype(np.uint8)  # past routings may have been brought up to date
        return {}, {} if (now == self._made()).all() else {"nearest.now": now}

    def _restore(self, stored: Stored) -> None:
        self.among_, made = self.gower_, self._made()
        if stored.has("nearest.now"):
            made = stored.array("nearest.now", "u", made.shape, high=1)
        self.present_ = made.astype(np.float32)

    def _made(self) -> np.ndarray:
        """(n, L) which operations the fitted items were made by."""
        made = np.zeros((len(self.items_), len(self.operations_)), np.uint8)
        lengths = np.diff(self.past_.starts)
        made[np.repeat(np.arange(len(self.items_)), lengths), self.past_.operations] = 1
        return made
