"""Writes a look at the data as one HTML page for people: no script, nothing from elsewhere, and
whatever an item is called stands there as text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from routing_ml.quality.change import Change, Gap, Line
from routing_ml.quality.looking import Look
from routing_ml.quality.measures import KINDS, MEASURES
from routing_ml.quality.worst import by_item

TEMPLATE = Path(__file__).with_name("page.html")
MOST_ITEMS = 50
MOST_LINES = 200
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]"
)
"""What no browser shows and what turns the text around it."""


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
    return _template().render(
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


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    filters: dict[str, Callable[[Any], str]] = {
        "plain": _plain, "sentence": _sentence, "signed": _signed, "percent": _percent,
        "points": _points,
    }  # fmt: skip
    environment.filters |= filters
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


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


def _plain(text: Any) -> str:
    """A text without what hides or turns it.

    >>> _plain("a\\u202eb")
    'a\\ufffdb'
    """
    return HIDDEN.sub("\ufffd", str(text))


def _sentence(text: str) -> str:
    """
    >>> _sentence("usual is about 3")
    'Usual is about 3.'
    """
    return f"{text[:1].upper()}{text[1:]}."


def _signed(number: int) -> str:
    """
    >>> _signed(3), _signed(-1200), _signed(0)
    ('+3', '−1,200', '0')
    """
    return f"{number:+,}".replace("-", "−") if number else "0"


def _percent(share: float) -> str:
    """
    >>> _percent(0.0), _percent(0.0004), _percent(0.125)
    ('0 %', 'under 0.1 %', '12.5 %')
    """
    if 0 < share < 0.001:
        return "under 0.1 %"
    return f"{100 * share:.1f} %" if share else "0 %"


def _points(change: float) -> str:
    """
    >>> _points(0.012), _points(-0.00001), _points(0)
    ('+1.2', '−0.0', '0')
    """
    return f"{100 * change:+.1f}".replace("-", "−") if change else "0"


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
