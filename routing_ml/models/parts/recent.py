"""What is recent: when each machine was last used, and how much more what is new may weigh."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd

from routing_ml.models.parts.operations import Rows, days

DAY = date(1970, 1, 1).toordinal()  # days are counted from here
HALF_LIVES = (1 / 3, 1 / 12)  # of the time that the routings span

Weighting = Callable[[np.ndarray], np.ndarray]


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


def weightings(entered: np.ndarray) -> list[Weighting]:
    """Ways to weigh items by when they were `entered` (n,), in days, the simplest first: alike,
    then halved for each third and each twelfth of the whole time.

    Each takes numbers of items and returns as many, those of more weight several times and those
    of less not at all; where nothing is dated all weigh alike.
    """
    found: list[Weighting] = [lambda items: items]
    known = entered[~np.isnan(entered)]
    span = float(known.max() - known.min()) if len(known) else 0.0
    if not span:
        return found
    age = np.where(np.isnan(entered), span, np.nanmax(entered) - entered)

    def halving(half_life: float) -> Weighting:
        def drawn(items: np.ndarray) -> np.ndarray:
            bound = np.cumsum(0.5 ** (age[items] / half_life))
            # systematic sampling: an item comes as often as its weight says, give or take one
            return items[
                np.searchsorted(bound, (np.arange(len(items)) + 0.5) / len(items) * bound[-1])
            ]

        return drawn

    return [*found, *(halving(share * span) for share in HALF_LIVES)]
