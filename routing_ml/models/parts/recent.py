"""What is recent: when each machine was last used, which have become commoner, and which times
have risen or fallen."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from routing_ml.models.parts.operations import Rows, days

DAY = date(1970, 1, 1).toordinal()  # days are counted from here
STEADY = 5.0  # items that speak for the usual shares
LEVEL = 20.0  # times that speak for the usual level of an operation
HALF_LIVES = (1 / 3, 1 / 12, 1 / 24)  # of the time that the routings span
HELD_OUT = 0.15


def last_used(rows: Rows, names: list[str], results: pd.DataFrame | None) -> np.ndarray:
    """(M,) the day on which each machine was last planned with or reported of; NaN unknown."""
    table = rows.table
    day = days(table["INSRT_DT"]) if "INSRT_DT" in table else np.full(len(table), np.nan)
    keys = ["ITEM_CD", "ROUT_NO", "PROC_SEQ"]
    if results is not None and {*keys, "REPORT_DT"} <= {*results} and {*keys} <= {*table}:
        reported = results.groupby(keys)["REPORT_DT"].max()
        also = days(table[keys].join(reported, on=keys)["REPORT_DT"])
        day = np.fmax(day, also)
    machine = table["RES_CD"].astype("str").str.strip()
    return pd.Series(day).groupby(machine.to_numpy()).max().reindex(names).to_numpy(float)


def ages(entered: np.ndarray) -> np.ndarray:
    """(n,) how much older than the newest each item is, as a share of the time that all span; 1
    where unknown, all 0 where nothing is dated or all on one day."""
    known = entered[~np.isnan(entered)]
    span = float(known.max() - known.min()) if len(known) else 0.0
    if not span:
        return np.zeros(len(entered))
    return np.nan_to_num((known.max() - entered) / span, nan=1.0)


def trend(
    target: np.ndarray, operation: np.ndarray, age: np.ndarray, half_life: float
) -> np.ndarray:
    """(K,) by what factor each choice has become commoner within its operation, where an item
    weighs half for each `half_life` of its `age` (n,). `target` (n, K) is 1 for what was chosen,
    NaN where there was nothing to choose; `operation` (K,) is that of each choice.

    To be multiplied with likelihoods that know no time: the correction for shifted shares (Saerens
    2002). Refitting the trees on items drawn by weight does less: they learn the repeated ones.
    """
    chosen = np.nan_to_num(target).astype(np.float64)
    usual, recent = chosen.sum(axis=0), (0.5 ** (age / half_life)) @ chosen
    sums = np.zeros((2, int(operation.max(initial=-1)) + 1))
    for line, counts in enumerate((usual, recent)):
        np.add.at(sums[line], operation, counts)
    share = usual / np.maximum(sums[0][operation], 1)
    now = (recent + STEADY * share) / (sums[1][operation] + STEADY)
    return np.divide(now, share, out=np.ones(len(share)), where=share > 0)


def risen(residual: np.ndarray, operation: np.ndarray, age: np.ndarray, size: int) -> np.ndarray:
    """(L,) by how much the log minutes of each operation are higher of late than they usually are,
    0 where nothing is shown; `residual` (k,) of times of each `operation` and `age`.

    Of the half-lives the one that brings each of the newest 15 % nearest, by what was known on the
    day before (prequentially: Dawid 1984); none unless it does so by two standard errors. A level
    is that of some time ago; where that is nearer still, what all have risen by since is added.
    """
    best, found = 0.0, np.zeros(size)
    if not age.any() or not len(residual):
        return found
    newest = float(np.quantile(age, HELD_OUT))
    order = np.argsort(-age, kind="stable")
    order, old = order[age[order] <= newest], order[age[order] > newest]
    days = np.split(order, np.flatnonzero(np.diff(age[order])) + 1)
    start = float(age[order[0]])
    for half_life in HALF_LIVES:
        fade, ago = 0.5 ** ((age[old] - start) / half_life), age[old] - start
        sums = np.bincount(operation[old], fade * residual[old], minlength=size)
        counts = np.bincount(operation[old], fade, minlength=size)
        left = residual[old]
        line = np.array([fade.sum(), fade @ ago, fade @ ago**2, fade @ left, fade @ (ago * left)])
        gains, before = [], start
        for day in days:
            now = float(age[day[0]])
            faded = 0.5 ** ((before - now) / half_life)
            sums, counts, line = sums * faded, counts * faded, _later(line, before - now) * faded
            before = now
            left, kinds = residual[day], operation[day]
            level, usual = _level(sums, counts)[kinds], np.abs(left).sum()
            gains.append([
                usual - np.abs(left - level).sum(),
                usual - np.abs(left - level - _since(line)).sum(),
            ])  # fmt: skip
            sums += np.bincount(kinds, left, minlength=size)
            counts += np.bincount(kinds, minlength=size)
            line[[0, 3]] += len(left), left.sum()
        both = np.array(gains)
        chance = 2 * np.sqrt(np.square(both).sum(axis=0))
        for gain, least, rise in zip(both.sum(axis=0), chance, (0.0, _since(line)), strict=True):
            if gain > max(best, least):
                best, found = gain, _level(sums, counts) + rise
    return found


def _level(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(L,) the mean of each operation, drawn to that of all of them, and that to 0."""
    shared = sums.sum() / (counts.sum() + LEVEL)
    return shared + (sums - counts * shared) / (counts + LEVEL)


def _later(line: np.ndarray, passed: float) -> np.ndarray:
    """Weight, sums of the time ago, of its square, of the residuals, and of their product with the
    time (5,), when more time has `passed`."""
    weight, ago, square, left, both = line
    return np.array([
        weight, ago + passed * weight, square + passed * (2 * ago + passed * weight), left,
        both + passed * left,
    ])  # fmt: skip


def _since(line: np.ndarray) -> float:
    """By how much times have risen since the mean of what they are known from, on a straight line
    through the residuals (least squares)."""
    weight, ago, square, left, both = line
    spread = square - ago**2 / max(weight, 1e-12)
    if weight <= LEVEL or spread <= 0:
        return 0.0
    return float(-(both - ago * left / weight) / spread * ago / weight)
