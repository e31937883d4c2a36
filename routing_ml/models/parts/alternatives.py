"""Whole routings, ranked by how likely each is the planner's.

Operations that are chosen together stand or fall together (`choices`), which the likelihood of each
alone does not say. Each choice has the ways in which past routings settled it; a routing is a way
for each choice, and with or without each other operation. How far this is to be believed is learned
from items that were not fitted on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy import optimize

from routing_ml.models.parts.alike import Way
from routing_ml.models.parts.choices import LEAST, Choice, linked
from routing_ml.models.parts.operations import Operation, Rows, repeats, with_earlier
from routing_ml.models.parts.order import Order, places
from routing_ml.models.storage import Stored

SHOWN = 6  # routings weighed for an item beside the proposed one
MAX_OPEN = 6  # choices, operations and orders of an item that are thought otherwise
UNLIKELY = 6.0  # log odds against what is not worth weighing
UNSEEN = 8.0  # log odds against likeliest operations that are the candidate of no choice
MIN_ITEMS = 30  # to learn the weights from
MAX_ITEMS = 2_500
RIDGE = 0.1
LEAST_WEIGHT = 0.1  # what is likelier must stay so
USUAL = np.array([1.0, 1.0, 0.0, -2.0])  # the weights where there are too few items
AT_ONCE = 1_024


@dataclass(frozen=True)
class Asked:
    """Of m items, what each operation alone says: `likely` (m, L), `present` (m, L) and `place`
    (m, L) of those proposed, how `sure` their order is (m,), and `pairs` (m, K) as of
    `Order.likely`."""

    likely: np.ndarray
    present: np.ndarray
    place: np.ndarray
    sure: np.ndarray
    pairs: np.ndarray

    def at(self, some: np.ndarray | slice) -> Asked:
        """Some of the items."""
        return Asked(*(getattr(self, field.name)[some] for field in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence[Asked]) -> Asked:
        """All items of the parts."""
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))


@dataclass(frozen=True)
class Proposed:
    """Routings of m items as rows (k,), `item`, `operation`, `place` in the routing and `rank` of
    the routing, each from 0; `likely` (m, most) that each is the planner's, as far as its
    operations say; `certainty` (m,) of the first, to be calibrated."""

    item: np.ndarray
    operation: np.ndarray
    place: np.ndarray
    rank: np.ndarray
    likely: np.ndarray
    certainty: np.ndarray

    def shared(self, first: np.ndarray) -> np.ndarray:
        """(m, most) how likely each routing is right, where the first is by `first` (m,): what is
        taken from it goes to all others alike, and what speaks against the item against all."""
        said = np.clip(self.likely[:, :1], 1e-9, 1 - 1e-9)
        first = first[:, None]
        found = self.likely * np.minimum(first / said, (1 - first) / (1 - said))
        return np.c_[first, np.minimum(found[:, 1:], first)]

    def instead(self, ways: Mapping[int, Sequence[Way]]) -> Proposed:
        """With these routings of some of the items instead of theirs, the first proposed."""
        if not ways:
            return self
        kept = ~np.isin(self.item, list(ways))
        likely = self.likely.copy()
        rows = []
        for item, found in ways.items():
            likely[item] = 0
            for rank, way in enumerate(found):
                likely[item, rank] = way.likely
                rows += [(item, k, at, rank) for at, k in enumerate(way.operations)]
        own = np.stack([self.item, self.operation, self.place, self.rank], axis=1)[kept]
        every = np.r_[own, np.array(rows, np.int64).reshape(-1, 4)]
        every = every[np.lexsort((every[:, 2], every[:, 3], every[:, 0]))]
        item, operation, place, rank = every.T
        return Proposed(item, operation, place, rank, likely, self.certainty)


@dataclass(frozen=True)
class Change:
    """Another way than the likeliest for a part of a routing: `operations` that are then there or
    not (`has`), and the open pair of the order that is turned round, -1 for none; `lost` (2,) log
    likelihood, of choices and of all else."""

    lost: tuple[float, float]
    operations: np.ndarray
    has: np.ndarray
    pair: int = -1


@dataclass(frozen=True)
class Settled:
    """The likeliest whole routings of m items: `best` (m, L), its log likelihood `score` (m, 2) of
    choices and of all else, and the log likelihoods of the ways of each choice, (m, w) each."""

    best: np.ndarray
    score: np.ndarray
    ways: list[np.ndarray]

    def at(self, some: slice) -> Settled:
        """Of some of the items."""
        return Settled(self.best[some], self.score[some], [of[some] for of in self.ways])


@dataclass(frozen=True)
class Candidates:
    """Routings of m items, the proposed one first: `present` (m, C, L), `pairs` (m, C, K) and
    `facts` (m, C, 3), -inf where there is none."""

    present: np.ndarray
    pairs: np.ndarray
    facts: np.ndarray


class Alternatives:
    """`choices`; `whole`: the likeliest whole routing is proposed, for it is right more often than
    the likeliest operations; `weights` (4,): of a routing's log likelihood, that of its choices and
    that of all else, of being the proposed one, and of none being right."""

    def __init__(
        self, choices: Sequence[Choice], weights: np.ndarray, whole: bool, order: Order,
        operations: Sequence[Operation],
    ) -> None:  # fmt: skip
        self.choices, self.weights, self.whole = list(choices), weights, whole
        self._order, self._repeats = order, repeats(operations)

    @classmethod
    def fit(
        cls, rows: Rows, others: Rows | None, held: np.ndarray, asked: Asked, order: Order
    ) -> Alternatives:
        """`asked` is of the items number `held` (k,), each as if it had not been fitted on;
        `others` are further routings of some items, as of `operations.further`."""
        has = rows.present.astype(bool)
        beside = None if others is None else others.present[others.whole].astype(bool)
        together = linked(has[held] - asked.likely)
        choices = [Choice.fit(of, has, beside) for of in together]
        model = cls(choices, USUAL, False, order, rows.operations)
        some = np.arange(0, len(held), max(1, -(-len(held) // MAX_ITEMS)))
        if len(some) >= MIN_ITEMS:
            truth = np.where(rows.whole[:, None], places(rows), -2)
            model._learn(asked.at(some), truth[held[some]])
        return model

    def _learn(self, asked: Asked, truth: np.ndarray) -> None:
        """Whether whole routings are right more often (by McNemar's test), and the weights;
        `truth` (m, L) as of `places`, -2 where operations were left out."""
        best = self._settle(asked).best
        place, _ = self._order.placed(asked.pairs, best)
        right = (np.where(best, place, -1) == truth).all(axis=1)
        alone = (np.where(asked.present, asked.place, -1) == truth).all(axis=1)
        gained, lost = (right & ~alone).sum(), (alone & ~right).sum()
        self.whole = bool(gained - lost > 2 * np.sqrt(gained + lost))
        for _ in range(2):  # the weights tell which candidates there are
            self.weights = _fit_weights(*self._answers(asked, truth))

    def _answers(self, asked: Asked, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The facts (m, C, 3) of all candidates; the number of the right one (m,), C of none."""
        facts, answer = [], []
        for start in range(0, len(truth), AT_ONCE):
            some = asked.at(slice(start, start + AT_ONCE))
            found = self._candidates(some, self._settle(some))
            count, width, size = found.present.shape
            place, _ = self._order.placed(
                found.pairs.reshape(count * width, -1), found.present.reshape(-1, size)
            )
            place = np.where(found.present, place.reshape(count, width, size), -1)
            right = (place == truth[start : start + count, None]).all(axis=2)
            right &= np.isfinite(found.facts[:, :, 0])
            answer.append(np.where(right.any(axis=1), right.argmax(axis=1), width))
            facts.append(found.facts)
        return np.concatenate(facts), np.concatenate(answer)

    def known_to(
        self, theirs: Sequence[Operation], mine: Sequence[Operation], order: Order
    ) -> Alternatives:
        """What was learned by a model of the operations `theirs`, for one of `mine` and its order,
        fitted on hardly other items."""
        at = {(o.job, o.occurrence): k for k, o in enumerate(mine)}
        keys = [(o.job, o.occurrence) for o in theirs]
        number = {k: at[key] for k, key in enumerate(keys) if key in at}
        choices = [choice.known_to(number) for choice in self.choices]
        return Alternatives([c for c in choices if c], self.weights, self.whole, order, mine)

    def first(self, asked: Asked) -> Proposed:
        """The likeliest whole routing of each item."""
        return self._first(asked, self._settle(asked))

    def _first(self, asked: Asked, settled: Settled) -> Proposed:
        place, sure = self._order.placed(asked.pairs, settled.best)
        chance = np.exp(settled.score @ self.weights[:2]) * sure
        return _proposed(settled.best, place, np.arange(len(place)), chance[:, None], chance)

    def rank(self, asked: Asked, most: int) -> Proposed:
        """Up to `most` routings of each item: the one that is proposed, then the likeliest."""
        parts = []
        likely, settled = np.zeros((len(asked.likely), most)), self._settle(asked)
        for start in range(0, len(likely), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            found = self._candidates(asked.at(some), settled.at(some))
            chance = _softmax(found.facts, self.weights)[:, :-1]
            rest = np.argsort(-chance[:, 1:], axis=1, kind="stable") + 1
            order = np.c_[np.zeros(len(rest), np.int64), rest][:, :most]
            chance = np.take_along_axis(chance, order, axis=1)
            likely[start : start + len(order), : order.shape[1]] = chance
            row, rank = np.nonzero(chance > 0)
            present, pairs = (of[row, order[row, rank]] for of in (found.present, found.pairs))
            place, _ = self._order.placed(pairs, present)
            parts.append((present, place, (row + start) * most + rank))
        if not parts:
            none = np.zeros(0)
            return _proposed(asked.present, asked.place, none.astype(np.int64), likely, none)
        present, place, number = (np.concatenate(of) for of in zip(*parts, strict=True))
        certain = self._first(asked, settled).certainty if self.whole else certainty(asked)
        return _proposed(present, place, number, likely, certain)

    def facts(self) -> list[list[int]]:
        """The operations of each choice, as JSON takes it."""
        return [choice.operations.tolist() for choice in self.choices]

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_stored` needs beside `facts` and `whole`."""
        found = {"weights": self.weights}
        for k, choice in enumerate(self.choices):
            found |= {f"ways.{k}": choice.ways, f"common.{k}": choice.common}
        return found

    @classmethod
    def from_stored(
        cls, stored: Stored, prefix: str, operations: Sequence[Operation], order: Order
    ) -> Alternatives | None:
        """The part of a stored model; None where it is of 2.1.0 and has none."""
        if stored.format == 1:
            return None
        size = len(operations)
        choices = []
        for k, known in enumerate(stored.fact(f"{prefix}.choices", list)):
            is_number = isinstance(known, list) and all(type(of) is int for of in known)
            if not is_number or not known or not 0 <= min(known) <= max(known) < size:
                stored.refuse(f"{prefix}.choices", "names an operation that is not there")
            ways = stored.array(f"{prefix}.ways.{k}", "b", (None, len(known)))
            common = stored.array(f"{prefix}.common.{k}", "f", (len(ways),), low=1e-12, high=1)
            if not len(ways):
                stored.refuse(f"{prefix}.ways.{k}", "is empty")
            choices.append(Choice(np.array(known), ways, common))
        weights = stored.array(f"{prefix}.weights", "f", (4,), low=-1e6, high=1e6)
        if (weights[:2] < 0).any():
            stored.refuse(f"{prefix}.weights", "has what is likely count against itself")
        return cls(choices, weights, stored.fact(f"{prefix}.whole", bool), order, operations)

    def _settle(self, asked: Asked) -> Settled:
        likely = np.clip(asked.likely, LEAST, 1 - LEAST)
        best = likely >= 0.5
        score = np.log(np.maximum(likely, 1 - likely))
        ways, chosen = [], np.zeros(len(best))
        for choice in self.choices:
            chance = np.log(np.maximum(choice.likely(asked.likely), LEAST**2))
            best[:, choice.operations] = choice.ways[chance.argmax(axis=1)]
            score[:, choice.operations] = 0
            chosen += chance.max(axis=1)
            ways.append(chance)
        none = ~best.any(axis=1)
        best[none] = asked.present[none]
        best = with_earlier(best, self._repeats)
        return Settled(best, np.c_[chosen, score.sum(axis=1)], ways)

    def _candidates(self, asked: Asked, settled: Settled) -> Candidates:
        likely = np.clip(asked.likely, LEAST, 1 - LEAST)
        alone = np.abs(np.log(likely / (1 - likely)))
        alone[:, [k for choice in self.choices for k in choice.operations]] = np.inf
        turned = np.abs(np.log(asked.pairs / (1 - asked.pairs)))
        first = settled.best if self.whole else asked.present
        count, width = len(likely), 1 + SHOWN
        present = np.repeat(first[:, None], width, axis=1)
        pairs = np.repeat(asked.pairs[:, None], width, axis=1)
        facts = np.zeros((count, width, 3))
        facts[:, 1:, 0], facts[:, 0, 2] = -np.inf, 1
        facts[:, 0, :2] = settled.score - [UNSEEN, 0]
        for row in range(count):
            best, column = settled.best[row], 1
            parts = self._changes([of[row] for of in settled.ways], alone[row], turned[row], best)
            for _, changes in _cheapest(parts, width):
                lost = np.array([change.lost for change in changes]).reshape(-1, 2)
                score = settled.score[row] - lost.sum(axis=0)
                has, turns = best.copy(), [change.pair for change in changes if change.pair >= 0]
                for change in changes:
                    has[change.operations] = change.has
                if not turns and (has == first[row]).all():
                    facts[row, 0, :2] = score
                elif column < width and has.any():
                    present[row, column] = has
                    pairs[row, column, turns] = 1 - pairs[row, column, turns]
                    facts[row, column, :2] = score
                    column += 1
        later, earlier = self._repeats.T
        facts[(present[:, :, later] & ~present[:, :, earlier]).any(axis=2), 0] = -np.inf
        facts[self._repeated(present, pairs, facts), 0] = -np.inf
        return Candidates(present, pairs, facts)

    def _repeated(self, present: np.ndarray, pairs: np.ndarray, facts: np.ndarray) -> np.ndarray:
        """(m, C): is it the same routing as an earlier candidate? A pair that is turned round may
        leave the order as it is, where a third operation stands between."""
        count, width, size = present.shape
        there = np.isfinite(facts[:, :, 0])
        place, _ = self._order.placed(pairs.reshape(count * width, -1), present.reshape(-1, size))
        place = np.where(present, place.reshape(count, width, size), -1)
        found = np.zeros((count, width), bool)
        for late in range(1, width):
            for early in range(late):
                same = (place[:, late] == place[:, early]).all(axis=1)
                found[:, late] |= same & there[:, early]
        return found

    def _changes(
        self, ways: list[np.ndarray], alone: np.ndarray, turned: np.ndarray, best: np.ndarray
    ) -> list[list[tuple[float, Change]]]:
        """Of one item, for each thing that is open, what may be instead of the likeliest and how
        much weighted log likelihood it costs: ways (w,) of each choice, `alone` (L,) of the
        operations of none, `turned` (K,) of the open pairs."""
        found = []
        of_choices, of_others = self.weights[:2].tolist()
        for choice, chance in zip(self.choices, ways, strict=True):
            loss = chance.max() - chance
            order = np.argsort(loss, kind="stable")[1 : 1 + SHOWN]
            found.append([
                (of_choices * lost, Change((lost, 0.0), choice.operations, choice.ways[w]))
                for w, lost in zip(order.tolist(), loss[order].tolist(), strict=True)
                if of_choices * lost < UNLIKELY
            ])  # fmt: skip
        for k in np.flatnonzero(of_others * alone < UNLIKELY).tolist():
            lost = float(alone[k])
            found.append([(of_others * lost, Change((0.0, lost), np.array([k]), ~best[[k]]))])
        none = np.zeros(0, np.int64), np.zeros(0, bool)
        for k in np.flatnonzero(of_others * turned < UNLIKELY).tolist():
            lost = float(turned[k])
            if best[self._order.pairs[k]].all():
                found.append([(of_others * lost, Change((0.0, lost), *none, k))])
        return sorted((of for of in found if of), key=lambda of: of[0][0])[:MAX_OPEN]


def _cheapest(
    parts: list[list[tuple[float, Change]]], most: int
) -> list[tuple[float, tuple[Change, ...]]]:
    """The combinations of at most one change of each part that cost least, none first."""
    found: list[tuple[float, tuple[Change, ...]]] = [(0.0, ())]
    for part in parts:
        more = [(loss + cost, (*made, change)) for loss, made in found for cost, change in part]
        found = sorted(found + more, key=lambda entry: entry[0])[:most]
    return found


def _proposed(
    present: np.ndarray, place: np.ndarray, number: np.ndarray, likely: np.ndarray,
    certain: np.ndarray,
) -> Proposed:  # fmt: skip
    """Routings (r, L) as rows; `number` (r,) is that of the item times the most routings an item
    plus the rank."""
    at, operation = np.nonzero(present[: len(number)])
    place = place[at, operation]
    order = np.lexsort((place, at))
    item, rank = np.divmod(number[at[order]], likely.shape[1])
    return Proposed(item, operation[order], place[order], rank, likely, certain)


def propose(known: Alternatives | None, asked: Asked, most: int) -> Proposed:
    """Up to `most` routings of each item; one where nothing is known of whole routings."""
    if known is not None and (most > 1 or known.whole):
        return known.rank(asked, most) if most > 1 else known.first(asked)
    sure = certainty(asked)
    return _proposed(asked.present, asked.place, np.arange(len(sure)), sure[:, None], sure)


def certainty(asked: Asked) -> np.ndarray:
    """The chance that every operation is decided rightly if they were independent: (m,)."""
    return np.maximum(asked.likely, 1 - asked.likely).prod(axis=1) * asked.sure


def _softmax(facts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(m, C + 1): how likely each candidate is right, the last for none of them."""
    there = np.isfinite(facts[:, :, 0])
    score = np.where(there, np.where(there[:, :, None], facts, 0) @ weights[:-1], -np.inf)
    score = np.c_[score, np.full(len(score), weights[-1])]
    score = np.exp(score - score.max(axis=1, keepdims=True))
    return score / score.sum(axis=1, keepdims=True)


def _fit_weights(facts: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """The weights (4,) of greatest likelihood (a conditional logit, McFadden 1974), drawn towards
    the usual ones; `answer` (m,) is the right candidate, C for none."""
    width = facts.shape[1]
    inputs = np.zeros((len(facts), width + 1, 4))
    inputs[:, :-1, :-1] = np.where(np.isfinite(facts[:, :, :1]), facts, 0)
    inputs[:, -1, -1] = 1
    rows = np.arange(len(inputs))
    chosen = inputs[rows, answer].sum(axis=0)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        likely = _softmax(facts, weights)
        away = weights - USUAL
        value = RIDGE / 2 * away @ away - np.log(likely[rows, answer] + 1e-12).sum()
        return value, RIDGE * away - chosen + np.einsum("mc,mcf->f", likely, inputs)

    found = optimize.minimize(loss, USUAL, jac=True, method="BFGS").x
    return np.r_[np.maximum(found[:2], LEAST_WEIGHT), found[2:]]
