"""What a model read of an item and what came of it: effects of attributes on operations, matches
with a past item, and what the operations would be if an attribute had another value."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from routing_ml.models import MISSING, UNSEEN, Feature, Prepared, RoutingModel, combine, logit

EXACT = "exact contributions along the paths of the trees"
OCCLUSION = "occlusion: the change when one attribute is hidden"
Key = tuple[str, str]  # an attribute, and what is said of it in words
Effects = Mapping[Key, np.ndarray]
CLOSE = 0.98  # similarity of two numbers from which they count as a match
UNKNOWN, NEW, NO_WORD = "missing", "new to the model", "no telling word"
"""What stands in the place of a value that is none."""


@dataclass(frozen=True)
class Difference:
    """An attribute that a past item has another value of, `UNKNOWN` where it has none."""

    attribute: str
    here: str
    there: str

    def in_words(self) -> str:
        return f"{self.attribute} {self.here} here, {self.there} there"


@dataclass(frozen=True)
class Change:
    """What the operations would be if the item had a `value`, or its text had a `word`: which ones
    more and which ones less."""

    value: str
    is_word: bool
    more: list[str]
    less: list[str]

    def in_words(self) -> str:
        parts = [*(f"with {one}" for one in self.more), *(f"without {one}" for one in self.less)]
        said = f"it said {self.value}" if self.is_word else self.value
        return f"if {said}: {', '.join(parts)}"


@dataclass(frozen=True)
class Supposed:
    """An item as it may be, once for each of some `values` of an attribute that is missing, or of
    some words of its text."""

    attribute: str
    items: Prepared
    values: list[str]
    are_words: bool = False


def effects_of(
    model: RoutingModel, items: Prepared, likely: np.ndarray
) -> tuple[str, np.ndarray, Effects]:
    """How effects were found, the score to start from (L,), and (attribute, words) -> (L,)."""
    matrix = model.design_.transform(items)
    exact = model.contributions(matrix)
    effects: dict[Key, np.ndarray] = defaultdict(lambda: np.zeros(len(likely)))
    if exact is not None:
        start, found = exact
        for feature, effect in zip(model.design_.features, found, strict=True):
            if effect.any():
                effects[describe(model, feature, items)] += effect
        score = start + sum(effects.values(), np.zeros(len(likely)))
        borne_out = logit(likely) if model.effect_unit == "log-odds" else likely
        # how far the model's own word is borne out is known before anything of the item is
        return EXACT, start + borne_out - score, effects
    for (attribute, words), other in hide_each(model, items):
        effects[attribute, words] += likely - model.likelihoods(other)[0]
    return OCCLUSION, likely - sum(effects.values(), np.zeros(len(likely))), effects


def hide_each(model: RoutingModel, items: Prepared) -> list[tuple[Key, Prepared]]:
    """The item with each known attribute, and each word that it says, hidden in turn."""
    encoder, found = model.encoder_, []
    for i in range(len(encoder.categories)):
        if items.codes[0, i] != MISSING:
            codes = items.codes.copy()
            codes[0, i] = MISSING
            words = describe(model, Feature("is", i, int(items.codes[0, i])), items)
            found.append((words, replace(items, codes=codes)))
    for i in range(len(encoder.numbers)):
        if not np.isnan(items.numbers[0, i]):
            numbers = items.numbers.copy()
            numbers[0, i] = np.nan
            words = describe(model, Feature("number", i), items)
            found.append((words, replace(items, numbers=numbers)))
    for i in np.flatnonzero(items.words[0]).tolist():
        marks = items.words.copy()
        marks[0, i] = 0
        found.append(
            (describe(model, Feature("says", i), items), replace(items, words=marks))
        )  # fmt: skip
    return found


def describe(model: RoutingModel, feature: Feature, items: Prepared) -> Key:
    """The attribute a feature reads, and what the item's value of it is, in words."""
    encoder = model.encoder_
    if feature.kind in ("is", "missing"):
        column = encoder.categories[feature.a].column
        return (
            column,
            f"{column} is {category_words(model, feature.a, int(items.codes[0, feature.a]))}",
        )
    if feature.kind == "says":
        at = feature.a
        for text in encoder.texts:
            if at < len(text.words):
                verb = "says" if items.words[0, feature.a] else "does not say"
                return text.column, f"{text.column} {verb} {text.words[at]}"
            at -= len(text.words)
    value = combine(feature, items.numbers)[0]
    one, two = encoder.numbers[feature.a].name, encoder.numbers[feature.b].name
    sign = {"ratio": " / ", "gap": " - "}.get(feature.kind)
    name = f"{one}{sign}{two}" if sign else one
    return name, f"{name} is {number_words(model, feature.a if not sign else None, value)}"


def lacks(key: Key) -> bool:
    """Is it a word that a text does not say?"""
    attribute, words = key
    return words.startswith(f"{attribute} does not say ")


def is_missing(key: Key) -> bool:
    """Does it say that there is no value?"""
    attribute, words = key
    return words == f"{attribute} is {UNKNOWN}"


def category_words(model: RoutingModel, category: int, code: int) -> str:
    if code == MISSING:
        return UNKNOWN
    return NEW if code == UNSEEN else model.encoder_.categories[category].values[code]


def number_words(model: RoutingModel, number: int | None, value: float) -> str:
    if math.isnan(value):
        return UNKNOWN
    if number is not None and model.encoder_.numbers[number].kind in ("date", "entered"):
        return f"{pd.Timestamp(value * 86_400, unit='s'):%Y-%m-%d}"
    return as_number(value)


def as_number(value: float, digits: int = 4) -> str:
    """A number as people write it, to so many digits, of a large one all before the point.

    >>> as_number(0.00012), as_number(3.0), as_number(123456.7), as_number(1_000_000)
    ('0.00012', '3', '123,457', '1,000,000')
    """
    if not abs(value) < 10 ** (digits - 1):
        return f"{value:,.0f}"
    return np.format_float_positional(
        value, precision=digits, unique=False, fractional=False, trim="-"
    )


def compare(model: RoutingModel, items: Prepared, other: int) -> tuple[list[str], list[Difference]]:
    """Attributes of the similarity that match and that differ, the weightiest first."""
    encoder, gower = model.encoder_, model.gower_
    parts = gower.parts(items, 0, other)
    categories, numbers = len(encoder.categories), len(encoder.numbers)
    matches, differs = list[str](), list[Difference]()
    for i in np.argsort(-gower.weights, kind="stable").tolist():
        if not gower.weights[i]:
            continue
        if i < categories:
            name = encoder.categories[i].column
            here = category_words(model, i, int(items.codes[0, i]))
            there = category_words(model, i, int(gower.codes[other, i]))
        elif i < categories + numbers:
            at = i - categories
            name = encoder.numbers[at].name
            here = number_words(model, at, float(items.numbers[0, at]))
            there = number_words(model, at, float(gower.numbers[other, at]))
        else:
            name = encoder.texts[i - categories - numbers].column
            here, there = (
                _words(model, i - categories - numbers, marks)
                for marks in (items.words[0, gower.words], gower.marks[other])
            )
        if here == there == UNKNOWN:
            continue
        if parts[i] >= CLOSE:
            matches.append(f"{name} {here}")
        else:
            differs.append(Difference(name, here, there))
    return matches, differs


def _words(model: RoutingModel, text: int, marks: np.ndarray) -> str:
    """The telling words of a text that are marked."""
    every = [word for written in model.encoder_.texts for word in written.words]
    own = np.flatnonzero((model.gower_.text_of == text) & (marks > 0))
    return ", ".join(every[model.gower_.words[k]] for k in own.tolist()) or NO_WORD


def changes_with(
    model: RoutingModel, supposed: Supposed, present: np.ndarray, others: np.ndarray
) -> list[Change]:
    """What the operations would be, `others` (m, L) instead of those `present` (L,), with each of
    the supposed values; of those that change any."""
    found = []
    for value, other in zip(supposed.values, others, strict=True):
        more = [model.operations_[k] for k in np.flatnonzero(other & ~present)]
        less = [model.operations_[k] for k in np.flatnonzero(present & ~other)]
        if more or less:
            named = ([label(o.job, o.name) for o in some] for some in (more, less))
            found.append(Change(value, supposed.are_words, *named))
    return found


def label(job: str, name: str | None) -> str:
    """A job with its name where it has one."""
    return f"{job} {name}" if name else job
