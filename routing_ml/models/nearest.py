"""The candidate `nearest`: the most similar past items vote on each operation."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from routing_ml.models.base import RoutingModel
from routing_ml.models.features.attributes import Prepared
from routing_ml.models.parts.operations import Rows
from routing_ml.models.storage import Stored

NEIGHBOURS = 10
SHARPNESS = 20.0  # a vote weighs exp(SHARPNESS * (similarity - the best similarity))
CALIBRATION_ITEMS = 2_000


class Nearest(RoutingModel):
    """Votes of the ten most similar items, weighted by how similar each is."""

    name: ClassVar[str] = "nearest"

    def _fit_operations(self, items: Prepared, matrix: np.ndarray, rows: Rows) -> np.ndarray:
        self._mark_present()
        unseen = np.full(self.present_.shape, np.nan)
        count = len(self.present_)
        at = np.unique(np.linspace(0, count - 1, min(count, CALIBRATION_ITEMS)).astype(int))
        some = items.at(at)
        near, scores = self.gower_.nearest(some, NEIGHBOURS + 1)
        scores = np.where(near == at[:, None], -np.inf, scores)
        unseen[at] = self._vote(near, scores)
        return unseen

    def _probabilities(self, items: Prepared, matrix: np.ndarray) -> np.ndarray:
        return self._vote(*self.gower_.nearest(items, NEIGHBOURS))

    def _vote(self, near: np.ndarray, scores: np.ndarray) -> np.ndarray:
        weights = np.exp(SHARPNESS * (scores - scores.max(axis=1, keepdims=True)))
        weights = weights / weights.sum(axis=1, keepdims=True)
        return np.einsum("mk,mkl->ml", weights, self.present_[near])

    def _mark_present(self) -> None:
        starts, steps = self.routings_
        self.present_ = np.zeros((len(self.items_), len(self.operations_)), np.float32)
        self.present_[np.repeat(np.arange(len(self.items_)), np.diff(starts)), steps] = 1

    def _parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {}, {}

    def _restore(self, stored: Stored) -> None:
        self._mark_present()
