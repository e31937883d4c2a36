"""Guesses the unit of a dataset's times: from the hours that work orders reported, or, without
them, from their range.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from routing_ml.dataset.frames import Dataset

MIN_PAIRS = 20
SAME = 4.0
"""Standard and reported times this many times apart still are of one unit: planners' standards of
the shipped factory are .95 of what is reported, at the median, and between .4 and 2.2."""
NEAR = 2.0  # how near to a factor of units the ratio must be to be taken for it
HOURS_BELOW = {"SETUP_TIME": 1.0, "RUN_TIME": 0.5}  # medians of minutes that look like hours
SECONDS_ABOVE = 8 * 60.0  # a median operation of a shift and more looks like seconds
LEAST = {"SETUP_TIME": 0.02, "RUN_TIME": 0.001}  # a second; a fast press needs .1 s apiece
MOST = 7 * 24 * 60.0  # and no factory has medians beyond these
UNITS = {60.0: "seconds", 1 / 60: "hours", 1 / 1440: "days"}
"""Time as mapped / time as reported -> the unit that the times then are in."""
REPORTED = {1 / 60: "minutes", 1 / 3600: "seconds", 24.0: "days"}
"""The same -> the unit of what is mapped as reported hours, where these are wrong."""
FACTORS = (60.0, 1 / 60, 1440.0, 1 / 1440, 3600.0, 1 / 3600, 24.0, 1 / 24)
KEYS = {"RUN_TIME": "run_time_unit", "SETUP_TIME": "setup_time_unit"}


@dataclass(frozen=True)
class Times:
    """What is known of one kind of time: medians in minutes of the values over 0.

    `reported` is the median of the same times by the work orders, `ratio` the median of their
    quotients, `per_order` the one without dividing by the quantity; None where fewer than 20
    results speak of an operation. `spreads` are the median absolute deviations of the logarithms
    of both quotients.
    """

    column: str
    median: float
    low: float
    high: float
    pairs: int = 0
    reported: float | None = None
    ratio: float | None = None
    per_order: float | None = None
    spreads: tuple[float, float] = (0.0, 0.0)

    @property
    def fits(self) -> bool | None:
        """Whether the times agree with what was reported; None where nothing was."""
        return None if self.ratio is None else 1 / SAME <= self.ratio <= SAME

    @property
    def is_of_an_order(self) -> bool:
        """Whether the times fit a whole order's hours, and an operation on one piece does not."""
        if self.ratio is None or self.per_order is None or self.fits:
            return False
        return 1 / NEAR <= self.per_order <= NEAR and self.spreads[1] < self.spreads[0]

    @property
    def factor(self) -> float | None:
        """The quotient of two units that the ratio is near to, None where it is near to none."""
        if self.ratio is None or self.fits:
            return None
        ratio = self.ratio
        nearest = min(FACTORS, key=lambda factor: abs(np.log(ratio / factor)))
        return nearest if 1 / NEAR <= ratio / nearest <= NEAR else None

    @property
    def guess(self) -> str:
        """The likely unit, in words."""
        if self.is_of_an_order:
            return "minutes of a whole order"
        if self.ratio is not None:
            return "minutes" if self.fits else UNITS.get(self.factor or 0, "unknown")
        if self.median < HOURS_BELOW[self.column]:
            return "hours"
        return "seconds" if self.median > SECONDS_ABOVE else "minutes"

    def as_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        names = ("median", "low", "high", "pairs", "reported", "ratio", "per_order", "guess")
        return {name: getattr(self, name) for name in names}


def times(data: Dataset) -> dict[str, Times]:
    """What is known of SETUP_TIME and RUN_TIME; a column without a value over 0 is left out."""
    found = {}
    for column in ("SETUP_TIME", "RUN_TIME"):
        values = data.routings[column]
        values = values[values > 0]
        if len(values):
            low, median, high = values.quantile([0.05, 0.5, 0.95])
            compared = _compared(data.routings, data.results, column)
            found[column] = Times(column, float(median), float(low), float(high), **compared)
    return found


def _compared(routings: pd.DataFrame, results: pd.DataFrame | None, column: str) -> dict[str, Any]:
    """The comparison with reported hours, empty where there is too little of it."""
    if results is None:
        return {}
    keys = ["ITEM_CD", "ROUT_NO", "PROC_SEQ"]
    standard = routings.drop_duplicates(keys)[[*keys, column]]
    pairs = results.merge(standard, on=keys)
    hours = pairs["MACH_WORKED_HOURS" if column == "RUN_TIME" else "SETUP_HOURS"]
    quantity = pairs["ORDER_QTY"] if column == "RUN_TIME" else pd.Series(1.0, pairs.index)
    told = (hours > 0) & (quantity > 0) & (pairs[column] > 0)
    if told.sum() < MIN_PAIRS:
        return {}
    minutes = 60 * hours[told]
    apiece, order = pairs[column][told] / (minutes / quantity[told]), pairs[column][told] / minutes
    compared: dict[str, Any] = {
        "pairs": int(told.sum()),
        "reported": float((minutes / quantity[told]).median()),
        "ratio": float(apiece.median()),
    }
    if column == "RUN_TIME":
        compared |= {
            "per_order": float(order.median()),
            "spreads": (_spread(apiece), _spread(order)),
        }
    return compared


def _spread(quotients: pd.Series) -> float:
    logs = np.log(quotients)
    return float((logs - logs.median()).abs().median())


def doubts(found: Mapping[str, Times], unused: Sequence[str]) -> list[tuple[str, str, str]]:
    """Name, level and line of each doubt about the times; the run times' first."""
    doubted = [_doubt(found[column]) for column in ("RUN_TIME", "SETUP_TIME") if column in found]
    unit_columns = [name for name in unused if "UNIT" in name.upper() and "TIME" in name.upper()]
    named = ", ".join(unit_columns)
    hint = f" (not used so far, and may say it: {named})" if unit_columns else ""
    return [(name, level, line + hint) for name, level, line in filter(None, doubted)]


def _doubt(of: Times) -> tuple[str, str, str] | None:
    what = "run times" if of.column == "RUN_TIME" else "setup times"
    key = KEYS[of.column]
    if of.ratio is None:
        return _doubt_by_range(of, what, key)
    if of.fits:
        return None
    apiece = " apiece" if of.column == "RUN_TIME" else ""
    seen = (
        f"{what} are {of.ratio:,.3g} times what {of.pairs:,} work-order results say "
        f"(medians {of.median:,.3g} and {of.reported:,.3g} minutes{apiece})"
    )
    if of.is_of_an_order:
        step = "give per_quantity in [routings] where they are of a whole order, or another column"
        return "times of an order", "warning", f"{seen}, and fit whole orders: {step}"
    if of.factor is None:
        step = "see that both are the right columns and in the right units"
        return "unit of time", "warning", f"{seen}: {step}"
    steps = []
    if unit := UNITS.get(of.factor):
        steps.append(f'they look like {unit}, write {key} = "{unit}" in [routings]')
    if unit := REPORTED.get(of.factor):
        steps.append(f"the hours of [results] look like {unit}, name a column of hours there")
    step = "; or ".join(steps) or "one of them is in another unit, correct the columns file"
    return "unit of time", "error", f"{seen}: {step}"


def _doubt_by_range(of: Times, what: str, key: str) -> tuple[str, str, str] | None:
    seen = f"the median of the {what} is {of.median:,.3g} minutes, "
    least = LEAST[of.column]
    if not least <= of.median <= MOST:
        found = f"outside of any factory's range ({least:g} to {MOST:,.0f})"
        return "unit of time", "error", f"{seen}{found}: correct the columns file ({key})"
    if of.guess == "minutes":
        return None
    return (
        "unit of time",
        "warning",
        f"{seen}and no results say otherwise: where they are {of.guess}, write {key} = "
        f'"{of.guess}" in [routings]',
    )
