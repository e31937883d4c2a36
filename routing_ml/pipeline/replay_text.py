"""What came of a replay, in words: a line a month, a table, CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

FIGURES = ("items", "exact", "low", "high", "confidence", "operation_f1")
"""Of a month, as of `judging.Live`."""
HEADS = ("month", "judged", "exact", "between", "stated", "in use", "retrained", "new model",
         "alarms", "replaced")  # fmt: skip


def as_rows(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The months as people read them: their heads, and the total last."""
    return [HEADS, *(_row(month) for month in found["months"]), _row(found["total"])]


def as_text(found: Mapping[str, Any]) -> str:
    """The months as a table for a terminal."""
    rows = as_rows(found)
    widths = [max(len(cell) for cell in cells) for cells in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join([*lines, f"{found['folder']} holds all of it (ROUTING_ML_HOME)"])


def as_csv(found: Mapping[str, Any]) -> str:
    """The months as CSV: fractions and counts, a row a month."""
    names = ["month", "days", "proposed", *FIGURES, "model", "method"]
    counted = ["retrainings", "promoted", "alarms_items", "alarms_routings", "replaced"]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*names, *counted])
    for month in found["months"]:
        counts = _counts(month)
        writer.writerow([*(month[name] for name in names), *(counts[name] for name in counted)])
    return text.getvalue()


def _counts(month: Mapping[str, Any]) -> dict[str, int]:
    kinds = [alarm["kind"] for alarm in month["alarms"]]
    return {
        "retrainings": len(month["retrainings"]),
        "promoted": sum(one["promoted"] for one in month["retrainings"]),
        "alarms_items": kinds.count("items"),
        "alarms_routings": kinds.count("routings"),
        "replaced": len(month["replaced"]),
    }


def _row(month: Mapping[str, Any]) -> tuple[str, ...]:
    counts = _counts(month)
    causes = [one["started_by"] for one in month["retrainings"]]
    kinds = [alarm["kind"] for alarm in month["alarms"]]
    between = f"{month['low']:.0%} to {month['high']:.0%}" if month["items"] else ""
    return (
        month["month"],
        f"{month['items']:,}",
        _percent(month["exact"]),
        between,
        _percent(month["confidence"]),
        month["method"] or "none",
        _numbered(causes),
        str(counts["promoted"] or ""),
        _numbered(kinds),
        str(counts["replaced"] or ""),
    )


def _numbered(names: list[str]) -> str:
    """Names with how often each is there.

    >>> _numbered(["schedule", "drift", "schedule"])
    '2 schedule, 1 drift'
    """
    return ", ".join(f"{names.count(name)} {name}" for name in dict.fromkeys(names))


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def as_line(month: Mapping[str, Any]) -> str:
    """A month as one line, for who waits."""
    cells = dict(zip(HEADS, _row(month), strict=True))
    told = [f"{month['month']}  {cells['judged']} judged"]
    if month["items"]:
        told.append(f"{cells['exact']} exactly right (between {cells['between']})")
    told += [f"{key}: {cells[key]}" for key in HEADS[5:] if cells[key]]
    if month["method"] is None and month["retrainings"]:
        told.append(month["retrainings"][-1]["reason"])
    return ", ".join(told)
