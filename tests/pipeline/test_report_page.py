"""The run's report as a page: the decision first, all that it rests on, and names as text."""

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from pages_read import Read, assert_inert, assert_nested, texts

from routing_ml.pages import HIDDEN
from routing_ml.pipeline import report, report_page
from routing_ml.pipeline import steps as pipeline
from routing_ml.settings import Settings


def figures(exact: float, **more: Any) -> dict[str, Any]:
    metrics = {"items": 350, "exact_match": exact, "operation_f1": 0.97, "run_time_mdape": 0.1}
    metrics |= {"setup_time_mdape": None, "resource_accuracy": 0.9}
    return {"metrics": metrics, "intervals": {"exact_match": [exact - 0.05, exact + 0.04]}} | more


def left_by_the_steps(text: str) -> dict[str, dict[str, Any]]:
    """What the steps leave in a run's folder, everything that has a name called `text`."""
    test = {"exact": 0.9, "difference": 0.2, "low": 0.1, "high": 0.3}
    against = {"words": text, "by": "exact matches", "passes": True, "exact": test}
    against |= {"f1_difference": 0.1, "f1_low": 0.0, "f1_high": 0.2}
    decision = {
        "winner": "model_2", "champion": text, "comparison": {
            "champion": figures(0.8), "baselines": {"copy": figures(0.4, words=text)},
            "floor": {"boosted": [against]}, "why_not": {"forest": text}, "notes": [text],
            "examples": {
                "models": ["boosted", "the model in use"], "names": {text: text},
                "items": [{"item": text, "planner": [text, "B"],
                           "proposed": [[text, "C"], [text, "B"]]}],
            },
        },
    }  # fmt: skip
    operation = {"sequence": 10, "operation": text, "name": text, "machine": text, "setup": 1.5}
    routing = {"item": text, "kind": text, "revision": text, "entered": "2026-10-01"}
    finding = {"name": "few items", "level": "warning", "found": text, "accepted": False}
    check = {"findings": [finding], "routings_shown": [
        routing | {"operations": [operation | {"run": None}]}
    ]}  # fmt: skip
    worst = {"item": text, "revision": text, "sequence": 10, "value": text, "why": text}
    of = {"gate": "outliers", "table": "routings", "column": text, "count": 7, "worst": [worst]}
    checks = [{"name": "outliers", "level": "warning", "found": text}]
    return {
        "decision.json": decision, "check.json": check,
        "audit.json": {"checks": checks, "offenders": [of]},
    }  # fmt: skip


@pytest.fixture
def run(tmp_path):
    """Writes what steps leave, and gives the page of an outcome."""
    given = Settings.from_env({"ROUTING_ML_HOME": str(tmp_path)})

    def page(text: str = "name", live: dict | None = None, last: dict | None = None, **changes):
        folder = pipeline.run_folder(given, "run")
        folder.mkdir(parents=True, exist_ok=True)
        for name, facts in left_by_the_steps(text).items():
            (folder / name).write_text(json.dumps(facts))
        trained = [
            {"candidate": "boosted", "model": "model_2", "seconds": 12.3, "items_fitted": 2_000},
            {"candidate": "forest", "model": "model_3", "seconds": None, "items_fitted": None},
        ]
        recent = dict.fromkeys(("operations", "times", "machines_half_life_days"))
        recent |= {"since": "2026-01-01", "operations": [text]}
        outcome = {
            "run": text, "moment": "2026-11-01T02:00:00", "succeeded": True, "model": "model_2",
            "promoted": True, "reason": text, "source_away": None, "cause": text, "seconds": 60.5,
            "data": {"rows": {"items": 3}, "as_of": "2026-11-01T02:00:00", "sha256": "5f" * 32},
            "candidates": {one["candidate"]: {**figures(0.9), "recent": recent, **one}
                           for one in trained},
            "failed": {}, "withheld": [], **figures(0.9), **changes,
        }  # fmt: skip
        before = None
        if last is not None:
            before = folder.with_name("before")
            before.mkdir(exist_ok=True)
            (before / "outcome.json").write_text(json.dumps(last))
        live = live or {}
        return report_page.as_html(text, outcome, folder, live, before=before, zone="Asia/Seoul")

    return page


def words_of(page: str) -> str:
    return re.sub(r"\s+", " ", "".join(Read(page).text))


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts)
def test_whatever_something_is_called_makes_no_element_and_stands_there_as_it_is(run, text):
    plain, named = Read(run("name")), Read(run(text))
    assert named.tags == plain.tags and named.others == plain.others == []
    shown = HIDDEN.sub("\ufffd", text).replace("\r\n", "\n").replace("\r", "\n")
    assert "".join(named.text).count(shown) > 20


@pytest.mark.parametrize("text", ["\u202eright to left", "\ud800", "가" * 10_000])
def test_text_that_turns_is_broken_or_never_ends_is_shown_as_text(run, text):
    page = run(text)
    assert HIDDEN.sub("\ufffd", text) in "".join(Read(page).text)
    assert "\u202e" not in page and page.encode()
    assert Read(page).tags == Read(run("name")).tags


def test_the_page_asks_for_nothing_from_elsewhere_and_every_element_is_closed(run):
    weeks = [{"value": "2026-10-05", "items": 9, "exact": 0.9, "low": 0.5, "high": 0.99}]
    page = run(
        live={"week": weeks},
        last=figures(0.7, model="m", promoted=True, data={"as_of": "2026-10-01"}),
    )
    assert_inert(page)
    assert_nested(page)
    assert page.count("<svg") == 2


def test_what_the_planner_has_not_is_marked_and_what_a_proposal_lacks_stands_last(run):
    page = run("A")
    (extra,) = re.findall(r'<span class="op extra">.*?</span>', page, re.DOTALL)
    (lacks,) = re.findall(r'<span class="op lacks">.*?</span>', page, re.DOTALL)
    assert (words_of(extra).strip(), words_of(lacks).strip()) == ("+ C", "B")


def test_the_decision_comes_first_then_what_it_rests_on(run):
    words = words_of(run("it is better"))
    order = [
        "It is better.", "In use", "of 2026-11-01 02:00 (Asia/Seoul)",
        "Routings entered since about 2026-01-01 differ",
        "The model in use", "Routing exactly right", "90.0 %", "85.0 to 94.0",
        "Against the candidates and the simple rules", "in use before: it is better",
        "Better than doing without a model?", "+20.0", "What was fitted", "boosted goes in",
        "fitted on 2,000 items in 12.3 s", "forest stays out", "Where they differ", "The planner",
        "Boosted 2 wrong", "The model in use before exactly right", "Routings as they were read",
        "What the audit found", "offenders.csv",
    ]  # fmt: skip
    at = 0
    for text in order:
        at = words.find(text, at)
        assert at >= 0, text


def test_last_time_is_shown_with_what_changed_and_which_way_is_worse(run):
    last = figures(0.95, model="model_1", promoted=True, data={"as_of": "2026-10-01T02:00:00"})
    last["metrics"] = {**last["metrics"], "run_time_mdape": 0.2}
    page = run(last=last)
    assert "Last time was as of 2026-10-01, on other items, by model_1." in words_of(page)
    assert re.search(r'class="n worse">−5\.0</td>', page)
    assert re.search(r'class="n less">−10\.0</td>', page)  # run times are nearer


def test_a_model_that_stays_is_judged_on_the_items_of_this_run(run):
    stays = {"promoted": False, "model": "name", "reason": "nothing is better"}
    words = words_of(run("name", **stays))
    assert "in use: name 80.0 %" in words and "in use before" not in words
    assert "boosted not put in" in words
    assert "boosted waits" in words_of(run("name", withheld=["few items"], **stays))


def test_a_run_that_failed_says_what_failed_and_shows_what_there_is(run):
    failed = {"train forest": "it has no disk", "extract": ""}
    page = run(failed=failed, succeeded=False, promoted=False, candidates={}, metrics=None,
               model=None, data=None)  # fmt: skip
    words = words_of(page)
    assert 'class="outcome bad"' in page
    assert "train forest: it has no disk extract: no reason was given" in words
    assert "forest could not be fitted" in words and "no model yet" in words


def test_a_folder_in_which_nothing_was_left_has_a_page(tmp_path):
    given = Settings.from_env({"ROUTING_ML_HOME": str(tmp_path)})
    outcome = report.outcome_of(
        given, "r", data=None, trained=[], decision=None, failed={}, cause="c", seconds=1.0
    )
    report.write(given, outcome)
    page = (tmp_path / "runs" / "r" / "report.html").read_text()
    assert outcome["page"] == str(tmp_path / "runs" / "r" / "report.html")
    assert "The run ended before a decision." in words_of(page)
    assert "No model is in use yet" in words_of(page)


def outcome_at(given: Settings, run: str, as_of: str | None, model: str | None = "m") -> None:
    folder = pipeline.run_folder(given, run)
    folder.mkdir(parents=True)
    data = {"as_of": as_of} if as_of else None
    told = {"data": data, "model": model, "promoted": True, **figures(0.5)}
    (folder / "outcome.json").write_text(json.dumps(told))


def test_the_run_before_is_the_last_one_by_its_data_that_had_a_model(tmp_path):
    given = Settings.from_env({"ROUTING_ML_HOME": str(tmp_path)})
    now = {"run": "now", "data": {"as_of": "2026-11-01T02:00:00"}}
    assert report._before(given, now) is None
    outcome_at(given, "september", "2026-09-01T02:00:00")
    outcome_at(given, "october", "2026-10-01T02:00:00")
    outcome_at(given, "without", "2026-10-15T02:00:00", model=None)
    outcome_at(given, "no data", None)
    outcome_at(given, "later", "2026-12-01T02:00:00")
    outcome_at(given, "now", "2026-11-01T02:00:00")
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "outcome.json").write_text("{")
    assert report._before(given, now).name == "october"
    assert report._before(given, {**now, "data": None}) is None


def test_the_day_of_a_run_is_the_factorys(tmp_path):
    given = Settings.from_env({"ROUTING_ML_HOME": str(tmp_path)})
    outcome = report.outcome_of(
        given, "scheduled__2026-11-30T17:00:00+00:00", data=None, trained=[], decision=None,
        failed={}, cause="on schedule", seconds=1.0,
    )  # fmt: skip
    report.write(given, outcome)
    assert outcome["moment"] == "2026-12-01T02:00:00"
    said = "scheduled__2026-11-30T17:00:00+00:00, which is of 2026-12-01 02:00 here (on schedule)"
    assert f"Run: {said}" in report.notice(outcome)[1]
    folder = pipeline.run_folder(given, outcome["run"])
    assert f"- run: {said}\n" in (folder / "report.md").read_text()
    assert "of 2026-12-01 02:00 (Asia/Seoul)" in words_of((folder / "report.html").read_text())
