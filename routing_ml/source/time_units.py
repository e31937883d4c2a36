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


def minutes(times: pa.Array, unit: float | pa.Array, quantity: float | pa.Array = 1.0) -> pa.Array:
    """`times` (n,) float64 in `unit` for `quantity` pieces, as minutes for one; nulls stay.

    `unit` is minutes in one unit or an array of the units' names (missing: minutes). A missing
    quantity counts as one. Raises ConversionError at a unit that is unknown and at a quantity that
    is not above 0, where there is a time.
    """
    values = np.frombuffer(times.buffers()[1], np.float64, len(times), times.offset * 8)
    known = typed.valid(times)
    factor = unit if isinstance(unit, float) else _factors(unit, known)
    pieces = quantity if isinstance(quantity, float) else _pieces(quantity, known)
    with np.errstate(over="ignore"):
        return typed.numbers(values * factor / pieces, known)


def _factors(units: pa.Array, known: np.ndarray) -> np.ndarray:
    factors = np.ones(len(units))
    for row, unit in enumerate(units.to_pylist()):
        written = (unit or "").strip().upper().rstrip(".")
        if written and known[row]:
            if written not in MINUTES_PER:
                raise typed.ConversionError(row, unit, "unit of time (such as MIN or H)")
            factors[row] = MINUTES_PER[written]
    return factors


def _pieces(quantities: pa.Array, known: np.ndarray) -> np.ndarray:
    given = typed.valid(quantities)
    pieces = np.frombuffer(quantities.buffers()[1], np.float64, len(given), quantities.offset * 8)
    wrong = known & given & ~(pieces > 0)
    if wrong.any():
        row = int(wrong.argmax())
        raise typed.ConversionError(row, float(pieces[row]), "quantity above 0")
    return np.where(given, pieces, 1.0)
