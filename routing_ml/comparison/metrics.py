"""Proposals against the routings planners wrote: one row of hits per item, and the figures of all.

Operations are matched by job and occurrence (the second washing against the second washing), times
and machines are compared over matched operations only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from routing_ml import dataset


def evaluate(proposals: pd.DataFrame, truth: pd.DataFrame) -> dict[str, float | int | None]:
    """The figures of `proposals` on the items of `truth` (rows of their newest routings).

    Fractions, except `items`. `operation_*` are micro over the multiset of operations,
    `edit_similarity` the mean of 1 - Levenshtein / longer length, `*_mdape` the median absolute
    percentage error over matched operations whose true time is above zero. None where there is
    nothing to count. An item without a proposal counts as an empty one.
    """
    matched = match(proposals, truth)
    items = _items(proposals, truth, matched)
    tp, fp, fn = (int(items[name].sum()) for name in ("tp", "fp", "fn"))
    return {
        "items": len(items),
        "exact_match": _ratio(int(items["exact"].sum()), len(items)),
        "operation_precision": _ratio(tp, tp + fp),
        "operation_recall": _ratio(tp, tp + fn),
        "operation_f1": _ratio(2 * tp, 2 * tp + fp + fn),
        "edit_similarity": _mean(edit_similarities(proposals, truth)),
        "run_time_mdape": _median(matched["run_ape"]),
        "setup_time_mdape": _median(matched["setup_ape"]),
        "resource_accuracy": _ratio(
            int(items["resource_hits"].sum()), int(items["resource_total"].sum())
        ),
    }


def per_item(proposals: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """One row per item of `truth`, indexed by ITEM_CD, for paired tests.

    `exact` bool; `tp`, `fp`, `fn` operations; `run_ape`, `setup_ape` the item's median absolute
    percentage errors (NaN when nothing matches); `resource_hits` machines are right of the
    `resource_total` of matched operations, of the `resource_known` of all true ones.
    """
    return _items(proposals, truth, match(proposals, truth))


def match(proposals: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """True operations joined with the proposed ones of the same item, job and occurrence; `run_ape`
    and `setup_ape` are the absolute percentage errors of their times, fractions."""
    true = keyed(truth)
    asked = true["ITEM_CD"].unique()
    proposed = keyed(proposals[dataset.among(proposals["ITEM_CD"], asked)])
    keys = ["ITEM_CD", "JOB_CD", "occurrence"]
    matched = true.merge(proposed, on=keys, suffixes=("_true", ""), how="inner", sort=False)
    for name, column in (("run_ape", "RUN_TIME"), ("setup_ape", "SETUP_TIME")):
        actual = matched[f"{column}_true"].to_numpy(float)
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.abs(matched[column].to_numpy(float) - actual) / actual
        matched[name] = np.where(actual > 0, error, np.nan)
    return matched


def keyed(rows: pd.DataFrame, *more: str) -> pd.DataFrame:
    """The rows in routing order with their job's occurrence within the item (0, 1, ...); `more`
    columns than those that are compared, where they are wanted."""
    rows = rows.sort_values(["ITEM_CD", "PROC_SEQ"], kind="stable", ignore_index=True)
    rows = rows.assign(JOB_CD=rows["JOB_CD"].astype("str").fillna(""))
    rows["occurrence"] = rows.groupby(["ITEM_CD", "JOB_CD"], sort=False).cumcount()
    if "RES_CD" not in rows:
        rows["RES_CD"] = pd.Series(np.nan, index=rows.index, dtype="str")
    return rows[["ITEM_CD", "JOB_CD", "occurrence", "RES_CD", "SETUP_TIME", "RUN_TIME", *more]]


def _items(proposals: pd.DataFrame, truth: pd.DataFrame, matched: pd.DataFrame) -> pd.DataFrame:
    true, proposed = sequences(truth), sequences(proposals)
    index = pd.Index(list(true), name="ITEM_CD", dtype="str")
    frame = pd.DataFrame(index=index)
    frame["exact"] = np.array([true[item] == proposed.get(item, ()) for item in true], bool)
    hits = matched.groupby("ITEM_CD", sort=False).size().reindex(index, fill_value=0)
    frame["tp"] = hits
    frame["fp"] = np.array([len(proposed.get(item, ())) for item in true], int) - hits
    frame["fn"] = np.array([len(jobs) for jobs in true.values()], int) - hits
    for name in ("run_ape", "setup_ape"):
        frame[name] = matched.groupby("ITEM_CD", sort=False)[name].median().reindex(index)
    known = matched[matched["RES_CD_true"].notna()]
    right = known["RES_CD_true"] == known["RES_CD"]
    found = right.astype(int).groupby(known["ITEM_CD"], sort=False).sum()
    frame["resource_hits"] = found.reindex(index, fill_value=0)
    total = known.groupby("ITEM_CD", sort=False).size()
    frame["resource_total"] = total.reindex(index, fill_value=0)
    named = truth[truth["RES_CD"].notna()] if "RES_CD" in truth else truth[:0]
    frame["resource_known"] = named.groupby("ITEM_CD").size().reindex(index, fill_value=0)
    return frame


def sequences(rows: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """The ordered jobs of every item of `rows`, items in order of their code."""
    rows = rows.sort_values(["ITEM_CD", "PROC_SEQ"], kind="stable")
    items = rows["ITEM_CD"].to_numpy(object)
    jobs = rows["JOB_CD"].astype("str").fillna("").to_numpy(object)
    if not len(items):
        return {}
    starts = np.flatnonzero(np.r_[True, items[1:] != items[:-1]])
    ends = np.r_[starts[1:], len(items)]
    return {items[a]: tuple(jobs[a:b]) for a, b in zip(starts, ends, strict=True)}


def edit_distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Levenshtein distance: the fewest insertions, deletions and replacements from `a` to `b`."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            best = min(row[j] + 1, row[j - 1] + 1, diagonal + (left != right))
            diagonal, row[j] = row[j], best
    return row[-1]


def edit_similarities(proposals: pd.DataFrame, truth: pd.DataFrame) -> pd.Series:
    """1 - Levenshtein / longer length of the jobs of every item of `truth`, in [0, 1]."""
    true, proposed = sequences(truth), sequences(proposals)
    similar = {}
    for item, jobs in true.items():
        other = proposed.get(item, ())
        apart = edit_distance(jobs, other) if jobs != other else 0
        similar[item] = 1 - apart / max(len(jobs), len(other), 1)
    return pd.Series(similar, dtype=float).rename_axis("ITEM_CD")


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _median(values: pd.Series) -> float | None:
    values = values.dropna()
    return float(values.median()) if len(values) else None


def _mean(values: pd.Series) -> float | None:
    # One after the other, for the order of a sum shows in its last digit.
    return sum(sorted(values.tolist(), reverse=True)) / len(values) if len(values) else None
