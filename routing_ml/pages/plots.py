"""Draws figures with their intervals as inline SVG: drawn for the width of a phone, so that it can
be read there, and coloured by the page's style, light or dark. Each stands above its table, which
says the same in figures and in full.
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from markupsafe import Markup

from routing_ml.pages.words import percent, plain

WIDTH, LEFT, RIGHT, FOOT = 360, 14, 20, 20
ROW, TICKS = 34, (0, 25, 50, 75, 100)
HEIGHT, TOP = 150, 8
MOST_COLUMNS = 44
"""Of a label: a wide letter, such as a Korean one, counts as two."""
MOST_WEEKS = 26

Kind = Literal["use", "model", "rule"]


@dataclass(frozen=True)
class Range:
    """A share and the interval that it lies in, where that is known; `kind` says whether it is of
    the model in use, of another one or of a simple rule."""

    label: str
    share: float
    low: float | None
    high: float | None
    kind: Kind


def ranges(title: str, rows: Sequence[Range]) -> Markup:
    """Shares below each other, from 0 to 100 %: a mark each, round, a diamond or a square by its
    kind, on the bar of its interval. `title` is the page's own; nothing for no rows."""
    if not rows:
        return Markup()
    ground = ROW * len(rows) + 4
    parts = [
        Markup('<line class="grid" x1="{0}" y1="4" x2="{0}" y2="{1}"/>').format(_x(tick), ground)
        for tick in TICKS
    ]
    parts += [_text(_x(tick), ground + 14, f"{tick} %", "middle", "axis") for tick in TICKS]
    for place, row in enumerate(rows):
        level = ROW * place + 26
        parts.append(_text(LEFT, level - 10, _short(row.label)))
        parts.append(_text(WIDTH - RIGHT + 14, level - 10, percent(row.share), "end"))
        if row.low is not None and row.high is not None:
            ends = (_x(100 * row.low), level, _x(100 * row.high), level)
            parts.append(_line(f"band {row.kind}", ends))
        parts.append(_mark(row.kind, _x(100 * row.share), level))
    return _svg(title, ground + FOOT, parts)


def by_week(title: str, weeks: Sequence[Mapping[str, Any]]) -> Markup:
    """A share with its interval by week: `value` names the week, `exact`, `low` and `high` are
    fractions. Weeks without a share, and all but the newest, are left out; nothing for none."""
    known = [week for week in weeks if week["exact"] is not None][-MOST_WEEKS:]
    if not known:
        return Markup()
    left, ground = 44, HEIGHT - FOOT
    step = (WIDTH - RIGHT - left) / len(known)
    across = [left + step * (place + 0.5) for place in range(len(known))]

    def up(share: float) -> float:
        return ground - (ground - TOP) * share

    parts = []
    for tick in TICKS:
        level = up(tick / 100)
        parts.append(_line("grid", (left, level, WIDTH - RIGHT, level)))
        parts.append(_text(left - 6, level + 4, f"{tick} %", "end", "axis"))
    for x, week in zip(across, known, strict=True):
        parts.append(_line("band use", (x, up(week["low"]), x, up(week["high"]))))
    line = " ".join(
        f"{x:.1f},{up(week['exact']):.1f}" for x, week in zip(across, known, strict=True)
    )
    parts.append(Markup('<polyline class="trend use" points="{}"/>').format(line))
    parts += [_mark("use", x, up(w["exact"])) for x, w in zip(across, known, strict=True)]
    named = sorted({0, len(known) - 1})
    anchors = ("start", "end") if len(named) == 2 else ("middle",)
    edges = (left, WIDTH - RIGHT) if len(named) == 2 else (across[0],)
    for place, anchor, x in zip(named, anchors, edges, strict=True):
        parts.append(_text(x, HEIGHT - 5, plain(known[place]["value"]), anchor, "axis"))
    return _svg(title, HEIGHT, parts)


def _svg(title: str, height: float, parts: Iterable[Markup]) -> Markup:
    told = f"{title}; the table below has the figures"
    head = Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">')
    return head.format(WIDTH, height, told) + Markup("\n").join(parts) + Markup("</svg>")


def _x(percentage: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * percentage / 100, 1)


def _line(kind: str, ends: tuple[float, float, float, float]) -> Markup:
    x, y, to_x, to_y = (round(end, 1) for end in ends)
    drawn = Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>')
    return drawn.format(kind, x, y, to_x, to_y)


def _mark(kind: Kind, x: float, y: float) -> Markup:
    """A mark whose shape tells the kind too, for who sees no colours."""
    x, y = round(x, 1), round(y, 1)
    if kind == "use":
        return Markup('<circle class="mark use" cx="{}" cy="{}" r="4.5"/>').format(x, y)
    if kind == "model":
        shape = f"M{x} {y - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z"
    else:
        shape = f"M{x - 4:.1f} {y - 4:.1f}h8v8h-8z"
    return Markup('<path class="mark {}" d="{}"/>').format(kind, shape)


def _text(x: float, y: float, words: str, anchor: str = "start", kind: str = "") -> Markup:
    drawn = Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>')
    return drawn.format(kind, round(x, 1), round(y, 1), anchor, words)


def _short(label: str) -> str:
    """As much of a label as there is room for.

    >>> _short("forest")
    'forest'
    >>> len(_short("절단" * 100))
    22
    """
    label = plain(" ".join(label.split()))
    room, kept = MOST_COLUMNS, ""
    for letter in label:
        room -= 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if room < 1:
            return f"{kept}…"
        kept += letter
    return kept
