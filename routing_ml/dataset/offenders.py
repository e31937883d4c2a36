"""The rows behind what the audit found: as a CSV that spreadsheets open, and the worst by name."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from routing_ml.escapes import to_csv

COLUMNS = ("gate", "table", "column", "item", "revision", "sequence", "value", "why")
WORST = 5


def listed(
    gate: str,
    role: str,
    table: pd.DataFrame,
    rows: pd.Index,
    column: str,
    why: str | pd.Series,
) -> pd.DataFrame:
    """The rows of a table that fail a gate, the worst first; `why` is one text or one a row."""
    some = table.loc[rows]
    nothing = pd.Series(None, some.index, dtype=object)
    return pd.DataFrame(
        {
            "gate": gate,
            "table": role,
            "column": column,
            "item": some.get("ITEM_CD", nothing),
            "revision": some.get("ROUT_NO", nothing),
            "sequence": some.get("PROC_SEQ", nothing),
            "value": some.get(column, nothing),
            "why": why,
        },
        columns=list(COLUMNS),
    ).astype(object)


def together(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All parts in one frame, missing values None."""
    if not parts:
        return pd.DataFrame(columns=list(COLUMNS), dtype=object)
    found = pd.concat(parts, ignore_index=True)
    return found.where(found.notna(), None)


def worst(offenders: pd.DataFrame) -> list[dict[str, Any]]:
    """By gate, table and column: how many there are and the worst few, as JSON takes it."""
    keys = ["gate", "table", "column"]
    return [
        dict(zip(keys, map(str, key), strict=True))
        | {
            "count": len(rows),
            "worst": [
                {name: _jsonable(row[name]) for name in COLUMNS[3:]}
                for row in rows.head(WORST).to_dict("records")
            ],
        }
        for key, rows in offenders.groupby(keys, sort=False)
    ]


def in_words(one: dict[str, Any]) -> str:
    """One of the worst, in words: which item, which operation, what value.

    >>> in_words({"item": "A 1", "revision": "R2", "sequence": 10, "value": 300.0})
    "'A 1' R2/10: 300"
    >>> in_words({"item": "A 1", "revision": None, "sequence": None, "value": "steel "})
    "'A 1': 'steel '"
    """
    at = "/".join(as_text(one[name]) for name in ("revision", "sequence") if one[name])
    item = repr(one["item"]) if one["item"] else "no item"
    value = one["value"]
    shown = repr(value) if isinstance(value, str) else as_text(value) or "nothing"
    return f"{item}{' ' if at else ''}{at}: {shown}"


def as_csv(offenders: pd.DataFrame) -> str:
    """A CSV that Excel opens as it is: with a byte order mark, and no cell a formula."""
    text = io.StringIO()
    text.write("\ufeff")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in offenders[list(COLUMNS)].itertuples(index=False):
        writer.writerow([_safe(value) for value in row])
    return text.getvalue()


def _jsonable(value: Any) -> Any:
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, (float, np.floating)) and np.isfinite(value):
        return float(value)
    return int(value) if isinstance(value, np.integer) else as_text(value)


def _safe(value: Any) -> str:
    number = isinstance(value, (int, float, np.number))
    return as_text(value) if number else to_csv(as_text(value))


def as_text(value: Any) -> str:
    """A value as text; nothing of a missing one."""
    if value is None:
        return ""
    if isinstance(value, (float, np.floating)):
        return f"{value:.10g}"
    if isinstance(value, pd.Timestamp):
        return value.isoformat(sep=" ")
    return str(value)
