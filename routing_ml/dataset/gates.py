"""Judges a dataset before a model learns from it: gates that stop the run (errors) or travel to
the report (warnings), and the figures behind them.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from routing_ml.dataset import frames as dataset
from routing_ml.dataset import offenders, suspects
from routing_ml.dataset.offenders import listed
from routing_ml.dataset.units import FACTORS
from routing_ml.errors import AuditError

LEAST_ITEMS = 30
"""Items with a routing: the newest 15 % are held out, and a model is fitted on 20 or more."""
WANTED_ITEMS = 200
"""From here on figures mean something: of 200 items 30 are held out. With fewer a run still goes on
and may promote: it is no doubt about the data, and the comparison knows how little it has."""
MAX_NULL_RATIO = 0.05
MAX_MINUTES = 30 * 24 * 60
MAX_IMPOSSIBLE_RATIO = 0.05
REQUIRED = {
    "items": ("ITEM_CD",),
    "routings": ("ITEM_CD", "ROUT_NO", "PROC_SEQ", "INSRT_DT", "JOB_CD", "SETUP_TIME", "RUN_TIME"),
    "results": ("ITEM_CD", "ROUT_NO", "PROC_SEQ", "REPORT_DT"),
}

Level = Literal["ok", "warning", "error"]
Rows = list[pd.DataFrame]
"""What is behind a check: the rows as `offenders.listed` gives them."""


@dataclass(frozen=True)
class Check:
    """One gate: what was found, and whether it lets the run go on."""

    name: str
    level: Level
    found: str


@dataclass(frozen=True)
class Audit:
    """All gates of a dataset; `null_ratios` and `outliers` (values more than 3 standard deviations
    off) by table and column, fractions and counts; the rows behind the gates in `offenders`."""

    checks: tuple[Check, ...]
    null_ratios: dict[str, dict[str, float]] = field(default_factory=dict)
    outliers: dict[str, dict[str, int]] = field(default_factory=dict)
    offenders: pd.DataFrame = field(default_factory=lambda: offenders.together([]))

    @property
    def errors(self) -> list[Check]:
        """The gates that stop a run."""
        return [check for check in self.checks if check.level == "error"]

    @property
    def warnings(self) -> list[Check]:
        """The gates that only tell."""
        return [check for check in self.checks if check.level == "warning"]

    def as_dict(self) -> dict[str, Any]:
        """The audit as JSON takes it, of the offenders the worst few."""
        return {
            "passed": not self.errors,
            "checks": [asdict(check) for check in self.checks],
            "null_ratios": self.null_ratios,
            "outliers": self.outliers,
            "offenders": offenders.worst(self.offenders),
        }

    def offenders_csv(self) -> str:
        """All offenders as a CSV that spreadsheets open."""
        return offenders.as_csv(self.offenders)

    def require(self) -> None:
        """Raise AuditError, every error in one line, unless the dataset may be learned from."""
        if self.errors:
            found = "; ".join(f"{check.name}: {check.found}" for check in self.errors)
            raise AuditError(f"the dataset fails its audit: {found}; correct the ERP and run again")


def audit(path: Path, *, null_level: Level = "warning") -> Audit:
    """Audit the dataset at `path` (its folder or manifest), as it was extracted.

    `null_level` is how bad a required column with more than 5 % NULL is.
    """
    manifest, tables = tables_of(path)
    null_ratios = {
        role: {str(name): _null_ratio(values) for name, values in table.items()}
        for role, table in tables.items()
    }
    outliers = {role: suspects.counts(table) for role, table in tables.items()}
    items, routings = tables["items"], tables["routings"]
    if routings.empty:
        return Audit((_enough(items, routings),), null_ratios, outliers)
    attributes = manifest["attributes"]
    units = attributes["units"]
    found: list[tuple[Check, Rows]] = [
        (_enough(items, routings), []),
        *_nulls(tables, null_ratios, null_level),
        *_duplicates(tables),
        *_pairs(items, routings),
        *_times(routings),
        *_warnings(suspects.infinite(tables)),
        *_units(items, units),
        *_warnings(suspects.far_off(tables, units)),
        *_warnings(suspects.spelled_otherwise(tables, [*attributes["text"], *units.values()])),
        *_warnings(suspects.out_of_step(tables, attributes["text"])),
    ]
    return Audit(
        tuple(check for check, _ in found),
        null_ratios,
        outliers,
        offenders.together([rows for _, parts in found for rows in parts]),
    )


def tables_of(path: Path) -> tuple[dict[str, Any], dict[str, pd.DataFrame]]:
    """The manifest of the dataset at `path`, and its tables as they were extracted."""
    manifest_path, manifest = dataset.read_manifest(path)
    return manifest, {
        role: pd.read_parquet(manifest_path.parent / table["file"])
        for role, table in manifest["tables"].items()
    }


def _warnings(found: Iterator[suspects.Suspects]) -> Iterator[tuple[Check, Rows]]:
    for name, words, rows in found:
        yield Check(name, "warning", words), rows


def _enough(items: pd.DataFrame, routings: pd.DataFrame) -> Check:
    """Items with a routing, for these are learned from: twelve of them may have 4,800 rows."""
    usable = routings[["ITEM_CD", "PROC_SEQ", "JOB_CD"]].dropna()
    count = len(
        set(compared(usable["ITEM_CD"]).dropna()) & set(compared(items["ITEM_CD"]).dropna())
    )
    found = f"{count:,} {'item has' if count == 1 else 'items have'} a routing"
    if count < LEAST_ITEMS:
        return Check("items", "error", f"{found}, at least {LEAST_ITEMS} are needed")
    if count < WANTED_ITEMS:
        return Check("items", "warning", f"{found}, from {WANTED_ITEMS} on figures mean something")
    return Check("items", "ok", f"{found}, at least {LEAST_ITEMS} are needed")


def _nulls(
    tables: dict[str, pd.DataFrame], ratios: dict[str, dict[str, float]], level: Level
) -> Iterator[tuple[Check, Rows]]:
    for role, names in REQUIRED.items():
        for name in names:
            ratio = ratios.get(role, {}).get(name)
            if ratio is None or ratio <= MAX_NULL_RATIO:
                continue
            key = name not in ("INSRT_DT", "REPORT_DT", "SETUP_TIME", "RUN_TIME")
            empty = key and ratio == 1.0 and role != "results"
            found = f"{role}.{name} is {ratio:.1%} NULL, at most {MAX_NULL_RATIO:.0%} is expected"
            table = tables[role]
            rows = table.index[is_null(table[name])]
            part = listed("required values", role, table, rows, name, "it is missing")
            yield Check("required values", "error" if empty else level, found), [part]


def _duplicates(tables: dict[str, pd.DataFrame]) -> Iterator[tuple[Check, Rows]]:
    keys = {"items": ["ITEM_CD"], "routings": ["ITEM_CD", "ROUT_NO", "PROC_SEQ"]}
    for role, names in keys.items():
        table = tables[role]
        more = [name for name in ("ALT_NO", "PROC_SUB") if name in table]
        cleaned = table[[*names, *more]].apply(
            lambda column: compared(column) if column.name != "PROC_SEQ" else column
        )
        rows = cleaned.index[cleaned[names].notna().all(axis=1)]
        rows = rows[cleaned.loc[rows].duplicated()]
        if len(rows):
            of = ", ".join(names)
            part = listed("duplicates", role, table, rows, names[-1], f"a row before has its {of}")
            found = f"{len(rows):,} rows of {role} repeat {of}"
            yield Check("duplicates", "warning", found), [part]


def _pairs(items: pd.DataFrame, routings: pd.DataFrame) -> Iterator[tuple[Check, Rows]]:
    known = set(compared(items["ITEM_CD"]).dropna())
    codes = compared(routings["ITEM_CD"])
    routed = set(codes.dropna())
    without, unknown = len(known - routed), len(routed - known)
    found = f"{without:,} of {len(known):,} items have none among these records"
    yield Check("items without routing", "ok", found), []
    if not unknown:
        return
    strangers = codes.index[codes.isin(routed - known)]
    rows = strangers[~codes[strangers].duplicated()]
    why = "it is not in the item table"
    part = listed("routings without item", "routings", routings, rows, "ITEM_CD", why)
    if not routed & known:
        found = "no item of the routings is in the item table: is `item` the same code in both?"
        yield Check("routings without item", "error", found), [part]
    else:
        found = f"{unknown:,} items have a routing and are not in the item table: not learned from"
        yield Check("routings without item", "warning", found), [part]


def _times(routings: pd.DataFrame) -> Iterator[tuple[Check, Rows]]:
    for name in routings.columns.intersection(["SETUP_TIME", "RUN_TIME"]):
        times = routings[name]
        wrong = times.notna() & ~times.between(0, MAX_MINUTES)
        if wrong.any():
            level: Level = "error" if wrong.mean() > MAX_IMPOSSIBLE_RATIO else "warning"
            rule = f"negative or over {MAX_MINUTES:,} minutes"
            rows = times[wrong].abs().sort_values(ascending=False, kind="stable").index
            worst = times[rows[0]]
            found = f"{len(rows):,} values of {name} are {rule}, such as {worst:g}"
            part = listed("impossible times", "routings", routings, rows, str(name), rule)
            yield Check("impossible times", level, found), [part]


def _units(items: pd.DataFrame, units: dict[str, str]) -> Iterator[tuple[Check, Rows]]:
    for column in sorted(set(units.values()) & set(items.columns)):
        written = items[column].dropna().astype("str").str.strip()
        strange = written[(written != "") & ~written.str.upper().isin(FACTORS)]
        if len(strange):
            named = ", ".join(map(repr, sorted(set(strange))[:5]))
            found = f"items.{column} has {named}: taken as they are"
            why = "no unit that is known"
            part = listed("unknown units", "items", items, strange.index, column, why)
            yield Check("unknown units", "warning", found), [part]


def _null_ratio(values: pd.Series) -> float:
    """The fraction that is NULL or, of text, blank; 1 of an empty table."""
    return float(is_null(values).mean()) if len(values) else 1.0


def is_null(values: pd.Series) -> pd.Series:
    """Which values are NULL or, of text, blank."""
    return (compared(values) if pd.api.types.is_string_dtype(values) else values).isna()


def compared(codes: pd.Series) -> pd.Series:
    """Codes as they compare: without padding and case; blank ones missing."""
    return codes.str.strip().str.casefold().replace("", None)
