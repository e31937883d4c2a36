"""Finds sizes, weights and pressures whose unit is missing, unusual, or likely another one."""

from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from routing_ml.dataset import FACTORS, KINDS, factors, listed, robust

MOSTLY = 0.5
"""Share of a column's values that have a unit, from which on one without has lost it."""
NEARLY_ALL = 0.98
FAR, NEAR = 3.5, 2.0
"""Robust z-scores of a value that cannot be right, and of one that can."""
SLACK = np.log(1.25)
"""How far a value may be off in the other unit at any rate: units are 2.5 times apart or more."""
MIN_PAIRS = 50
COMMON = ("MM", "CM", "M", "INCH", "KG", "G", "LB", "T", "BAR", "MPA", "PSI")
"""Units that one is taken for by mistake."""


def missing(items: pd.DataFrame, units: Mapping[str, str]) -> Iterator[pd.DataFrame]:
    """Numbers without a unit, in columns most of whose numbers have one; once for each unit."""
    columns = _columns(items, units)
    for unit in dict.fromkeys(unit for _, unit in columns):
        names = [name for name, of in columns if of == unit]
        stated, given = _written(items[unit]).notna(), items[names].notna().any(axis=1)
        if given.any() and stated[given].mean() >= MOSTLY:
            rows = items.index[given & ~stated]
            if len(rows):
                why = f"it is the unit of {', '.join(names)}"
                yield listed("missing units", "items", items, rows, unit, why)


def unusual(items: pd.DataFrame, units: Mapping[str, str]) -> Iterator[pd.DataFrame]:
    """Units other than the one that nearly all values of a column have."""
    for unit in sorted(set(units.values()) & set(items.columns)):
        written = _written(items[unit]).dropna()
        counts = written.value_counts()
        if len(counts) > 1 and NEARLY_ALL <= counts.iloc[0] / len(written) < 1:
            rows = written.index[(written != counts.index[0]) & written.isin(FACTORS)]
            if len(rows):
                why = f"{counts.iloc[0]:,} of {len(written):,} items have {counts.index[0]}"
                yield listed("unusual units", "items", items, rows, unit, why)


def another(items: pd.DataFrame, units: Mapping[str, str]) -> Iterator[pd.DataFrame]:
    """Values that would be usual in another unit and in their own are not: by what other sizes of
    the item let expect, and, where there are none, by the column's other values."""
    sizes = {
        name: (items[name] * factors(items[unit])).where(items[name] > 0)
        for name, unit in _columns(items, units)
    }
    shift = _guilty(_accused(sizes, items, units), sizes)
    for name in sizes:
        rows = sorted(row for of, row in shift if of == name)
        likely = {row: _unit_of(items[units[name]][row], shift[name, row]) for row in rows}
        named = pd.Series({row: unit for row, unit in likely.items() if unit}, dtype="str")
        if len(named):
            has = "it is stated in " + _written(items[units[name]][named.index])
            why = has.fillna("it has no unit") + ", and looks like " + named
            yield listed("another unit", "items", items, named.index, name, why)


def _accused(
    sizes: Mapping[str, pd.Series], items: pd.DataFrame, units: Mapping[str, str]
) -> dict[int, dict[str, list[float]]]:
    """By row and column, each time that something speaks against a size, by how much its logarithm
    would be too great."""
    accused: dict[int, dict[str, list[float]]] = {}
    for one, other in combinations(sizes, 2):
        for row, by in _shifted(sizes[one] / sizes[other], items[units[one]]).items():
            # Of two that do not go together either may be wrong.
            accused.setdefault(row, {}).setdefault(one, []).append(by)
            accused[row].setdefault(other, []).append(-by)
    for name, values in sizes.items():
        for row, by in _shifted(values, items[units[name]]).items():
            accused.setdefault(row, {}).setdefault(name, []).append(by)
    return accused


def _guilty(
    accused: Mapping[int, Mapping[str, list[float]]], sizes: Mapping[str, pd.Series]
) -> dict[tuple[str, int], float]:
    """Of the sizes of a row those that most speak against; of equals those that stand out by
    themselves, and where none does, the one that does most."""
    off = {name: _deviation(values).abs().to_dict() for name, values in sizes.items()}
    shift: dict[tuple[str, int], float] = {}
    for row, by_name in accused.items():
        most = max(len(shifts) for shifts in by_name.values())
        names = [name for name, shifts in by_name.items() if len(shifts) == most]
        out = [name for name in names if off[name][row] > FAR]
        for name in out or [max(names, key=lambda of: off[of][row])]:
            shift[name, row] = by_name[name][-1]
    return shift


def _columns(items: pd.DataFrame, units: Mapping[str, str]) -> list[tuple[str, str]]:
    """The numbers that have a unit's column beside them, with it."""
    return [
        (name, unit)
        for name, unit in units.items()
        if name in items and unit in items and pd.api.types.is_float_dtype(items[name])
    ]


def _deviation(values: pd.Series) -> pd.Series:
    return robust(values) if values.notna().sum() >= MIN_PAIRS else pd.Series(0.0, values.index)


def _shifted(values: pd.Series, stated: pd.Series) -> dict[int, float]:
    """Of the values that are far off the others and would not be in another unit, by how much their
    logarithm is too great; values above 0, by row."""
    if values.notna().sum() < MIN_PAIRS:
        return {}
    logs = np.log(values)
    middle = logs.median()
    scale = (logs - middle).abs().median() / 0.6745
    found = {}
    for row in values.index[robust(values).abs() > FAR].tolist():
        off = float(logs[row] - middle)
        by = min(_steps(stated[row]), key=lambda step: abs(off - step), default=0.0)
        if by and abs(off - by) <= max(NEAR * scale, SLACK):
            found[row] = by
    return found


def _steps(stated: object) -> list[float]:
    """Logarithms of how many times too great a value is that was written in a common unit of the
    same kind, and is read in its own; and the other way round, for the other value of a ratio."""
    own = str(stated).strip().upper() if isinstance(stated, str) else "MM"
    steps = [np.log(FACTORS[own] / FACTORS[unit]) for unit in _alike(own)]
    return [sign * step for step in steps if step for sign in (1, -1)]


def _unit_of(stated: object, by: float) -> str:
    """The common unit that a value was written in which is exp(by) times too great; '' of none."""
    own = str(stated).strip().upper() if isinstance(stated, str) else "MM"
    near = [unit for unit in _alike(own) if abs(np.log(FACTORS[own] / FACTORS[unit]) - by) < 1e-6]
    return near[0] if near else ""


def _alike(unit: str) -> list[str]:
    kind = next((kind for kind in KINDS if unit in kind), {})
    return [common for common in COMMON if common in kind and common != unit]


def _written(values: pd.Series) -> pd.Series:
    """Units as they compare; blank ones missing."""
    return values.str.strip().str.upper().replace("", None)
