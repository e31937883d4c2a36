"""Statistics of two models scored on the same items: the paired test, its interval, the guards.

`better` and `worse` are the items that only the challenger, or only the champion, got right; the
items on which both agree say nothing about which of them is ahead.
"""

from functools import lru_cache
from math import sqrt
from statistics import NormalDist

import numpy as np
from scipy import stats

EXACT_UP_TO = 1_000
"""Disagreements up to which the p-value is exact; beyond, the score test's error is negligible."""
BERGER_BOOS = 1e-4
"""Error spent on not searching disagreement rates that the data rule out."""
NUISANCE_STEPS = 41
NEGLIGIBLE = 1e-10


@lru_cache(maxsize=4096)
def p_value(better: int, worse: int, items: int, margin: float = 0.0) -> float:
    """How surprising these counts are if the challenger's rate is `margin` or more below.

    One-sided; a margin of 0 asks whether it is better. The score test of Tango (Statistics in
    Medicine 17, 1998, 891-908), its distribution exact: the largest tail over the disagreement
    rates within a confidence interval of them (Berger and Boos, JASA 89, 1994, 1012-1016), so
    that few disagreements, or few items, need no approximation. 1.0 for no items.
    """
    if not items:
        return 1.0
    observed = float(score(better, worse, items, -margin))
    if better + worse > EXACT_UP_TO:
        return float(stats.norm.sf(observed))
    total = better + worse
    low = stats.beta.ppf(BERGER_BOOS / 2, total, items - total + 1) if total else 0.0
    high = stats.beta.ppf(1 - BERGER_BOOS / 2, total + 1, items - total) if total < items else 1.0
    # At the edge of the hypothesis worse = better + margin, so disagreement = 2 worse - margin.
    least, most = (float(np.clip((x + margin) / 2, margin, (1 + margin) / 2)) for x in (low, high))
    edge = np.linspace(least, most, NUISANCE_STEPS)
    few = int(stats.binom.ppf(NEGLIGIBLE, items, edge[0]))
    many = int(stats.binom.isf(NEGLIGIBLE, items, edge[-1]))
    c = np.arange(few, many + 1)
    b = np.arange(0, int(stats.binom.isf(NEGLIGIBLE, items, max(edge[-1] - margin, 0))) + 2)
    with np.errstate(invalid="ignore"):
        as_extreme = score(b[None, :], c[:, None], items, -margin) >= observed - 1e-9
    first = np.where(as_extreme.any(axis=1), as_extreme.argmax(axis=1), items + 1)
    given_worse = (edge - margin) / np.maximum(1 - edge, NEGLIGIBLE)
    tail = stats.binom.pmf(c, items, edge[:, None]) * stats.binom.sf(
        first - 1, items - c, np.clip(given_worse, 0, 1)[:, None]
    )
    return float(min(1.0, tail.sum(axis=1).max() + BERGER_BOOS))


def score(
    better: np.ndarray | int, worse: np.ndarray | int, items: int, difference: float
) -> np.ndarray:
    """Tango's score statistic for a true `difference` of rates; standard normal when it is so."""
    b, c, d = np.asarray(better, float), np.asarray(worse, float), difference
    linear = (2 * items - b + c) * d - b - c
    root = np.sqrt(np.maximum(linear**2 + 8 * items * c * d * (1 - d), 0))
    rate = (root - linear) / (4 * items)
    variance = np.maximum(items * (2 * rate + d * (1 - d)), 0)
    above = b - c - items * d
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(above == 0, 0.0, above / np.sqrt(variance))


@lru_cache(maxsize=4096)
def interval(better: int, worse: int, items: int, alpha: float) -> tuple[float, float]:
    """The differences of rates that a one-sided score test at `alpha` would not rule out.

    Both bounds hold at `alpha` each (.05 gives the two-sided 90 % interval). (-1, 1) for no items.
    """
    if not items:
        return -1.0, 1.0
    z = NormalDist().inv_cdf(1 - alpha)
    middle = (better - worse) / items

    def bound(outer: float, sign: int) -> float:
        inner = middle
        for _ in range(40):
            trial = (inner + outer) / 2
            if sign * float(score(better, worse, items, trial)) < z:
                inner = trial
            else:
                outer = trial
        return inner

    return bound(-1.0, 1), bound(1.0, -1)


def items_needed(disagreement: float, margin: float, alpha: float, power: float = 0.8) -> int:
    """About how many items show an equally good challenger to be within `margin`, `power` of the
    time, when the models disagree on that fraction of items."""
    z = NormalDist().inv_cdf(1 - alpha) + NormalDist().inv_cdf(power)
    return int(np.ceil(max(disagreement, margin) * (z / margin) ** 2))


def items_to_show(better: int, worse: int, items: int, alpha: float, power: float = 0.8) -> float:
    """About how many items show a challenger to be better that stays ahead by these shares, `power`
    of the time; infinite when it is not ahead."""
    lead = (better - worse) / max(items, 1)
    if lead <= 0:
        return float("inf")
    z = NormalDist().inv_cdf(1 - alpha) + NormalDist().inv_cdf(power)
    return float(np.ceil((better + worse) / items * (z / lead) ** 2))


def ratio_difference(
    mine: np.ndarray,
    mine_of: np.ndarray,
    theirs: np.ndarray,
    theirs_of: np.ndarray,
    families: np.ndarray | None = None,
) -> tuple[float, float]:
    """Difference of two ratios of sums over the same items, and its standard error.

    `sum(mine) / sum(mine_of) - sum(theirs) / sum(theirs_of)`; the error by linearization
    (Cochran, Sampling Techniques, 1977, section 6.4), between `families` of items (n,) where they
    are given. (0, inf) when there is nothing to divide by.
    """
    if not mine_of.sum() or not theirs_of.sum():
        return 0.0, float("inf")
    first, second = mine.sum() / mine_of.sum(), theirs.sum() / theirs_of.sum()
    residual = (mine - first * mine_of) / mine_of.sum()
    residual = residual - (theirs - second * theirs_of) / theirs_of.sum()
    return float(first - second), sqrt(float((by_family(residual, families) ** 2).sum()))


def dispersion(differences: np.ndarray, families: np.ndarray | None) -> float:
    """How many items say as much as one independent one would, 1 or more.

    Items of a family are right or wrong together, so that `differences` (n,) of two models vary
    more than independent ones: by the variance of the families' sums over that of the items
    (Kish's design effect, Survey Sampling, 1965, section 5.4). Few differences cannot tell, so that
    one more family of the usual size is counted, which differs as one: without it a fresh fit
    worse by the margin passed in 25 of 100 draws of 36 families of ten. 1 without families.
    """
    if families is None or not len(differences):
        return 1.0
    sizes = np.bincount(families)
    usual = float((sizes**2).sum() / sizes.sum())
    residual = differences - differences.mean()
    together = float((by_family(residual, families) ** 2).sum()) + usual**2
    return max(1.0, together / (float((residual**2).sum()) + usual))


def by_family(values: np.ndarray, families: np.ndarray | None) -> np.ndarray:
    """The sums of `values` (n,) over each of the `families`, whole numbers from 0 (n,)."""
    return values if families is None else np.bincount(families, values)
