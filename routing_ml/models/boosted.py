"""The candidate `boosted`: gradient-boosted trees that decide all operations at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np

from routing_ml.models.base import RoutingModel
from routing_ml.models.features.attributes import Prepared
from routing_ml.models.storage import Stored, prefixed
from routing_ml.models.trees.boosting import Plan, boost_flags, sigmoid
from routing_ml.models.trees.ensemble import Ensemble, Shape

PLAN = Plan(trees=150, rate=0.4, shape=Shape(leaves=10, min_leaf=5))
QUICK_ROUNDS = 75
ROUNDS = (5, 10, 20, 40, 80, PLAN.trees)


class Boosted(RoutingModel):
    """Newton boosting of the log loss of every operation, one tree for all at each step."""

    name: ClassVar[str] = "boosted"
    effect_unit: ClassVar[str] = "log-odds"
    rounds_: int = PLAN.trees

    def _learn(self, items: Sequence[Prepared], present: np.ndarray, rows: np.ndarray) -> None:
        matrix = np.vstack([self.design_.transform(part) for part in items])
        plan = replace(PLAN, trees=self.rounds_)
        if self.quick_ and self.rounds_ > QUICK_ROUNDS:
            rate = PLAN.rate * self.rounds_ / QUICK_ROUNDS
            plan = replace(PLAN, trees=QUICK_ROUNDS, rate=rate)
        self.base_, self.trees_ = boost_flags(
            matrix, self.design_.bins, np.tile(present, (len(items), 1)), plan
        )

    def _settle(
        self, others: Sequence[Self], held: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> None:
        """As many trees as had the least loss: few where there is little to learn."""
        losses = np.zeros(len(ROUNDS))
        for other, (matrix, present) in zip(others, held, strict=True):
            for i, rounds in enumerate(ROUNDS):
                odds = other.base_ + other.trees_.first(rounds).predict(matrix)
                losses[i] += np.logaddexp(0, np.where(present, -odds, odds)).sum()
        self.rounds_ = ROUNDS[int(losses.argmin())]
        for other in others:
            other.trees_ = other.trees_.first(self.rounds_)

    def _take(self, like: Self) -> None:
        super()._take(like)
        self.rounds_ = like.rounds_

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
