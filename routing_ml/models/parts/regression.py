"""Log minutes as a linear function of an item's features, one for each operation: a ridge
regression for what all operations share, and one for each on what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from routing_ml.models.features.attributes import Prepared
from routing_ml.models.features.design import Design, combine
from routing_ml.models.parts.operations import Rows
from routing_ml.models.trees.boosting import SEED

PENALTY_SHARED = 10.0
PENALTY_OWN = 60.0
STRENGTHS = (1.0, 0.1, 0.01, 0.001)
"""Of both penalties, those that are tried: where times follow a rule without noise, twenty items of
a kind say all, and shrinking what they say makes a time of 100 minutes one of 18."""
WORTH = 0.98  # of the loss by a greater penalty, to take a smaller one
MOST_TRIED = 1_000_000_000  # multiplications of one solution: where it takes more none is tried
MOST_EXACT = 30_000_000  # entries of the Gram matrices
FOLDS = 5
OUTLIER = 5.0  # standard deviations of a residual: a misprint, left out of the second fit
NO_MISPRINT = 0.7  # log minutes: half as much or double is none, be all else of one time
MIN_OWN = 10  # rows of an operation whose residuals have a spread of their own
MOST = 3.0  # log minutes that one row may lose: a misprint does not choose the penalty
INNER = (0.005, 0.995)  # quantiles between which a number's mean and spread are taken


@dataclass(frozen=True)
class Scale:
    """How the columns of the regression are made: per binned feature log or not, mean, spread."""

    logs: np.ndarray
    mean: np.ndarray
    spread: np.ndarray

    @classmethod
    def fit(cls, design: Design, items: Prepared) -> Scale:
        """Logarithms where hardly a value is negative or zero; the outermost values, such as 0 and
        9999999 for unknown, say nothing of the usual ones."""
        columns = _values(design, items)
        filled = [column[~np.isnan(column)] for column in columns]
        logs = np.array([len(c) > 0 and np.mean(c <= 0) <= INNER[0] for c in filled], bool)
        inner = [_inner(c[~np.isnan(c)]) for c in _logged(filled, logs)]
        mean = np.array([c.mean() if len(c) else 0.0 for c in inner])
        spread = np.array([c.std() if len(c) else 0.0 for c in inner])
        return cls(logs, mean, np.where(spread > 1e-9, spread, 1.0))

    def apply(self, design: Design, items: Prepared, matrix: np.ndarray) -> np.ndarray:
        """(n, 1 + F + N): one, the yes/no features (a missing number for binned), the numbers."""
        flags = np.where(design.bins == 2, matrix, matrix == 0).astype(np.float64)
        columns = _logged(_values(design, items), self.logs)
        if not len(columns):
            return np.c_[np.ones(len(matrix)), flags]
        numbers = (np.stack(columns, axis=1) - self.mean) / self.spread
        numbers = np.clip(np.nan_to_num(numbers), -6, 6)
        return np.c_[np.ones(len(matrix)), flags, numbers]


@dataclass(frozen=True)
class Regression:
    """`weights` (P, L); of every row its `residual` from weights fitted without its item, and
    whether it is `good`: there, and no misprint."""

    weights: np.ndarray
    residual: np.ndarray
    good: np.ndarray


def regress(
    inputs: np.ndarray, rows: Rows, log: np.ndarray, there: np.ndarray, size: int
) -> Regression:
    """Learn from the `log` (k,) minutes of rows that are `there` (k,), with `inputs` (n, P) of
    their items: with the penalty that is best on items that were not fitted on, then again without
    the misprints."""
    # at random: every fortieth item may be of a kind, and all of it in one fold of every fifth
    place = np.random.default_rng(SEED).permutation(len(rows.codes))
    fold, good = place[rows.item] % FOLDS, there.copy()
    strength = 0.0
    for last in (False, True):
        grams, moments = sums(inputs, rows, log, good, fold, size)
        gram, moment = grams.sum(axis=0), moments.sum(axis=0)

        def unseen(strength: float) -> np.ndarray:
            found = np.zeros(len(log))
            for k in range(FOLDS):
                own = solve(gram - grams[k], moment - moments[k], strength)  # noqa: B023
                at = np.flatnonzero(fold == k)
                guess = np.einsum("np,np->n", inputs[rows.item[at]], own.T[rows.operation[at]])
                found[at] = log[at] - guess
            return found

        if last:
            residual = unseen(strength)
        else:
            strength, residual = _strength(unseen, good, size * inputs.shape[1] ** 3)
            spread = _spread(residual[good], rows.operation[good], size)
            good &= np.abs(residual) <= np.maximum(OUTLIER * spread[rows.operation], NO_MISPRINT)
    return Regression(solve(gram, moment, strength), residual, good)


def _strength(
    unseen: Callable[[float], np.ndarray], good: np.ndarray, cost: int
) -> tuple[float, np.ndarray]:
    """The strength of the penalties, the greatest one where others are hardly better, and the
    residuals of items that were not fitted on."""
    best, residual, least = STRENGTHS[0], unseen(STRENGTHS[0]), np.inf
    for strength in STRENGTHS if cost <= MOST_TRIED and good.any() else ():
        tried = residual if strength == best else unseen(strength)
        loss = float(np.minimum(np.abs(tried[good]), MOST).mean())
        if loss >= WORTH * least:
            break
        best, residual, least = strength, tried, loss
    return best, residual


def _spread(residual: np.ndarray, operation: np.ndarray, size: int) -> np.ndarray:
    """(L,) the standard deviation of each operation's residuals, of all where it has few."""
    if not len(residual):
        return np.ones(size)
    count = np.maximum(1, np.bincount(operation, minlength=size))
    mean = np.bincount(operation, residual, minlength=size) / count
    square = np.bincount(operation, residual**2, minlength=size) / count
    own = np.sqrt(np.maximum(square - mean**2, 0))
    return np.where(count >= MIN_OWN, own, np.maximum(own, residual.std()))


def sums(
    inputs: np.ndarray, rows: Rows, log: np.ndarray, good: np.ndarray, fold: np.ndarray, size: int,
    folds: int = FOLDS,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Gram matrices (folds, L, P, P) and moments (folds, L, P) of every operation and fold."""
    width = inputs.shape[1]
    # single precision where double would take gigabytes: small penalties are not tried there
    exact = folds * size * width**2 <= MOST_EXACT
    grams = np.zeros((folds, size, width, width), np.float64 if exact else np.float32)
    moments = np.zeros((folds, size, width))
    order = np.lexsort((rows.operation, fold))
    order = order[good[order]]
    keys = fold[order] * size + rows.operation[order]
    cuts = np.r_[0, np.flatnonzero(np.diff(keys)) + 1, len(keys)] if len(keys) else [0]
    for start, end in pairwise(cuts):
        part = order[start:end]
        mine = inputs[rows.item[part]]
        k, operation = divmod(int(keys[start]), size)
        grams[k, operation] = mine.T @ mine
        moments[k, operation] = mine.T @ log[part]
    return grams, moments


def solve(grams: np.ndarray, moments: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """(P, L): an intercept for each operation, effects shared by all, and each one's deviation,
    with penalties of that `strength`."""
    grams = grams.astype(np.float64)
    count = grams[:, 0, 0]
    seen = count > 0
    safe = np.maximum(count, 1)
    mean, level = grams[:, 0, :] / safe[:, None], moments[:, 0] / safe
    # centred within the operation, so that the intercept is free and the rest is shrunk
    centred = grams - count[:, None, None] * mean[:, :, None] * mean[:, None, :]
    pulled = moments - count[:, None] * mean * level[:, None]
    width = grams.shape[1]
    free = np.r_[1e9, np.ones(width - 1)]
    shared = np.linalg.solve(
        centred.sum(axis=0) + np.diag(strength * PENALTY_SHARED * free), pulled.sum(axis=0)
    )
    left = pulled - centred @ shared
    own = np.linalg.solve(centred + np.diag(strength * PENALTY_OWN * free)[None], left[:, :, None])[
        :, :, 0
    ]
    effects = shared[None] + own
    effects[:, 0] = 0
    effects[:, 0] = np.where(seen, level - np.einsum("lp,lp->l", mean, effects), 0)
    return effects.T


def _values(design: Design, items: Prepared) -> list[np.ndarray]:
    return [combine(f, items.numbers) for f in design.features if f.edges]


def _inner(values: np.ndarray) -> np.ndarray:
    if not len(values):
        return values
    low, high = np.quantile(values, INNER)
    return values[(values >= low) & (values <= high)]


def _logged(columns: Sequence[np.ndarray], logs: np.ndarray) -> list[np.ndarray]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return [
            np.where(column > 0, np.log(column), np.nan) if log else column
            for column, log in zip(columns, logs, strict=True)
        ]
