"""What becomes of an operation when an attribute of the item is taken back, as if nobody had
entered it: the model is asked again, and may fill the gap by what other attributes imply.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from routing_ml.models import Prepared, RoutingModel, logit

Columns = tuple[str, ...]


def columns_of(model: RoutingModel, attribute: str) -> Columns:
    """The columns of an attribute that a reason names: its own, or the two of a ratio or of a
    difference; none of one that is not known."""
    columns = {one.name: one.column for one in model.encoder_.numbers}
    columns |= {name: name for name in model.encoder_.columns}
    if attribute in columns:
        return (columns[attribute],)
    for sign in (" / ", " - "):
        pair = [columns.get(name) for name in attribute.split(sign)]
        if len(pair) == 2 and all(pair):
            return tuple(map(str, pair))
    return ()


def known(model: RoutingModel, row: pd.DataFrame) -> list[str]:
    """The columns that the model reads and the item (a frame of one row) has a value of."""
    there = [name for name in dict.fromkeys(model.encoder_.columns) if name in row]
    return [name for name in there if not _is_empty(row[name].iloc[0])]


def saying_the_same(model: RoutingModel, items: Prepared, have: list[str]) -> dict[str, Columns]:
    """For each attribute of an item the known ones by which the model would fill its gap with the
    same value, where there are any."""
    categories, found = model.encoder_.categories, {}
    for i, category in enumerate(categories):
        names = dict.fromkeys(
            categories[other].column
            for other, values in category.fills
            if items.codes[0, other] >= 0
            and categories[other].column in have
            and values[items.codes[0, other]] == items.codes[0, i]
        )
        names.pop(category.column, None)
        if names and items.codes[0, i] >= 0 and category.column in have:
            found[category.column] = tuple(names)
    return found


def fallen(
    model: RoutingModel,
    row: pd.DataFrame,
    likely: np.ndarray,
    sets: Mapping[str, Columns],
    unit: str,
) -> dict[str, np.ndarray]:
    """By how much less likely each operation is (from `likely`, (L,)) without each of the sets of
    columns, all of which the item (a frame of one row) has, in one go; in log-odds or as a
    probability (`unit`): (L,) by the name of the set."""
    if not sets:
        return {}
    rows = pd.DataFrame(
        {
            name: _repeated(row[name].iloc[0], np.array([name in of for of in sets.values()]))
            for name in known(model, row)
        },
        copy=False,
    )
    without = model.likelihoods(model.encoder_.transform(rows))
    change = logit(likely) - logit(without) if unit == "log-odds" else likely - without
    return dict(zip(sets, change, strict=True))


def _repeated(value: Any, empty: np.ndarray) -> np.ndarray:
    """A value so many times, but nothing where it is to be `empty`."""
    if isinstance(value, float):
        return np.where(empty, np.nan, value)
    found = np.full(len(empty), None, object)
    for at in np.flatnonzero(~empty).tolist():  # one by one: it may be a list
        found[at] = value
    return found


def _is_empty(value: Any) -> bool:
    if not pd.api.types.is_scalar(value):
        return False  # a list, as JSON may hold
    return bool(pd.isna(value)) or value == ""
