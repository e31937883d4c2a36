"""Which one missing attribute of an item would make its proposal surest, if somebody knew it."""

from __future__ import annotations

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


def most_helpful(model: RoutingModel, items: Prepared) -> Helpful | None:
    """Of the missing categories and numbers of one item the one that helps most; None where none
    does. What it may be is taken from the most similar past items that have it."""
    gower, now = model.gower_, float(model.confidences(items)[0])
    categories = items.codes.shape[1]
    near = gower.nearest(items, len(model.items_))[0][0]
    found: list[Helpful] = []
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
        column = model.encoder_.columns[i]
        found.append(Helpful(column, float(model.confidences(supposed).mean())))
    best = max(found, key=lambda helpful: helpful.confidence, default=None)
    return best if best and best.confidence >= now + LEAST_GAIN else None
