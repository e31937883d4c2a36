"""A plot shows each figure where it is, and no text of it is markup."""

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pages_site  # noqa: F401 - it knows where the pages are
from hypothesis import given
from hypothesis import strategies as st
from routing_ml_pages import charts
from routing_ml_pages.charts import Point

SVG = "{http://www.w3.org/2000/svg}"


def parsed(markup):
    return ET.fromstring(f'<x xmlns="http://www.w3.org/2000/svg">{markup}</x>')[0]  # noqa: S314 - our own


def test_a_higher_figure_stands_higher_and_a_later_one_further_right():
    plot = parsed(charts.over_time([Point("a", 0.2, 0.1, 0.3), Point("b", 0.8, mark=True)], "t"))
    low, high = plot.findall(f"{SVG}circle")
    assert float(high.get("cy")) < float(low.get("cy"))
    assert float(high.get("cx")) > float(low.get("cx"))
    assert "marked" in high.get("class")
    assert (
        len([line for line in plot.findall(f"{SVG}line") if line.get("class") == "interval"]) == 1
    )


def test_a_figure_that_is_not_known_leaves_a_gap():
    plot = parsed(charts.over_time([Point("a", 0.2), Point("b", None), Point("c", 0.3)], "t"))
    assert len(plot.findall(f"{SVG}circle")) == 2
    assert charts.over_time([Point("a", None)], "t") == ""


def test_shares_stand_beside_each_other():
    plot = parsed(charts.side_by_side(["x", "y"], [0.5, 0.5], [0.9, 0.1], "t"))
    heights = [float(bar.get("height")) for bar in plot.findall(f"{SVG}rect")]
    assert heights[1] > heights[0] > heights[3]


@given(st.text(), st.text())
def test_no_text_is_markup(label, title):
    for plot in (
        charts.over_time([Point(label, 0.5)], title),
        charts.side_by_side([label], [0.1], [0.2], title),
    ):
        assert not re.search(r"<(?!/?(svg|line|text|circle|title|rect|polyline)\b)", plot)
        assert plot.count('"') % 2 == 0


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300))
def test_every_point_is_within_the_plot(values):
    plot = parsed(charts.over_time([Point(str(k), v) for k, v in enumerate(values)], "t"))
    for circle in plot.findall(f"{SVG}circle"):
        assert 0 <= float(circle.get("cx")) <= charts.WIDTH
        assert 0 <= float(circle.get("cy")) <= charts.HEIGHT


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_what_stands_beside_the_grid_is_as_far_apart_as_its_lines(low, wide):
    plot = parsed(charts.over_time([Point("a", low), Point("b", low + wide)], "t"))
    heights = [float(line.get("y1")) for line in plot.findall(f"{SVG}line")]
    apart = [above - below for above, below in pairwise(heights)]
    assert 3 <= len(heights) <= 8 and max(apart) - min(apart) < 0.3
    assert (heights[0], heights[-1]) == (charts.HEIGHT - charts.BOTTOM, charts.TOP)
    *_, step = charts._range([low, low + wide], ())
    assert float(f"{step:.2g}") == step


def test_versions_that_do_not_follow_each_other_are_not_joined():
    points = [Point("a", 0.2), Point("b", 0.8)]
    assert parsed(charts.over_time(points, "t", joined=False)).get("class") == "plot apart"
    assert parsed(charts.over_time(points, "t")).get("class") == "plot"
