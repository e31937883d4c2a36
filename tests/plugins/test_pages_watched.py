"""Drift, the data, runs and the start page: what the store and the state folder say."""

import json
from contextlib import closing
from datetime import timedelta
from html import unescape

import pandas as pd
import pytest
from pages_site import PREFIX, RUN, client, state
from routing_ml_pages import found, watched
from routing_ml_pages.rendering import THEME_COOKIE

from routing_ml import drift
from routing_ml.pipeline import steps as pipeline
from routing_ml.store.store import Detector, Store


@pytest.fixture
def settings(tmp_path, monkeypatch):
    known = state(tmp_path / "home")
    monkeypatch.setenv("ROUTING_ML_HOME", str(known.home))
    return known


def get(path, role="viewer", **query):
    return client(role).get(PREFIX + path, params=query)


def evaluated(settings, kl, *, detected, ago=0):
    status = {
        "drift_detected": detected, "kl_divergence": kl, "threshold": 0.2, "p_value": 0.001,
        "severity": "severe" if kl > 1 else "normal", "buffer_size": 900, "buffer_mean": 0.7,
        "buffer_std": 0.1, "baseline_size": 100, "baseline_mean": 0.9,
    }  # fmt: skip
    name = pipeline.registry(settings).active().name
    day = settings.moment(None).date() - timedelta(days=ago)
    with closing(Store(settings.store_url)) as store:
        store.save_detector(Detector(name, 1, 0, None), status, day=day)


def test_each_day_has_its_divergence_and_whether_it_was_a_drift_day(settings):
    evaluated(settings, 0.1, detected=False, ago=2)
    evaluated(settings, 1.4, detected=True)
    view = watched.watched(settings)
    assert [(day.kl, day.drift) for day in view.days] == [(0.1, False), (1.4, True)]
    assert (view.kl, view.drift, view.severity, view.advised) == (1.4, True, "severe", True)
    assert view.usual_mean == 0.9
    text = get("/drift").text
    assert "A retraining is advised." in text
    plot = unescape(text).partition('data-plot="')[2]
    data, _ = json.JSONDecoder().raw_decode(plot)
    assert (data["values"], data["marks"]) == ([0.1, 1.4], [1])


def test_the_newest_scores_stand_beside_the_baselines(settings):
    view = watched.watched(settings)
    with closing(Store(settings.store_url, write=False)) as store:
        recorded = store.last_prediction()
    assert view.recent == recorded > 5
    assert sum(share.usual for share in view.shares) == pytest.approx(1)
    assert sum(share.now for share in view.shares) == pytest.approx(1)
    baseline = drift.Baseline.load(pipeline.registry(settings).active().folder)
    assert len(view.shares) == len(baseline.bin_counts)


def test_without_an_evaluation_it_says_so(settings):
    assert "Not evaluated yet" in get("/drift").text


def test_how_right_proposals_were_is_shown_by_group(settings):
    live = {"value": "all", "items": 40, "families": 30, "exact": 0.9, "low": 0.8, "high": 0.95,
            "confidence": 0.85, "ordered": 1.0, "operation_f1": 0.97, "resource_accuracy": 0.9,
            "run_error": 0.1}  # fmt: skip
    weeks = [live | {"value": f"2026-W4{k}"} for k in range(3)]
    with closing(Store(settings.store_url)) as store, store.transaction():
        store.set_fact("live", {"all": [live], "model": [live], "week": weeks})
    view = watched.watched(settings)
    assert [(one.group, one.items, one.exact) for one in view.live] == [
        ("model", 40, 0.9), ("all", 40, 0.9),
    ]  # fmt: skip
    assert "90.0 %" in get("/drift").text and "2026-W41" in get("/drift").text


def test_a_store_that_cannot_be_read_is_told(settings, monkeypatch):
    monkeypatch.setenv("ROUTING_ML_STORE_URL", "sqlite:////no/such/folder/store.db")
    assert "store" in get("/drift").text
    assert get("/").status_code == 200


def test_the_data_page_has_what_was_found_and_the_lists_behind_it(settings):
    view = found.found(settings)
    audit = json.loads(next((settings.home / "runs").glob("*/audit.json")).read_text())
    assert [gate.name for gate in view.gates] == [
        one["name"] for one in audit["checks"] if one["level"] != "ok"
    ]
    assert [one.count for one in view.behind] == [one["count"] for one in audit["offenders"]]
    assert view.nulls == sorted(view.nulls, key=lambda one: -one.share)
    assert len(view.routings) == 5
    assert view.total > 0 and view.items and view.look == RUN
    text = unescape(get("/data").text)
    assert view.headline in text and view.routings[0].item in text
    for which, glob in (("audit", "runs/*/offenders.csv"), ("quality", "quality/*.csv")):
        answer = get(f"/data/{which}.csv")
        assert answer.content == next(settings.home.glob(glob)).read_bytes()
        assert answer.headers["content-type"].startswith("text/csv")


@pytest.mark.parametrize("which", ["models", "..%2F..%2Fstore", "quality.csv%00"])
def test_no_other_file_is_given(settings, which):
    assert get(f"/data/{which}.csv").status_code == 404


def test_the_report_of_a_run_is_shown_and_runs_nothing(settings):
    folder = next((settings.home / "runs").glob("*/report.md")).parent
    run = json.loads((folder / "outcome.json").read_text())["run"]
    query = {"dag_id": "routing_ml_retrain", "run_id": run}
    page = (folder / "report.html").read_text()
    assert get("/run", **query).text == page and ":root.dark {" in page
    (folder / "report.html").unlink()
    text = get("/run", **query).text
    assert "<pre>" in text and "routing exactly right" in text
    (folder / "report.html").write_text("<p>whole</p><script>alert(1)</script>")
    answer = get("/run", **query)
    assert answer.text.startswith("<p>whole</p>")
    policy = answer.headers["content-security-policy"]
    assert "sandbox" in policy and "script-src" not in policy and "default-src 'none'" in policy


@pytest.mark.parametrize(("theme", "said"), [("dark", ' class="dark"'), ("light", ' class="light"'),
                                             ("auto", ""), ('"><script>', "")])  # fmt: skip
def test_a_report_is_shown_in_the_theme_that_was_chosen(settings, theme, said):
    query = {"dag_id": "routing_ml_quality", "run_id": RUN}
    (settings.home / "quality" / f"{RUN}.html").write_text('<!doctype html><html lang="en">whole')
    text = client("viewer").get(
        f"{PREFIX}/run", params=query, headers={"Cookie": f"{THEME_COOKIE}={theme}"}
    ).text  # fmt: skip
    assert text == f'<!doctype html><html{said} lang="en">whole'


def test_a_run_of_proposals_has_its_items_the_least_certain_first(settings):
    proposals = pd.read_parquet(next((settings.home / "proposals").glob("*.parquet")))
    text = unescape(get("/run", dag_id="routing_ml_predict", run_id=RUN).text)
    first = proposals.sort_values("CONFIDENCE", kind="stable")["ITEM_CD"].iloc[0]
    codes = proposals["ITEM_CD"].unique()
    assert all(code in text for code in codes)
    assert min(codes, key=text.index) == first


@pytest.mark.parametrize("run", ["..", "../models", "<script>alert(1)</script>", "", "x" * 10_000])
@pytest.mark.parametrize("dag", ["routing_ml_retrain", "routing_ml_predict", "payroll"])
def test_a_run_that_is_none_of_ours_shows_nothing(settings, run, dag):
    answer = get("/run", dag_id=dag, run_id=run)
    assert answer.status_code == 200
    assert "has left no report" in answer.text and "<script>alert" not in answer.text


def test_the_start_page_says_how_things_are(settings):
    text = get("/").text
    assert pipeline.registry(settings).active().name in text
    assert "Succeeded" in text and "Asia/Seoul" in text
    with closing(Store(settings.store_url)) as store:
        store.record_source_away("default", at=60)
    assert "since 1970-01-01 09:01" in get("/").text
    health = get("/api/health").json()
    assert health["away"] == {"default": "1970-01-01 09:01"}
    assert health["last_run"]["succeeded"] is True


def test_the_api_says_the_same(settings):
    evaluated(settings, 1.4, detected=True)
    assert get("/api/drift").json()["kl"] == 1.4
    assert len(get("/api/data").json()["routings"]) == 5


def test_before_the_first_evaluation_the_start_page_does_not_say_that_there_is_no_drift(settings):
    assert "Not evaluated yet" in get("/").text and "No drift" not in get("/").text
    evaluated(settings, 0.1, detected=False)
    assert "No drift" in get("/").text and "Not evaluated yet" not in get("/").text


def test_a_run_that_waits_says_what_it_asks(settings):
    folder = settings.home / "runs" / "waiting"
    folder.mkdir()
    decision = {"asks": True, "reason": "forest <b>would</b> go in", "winner": "b", "champion": "a"}
    (folder / "decision.json").write_text(json.dumps(decision))
    text = get("/run", dag_id="routing_ml_retrain", run_id="waiting").text
    assert "Waits for an answer" in text and "forest &lt;b&gt;would&lt;/b&gt; go in" in text
    assert "/models/compare?one=b&amp;other=a" in text
    answered = {"promote": False, "answer": {"of": "x", "promote": False, "by": "kim"}}
    for later in ({"asks": False}, answered, answered | {"promote": True}):
        (folder / "decision.json").write_text(json.dumps(decision | later))
        text = get("/run", dag_id="routing_ml_retrain", run_id="waiting").text
        assert "Waits for an answer" not in text and "the run goes on" in text
        assert "/models/compare?" not in text
