"""Weighs what a model read of an item: by how much each attribute spoke for or against an
operation, measured by taking it back, and which are named first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from routing_ml.models import Prepared, RoutingModel
from routing_ml.proposals.leaving_out import (
    column_of,
    fallen,
    known,
    parts_of,
    saying_the_same,
    without,
)
from routing_ml.proposals.reasons import Effects, Key, lacks
from routing_ml.proposals.supposing import otherwise

LONGEST_VALUE = 60  # characters of one
STRENGTHS = {"log-odds": (2.0, 0.7, 0.2), "probability": (0.25, 0.1, 0.03)}
LEAST_SHARE = 0.4  # of the largest fall of an operation: noise moves a model a little too
FIRST_SHARE = 0.5  # of the largest fall, from which what tells alone is named before it


@dataclass(frozen=True)
class Reason:
    """An attribute and its `effect` on an operation: positive for, negative against it. `fall`: by
    how much less likely the operation is without it, and without those that say the `same`, by
    which its gap would be filled; 0 where it does not depend on it. `stated`: by how much what is
    stated of the operation falls without the attribute alone."""

    words: str
    attribute: str
    effect: float
    fall: float = 0.0
    same: tuple[str, ...] = ()
    stated: float = 0.0

    def in_full(self) -> str:
        """The words, with what says the same."""
        return f"{self.words}, as {', '.join(self.same)} say too" if self.same else self.words

    @property
    def tells_alone(self) -> bool:
        """Whether a person sees the operation change who takes back this attribute alone."""
        return self.stated * self.fall > 0


@dataclass(frozen=True)
class Column:
    """What becomes of the operations, (L,) each, without a column of the item: how far each falls
    by the model's own word (`alone`); how far without those that say the `same` too, and no more
    than it falls further than without those (`beyond`); how far what is `stated` falls. `keys`:
    what is said of it, of a number one thing."""

    alone: np.ndarray
    beyond: np.ndarray
    stated: np.ndarray
    same: tuple[str, ...]
    keys: tuple[Key, ...]
    is_number: bool

    def fall(self, k: int, slight: float) -> tuple[float, tuple[str, ...]]:
        """Of operation `k`. Others are named only where it takes them to tell."""
        alone, beyond = float(self.alone[k]), float(self.beyond[k])
        return (beyond, self.same) if abs(alone) < slight <= abs(beyond) else (alone, ())


@dataclass(frozen=True)
class Read:
    """What a model read of an item. `supposed`: how far each operation falls, (L,), where a thing
    that is said is not, or is otherwise. `pairs`: the two of a ratio or of a difference."""

    effects: Effects
    columns: Mapping[str, Column]
    supposed: Effects
    pairs: Mapping[Key, tuple[str, ...]]
    unit: str


def read_of(
    model: RoutingModel, row: pd.DataFrame, items: Prepared, effects: Effects, unit: str
) -> Read:
    """All that was read of an item (a frame of one row, and prepared), by the effects of
    (attribute, words); also of an attribute that is read for others alone, whose gaps it fills."""
    have = known(model, row)
    effects, of_column = dict(effects), {name: list[Key]() for name in have}
    for key in effects:
        column = _column_of(model, key[0], have)
        if column in of_column and not lacks(key):  # what is not said is not taken back
            of_column[column].append(key)
    for name in have:
        if not of_column[name]:
            value = " ".join(str(row[name].iloc[0]).split())[:LONGEST_VALUE]
            of_column[name].append((name, f"{name} is {value}"))
            effects[of_column[name][0]] = np.zeros(len(model.operations_))
    same = saying_the_same(model, row, items, have)
    sets = [frozenset([name]) for name in have]
    sets += [frozenset([name, *others]) for name, others in same.items()]
    sets += [frozenset(others) for others in same.values()]
    sets = list(dict.fromkeys(sets))
    if not sets:
        return Read(effects, {}, {}, {}, unit)
    several = {key for keys in of_column.values() if len(keys) > 1 for key in keys}
    parts = [
        (key, other)
        for key, other in otherwise(model, items, effects, STRENGTHS[unit][2])
        if key in several or lacks(key) or len(other.codes) > 1
    ]
    others = Prepared.joined([without(model, row, sets), *(other for _, other in parts)])
    own, stated = fallen(model, items, others, unit)
    at = {one: i for i, one in enumerate(sets)}
    numbers = {key[0] for key, other in parts if len(other.codes) > 1}
    columns = {}
    for name in have:
        i, group = at[frozenset([name])], same.get(name, ())
        together = own[at[frozenset([name, *group])]]
        beyond = together - own[at[frozenset(group)]] if group else together
        beyond = np.where(beyond * together > 0, np.sign(beyond), 0) * np.minimum(
            np.abs(beyond), np.abs(together)
        )
        columns[name] = Column(
            own[i], beyond, stated[i], group, tuple(of_column[name]), name in numbers
        )
    ends = np.cumsum([len(sets), *(len(other.codes) for _, other in parts)]).tolist()
    supposed = {
        key: own[start:end].mean(axis=0)
        for (key, _), start, end in zip(parts, ends, ends[1:], strict=False)
    }
    pairs = {key: found for key in effects if len(found := parts_of(model, key[0])) == 2}
    return Read(effects, columns, supposed, pairs, unit)


def reasons_for(k: int, read: Read) -> list[Reason]:
    """What spoke for and against operation `k`: first what it depends on, of which first what
    tells alone, then what tells with others that say the same, and last in favour what is not said,
    which nobody can take back; then the rest, without a `fall`."""
    found = _weighed(k, read)
    most = max((abs(one.fall) for one in found), default=0.0)
    found.sort(
        key=lambda one: (
            one.fall > 0 and lacks((one.attribute, one.words)),
            not (one.tells_alone and abs(one.fall) >= FIRST_SHARE * most),
            -round(abs(one.fall), 6),
            -one.effect * np.sign(one.fall),
            one.words,
        )
    )
    least = max(STRENGTHS[read.unit][2], LEAST_SHARE * most)
    named, rest = list[Reason](), list[Reason]()
    for one in found:
        told = abs(one.fall) >= least and not any(_says_the_same(one, other) for other in named)
        (named if told else rest).append(one)
    rest = [replace(one, fall=0.0, same=()) for one in rest if one.effect]
    return named + sorted(rest, key=lambda one: (-abs(one.effect), one.words))


def _weighed(k: int, read: Read) -> list[Reason]:
    """Each thing that is said, with its fall: of several of a column as far as each falls hidden,
    and no further than the column; where none does the column's is of what has most effect."""
    slight = STRENGTHS[read.unit][2]
    effect = {key: float(each[k]) for key, each in read.effects.items()}
    supposed = {key: float(each[k]) for key, each in read.supposed.items()}
    falls: dict[Key, tuple[float, tuple[str, ...], float]]
    falls = {key: (fall, (), 0.0) for key, fall in supposed.items() if lacks(key)}
    for column in read.columns.values():
        fall, same = column.fall(k, slight)
        stated = float(column.stated[k])
        each = {key: _least(fall, supposed[key]) for key in column.keys if key in supposed}
        if column.is_number and each:
            falls |= {key: (fall, same, stated) for key, fall in each.items()}
            continue
        falls |= {key: (fall, (), stated) for key, fall in each.items()}
        if len(column.keys) == 1 or all(abs(fall) < slight for fall in each.values()):
            most = max(column.keys, key=lambda key: effect[key] * np.sign(fall))
            falls[most] = fall, same, stated
    of = {key[0]: fall for key, fall in falls.items() if abs(fall[0]) >= slight}
    for key, (one, two) in read.pairs.items():
        if one in of and two in of:
            fall = _least(of[one][0], of[two][0], effect[key])
            same = tuple(dict.fromkeys(of[one][1] + of[two][1]))
            falls[key] = fall, same, _least(of[one][2], of[two][2])
    return [Reason(key[1], key[0], effect[key], *falls.get(key, ())) for key in effect]


def _least(*values: float) -> float:
    """The smallest of values of one sign, else 0."""
    return min(values, key=abs) if min(values) > 0 or max(values) < 0 else 0.0


def _says_the_same(one: Reason, other: Reason) -> bool:
    """Whether each is named beside the other."""
    return one.attribute in other.same and other.attribute in one.same


def _column_of(model: RoutingModel, attribute: str, have: list[str]) -> str:
    """The column that the item has an attribute from: a number may be taken from a text."""
    for number in model.encoder_.numbers:
        if number.name == attribute and number.fallback and number.column not in have:
            return number.fallback[0]
    return column_of(model, attribute)
