"""Finds single values that are likely wrong, in columns that are right: outliers, other spellings,
values that do not go with the row's others. Each is a warning's name, its words and its rows.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from routing_ml.dataset import consistency, outliers
from routing_ml.dataset.offenders import listed

Suspects = tuple[str, str, list[pd.DataFrame]]

SHOWN_COLUMNS = 5
ROUTING_TEXTS = ["JOB_CD", "JOB_NM", "RES_CD"]


def counts(table: pd.DataFrame) -> dict[str, int]:
    """Values further than 3 standard deviations from their column's mean, by column."""
    found = {
        str(name): int((outliers.plain(table[name]).abs() > outliers.Z).sum())
        for name in table.select_dtypes("float64").columns
    }
    return {name: count for name, count in found.items() if count}


def far_off(tables: Mapping[str, pd.DataFrame], units: Mapping[str, str]) -> Iterator[Suspects]:
    """Values more than 3 standard deviations, or 3.5 robust ones, off the rest of their column:
    times from those of the same operation, sizes in one unit.
    """
    parts, counted = [], {}
    for role, table in tables.items():
        for name in table.select_dtypes("float64").columns:
            rows = _far(role, table, str(name), units)
            if len(rows):
                parts.append(rows)
                counted[f"{role}.{name}"] = len(rows)
    if parts:
        found = (
            f"values more than {outliers.Z:g} standard deviations off the mean, or "
            f"{outliers.MODIFIED_Z:g} robust ones off the median: {_most(counted)}"
        )
        yield "outliers", found, parts


def deviations(
    role: str, table: pd.DataFrame, name: str, units: Mapping[str, str]
) -> pd.DataFrame | None:
    """How far each value of a column lies from the rest of it; None of one that holds flags alone.

    `z` counts standard deviations off the mean, `modified` robust ones off the median: of times of
    the same operation, of sizes in one unit. `usual` is that median, in the row's own `unit`.
    """
    values = table[name]
    if set(values.dropna().unique()) <= {0.0, 1.0}:
        return None
    unit = units.get(name) if role == "items" else None
    factors = outliers.factors(table[unit]) if unit in table else pd.Series(1.0, table.index)
    groups = table["JOB_CD"] if role == "routings" else None
    in_one_unit = values * factors
    usual = in_one_unit.median() / factors
    if groups is not None:
        usual = in_one_unit.groupby(groups).median().reindex(groups).set_axis(table.index)
    written = table[unit].astype(object).fillna("") if unit in table else ""
    return pd.DataFrame(
        {
            "z": outliers.plain(values),
            "modified": outliers.robust(in_one_unit, groups),
            "usual": usual,
            "unit": written,
        },
        table.index,
    )


def _far(role: str, table: pd.DataFrame, name: str, units: Mapping[str, str]) -> pd.DataFrame:
    off = deviations(role, table, name, units)
    if off is None:
        return table.head(0)
    far = off[(off["z"].abs() > outliers.Z) | (off["modified"].abs() > outliers.MODIFIED_Z)]
    if far.empty:
        return table.head(0)
    far = far.assign(by=-far["modified"].abs(), then=-far["z"].abs())
    far = far.sort_values(["by", "then"], kind="stable")
    of: str | pd.Series = ""
    if role == "routings":
        of = " of " + table["JOB_CD"][far.index].astype(object).fillna("no operation")
    why = "the median" + of + far["usual"].map(" is {:,.4g}".format)
    if units.get(name) in table and role == "items":
        why += " " + far["unit"]
    why += far["z"].map("; z {:+.1f}".format) + far["modified"].map(", robust {:+.1f}".format)
    return listed("outliers", role, table, far.index, name, why)


def spelled_otherwise(
    tables: Mapping[str, pd.DataFrame], free: Sequence[str]
) -> Iterator[Suspects]:
    """Texts that differ from a commoner one by case or spaces alone; not in the columns `free`."""
    parts, counted = [], {}
    for role, table in tables.items():
        for name in _texts(role, table, free):
            usual = consistency.spellings(table[name])
            if len(usual):
                why = "usually written " + usual.map(repr)
                parts.append(listed("spellings", role, table, usual.index, name, why))
                counted[f"{role}.{name}"] = len(usual)
    if parts:
        found = f"texts that are usually written otherwise, by case or spaces: {_most(counted)}"
        yield "spellings", found, parts


def out_of_step(tables: Mapping[str, pd.DataFrame], free: Sequence[str]) -> Iterator[Suspects]:
    """Values that break what holds between two columns in 98 % of the rows."""
    parts, counted = [], {}
    for role, table in tables.items():
        names = _texts(role, table, free)
        # Of a routing the operation's code and name only: machines change with the years.
        names = [name for name in names if role == "items" or name in ("JOB_CD", "JOB_NM")]
        for name, why in consistency.broken(table, names):
            parts.append(listed("dependencies", role, table, why.index, name, why))
            counted[f"{role}.{name}"] = len(why)
    if parts:
        found = (
            "values that do not go with another column's, as they do in "
            f"{consistency.PURITY:.0%} of the rows: {_most(counted)}"
        )
        yield "dependencies", found, parts


def infinite(tables: Mapping[str, pd.DataFrame]) -> Iterator[Suspects]:
    """Numbers that are not finite, a warning a column."""
    for role, table in tables.items():
        for name, values in table.select_dtypes("float64").items():
            rows = table.index[np.isinf(values)]
            if len(rows):
                found = f"{len(rows):,} values of {role}.{name} are not finite: taken as missing"
                part = listed("infinite values", role, table, rows, str(name), "not finite")
                yield "infinite values", found, [part]


def _texts(role: str, table: pd.DataFrame, free: Sequence[str]) -> list[str]:
    """Columns of texts that are codes or names, which no two rows need to spell in two ways."""
    if role == "items":
        texts = map(str, table.select_dtypes("str").columns)
        return [name for name in texts if name != "ITEM_CD" and name not in free]
    return [name for name in ROUTING_TEXTS if name in table]


def _most(counted: Mapping[str, int]) -> str:
    worst = sorted(counted, key=lambda name: -counted[name])
    listed = ", ".join(f"{name} {counted[name]:,}" for name in worst[:SHOWN_COLUMNS])
    more = len(worst) - SHOWN_COLUMNS
    return listed + (f", and {more} more columns" if more > 0 else "")
