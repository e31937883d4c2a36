"""Judges a dataset before a model learns from it: gates that stop the run (errors) or travel to
the report (warnings), and the figures behind them.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from routing_ml.dataset import frames as dataset
from routing_ml.dataset.units import FACTORS
from routing_ml.errors import AuditError

MIN_RECORDS = 1_000
MAX_NULL_RATIO = 0.05
OUTLIER_Z = 3.0
MAX_MINUTES = 30 * 24 * 60
MAX_IMPOSSIBLE_RATIO = 0.05
REQUIRED = {
    "items": ("ITEM_CD",),
    "routings": ("ITEM_CD", "ROUT_NO", "PROC_SEQ", "INSRT_DT", "JOB_CD", "SETUP_TIME", "RUN_TIME"),
    "results": ("ITEM_CD", "ROUT_NO", "PROC_SEQ", "REPORT_DT"),
}

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Check:
    """One gate: what was found, and whether it lets the run go on."""

    name: str
    level: Level
    found: str


@dataclass(frozen=True)
class Audit:
    """All gates of a dataset; `null_ratios` and `outliers` by table and column, fractions and
    counts."""

    checks: tuple[Check, ...]
    null_ratios: dict[str, dict[str, float]] = field(default_factory=dict)
    outliers: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def errors(self) -> list[Check]:
        """The gates that stop a run."""
        return [check for check in self.checks if check.level == "error"]

    @property
    def warnings(self) -> list[Check]:
        """The gates that only tell."""
        return [check for check in self.checks if check.level == "warning"]

    def as_dict(self) -> dict[str, Any]:
        """The audit as JSON takes it."""
        return {"passed": not self.errors} | asdict(self)

    def require(self) -> None:
        """Raise AuditError, every error in one line, unless the dataset may be learned from."""
        if self.errors:
            found = "; ".join(f"{check.name}: {check.found}" for check in self.errors)
            raise AuditError(f"the dataset fails its audit: {found}; correct the ERP and run again")


def audit(path: Path, *, null_level: Level = "warning") -> Audit:
    """Audit the dataset at `path` (its folder or manifest), as it was extracted.

    `null_level` is how bad a required column with more than 5 % NULL is.
    """
    manifest_path, manifest = dataset.read_manifest(path)
    tables = {
        role: pd.read_parquet(manifest_path.parent / table["file"])
        for role, table in manifest["tables"].items()
    }
    null_ratios = {
        role: {str(name): _null_ratio(values) for name, values in table.items()}
        for role, table in tables.items()
    }
    outliers = {role: _outliers(table) for role, table in tables.items()}
    items, routings = tables["items"], tables["routings"]
    if routings.empty:
        return Audit((_records(routings),), null_ratios, outliers)
    checks = [
        _records(routings),
        *_nulls(null_ratios, null_level),
        *_duplicates(tables),
        *_pairs(items, routings),
        *_times(routings),
        *_infinite(tables),
        *_units(items, manifest["attributes"]["units"]),
        *_outlier_check(outliers),
    ]
    return Audit(tuple(checks), null_ratios, outliers)


def _records(routings: pd.DataFrame) -> Check:
    found = f"{len(routings):,} routing records, at least {MIN_RECORDS:,} are needed"
    return Check("records", "ok" if len(routings) >= MIN_RECORDS else "error", found)


def _nulls(ratios: dict[str, dict[str, float]], level: Level) -> Iterator[Check]:
    for role, names in REQUIRED.items():
        for name in names:
            ratio = ratios.get(role, {}).get(name)
            if ratio is None or ratio <= MAX_NULL_RATIO:
                continue
            key = name not in ("INSRT_DT", "REPORT_DT", "SETUP_TIME", "RUN_TIME")
            empty = key and ratio == 1.0 and role != "results"
            found = f"{role}.{name} is {ratio:.1%} NULL, at most {MAX_NULL_RATIO:.0%} is expected"
            yield Check("required values", "error" if empty else level, found)


def _duplicates(tables: dict[str, pd.DataFrame]) -> Iterator[Check]:
    keys = {"items": ["ITEM_CD"], "routings": ["ITEM_CD", "ROUT_NO", "PROC_SEQ"]}
    for role, names in keys.items():
        cleaned = tables[role][names].apply(
            lambda column: _folded(column) if column.name != "PROC_SEQ" else column
        )
        twice = int(cleaned.dropna().duplicated().sum())
        if twice:
            yield Check(
                "duplicates", "warning", f"{twice:,} rows of {role} repeat {', '.join(names)}"
            )


def _pairs(items: pd.DataFrame, routings: pd.DataFrame) -> Iterator[Check]:
    known = set(_folded(items["ITEM_CD"]).dropna())
    routed = set(_folded(routings["ITEM_CD"]).dropna())
    without, unknown = len(known - routed), len(routed - known)
    yield Check(
        "items without routing",
        "ok",
        f"{without:,} of {len(known):,} items have none among these records",
    )
    if routed and not routed & known:
        found = "no item of the routings is in the item table: is `item` the same code in both?"
        yield Check("routings without item", "error", found)
    elif unknown:
        found = f"{unknown:,} items have a routing and are not in the item table: not learned from"
        yield Check("routings without item", "warning", found)


def _times(routings: pd.DataFrame) -> Iterator[Check]:
    for name in routings.columns.intersection(["SETUP_TIME", "RUN_TIME"]):
        wrong = routings[name].notna() & ~routings[name].between(0, MAX_MINUTES)
        if wrong.any():
            worst = routings.loc[wrong, name].iloc[0]
            level: Level = "error" if wrong.mean() > MAX_IMPOSSIBLE_RATIO else "warning"
            found = (
                f"{int(wrong.sum()):,} values of {name} are negative or over {MAX_MINUTES:,} "
                f"minutes, such as {worst:g}"
            )
            yield Check("impossible times", level, found)


def _infinite(tables: dict[str, pd.DataFrame]) -> Iterator[Check]:
    for role, table in tables.items():
        for name, values in table.select_dtypes("float64").items():
            count = int(np.isinf(values).sum())
            if count:
                found = f"{count:,} values of {role}.{name} are not finite: taken as missing"
                yield Check("infinite values", "warning", found)


def _units(items: pd.DataFrame, units: dict[str, str]) -> Iterator[Check]:
    for column in sorted(set(units.values()) & set(items.columns)):
        written = items[column].dropna().astype("str").str.strip()
        unknown = sorted({unit for unit in written if unit and unit.upper() not in FACTORS})
        if unknown:
            found = f"items.{column} has {', '.join(map(repr, unknown[:5]))}: taken as they are"
            yield Check("unknown units", "warning", found)


def _outlier_check(outliers: dict[str, dict[str, int]]) -> Iterator[Check]:
    counts = {f"{role}.{name}": n for role, of in outliers.items() for name, n in of.items()}
    if counts:
        worst = sorted(counts, key=lambda name: -counts[name])
        listed = ", ".join(f"{name} {counts[name]:,}" for name in worst[:5])
        found = f"values more than {OUTLIER_Z:g} standard deviations off the mean: {listed}"
        yield Check("outliers", "warning", found)


def _outliers(table: pd.DataFrame) -> dict[str, int]:
    """Values further than OUTLIER_Z standard deviations from their column's mean."""
    counts = {}
    for name in table.select_dtypes("float64").columns:
        values = table[name].to_numpy()
        values = values[np.isfinite(values)]
        values = values / (np.abs(values).max(initial=0.0) or 1.0)  # whose squares overflow no more
        spread = values.std() if len(values) else 0.0
        far = int((np.abs(values - values.mean()) > OUTLIER_Z * spread).sum()) if spread > 0 else 0
        if far:
            counts[name] = far
    return counts


def _null_ratio(values: pd.Series) -> float:
    """The fraction that is NULL or, of text, blank; 1 of an empty table."""
    if pd.api.types.is_string_dtype(values):
        values = _folded(values)
    return float(values.isna().mean()) if len(values) else 1.0


def _folded(codes: pd.Series) -> pd.Series:
    """Codes as they compare: without padding and case; blank ones missing."""
    return codes.str.strip().str.casefold().replace("", None)
