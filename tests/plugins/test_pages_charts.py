"""A plot's data are the figures as they are, and no text of it is markup."""

import json
from html.parser import HTMLParser

import pages_site  # noqa: F401 - it knows where the pages are
from hypothesis import given
from hypothesis import strategies as st
from routing_ml_pages import charts
from routing_ml_pages.charts import Point


class Elements(HTMLParser):
    def __init__(self, markup):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(str(markup))
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def data_of(markup):
    ((tag, attributes),) = Elements(markup).found
    assert tag == "div" and attributes["class"] == "plot"
    return attributes["aria-label"], json.loads(attributes["data-plot"])


def test_figures_over_time_are_there_with_what_bounds_and_marks_them():
    points = [Point("a", 0.2, 0.1, 0.3), Point("b", None), Point("c", 0.8, mark=True)]
    title, data = data_of(charts.over_time(points, "t", percent=True, lines=[0.5]))
    assert title == "t" and data["labels"] == ["a", "b", "c"]
    assert data["values"] == [0.2, None, 0.8]
    assert (data["low"], data["high"]) == ([0.1, None, None], [0.3, None, None])
    assert (data["marks"], data["lines"], data["percent"]) == ([2], [0.5], True)


def test_nothing_is_plotted_of_no_figure():
    assert charts.over_time([Point("a", None)], "t") == ""
    assert charts.over_time([], "t") == charts.side_by_side([], [], [], "t") == ""


def test_shares_stand_beside_each_other():
    _, data = data_of(charts.side_by_side(["x", "y"], [0.5, 0.5], [0.9, 0.1], "t"))
    assert (data["usual"], data["now"]) == ([0.5, 0.5], [0.9, 0.1])


@given(st.text(), st.text())
def test_no_text_is_markup(label, title):
    for plot in (
        charts.over_time([Point(label, 0.5)], title),
        charts.side_by_side([label], [0.1], [0.2], title),
    ):
        said, data = data_of(plot)
        assert data["labels"] == [label] and Elements(plot).text == ""
        assert said == title or "\0" in title or "\r" in title  # which HTML does not keep
