"""Judges proposed times by the work that the shop reported."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from routing_ml import dataset
from routing_ml.comparison import metrics
from routing_ml.judging.judgement import week_of
from routing_ml.judging.keeping import operations_of
from routing_ml.store import Proposed, Worked

REVISION = ["ITEM_CD", "ROUT_NO"]
OPERATION = [*REVISION, "PROC_SEQ"]
RunTimes = Callable[[Sequence[str], Sequence[int], np.ndarray], np.ndarray]
"""How many run times so many pieces take (`RoutingModel.run_times_in`)."""
AMOUNTS = ["ORDER_QTY", "MACH_WORKED_HOURS", "SETUP_HOURS"]


def judge_work(
    proposals: Sequence[Proposed],
    routings: pd.DataFrame,
    results: pd.DataFrame,
    run_times: RunTimes,
) -> list[Worked]:
    """What the reported operations say of the times that were proposed: a row a report of an
    operation that the proposal for its item has too, by job and occurrence.

    `proposals` are of versions in use, one an item; `routings` has the revisions that `results`
    speak of (ITEM_CD, ROUT_NO, PROC_SEQ, JOB_CD, RES_CD); hours of `results` are of an order of
    ORDER_QTY pieces, each of which takes a run time, or as many as `run_times` says. A report
    without a positive time says nothing.
    """
    mine = results[dataset.among(results["ITEM_CD"], {one.item_cd for one in proposals})].copy()
    if not len(mine) or "ROUT_NO" not in routings or "ROUT_NO" not in mine:
        return []
    mine["ROUT_NO"] = mine["ROUT_NO"].fillna("")
    mine["day"] = mine["REPORT_DT"].dt.strftime("%Y-%m-%d")
    mine = mine.sort_values([*OPERATION, "REPORT_DT", *AMOUNTS], kind="stable")
    mine["number"] = mine.groupby([*OPERATION, "day"], sort=False).cumcount()
    theirs = routings[dataset.among(routings["ITEM_CD"], mine["ITEM_CD"].unique())]
    done = mine.merge(_operations(theirs), on=[*REVISION, "PROC_SEQ"])
    proposed = metrics.keyed(operations_of(proposals), "RUN_TIME_LOW", "RUN_TIME_HIGH")
    both = done.merge(proposed, on=["ITEM_CD", "JOB_CD", "occurrence"], suffixes=("_true", ""))
    quantity, hours, setup = (both[name].to_numpy(float) for name in AMOUNTS)
    pieces = np.where(quantity > 0, quantity, np.nan)
    times = run_times(both["JOB_CD"].tolist(), both["occurrence"].tolist(), pieces)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        run = 60 * hours / times
        logs = [
            _finite(np.log(run / both["RUN_TIME"].to_numpy(float))),
            _finite(np.log(60 * setup / both["SETUP_TIME"].to_numpy(float))),
        ]
    low, high = (both[f"RUN_TIME_{end}"].to_numpy(float) for end in ("LOW", "HIGH"))
    within = np.where(np.isnan(logs[0]) | np.isnan(low), np.nan, (run >= low) & (run <= high))
    model = {one.item_cd: one.model for one in proposals}
    keys = (both[name].tolist() for name in (*OPERATION, "number", "day", "JOB_CD"))
    machines = both["RES_CD_true"].tolist()
    return [
        Worked(
            item_cd=code, rout_no=revision, proc_seq=int(sequence), number=int(number),
            model=model[code], day=day, week=week_of(day), job_cd=job,
            res_cd=None if pd.isna(machine) else str(machine),
            run_log=_number(run_log), setup_log=_number(setup_log), within=_number(inside),
        )
        for code, revision, sequence, number, day, job, machine, run_log, setup_log, inside in zip(
            *keys, machines, *logs, within, strict=True
        )
        if not (np.isnan(run_log) and np.isnan(setup_log))
    ]  # fmt: skip


def _operations(routings: pd.DataFrame) -> pd.DataFrame:
    """The operations of every revision, with their job's occurrence within it."""
    rows = routings.assign(ROUT_NO=routings["ROUT_NO"].fillna("")).drop_duplicates(OPERATION)
    rows = rows.sort_values([*REVISION, "PROC_SEQ"], kind="stable", ignore_index=True)
    rows["occurrence"] = rows.groupby([*REVISION, "JOB_CD"], sort=False).cumcount()
    return rows[[*REVISION, "PROC_SEQ", "JOB_CD", "RES_CD", "occurrence"]]


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
