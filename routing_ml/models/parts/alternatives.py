"""Whole routings, ranked by how likely each is the planner's.

Operations that go together (forge, trim, normalise) or in place of others (or saw) stand or fall
together, which the likelihood of each alone does not say. Such operations are a *choice*: what the
model misjudged of one, it misjudged of the others too. Each choice has the ways in which past
routings settled it, and their probabilities are those nearest to how common each is under which
every operation is as likely as the model says. A routing is a way for each choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from scipy import optimize, sparse

from routing_ml.models.parts.operations import Rows
from routing_ml.models.parts.order import Order, places
from routing_ml.models.storage import Stored, offsets

LINKED = 0.25  # correlation of what was misjudged from which two operations are of one choice
SURELY = 4.0  # and standard deviations of a correlation of nothing
MAX_LINKED = 40  # operations of a choice
MAX_WAYS = 200  # of a choice, the commonest
SWEEPS = 15  # of proportional fitting
LEAST = 1e-3  # of a likelihood: one operation that was misjudged must not rule a routing out
SHOWN = 6  # candidates an item, of which the likeliest are shown
MIN_ITEMS = 30  # to learn the weights from
MAX_ITEMS = 5_000
RIDGE = 0.1
USUAL = np.array([1.0, 0.0, -2.0])  # the weights where there are too few items
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


@dataclass(frozen=True)
class Choice:
    """`operations` (k,) that stand or fall together, the `ways` (w, k) in which past routings have
    them, and how common each way is (w,), which sums to 1."""

    operations: np.ndarray
    ways: np.ndarray
    common: np.ndarray

    def likely(self, likely: np.ndarray) -> np.ndarray:
        """(m, w) probabilities of the ways by iterative proportional fitting: the nearest to
        `common`, by relative entropy, with the operations' likelihoods (m, L) as margins."""
        margins = np.clip(likely[:, self.operations], LEAST, 1 - LEAST)
        found = np.repeat(self.common[None], len(likely), axis=0)
        for _ in range(SWEEPS):
            for k, has in enumerate(self.ways.T):
                share = np.clip(found @ has, LEAST**2, 1 - LEAST**2)
                p = margins[:, k]
                found *= np.where(has, (p / share)[:, None], ((1 - p) / (1 - share))[:, None])
            found /= found.sum(axis=1, keepdims=True)  # margins that contradict each other drift
        return found


class Alternatives:
    """`choices`; `weights` (3,): of a routing's log likelihood, of being the likeliest operations,
    and of none being right; `whole`: the likeliest whole routing is proposed, for it is right more
    often than the likeliest operations."""

    def __init__(
        self, choices: Sequence[Choice], weights: np.ndarray, whole: bool, order: Order
    ) -> None:
        self.choices, self.weights, self.whole = list(choices), weights, whole
        self._order = order

    @classmethod
    def fit(cls, rows: Rows, others: Rows | None, asked: Asked, order: Order) -> Alternatives:
        """`asked` is of all fitted items, each as if it had not been fitted on (rows of NaN are
        left out); `others` are further routings of some of them, as of `operations.further`."""
        known = np.flatnonzero(~np.isnan(asked.likely).any(axis=1))
        has = rows.present.astype(bool)
        every = has if others is None else np.r_[has, others.present.astype(bool)]
        linked = _linked(has[known] - asked.likely[known])
        model = cls([_choice(of, every) for of in linked], USUAL, False, order)
        some = known[:: max(1, -(-len(known) // MAX_ITEMS))]
        if len(some) >= MIN_ITEMS:
            model._learn(asked.at(some), places(rows)[some], rows.whole[some])
        return model

    def _learn(self, asked: Asked, truth: np.ndarray, whole: np.ndarray) -> None:
        """The weights, and whether whole routings are right more often (by McNemar's test)."""
        facts, right = [], []
        for start in range(0, len(truth), AT_ONCE):
            part = asked.at(slice(start, start + AT_ONCE))
            present, pairs, found = self._candidates(part)
            count, width, size = present.shape
            place, _ = self._order.placed(
                pairs.reshape(count * width, -1), present.reshape(-1, size)
            )
            place = np.where(present, place.reshape(count, width, size), -1)
            right.append((place == truth[start : start + count, None]).all(axis=2))
            facts.append(found)
        facts_, right_ = np.concatenate(facts), np.concatenate(right) & whole[:, None]
        right_ &= np.isfinite(facts_[:, :, 0])
        answer = np.where(right_.any(axis=1), right_.argmax(axis=1), right_.shape[1])
        self.weights = _fit_weights(facts_, answer)
        best = _softmax(facts_, self.weights)[:, :-1].argmax(axis=1)
        gained, lost = ((best == answer) & (answer > 0)).sum(), ((best > 0) & (answer == 0)).sum()
        self.whole = bool(gained - lost > 2 * np.sqrt(gained + lost))

    def rank(self, asked: Asked, most: int) -> Proposed:
        """Up to `most` routings of each item: the one that is proposed, then the likeliest."""
        parts: list[list[np.ndarray]] = []
        likely = np.zeros((len(asked.likely), most))
        for start in range(0, len(likely), AT_ONCE):
            present, pairs, facts = self._candidates(asked.at(slice(start, start + AT_ONCE)))
            chance = _softmax(facts, self.weights)[:, :-1]
            order = np.argsort(-chance, axis=1, kind="stable")
            if not self.whole:  # the likeliest operations come first
                rest = order[order != 0].reshape(len(order), -1)
                order = np.c_[np.zeros(len(order), np.int64), rest]
            order = order[:, :most]
            chance = np.take_along_axis(chance, order, axis=1)
            likely[start : start + len(order), : order.shape[1]] = chance
            row, rank = np.nonzero(chance > 0)
            present = present[row, order[row, rank]]
            place, _ = self._order.placed(pairs[row, order[row, rank]], present)
            at, operation = np.nonzero(present)
            place = place[at, operation]
            sort = np.lexsort((place, at))
            at, operation, place = at[sort], operation[sort], place[sort]
            parts.append([row[at] + start, operation, place, rank[at]])
        rows = [np.concatenate(of) for of in zip(*parts, strict=True)] if parts else [
            np.zeros(0, np.int64)
        ] * 4  # fmt: skip
        return Proposed(*rows, likely, likely[:, 0])

    def _candidates(self, asked: Asked) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`present` (m, C, L), `pairs` (m, C, K) and facts (m, C, 2) of the likeliest routings, the
        likeliest operations first; the facts of what is none are -inf."""
        count, size = asked.likely.shape
        p = np.clip(asked.likely, LEAST, 1 - LEAST)
        singles = np.setdiff1d(
            np.arange(size), np.concatenate([c.operations for c in self.choices] or [[]])
        ).astype(np.int64)
        # per item: the log loss of each deviation from the best way of each choice
        best = p >= 0.5
        losses, deviations = [], []  # (m,) each; (operations, values) or a pair
        score = np.zeros(count)
        ways_of = []
        for choice in self.choices:
            chance = np.log(np.maximum(choice.likely(asked.likely), 1e-9))
            top = chance.argmax(axis=1)
            best[:, choice.operations] = choice.ways[top]
            score += chance.max(axis=1)
            ways_of.append(chance)
        score += np.log(np.maximum(p, 1 - p))[:, singles].sum(axis=1)
        score += np.log(np.maximum(asked.sure, 1e-9))
        width = SHOWN + 1
        present = np.repeat(best[:, None], width, axis=1)
        pairs = np.repeat(asked.pairs[:, None], width, axis=1)
        facts = np.full((count, width, 2), -np.inf)
        facts[:, :, 1] = 0
        present[:, 0], facts[:, 0, 1] = asked.present, 1
        gaps = np.abs(np.log(p / (1 - p)))
        turn_gaps = np.abs(np.log(asked.pairs / (1 - asked.pairs)))
        for row in range(count):
            self._fill(row, score, ways_of, singles, gaps, turn_gaps, best, present, pairs, facts, asked)
        return present, pairs, facts

    def _fill(self, row, score, ways_of, singles, gaps, turn_gaps, best, present, pairs, facts, asked):
        """The k best by adding up losses."""
        options = []  # list of lists of (loss, kind, which)
        for c, chance in enumerate(ways_of):
            loss = chance[row].max() - chance[row]
            order = np.argsort(loss, kind="stable")[:4]
            options.append([(float(loss[w]), ("way", c, int(w))) for w in order if loss[w] < 6])
        near = singles[np.argsort(gaps[row, singles], kind="stable")[:4]]
        for o in near.tolist():
            if gaps[row, o] < 6:
                options.append([(0.0, None), (float(gaps[row, o]), ("flip", o, 0))])
        for k in np.argsort(turn_gaps[row], kind="stable")[:2].tolist():
            a, b = self._order.pairs[k]
            if best[row, a] and best[row, b] and turn_gaps[row, k] < 6:
                options.append([(0.0, None), (float(turn_gaps[row, k]), ("turn", k, 0))])
        frontier = [(0.0, ())]
        for choices in options:
            frontier = sorted(
                ((loss + more, (*picked, what)) for loss, picked in frontier for more, what in choices),
                key=lambda entry: entry[0],
            )[: SHOWN + 1]
        own = asked.present[row]
        column = 1
        for loss, picked in frontier:
            has = best[row].copy()
            turned = asked.pairs[row]
            for what in picked:
                if what is None:
                    continue
                kind, a, b = what
                if kind == "way":
                    choice = self.choices[a]
                    has[choice.operations] = choice.ways[b]
                elif kind == "flip":
                    has[a] = ~has[a]
                else:
                    turned = turned.copy()
                    turned[a] = 1 - turned[a]
            if turned is asked.pairs[row] or (turned == asked.pairs[row]).all():
                if (has == own).all():
                    facts[row, 0, 0] = score[row] - loss
                    continue
            if column > SHOWN or not has.any():
                continue
            present[row, column], pairs[row, column] = has, turned
            facts[row, column, 0] = score[row] - loss
            column += 1
        if facts[row, 0, 0] == -np.inf:
            facts[row, 0, 0] = score[row] - 8


def propose(known: Alternatives | None, asked: Asked, most: int) -> Proposed:
    """Up to `most` routings of each item; one where nothing is known of whole routings."""
    sure = certainty(asked.likely) * asked.sure
    if known is not None and (most > 1 or known.whole):
        proposed = known.rank(asked, most)
        return proposed if known.whole else replace(proposed, certainty=sure)
    item, operation = np.nonzero(asked.present)
    place = asked.place[item, operation]
    order = np.lexsort((place, item))
    rows = (of[order] for of in (item, operation, place))
    return Proposed(*rows, np.zeros(len(item), np.int64), sure[:, None], sure)


def certainty(likely: np.ndarray) -> np.ndarray:
    """The chance that every operation is decided rightly if they were independent: (m,)."""
    return np.maximum(likely, 1 - likely).prod(axis=1)


def _linked(misjudged: np.ndarray) -> list[np.ndarray]:
    """Operations that are misjudged together, from (n, L) what was less what was likely."""
    if not len(misjudged):
        return []
    norm = np.sqrt((misjudged**2).sum(axis=0))
    corr = np.abs(misjudged.T @ misjudged) / np.maximum(np.outer(norm, norm), 1)
    np.fill_diagonal(corr, 0)
    least = max(LINKED, SURELY / np.sqrt(len(misjudged)))
    while True:
        count, label = sparse.csgraph.connected_components(corr >= least)
        sizes = np.bincount(label, minlength=count)
        if sizes.max(initial=0) <= MAX_LINKED:
            return [np.flatnonzero(label == k) for k in np.flatnonzero(sizes > 1)]
        least += 0.05


def _choice(operations: np.ndarray, has: np.ndarray) -> Choice:
    """The ways in which routings `has` (n, L) settle a choice."""
    ways, counts = np.unique(has[:, operations], axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MAX_WAYS]
    return Choice(operations, ways[order], counts[order] / counts[order].sum())


def _softmax(facts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(m, C + 1): how likely each candidate is right, the last for none of them."""
    there = np.isfinite(facts[:, :, 0])
    score = np.where(there, np.where(there[:, :, None], facts, 0) @ weights[:-1], -np.inf)
    score = np.c_[score, np.full(len(score), weights[-1])]
    score = np.exp(score - score.max(axis=1, keepdims=True))
    return score / score.sum(axis=1, keepdims=True)


def _fit_weights(facts: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """The weights (3,) of greatest likelihood (a conditional logit, McFadden 1974), drawn
    towards the usual ones; `answer` (m,) is the right candidate, C for none."""
    width = facts.shape[1]
    inputs = np.zeros((len(facts), width + 1, 3))
    inputs[:, :-1, :-1] = np.where(np.isfinite(facts[:, :, :1]), facts, 0)
    inputs[:, -1, -1] = 1
    rows = np.arange(len(inputs))
    chosen = inputs[rows, answer].sum(axis=0)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        likely = _softmax(facts, weights)
        away = weights - USUAL
        value = RIDGE / 2 * away @ away - np.log(likely[rows, answer] + 1e-12).sum()
        return value, RIDGE * away - chosen + np.einsum("mc,mcf->f", likely, inputs)

    return optimize.minimize(loss, USUAL, jac=True, method="BFGS").x
