"""Looks at a dataset as a data steward would: every finding with its row, counted by column."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from routing_ml import dataset
from routing_ml.quality import duplicates, orphans, sizes
from routing_ml.quality.measures import KINDS, MEASURES

FAR: Mapping[str, float] = {"items": 3.5, "routings": 3.5, "results": 5.0}
"""Robust z-scores from which on a value is told; what work orders report varies by nature."""
DOUBLE = 2.0
NAMES = r"(?i)name|(?:^|_)nm(?:_|$)|desc|bezeich|libell|denomin|名|품명|명$"
NAMED = 0.5  # share of the items that a column must name to be taken for their name
KEY = ("gate", "table", "column", "item", "revision", "sequence")
OWN = ("required values", "outliers")
"""Gates of the audit that a look has its own rules for: one tells of gaps from 5 % on, the other
of whatever is far from the mean, which one gross error moves."""


@dataclass(frozen=True)
class Look:
    """What a look found. `findings` has a row each under the columns of the audit's offenders, with
    `measure` and `key`, by which another look knows it again; `nulls` are shares by table and
    column; `names` the items' names, by their code; `whole` says that no limit cut routings off.
    """

    source: str
    asked: str
    as_of: datetime
    rows: Mapping[str, int]
    nulls: Mapping[str, Mapping[str, float]]
    findings: pd.DataFrame
    names: Mapping[str, str]
    whole: bool

    @property
    def counts(self) -> dict[tuple[str, str, str], int]:
        """Findings by kind, table and column."""
        found = self.findings
        return dict(Counter(zip(found["gate"], found["table"], found["column"], strict=True)))

    @property
    def by_measure(self) -> dict[str, int]:
        """Findings by measure, those without any included."""
        found = Counter(self.findings["measure"])
        return {measure: found[measure] for measure in MEASURES}


def look(path: Path) -> Look:
    """Look at the dataset at `path`, its folder or its manifest."""
    manifest, tables = dataset.tables_of(path)
    audited = dataset.audit(path)
    as_of = datetime.fromisoformat(manifest["as_of"])
    whole = dataset.is_whole(manifest)
    told = audited.offenders[~audited.offenders["gate"].isin(OWN)]
    findings = dataset.together(
        [told, *_found(tables, manifest["attributes"]["units"], as_of, whole)]
    )
    findings = findings[findings["gate"].isin(KINDS)].reset_index(drop=True)
    findings["measure"] = findings["gate"].map({name: kind.measure for name, kind in KINDS.items()})
    findings["key"] = _keys(findings)
    return Look(
        source=str(manifest["source"]),
        asked=str(manifest.get("asked", "")),
        as_of=as_of,
        rows={role: len(table) for role, table in tables.items()},
        nulls=audited.null_ratios,
        findings=findings,
        names=_names(tables["items"], manifest["attributes"]["text"]),
        whole=whole,
    )


def _found(
    tables: Mapping[str, pd.DataFrame], units: Mapping[str, str], as_of: datetime, whole: bool
) -> Iterator[pd.DataFrame]:
    """What the audit of a retraining does not look for, or not so closely."""
    items, routings, results = tables["items"], tables["routings"], tables.get("results")
    yield from _missing(tables)
    another = list(sizes.another(items, units))
    yield from another
    yield from _far(tables, units, told=another)
    yield from duplicates.items_alike(items)
    yield from duplicates.revisions_twice(routings)
    yield from sizes.missing(items, units)
    yield from sizes.unusual(items, units)
    if whole and len(routings):  # else what is not here may be beyond the limit
        yield from orphans.without_routing(items, routings, as_of)
        yield from orphans.used_once(routings, as_of)
        if results is not None and len(results):
            yield from orphans.without_operation(results, routings)


def _missing(tables: Mapping[str, pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Required values that are missing, however few; of a column that is empty nobody enters them
    one by one."""
    for role, names in dataset.REQUIRED.items():
        for name in names:
            if role in tables and name in tables[role]:
                table = tables[role]
                empty = dataset.is_null(table[name])
                if empty.any() and not empty.all():
                    rows = table.index[empty]
                    yield dataset.listed(
                        "required values", role, table, rows, name, "it is missing"
                    )


def _far(
    tables: Mapping[str, pd.DataFrame], units: Mapping[str, str], told: Sequence[pd.DataFrame]
) -> Iterator[pd.DataFrame]:
    """Values far from the usual of their column, the farthest first, but those `told` of before."""
    known = {str(part["column"].iloc[0]): part.index for part in told}
    for role, table in tables.items():
        for name in map(str, table.select_dtypes("float64").columns):
            off = dataset.deviations(role, table, name, units)
            if off is None or name == "ORDER_QTY":  # orders are of whatever is ordered
                continue
            off = off[(off["modified"].abs() > FAR[role]) & _is_doubled(table[name], off["usual"])]
            if role == "items" and name in known:
                off = off.drop(known[name], errors="ignore")
            if off.empty:
                continue
            off = off.assign(by=-off["modified"].abs()).sort_values("by", kind="stable")
            why = off["usual"].map("usual is about {:,.4g}".format)
            if role == "routings":
                why += " for " + table["JOB_CD"][off.index].astype(object).fillna("no operation")
            why += (" " + off["unit"].astype(object)).str.rstrip()
            yield dataset.listed("outliers", role, table, off.index, name, why)


def _is_doubled(values: pd.Series, usual: pd.Series) -> pd.Series:
    """Whether each value is twice the usual or half of it, where both are above 0: where nearly all
    are alike, a little is far off and nobody's concern."""
    ratio = values / usual
    return ~((ratio > 0) & ratio.between(1 / DOUBLE, DOUBLE, inclusive="neither"))


def _keys(findings: pd.DataFrame) -> list[str]:
    """What a finding is known by from week to week: not its value, which may be corrected halfway,
    nor its place; of several with one key, which of them it is."""
    seen: Counter[str] = Counter()
    keys = []
    for row in findings[list(KEY)].itertuples(index=False):
        text = "\0".join(dataset.as_text(value) for value in row)
        seen[text] += 1
        keys.append(hashlib.sha256(f"{text}\0{seen[text]}".encode()).hexdigest()[:16])
    return keys


def _names(items: pd.DataFrame, free: list[str]) -> dict[str, str]:
    """The name of each item by its code: of the first column that is called so and names most of
    them, else of the free text."""
    texts = [name for name in map(str, items.select_dtypes("str").columns) if name != "ITEM_CD"]
    called = pd.Series(texts, dtype="str")
    named = called[called.str.contains(NAMES)].tolist()
    for name in (*named, *(text for text in free if text in texts)):
        if not dataset.is_null(items[name]).mean() > 1 - NAMED:
            rows = items[["ITEM_CD", name]].dropna().drop_duplicates("ITEM_CD")
            codes, values = rows["ITEM_CD"], rows[name].str.split().str.join(" ")
            return {key_of(code): text for code, text in zip(codes, values, strict=True) if text}
    return {}


def key_of(item: Any) -> str:
    """An item's code as it compares; '' of none."""
    return "" if item is None else str(item).strip().casefold()
