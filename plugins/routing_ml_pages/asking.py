"""The item that is asked about: as the ERP has it, with attributes changed, or typed in whole."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from routing_ml.models import RoutingModel
from routing_ml.proposals import typed_in
from routing_ml.settings import Settings
from routing_ml.source import Columns

SET = "set."
"""What the name of a form's field begins with that sets an attribute."""
FIRST = 12
"""Fields of a form that are shown at once, those that tell most."""
MOST_CHOICES = 40
LONGEST = 20_000  # characters of a value


@dataclass(frozen=True)
class Attribute:
    """A column that the model reads: its value as text, '' where there is none, and the values that
    past items have, the commonest first, where they are few."""

    name: str
    value: str
    number: bool
    choices: list[str]


@dataclass(frozen=True)
class Changed:
    """An attribute that was set, as text before and after."""

    name: str
    before: str
    after: str


def set_in(query: Mapping[str, str]) -> dict[str, str]:
    """The attributes that a form sets, by column."""
    return {
        name.removeprefix(SET): value[:LONGEST].strip()
        for name, value in query.items()
        if name.startswith(SET) and name != SET
    }


def asked(query: Mapping[str, str]) -> dict[str, str]:
    """The same where a form sets one that is chosen from a list (`attribute`, `value`) too."""
    found = set_in(query)
    if chosen := query.get("attribute"):
        found[chosen] = query.get("value", "")[:LONGEST].strip()
    return found


def changed(
    settings: Settings, model: RoutingModel, item: Mapping[str, Any], given: Mapping[str, str]
) -> tuple[dict[str, Any], list[Changed]]:
    """The item with the attributes that were typed, and what is another now; InputError as of
    `typed_in`."""
    columns = Columns.load(settings.columns.get("default"))
    row, changes = dict(item), []
    attributes = {name: value for name, value in given.items() if name != "ITEM_CD"}
    for name, value in typed_in(attributes, columns, model).items():
        before, after = as_text(item.get(name)), as_text(value)
        if before != after:
            row[name] = value
            changes.append(Changed(name, before, after))
    return row, changes


def attributes(model: RoutingModel, item: Mapping[str, Any]) -> list[Attribute]:
    """What the model reads of an item, the most telling first."""
    encoder = model.encoder_
    weights: dict[str, float] = {}
    for column, weight in zip(encoder.columns, model.telling_.tolist(), strict=True):
        weights[column] = max(weights.get(column, 0.0), weight)
    choices = {one.column: one.values for one in encoder.categories}
    numbers = {one.column for one in encoder.numbers if one.kind == "value"}
    order = sorted(weights, key=lambda column: -weights[column])
    return [
        Attribute(
            name=column,
            value=as_text(item.get(column)),
            number=column in numbers,
            choices=choices.get(column, [])[:MOST_CHOICES],
        )
        for column in order
        if weights[column] > 0
    ]


def as_text(value: Any) -> str:
    """A value of an item as a form shows it.

    >>> as_text(50.0), as_text(float("nan")), as_text(None), as_text(" x ")
    ('50', '', '', 'x')
    """
    if value is None or value != value:  # NaN and NaT are not themselves
        return ""
    if isinstance(value, float):
        return f"{value:.12g}" if math.isfinite(value) else ""
    if hasattr(value, "isoformat"):
        return str(value.isoformat())[:10]
    return str(value).strip()
