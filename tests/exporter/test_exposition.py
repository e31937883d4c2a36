"""Every Accept header gets a valid answer, and every metric no more series than it may have."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from exporter.app import App
from exporter.exposition import OPENMETRICS, PROMETHEUS, chosen
from exporter.link import Link
from exporter.metrics import Collector, Process
from exporter.request import Request
from routing_ml.store import SERIES_MOST, Snapshot, Store

NAMES = ["application/openmetrics-text", "text/plain", "*/*", "text/html", ""]
SAID = ["version", "q", "escaping", "charset", ""]
VALUES = ["1.0.0", "0.0.1", "0.0.4", "abc", "0.5", "1", "0", "-1", "nan", "allow-utf-8", '"1.0.0"']


def accepts() -> st.SearchStrategy[str]:
    """Accept headers that are nearly right, and any text that a header can hold."""
    latin = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=40)
    value = st.sampled_from(VALUES) | latin
    pair = st.tuples(st.sampled_from(SAID) | latin, st.sampled_from(["=", "", " = "]), value)
    part = st.tuples(st.sampled_from(NAMES) | latin, st.lists(pair.map("".join), max_size=3))
    parts = part.map(lambda each: ";".join([each[0], *each[1]]))
    return st.lists(parts, max_size=4).map(",".join) | latin


@given(accept=accepts())
@settings(max_examples=500, deadline=None)
def test_any_accept_header_gets_a_valid_answer(accept: str) -> None:
    app = App(Link("sqlite:////nowhere"), api_token=None)
    headers = ((b"accept", accept.encode("latin-1")),)

    async def ask() -> tuple[int, str, str]:
        app.link.start()
        answer = await app.answer(Request.of(b"GET", b"/metrics", headers))
        return answer.status, answer.content_type, answer.body.decode()

    status, content_type, text = asyncio.run(ask())
    assert status == 200
    assert content_type in (OPENMETRICS[1], PROMETHEUS[1])
    parse = openmetrics if content_type == OPENMETRICS[1] else prometheus
    assert "routing_ml_up" in {family.name for family in parse(text)}
    assert len(app._rendered) <= 2


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", PROMETHEUS),
        ("*/*", PROMETHEUS),
        ("text/plain;version=0.0.4", PROMETHEUS),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text; version=1.0.0", OPENMETRICS),
        ('Application/OpenMetrics-Text; Version="1.0.0"', OPENMETRICS),
        ("application/openmetrics-text; version=abc", PROMETHEUS),
        ("application/openmetrics-text; version=1.0.7", PROMETHEUS),
        ("application/openmetrics-text; version=0.0.1", PROMETHEUS),
        ("application/openmetrics-text; q=0", PROMETHEUS),
        ("application/openmetrics-text; q=x", PROMETHEUS),
        ("application/openmetrics-text; q=0.4, text/plain", PROMETHEUS),
        # Prometheus 2.42 and 3.0
        (
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
            "version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            OPENMETRICS,
        ),
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/"
            "openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;"
            "q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            OPENMETRICS,
        ),
    ],
)
def test_who_names_openmetrics_and_likes_it_best_gets_it(accept: str, wanted: object) -> None:
    assert chosen(accept) == wanted


# Series -------------------------------------------------------------------------------------------


def families(facts: dict[str, object]) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Labels and values of each family of a scrape."""
    collector = Collector(Process(started_at=0.0), Snapshot(facts=facts), 1.0)
    return {
        family.name.removeprefix("routing_ml_"): [(s.labels, s.value) for s in family.samples]
        for family in collector.collect()
    }


def crowd(count: int) -> dict[str, object]:
    """Facts of so many columns, tables and figures, as a store of 2.1.0 may hold them."""
    values = {f"T.C{i}": i for i in range(count)}
    return {
        "audit": {
            "null_ratios": [["T", name, 0.5] for name in values],
            "outliers": values,
            "rows": values,
        },
        "model": {"name": "m", "created_at": 1.0, "metrics": values},
    }


def test_no_metric_has_more_series_than_it_may_and_the_others_are_counted() -> None:
    found = families(crowd(SERIES_MOST + 77))
    assert max(len(samples) for samples in found.values()) == SERIES_MOST
    left_out = {labels["metric"]: value for labels, value in found["series_left_out"]}
    left_out = {metric: number for metric, number in left_out.items() if number}
    assert left_out == {
        "extract_rows": 77,
        "model_metric": 77,
        "null_ratio": 77,
        "outliers": 77,
    }
    assert {name for name, samples in found.items() if len(samples) == SERIES_MOST} == set(left_out)


def test_where_all_fit_none_is_left_out() -> None:
    found = families(crowd(SERIES_MOST))
    assert {value for _, value in found["series_left_out"]} == {0.0}


def test_the_worst_columns_are_shown() -> None:
    shown = {value for _, value in families(crowd(SERIES_MOST + 77))["outliers"]}
    assert shown == set(range(77, SERIES_MOST + 77))


def test_what_the_writer_left_out_is_counted_too(tmp_path: object) -> None:
    store = Store(f"sqlite:///{tmp_path}/store.db")
    many = {f"C{i}": i for i in range(SERIES_MOST + 9)}
    store.record_audit({"items": dict.fromkeys(many, 0.5)}, outliers=many, rows=many)
    facts = dict(store.snapshot().facts)
    store.close()
    assert len(str(facts)) < 100_000
    left_out = {ls["metric"]: value for ls, value in families(facts)["series_left_out"] if value}
    assert left_out == {"extract_rows": 9, "null_ratio": 9, "outliers": 9}
