"""What becomes of an operation when something of the item is taken back, as if nobody had entered
it: the model is asked again, and may fill the gap by what other attributes imply.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from routing_ml.models import Prepared, RoutingModel, logit

ALIKE = 0.01  # of a number that is written in a text too


def columns_of(model: RoutingModel, attribute: str) -> tuple[str, ...]:
    """The columns of an attribute that a reason names: its own, or the two of a ratio or of a
    difference; none of one that is not known."""
    return tuple(column_of(model, part) for part in parts_of(model, attribute))


def parts_of(model: RoutingModel, attribute: str) -> tuple[str, ...]:
    """The attribute itself, or the two of a ratio or of a difference."""
    if column_of(model, attribute):
        return (attribute,)
    for sign in (" / ", " - "):
        pair = tuple(attribute.split(sign))
        if len(pair) == 2 and all(column_of(model, name) for name in pair):
            return pair
    return ()


def column_of(model: RoutingModel, attribute: str) -> str:
    """The column that an attribute is read from, empty where it is not known."""
    numbers = {one.name: one.column for one in model.encoder_.numbers}
    return numbers.get(attribute, attribute if attribute in model.encoder_.columns else "")


def known(model: RoutingModel, row: pd.DataFrame) -> list[str]:
    """The columns that the model reads and the item (a frame of one row) has a value of."""
    cells = row.to_dict("records")[0]
    columns = dict.fromkeys(model.encoder_.columns)
    return [name for name in columns if name in cells and not _is_empty(cells[name])]


def saying_the_same(
    model: RoutingModel, row: pd.DataFrame, items: Prepared, have: list[str]
) -> dict[str, tuple[str, ...]]:
    """For each column of an item (a frame of one row, and prepared) the known ones by which the
    model would fill its gap with the same value, where there are any."""
    encoder, found = model.encoder_, dict[str, tuple[str, ...]]()
    from_texts = encoder.taken_from_texts(row)
    written = {
        i: number.fallback[0]
        for i, number in enumerate(encoder.numbers)
        if number.fallback and number.fallback[0] in have and number.name not in from_texts
    }
    if written:
        columns = {i: encoder.numbers[i].column for i in written}
        filled = encoder.without(row, [set(columns.values())]).numbers[0]
        for i, text in written.items():
            if np.isclose(filled[i], items.numbers[0, i], rtol=ALIKE):
                found[columns[i]] = (text,)
    for i, category in enumerate(encoder.categories):
        names = dict.fromkeys(
            encoder.categories[other].column
            for other, values in category.fills
            if items.codes[0, other] >= 0
            and encoder.categories[other].column in have
            and values[items.codes[0, other]] == items.codes[0, i]
        )
        names.pop(category.column, None)
        if names and items.codes[0, i] >= 0 and category.column in have:
            found[category.column] = tuple(names)
    return found


def fallen(
    model: RoutingModel, items: Prepared, others: Prepared, unit: str
) -> tuple[np.ndarray, np.ndarray]:
    """By how much less likely each operation of one item is as each of the `others`, (m, L) twice:
    by the model's own word, in log-odds or as a probability (`unit`), and as is stated.

    What is stated is less certain with each gap, also of what the model does not go by: on the
    sample a fifth of the reasons were none by the model's own word.
    """
    own, then = model.likely(items), model.likely(others)
    stated = model.likelihoods(items)
    change = logit(own) - logit(then) if unit == "log-odds" else own - then
    return change, stated - model.confidence_.likelihoods(then, model.given(others))


def _is_empty(value: Any) -> bool:
    if not pd.api.types.is_scalar(value):
        return False  # a list, as JSON may hold
    return bool(pd.isna(value)) or value == ""
