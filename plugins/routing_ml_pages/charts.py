"""Small plots as SVG, without a script: figures over time with their intervals, and shares side by
side. Colours come from the page's style sheet, so that they follow its theme.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 640, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 26
MOST_LABELS, SHORT_LABEL = 6, 12
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
"""What lies between two lines of a grid, times a power of ten."""


@dataclass(frozen=True)
class Point:
    """A figure at a place of the axis; `low` and `high` bound it where they are known."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    mark: bool = False


def over_time(
    points: Sequence[Point], title: str, *, percent: bool = False, lines: Sequence[float] = (),
    joined: bool = True,
) -> Markup:  # fmt: skip
    """Points, joined by a line where each follows from the one before, their intervals as bars,
    `mark`ed ones larger; horizontal `lines` at some values. Nothing of no point."""
    known = [point for point in points if point.value is not None]
    if not known:
        return Markup("")
    figures = [v for p in known for v in (p.value, p.low, p.high) if v is not None]
    low, high, apart = _range(figures, lines)
    step = (WIDTH - LEFT - RIGHT) / max(len(points) - 1, 1)
    parts, path = [], []
    for at, point in enumerate(points):
        if point.value is None:
            continue
        x, y = LEFT + at * step if len(points) > 1 else WIDTH / 2, _y(point.value, low, high)
        path.append(f"{x:.1f},{y:.1f}")
        if point.low is not None and point.high is not None:
            top, bottom = _y(point.high, low, high), _y(point.low, low, high)
            parts.append(_line("interval", x, top, x, bottom))
        kind = "point marked" if point.mark else "point"
        said = f"{point.label}: {_figure(point.value, percent)}"
        parts.append(
            f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{5 if point.mark else 3}">'
            f"<title>{escape(said)}</title></circle>"
        )
    heights = [_y(value, low, high) for value in lines]
    axis = [_line("limit", LEFT, y, WIDTH - RIGHT, y) for y in heights]
    series = f'<polyline class="series" points="{" ".join(path)}"/>'
    labels = _labels([point.label for point in points], step)
    shown = [*_grid(low, high, apart, percent), *axis, *labels, series, *parts]
    return _svg(title, shown, "plot" if joined else "plot apart")


def side_by_side(
    labels: Sequence[str], one: Sequence[float], other: Sequence[float], title: str
) -> Markup:
    """Two shares for each label as bars beside each other, the first of what is usual."""
    if not labels:
        return Markup("")
    low, high, apart = _range([0.0, *one, *other, 0.01], (), 0.0)
    step = (WIDTH - LEFT - RIGHT) / len(labels)
    parts = []
    for at, pair in enumerate(zip(one, other, strict=True)):
        for place, (kind, share) in enumerate(zip(("usual", "now"), pair, strict=True)):
            x, y = LEFT + at * step + (0.1 + 0.4 * place) * step, _y(share, low, high)
            parts.append(
                f'<rect class="bar {kind}" x="{x:.1f}" y="{y:.1f}" width="{0.38 * step:.1f}"'
                f' height="{HEIGHT - BOTTOM - y:.1f}"><title>{escape(labels[at])}: {share:.0%}'
                "</title></rect>"
            )
    marks = [
        f'<text class="{_label(at)}" text-anchor="middle" x="{LEFT + (at + 0.5) * step:.1f}"'
        f' y="{HEIGHT - 8}">{escape(label)}</text>'
        for at, label in enumerate(labels)
    ]
    return _svg(title, [*_grid(low, high, apart, True), *parts, *marks])


def band(low: float, value: float, high: float, most: float) -> Markup:
    """A time within its band, on a scale that ends at `most`; decoration of figures beside it."""
    most = max(most, high, 1e-9)
    left, right, at = (100 * number / most for number in (low, high, value))
    return Markup(  # noqa: S704 - numbers alone, nothing to escape
        '<svg class="band" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" x="0" y="3" width="100" height="2"/>'
        f'<rect class="span" x="{left:.1f}" y="1" width="{max(right - left, 0.5):.1f}" height="6"/>'
        f'<rect class="value" x="{max(at - 0.5, 0):.1f}" y="0" width="1" height="8"/></svg>'
    )


def _svg(title: str, parts: Sequence[str], kind: str = "plot") -> Markup:
    return Markup(  # noqa: S704 - each part has escaped what it was given
        f'<svg class="{kind}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def _range(
    values: Sequence[float], lines: Sequence[float], room: float = 0.02
) -> tuple[float, float, float]:
    """From where to where the axis goes, between round figures with so much room at both ends, and
    how far its lines are apart."""
    low, high = min([*values, *lines]), max([*values, *lines])
    more = (high - low) * room or (0.0 if high > low else abs(high) * 0.05 or 0.05)
    step = _step(low - more, high + more)
    below, above = math.floor((low - more) / step) * step, math.ceil((high + more) / step) * step
    return max(below, 0.0) if low >= 0 else below, above, step


def _step(low: float, high: float) -> float:
    """A round figure, of which four or a few more are between both.

    >>> _step(0.414, 0.994), _step(0, 1.08)
    (0.2, 0.5)
    """
    least = max((high - low) / 4, 1e-12)
    power = 10.0 ** math.floor(math.log10(least))
    return round(next(part for part in STEPS if part * power >= least * (1 - 1e-9)) * power, 12)


def _y(value: float, low: float, high: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)


def _grid(low: float, high: float, apart: float, percent: bool) -> list[str]:
    parts = []
    for part in range(round((high - low) / apart) + 1):
        value = low + part * apart
        y = _y(value, low, high)
        parts.append(_line("grid", LEFT, y, WIDTH - RIGHT, y))
        said = f"{100 * value:.4g} %" if percent else f"{value:.4g}"
        parts.append(
            f'<text class="axis" text-anchor="end" x="{LEFT - 6}" y="{y + 4:.1f}">{said}</text>'
        )
    return parts


def _labels(labels: Sequence[str], step: float) -> list[str]:
    every = max(1, -(-len(labels) // MOST_LABELS))
    parts = []
    for place, at in enumerate(range(0, len(labels), every)):
        x = LEFT + at * step if len(labels) > 1 else WIDTH / 2
        wide = len(labels[at]) > SHORT_LABEL
        anchor = "start" if at == 0 and len(labels) > 1 and wide else "middle"
        anchor = "end" if at == len(labels) - 1 and at else anchor
        parts.append(
            f'<text class="{_label(place)}" text-anchor="{anchor}" x="{x:.1f}" y="{HEIGHT - 8}">'
            f"{escape(labels[at])}</text>"
        )
    return parts


def _label(place: int) -> str:
    """Its style: there is room for every second one on a phone, where letters are larger."""
    return "axis second" if place % 2 else "axis"


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _figure(value: float, percent: bool) -> str:
    return f"{100 * value:.1f} %" if percent else f"{value:.2f}"
