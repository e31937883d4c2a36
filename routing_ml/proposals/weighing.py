"""Weighs what a model read of an item: by how much each attribute spoke for or against an
operation, and which are named first: those without which it is another matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from routing_ml.models import Prepared, RoutingModel
from routing_ml.proposals.leaving_out import columns_of, fallen, known, saying_the_same

LONGEST_VALUE = 60  # characters of one
STRENGTHS = {"log-odds": (2.0, 0.7, 0.2), "probability": (0.25, 0.1, 0.03)}
Effects = Mapping[tuple[str, str], np.ndarray]
Falls = Mapping[str, tuple[np.ndarray, np.ndarray, tuple[str, ...]]]


@dataclass(frozen=True)
class Reason:
    """An attribute and its `effect` on an operation: positive for, negative against it. `fall`: by
    how much less likely the operation is without it, and without those that say the `same`, by
    which its gap would be filled; 0 where that was not asked."""

    words: str
    attribute: str
    effect: float
    fall: float = 0.0
    same: tuple[str, ...] = ()

    def told(self, unit: str) -> float:
        """How much it speaks for the operation: what is measured by taking it back, where that is
        anything, else its share in what it does with others."""
        return self.fall if self.is_measured(unit) else self.effect

    def is_measured(self, unit: str) -> bool:
        """Whether the operation depends on it."""
        return abs(self.fall) >= STRENGTHS[unit][2]

    def in_full(self) -> str:
        """The words, with what says the same."""
        return f"{self.words}, as {', '.join(self.same)} say too" if self.same else self.words


@dataclass(frozen=True)
class Read:
    """What the model read of an item: its effects, and the falls without it and without it and
    those that say the `same`, (L,) each."""

    words: str
    attribute: str
    effect: np.ndarray
    alone: np.ndarray
    together: np.ndarray
    same: tuple[str, ...]

    def reason(self, k: int, unit: str) -> Reason:
        """Of operation `k`. Others are named only where it takes them to tell."""
        effect, alone, together = float(self.effect[k]), float(self.alone[k]), self.together[k]
        reason = Reason(self.words, self.attribute, effect, alone)
        if self.same and not reason.is_measured(unit) and together * effect > 0:
            return replace(reason, fall=float(together), same=self.same)
        return reason


def read_of(
    model: RoutingModel,
    row: pd.DataFrame,
    items: Prepared,
    likely: np.ndarray,
    effects: Effects,
    unit: str,
) -> list[Read]:
    """All that was read of an item (a frame of one row, and prepared), by the effects of
    (attribute, words); also of an attribute that is read for others alone, whose gaps it fills."""
    falls = _falls(model, row, items, likely, [name for name, _ in effects], unit)
    nothing = np.zeros(len(likely))
    found = [
        Read(words, name, effect, *falls.get(name, (nothing, nothing, ())))
        for (name, words), effect in effects.items()
    ]
    for name in falls.keys() - {name for name, _ in effects}:
        value = " ".join(str(row[name].iloc[0]).split())[:LONGEST_VALUE]
        found.append(Read(f"{name} is {value}", name, nothing, *falls[name]))
    return found


def reasons_for(operation: int, read: list[Read], unit: str) -> list[Reason]:
    """What spoke for and against the operation of that number, what is named first first."""
    reasons = _once([one.reason(operation, unit) for one in read])
    reasons.sort(key=lambda one: (not one.is_measured(unit), -abs(one.told(unit)), one.words))
    return reasons


def _falls(
    model: RoutingModel, row: pd.DataFrame, items: Prepared, likely: np.ndarray,
    attributes: list[str], unit: str,
) -> Falls:  # fmt: skip
    """Of each attribute the falls (L,) without it, and without it and those that say the same, and
    which those are; nothing of one that the item has no value of."""
    have = known(model, row)
    sets: dict[str, tuple[str, ...]] = {name: (name,) for name in have}
    for name in attributes:
        columns = columns_of(model, name)
        if columns and set(columns) <= set(have):
            sets.setdefault(name, columns)
    same = saying_the_same(model, items, have)
    more = {f"{name} and others": (name, *others) for name, others in same.items()}
    found = fallen(model, row, likely, sets | more, unit)
    return {
        name: (found[name], found.get(f"{name} and others", found[name]), same.get(name, ()))
        for name in sets
    }


def _once(reasons: list[Reason]) -> list[Reason]:
    """Those that say anything; what was measured of an attribute with the words of it that count
    most, and not with each."""
    first: dict[str, Reason] = {}
    for one in sorted(reasons, key=lambda reason: -reason.effect * np.sign(reason.fall)):
        first.setdefault(one.attribute, one)
    each = [
        one if first[one.attribute] is one else replace(one, fall=0.0, same=()) for one in reasons
    ]
    return [one for one in each if one.effect or one.fall]
