"""Weighs what a model read of an item: by how much each attribute spoke for or against an
operation, measured by taking it back, and which are named first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from routing_ml.models import Feature, Prepared, RoutingModel
from routing_ml.proposals.leaving_out import (
    column_of,
    fallen,
    known,
    parts_of,
    saying_the_same,
)
from routing_ml.proposals.reasons import Effects, Key, describe, is_missing, lacks
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
    by the model's own word without it `alone`, without those that say the `same` alone (`others`),
    and without all of these `together`; how far what is `stated` falls without it alone. `keys`:
    what is said of it, of a number one thing."""

    alone: np.ndarray
    others: np.ndarray
    together: np.ndarray
    stated: np.ndarray
    same: tuple[str, ...]
    keys: Sequence[Key]
    is_number: bool

    def fall(self, k: int, slight: float) -> Fall:
        """Of operation `k`. Where it takes those that say the same to tell they are named, and it
        is what the column adds to them."""
        alone, stated = float(self.alone[k]), float(self.stated[k])
        if self.same and abs(alone) < slight:
            added = float(self.together[k] - self.others[k])
            beyond = _least(added, float(self.together[k]))
            if abs(beyond) >= slight:
                return Fall(beyond, self.same, stated)
        return Fall(alone, (), stated)


class Fall(NamedTuple):
    """How far an operation falls, as of `Reason`."""

    fall: float
    same: tuple[str, ...]
    stated: float


@dataclass(frozen=True)
class Read:
    """What a model read of an item. `supposed`: how far each operation falls, (L,), where a thing
    that is said is not, or is otherwise. `pairs`: the two of a ratio or of a difference."""

    effects: Effects
    columns: Sequence[Column]
    supposed: Effects
    pairs: Mapping[Key, tuple[str, ...]]
    unit: str


def read_of(
    model: RoutingModel, row: pd.DataFrame, items: Prepared, effects: Effects, unit: str
) -> Read:
    """All that was read of an item (a frame of one row, and prepared), by the effects of
    (attribute, words); also of an attribute that is read for others alone, whose gaps it fills."""
    have = known(model, row)
    if not have:
        return Read(effects, [], {}, {}, unit)
    said = _said(model, row, items, effects, have)
    unread = [key for keys in said.values() for key in keys if key not in effects]
    effects = {**effects, **dict.fromkeys(unread, np.zeros(len(model.operations_)))}
    parts = _worth_supposing(otherwise(model, items, effects, STRENGTHS[unit][2]), said)
    numbers = {attribute for (attribute, _), other in parts if _is_number(other)}
    same = saying_the_same(model, row, items, have)
    sets = [frozenset([name]) for name in have]
    sets += [frozenset([name, *others]) for name, others in same.items()]
    sets += [frozenset(others) for others in same.values()]
    sets = list(dict.fromkeys(sets))
    others = [model.encoder_.without(row, sets), *(other for _, other in parts)]
    own, stated = fallen(model, items, Prepared.joined(others), unit)
    at = {one: i for i, one in enumerate(sets)}
    columns = []
    for name in have:
        group = same.get(name, ())
        alone, together = at[frozenset([name])], at[frozenset([name, *group])]
        rest = at[frozenset(group)] if group else alone
        columns.append(
            Column(
                own[alone], own[rest], own[together], stated[alone], group, said[name],
                is_number=name in numbers,
            )
        )  # fmt: skip
    each = np.split(own, np.cumsum([len(other.codes) for other in others])[:-1])[1:]
    supposed = {key: fall.mean(axis=0) for (key, _), fall in zip(parts, each, strict=True)}
    pairs = {key: found for key in effects if len(found := parts_of(model, key[0])) == 2}
    return Read(effects, columns, supposed, pairs, unit)


def _said(
    model: RoutingModel, row: pd.DataFrame, items: Prepared, effects: Effects, have: Sequence[str]
) -> dict[str, list[Key]]:
    """What is said of each known column, its value where it has no effect of its own; not what is
    missing or a text does not say, which cannot be taken back."""
    said = {name: list[Key]() for name in have}
    texts = model.encoder_.taken_from_texts(row)
    # the number alone: a category of the same name is of its own column, and new there
    written = {
        describe(model, Feature("number", i), items): texts[number.name]
        for i, number in enumerate(model.encoder_.numbers)
        if number.name in texts
    }
    for key in effects:
        column = written.get(key) or column_of(model, key[0])
        if column in said and not lacks(key) and not is_missing(key):
            said[column].append(key)
    for name, keys in said.items():
        if not keys:
            value = " ".join(str(row[name].iloc[0]).split())[:LONGEST_VALUE]
            keys.append((name, f"{name} is {value}"))
    return said


def _worth_supposing(
    parts: Sequence[tuple[Key, Prepared]], said: Mapping[str, Sequence[Key]]
) -> list[tuple[Key, Prepared]]:
    """Those that say more than what becomes of the item without the whole column."""
    several = {key for keys in said.values() if len(keys) > 1 for key in keys}
    return [
        (key, other) for key, other in parts if key in several or lacks(key) or _is_number(other)
    ]


def _is_number(other: Prepared) -> bool:
    """Whether what is supposed is another number, of which there are several."""
    return len(other.codes) > 1


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
            -one.effect * _sign(one.fall),
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
    falls = {key: Fall(fall, (), 0.0) for key, fall in supposed.items() if lacks(key)}
    for column in read.columns:
        whole = column.fall(k, slight)
        each = {key: _least(whole.fall, supposed[key]) for key in column.keys if key in supposed}
        same = whole.same if column.is_number else ()
        falls |= {key: Fall(fall, same, whole.stated) for key, fall in each.items()}
        if column.is_number and each:
            continue
        if len(column.keys) == 1 or all(abs(fall) < slight for fall in each.values()):
            falls[max(column.keys, key=lambda key: effect[key] * _sign(whole.fall))] = whole
    of = {key[0]: fall for key, fall in falls.items() if abs(fall.fall) >= slight}
    for key, (one, two) in read.pairs.items():
        if one in of and two in of:
            falls[key] = Fall(
                _least(of[one].fall, of[two].fall, effect[key]),
                tuple(dict.fromkeys(of[one].same + of[two].same)),
                _least(of[one].stated, of[two].stated),
            )
    return [Reason(key[1], key[0], effect[key], *falls.get(key, ())) for key in effect]


def _least(*values: float) -> float:
    """The smallest of values of one sign, else 0."""
    return min(values, key=abs) if min(values) > 0 or max(values) < 0 else 0.0


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _says_the_same(one: Reason, other: Reason) -> bool:
    """Whether each is named beside the other."""
    return one.attribute in other.same and other.attribute in one.same
