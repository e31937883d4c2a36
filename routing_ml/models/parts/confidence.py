"""What a model says of an item turned into the probability that it is right.

Three things are known of an item beside the model's own certainty: how much of what tells is
missing, whether a value is one that no past item had, or few, and of which column. What they are
worth is learned from items that were not fitted on: complete ones, the same with columns left out,
and kinds of which none or few items were fitted on (`trials`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from scipy import optimize

from routing_ml.models.features.attributes import ABSENT, FEW, NEW, RARE
from routing_ml.models.storage import Stored
from routing_ml.models.trees.boosting import sigmoid

EDGE = 1e-6
MOST = 1e6  # of a stored coefficient
LEAST_SLOPE = 0.05
NOVELTY = np.zeros(5)  # how new a value is, by its state
NOVELTY[[NEW, RARE]] = 1.0, 0.9
FEW_SAY = 0.8  # how far the trials are believed of what is only one of few
LIKE_NEW = 0.7  # how far the model's own word counts for less where a value has few items
PENALTY = 1.0  # of the coefficients of a logistic regression, in units of 1 / (2 variance)


class Calibration:
    """A rising curve through (`raw`, `probability`), straight between its points."""

    def __init__(self, raw: np.ndarray, probability: np.ndarray) -> None:
        self.raw, self.probability = raw, probability

    @classmethod
    def fit(
        cls, raw: np.ndarray, right: np.ndarray, weight: np.ndarray | None = None
    ) -> Calibration:
        """`raw` scores of items the model was not fitted on, and whether each was `right`.

        Without items: the raw score itself. A first and last pseudo-item, wrong and right, keep
        the ends from promising certainty.
        """
        if not len(raw):
            return cls(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
        weight = np.ones(len(raw)) if weight is None else weight
        points, at = np.unique(raw.astype(float), return_inverse=True)  # what is equal is one
        weights, hits = np.bincount(at, weights=weight), np.bincount(at, weights=weight * right)
        middle = float(hits.sum() / weights.sum())
        blocks: list[list[float]] = []  # sums of hits, weight, raw: pool adjacent violators
        for point, hit, w in zip(points.tolist(), hits.tolist(), weights.tolist(), strict=True):
            blocks.append([hit, w, point * w])
            while (
                len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]
            ):
                last = blocks.pop()
                blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
        x = np.array([block[2] / block[1] for block in blocks])
        y = np.array([(block[0] + middle) / (block[1] + 1) for block in blocks])
        return cls(x, np.maximum.accumulate(y))

    def apply(self, raw: np.ndarray) -> np.ndarray:
        """Probabilities in [0, 1]."""
        return np.interp(raw, self.raw, self.probability)

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_stored` needs."""
        return {"raw": self.raw, "probability": self.probability}

    @classmethod
    def from_stored(cls, stored: Stored, prefix: str) -> Calibration:
        """The part of a stored model."""
        raw = stored.array(f"{prefix}.raw", "f", (None,))
        likely = stored.array(f"{prefix}.probability", "f", (len(raw),), low=0, high=1)
        if not len(raw) or (np.diff(raw) < 0).any() or (np.diff(likely) < 0).any():
            stored.refuse(f"{prefix}.raw", "does not rise")
        return cls(raw, likely)


@dataclass(frozen=True)
class Missing:
    """What each attribute costs where it is missing: `odds` of the log-odds of the routing being
    right (at most 0), `band` of the logarithm of the band's width (at least 0)."""

    attributes: list[str] = field(default_factory=list)
    odds: list[float] = field(default_factory=list)
    band: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Unknown:
    """What is known of items with values that no past item had, or few: learned from trials.

    `columns` were tried. Of the log-odds of a routing being right: `odds` is the intercept, the
    slopes of the model's own where nothing is new and where a column is, that of the new values'
    weight, then one a tried column where it is new and one where it is of few items. `slope`
    flattens the log-odds of each operation, `band` (as many) and `band_rate` (a unit of weight)
    widen the band of run times.
    """

    columns: list[str] = field(default_factory=list)
    odds: list[float] = field(default_factory=lambda: [0.0, 1.0, 0.5, -8.0])
    slope: float = 0.5
    band: list[float] = field(default_factory=list)
    band_rate: float = 4.0


@dataclass(frozen=True)
class Givenness:
    """What an item lacks, (n,) each: `loss` in log-odds and `blur` in the band's width, of what is
    missing; `never`, the weight of what no past item had, `new` of what hardly any had; `tried`
    (n, J), how new the value of each tried column is, in [0, 1], `few` (n, J) whether it is one of
    few items."""

    loss: np.ndarray
    blur: np.ndarray
    never: np.ndarray
    new: np.ndarray
    tried: np.ndarray
    few: np.ndarray


class Confidence:
    """`curve` turns log-odds into probabilities: `scale` times the model's own less what is lost
    with what is missing. `slopes` (2,) are of an operation's log-odds, the second a unit of loss.
    Models of 2.1.0 have the curve alone, over the raw certainty."""

    def __init__(
        self,
        curve: Calibration,
        scale: float | None = None,
        slopes: np.ndarray | None = None,
        missing: Missing | None = None,
        unknown: Unknown | None = None,
    ) -> None:
        self.curve, self.scale, self.slopes = curve, scale, slopes
        self.missing, self.unknown = missing or Missing(), unknown or Unknown()

    def given(self, states: np.ndarray, weights: np.ndarray, labels: list[str]) -> Givenness:
        """Of items whose attributes, called `labels`, have these `states` (n, A) and `weights`."""
        at = {label: i for i, label in enumerate(labels)}
        absent, new = states == ABSENT, NOVELTY[states]
        if self.scale is None:  # of 2.1.0: a rare value looks as new as a new one
            new = np.zeros_like(new)
        lossy = [at[name] for name in self.missing.attributes]
        tried = [at[category_label(name)] for name in self.unknown.columns]
        return Givenness(
            absent[:, lossy] @ -np.array(self.missing.odds, float),
            absent[:, lossy] @ np.array(self.missing.band, float),
            (new == 1) @ weights,
            new @ weights,
            new[:, tried],
            (states == FEW)[:, tried],
        )

    def apply(self, certainty: np.ndarray, given: Givenness) -> np.ndarray:
        """The probability that each routing is exactly right: (n,)."""
        if self.scale is None:
            return self.curve.apply(certainty)
        found = self.curve.apply(self.scale * logit(certainty) - given.loss)
        if not self.unknown.columns:  # nothing was tried: no more is known of few than of many
            given = replace(given, new=given.never)
        new, few = given.new > 0, given.few.any(axis=1)
        if new.any() or few.any():
            odds = unknown_inputs(certainty, given) @ np.array(self.unknown.odds)
            least = np.minimum(found, sigmoid(odds))
            found = np.where(new, least, np.where(few, found + FEW_SAY * (least - found), found))
        return found

    def likelihoods(self, likely: np.ndarray, given: Givenness) -> np.ndarray:
        """The model's likelihoods (n, L) of operations as they were borne out."""
        if self.slopes is None:
            return likely
        slope = self.slopes[0] + self.slopes[1] * given.loss
        slope = np.where(given.never > 0, np.minimum(slope, self.unknown.slope), slope)
        return sigmoid(logit(likely) * np.maximum(slope, LEAST_SLOPE)[:, None])

    def known_to(self, labels: list[str]) -> Confidence:
        """What of it is about these attributes."""
        lossy = [i for i, name in enumerate(self.missing.attributes) if name in labels]
        tried = [i for i, n in enumerate(self.unknown.columns) if category_label(n) in labels]
        missing, unknown = self.missing, self.unknown
        return Confidence(
            self.curve,
            self.scale,
            self.slopes,
            Missing(*([part[i] for i in lossy] for part in vars(missing).values())),
            replace(
                unknown,
                columns=[unknown.columns[i] for i in tried],
                odds=[
                    *unknown.odds[:4],
                    *(unknown.odds[4 + i] for i in tried),
                    *(unknown.odds[4 + len(unknown.columns) + i] for i in tried),
                ],
                band=[
                    *(unknown.band[i] for i in tried),
                    *(unknown.band[len(unknown.columns) + i] for i in tried),
                ],
            ),
        )

    def facts(self) -> dict[str, Any]:
        """JSON-able: what arrays do not hold."""
        return {"missing": asdict(self.missing), "unknown": asdict(self.unknown)}

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_stored` needs beside the facts."""
        if self.scale is None or self.slopes is None:
            return self.curve.arrays()
        return self.curve.arrays() | {"scale": np.array([self.scale]), "slopes": self.slopes}

    @classmethod
    def from_stored(cls, stored: Stored, prefix: str, labels: list[str]) -> Confidence:
        """The part of a stored model, whose attributes are `labels`."""
        curve = Calibration.from_stored(stored, prefix)
        if stored.format == 1:
            return cls(curve, unknown=Unknown(band_rate=0.0))
        facts = stored.fact("confidence", dict)
        missing, unknown = facts.get("missing"), facts.get("unknown")
        good = _are(missing, Missing()) and _are(unknown, Unknown())
        if good:
            count, tried = len(missing["attributes"]), unknown["columns"]
            good = set(map(str, missing["attributes"])) <= set(labels)
            good = good and {category_label(str(name)) for name in tried} <= set(labels)
            good = good and _numbers(missing["odds"], count, high=0)
            good = good and _numbers(missing["band"], count, low=0)
            good = good and _numbers(unknown["odds"], 4 + 2 * len(tried))
            good = good and _numbers(unknown["band"], 2 * len(tried), low=0)
            good = good and _numbers([unknown["slope"], unknown["band_rate"]], 2)
        if not good:
            stored.refuse("confidence", "is not what is learned of missing and new values")
        scale = stored.array(f"{prefix}.scale", "f", (1,), low=0)
        slopes = stored.array(f"{prefix}.slopes", "f", (2,))
        return cls(curve, float(scale[0]), slopes, Missing(**missing), Unknown(**unknown))


def learn_confidence(
    certainty: np.ndarray, absent: np.ndarray, right: np.ndarray, weight: np.ndarray,
    band: Sequence[float], labels: Sequence[str], slopes: np.ndarray,
) -> Confidence:  # fmt: skip
    """From items that were not fitted on, whole and with columns left out: the model's certainty
    (k,), which of the attributes `labels` are `absent` (k, A), whether the routing was right."""
    if not len(certainty):
        return Confidence(Calibration.fit(certainty, right))
    inputs = np.c_[np.ones(len(certainty)), logit(certainty), absent]
    penalty = np.r_[0.01, 0.01, np.full(len(labels), PENALTY)]
    bounds = [(None, None), (0.0, None), *[(None, 0.0)] * len(labels)]
    odds = logistic(inputs, right, weight, penalty, bounds)
    missing = Missing(list(labels), odds[2:].tolist(), list(band))
    curve = Calibration.fit(inputs[:, 1:] @ odds[1:], right, weight)
    return Confidence(curve, float(odds[1]), slopes, missing)


def category_label(column: str) -> str:
    """What a category is called among the attributes."""
    return f"is {column}"


def logistic(
    inputs: np.ndarray, right: np.ndarray, weight: np.ndarray, penalty: np.ndarray,
    bounds: list[tuple[float | None, float | None]] | None = None,
) -> np.ndarray:  # fmt: skip
    """Coefficients (P,) of a weighted logistic regression with a ridge `penalty` (P,)."""
    target = right.astype(float)

    def loss(beta: np.ndarray) -> tuple[float, np.ndarray]:
        odds = inputs @ beta
        value = weight @ (np.logaddexp(0, odds) - target * odds) + penalty @ beta**2 / 2
        return value, inputs.T @ (weight * (sigmoid(odds) - target)) + penalty * beta

    start = np.zeros(inputs.shape[1])
    return optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x


def unknown_inputs(certainty: np.ndarray, given: Givenness) -> np.ndarray:
    """(n, 4 + 2 J): one, the model's own log-odds as far as nothing, and as far as something, is
    new, the new values' weight, the tried columns, those of few items."""
    own, ones = logit(certainty), np.ones(len(certainty))
    most = np.c_[given.tried, LIKE_NEW * given.few].max(axis=1, initial=0)
    return np.c_[ones, own * (1 - most), own * most, given.new, given.tried, given.few]


def logit(probability: np.ndarray) -> np.ndarray:
    """Log-odds, of what is no nearer to 0 or 1 than a millionth."""
    likely = np.clip(probability.astype(float), EDGE, 1 - EDGE)
    return np.log(likely / (1 - likely))


def _are(facts: object, like: Missing | Unknown) -> bool:
    """Has `facts` the fields of `like`, of the same types?"""
    fields = vars(like)
    return (
        isinstance(facts, dict)
        and set(facts) == set(fields)
        and all(isinstance(facts[name], type(value)) for name, value in fields.items())
    )


def _numbers(values: object, count: int, low: float = -MOST, high: float = MOST) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(type(v) in (float, int) and low <= v <= high for v in values)
    )
