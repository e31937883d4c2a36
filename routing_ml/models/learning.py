"""How every candidate learns: from complete items and copies with columns left out, and what its
word is worth from items, copies and kinds that were held out."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from routing_ml.errors import ModelError
from routing_ml.models import storage
from routing_ml.models.features.attributes import ABSENT, NEW, Attributes, Encoder, Prepared
from routing_ml.models.features.design import Design
from routing_ml.models.features.gower import Gower
from routing_ml.models.features.masking import few, masked
from routing_ml.models.parts import operations
from routing_ml.models.parts.alternatives import Alternatives, Asked, propose
from routing_ml.models.parts.choice import choose
from routing_ml.models.parts.confidence import (
    PENALTY,
    Confidence,
    Givenness,
    Unknown,
    learn_confidence,
    logistic,
    logit,
    unknown_inputs,
)
from routing_ml.models.parts.machines import Machines
from routing_ml.models.parts.operations import Numbering, Operation, Rows, decide
from routing_ml.models.parts.order import Order, places
from routing_ml.models.parts.outside import Outside
from routing_ml.models.parts.quantities import Quantities
from routing_ml.models.parts.times import BAND, Times
from routing_ml.models.parts.trials import Trial, telling, trials, tried_columns
from routing_ml.models.trees.boosting import SEED

MIN_ITEMS = 20
COPIES = ((1_000, 1), (6_000, 3), (10_000, 2))
"""Up to so many items, so many copies of each; one beyond. Of few items three copies cost four
points of exact matches with all columns."""
FOLDS = ((10_000, 3),)  # up to so many items, so many folds; two beyond
FEW_WEIGHT = 3.0
MIN_TRIED = 30  # items of kinds left out, before anything is learned from them
MAX_SLOPES = 200_000  # likelihoods that the slopes are learned from
NEW_PENALTY = 4.0  # of a tried column's own effect: what they have in common is their weight


class Learning(ABC):
    """The part of a candidate that is used once."""

    learns_copies: ClassVar[bool] = True
    items_: list[str]
    operations_: list[Operation]
    routings_: tuple[np.ndarray, np.ndarray]
    encoder_: Encoder
    design_: Design
    order_: Order
    gower_: Gower
    telling_: np.ndarray
    numbering_: Numbering
    times_: Times
    machines_: Machines
    outside_: Outside
    quantities_: Quantities
    alternatives_: Alternatives | None
    confidence_: Confidence
    quick_: bool = False  # about the same in less time, of what only calibrates

    def fit(
        self,
        items: pd.DataFrame,
        routings: pd.DataFrame,
        results: pd.DataFrame | None = None,
        *,
        attributes: Attributes,
        alternatives: pd.DataFrame | None = None,
        like: Self | None = None,
    ) -> Self:
        """Learn from `items` and the newest routing of each; items without rows are left out,
        and so are operations of hardly any item (`operations.frequent`). `alternatives` are the
        further routings of items, as of `dataset.other_routings`.

        `like` is a model of the same candidate and factory, fitted on hardly fewer items: what it
        has learned of how right it is, which takes many fits, is taken over.
        """
        self.__dict__.clear()  # a second fit begins anew
        coded = items.drop_duplicates("ITEM_CD", keep="last").sort_values("ITEM_CD")
        coded = coded[coded["ITEM_CD"].isin(routings["ITEM_CD"].unique())]
        if len(coded) < MIN_ITEMS:
            raise ModelError(
                f"{len(coded)} items have a routing, a model needs {MIN_ITEMS}: "
                "extract more rows, or check that item codes agree between the tables"
            )
        coded = coded.reset_index(drop=True)
        every = operations.read(routings, coded["ITEM_CD"].tolist())
        rows = operations.frequent(every)
        self.items_, self.operations_ = rows.codes, rows.operations
        lengths = np.bincount(rows.item, minlength=len(rows.codes))
        self.routings_ = storage.offsets(lengths.tolist()), rows.operation
        self.encoder_ = Encoder.fit(coded, attributes)
        prepared = self.encoder_.transform(coded)
        self.design_ = choose(Design.fit(self.encoder_, prepared, rows.present), prepared, rows)
        matrix, bins = self.design_.transform(prepared), self.design_.bins
        self.order_ = Order.fit(rows, matrix, bins)
        routing = np.c_[rows.present, self.order_.directions(rows)]
        self.gower_ = Gower.fit(self.encoder_, prepared, routing)
        self.telling_ = telling(self.gower_.weights, prepared.codes, rows)
        self.numbering_ = Numbering.fit(every)
        self.times_ = Times.fit(rows, self.design_, prepared, matrix, results)
        self.machines_ = Machines.fit(rows, matrix, bins, results)
        self.outside_ = Outside.fit(rows, self.machines_.choices, self.machines_.names)
        self.quantities_ = Quantities.fit(rows, results)
        looks = [prepared, *self._copies(coded)]
        if like is None:
            unseen = self._unseen(looks, rows.present)
            self.alternatives_ = Alternatives.fit(
                rows, operations.further(alternatives, rows), self._asked(unseen[0], matrix),
                self.order_,
            )  # fmt: skip
            self._calibrate(looks, unseen, rows)
            self.confidence_.unknown = self._try(looks, rows)
        else:
            self._take(like)
        self._learn(self._learned(looks), rows.present, np.arange(len(rows.codes)))
        return self

    def _learned(self, looks: list[Prepared]) -> list[Prepared]:
        """Of the looks at the items those that are learned from; the last only calibrates."""
        return looks[:-1] if self.learns_copies else looks[:1]

    @abstractmethod
    def _learn(self, items: Sequence[Prepared], present: np.ndarray, rows: np.ndarray) -> None:
        """Learn which operations occur, `present` (n, L), from one or several looks at the fitted
        items number `rows` (n,)."""

    @abstractmethod
    def _probabilities(self, items: Prepared, matrix: np.ndarray) -> np.ndarray:
        """How likely each operation is: (m, L) in [0, 1]."""

    def _settle(  # noqa: B027 - most have nothing to choose
        self, others: Sequence[Self], held: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> None:
        """Choose what is to be chosen by models that were fitted without the items that they are
        `held` against, (matrix, present) of each; they are changed to what is chosen too."""

    def likely(self, items: Prepared) -> np.ndarray:
        """How likely each operation is for prepared items, as the candidate says: (m, L)."""
        return self._probabilities(items, self.design_.transform(items))

    def given(self, items: Prepared) -> Givenness:
        """What is missing of the items, and what is new."""
        return self.confidence_.given(items.states, self.telling_, self.encoder_.labels)

    def _take(self, like: Self) -> None:
        """Take over what `like` has learned of how right it is."""
        self.confidence_ = like.confidence_.known_to(self.encoder_.labels)
        self.times_.wider = like.times_.wider
        if like.alternatives_:
            self.alternatives_ = like.alternatives_.known_to(
                like.operations_, self.operations_, self.order_
            )

    def _copies(self, coded: pd.DataFrame) -> list[Prepared]:
        """The fitted items with columns left out, in the last with hardly any left."""
        random = np.random.default_rng(SEED)
        weights = self.gower_.weights / max(1e-9, self.gower_.weights.max(initial=0))
        telling: dict[str, float] = {}
        for column, weight in zip(self.encoder_.columns, weights.tolist(), strict=True):
            telling[column] = max(telling.get(column, 0.0), weight)
        count = next((copies for most, copies in COPIES if len(coded) <= most), 1)
        copies = [*(masked(coded, telling, random) for _ in range(count))]
        return [self.encoder_.transform(c) for c in (*copies, few(coded, telling, random))]

    def _unseen(self, looks: list[Prepared], present: np.ndarray) -> list[np.ndarray]:
        """The likelihoods (n, L) of the operations of the fitted items, at each of the `looks`, by
        models that had not seen them."""
        count = len(present)
        folds = next((folds for most, folds in FOLDS if count <= most), 2)
        fold = np.random.default_rng(SEED).permutation(count) % folds
        held = [np.flatnonzero(fold == k) for k in range(folds)]
        others = [self._from(np.flatnonzero(fold != k), looks, present) for k in range(folds)]
        self._settle(
            others, [(self.design_.transform(looks[0].at(at)), present[at]) for at in held]
        )
        unseen = [np.zeros(present.shape, np.float32) for _ in looks]
        for at, other in zip(held, others, strict=True):
            for items, likely in zip(looks, unseen, strict=True):
                likely[at] = other.likely(items.at(at))
        return unseen

    def _from(
        self, rows: np.ndarray, looks: list[Prepared], present: np.ndarray, *, quick: bool = False
    ) -> Self:
        """This candidate learned from the items number `rows` alone."""
        other = copy.copy(self)
        other.quick_ = quick
        other._learn([items.at(rows) for items in self._learned(looks)], present[rows], rows)
        return other

    def _calibrate(self, looks: list[Prepared], unseen: list[np.ndarray], rows: Rows) -> None:
        """Learn how right the model is from what it said of items it had not seen (`_unseen`)."""
        told = np.flatnonzero(self.gower_.weights > 0)
        raw, right, strays = [], [], []
        for items, likely in zip(looks, unseen, strict=True):
            said, hit = self._judged(items, likely, rows)
            raw.append(said)
            right.append(hit)
            strays.append(
                self.times_.strays(rows, self.design_, items, self.design_.transform(items))
            )
        absent = [(items.states[:, told] == ABSENT).astype(float) for items in looks]
        count = len(rows.codes)
        copies = len(looks) - 1
        # copies weigh as much as complete items together, those of hardly any columns more: they
        # lie far out, where there are few others
        weight = np.repeat([1.0, *[1 / copies] * (copies - 1), FEW_WEIGHT / copies], count)
        band = self.times_.widen(
            np.concatenate([some[item] for some, (_, item) in zip(absent, strays, strict=True)]),
            np.concatenate([stray for stray, _ in strays]),
        )
        labels = [self.encoder_.labels[i] for i in told.tolist()]
        self.confidence_ = learn_confidence(
            np.concatenate(raw), np.concatenate(absent), np.concatenate(right), weight, band,
            labels, np.ones(2),
        )  # fmt: skip
        loss = [self.given(items).loss for items in looks]
        self.confidence_.slopes = _slopes([logit(part) for part in unseen], loss, rows.present)

    def _judged(
        self, items: Prepared, likely: np.ndarray, rows: Rows
    ) -> tuple[np.ndarray, np.ndarray]:
        """How certain the model is of each whole routing, and whether it is right: (n,) each."""
        proposed = propose(
            self.alternatives_, self._asked(likely, self.design_.transform(items)), 1
        )
        found = np.full(likely.shape, -1)
        found[proposed.item, proposed.operation] = proposed.place
        return proposed.certainty, (found == places(rows)).all(axis=1) & rows.whole

    def _asked(self, likely: np.ndarray, matrix: np.ndarray) -> Asked:
        """What the likelihoods of the operations alone say of items."""
        likely = likely.astype(np.float64)
        present = decide(likely, self.operations_)
        place, sure = self.order_.rank(matrix, present)
        return Asked(likely, present, place, sure, self.order_.likely(matrix))

    def _try(self, looks: list[Prepared], rows: Rows) -> Unknown:
        """What is borne out for kinds of items that were left out."""
        weights = self.telling_
        tried = tried_columns(looks[0].codes, weights[: len(self.encoder_.categories)])
        names = [self.encoder_.categories[i].column for i in tried]
        found = [
            self._tried_out(t, tried, [*looks[:2], looks[-1]], rows)
            for t in trials(looks[0], tried)
        ]
        if sum(len(part[1]) for part in found) < MIN_TRIED:
            return Unknown()
        inputs, right, slope, stray, new = (
            np.concatenate([part[k] for part in found]) for k in range(5)
        )
        penalty = np.r_[0.01, PENALTY, 0.1, np.full(len(tried), NEW_PENALTY)]
        bounds = [(None, None), (0.0, None), (None, 0.0), *[(None, None)] * len(tried)]
        odds = logistic(inputs, right, np.ones(len(right)), penalty, bounds)
        band = [_width(stray[new[:, j]]) for j in range(len(tried))]
        rates = [(b - 1) / weights[i] for b, i in zip(band, tried, strict=True)]
        return Unknown(names, odds.tolist(), float(slope.mean()), band, float(np.mean(rates)))

    def _tried_out(
        self, trial: Trial, tried: list[int], looks: list[Prepared], rows: Rows
    ) -> tuple[np.ndarray, ...]:
        """Of one trial: the inputs of the regression and whether the item was right (k, ...), the
        slope of the likelihoods (1,), the strays of run times and what was new of each."""
        other = self._from(trial.fitted, looks, rows.present, quick=True)
        items, theirs = trial.items, rows.at(trial.asked)
        likely = other.likely(items)
        said, right = self._judged(items, likely, theirs)
        new, weights = items.states == NEW, self.telling_
        given = Givenness(np.zeros(0), np.zeros(0), new @ weights, new[:, tried])
        slope = _slopes([logit(likely)], [np.zeros(len(likely))], theirs.present)[:1]
        fitted = looks[0].at(trial.fitted)
        known, inputs = (
            self.times_.scale.apply(self.design_, part, self.design_.transform(part))
            for part in (fitted, items)
        )
        stray, item = self.times_.strays_without(rows.at(trial.fitted), known, theirs, inputs)
        return unknown_inputs(said, given), right, slope, stray, given.tried[item]


def _slopes(odds: list[np.ndarray], missing: list[np.ndarray], present: np.ndarray) -> np.ndarray:
    """By how much the log-odds of operations are to be flattened: (2,), the second a unit of what
    is missing."""
    inputs = [
        np.c_[part.ravel(), (part * absent[:, None]).ravel()]
        for part, absent in zip(odds, missing, strict=True)
    ]
    target = np.tile(present.ravel(), len(odds))
    step = max(1, len(target) // MAX_SLOPES)
    some = np.concatenate(inputs)[::step]
    return logistic(some, target[::step], np.ones(len(some)), np.array([0.01, 1.0]))


def _width(strays: np.ndarray) -> float:
    """The factor of a band that holds as many as it should, of what was tried in vain else."""
    return max(1.0, float(np.quantile(strays, BAND[1] - BAND[0]))) if len(strays) else 1.0
