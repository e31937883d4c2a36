"""Which one missing attribute of an item would make its proposal surest, if somebody knew it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from routing_ml.models import ABSENT, GIVEN, Prepared, RoutingModel

SUPPOSED = 12  # most similar past items whose values are supposed
LEAST_GAIN = 0.02  # of the confidence: less is not worth asking for


@dataclass(frozen=True)
class Helpful:
    """A missing attribute, and the confidence that is to be expected once it is known."""

    attribute: str
    confidence: float


def worth_asking(
    model: RoutingModel, items: Prepared, near: np.ndarray
) -> list[tuple[str, Prepared]]:
    """The missing categories and numbers of one item that tell, each with the item as it may be:
    with the values of the past items most similar to it that have one, of all from `near` to far
    (n,)."""
    gower, categories = model.gower_, items.codes.shape[1]
    found = []
    told = gower.weights[: categories + items.numbers.shape[1]] > 0
    for i in np.flatnonzero((items.states[0, : len(told)] == ABSENT) & told).tolist():
        at = i if i < categories else i - categories
        values = (gower.codes if i < categories else gower.numbers)[near, at]
        values = values[values >= 0 if i < categories else ~np.isnan(values)][:SUPPOSED]
        if not len(values):
            continue
        if i < categories:
            supposed = model.encoder_.supposing(items, at, values.astype(np.int64))
        else:
            supposed = items.repeat(len(values))
            supposed.states[:, i] = GIVEN
            supposed.numbers[:, at] = values
        found.append((model.encoder_.columns[i], supposed))
    return found


def most_helpful(now: float, asked: Sequence[tuple[str, np.ndarray]]) -> Helpful | None:
    """The attribute that helps most, of those that may be asked for with the confidences that come
    of it, (m,) each; None where none does more than what is known `now`."""
    found = [Helpful(attribute, float(likely.mean())) for attribute, likely in asked]
    best = max(found, key=lambda helpful: helpful.confidence, default=None)
    return best if best and best.confidence >= now + LEAST_GAIN else None
