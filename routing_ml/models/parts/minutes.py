"""Minutes as a database has them: which can be, what the shop reported beside the plan, and how
they are written.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from routing_ml.models.parts.operations import Rows

MINUTES = (1e-6, 1e9)  # that a time may be: less is none, more is a misprint
MIN_REPORTS = 100  # reported operations before they are listened to
MIN_SHARE = 0.05
MAX_APART = 0.7  # log minutes between a report and its plan: more is a misprint, not a lesson
DECIMALS, DIGITS = 2, 3  # a time is rounded to so many decimals, or to digits where these are more


def possible(minutes: np.ndarray) -> np.ndarray:
    """Minutes that can be: 0 for less than MINUTES, NaN for more and for what is below 0."""
    least, most = MINUTES
    return np.where(
        (minutes >= 0) & (minutes <= most), np.where(minutes < least, 0, minutes), np.nan
    )


def rounded(minutes: np.ndarray) -> np.ndarray:
    """Minutes as they are shown: .01 is not near enough to .012 of a press that makes thousands."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.floor(np.log10(np.abs(minutes)))
    decimals = np.where(np.isfinite(size), DIGITS - 1 - size, 0)
    scale = 10.0 ** np.maximum(decimals, DECIMALS)
    return np.round(minutes * scale) / scale


def logs(rows: Rows, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Log minutes of the rows, 0 where there are none above 0, and where there are."""
    minutes = possible(rows.table[column].to_numpy(float))
    positive = minutes > 0
    return np.log(minutes, where=positive, out=np.zeros(len(minutes))), positive


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


def blended(
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
    apart = np.clip(apart, -MAX_APART, MAX_APART)
    plan = np.clip(residual[both], -MAX_APART, MAX_APART)
    # v1 + v2 - 2 c is the variance of the report's distance from the plan, c - v1 its covariance
    share = -np.cov(plan, apart[both])[0, 1] / max(1e-12, float(np.var(apart[both])))
    share = float(np.clip(share, 0, 1))
    if share < MIN_SHARE:
        return log, 0.0
    return np.where(both, log + share * apart, log), share


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else 0.0
