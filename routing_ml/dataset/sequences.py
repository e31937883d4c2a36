"""Sequence numbers with a letter behind them (`10`, `10A`, `20`) into whole numbers in order."""

import numpy as np
import pandas as pd

STEP = 10


def renumbered(
    routings: pd.DataFrame, results: pd.DataFrame | None
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Both tables without `PROC_SUB`, the letter; `PROC_SEQ` tells apart what it told apart.

    A number without letters in its routing stays. What has one comes evenly between its number and
    the next (`10`, `10A`, `20`: 10, 15, 20); where that leaves no room, the routing is numbered
    anew in tens. The rows of `results` get the numbers of the routing rows that they report on.
    """
    keys = [name for name in ("ITEM_CD", "ROUT_NO", "ALT_NO") if name in routings]
    places = routings[[*keys, "PROC_SEQ", "PROC_SUB"]].drop_duplicates()
    places = places.sort_values([*keys, "PROC_SEQ", "PROC_SUB"], na_position="first")
    lettered = places.groupby(keys, dropna=False)["PROC_SUB"].transform(
        lambda sub: sub.notna().any()
    )
    places["number"] = places["PROC_SEQ"]
    for _, group in places[lettered].groupby(keys, dropna=False):
        places.loc[group.index, "number"] = _spread(group["PROC_SEQ"].to_numpy(np.int64))
    at = [*keys, "PROC_SEQ", "PROC_SUB"]
    routings = routings.merge(places, on=at, how="left").drop(columns=["PROC_SEQ", "PROC_SUB"])
    routings = routings.rename(columns={"number": "PROC_SEQ"})
    if results is not None:
        at = [name for name in at if name in results]
        known = places.drop_duplicates(at)[[*at, "number"]]
        results = results.merge(known, on=at, how="left")
        results["PROC_SEQ"] = results["number"].fillna(results["PROC_SEQ"]).astype("int64")
        results = results.drop(columns=["number", "PROC_SUB"], errors="ignore")
    return routings, results


def _spread(numbers: np.ndarray) -> np.ndarray:
    """(n,) sorted numbers, of which equal ones are told apart by where they stand."""
    starts = np.flatnonzero(np.r_[True, numbers[1:] != numbers[:-1]])
    ends = np.r_[starts[1:], len(numbers)]
    following = np.r_[numbers[starts[1:]], numbers[-1:] + STEP]
    spread = numbers.copy()
    for start, end, after in zip(starts, ends, following, strict=True):
        room = (after - numbers[start]) / (end - start)
        if room < 1:
            return STEP * np.arange(1, len(numbers) + 1)
        spread[start:end] = numbers[start] + (np.arange(end - start) * room).astype(np.int64)
    return spread
