"""Clean columns -> one uint8 matrix of yes/no and binned features that trees are grown on.

A feature is a sentence: "PART_TYPE is SLEEVE", "ITEM_SPEC says KEYWAY", "OUTDIAMETER at least 120",
"OUTDIAMETER / INDIAMETER at least 1.6". Bin edges are round numbers where one lies between two
quantiles, because the rules of a factory are written in round numbers.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from routing_ml.models.features.attributes import MIN_COUNT, MISSING, SAMPLE_ROWS, Encoder, Prepared
from routing_ml.models.features.gower import explained
from routing_ml.models.storage import Stored

MAX_BINS = 127
MAX_DIMENSIONS = 4  # numbers that are combined to ratios and differences
MIN_DISTINCT = 20  # of a number that is a dimension
KINDS = ("is", "missing", "says", "number", "ratio", "gap")


@dataclass(frozen=True)
class Feature:
    """What one column of the matrix means.

    `kind`: is (category `a` has value `b`), missing (category `a`), says (word `a`), number (`a`),
    ratio and gap (numbers `a` and `b`). `edges`: a number below edges[0] is in bin 1, a missing
    one in bin 0; empty for yes/no features.
    """

    kind: str
    a: int
    b: int = 0
    edges: tuple[float, ...] = ()


class Design:
    """The features kept of an encoder's columns."""

    def __init__(self, features: list[Feature]) -> None:
        self.features = features
        self.bins = np.array([len(f.edges) + 2 if f.edges else 2 for f in features], np.int64)
        kinds = [(i, f) for i, f in enumerate(features) if f.kind in ("is", "missing")]
        wanted = [MISSING if f.kind == "missing" else f.b for _, f in kinds]
        self._is = tuple(
            np.array(part, np.intp)
            for part in ([i for i, _ in kinds], [f.a for _, f in kinds], wanted)
        )
        says = [(i, f.a) for i, f in enumerate(features) if f.kind == "says"]
        self._says = np.array(says, np.intp).reshape(-1, 2).T
        self._numeric = [i for i, f in enumerate(features) if f.edges]
        self._edges = {i: np.array(features[i].edges) for i in self._numeric}

    @classmethod
    def fit(cls, encoder: Encoder, items: Prepared, operations: np.ndarray) -> Design:
        """Every feature that holds for enough items and repeats no other."""
        features: list[Feature] = []
        for i, category in enumerate(encoder.categories):
            features.append(Feature("missing", i))
            mine = items.codes[:, i]
            number = np.bincount(mine[mine >= 0], minlength=len(category.values))
            enough = np.flatnonzero(number >= MIN_COUNT).tolist()
            features.extend(Feature("is", i, code) for code in enough)
        features.extend(Feature("says", i) for i in range(encoder.words))
        features.extend(_numeric("number", i, 0, items) for i in range(items.numbers.shape[1]))
        for i, j in _pairs(encoder, items, operations):
            features.append(_numeric("ratio", i, j, items))
            features.append(_numeric("gap", i, j, items))
        features = [f for f in features if f.kind in KINDS[:3] or f.edges]
        items = items.some(SAMPLE_ROWS)
        matrix = cls(features).transform(items)
        kept, seen = [], set()
        for i, feature in enumerate(features):
            column = matrix[:, i]
            if not feature.edges and not MIN_COUNT <= int(column.sum()) <= len(column) - MIN_COUNT:
                continue
            key = column.tobytes()
            if key not in seen:
                seen.add(key)
                kept.append(feature)
        return cls(kept)

    def transform(self, items: Prepared) -> np.ndarray:
        """(n, F) uint8, one feature beside the other (Fortran order: columns are contiguous)."""
        matrix = np.zeros((len(items.codes), len(self.features)), np.uint8, order="F")
        at, column, value = self._is
        matrix[:, at] = items.codes[:, column] == value
        at, column = self._says
        matrix[:, at] = items.words[:, column]
        for i in self._numeric:
            values = combine(self.features[i], items.numbers)
            bins = np.searchsorted(self._edges[i], values, side="right") + 1
            matrix[:, i] = np.where(np.isnan(values), 0, bins)
        return matrix

    def only(self, kept: np.ndarray) -> Design:
        """The design of these features alone."""
        return Design([self.features[i] for i in kept.tolist()])

    def facts(self) -> list[dict[str, Any]]:
        """JSON-able; the inverse of `from_stored`."""
        return [asdict(feature) for feature in self.features]

    @classmethod
    def from_stored(cls, stored: Stored, name: str, encoder: Encoder) -> Design:
        """The design of a stored model; ModelError where a feature cannot be."""
        features = []
        numbers = len(encoder.numbers)
        for record in stored.records(name, {"kind": str, "a": int, "b": int, "edges": list}):
            f = Feature(record["kind"], record["a"], record["b"], tuple(record["edges"]))
            if f.kind in ("is", "missing"):
                good = 0 <= f.a < len(encoder.categories) and not f.edges
            elif f.kind == "says":
                good = 0 <= f.a < encoder.words and not f.edges
            else:
                good = f.kind in KINDS and 0 <= f.a < numbers and 0 <= f.b < numbers
                good = good and 0 < len(f.edges) <= MAX_BINS
                good = good and all(isinstance(edge, int | float) for edge in f.edges)
                good = good and all(math.isfinite(edge) for edge in f.edges)
                good = good and list(f.edges) == sorted(f.edges)
            if not good:
                stored.refuse(name, f"has a feature that cannot be: {f.kind} {f.a} {f.b}")
            features.append(f)
        return cls(features)


def combine(feature: Feature, numbers: np.ndarray) -> np.ndarray:
    """The value of a number, ratio or gap feature: (n,) float64 with NaN."""
    left = numbers[:, feature.a]
    if feature.kind == "number":
        return left
    right = numbers[:, feature.b]
    if feature.kind == "gap":
        return left - right
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(right != 0, left / right, np.nan)


def _numeric(kind: str, a: int, b: int, items: Prepared) -> Feature:
    values = combine(Feature(kind, a, b), items.numbers)
    return Feature(kind, a, b, tuple(round_edges(values[~np.isnan(values)])))


def _pairs(encoder: Encoder, items: Prepared, operations: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of dimensions: numbers with many values, those that say most about the routing."""
    told = []
    for i, number in enumerate(encoder.numbers):
        values = items.numbers[:, i]
        filled = values[~np.isnan(values)]
        if number.kind in ("date", "entered") or len(filled) < len(values) / 2:
            continue
        distinct = np.unique(filled)
        if len(distinct) >= MIN_DISTINCT and distinct[0] >= 0:
            feature = _numeric("number", i, 0, items)
            edges = np.asarray(feature.edges)[:: max(1, len(feature.edges) // 16)]
            groups = np.where(np.isnan(values), 0, np.searchsorted(edges, values) + 1)
            told.append((-explained(groups, operations), i))
    chosen = sorted(i for _, i in sorted(told)[:MAX_DIMENSIONS])
    return [(i, j) for k, i in enumerate(chosen) for j in chosen[k + 1 :]]


def round_edges(values: np.ndarray, most: int = MAX_BINS) -> list[float]:
    """At most `most` rising edges that cut `values` into bins of about equal mass.

    >>> round_edges(np.array([1.0, 2.0, 3.0]))
    [2.0, 3.0]
    >>> round_edges(np.array([98.7, 119.2, 121.4]))
    [100.0, 120.0]
    """
    distinct = np.unique(values)
    if len(distinct) < 2:
        return []
    if len(distinct) > most + 1:
        cuts = np.quantile(values, np.linspace(0, 1, most + 1), method="lower")
        distinct = np.unique(cuts)
    pairs = zip(distinct[:-1].tolist(), distinct[1:].tolist(), strict=True)
    return sorted({_roundest(low, high) for low, high in pairs})


def _roundest(low: float, high: float) -> float:
    """The number in (low, high] with the fewest digits."""
    power = math.floor(math.log10(high - low)) + 1
    for exponent in (power, power - 1):
        for factor in (5, 1):
            step = factor * 10.0**exponent
            found = math.floor(high / step) * step
            if found > low:
                return float(f"{found:.12g}") if low < float(f"{found:.12g}") <= high else high
    return high
