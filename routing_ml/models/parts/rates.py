"""How often the items with one value of one column have each operation, beside a candidate's word.

Of a part number with five orders trees and votes make little: the value is too rare for a split and
too weak in a similarity. Its own few routings say more. On a shop's log of 43 parts trees alone got
half the F1 of the commonest routing of each part; where that is not so, nothing is blended in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from routing_ml.models.parts.confidence import logistic, logit
from routing_ml.models.storage import Stored
from routing_ml.models.trees.boosting import sigmoid
from routing_ml.models.trees.ensemble import leaf_sums

PRIORS = (0.3, 3.0)  # items as all are, that are added to those of a value
WORTH = 0.8  # of the candidate's log loss, that is left at most: on a log of part numbers a quarter
LEAST = 1e-3  # of a rate: a value's few items cannot say more
MOST_COLUMNS = 4
MOST_CELLS = 20_000  # of a fold
USUAL = np.array([0.0, 1.0, 0.0, 0.0])  # the candidate's word alone


@dataclass(frozen=True)
class Rates:
    """`table` (V, L) of rates in [0, 1] for the values of category number `column`, drawn towards
    those of all by `prior` items, and whether an operation was `seen` (V, L) with the value at all;
    `mix` (4,): intercept and the weights of the candidate's log-odds, the rates' and of being seen.
    """

    column: int
    prior: float
    table: np.ndarray
    seen: np.ndarray
    mix: np.ndarray

    @classmethod
    def of(
        cls, column: int, prior: float, codes: np.ndarray, present: np.ndarray, mix: np.ndarray
    ) -> Rates:
        """The rates of items with `codes` (n, C); NaN of a value that none has."""
        mine = codes[:, column]
        size = int(mine.max(initial=-1)) + 1
        (sums,) = leaf_sums(mine[mine >= 0], size, present[mine >= 0].astype(np.float32))
        count = np.bincount(mine[mine >= 0], minlength=size)[:, None]
        rates = (sums + prior * present.mean(axis=0)) / (count + prior)
        rates = np.where(count > 0, np.clip(rates, LEAST, 1 - LEAST), np.nan)
        return cls(column, prior, rates.astype(np.float32), sums > 0, mix)

    @classmethod
    def learn(
        cls, columns: Sequence[int], codes: np.ndarray, present: np.ndarray,
        held: Sequence[np.ndarray], unseen: Sequence[np.ndarray],
    ) -> Rates | None:  # fmt: skip
        """Which of `columns`, and which blend, says most of items `held` (k,) against the others,
        where the candidate said `unseen` (k, L) of them; None where none is far better than
        the candidate alone, both calibrated."""
        best: Rates | None = None
        least = WORTH
        for column, prior in product(columns[:MOST_COLUMNS], PRIORS):
            inputs, target = [], []
            for at, likely in zip(held, unseen, strict=True):
                rest = np.setdiff1d(np.arange(len(codes)), at)
                some = slice(None, None, max(1, -(-likely.size // MOST_CELLS)))
                rates = cls.of(column, prior, codes[rest], present[rest], USUAL)
                known, said = rates._inputs(likely[some], codes[at[some]])
                inputs.append(said)
                target.append(present[at[some]][known])
            said, truth = np.concatenate(inputs), np.concatenate(target)
            if not truth.size:
                continue
            alone, mix = (_mixed(said.reshape(-1, 4), truth.ravel(), parts) for parts in (2, 4))
            left = _loss(said @ mix, truth).sum() / _loss(said @ alone, truth).sum()
            if left < least:
                best, least = cls.of(column, prior, codes, present, mix), left
        return best

    def of_others(self, codes: np.ndarray, present: np.ndarray, column: int | None = None) -> Rates:
        """The same blend with the rates of other items; `column` where it has another number."""
        own = self.column if column is None else column
        return self.of(own, self.prior, codes, present, self.mix)

    def blend(self, likely: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """The candidate's likelihoods (m, L), of items with `codes` (m, C), with the rates blended
        in where the value is known."""
        found = likely.astype(np.float64)
        known, inputs = self._inputs(found, codes)
        found[known] = sigmoid(inputs @ self.mix)
        return found

    def _inputs(self, likely: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The items (k,) with a known value, and what is mixed for each operation: (k, L, 4)."""
        mine = codes[:, self.column]
        known = np.flatnonzero((mine >= 0) & (mine < len(self.table)))
        known = known[~np.isnan(self.table[mine[known], :1]).any(axis=1)]
        rates, seen = self.table[mine[known]], self.seen[mine[known]]
        own = logit(likely[known])
        return known, np.stack([np.ones_like(own), own, logit(rates), seen], axis=2)

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_stored` needs beside the column."""
        return {
            "prior": np.array([self.prior]),
            "table": self.table, "seen": self.seen, "mix": self.mix,
        }  # fmt: skip

    @classmethod
    def from_stored(cls, stored: Stored, prefix: str, categories: int, size: int) -> Rates | None:
        """The part of a stored model of so many operations; None where it has none."""
        column = -1 if stored.format == 1 else stored.fact(prefix, int)
        if column == -1:
            return None
        if not 0 <= column < categories:
            stored.refuse(prefix, "is no category")
        prior = stored.array(f"{prefix}.prior", "f", (1,), low=0)
        table = stored.array(f"{prefix}.table", "f", (None, size), low=0, high=1)
        seen = stored.array(f"{prefix}.seen", "b", (len(table), size))
        mix = stored.array(f"{prefix}.mix", "f", (4,), low=-100, high=100)
        if (mix[1:] < 0).any():
            stored.refuse(f"{prefix}.mix", "has a weight below 0")
        return cls(column, float(prior[0]), table, seen, mix)


def _mixed(inputs: np.ndarray, target: np.ndarray, parts: int) -> np.ndarray:
    """The mix of greatest likelihood of the first `parts` inputs, 0 for the others."""
    bounds: list[tuple[float | None, float | None]] = [(None, None), *[(0.0, None)] * 3]
    found = logistic(
        inputs[:, :parts], target, np.ones(len(inputs)), np.full(parts, 0.1), bounds[:parts]
    )
    return np.r_[found, np.zeros(4 - parts)]


def _loss(odds: np.ndarray, target: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, np.where(target > 0, -odds, odds))
