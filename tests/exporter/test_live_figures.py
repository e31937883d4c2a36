"""What planners' routings said of the proposals, as the exporter shows it: a real one over a store
that was filled by what fills it each day.
"""

from __future__ import annotations

from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from exporter_process import serving
from prometheus_client.parser import text_string_to_metric_families as prometheus

from exporter import evidence
from exporter.evidence import live
from routing_ml.judging import figures
from routing_ml.settings import default_url
from routing_ml.store import Snapshot
from routing_ml.store.evidence import Judged
from routing_ml.store.store import Store

TODAY, JUDGED_AT = date(2026, 11, 20), 1.795e9
# Four operations a proposal, one of them wrong where the routing is not exactly right; of three
# machines that are known two are right, and run times are 10 % off.
RIGHT = Judged(
    "I", "m2", "forest", 1, 100.0, 200.0, "2026-11-18", "2026-W47", "F", 1, 0, "RING", 0.9, 0.0,
    1, 1, 4, 0, 0, 0.1, 0.2, 2, 4, 3,
)  # fmt: skip
WRONG = RIGHT._replace(exact=0, tp=3, fp=1, fn=1)
SEAL = {"kind": "SEAL", "confidence": 0.6}
EARLIER = {"model": "m1", "day": "2026-11-05", "week": "2026-W45"}
LONG_AGO = {"day": "2026-10-02", "week": "2026-W40"}
BETWEEN = {"day": "2026-11-12", "week": "2026-W46"}


def judged() -> list[Judged]:
    """Of the version in use: 30 rings, 24 right, 10 of them a week ago; 10 seals, 5 right; 5 right
    long ago. Of the one before 20 rings, none right. 4 right that a planner had seen."""
    rows = [
        *[RIGHT] * 14,
        *[RIGHT._replace(**BETWEEN)] * 10,
        *[WRONG] * 6,
        *[RIGHT._replace(**SEAL)] * 5,
        *[WRONG._replace(**SEAL)] * 5,
        *[RIGHT._replace(**LONG_AGO)] * 5,
        *[WRONG._replace(**EARLIER)] * 20,
        *[RIGHT._replace(seen=1)] * 4,
    ]
    return [row._replace(item_cd=f"I{n}", family=f"F{n}") for n, row in enumerate(rows)]


Shown = dict[tuple[str, ...], float]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """Live metrics of an exporter: (name without its prefix, by, value), and what each says."""
    home = tmp_path_factory.mktemp("judged")
    with closing(Store(default_url(home))) as store:
        store.record_judged(judged())
        fact = figures(store, model="m2", today=TODAY) | {"at": JUDGED_AT}
        store.set_fact("live", fact, JUDGED_AT)
    with serving(home) as exporter:
        exporter.wait_for("routing_ml_up", 1)
        text = exporter.ask("/metrics").text
    return {
        (sample.name.removeprefix("routing_ml_live_"), *sample.labels.values()): sample.value
        for family in prometheus(text)
        for sample in family.samples
        if sample.name.startswith("routing_ml_live_")
    }


def test_items_are_counted_by_version_kind_confidence_and_week(shown: Shown) -> None:
    items = {tuple(labels): value for (_, *labels), value in _named(shown, "items")}
    assert items == {
        ("all", "all"): 60,
        ("model", "m2"): 45,
        ("recent", "m2"): 40,
        ("kind", "RING"): 50,
        ("kind", "SEAL"): 10,
        ("confidence", "high"): 50,
        ("confidence", "medium"): 10,
        ("week", "2026-W46"): 10,
        ("week", "2026-W47"): 30,
        ("seen", "all"): 4,
    }


def test_accuracy_is_shown_with_its_interval(shown: Shown) -> None:
    assert shown["accuracy", "all", "all"] == pytest.approx(29 / 60)
    assert shown["accuracy", "model", "m2"] == pytest.approx(34 / 45)
    assert shown["accuracy", "recent", "m2"] == pytest.approx(29 / 40)
    assert shown["accuracy", "kind", "SEAL"] == pytest.approx(0.5)
    assert shown["accuracy", "seen", "all"] == 1
    for by, value in (("all", "all"), ("model", "m2"), ("recent", "m2"), ("kind", "SEAL")):
        low, high = shown["accuracy_low", by, value], shown["accuracy_high", by, value]
        assert 0 < low < shown["accuracy", by, value] < high < 1


def test_what_was_stated_and_how_wrong_the_rest_is_are_shown(shown: Shown) -> None:
    assert shown["confidence", "confidence", "high"] == pytest.approx(0.9)
    assert shown["confidence", "confidence", "medium"] == pytest.approx(0.6)
    assert shown["operation_f1", "kind", "SEAL"] == pytest.approx(35 / 40)
    assert shown["resource_accuracy", "model", "m2"] == pytest.approx(2 / 3)
    assert shown["run_error", "all", "all"] == pytest.approx(0.1)
    assert shown["judged_timestamp_seconds",] == JUDGED_AT


def test_every_group_has_each_figure(shown: Shown) -> None:
    groups = [labels for (name, *labels), _ in _named(shown, "items")]
    for name in ("accuracy", "accuracy_low", "accuracy_high", "confidence", "operation_f1"):
        assert [labels for (_, *labels), _ in _named(shown, name)] == groups, name


def test_a_store_in_which_nothing_was_judged_shows_none_of_it(tmp_path: Path) -> None:
    with closing(Store(default_url(tmp_path))) as store:
        store.record_model("m2", created_at=1.0, metrics={"exact_match": 0.9})
    with serving(tmp_path) as exporter:
        exporter.wait_for("routing_ml_up", 1)
        text = exporter.ask("/metrics").text
    assert "routing_ml_model_accuracy 0.9" in text and "routing_ml_live" not in text


def test_what_has_no_value_is_left_out(tmp_path: Path) -> None:
    with closing(Store(default_url(tmp_path))) as store:
        unknown = RIGHT._replace(kind=None, confidence=None, resource_known=0, run_ape=None)
        store.record_judged([unknown])
        facts = {"live": figures(store, model="m2", today=TODAY)}
    samples = {(s.name, s.labels["by"]) for f in live(Snapshot({}, facts)) for s in f.samples}
    assert {by for _, by in samples} == {"all", "model", "recent", "confidence", "week"}
    assert {name.removeprefix("routing_ml_live_") for name, _ in samples} == {
        *("accuracy", "accuracy_low", "accuracy_high", "items", "operation_f1"),
    }


def _named(shown: Shown, name: str) -> list[tuple[tuple[str, ...], float]]:
    return [(key, value) for key, value in shown.items() if key[0] == name]


def test_other_routings_than_before_are_shown_with_their_cause(tmp_path: Path) -> None:
    def shown(told: dict[str, object]) -> dict[str, float]:
        store = Store(default_url(tmp_path))
        store.set_fact("concept", told)
        snapshot = store.snapshot()
        store.close()
        families = {family.name: family for family in evidence.concept(snapshot)}
        samples = families["routing_ml_concept_drift"].samples
        assert families["routing_ml_concept_drift_e_value"].samples[0].value == 12.5
        return {sample.labels["cause"]: sample.value for sample in samples}

    told = {"alarm": True, "cause": "times have moved", "e_value": 12.5}
    assert shown(told) == {
        "same items, other routings": 0.0,
        "times have moved": 1.0,
        "new kind of item": 0.0,
        "data fault": 0.0,
    }
    assert not any(shown(told | {"alarm": False}).values())
    assert not list(evidence.concept(Snapshot()))
