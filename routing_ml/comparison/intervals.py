"""How sure the figures of `metrics.evaluate` are: the interval in which the true one lies.

Each is a two-sided interval of 95 %. Families of items, such as those entered on one day, are right
or wrong together, so that they are what is counted, not the single items.
"""

from __future__ import annotations

from math import inf, sqrt
from statistics import NormalDist

import numpy as np
import pandas as pd

from routing_ml.comparison import metrics, paired

LEVEL = 0.95
REPLICATIONS = 400
SEED = 20_261_101  # the same figures give the same intervals
Interval = tuple[float, float]


def of(
    proposals: pd.DataFrame, truth: pd.DataFrame, families: pd.Series | None = None
) -> dict[str, Interval | None]:
    """The interval of every figure that `metrics.evaluate` gives for these, None where it is None.

    `families` are by item code; without them every item is one of its own. Shares by Wilson's score
    interval on as many independent items as the variance between families amounts to; the medians
    of errors of time by a bootstrap of families (`REPLICATIONS` of a fixed seed).
    """
    items = metrics.per_item(proposals, truth)
    family = numbered(items.index, families)
    tp, fp, fn = (items[name].to_numpy(float) for name in ("tp", "fp", "fn"))
    ones = np.ones(len(items))
    shares = {
        "operation_precision": (tp, tp + fp),
        "operation_recall": (tp, tp + fn),
        "operation_f1": (2 * tp, 2 * tp + fp + fn),
        "edit_similarity": (metrics.edit_similarities(proposals, truth).to_numpy(float), ones),
        "resource_accuracy": tuple(
            items[name].to_numpy(float) for name in ("resource_hits", "resource_total")
        ),
    }
    matched = metrics.match(proposals, truth)
    of_row = pd.Series(family, index=items.index)[matched["ITEM_CD"]].to_numpy(np.int64)
    right = items["exact"].to_numpy(float)
    found = {"exact_match": _share(right, ones, family, most=len(items))}
    found |= {name: _share(part, whole, family) for name, (part, whole) in shares.items()}
    for name, column in (("run_time_mdape", "run_ape"), ("setup_time_mdape", "setup_ape")):
        found[name] = _median(matched[column].to_numpy(float), of_row)
    return {
        name: bounds and (round(bounds[0], 4), round(bounds[1], 4))
        for name, bounds in found.items()
    }


def numbered(codes: pd.Index, families: pd.Series | None) -> np.ndarray:
    """The family of each item as a whole number from 0 (n,); one without a family is its own."""
    if families is None:
        return np.arange(len(codes))
    own = pd.Series(codes, index=codes).astype(object)
    return pd.factorize(families.reindex(codes).astype(object).fillna(own))[0].astype(np.int64)


def wilson(share: float, count: float, level: float = LEVEL) -> Interval:
    """The score interval of a share of `count` independent cases: (0, 1) for none.

    E. B. Wilson, Journal of the American Statistical Association 22 (1927), 209-212.

    >>> [round(bound, 3) for bound in wilson(0.9, 100)]
    [0.826, 0.945]
    """
    if count <= 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    reach = z * sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2) / (1 + z * z / count)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def _share(
    part: np.ndarray, whole: np.ndarray, family: np.ndarray, *, most: float = inf
) -> Interval | None:
    """Of the ratio of two sums over items, by the variance between families (linearization), as of
    `most` independent cases at the most."""
    total = float(whole.sum())
    if not total:
        return None
    share, groups = float(part.sum()) / total, len(np.unique(family))
    residual = paired.by_family((part - share * whole) / total, family)
    variance = float((residual**2).sum()) * groups / max(groups - 1, 1)
    # Where all are right, or all wrong, nothing varies: then each family counts once.
    count = share * (1 - share) / variance if variance > 0 else float(groups)
    return wilson(share, min(count, most))


def _median(errors: np.ndarray, family: np.ndarray) -> Interval | None:
    """Of the median of the errors (m,), NaN left out, that belong to the families (m,)."""
    known = np.isfinite(errors)
    if not known.any():
        return None
    order = np.argsort(errors[known], kind="stable")
    values = errors[known][order]
    groups, number = np.unique(family[known][order], return_inverse=True)
    drawn = np.random.default_rng(SEED).multinomial(
        len(groups), np.full(len(groups), 1 / len(groups)), size=REPLICATIONS
    )
    medians = []
    for times in drawn:
        below = np.cumsum(times[number])
        medians.append(values[np.searchsorted(below, below[-1] / 2)])
    low, high = np.quantile(medians, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
