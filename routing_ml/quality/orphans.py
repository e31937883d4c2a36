"""Finds what belongs to nothing: items that nobody routed, results of no routing, machines and
operations that stand in one row alone.
"""

from collections.abc import Iterator
from datetime import datetime

import pandas as pd

from routing_ml.dataset import compared, listed

WAITING_DAYS = 90
"""An item that was entered so long ago has waited for its routing too long."""
NEW_DAYS = 30
"""A code that was first used so lately may be used again."""


def without_routing(
    items: pd.DataFrame, routings: pd.DataFrame, as_of: datetime
) -> Iterator[pd.DataFrame]:
    """Items that no routing row speaks of, long after their entry; the longest first."""
    if "INSRT_DT" not in items:
        return
    codes = compared(items["ITEM_CD"])
    days = (pd.Timestamp(as_of) - items["INSRT_DT"]).dt.days
    left = codes.notna() & ~codes.isin(compared(routings["ITEM_CD"]).dropna())
    rows = days[left & (days > WAITING_DAYS)].sort_values(ascending=False, kind="stable").index
    if len(rows):
        why = "entered " + days[rows].astype(int).map("{:,}".format) + " days ago, no routing yet"
        yield listed("items without routing", "items", items, rows, "INSRT_DT", why)


def without_operation(results: pd.DataFrame, routings: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Work-order results of no operation of a routing, one row for each operation that is missing.

    Where that is so of all of them the columns are mapped wrong, which `check` says.
    """
    keys = ["ITEM_CD", "ROUT_NO", "PROC_SEQ"]
    reported, known = _keys(results, keys), _keys(routings, keys)
    strange = ~pd.MultiIndex.from_frame(reported).isin(pd.MultiIndex.from_frame(known))
    if not strange.any() or strange.all():
        return
    rows = reported.index[strange]
    rows = rows[~reported.loc[rows].duplicated()]
    why = "no routing has this operation"
    yield listed("results without routing", "results", results, rows, "PROC_SEQ", why)


def used_once(routings: pd.DataFrame, as_of: datetime) -> Iterator[pd.DataFrame]:
    """Rows whose operation or machine no other row has, but those that were entered lately."""
    entered = routings.get("INSRT_DT", pd.Series(pd.NaT, routings.index, dtype="M8[us]"))
    late = (pd.Timestamp(as_of) - entered).dt.days <= NEW_DAYS
    for name, what in (("JOB_CD", "operation"), ("RES_CD", "machine")):
        if name not in routings:
            continue
        codes = compared(routings[name])
        rows = routings.index[codes.notna() & ~codes.duplicated(keep=False) & ~late]
        if len(rows):
            why = f"no other row of all routings has this {what}"
            yield listed("used once", "routings", routings, rows, name, why)


def _keys(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    keys = table[names].dropna()
    return keys.assign(**{name: compared(keys[name]) for name in ("ITEM_CD", "ROUT_NO")})
