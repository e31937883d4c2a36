"""What becomes of an operation if one of the things that are said of an item were not said, or were
otherwise: a word or a category of a text hidden, a word said that is not, another number.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from routing_ml.models import Feature, Prepared, RoutingModel
from routing_ml.proposals.reasons import Effects, Key, describe, hide_each

OTHER_NUMBERS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Quantiles of the past items' numbers, each of which it is supposed to be: one that is missing
alone looks to a model as if nobody had entered the whole text."""


def otherwise(
    model: RoutingModel, items: Prepared, effects: Effects, slight: float
) -> list[tuple[Key, Prepared]]:
    """One item (prepared) as it may be without, or with another of, each thing that is said of it:
    (attribute, words) -> one or more items; of a word that it does not say, where that has at least
    a `slight` effect."""
    encoder = model.encoder_
    numbers, categories = (
        {one.name for one in encoder.numbers},
        {one.column for one in encoder.categories},
    )
    found = [(key, other) for key, other in hide_each(model, items) if key[0] not in numbers]
    for i in np.flatnonzero(~np.isnan(items.numbers[0])).tolist():
        if encoder.numbers[i].name in categories:
            continue  # of few values: the category would contradict it
        values = np.nanquantile(model.gower_.numbers[:, i].astype(float), OTHER_NUMBERS)
        other = items.repeat(len(values))
        other.numbers[:, i] = values
        found.append((describe(model, Feature("number", i), items), other))
    for feature in model.design_.features:
        if feature.kind == "says" and not items.words[0, feature.a]:
            key = describe(model, feature, items)
            if key in effects and np.abs(effects[key]).max() >= slight:
                marks = items.words.copy()
                marks[0, feature.a] = 1
                found.append((key, replace(items, words=marks)))
    return found
