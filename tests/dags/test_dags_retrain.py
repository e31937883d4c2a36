"""Runs of the retraining: what goes into use, who is asked and told, how it fails."""

import json
from contextlib import nullcontext
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from dag_runs import Run, store
from data_fixtures import ITEMS, ROUTINGS
from slack_fixtures import FakeSlack

from routing_ml.errors import ModelError
from routing_ml.pipeline import steps as pipeline
from routing_ml.registry.registry import Registry


def test_a_missing_file_fails_at_once_and_names_its_setting(dag_bag, tmp_path, monkeypatch):
    monkeypatch.setenv("ROUTING_ML_HOME", str(tmp_path))
    monkeypatch.setenv("ROUTING_ML_SOURCE", str(tmp_path / "없음.accdb"))
    run = Run(dag_bag.dags["routing_ml_retrain"], tmp_path)
    assert run.tries["extract"] == 1
    assert "없음.accdb is not there; set ROUTING_ML_SOURCE" in run.outcome["failed"]["extract"]


@pytest.mark.parametrize(
    "as_of", ["2062-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00"]
)
def test_a_moment_that_cannot_have_passed_fails_at_once_and_is_named(dag, home, as_of):
    run = Run(dag, home, as_of=as_of)
    assert (run.state, run.tries["extract"]) == ("failed", 1)
    assert as_of[:10] in run.outcome["failed"]["extract"]
    assert not list((home / "models").glob("model_*"))


def test_an_error_that_nobody_has_foreseen_is_the_reason_of_the_run(dag, home, monkeypatch):
    def fails(*given, **options):
        raise KeyError("ITEM_CD")

    import runs

    monkeypatch.setattr(pipeline, "audit", fails)
    monkeypatch.setattr(runs, "hands", lambda context: ["clear"])
    run = Run(dag, home, limit=2000.0)  # JSON's way to write 2000
    assert run.outcome["hands"] == ["clear"]
    assert run.states["extract"] == "success"
    assert run.outcome["failed"]["audit"].startswith("KeyError: 'ITEM_CD'; this is a defect")


def test_a_first_run_succeeds_and_puts_its_model_into_use(first):
    home, run = first
    assert run.state == "success"
    others = {name for name, state in run.states.items() if state != "success"}
    assert others == {"keep", "approve", "decide"}
    assert (run.states["keep"], max(run.tries.values())) == ("skipped", 1)
    active = Registry(home / "models").active()
    assert (run.outcome["model"], run.outcome["promoted"]) == (active.name, True)
    assert run.outcome["succeeded"]
    assert run.outcome["cause"] == "triggered by dag_test"
    assert (run.outcome["started_by"], run.outcome["hands"]) == ("hand", [])
    with store(home) as opened:
        assert opened.snapshot().labelled("retrain_ended") == {"hand/success": 1}
    assert active.manifest["as_of"] == "2026-11-01T00:00:00"


def test_a_mapped_task_bears_the_name_of_its_candidate(first):
    assert first[1].labels == ["forest"]


def test_only_small_references_pass_between_tasks(first):
    home, run = first
    assert ("compare", "decision") in run.xcoms
    for key, value in run.xcoms.items():
        assert len(value if isinstance(value, str) else json.dumps(value)) < 4_000, key
    data = run.xcoms["extract", "return_value"]
    data = json.loads(data) if isinstance(data, str) else data
    assert {"uri", "sha256", "bytes", "rows"} <= data.keys()
    assert (home / data["uri"]).is_file()


def test_a_run_told_never_to_promote_keeps_what_is_in_use(dag, first, in_use, monkeypatch):
    home, before = in_use, first[1]
    monkeypatch.setattr("routing_ml.comparison.compare.decide", chosen)
    with FakeSlack() as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        run = Run(dag, home, promotion="never")
    states = (run.state, run.states["promote"], run.states["keep"])
    assert states == ("success", "skipped", "success")
    assert (run.outcome["model"], run.outcome["promoted"]) == (before.outcome["model"], False)
    assert "was not put into use, as the run was told" in run.outcome["reason"]
    assert [m["text"] for m in slack.messages] == ["Routing ML: the model in use stays"]


def chosen(champion, challengers, **given):
    from routing_ml.comparison.compare import Decision

    return Decision(next(iter(challengers)), "it is better", 1, {})


YES = {"chosen_options": ["Put it into use"], "responded_by_user": {"id": "7", "name": "kim"}}
NO = YES | {"chosen_options": ["Keep what is in use"]}
NOBODY = NO | {"responded_by_user": None, "params_input": {}}


@pytest.mark.parametrize(
    ("answer", "way", "said"),
    [
        (YES, "promote", "put into use by kim on 2026-11-01 10:00, who said: looks right; asked"),
        (NO, "keep", "kept out by kim on 2026-11-01 10:00, who said: looks right; asked"),
        (NOBODY, "keep", "nobody answered until 2026-11-01 10:00, and the model in use stays"),
    ],
)
def test_a_run_told_to_ask_goes_by_what_a_person_answers(
    dag, first, in_use, monkeypatch, answer, way, said
):
    asked = []

    def execute(self, context):
        asked.append(self.body)
        at = datetime(2026, 11, 1, 1, tzinfo=UTC)
        return {"params_input": {"why": "looks right"}, "responded_at": at} | answer

    monkeypatch.setattr("airflow.providers.standard.operators.hitl.HITLOperator.execute", execute)
    monkeypatch.setattr("routing_ml.comparison.compare.decide", chosen)
    before = Registry(in_use / "models").active().name
    with FakeSlack() as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://factory:8080")
        run = Run(dag, in_use, promotion="approve")
    assert run.state == "success"
    waits, ended = slack.messages
    assert waits["text"] == "Routing ML: a new model waits for your approval"
    assert f"{run.id}/tasks/approve/required_actions" in json.dumps(waits)
    assert ended["text"] != waits["text"]
    assert [run.states[name] for name in ("approve", "decide", way)] == ["success"] * 3
    assert run.states[{"promote": "keep", "keep": "promote"}[way]] == "skipped"
    assert asked[0].startswith("it is better\n")
    assert said in run.outcome["reason"]
    assert run.outcome["hands"] == ([] if answer is NOBODY else ["answer"])
    last = Registry(in_use / "models").history()[-1]
    assert run.outcome["promoted"] == (last["to"] != before) == (way == "promote")
    assert (said in last["why"]) == (way == "promote")


def test_a_comparison_that_is_cleared_after_a_yes_asks_nobody_again(
    dag, first, in_use, monkeypatch
):
    from routing_ml.pipeline import compare, promote
    from routing_ml.pipeline.approval import answered

    def cleared_after_a_yes(settings, run_id, *given, **named):
        at = datetime(2026, 11, 1, 1, tzinfo=UTC)
        decision = compare(settings, run_id, *given, **named)
        promote(settings, run_id,
                answered(settings, run_id, decision, promote=True, by="kim", at=at))  # fmt: skip
        return compare(settings, run_id, *given, **named)

    monkeypatch.setattr("routing_ml.pipeline.compare", cleared_after_a_yes)
    monkeypatch.setattr("routing_ml.comparison.compare.decide", chosen)
    with FakeSlack() as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        run = Run(dag, in_use, promotion="approve")
    assert run.state == "success"
    skipped = {name: run.states[name] for name in ("approve", "decide", "keep")}
    assert set(skipped.values()) == {"skipped"} and run.states["promote"] == "success"
    assert [one["text"] for one in slack.messages] == ["Routing ML: a new model is in use"]
    assert "put into use by kim" in run.outcome["reason"]


@pytest.mark.parametrize(
    ("change", "goes_on"),
    [
        ({}, True),
        ({"params_input": {"why": None}}, True),
        ({"params_input": {"reason": "x"}}, False),
        ({"params_input": {"why": 5}}, False),
        ({"params_input": 5}, False),
        ({"chosen_options": ["Approve"]}, False),
        ({"responded_at": "then"}, False),
    ],
)
def test_what_was_answered_and_cannot_be_gone_on_with_is_asked_again(
    dag, monkeypatch, change, goes_on
):
    taken = YES | {"params_input": {}, "responded_at": "2026-11-01T01:05:00Z"} | change
    monkeypatch.setattr("runs.told", nullcontext)
    monkeypatch.setattr("runs.run_id", lambda: "r1")
    monkeypatch.setattr("runs.compared", lambda context: {})
    monkeypatch.setattr("routing_ml.pipeline.approval.require_first", lambda *_, **__: taken)
    monkeypatch.setattr(
        "airflow.providers.standard.operators.hitl.HITLOperator.execute",
        lambda *_: "it asks",
    )
    found = dag.get_task("approve").execute({"ti": SimpleNamespace(max_tries=2)})
    assert (found != "it asks") == goes_on
    assert not goes_on or found["chosen_options"] == ["Put it into use"]


def test_a_source_that_cannot_be_read_ends_red_with_its_reason_told_once(
    dag, home, tmp_path, monkeypatch
):
    bad = tmp_path / "erp.accdb"
    bad.write_bytes(b"no database")
    monkeypatch.setenv("ROUTING_ML_SOURCE", str(bad))
    with FakeSlack(500) as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        run = Run(dag, home)
    assert (run.state, run.states["extract"], run.states["report"]) == ("failed",) * 3
    assert (run.tries["extract"], run.tries["report"]) == (3, 1)
    after = ("check", "audit", "train", "prune")
    assert {run.states[task] for task in after} == {"upstream_failed"}
    assert not run.outcome["succeeded"]
    assert run.outcome["model"] is None
    assert list(run.outcome["failed"]) == ["extract"]
    assert run.outcome["reason"].startswith("extract: ")
    assert str(bad) in run.outcome["reason"]
    assert len(slack.messages) == 1
    assert run.outcome["reason"] in slack.texts()[0]


def test_columns_that_cannot_be_right_stop_the_run_and_are_not_tried_again(dag, home, changed):
    changed(ROUTINGS, "PROC_SEQ", 100)
    run = Run(dag, home)
    assert (run.state, run.states["check"], run.tries["check"]) == ("failed", "failed", 1)
    assert run.states["audit"] == run.states["train"] == "upstream_failed"
    assert run.outcome["reason"].startswith("check: this cannot be right: ties of sequence: ")
    assert not list((home / "models").glob("model_*"))


def test_data_that_fail_the_audit_are_not_tried_again(dag, home, changed, caplog):
    changed(ROUTINGS, "SETUP_TIME", -1.0)
    run = Run(dag, home)
    assert f"the run failed: {run.outcome['reason']}" in caplog.messages
    assert (run.state, run.states["audit"], run.tries["audit"]) == ("failed", "failed", 1)
    assert run.states["check"] == "success"
    assert "values of SETUP_TIME are negative" in run.outcome["reason"]
    assert not list((home / "models").glob("model_*"))


def test_a_first_model_waits_where_check_found_what_a_person_must_look_at(
    dag, home, changed, caplog
):
    changed(ITEMS, "INSRT_DT", datetime(2026, 1, 1))
    with caplog.at_level("INFO"):
        run = Run(dag, home, candidates=["boosted"])
    assert [m for m in caplog.messages if m.startswith("check: warning one entry date: ")]
    states = (run.state, run.states["check"], run.states["promote"], run.states["keep"])
    assert states == ("success", "success", "skipped", "success")
    assert (run.outcome["model"], run.outcome["promoted"]) == (None, False)
    assert 'waits: check found "one entry date"' in run.outcome["reason"]
    assert "boosted would go in, the first model: " in run.outcome["reason"]
    ours = [r.getMessage() for r in caplog.records if r.name.startswith(("unusual", "runs"))]
    reason = run.outcome["reason"]
    assert ours[-2:] == [f"keep: {reason}", f"the run succeeded: {reason}"]
    assert len(list((home / "models").glob("model_*"))) == 1


def test_a_candidate_that_fails_leaves_the_others_to_be_compared_and_the_run_red(
    dag, home, monkeypatch
):
    from routing_ml import models

    fit = models.learn

    def fails(name, *given, **options):
        if name == "boosted":
            raise ModelError("boosted cannot be fitted on this")
        return fit(name, *given, **options)

    monkeypatch.setattr(models, "learn", fails)
    run = Run(dag, home, candidates=["boosted", "forest"])
    assert run.state == "failed"
    assert (run.states["train 0"], run.states["train 1"]) == ("failed", "success")
    assert (run.states["compare"], run.states["promote"]) == ("success", "success")
    assert run.outcome["promoted"]
    assert list(run.outcome["candidates"]) == ["forest"]
    assert run.outcome["failed"] == {"train boosted": "boosted cannot be fitted on this"}
    assert run.outcome["reason"] == "train boosted: boosted cannot be fitted on this"


def test_a_retraining_on_what_was_learned_before_ends_green_and_says_so(
    dag, in_use, unmounted, monkeypatch
):
    monkeypatch.setenv("ROUTING_ML_SOURCE_AWAY", "last")
    with FakeSlack() as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        run = Run(dag, in_use)
    assert run.state == "success"
    assert (run.states.pop("report"), run.states.pop("candidates")) == ("success", "success")
    assert set(run.states.values()) == {"skipped"}
    assert run.outcome["reason"].startswith("kept model_") and run.outcome["nothing_new"]
    assert "nothing new to learn: the source has been away since" in run.outcome["reason"]
    assert run.outcome["data"]["sha256"] == unmounted.learned
    assert [m["text"] for m in slack.messages] == [
        "Routing ML: the source cannot be reached",
        "Routing ML: nothing new to learn, the source is away",
    ]
