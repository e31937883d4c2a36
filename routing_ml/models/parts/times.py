"""Setup and run minutes of operations, with a low-high band that holds four of five run times.

The logarithm of a time is linear in the logarithms of the dimensions and in the yes/no features
(`regression`), with a few trees for what is not. Reported hours are blended in as far as they carry
news, and where times have risen or fallen, the level is that of late.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from routing_ml.models.features.attributes import Prepared
from routing_ml.models.features.design import Design
from routing_ml.models.parts.confidence import Givenness, Unknown
from routing_ml.models.parts.minutes import blended, logs, possible, reported_minutes, rounded
from routing_ml.models.parts.operations import Rows
from routing_ml.models.parts.recent import ages, risen
from routing_ml.models.parts.regression import Scale, regress, solve, sums
from routing_ml.models.storage import Stored, prefixed
from routing_ml.models.trees.boosting import SEED, Plan, boost_numbers
from routing_ml.models.trees.ensemble import Ensemble, Shape

BAND = (0.1, 0.9)
MIN_ROWS = 40  # of an operation for quantiles of its own
MOST_LEFT = 3.0  # log minutes that the trees may have to correct: more is a misprint
WIDTH_STEPS = 12
WIDEST = 12.0  # the factor of the band: times that are always the same have no width at all
UNTRIED = 3.0  # the factor of the band at most, where nothing was tried
LEAST_STRAY = 0.05
NO_LEVEL = np.zeros((2, 1))
AS_WIDE = np.array([[0.0], [1.0]])
USUAL = Plan(trees=30, rate=0.2, shape=Shape(leaves=12, min_leaf=20, shrink=5.0))
SHARP = Plan(trees=60, rate=0.2, shape=Shape(leaves=24, min_leaf=3, shrink=0.5))
FEW_ITEMS = 6_000  # up to which it is tried which of the two is nearer
TOGETHER = 4  # items with codes in a row, as families have them, that are in one half
NEARER = 0.98  # of what the usual trees leave, to take the sharp ones
SURE = 0.9  # how likely it is that there is no time, or some, for the band not to hold the other
Chances = tuple[np.ndarray, np.ndarray]


class Times:
    """`weights` (2, P, L) of log setup and log run; `trees` correct them, (2 L) outputs;
    `band` (2, L) log factors around run; `zero` (2, L): this time is usually 0; `limits` (2, 2, L)
    least and most log minutes, equal where no time was above 0; `report_shares` (2,): how much a
    reported time weighs beside the planned one where there is one; `wider` (2, K): the factor of
    the band's width (the second row) at which blur of what is missing; `level` (2, M + 1): by how
    much the log minutes of each machine are higher of late than those of its operations, the last
    of no machine."""

    of_late: bool = False  # after a fit: whether they are the times of late
    plan: Plan | None = None  # after a fit: how the trees were grown

    def __init__(
        self, scale: Scale, weights: np.ndarray, trees: Ensemble, band: np.ndarray,
        zero: np.ndarray, limits: np.ndarray, report_shares: np.ndarray,
        wider: np.ndarray = AS_WIDE, level: np.ndarray = NO_LEVEL,
    ) -> None:  # fmt: skip
        self.scale, self.trees, self.band, self.zero = scale, trees, band, zero
        self.weights = weights.astype(np.float32)  # as stored, so that a loaded model says the same
        self.limits, self.report_shares, self.wider = limits, report_shares, wider
        self.level = level
        self._unknown = ~zero & (limits[:, 0] == limits[:, 1])

    @classmethod
    def fit(
        cls, rows: Rows, design: Design, items: Prepared, matrix: np.ndarray,
        results: pd.DataFrame | None = None, machines: Sequence[str] = (),
        plan: Plan | None = None,
    ) -> Times:  # fmt: skip
        """Impossible times (missing, negative, over MINUTES) are left out; `machines` are the names
        of those whose level is learned. How trees are grown is tried, unless there is a `plan`."""
        scale = Scale.fit(design, items)
        inputs = scale.apply(design, items, matrix)
        size = len(rows.operations)
        weights = np.zeros((2, inputs.shape[1], size))
        zero, limits = np.zeros((2, size), bool), np.zeros((2, 2, size))
        seen, unseen = (np.full((len(rows.codes), 2 * size), np.nan, np.float32) for _ in range(2))
        shares = np.zeros(2)
        reported = reported_minutes(rows, results)
        for line, column in enumerate(("SETUP_TIME", "RUN_TIME")):
            zero[line] = _mostly_zero(rows, column)
            log, positive = logs(rows, column)
            found = regress(inputs, rows, log, positive, size)
            blend, shares[line] = blended(rows, log, positive, found.residual, reported[line], size)
            residual = found.residual
            if shares[line]:
                found = regress(inputs, rows, blend, positive, size)
                residual = found.residual + log - blend
            weights[line] = found.weights
            item, operation = rows.item[positive], rows.operation[positive]
            left = blend[positive] - (inputs @ weights[line])[item, operation]
            seen[item, line * size + operation] = np.where(found.good[positive], left, np.nan)
            unseen[item, line * size + operation] = residual[positive]
            limits[line] = _limits(operation, log[positive], size)
        plans = (USUAL, SHARP) if len(rows.codes) <= FEW_ITEMS else (USUAL,)
        base, trees, unseen, plan = _corrections(
            matrix, design.bins, seen, unseen, (plan,) if plan else plans
        )
        weights[:, 0] += base.reshape(2, size)
        band = np.zeros((2, size))
        age, level, of_late = ages(rows.entered), np.zeros((2, len(machines) + 1)), False
        for line, column in enumerate(("SETUP_TIME", "RUN_TIME")):
            _, positive = logs(rows, column)
            item, operation = rows.item[positive], rows.operation[positive]
            rest = unseen[item, line * size + operation].astype(np.float64)
            if column == "RUN_TIME":
                band = _quantiles(operation, rest, size)
            drawn = np.clip(rest, -MOST_LEFT, MOST_LEFT)
            higher = risen(drawn, operation, age[item], size)
            weights[line, 0] += higher
            level[line] = _of_machines(
                rows, machines, positive, drawn - higher[operation], age[item]
            )
            of_late |= bool(higher.any() or level[line].any())
        fitted = cls(scale, weights, trees, band, zero, limits, shares, level=level)
        fitted.of_late, fitted.plan = of_late, plan
        return fitted

    def predict(
        self, inputs: np.ndarray, matrix: np.ndarray, item: np.ndarray, operation: np.ndarray,
        width: np.ndarray | None = None, none: Chances | None = None,
        machine: np.ndarray | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Setup, run, low and high minutes of each (item, operation): (4, k). NaN where no time
        of the operation is known.

        `inputs` are the regression's (`scale.apply`), `matrix` the trees', `width` (items,) the
        factor of the band's width, in log minutes, `none` how likely it is that there is no setup,
        and no run, (k,) each, NaN where that does not differ between items, `machine` (k,) the
        number of the one it is done on, -1 for none.
        """
        found = np.zeros((4, len(item)))
        corrections = self.trees.predict(matrix)
        size = len(self.band[0])
        for line in range(2):
            log = (inputs @ self.weights[line].astype(np.float64))[item, operation]
            log = log + corrections[item, line * size + operation]
            log = log + (0 if machine is None else self.level[line, machine])
            found[line] = rounded(np.exp(np.clip(log, *self.limits[line][:, operation])))
        band = self.band[:, operation] * (1 if width is None else width[item])
        found[2:] = rounded(found[1] * np.exp(band))
        for line in range(2):
            zero = self.zero[line, operation].astype(np.float64)
            if none is not None:
                zero = np.where(np.isnan(none[line]), zero, none[line])
            found[line, zero >= 0.5] = 0.0
            if line:
                found[2, zero > 1 - SURE] = 0.0
                found[3, zero > SURE] = 0.0
            found[line, self._unknown[line, operation]] = np.nan
        found[2:, np.isnan(found[1])] = np.nan
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
        log, positive = logs(rows, "RUN_TIME")
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
        log, positive = logs(fitted, "RUN_TIME")
        everyone = np.zeros(len(log), np.int64)
        size = self.band.shape[1]
        grams, moments = sums(known, fitted, log, positive, everyone, size, 1)
        weights = solve(grams[0], moments[0])
        log, positive = logs(asked, "RUN_TIME")
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
        blur = np.round(absent @ costs, 9)  # what is equal must not differ by a rounding
        self.wider = _wider(blur, stray, (absent == 0).all(axis=1))
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
            "report_shares": self.report_shares, "wider": self.wider, "level": self.level,
            **prefixed("trees", self.trees.arrays()),
        }  # fmt: skip

    @classmethod
    def from_stored(
        cls, stored: Stored, prefix: str, design: Design, size: int, machines: int
    ) -> Times:
        """The part of a stored model of so many machines; of 2.1.0 these have no level."""
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
        band = stored.array(f"{prefix}.band", "f", (2, size), low=-50, high=50)
        if (band[0] > 0).any() or (band[1] < 0).any():
            stored.refuse(f"{prefix}.band", "does not hold the time itself")
        wider = AS_WIDE
        if stored.format > 1:
            wider = stored.array(f"{prefix}.wider", "f", (2, None), low=0)
            if not wider.size or (np.diff(wider, axis=1) < 0).any():
                stored.refuse(f"{prefix}.wider", "does not rise")
        level = np.zeros((2, machines + 1))
        if stored.format > 1:
            level = stored.array(f"{prefix}.level", "f", level.shape, low=-50, high=50)
        return cls(
            scale,
            stored.array(f"{prefix}.weights", "f", (2, width, size)),
            Ensemble.from_stored(stored, f"{prefix}.trees", len(design.features), 2 * size),
            band,
            stored.array(f"{prefix}.zero", "b", (2, size)),
            limits,
            stored.array(f"{prefix}.report_shares", "f", (2,), low=0, high=1),
            wider,
            level,
        )


def _corrections(
    matrix: np.ndarray, bins: np.ndarray, seen: np.ndarray, unseen: np.ndarray,
    plans: Sequence[Plan],
) -> tuple[np.ndarray, Ensemble, np.ndarray, Plan]:  # fmt: skip
    """Base (2 L,) and the trees for what the regression leaves of log minutes, `seen` (n, 2 L) by
    its weights, NaN where there is none, and what is then left of items that were fitted on
    neither, of which it left `unseen` (n, 2 L). Which of the `plans`, and for which operations, is
    learned from halves."""
    target = np.clip(seen, -MOST_LEFT, MOST_LEFT)
    group = np.arange(len(target)) // TOGETHER
    half = np.random.default_rng(SEED).permutation(group[-1] + 1)[group] % 2 == 0
    best, corrected, least = plans[0], unseen, np.inf
    for plan in plans if not half.all() else ():
        tried = unseen.copy()
        for fitted in (half, ~half):
            base, trees = boost_numbers(matrix[fitted], bins, target[fitted], plan)
            tried[~fitted] -= base + trees.predict(matrix[~fitted])
        loss = float(np.nanmean(np.minimum(np.abs(tried), 1))) if np.isfinite(tried).any() else 0
        if loss < NEARER * least:
            best, corrected, least = plan, tried, loss
    helped = _helped(unseen, corrected)
    corrected = np.where(helped, corrected, unseen)
    base, trees = boost_numbers(matrix, bins, np.where(helped, target, np.nan), best)
    return base, trees, corrected, best


def _helped(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(K,) whether less is left of an output after the trees than before them, (n, K) each."""
    return np.nansum(np.minimum(np.abs(before), 1) - np.minimum(np.abs(after), 1), axis=0) > 0


def _of_machines(
    rows: Rows, names: Sequence[str], there: np.ndarray, left: np.ndarray, age: np.ndarray
) -> np.ndarray:
    """(M + 1,) by how much the log minutes of each machine are higher of late, by what is `left`
    (k,) of the rows `there`, of items of this `age` (k,)."""
    found = np.zeros(len(names) + 1)
    if len(names):
        machine = rows.table["RES_CD"][there].astype("str").str.strip()
        number = pd.Categorical(machine, categories=list(names)).codes.astype(np.int64)
        some = number >= 0
        found[:-1] = risen(left[some], number[some], age[some], len(names))
    return found


def _wider(blur: np.ndarray, stray: np.ndarray, complete: np.ndarray) -> np.ndarray:
    """(2, K) the factor of the band's width at which blur, from strays (k,), the first that of what
    is `complete`. What is equally blurred is in one step: of several at one blur the last and
    widest would hold for all, and the band of complete items held 1.00 instead of .80."""
    first = complete if complete.sum() >= MIN_ROWS else blur == blur.min()
    more = blur > blur[first].max()
    count = min(WIDTH_STEPS, more.sum() // MIN_ROWS)
    edges = np.quantile(blur[more], np.arange(1, count) / count) if count else []
    place = np.searchsorted(edges, blur)
    steps = [first, *(more & (place == k) for k in range(count))]
    found = [
        (blur[step].mean(), max(1.0, np.quantile(stray[step], BAND[1] - BAND[0])))
        for step in steps
        if step.sum() >= MIN_ROWS
    ]
    return np.maximum.accumulate(np.array(found).T, axis=1) if found else AS_WIDE


def _mostly_zero(rows: Rows, column: str) -> np.ndarray:
    """(L,): at least half of an operation's known times are 0, and some are known."""
    minutes, size = possible(rows.table[column].to_numpy(float)), len(rows.operations)
    known = np.bincount(rows.operation[~np.isnan(minutes)], minlength=size)
    positive = np.bincount(rows.operation[minutes > 0], minlength=size)
    return (known > 0) & (positive <= 0.5 * known)


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
