"""Writes a look at the data as one HTML page for people: no script, nothing from elsewhere, and
whatever an item is called stands there as text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from routing_ml import pages
from routing_ml.quality.change import Change, Gap, Line
from routing_ml.quality.looking import Look
from routing_ml.quality.measures import KINDS, MEASURES
from routing_ml.quality.worst import by_item

TEMPLATE = Path(__file__).with_name("page.html")
MOST_ITEMS = 50
MOST_LINES = 200


@dataclass(frozen=True)
class Told:
    """What is said beside the look: of which source, when it was looked at, where all findings are,
    and, of old data, why they are old."""

    source: str
    at: datetime
    run: str
    all_findings: str
    away: str | None = None
    zone: str = ""


@dataclass(frozen=True)
class Group:
    """A measure and its lines, the worst first."""

    title: str
    count: int
    change: int
    lines: list[Line] = field(default_factory=list)


def as_html(look: Look, change: Change, told: Told) -> str:
    """The page; a browser needs nothing else to show it."""
    items = by_item(look, change, MOST_ITEMS)
    return pages.template(TEMPLATE).render(
        look=look,
        change=change,
        told=told,
        kinds=KINDS,
        groups=_groups(change),
        gaps=_gaps(change),
        hidden=max(0, len(change.gaps) - MOST_LINES),
        items=items,
        concerned=len(set(look.findings["item"].dropna().astype(str).str.strip().str.casefold())),
        total=len(look.findings),
    )


def _groups(change: Change) -> list[Group]:
    groups = []
    for measure, title in MEASURES.items():
        lines = [line for line in change.lines if KINDS[line.kind].measure == measure]
        lines.sort(key=lambda line: (-line.change, -line.now))
        count = sum(line.now for line in lines)
        groups.append(Group(title, count, sum(line.change for line in lines), lines[:MOST_LINES]))
    return groups


def _gaps(change: Change) -> list[Gap]:
    """What got worse first, then what is emptiest."""
    gaps = sorted(change.gaps, key=lambda gap: (not gap.worse, -abs(gap.change), -gap.now))
    return gaps[:MOST_LINES]


def summary(look: Look, change: Change) -> dict[str, Any]:
    """The look in figures, as JSON takes them."""
    return {
        "findings": look.by_measure,
        "total": len(look.findings),
        "since": change.since.isoformat() if change.since else None,
        "worse": [one.words for one in change.worse],
        "better": [one.words for one in change.better],
        "new": len(change.new),
        "mended": change.mended,
    }
