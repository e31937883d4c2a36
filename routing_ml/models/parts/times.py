"""Setup and run minutes of operations, with a low-high band that holds four of five run times.

The logarithm of a time is linear in the logarithms of the dimensions and in the yes/no features:
one ridge regression for what all operations share, one for each operation on what is left, and a
few trees for steps. Reported hours are blended in as far as they carry news, and where times have
risen or fallen, the level is that of late.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from routing_ml.models.features.attributes import Prepared
from routing_ml.models.features.design import Design, combine
from routing_ml.models.parts.confidence import Givenness, Unknown
from routing_ml.models.parts.operations import Rows
from routing_ml.models.parts.recent import ages, risen
from routing_ml.models.storage import Stored, prefixed
from routing_ml.models.trees.boosting import Plan, boost_numbers
from routing_ml.models.trees.ensemble import Ensemble, Shape

PENALTY_SHARED = 10.0
PENALTY_OWN = 60.0
FOLDS = 5
BAND = (0.1, 0.9)
OUTLIER = 5.0  # standard deviations of a residual: a misprint, left out of the second fit
ROUNDING = 1e-4  # log minutes: times that are the same for all items are no misprints
MIN_ROWS = 40  # of an operation for quantiles of its own
MAX_CORRECTION = 0.7  # log minutes: more is a misprint, not a lesson
MIN_REPORTS = 100  # reported operations before they are listened to
MIN_SHARE = 0.05
WIDTH_STEPS = 12
WIDEST = 12.0  # the factor of the band: times that are always the same have no width at all
UNTRIED = 3.0  # the factor of the band at most, where nothing was tried
LEAST_STRAY = 0.05
AS_WIDE = np.array([[0.0], [1.0]])
MINUTES = (1e-6, 1e9)  # that a time may be: less is none, more is a misprint
PLAN = Plan(trees=30, rate=0.2, shape=Shape(leaves=12, min_leaf=20, shrink=5.0))


@dataclass(frozen=True)
class Scale:
    """How the columns of the regression are made: per binned feature log or not, mean, spread."""

    logs: np.ndarray
    mean: np.ndarray
    spread: np.ndarray

    @classmethod
    def fit(cls, design: Design, items: Prepared) -> Scale:
        """Logarithms where no value is negative or zero."""
        columns = _values(design, items)
        logs = np.array([(column[~np.isnan(column)] > 0).all() for column in columns], bool)
        columns = _logged(columns, logs)
        mean = np.array([np.nanmean(c) if (~np.isnan(c)).any() else 0.0 for c in columns])
        spread = np.array([np.nanstd(c) if (~np.isnan(c)).any() else 0.0 for c in columns])
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


class Times:
    """`weights` (2, P, L) of log setup and log run; `trees` correct them, (2 L) outputs;
    `band` (2, L) log factors around run; `zero` (2, L): this time is usually 0; `limits` (2, 2, L)
    least and most log minutes, equal where no time was above 0; `report_shares` (2,): how much a
    reported time weighs beside the planned one where there is one; `wider` (2, K): the factor of
    the band's width (the second row) at which blur of what is missing."""

    def __init__(
        self, scale: Scale, weights: np.ndarray, trees: Ensemble, band: np.ndarray,
        zero: np.ndarray, limits: np.ndarray, report_shares: np.ndarray,
        wider: np.ndarray = AS_WIDE,
    ) -> None:  # fmt: skip
        self.scale, self.trees, self.band, self.zero = scale, trees, band, zero
        self.weights = weights.astype(np.float32)  # as stored, so that a loaded model says the same
        self.limits, self.report_shares, self.wider = limits, report_shares, wider
        self._unknown = ~zero & (limits[:, 0] == limits[:, 1])

    @classmethod
    def fit(
        cls, rows: Rows, design: Design, items: Prepared, matrix: np.ndarray,
        results: pd.DataFrame | None = None,
    ) -> Times:  # fmt: skip
        """Impossible times (missing, negative, over MINUTES) are left out."""
        scale = Scale.fit(design, items)
        inputs = scale.apply(design, items, matrix)
        size = len(rows.operations)
        weights = np.zeros((2, inputs.shape[1], size))
        zero, limits = np.zeros((2, size), bool), np.zeros((2, 2, size))
        left = np.full((len(rows.codes), 2 * size), np.nan, np.float32)
        band, shares = np.zeros((2, size)), np.zeros(2)
        reported = reported_minutes(rows, results)
        for line, column in enumerate(("SETUP_TIME", "RUN_TIME")):
            minutes = possible(rows.table[column].to_numpy(float))
            positive = minutes > 0
            zero[line] = _mostly_zero(rows.operation, minutes, size)
            log = np.log(minutes, where=positive, out=np.zeros(len(minutes)))
            weights[line], residual = _regress(inputs, rows, log, positive, size)
            blend, shares[line] = _blend(rows, log, positive, residual, reported[line], size)
            if shares[line]:
                weights[line], residual = _regress(inputs, rows, blend, positive, size)
                residual += log - blend
            guess = (inputs @ weights[line])[rows.item[positive], rows.operation[positive]]
            rest = np.clip(blend[positive] - guess, -MAX_CORRECTION, MAX_CORRECTION)
            left[rows.item[positive], line * size + rows.operation[positive]] = rest
            late = ages(rows.entered)[rows.item[positive]]
            drawn = np.clip(residual[positive], -MAX_CORRECTION, MAX_CORRECTION)
            weights[line, 0] += risen(drawn, rows.operation[positive], late, size)
            limits[line] = _limits(rows.operation[positive], log[positive], size)
            if column == "RUN_TIME":
                band = _quantiles(rows.operation[positive], residual[positive], size)
        # the regression has taken the mean, so that the trees start at zero
        _, trees = boost_numbers(matrix, design.bins, left, PLAN)
        return cls(scale, weights, trees, band, zero, limits, shares)

    def predict(
        self, inputs: np.ndarray, matrix: np.ndarray, item: np.ndarray, operation: np.ndarray,
        width: np.ndarray | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Setup, run, low and high minutes of each (item, operation): (4, k). NaN where no time
        of the operation is known.

        `inputs` are the regression's (`scale.apply`), `matrix` the trees', `width` (items,) the
        factor of the band's width, in log minutes.
        """
        found = np.zeros((4, len(item)))
        corrections = self.trees.predict(matrix)
        size = len(self.band[0])
        for line in range(2):
            log = (inputs @ self.weights[line].astype(np.float64))[item, operation]
            log = log + corrections[item, line * size + operation]
            log = np.clip(log, *self.limits[line][:, operation])
            found[line] = np.where(self.zero[line, operation], 0.0, np.round(np.exp(log), 2))
            found[line, self._unknown[line, operation]] = np.nan
        band = self.band[:, operation] * (1 if width is None else width[item])
        found[2:] = np.round(found[1] * np.exp(band), 2)
        return found

    def widths(self, given: Givenness, unknown: Unknown) -> np.ndarray:
        """The factor of each item's band: of what is missing, and of what no past item had."""
        width = np.interp(given.blur, *self.wider)
        band = np.array(unknown.band)
        tried = np.c_[given.tried > 0, given.few]
        # of a column that was not tried no more is known than of all that were
        most = max(UNTRIED, float(band.max(initial=0)))
        never = np.minimum(1 + unknown.band_rate * given.never, most)
        new = np.where(tried, band, 1).max(axis=1, initial=1)
        untried = (given.never > 0) & ~(given.tried == 1).any(axis=1)
        return np.minimum(np.maximum(width, np.where(untried, never, new)), WIDEST)

    def strays(
        self, rows: Rows, design: Design, items: Prepared, matrix: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """How far the run times of `rows` lie out, 1 on the edge of the band, and their items:
        (k,) each."""
        log, positive = _log_run(rows)
        inputs = self.scale.apply(design, items, matrix)
        item, operation = rows.item[positive], rows.operation[positive]
        with np.errstate(divide="ignore"):
            guess = np.log(self.predict(inputs, matrix, item, operation)[1])
        return self._strays(log[positive] - guess, operation, item)

    def strays_without(
        self, fitted: Rows, known: np.ndarray, asked: Rows, inputs: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same of the rows `asked`, with `inputs` of their items, by the regression alone,
        fitted on other rows with the inputs `known`."""
        log, positive = _log_run(fitted)
        everyone = np.zeros(len(log), np.int64)
        size = self.band.shape[1]
        grams, moments = _sums(known, fitted, log, positive, everyone, size, 1)
        weights = _solve(grams[0], moments[0])
        log, positive = _log_run(asked)
        item, operation = asked.item[positive], asked.operation[positive]
        return self._strays(log[positive] - (inputs @ weights)[item, operation], operation, item)

    def _strays(
        self, apart: np.ndarray, operation: np.ndarray, item: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            stray = apart / np.where(apart > 0, *self.band[::-1, operation])
        good = np.isfinite(stray)
        return np.abs(stray[good]), item[good]

    def widen(self, absent: np.ndarray, stray: np.ndarray) -> list[float]:
        """Learn the band's width from `strays` (k,), at least 0, of operations of items of which
        attributes are `absent` (k, A): what each costs, in the logarithm of the width."""
        if not absent.size:  # no times, or no attributes
            return [0.0] * absent.shape[1]
        size = np.log(np.maximum(stray, LEAST_STRAY))
        inputs = absent - absent.mean(axis=0)
        gram = inputs.T @ inputs + MIN_ROWS * np.eye(absent.shape[1])
        root = np.linalg.cholesky(gram).T
        target = np.linalg.solve(root.T, inputs.T @ (size - size.mean()))
        costs = nnls(root, target)[0]
        blur = absent @ costs
        order = np.argsort(blur, kind="stable")
        count = min(WIDTH_STEPS, len(order) // MIN_ROWS)
        parts = np.array_split(order, count) if count else []
        steps = [
            (float(blur[part].mean()), float(np.quantile(stray[part], BAND[1] - BAND[0])))
            for part in parts
        ]
        if steps:
            least, widths = np.array(steps).T
            self.wider = np.array([least, np.maximum.accumulate(np.maximum(widths, 1))])
        return costs.tolist()

    def as_wide_as(self, other: Times) -> Times:
        """The same with the widths of another fit's band."""
        same = copy.copy(self)
        same.wider = other.wider
        return same

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_stored` needs."""
        return {
            "logs": self.scale.logs, "mean": self.scale.mean, "spread": self.scale.spread,
            "weights": self.weights, "band": self.band, "zero": self.zero, "limits": self.limits,
            "report_shares": self.report_shares, "wider": self.wider,
            **prefixed("trees", self.trees.arrays()),
        }  # fmt: skip

    @classmethod
    def from_stored(cls, stored: Stored, prefix: str, design: Design, size: int) -> Times:
        """The part of a stored model."""
        numbers = int((design.bins > 2).sum())
        width = 1 + len(design.features) + numbers
        scale = Scale(
            stored.array(f"{prefix}.logs", "b", (numbers,)),
            stored.array(f"{prefix}.mean", "f", (numbers,)),
            stored.array(f"{prefix}.spread", "f", (numbers,), low=1e-12),
        )
        limits = stored.array(f"{prefix}.limits", "f", (2, 2, size), low=-50, high=50)
        if (limits[:, 0] > limits[:, 1]).any():
            stored.refuse(f"{prefix}.limits", "has a least above its most")
        return cls(
            scale,
            stored.array(f"{prefix}.weights", "f", (2, width, size)),
            Ensemble.from_stored(stored, f"{prefix}.trees", len(design.features), 2 * size),
            stored.array(f"{prefix}.band", "f", (2, size), low=-50, high=50),
            stored.array(f"{prefix}.zero", "b", (2, size)),
            limits,
            stored.array(f"{prefix}.report_shares", "f", (2,), low=0, high=1),
            AS_WIDE
            if stored.format == 1
            else stored.array(f"{prefix}.wider", "f", (2, None), low=0),
        )


def possible(minutes: np.ndarray) -> np.ndarray:
    """Minutes that can be: 0 for less than MINUTES, NaN for more and for what is below 0."""
    least, most = MINUTES
    return np.where(
        (minutes >= 0) & (minutes <= most), np.where(minutes < least, 0, minutes), np.nan
    )


def reported_minutes(rows: Rows, results: pd.DataFrame | None) -> np.ndarray:
    """Log of the setup minutes and of the run minutes a piece that the shop reported, the mean
    over work orders, for every routing row; NaN where nothing was reported: (2, rows)."""
    found = np.full((2, len(rows.table)), np.nan)
    keys = ["ITEM_CD", "ROUT_NO", "PROC_SEQ"]
    if results is None or not set(keys) <= set(rows.table.columns) or not len(results):
        return found
    setup, run, quantity = (
        results[name].to_numpy(float) for name in ("SETUP_HOURS", "MACH_WORKED_HOURS", "ORDER_QTY")
    )
    with np.errstate(over="ignore", invalid="ignore"):
        minutes = setup * 60, run * 60 / np.where(quantity > 0, quantity, np.nan)
    logs = [np.log(np.where(values > 0, values, np.nan)) for values in map(possible, minutes)]
    mean = results[keys].assign(setup=logs[0], run=logs[1]).groupby(keys)[["setup", "run"]].mean()
    joined = rows.table[keys].join(mean, on=keys)
    return joined[["setup", "run"]].to_numpy(float).T


def _blend(
    rows: Rows, log: np.ndarray, good: np.ndarray, residual: np.ndarray, reported: np.ndarray,
    size: int,
) -> tuple[np.ndarray, float]:  # fmt: skip
    """Planned log minutes, where reported too drawn towards the report, and the report's share.

    Both are taken as the true time plus an error. The share is the one that gives the blend the
    least variance around the model: (v1 - c) / (v1 + v2 - 2 c), with v1, v2 the variances of plan
    and report and c their covariance. It is 0 where reports are only plans with noise added.
    """
    both = good & ~np.isnan(reported)
    if both.sum() < MIN_REPORTS:
        return log, 0.0
    apart = np.where(both, reported - log, 0.0)
    offset = np.array([_median(apart[both & (rows.operation == k)]) for k in range(size)])
    apart = apart - offset[rows.operation]
    apart = np.clip(apart, -MAX_CORRECTION, MAX_CORRECTION)
    plan = np.clip(residual[both], -MAX_CORRECTION, MAX_CORRECTION)
    # v1 + v2 - 2 c is the variance of the report's distance from the plan, c - v1 its covariance
    share = -np.cov(plan, apart[both])[0, 1] / max(1e-12, float(np.var(apart[both])))
    share = float(np.clip(share, 0, 1))
    if share < MIN_SHARE:
        return log, 0.0
    return np.where(both, log + share * apart, log), share


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else 0.0


def _mostly_zero(operation: np.ndarray, minutes: np.ndarray, size: int) -> np.ndarray:
    """(L,): at least half of an operation's known times are 0, and some are known."""
    finite = np.isfinite(minutes)
    known = np.bincount(operation[finite & (minutes >= 0)], minlength=size)
    positive = np.bincount(operation[finite & (minutes > 0)], minlength=size)
    return (known > 0) & (positive <= 0.5 * known)


def _regress(
    inputs: np.ndarray, rows: Rows, log: np.ndarray, good: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (P, L), and for every row its residual from weights fitted without its item."""
    fold = rows.item % FOLDS
    good = good.copy()
    for last in (False, True):
        grams, moments = _sums(inputs, rows, log, good, fold, size)
        weights = _solve(grams.sum(axis=0), moments.sum(axis=0))
        residual = np.zeros(len(log))
        for k in range(FOLDS):
            held = fold == k
            own = _solve(grams.sum(axis=0) - grams[k], moments.sum(axis=0) - moments[k])
            at = np.flatnonzero(held)
            guess = np.einsum("np,np->n", inputs[rows.item[at]], own.T[rows.operation[at]])
            residual[at] = log[at] - guess
        if last:
            return weights, residual
        spread = np.std(residual[good]) if good.any() else 1.0
        good &= np.abs(residual) <= OUTLIER * spread + ROUNDING
    raise AssertionError("unreachable")


def _log_run(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Log run minutes of the rows, 0 where there are none, and where there are."""
    minutes = possible(rows.table["RUN_TIME"].to_numpy(float))
    positive = minutes > 0
    return np.log(minutes, where=positive, out=np.zeros(len(minutes))), positive


def _sums(
    inputs: np.ndarray, rows: Rows, log: np.ndarray, good: np.ndarray, fold: np.ndarray, size: int,
    folds: int = FOLDS,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Gram matrices (folds, L, P, P) and moments (folds, L, P) of every operation and fold."""
    width = inputs.shape[1]
    grams = np.zeros((folds, size, width, width), np.float32)
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


def _solve(grams: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """(P, L): an intercept for each operation, effects shared by all, and each one's deviation."""
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
        centred.sum(axis=0) + np.diag(PENALTY_SHARED * free), pulled.sum(axis=0)
    )
    left = pulled - centred @ shared
    own = np.linalg.solve(centred + np.diag(PENALTY_OWN * free)[None], left[:, :, None])[:, :, 0]
    effects = shared[None] + own
    effects[:, 0] = 0
    effects[:, 0] = np.where(seen, level - np.einsum("lp,lp->l", mean, effects), 0)
    return effects.T


def _limits(operation: np.ndarray, log: np.ndarray, size: int) -> np.ndarray:
    """No prediction beyond what was seen of the operation, by more than a half."""
    limits = np.zeros((2, size))
    for k in range(size):
        mine = log[operation == k]
        if len(mine):
            limits[:, k] = mine.min() - np.log(1.5), mine.max() + np.log(1.5)
    return limits


def _quantiles(operation: np.ndarray, residual: np.ndarray, size: int) -> np.ndarray:
    band = np.zeros((2, size))
    if not len(residual):
        return band
    band[:] = np.quantile(residual, BAND)[:, None]
    for k in range(size):
        mine = residual[operation == k]
        if len(mine) >= MIN_ROWS:
            band[:, k] = np.quantile(mine, BAND)
    return np.stack([np.minimum(band[0], 0), np.maximum(band[1], 0)])


def _values(design: Design, items: Prepared) -> list[np.ndarray]:
    return [combine(f, items.numbers) for f in design.features if f.edges]


def _logged(columns: Sequence[np.ndarray], logs: np.ndarray) -> list[np.ndarray]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return [
            np.where(column > 0, np.log(column), np.nan) if log else column
            for column, log in zip(columns, logs, strict=True)
        ]
