"""Gives the times of routings their meaning: minutes for one piece, whatever the ERP counts in."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from routing_ml.source import typed

_SECOND, _HOUR, _DAY = 1 / 60, 60.0, 24 * 60.0

MINUTES_PER: Mapping[str, float] = {
    **dict.fromkeys(("S", "SEC", "SECS", "SECOND", "SECONDS", "SEK", "초", "秒"), _SECOND),
    **dict.fromkeys(("M", "MIN", "MINS", "MINUTE", "MINUTES", "분", "分"), 1.0),
    **dict.fromkeys(("H", "HR", "HRS", "HOUR", "HOURS", "STD", "STUNDEN", "시간", "時間"), _HOUR),
    **dict.fromkeys(("D", "DAY", "DAYS", "TAG", "TAGE", "일", "日"), _DAY),
}
"""A unit as ERPs write it -> minutes in one."""


def factors(units: pa.Array) -> np.ndarray:
    """(n,) minutes in one of each unit; a missing one is the minute. ConversionError at an unknown
    one."""
    found = np.ones(len(units))
    for row, unit in enumerate(units.to_pylist()):
        written = (unit or "").strip().upper().rstrip(".")
        if written:
            if written not in MINUTES_PER:
                raise typed.ConversionError(row, unit, "unit of time (such as MIN or H)")
            found[row] = MINUTES_PER[written]
    return found


def pieces(quantities: pa.Array) -> np.ndarray:
    """(n,) quantities; a missing one is 1. ConversionError at one that is not above 0."""
    known = typed.valid(quantities)
    found = np.where(known, typed.floats(quantities), 1.0)
    if not (found > 0).all():
        row = int((~(found > 0)).argmax())
        raise typed.ConversionError(row, float(found[row]), "quantity above 0")
    return found


def minutes(times: pa.Array, factor: float | np.ndarray, per: float | np.ndarray) -> pa.Array:
    """`times` (n,) float64, each in units of `factor` minutes and for `per` pieces, as minutes for
    one piece; nulls stay."""
    with np.errstate(over="ignore"):
        return typed.numbers(typed.floats(times) * factor / per, typed.valid(times))
