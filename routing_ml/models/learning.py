"""How every candidate learns: from complete items and copies with columns left out, and what its
word is worth from items, copies and kinds that were held out."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from routing_ml.models.features.attributes import FEW, Encoder, Prepared
from routing_ml.models.features.design import Design
from routing_ml.models.features.gower import Gower
from routing_ml.models.ground import Ground, one_thread
from routing_ml.models.parts import operations
from routing_ml.models.parts.alike import Past
from routing_ml.models.parts.alternatives import Alternatives, Asked, propose
from routing_ml.models.parts.confidence import (
    NOVELTY,
    PENALTY,
    Confidence,
    Givenness,
    Unknown,
    learn_confidence,
    logistic,
    logit,
    unknown_inputs,
)
from routing_ml.models.parts.flags import Flags
from routing_ml.models.parts.machines import Machines
from routing_ml.models.parts.operations import Numbering, Operation, Rows, decide
from routing_ml.models.parts.order import Order, places
from routing_ml.models.parts.outside import Outside
from routing_ml.models.parts.quantities import Quantities
from routing_ml.models.parts.rates import Rates
from routing_ml.models.parts.times import BAND, Times
from routing_ml.models.parts.trials import Trial
from routing_ml.models.trees.boosting import SEED

FOLDS = 3
ONE_FIT = 10_000  # items beyond which one fit without HELD of them says enough
HELD = 4_000
FEW_WEIGHT = 3.0
FOLD_EFFORT, TRIAL_EFFORT = 0.5, 1 / 4
WIDEST_ALONE = 4.0  # the factor of a band that one reason alone may give
DOUBT = 0.5  # of a kind
MOST_KINDS, MIN_KIND = 0.95, 10  # of kinds left out, those of so many run times
MIN_TRIED = 30  # items of kinds left out, before anything is learned from them
MOST_COST = 1.0  # of a trial's few trees and items, in log-odds: .7 on the sample
MAX_SLOPES = 200_000  # likelihoods that the slopes are learned from
NEW_PENALTY = 1 / 500
"""Of the effects of what is new, for each item that was tried: a kind tells of them once, however
many items it has."""


class Learning(ABC):
    """The part of a candidate that is used once."""

    learns_copies: ClassVar[bool] = True
    items_: list[str]
    operations_: list[Operation]
    past_: Past
    encoder_: Encoder
    design_: Design
    order_: Order
    gower_: Gower
    telling_: np.ndarray
    numbering_: Numbering
    times_: Times
    machines_: Machines
    flags_: Flags
    outside_: Outside
    quantities_: Quantities
    alternatives_: Alternatives | None
    rates_: Rates | None
    confidence_: Confidence
    effort_: float = 1.0  # the share of the usual trees, of what only calibrates

    @one_thread
    def fit(
        self, ground: Ground, *, alternatives: pd.DataFrame | None = None, like: Self | None = None
    ) -> Self:
        """Learn from the items of `ground`. `alternatives` are the further routings of items, as
        of `dataset.other_routings`.

        `like` is a model of the same candidate and factory, fitted on hardly fewer items: what it
        has learned of how right it is, which takes many fits, is taken over.
        """
        self.__dict__.clear()  # a second fit begins anew
        self.rates_ = None
        rows = ground.rows
        self.items_, self.operations_, self.past_ = rows.codes, rows.operations, ground.past
        self.encoder_, self.design_, self.order_ = ground.encoder, ground.design, ground.order
        self.gower_, self.telling_, self.numbering_ = ground.gower, ground.telling, ground.numbering
        self.times_, self.machines_ = ground.times, ground.machines
        self.flags_, self.outside_, self.quantities_ = (
            ground.flags, ground.outside, ground.quantities
        )  # fmt: skip
        if like is None:
            self._know(ground, operations.further(alternatives, rows))
        else:
            self._take(like, ground)
        self._learn(self._learned(ground.looks), ground.present, np.arange(len(rows.codes)))
        return self

    def _know(self, ground: Ground, others: Rows | None) -> None:
        """Learn how right the candidate is of what it has not seen."""
        rows = ground.rows
        held, unseen = self._unseen(ground)
        self.alternatives_ = Alternatives.fit(rows, others, held, unseen[0], self.order_)
        right = self._calibrate(ground, held, unseen)
        self.confidence_.unknown = self._try(ground, right)

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

    def likely(self, items: Prepared, matrix: np.ndarray | None = None) -> np.ndarray:
        """How likely each operation is for prepared items, whose features `matrix` may be at hand,
        as the candidate says: (m, L)."""
        features = self.design_.transform(items) if matrix is None else matrix
        found = self._probabilities(items, features)
        return found if self.rates_ is None else self.rates_.blend(found, items.codes)

    def given(self, items: Prepared) -> Givenness:
        """What is missing of the items, and what is new."""
        return self.confidence_.given(items.states, self.telling_, self.encoder_.labels)

    def _take(self, like: Self, ground: Ground) -> None:
        """Take over what `like` has learned of how right it is."""
        if like.rates_:
            column = like.encoder_.categories[like.rates_.column].column
            columns = [category.column for category in self.encoder_.categories]
            if column in columns:  # else there are too few or too many of its values here
                codes, present = ground.prepared.codes, ground.present
                self.rates_ = like.rates_.of_others(codes, present, columns.index(column))
        self.confidence_ = like.confidence_.known_to(self.encoder_.labels)
        self.times_ = self.times_.as_wide_as(like.times_)
        self.alternatives_ = None
        if like.alternatives_:
            self.alternatives_ = like.alternatives_.known_to(
                like.operations_, self.operations_, self.order_
            )

    def _unseen(self, ground: Ground) -> tuple[np.ndarray, list[Asked]]:
        """Numbers (k,) of fitted items, and what models that had seen neither them nor their
        families say of them at each of the looks."""
        looks, present, matrix = ground.looks, ground.present, ground.matrix
        count = len(present)
        size = np.bincount(ground.families)
        place = np.random.default_rng(SEED).permutation(len(size))
        if count > ONE_FIT:
            before = np.cumsum(size[np.argsort(place)])[place]
            held = [np.flatnonzero((before <= max(HELD, size.max()))[ground.families])]
        else:
            fold = place[ground.families] % FOLDS
            held = [np.flatnonzero(fold == k) for k in range(FOLDS)]  # none is empty
        others = [
            self._from(np.setdiff1d(np.arange(count), at), looks, present, FOLD_EFFORT)
            for at in held
        ]
        learned = self._learned(looks)
        self._settle(
            others,
            [
                (np.vstack([self.design_.transform(look.at(at)) for look in learned]),
                 np.tile(present[at], (len(learned), 1)))
                for at in held
            ],
        )  # fmt: skip
        codes = looks[0].codes
        said = [other.likely(looks[0].at(at)) for other, at in zip(others, held, strict=True)]
        self.rates_ = Rates.learn(self._telling_most(), codes, present, held, said)
        for other, at in zip(others, held, strict=True):
            rest = np.setdiff1d(np.arange(count), at)
            other.rates_ = self.rates_ and self.rates_.of_others(codes[rest], present[rest])
            other.order_ = Order.fit(
                ground.rows.at(rest), matrix[rest], self.design_.bins, self.order_.pairs
            )
        return np.concatenate(held), [
            Asked.joined([
                other._asked_of(look.at(at), ground.change(at))
                for other, at in zip(others, held, strict=True)
            ])
            for look in looks
        ]  # fmt: skip

    def _from(
        self, rows: np.ndarray, looks: list[Prepared], present: np.ndarray, effort: float
    ) -> Self:
        """This candidate learned from the items number `rows` alone."""
        other = copy.copy(self)
        other.effort_ = effort
        if self.rates_:
            other.rates_ = self.rates_.of_others(looks[0].codes[rows], present[rows])
        other._learn([items.at(rows) for items in self._learned(looks)], present[rows], rows)
        return other

    def _telling_most(self) -> list[int]:
        """The numbers of the categories, those first that tell most."""
        weights = self.gower_.weights[: len(self.encoder_.categories)]
        return [i for i in np.argsort(-weights, kind="stable").tolist() if weights[i] > 0]

    def _calibrate(self, ground: Ground, held: np.ndarray, unseen: list[Asked]) -> np.ndarray:
        """Learn how right the model is from what it said of items it had not seen (`_unseen`);
        which of the complete ones it was right about."""
        looks, rows = [look.at(held) for look in ground.looks], ground.rows.at(held)
        judged = [self._judged(asked, rows) for asked in unseen]
        raw, right = (np.concatenate(part) for part in zip(*judged, strict=True))
        absent = np.concatenate([ground.absent(items) for items in looks])
        absent *= self.gower_.weights[ground.told] > 0  # what tells of times alone costs no odds
        copies = len(looks) - 1
        # copies weigh as much as complete items together, those of hardly any columns more: they
        # lie far out, where there are few others
        weight = np.repeat([1.0, *[1 / copies] * (copies - 1), FEW_WEIGHT / copies], len(held))
        labels = [self.encoder_.labels[i] for i in ground.told.tolist()]
        self.confidence_ = learn_confidence(
            raw, absent, right, weight, ground.blurs, labels, np.ones(2)
        )
        loss = [self.given(items).loss for items in looks]
        self.confidence_.slopes = _slopes([logit(a.likely) for a in unseen], loss, rows.present)
        return judged[0][1]

    def _judged(self, asked: Asked, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """How certain the model is of each whole routing, and whether it is right: (n,) each."""
        proposed = propose(self.alternatives_, asked, 1)
        found = np.full(asked.likely.shape, -1)
        found[proposed.item, proposed.operation] = proposed.place
        return proposed.certainty, (found == places(rows)).all(axis=1) & rows.whole

    def _asked_of(self, items: Prepared, change: np.ndarray | float) -> Asked:
        """What is said of past items, as of their time: without the `change` since."""
        matrix = self.design_.transform(items)
        return self._asked(np.clip(self.likely(items, matrix) - change, 0, 1), matrix)

    def _asked(self, likely: np.ndarray, matrix: np.ndarray) -> Asked:
        """What the likelihoods of the operations alone say of items."""
        likely = likely.astype(np.float64)
        present = decide(likely, self.operations_)
        place, sure = self.order_.rank(matrix, present)
        return Asked(likely, present, place, sure, self.order_.likely(matrix))

    def _try(self, ground: Ground, usually: np.ndarray) -> Unknown:
        """What is borne out for kinds of items that were left out, where items like all were right
        as `usually` (k,): a trial's few trees and items are right less often."""
        weights, tried = self.telling_, ground.tried
        found = [self._tried_out(ground, *trial) for trial in ground.trials]
        if sum(len(part[1]) for part in found) < MIN_TRIED:
            return Unknown()
        inputs, right, slope, stray, new, few, kind = (
            np.concatenate([part[k] for part in found]) for k in range(7)
        )
        effects = np.full(1 + 2 * len(tried), NEW_PENALTY * len(right))
        penalty = np.r_[0.01, PENALTY, PENALTY, effects]
        free, least, most = (None, None), (0.0, None), (None, 0.0)
        bounds = [free, least, least, most, *[free] * (2 * len(tried))]
        number = np.repeat(np.arange(len(found)), [len(part[1]) for part in found])
        doubt, doubted = _doubts(inputs, inputs[:, 4 : 4 + len(tried)] == 1, number)
        odds = logistic(
            np.r_[inputs, doubt], np.r_[right, np.zeros(len(doubt))],
            np.r_[np.ones(len(right)), doubted], penalty, bounds,
        )  # fmt: skip
        like_all = ~(inputs[:, 4:] > 0).any(axis=1)
        if like_all.sum() >= MIN_TRIED:
            odds[0] += _cost(right[like_all], usually)
        hardly = (new > 0) | few  # of so few items hardly anything is learned of times
        band = _widths(stray, hardly, new > 0, kind) + _widths(stray, few, new > 0, 0 * kind)
        rates = [(b - 1) / weights[i] for b, i in zip(band, tried, strict=False)]
        names = [self.encoder_.categories[i].column for i in tried]
        return Unknown(names, odds.tolist(), float(slope.mean()), band, float(np.mean(rates)))

    def _tried_out(
        self, ground: Ground, trial: Trial, stray: np.ndarray, item: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """Of one trial: the inputs of the regression and whether the item was right (k, ...), the
        slope of the likelihoods (1,), the strays of run times, what of each was new and few, and
        its values of the tried columns."""
        looks = [*ground.looks[:2], ground.looks[-1]]
        other = self._from(trial.fitted, looks, ground.present, TRIAL_EFFORT)
        items, theirs = trial.items, ground.rows.at(trial.asked)
        asked = other._asked_of(items, ground.change(trial.asked))
        said, right = self._judged(asked, theirs)
        new = NOVELTY[items.states]
        none, weight = np.zeros(0), new @ self.telling_
        few = (items.states == FEW)[:, ground.tried]
        given = Givenness(none, none, none, weight, new[:, ground.tried], few)
        slope = _slopes([logit(asked.likely)], [np.zeros(len(said))], theirs.present)[:1]
        kind = ground.prepared.codes[trial.asked[item]][:, ground.tried]
        return unknown_inputs(said, given), right, slope, stray, given.tried[item], few[item], kind


def _doubts(
    inputs: np.ndarray, new: np.ndarray, trial: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of each column a part of a kind that would have been wrong, and what it weighs, where `new`
    (k, J) says which items of which `trial` (k,) were new there: where few kinds were tried, all of
    them right says little of the next."""
    found, weight = [], []
    for mine in new.T:
        if mine.any():
            found.append(inputs[mine].mean(axis=0))
            weight.append(DOUBT * mine.sum() / len(np.unique(trial[mine])))
    return np.array(found).reshape(-1, inputs.shape[1]), np.array(weight)


def _cost(right: np.ndarray, usually: np.ndarray) -> float:
    """By how much lower the log-odds of being `right` (k,) are than `usually` (n,): nothing where
    that is not shown, and at most MOST_COST, for of ever fewer misses each would count more."""
    usual = (usually.sum() + 1) / (len(usually) + 2)
    mine = (right.sum() + usual) / (len(right) + 1)  # one more, as usual: few are not less right
    lost = logit(np.array([usual, mine]))
    return float(np.clip(lost[0] - lost[1], 0, MOST_COST))


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


def _widths(stray: np.ndarray, of: np.ndarray, new: np.ndarray, kind: np.ndarray) -> list[float]:
    """The factor of the band for each of the reasons `of` (k, J) why the strays (k,) are far out:
    where no other column is `new` (k, J), if there are enough of these; wide enough for MOST_KINDS
    of the kinds (k, J): over all of them together it held a fifth of one and all of another."""
    usual, found = _width(stray[~new.any(axis=1)]), []
    for mine, others, kinds in zip(of.T, (new.sum(axis=1)[:, None] - new).T, kind.T, strict=True):
        alone = mine & (others == 0)
        some = mine if alone.sum() < MIN_TRIED else alone
        values, counts = np.unique(kinds[some], return_counts=True)
        each = [_width(stray[some & (kinds == v)]) for v in values[counts >= MIN_KIND].tolist()]
        wide = np.quantile(each, MOST_KINDS, method="higher") if each else _width(stray[some])
        found.append(max(1.0, float(wide) / usual))
    return found


def _width(strays: np.ndarray) -> float:
    """The factor of a band that holds as many as it should, of what was tried in vain else."""
    if not len(strays):
        return 1.0
    return float(np.clip(np.quantile(strays, BAND[1] - BAND[0]), 1, WIDEST_ALONE))
