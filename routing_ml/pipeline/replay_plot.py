"""Draws what came of replays as one SVG, by hand: light or dark as the reader's screen is, and a
page with the figures as a table under it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH, LEFT, RIGHT, TOP = 900, 110, 16, 58
PLOT, LANE, GAP = 190, 20, 34
LANES = (("retrainings", "retrained"), ("alarms", "drift alarm"), ("replaced", "replaced"))
SIGNS = (
    ("line", "exactly right"),
    ("band", "95 % interval"),
    ("stated", "as stated"),
    ("new", "a new model"),
    ("kept", "the model stays"),
)
MOST_LABELS = 12

STYLE = """
:root { color-scheme: light dark }
.ground { fill: #ffffff } .text { fill: #1f2328 } .faint { fill: #59636e }
.grid { stroke: #d1d9e0 } .band { stroke: #0969da; stroke-opacity: .35 }
.line { stroke: #0969da } .dot { fill: #0969da } .stated { stroke: #953800 }
.new { fill: #1a7f37 } .kept { stroke: #59636e } .alarm { fill: #cf222e } .swap { fill: #8250df }
@media (prefers-color-scheme: dark) {
.ground { fill: #0d1117 } .text { fill: #e6edf3 } .faint { fill: #9198a1 }
.grid { stroke: #30363d } .band { stroke: #58a6ff; stroke-opacity: .4 }
.line { stroke: #58a6ff } .dot { fill: #58a6ff } .stated { stroke: #f0883e }
.new { fill: #3fb950 } .kept { stroke: #9198a1 } .alarm { fill: #ff7b72 } .swap { fill: #bc8cff }
}
text { font: 12px system-ui, sans-serif } .title { font-size: 15px; font-weight: 600 }
.line, .stated { fill: none; stroke-width: 2 } .stated { stroke-dasharray: 5 4 }
.band { stroke-width: 5; stroke-linecap: round } .kept { fill: none; stroke-width: 1.5 }
"""
PAGE_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
svg { max-width: 100%; height: auto } table { border-collapse: collapse; width: 100% }
.scroll { overflow-x: auto } tr:last-child { font-weight: 600 }
th, td { text-align: left; padding: .3rem .7rem; border-bottom: 1px solid #8886 }
body { background: #ffffff; color: #1f2328 }
@media (prefers-color-scheme: dark) { body { background: #0d1117; color: #e6edf3 } }
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def draw(replays: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The months of replays (`Report.write`), a panel each under its name: the share of judged
    items that were exactly right with its interval, what was stated, and what happened when."""
    panel = GAP + PLOT + LANE * (len(LANES) + 1)
    height = TOP + panel * len(replays) + 8
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'width="{WIDTH}" height="{height}" aria-labelledby="title desc">',
        '<title id="title">How right the proposals would have been, by month</title>',
        f'<desc id="desc">{escape(_in_words(replays))}</desc>',
        f"<style>{STYLE}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{height}"/>',
        _text(LEFT, 22, "Routings exactly right, of items that planners routed later", "title"),
        *_legend(),
    ]
    for place, (name, months) in enumerate(replays.items()):
        drawn += _panel(name, months, TOP + panel * place)
    return "\n".join([*drawn, "</svg>"]) + "\n"


def page(name: str, months: Sequence[Mapping[str, Any]], rows: Sequence[Sequence[str]]) -> str:
    """One HTML file without script or network: the plot, and `rows` as its table, heads first."""
    head, *body = rows
    cells = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    lines = "\n".join(
        "<tr>" + "".join(f"<td><bdi>{escape(cell)}</bdi></td>" for cell in row) + "</tr>"
        for row in body
    )
    title = f"Replay {escape(name)}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<style>{PAGE_STYLE}</style></head>\n<body><h1>{title}</h1>\n"
        f"{draw({name: months})}"
        f'<div class="scroll"><table><thead><tr>{cells}</tr></thead>\n'
        f"<tbody>{lines}</tbody></table></div></body></html>\n"
    )


def _panel(name: str, months: Sequence[Mapping[str, Any]], top: float) -> list[str]:
    """One replay, from `top` down."""
    step = (WIDTH - LEFT - RIGHT) / max(len(months), 1)
    across = [LEFT + step * (place + 0.5) for place in range(len(months))]
    ground = top + GAP + PLOT

    def up(share: float) -> float:
        return ground - PLOT * share

    drawn = [_text(LEFT, top + 20, name, "text")]
    for percent in (0, 25, 50, 75, 100):
        level = up(percent / 100)
        drawn.append(_line("grid", LEFT, level, WIDTH - RIGHT, level))
        drawn.append(_text(LEFT - 8, level + 4, f"{percent} %", "faint", anchor="end"))
    judged = [(x, month) for x, month in zip(across, months, strict=True) if month["items"]]
    drawn += [_line("band", x, up(month["low"]), x, up(month["high"])) for x, month in judged]
    stated = [(x, up(m["confidence"])) for x, m in judged if m["confidence"] is not None]
    drawn.append(_path("stated", stated))
    drawn.append(_path("line", [(x, up(month["exact"])) for x, month in judged]))
    for x, month in judged:
        told = f"{month['month']}: {month['exact']:.1%} of {month['items']}"
        told += f", between {month['low']:.0%} and {month['high']:.0%}"
        drawn.append(f'<circle class="dot" cx="{x:.1f}" cy="{up(month["exact"]):.1f}" r="3.5">'
                     f"<title>{escape(told)}</title></circle>")  # fmt: skip
    for lane, (key, label) in enumerate(LANES):
        level = ground + LANE * (lane + 1)
        drawn.append(_text(LEFT - 8, level + 4, label, "faint", anchor="end"))
        for x, month in zip(across, months, strict=True):
            drawn += _marks(key, month[key], x, level)
    every = max(-(-len(months) // MOST_LABELS), 1)
    level = ground + LANE * (len(LANES) + 1) + 4
    drawn += [
        _text(x, level, month["month"], "faint", anchor="middle")
        for x, month in list(zip(across, months, strict=True))[::every]
    ]
    return drawn


def _marks(key: str, events: Sequence[Mapping[str, Any]], x: float, level: float) -> list[str]:
    """What happened in a month, side by side."""
    drawn = []
    for place, event in enumerate(events):
        at = x + 11 * (place - (len(events) - 1) / 2)
        told = event.get("reason") or event.get("words") or ""
        title = f"<title>{escape(event['day'])}: {escape(str(told))}</title>"
        if key == "alarms":
            kind, shape = "alarm", f"M{at - 5:.1f} {level + 4:.1f}h10l-5 -9z"
        elif key == "replaced":
            kind, shape = "swap", f"M{at:.1f} {level - 6:.1f}l5 6l-5 6l-5 -6z"
        else:
            kind = "new" if event["promoted"] else "kept"
            shape = f"M{at - 4:.1f} {level:.1f}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z"
        drawn.append(f'<path class="{kind}" d="{shape}">{title}</path>')
    return drawn


def _legend() -> list[str]:
    """What the signs mean, in one row."""
    level, x = 44, float(LEFT)
    drawn: list[str] = []
    for kind, words in SIGNS:
        middle = x + 9
        if kind in ("new", "kept"):
            drawn.append(f'<circle class="{kind}" cx="{middle}" cy="{level}" r="4"/>')
        else:
            drawn.append(_line(kind, x, level, x + 18, level))
        drawn.append(_text(x + 24, level + 4, words, "faint"))
        x += 46 + 6.4 * len(words)
    return drawn


def _in_words(replays: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The plot for who cannot see it."""
    told = []
    for name, months in replays.items():
        shares = [month["exact"] for month in months if month["items"]]
        said = f"from {min(shares):.0%} to {max(shares):.0%} a month" if shares else "none judged"
        retrained = sum(len(month["retrainings"]) for month in months)
        told.append(f"{name}: {said}, {retrained} retrainings")
    return "; ".join(told)


def _line(kind: str, x: float, y: float, to_x: float, to_y: float) -> str:
    ends = f'x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"'
    return f'<line class="{kind}" {ends}/>'


def _path(kind: str, points: Sequence[tuple[float, float]]) -> str:
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="{kind}" points="{joined}"/>'


def _text(x: float, y: float, words: str, kind: str, *, anchor: str = "start") -> str:
    shown = kind if kind != "title" else "text title"
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{shown}" {place}>{escape(words)}</text>'
