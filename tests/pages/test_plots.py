"""Plots: where the marks stand, what is said without colour, and names that are long or odd."""

import re
from xml.etree import ElementTree

import pytest
from pages_read import PAYLOADS, Read

from routing_ml.pages import MOST_WEEKS, Range, by_week, ranges
from routing_ml.pages.plots import LEFT, RIGHT, WIDTH

SPAN = WIDTH - LEFT - RIGHT
HALF = Range("the model", 0.5, 0.25, 0.75, "use")


def week(value: str, exact: float | None = 0.9) -> dict:
    return {"value": value, "items": 10, "exact": exact, "low": 0.8, "high": 0.95}


def svg(drawn: str) -> ElementTree.Element:
    return ElementTree.fromstring(drawn)  # noqa: S314 - ours


def test_a_share_stands_at_its_place_on_the_bar_of_its_interval() -> None:
    drawn = svg(ranges("Right", [HALF]))
    (mark,) = drawn.findall("circle")
    assert float(mark.attrib["cx"]) == pytest.approx(LEFT + SPAN / 2)
    (bar,) = [line for line in drawn.findall("line") if "band" in line.attrib["class"]]
    assert float(bar.attrib["x1"]) == pytest.approx(LEFT + SPAN / 4)
    assert float(bar.attrib["x2"]) == pytest.approx(LEFT + 3 * SPAN / 4)
    assert [text.text for text in drawn.findall("text")][-2:] == ["the model", "50.0 %"]


def test_the_kinds_have_shapes_of_their_own_and_what_has_no_interval_has_no_bar() -> None:
    kinds = [Range(kind, 0.5, None, None, kind) for kind in ("use", "model", "rule")]
    drawn = svg(ranges("Right", kinds))
    shapes = [path.attrib["d"] for path in drawn.findall("path")]
    assert len(drawn.findall("circle")) == 1 and len(shapes) == 2
    assert "l5.5 5.5" in shapes[0] and "h8v8" in shapes[1]
    assert not [line for line in drawn.findall("line") if "band" in line.attrib["class"]]


def test_nothing_to_draw_is_nothing() -> None:
    assert ranges("Right", []) == "" == by_week("Right", [week("2026-10-05", None)])


@pytest.mark.parametrize("text", [*PAYLOADS, "\u202eabc", "\ud800", "가" * 10_000])
def test_whatever_something_is_called_is_text_and_of_a_long_name_there_is_a_part(text: str) -> None:
    drawn = ranges("Right", [Range(text, 0.5, 0.25, 0.75, "use")])
    plain = Read(ranges("Right", [HALF]))
    assert Read(drawn).tags == plain.tags and Read(drawn).others == []
    assert len(drawn) < len(ranges("Right", [HALF])) + 250
    assert "\u202e" not in drawn and "\ud800" not in drawn


def test_the_weeks_rise_with_their_share_and_the_oldest_are_left_out() -> None:
    weeks = [week(f"week {number}", number / 100) for number in range(60)]
    drawn = svg(by_week("Right", weeks))
    marks = drawn.findall("circle")
    assert len(marks) == MOST_WEEKS
    heights = [float(mark.attrib["cy"]) for mark in marks]
    assert heights == sorted(heights, reverse=True)
    named = [text.text for text in drawn.findall("text") if "week" in (text.text or "")]
    assert named == ["week 34", "week 59"]
    points = re.findall(r"[\d.]+,[\d.]+", drawn.find("polyline").attrib["points"])
    assert len(points) == MOST_WEEKS


def test_a_single_week_is_named_once() -> None:
    drawn = svg(by_week("Right", [week("2026-10-05")]))
    assert [t.text for t in drawn.findall("text")].count("2026-10-05") == 1
