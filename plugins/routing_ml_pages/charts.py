"""What the pages' plots show: figures over time with their intervals, and shares side by side, as
data that uPlot draws in the colours of the page (`static/plots.js`). Each stands beside a table,
which says the same where no script runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from markupsafe import Markup


@dataclass(frozen=True)
class Point:
    """A figure at a place of the axis; `low` and `high` bound it where they are known."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    mark: bool = False


def over_time(
    points: Sequence[Point],
    title: str,
    *,
    percent: bool = False,
    lines: Sequence[float] = (),
    mark: Literal["bad", "good"] = "bad",
    joined: bool = True,
) -> Markup:
    """Points, joined by a line where each follows from the one before, their intervals as bars,
    marked ones larger, in the colour of what is bad or good; horizontal `lines` at some values.
    Nothing of no point."""
    if all(point.value is None for point in points):
        return Markup("")
    return _plot(
        title,
        labels=[point.label for point in points],
        values=[point.value for point in points],
        low=[point.low for point in points],
        high=[point.high for point in points],
        marks=[place for place, point in enumerate(points) if point.mark],
        mark=mark,
        joined=joined,
        lines=list(lines),
        percent=percent,
    )


def side_by_side(
    labels: Sequence[str], one: Sequence[float], other: Sequence[float], title: str
) -> Markup:
    """Two shares for each label as bars beside each other, the first of what is usual."""
    if not labels:
        return Markup("")
    return _plot(title, labels=list(labels), usual=list(one), now=list(other), percent=True)


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


def _plot(title: str, **data: Any) -> Markup:
    return Markup('<div class="plot" role="img" aria-label="{}" data-plot="{}"></div>').format(
        title, json.dumps(data, ensure_ascii=False, allow_nan=False)
    )
