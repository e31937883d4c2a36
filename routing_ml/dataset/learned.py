"""Says what would be learned from a dataset, in figures and examples that a planner can judge:
routings written out, rows used and dropped, distributions, a line for each column.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from routing_ml.dataset import frames
from routing_ml.dataset.consistency import folded
from routing_ml.dataset.seen import Seen, dropped

SHOWN_ROUTINGS = 5
FEW_VALUES = 50
MONTHS_SHOWN = 24  # from so many months on, items are counted by year
ALMOST_ALL = 0.9
STANDARD = {
    "ITEM_CD": "item",
    "ROUT_NO": "revision",
    "ALT_NO": "alternative",
    "PROC_SEQ": "sequence",
    "JOB_CD": "operation",
    "JOB_NM": "operation name",
    "RES_CD": "machine",
    "SETUP_TIME": "setup, minutes",
    "RUN_TIME": "run, minutes apiece",
    "INSIDE_FLAG": "made inside",
    "PER_LOT": "time for a lot",
    "LOT_SIZE": "pieces of a lot",
    "INSRT_DT": "entered",
    "REPORT_DT": "reported",
    "MACH_WORKED_HOURS": "machine hours of the order",
    "SETUP_HOURS": "setup hours",
    "ORDER_QTY": "quantity of the order",
}


def learned(seen: Seen) -> dict[str, Any]:
    """All of it as JSON takes it; counts are of revisions, items or rows, as their names say."""
    newest, revisions, data = seen.newest, seen.revisions, seen.data
    kind = _kind_column(data.items)
    shown = _typical(seen, kind)
    several = revisions["operations"] > 1
    return {
        "source": data.manifest.get("source"),
        "as_of": data.manifest.get("as_of"),
        "routings_shown": [_written_out(seen, item, kind) for item in shown],
        "rows": {role: _rows(seen, role) for role in data.manifest["tables"]},
        "items_with_routing": seen.items,
        "items_without_routing": len(frames.without_routing(data.items, data.routings)),
        "revisions_per_item": _counts(revisions.groupby("ITEM_CD").size()),
        "operations_per_routing": _counts(newest.groupby("ITEM_CD").size()),
        "operation_codes": int(newest["JOB_CD"].nunique()),
        "revisions": len(revisions),
        "revisions_with_ties": int((several & (revisions.operations > revisions.numbers)).sum()),
        "items_with_alternatives": _alternatives(data.routings),
        "items_entered": _entered(seen),
        "columns": list(_columns(seen, shown[0] if shown else None)),
    }


def _typical(seen: Seen, kind: str | None) -> list[str]:
    """Items whose routings show best what is learned: of each of the commonest kinds of item the
    newest whose routing has the kind's median length; where there are fewer kinds than wanted,
    more of them.
    """
    facts = seen.newest.groupby("ITEM_CD", as_index=False).agg(
        length=("PROC_SEQ", "size"), entered=("INSRT_DT", "max")
    )
    items = seen.data.items.set_index("ITEM_CD").loc[facts["ITEM_CD"]]
    facts["kind"] = "" if kind is None else folded(items[kind]).fillna("").to_numpy()
    median = facts.groupby("kind")["length"].transform(lambda length: length.quantile(0.5, "lower"))
    facts["off"] = (facts["length"] - median).abs()
    facts["common"] = -facts.groupby("kind")["length"].transform("size")
    facts = facts.sort_values(
        ["off", "entered", "ITEM_CD"], ascending=[True, False, True], kind="stable"
    )
    facts["turn"] = facts.groupby("kind").cumcount()
    facts = facts.sort_values(["turn", "common", "kind"], kind="stable")
    return facts["ITEM_CD"].head(SHOWN_ROUTINGS).tolist()


def _kind_column(items: pd.DataFrame) -> str | None:
    """The first text column of few values, none of which most items have: an item's kind."""
    texts: pd.DataFrame = items.drop(columns="ITEM_CD").select_dtypes("str")
    most = min(FEW_VALUES, len(items) // 2)
    for name in map(str, texts.columns):
        counts = folded(texts[name]).value_counts()
        if 2 <= len(counts) <= most and counts.iloc[0] <= 0.8 * len(items):
            return name
    return None


def _written_out(seen: Seen, item: str, kind: str | None) -> dict[str, Any]:
    rows = seen.newest[seen.newest["ITEM_CD"] == item]
    row = seen.data.items.set_index("ITEM_CD").loc[item]
    return {
        "item": item,
        "kind": None if kind is None else _plain(row[kind]),
        "revision": _plain(rows["ROUT_NO"].iloc[0]),
        "entered": _plain(rows["INSRT_DT"].max()),
        "operations": [
            {
                "sequence": int(one["PROC_SEQ"]),
                "operation": one["JOB_CD"],
                "name": _plain(one["JOB_NM"]),
                "machine": _plain(one["RES_CD"]),
                "setup": _plain(one["SETUP_TIME"]),
                "run": _plain(one["RUN_TIME"]),
            }
            for one in rows.to_dict("records")
        ],
    }


def _rows(seen: Seen, role: str) -> dict[str, Any]:
    """Rows read, dropped by reason (by the extract, then on loading) and used; columns left out."""
    table = seen.table(role)
    reasons = {**dropped(table), **seen.data.dropped.get(role, {})}
    read = table.get("read", table.get("rows", 0))
    return {
        "read": read,
        "dropped": {reason: count for reason, count in reasons.items() if count},
        "used": read - sum(reasons.values()),
        "left_out": dict(table.get("left_out", {})),
        "unused": list(table.get("unused", ())),
    }


def _counts(sizes: pd.Series) -> dict[str, int]:
    counts = sizes.value_counts().sort_index()
    return dict(zip(map(str, counts.index), counts.tolist(), strict=True))


def _alternatives(routings: pd.DataFrame) -> int | None:
    """Items with several alternatives, None where no column tells them."""
    if "ALT_NO" not in routings:
        return None
    return int((routings.groupby("ITEM_CD")["ALT_NO"].nunique() > 1).sum())


def _entered(seen: Seen) -> dict[str, int]:
    """Items with a routing by their year or month of entry, those without a date under ''."""
    if not seen.items:
        return {}
    dates = frames.entered(seen.data.items, seen.newest)
    months = dates.dt.year * 12 + dates.dt.month
    by = "%Y-%m" if months.max() - months.min() < MONTHS_SHOWN else "%Y"
    return _counts(dates.dt.strftime(by).fillna(""))


def _columns(seen: Seen, item: str | None) -> Iterator[dict[str, str]]:
    """A line for each column: its name in the ERP, what it is taken for, and an example, of the
    item that is shown first where it has a value.
    """
    data = seen.data
    names = data.manifest.get("columns", {})
    frames_of = {"items": data.items, "routings": seen.newest, "results": data.results}
    for role, table in frames_of.items():
        if table is None or table.empty:
            continue
        first = table[table["ITEM_CD"] == item]
        for name in table.columns:
            values = table[name]
            taken_for = STANDARD.get(name) or _taken_for(seen, name, values)
            yield {
                "table": role,
                "column": names.get(role, {}).get(name, name),
                "taken_for": taken_for,
                "example": _example(first[name], values, taken_for),
            }


def _taken_for(seen: Seen, name: str, values: pd.Series) -> str:
    """What an attribute is, in words."""
    filled = values.dropna()
    if filled.empty:
        return "nothing: it is empty"
    rest = (
        ""
        if len(filled) >= ALMOST_ALL * len(values)
        else (f", in {len(filled) / len(values):.0%} of the items")
    )
    if pd.api.types.is_datetime64_any_dtype(values):
        return f"date, {filled.min():%Y-%m-%d} to {filled.max():%Y-%m-%d}{rest}"
    if pd.api.types.is_numeric_dtype(values):
        if set(filled.unique()) <= {0, 1}:
            return f"yes or no{rest}"
        unit = seen.data.attributes.units.get(name)
        of = f", in the unit of {unit}" if unit else ""
        return f"number, {filled.min():g} to {filled.max():g}{of}{rest}"
    if name in seen.data.attributes.text:
        return f"free text{rest}"
    count = folded(filled).nunique()
    if count > ALMOST_ALL * len(filled):
        return f"text, nearly all different{rest}"
    return f"one of {count:,} value{'s' if count != 1 else ''}{rest}"


def _example(first: pd.Series, values: pd.Series, taken_for: str) -> str:
    found = first.dropna() if first.notna().any() else values.dropna()
    if found.empty:
        return ""
    value = _plain(found.iloc[0])
    if isinstance(value, float):
        return f"{value:g}" if not taken_for.startswith("yes") else "yes" if value else "no"
    return str(value)


def _plain(value: Any) -> Any:
    """A value as JSON takes it: missing ones None, dates to the minute, numbers short."""
    if pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d %H:%M}".removesuffix(" 00:00")
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.6g}")
    return str(value)
