"""The candidate `boosted`: gradient-boosted trees that decide all operations at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np

from routing_ml.models.base import RoutingModel
from routing_ml.models.features.attributes import Prepared
from routing_ml.models.ground import Ground
from routing_ml.models.storage import Stored, prefixed
from routing_ml.models.trees.boosting import Plan, boost_flags, sigmoid
from routing_ml.models.trees.ensemble import Ensemble, Shape

PLAN = Plan(trees=300, rate=0.2, shape=Shape(leaves=10, min_leaf=5), sketch=16)
FASTER = Plan(trees=150, rate=0.4, shape=Shape(leaves=10, min_leaf=5), sketch=16)
FASTER_FROM = 10_000  # items from which faster is as good: of few items it costs half a point
COPY_WEIGHT = 0.5  # of a copy with columns left out, beside the complete item
SHARES = (1 / 30, 1 / 15, 2 / 15, 4 / 15, 8 / 15, 1.0)  # of the trees, one for each operation


class Boosted(RoutingModel):
    """Newton boosting of the log loss of every operation, one tree for all at each step."""

    name: ClassVar[str] = "boosted"
    effect_unit: ClassVar[str] = "log-odds"
    share_: np.ndarray

    def _learn(self, items: Sequence[Prepared], present: np.ndarray, rows: np.ndarray) -> None:
        matrix = np.vstack([self.design_.transform(part) for part in items])
        share = getattr(self, "share_", np.ones(present.shape[1]))
        full = PLAN if len(present) <= FASTER_FROM else FASTER
        trees = max(1, round(full.trees * self.effort_ * share.max()))
        sums = math.ceil(full.sketch * min(1, 2 * self.effort_))  # trials say the same of fewer
        plan = replace(full, trees=trees, rate=full.rate / self.effort_, sketch=sums)
        flags = np.tile(present, (len(items), 1))
        weight = np.full(len(flags), COPY_WEIGHT, np.float32)
        weight[: len(present)] = 1
        self.base_, found = boost_flags(matrix, self.design_.bins, flags, plan, weight)
        self.trees_ = found.until(np.ceil(trees * share / share.max()))

    def _settle(
        self, others: Sequence[Self], held: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> None:
        """Of each operation the share of the trees that had the least loss: few where there is
        little to learn, or where planners choose freely."""
        losses = np.zeros((len(SHARES), len(self.operations_)))
        for other, (matrix, present) in zip(others, held, strict=True):
            for i, share in enumerate(SHARES):
                odds = other.base_ + other.trees_.first(
                    math.ceil(other.trees_.count * share)
                ).predict(matrix)
                losses[i] += np.logaddexp(0, np.where(present, -odds, odds)).sum(axis=0)
        self.share_ = np.array(SHARES)[losses.argmin(axis=0)]
        for other in others:
            other.trees_ = other.trees_.until(np.ceil(other.trees_.count * self.share_))

    def _take(self, like: Self, ground: Ground) -> None:
        super()._take(like, ground)
        shares = getattr(like, "share_", np.ones(len(like.operations_)))  # one that was loaded
        theirs = dict(zip(like.operations_, shares.tolist(), strict=True))
        self.share_ = np.array([theirs.get(operation, 1.0) for operation in self.operations_])

    def _probabilities(self, items: Prepared, matrix: np.ndarray) -> np.ndarray:
        # exactly enough that an item alone gets the confidence that it gets among others
        return sigmoid((self.base_ + self.trees_.predict(matrix)).astype(np.float64))

    def contributions(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Exact path contributions in log-odds; None where the rates of a value are blended in."""
        if self.rates_:
            return None
        start, found = self.trees_.contributions(matrix[0])
        return self.base_ + start, found

    def _parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {}, {"boosted.base": self.base_, **prefixed("boosted", self.trees_.arrays())}

    def _restore(self, stored: Stored) -> None:
        size = len(self.operations_)
        self.base_ = stored.array("boosted.base", "f", (size,))
        self.trees_ = Ensemble.from_stored(stored, "boosted", len(self.design_.features), size)
