"""The DAGs as Airflow reads and runs them, in this process, on the sample."""

import copy
import dataclasses
import json
import shutil
import subprocess
import sys
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from conftest import SAMPLE
from data_fixtures import ITEMS, ROUTINGS, access_rows, sqlite_source
from slack_fixtures import FakeSlack

from routing_ml.backup import Vault
from routing_ml.errors import ModelError
from routing_ml.pipeline import steps as pipeline
from routing_ml.registry.registry import Registry
from routing_ml.settings import Settings, default_url
from routing_ml.store.store import Store

DAGS = Path(__file__).parents[2] / "dags"
SEOUL = ZoneInfo("Asia/Seoul")
# All of them each time: in one process, a parameter keeps the value of the run before.
QUICK = {
    "source": "default",
    "limit": 2000,
    "as_of": "2026-11-01T00:00:00+09:00",
    "candidates": ["forest"],
    "promotion": "automatic",
}


@pytest.fixture(scope="module")
def dag_bag():
    from airflow.dag_processing.dagbag import DagBag
    from airflow.utils.db import initdb

    initdb()
    sys.path.insert(0, str(DAGS))
    yield DagBag(DAGS)
    sys.path.remove(str(DAGS))


@contextmanager
def impatient(dag):
    """A DAG whose tries wait for nothing."""
    before = [(task, task.retry_delay, task.retry_exponential_backoff) for task in dag.tasks]
    for task in dag.tasks:
        task.retry_delay, task.retry_exponential_backoff = timedelta(0), 0
    yield dag
    for task, delay, backoff in before:
        task.retry_delay, task.retry_exponential_backoff = delay, backoff


@pytest.fixture
def dag(dag_bag):
    with impatient(dag_bag.dags["routing_ml_retrain"]) as dag:
        yield dag


def ran(dag, **given):
    """A run of `dag`, which keeps its own parameters: Airflow leaves those of the run in it."""
    before = copy.deepcopy(dag.params)
    try:
        return dag.test(run_conf=given)
    finally:
        dag.params = before


def states_of(dag, **changes):
    """The states of the tasks of a run of `dag`, and the run."""
    run = ran(dag, **changes)
    return {task.task_id: str(task.state) for task in run.get_task_instances()}, run


class Run:
    """A run that has ended: its state, its tasks' states and tries, its outcome, its XComs."""

    def __init__(self, dag, home, **changes):
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session

        run = ran(dag, **QUICK | changes)
        self.id, self.state = run.run_id, str(run.state)
        tasks = run.get_task_instances()
        names = {t: t.task_id + (f" {t.map_index}" if t.map_index >= 0 else "") for t in tasks}
        self.states = {name: str(t.state) for t, name in names.items()}
        self.tries = {name: t.try_number for t, name in names.items()}
        self.labels = [t.rendered_map_index for t in tasks if t.map_index >= 0]
        (folder,) = (home / "runs").glob(f"*{self.id[-18:-6].replace(':', '_')}*")
        self.outcome = json.loads((folder / "outcome.json").read_text())
        with create_session() as session:
            rows = session.query(XComModel).filter(XComModel.run_id == self.id).all()
            self.xcoms = {(row.task_id, row.key): row.value for row in rows}


@pytest.fixture(scope="module")
def first(dag_bag, tmp_path_factory):
    """A first run that succeeds, with nobody to tell; several tests look at it. Its paths are such
    as people have them."""
    folder = tmp_path_factory.mktemp("first")
    home, source = folder / "상태 é;{a}'", folder / "공장 데이터;{b} 'x'.accdb"
    home.mkdir()
    source.symlink_to(SAMPLE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROUTING_ML_HOME", str(home))
        patch.setenv("ROUTING_ML_SOURCE", str(source))
        return home, Run(dag_bag.dags["routing_ml_retrain"], home)


def test_every_dag_is_read_without_an_error_or_a_warning(dag_bag):
    assert dag_bag.import_errors == {}
    assert dag_bag.captured_warnings == {}
    assert set(dag_bag.dags) == {
        "routing_ml_retrain",
        "routing_ml_predict",
        "routing_ml_drift_watch",
        "routing_ml_backup",
        "routing_ml_quality",
    }


@pytest.mark.parametrize(
    "name",
    [
        *("routing_ml_retrain", "routing_ml_predict", "routing_ml_drift_watch"),
        *("routing_ml_backup", "routing_ml_quality"),
    ],
)
def test_reading_a_dag_imports_nothing_slow(name):
    code = (
        f"import sys; sys.path.insert(0, {str(DAGS)!r}); import {name};"
        "print([m for m in ('pandas', 'sklearn', 'scipy', 'pyodbc') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_it_runs_on_the_first_of_the_month_and_on_the_drift_asset(dag):
    from airflow.sdk import AssetOrTimeSchedule

    assert isinstance(dag.timetable, AssetOrTimeSchedule)
    assert dag.timetable.timetable.expression == "0 2 1 * *"
    assert str(dag.timetable.timetable.timezone) == "Asia/Seoul"
    (asset,) = dag.timetable.asset_condition.objects
    assert (asset.name, asset.uri) == ("routing_ml_drift", "x-routing-ml://drift")


@pytest.mark.parametrize(
    ("name", "schedule"),
    [
        ("routing_ml_predict", "0 3 * * *"),
        ("routing_ml_drift_watch", "10 * * * *"),
        ("routing_ml_backup", "0 0 * * *"),
        ("routing_ml_quality", "0 6 * * 1"),
    ],
)
def test_what_is_daily_hourly_or_weekly_is_so_in_the_factorys_time(dag_bag, name, schedule):
    timetable = dag_bag.dags[name].timetable
    assert (timetable.expression, str(timetable.timezone)) == (schedule, "Asia/Seoul")


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("routing_ml_retrain", timedelta(hours=6, days=3)),  # of which a person has three days
        ("routing_ml_predict", timedelta(hours=3)),
        ("routing_ml_drift_watch", timedelta(minutes=50)),
        ("routing_ml_backup", timedelta(hours=4)),
        ("routing_ml_quality", timedelta(hours=3)),
    ],
)
def test_it_catches_nothing_up_and_runs_once_at_a_time_within_a_time(dag_bag, name, limit):
    dag = dag_bag.dags[name]
    assert (dag.catchup, dag.start_date, dag.max_active_runs) == (False, None, 1)
    assert dag.dagrun_timeout == limit
    for task in dag.tasks:
        assert task.execution_timeout == timedelta(hours=1), task.task_id


def test_every_task_is_tried_again_with_growing_delays(dag_bag):
    for task in [task for dag in dag_bag.dags.values() for task in dag.tasks]:
        assert task.retries >= 2, task.task_id
        assert task.retry_delay == timedelta(seconds=10)
        assert task.retry_exponential_backoff == 2.0
        assert task.max_retry_delay == timedelta(minutes=10)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("routing_ml_retrain", "# Monthly retraining"),
        ("routing_ml_predict", "# Daily proposals"),
        ("routing_ml_drift_watch", "# Drift watch"),
        ("routing_ml_backup", "# Nightly backup"),
        ("routing_ml_quality", "# Weekly look"),
    ],
)
def test_the_page_of_a_dag_and_of_each_task_says_what_it_does(dag_bag, name, title):
    dag = dag_bag.dags[name]
    assert dag.doc_md.startswith(title)
    assert all(name in dag.doc_md for name in dag.params)
    docs = {
        task.task_id: getattr(task, "doc_md", None) or task.python_callable.__doc__
        for task in dag.tasks
    }
    assert all(docs.values())


def test_the_tasks_form_the_pipeline_of_the_picture(dag):
    downstream = {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks}
    assert downstream == {
        "extract": ["audit", "check", "train"],
        "check": ["audit"],
        "audit": ["train"],
        "candidates": ["train"],
        "train": ["compare"],
        "compare": ["approve", "keep", "promote"],
        "approve": ["decide"],
        "decide": ["keep", "promote"],
        "promote": ["prune"],
        "keep": ["prune"],
        "prune": ["report"],
        "report": [],
    }


def test_the_form_offers_the_configured_sources_and_candidates(dag):
    schemas = {name: dag.params.get_param(name).schema for name in dag.params}
    assert schemas["source"]["enum"] == ["default"]
    assert {"forest"} <= set(schemas["candidates"]["items"]["enum"])
    assert dag.params["candidates"] == schemas["candidates"]["items"]["enum"]
    assert schemas["promotion"]["enum"] == ["automatic", "approve", "never"]


def test_every_field_of_every_form_says_what_it_is_for(dag_bag):
    fields = [dag.params.get_param(name) for dag in dag_bag.dags.values() for name in dag.params]
    assert len(fields) == 10
    # A description would hide the one that may be formatted.
    assert all(field.description is None for field in fields)
    assert all(field.schema["title"] and field.schema["description_md"] for field in fields)
    (candidates,) = [field for field in fields if field.schema["type"] == "array"]
    for name in candidates.value:
        assert f"`{name}`: " in candidates.schema["description_md"]


@pytest.mark.parametrize(
    "given",
    [
        {"source": "DRIVER={MDBTools};DBQ=/etc/passwd"},
        {"source": "/etc/passwd"},
        {"source": "plant9"},
        {"candidates": ["oracle"]},
        {"candidates": []},
        {"candidates": ["forest", "forest"]},
        {"candidates": "forest"},
        {"limit": 1_999},
        {"limit": "many"},
        {"promotion": "always"},
        {"as_of": 20261101},
    ],
)
def test_a_parameter_that_cannot_be_is_refused(dag, given):
    from airflow.sdk.exceptions import ParamValidationError

    params = copy.deepcopy(dag.params)
    params.validate()
    with pytest.raises(ParamValidationError):
        params.update(given)
        params.validate()


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


@pytest.fixture(scope="module")
def rows(sample):
    return access_rows(sample)


@pytest.fixture
def changed(rows, tmp_path, monkeypatch):
    """Makes the default source a copy of the sample with one column of a table set to a value."""

    def change(table, column, value):
        at = rows[table].index(column)
        new = rows[table].changed((*row[:at], value, *row[at + 1 :]) for row in rows[table].rows)
        monkeypatch.setenv(
            "ROUTING_ML_SOURCE", sqlite_source(tmp_path / "f.sqlite", rows | {table: new})
        )

    return change


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


@pytest.mark.parametrize(
    ("as_of", "interval_end", "expected"),
    [
        (None, datetime(2026, 10, 31, 17, tzinfo=UTC), "2026-11-01T02:00:00"),  # on schedule
        (None, None, "2026-11-05T18:04:00"),  # by hand or by drift
        ("", None, "2026-11-05T18:04:00"),  # what an emptied field of the form sends
        ("2026-09-01", datetime(2026, 10, 31, 17, tzinfo=UTC), "2026-09-01T00:00:00"),
        ("2026-09-01T00:00:00Z", None, "2026-09-01T09:00:00"),
    ],
)
def test_a_run_reads_the_data_of_the_moment_it_is_for(dag_bag, as_of, interval_end, expected):
    import runs

    from routing_ml.settings import Settings

    run = SimpleNamespace(
        data_interval_end=interval_end, run_after=datetime(2026, 11, 5, 9, 4, tzinfo=UTC)
    )
    moment = runs.moment({"params": {"as_of": as_of}, "dag_run": run})
    assert Settings.from_env().moment(moment).isoformat() == expected


def test_the_scheduled_run_of_a_month_is_for_its_first_at_two_in_the_night(dag):
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import TimeRestriction

    due = coerce_to_core_timetable(dag.timetable).next_dagrun_info(
        last_automated_data_interval=None,
        restriction=TimeRestriction(datetime(2026, 10, 15, tzinfo=UTC), None, True),
    )
    assert due.data_interval.end.astimezone(SEOUL).isoformat() == "2026-11-01T02:00:00+09:00"


# Proposals and the drift watch


@pytest.fixture
def in_use(first, tmp_path, monkeypatch):
    """A home of its own with a model in use."""
    home = tmp_path / "in_use"
    shutil.copytree(first[0], home, symlinks=True)
    monkeypatch.setenv("ROUTING_ML_HOME", str(home))
    return home


@pytest.fixture
def watching(dag_bag):
    return dag_bag.dags["routing_ml_drift_watch"]


def store(home):
    return closing(Store(default_url(home)))


def drifting(home):
    """Predictions unlike any before."""
    with store(home) as opened:
        model = Registry(home / "models").active().name
        names, scores = [f"I{k}" for k in range(200)], [0.1] * 200
        opened.record_predictions(names, scores, scores, model=model, seconds=1)


def announced():
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session

    with create_session() as session:
        return [event.extra for event in session.query(AssetEvent).order_by(AssetEvent.id)]


def test_every_item_without_a_routing_is_proposed_one_and_recorded_once(dag_bag, in_use):
    dag = dag_bag.dags["routing_ml_predict"]
    states, run = states_of(dag, source="default", as_of="2026-11-20")
    assert states == {"predict": "success", "judge": "success", "replace": "skipped"}
    (file,) = (in_use / "proposals").glob("*.parquet")
    assert run.run_id[-18:-6].replace(":", "_") in file.name
    items = pd.read_parquet(file).drop_duplicates("ITEM_CD")
    assert len(items) > 10
    with store(in_use) as opened:
        assert opened.snapshot().count("predictions") == len(items)
    left = file.with_name(f".{file.name}.deadbeef.tmp")
    left.touch()
    pipeline.predict(
        Settings.from_env(), run.run_id, source="default", as_of=datetime(2026, 11, 20)
    )
    with store(in_use) as opened:
        assert opened.snapshot().count("predictions") == len(items)
    assert not left.exists()


def test_routings_that_planners_wrote_judge_and_may_replace_the_model(dag_bag, in_use, monkeypatch):
    from routing_ml.pipeline import evidence

    dag = dag_bag.dags["routing_ml_predict"]
    registry = Registry(in_use / "models")
    before = registry.active()
    other = registry.register(
        lambda folder: shutil.copytree(before.folder / "model", folder / "model"),
        key="another",
        facts={key: before.manifest[key] for key in ("candidate", "as_of", "metrics")},
    )  # fmt: skip
    states_of(dag, source="default", as_of="2026-11-10", promotion="automatic")
    judge = evidence.judge

    def shown(settings, **about):
        found = judge(settings, **about)
        decision = {"winner": other.name, "champion": before.name, "promote": True}
        return found | {"decision": decision | {"reason": "by what planners wrote"}}

    monkeypatch.setattr(evidence, "judge", shown)
    states, _ = states_of(dag, source="default", as_of="2026-11-24", promotion="never")
    assert (states["judge"], states["replace"]) == ("success", "skipped")
    assert registry.active().name == before.name
    with store(in_use) as opened, opened.transaction():
        assert opened.fact("live")["day"] == "2026-11-24"
        opened.database.run("DELETE FROM judged")
        opened.database.run("UPDATE shadow_proposals SET judged = 0")
    with FakeSlack() as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        for _ in range(2):
            ask = {"source": "default", "as_of": "2026-11-24", "promotion": "approve"}
            states, _ = states_of(dag, **ask)
            assert states["replace"] == "skipped"
    titles = [message["text"] for message in slack.messages]
    assert titles == ["Routing ML: a better model waits for a person"]
    assert registry.active().name == before.name
    states, run = states_of(dag, source="default", as_of="2026-11-24", promotion="automatic")
    assert states["replace"] == "success"
    assert registry.active().name == other.name
    assert registry.history()[-1]["who"] == f"run {run.run_id}"


def test_before_the_first_model_nothing_is_proposed_or_watched(dag_bag, home):
    states, _ = states_of(dag_bag.dags["routing_ml_predict"])
    assert states == dict.fromkeys(["predict", "judge", "replace"], "skipped")
    states, _ = states_of(dag_bag.dags["routing_ml_drift_watch"])
    assert states == {"evaluate": "skipped", "announce": "skipped", "catch_up": "success"}


def test_a_quiet_hour_leaves_a_verdict_and_announces_nothing(watching, in_use, caplog):
    before = announced()
    with caplog.at_level("INFO"):
        states, run = states_of(watching)
    assert len([m for m in caplog.messages if m.startswith("skipped: ")]) == 1
    assert (states, str(run.state)) == (
        {"evaluate": "success", "announce": "skipped", "catch_up": "success"},
        "success",
    )
    assert announced() == before
    with store(in_use) as opened:
        assert opened.drift_status()["drift_days"] == 0


def test_drift_is_announced_once_a_day_with_its_reason(watching, in_use, monkeypatch, caplog):
    monkeypatch.setattr("routing_ml.pipeline.advice._routed_since", lambda *given: 73)
    drifting(in_use)
    before = announced()
    with caplog.at_level("INFO"):
        assert states_of(watching)[0] == {
            "evaluate": "success",
            "announce": "success",
            "catch_up": "success",
        }
    (said,) = [m for m in caplog.messages if m.startswith("a retraining is asked for: ")]
    (event,) = announced()[len(before) :]
    assert event["model"] == Registry(in_use / "models").active().name
    words = "new items are not what the past ones were: drift on 1 of 7 days, KL divergence "
    assert event["reason"].startswith(words) and said.endswith(event["reason"])
    assert "73 items were routed since 2026-11-01" in event["reason"]
    assert states_of(watching)[0] == {
        "evaluate": "success",
        "announce": "skipped",
        "catch_up": "success",
    }
    assert len(announced()) == len(before) + 1


def test_drift_with_nothing_new_to_learn_is_told_instead(watching, in_use, monkeypatch):
    drifting(in_use)
    before = announced()
    monkeypatch.setattr("routing_ml.pipeline.advice._routed_since", lambda *given: 3)
    with FakeSlack() as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        assert states_of(watching)[0]["announce"] == "skipped"
    assert [message["text"] for message in slack.messages] == [
        "Routing ML: drift, and too little to learn"
    ]
    assert announced() == before


def test_the_report_of_a_run_that_drift_started_says_so(dag_bag):
    import runs

    event = SimpleNamespace(extra={"reason": "drift on 5 of 7 days"})
    run = SimpleNamespace(run_type="asset_triggered")
    context = {"dag_run": run, "triggering_asset_events": {"routing_ml_drift": [event]}}
    assert runs.cause(context) == "by drift: drift on 5 of 7 days"
    assert pipeline.monitor.started_by(runs.kind(context)) == "drift"


@pytest.fixture
def backing_up(dag_bag):
    with impatient(dag_bag.dags["routing_ml_backup"]) as dag:
        yield dag


# A source that cannot be reached


@pytest.fixture
def unmounted(in_use, tmp_path, monkeypatch):
    """The home of `in_use`, whose source is on a share that is not mounted; mounts it when called.

    Its model is of the dataset that the source gave last."""
    given = Registry(in_use / "models").active().manifest["data_sha256"]
    path = tmp_path / "share" / "erp.accdb"
    for manifest in (in_use / "datasets").glob("*.json"):
        named = json.loads(manifest.read_text()) | {"source": str(path)}
        manifest.write_text(json.dumps(named))
    monkeypatch.setenv("ROUTING_ML_SOURCE", str(path))

    def mount():
        path.parent.mkdir()
        path.symlink_to(SAMPLE)

    mount.learned = given
    return mount


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


def test_proposals_wait_for_a_source_without_a_worker_and_are_made_when_it_is_back(
    dag_bag, in_use, unmounted, monkeypatch
):
    import runs
    from airflow.models.taskreschedule import TaskReschedule
    from airflow.utils.session import create_session

    monkeypatch.setenv("ROUTING_ML_SOURCE_AWAY", "wait")
    monkeypatch.setattr(runs, "AGAIN", timedelta(seconds=1))
    tries = []
    propose = pipeline.predict

    def counted(*given, **options):
        tries.append(1)
        if len(tries) == 3:
            unmounted()
        return propose(*given, **options)

    monkeypatch.setattr(pipeline, "predict", counted)
    states, run = states_of(dag_bag.dags["routing_ml_predict"], source="default", as_of=None)
    assert (states["predict"], len(tries)) == ("success", 3)
    ti = run.get_task_instance("predict")
    assert ti.try_number == 1
    with create_session() as session:
        assert session.query(TaskReschedule).filter(TaskReschedule.ti_id == ti.id).count() == 2
    with store(in_use) as opened:
        assert opened.snapshot().count("prediction_failures") == 0
        assert opened.source("default")["away_since"] is None


def test_a_source_that_stays_away_fails_the_run_when_it_was_waited_for(
    dag_bag, in_use, unmounted, monkeypatch
):
    import runs

    monkeypatch.setenv("ROUTING_ML_SOURCE_AWAY", "wait")
    monkeypatch.setattr(runs, "AGAIN", timedelta(seconds=1))
    given = Settings.from_env

    def soon(env=None):
        return dataclasses.replace(given(env), source_wait=timedelta(seconds=2))

    monkeypatch.setattr(Settings, "from_env", staticmethod(soon))
    states, run = states_of(dag_bag.dags["routing_ml_predict"], source="default", as_of=None)
    assert states == {"predict": "failed", "judge": "failed", "replace": "upstream_failed"}
    ti = run.get_task_instance("predict")
    assert ti.try_number == 1
    with store(in_use) as opened:
        assert opened.snapshot().count("prediction_failures") == 1
        assert opened.source("default")["away_since"] > 0


@pytest.mark.parametrize(("mode", "hours"), [("fail", 6), ("last", 6), ("wait", 8)])
def test_a_run_that_may_wait_has_so_much_longer(dag_bag, mode, hours):
    import runs

    env = {"ROUTING_ML_SOURCE_AWAY": mode, "ROUTING_ML_SOURCE_WAIT": "2h"}
    assert runs.time_limit(Settings.from_env(env), hours=6) == timedelta(hours=hours)


# The weekly look


@pytest.fixture
def looking(dag_bag):
    with impatient(dag_bag.dags["routing_ml_quality"]) as dag:
        yield dag


def test_a_night_leaves_a_verified_backup_and_tells_nobody(backing_up, in_use, monkeypatch):
    home = in_use
    with FakeSlack() as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        states, run = states_of(backing_up)
    assert (set(states.values()), str(run.state)) == ({"success"}, "success")
    assert slack.messages == []
    newest = Vault(home / "backups").newest()
    assert newest.is_good and newest.facts["models"]["active"]
    with store(home) as opened:
        seen = opened.snapshot()
    assert seen.labelled("backups") == {"success": 1}
    assert seen.facts["backup"]["backup"] == newest.name


def test_a_night_that_fails_is_counted_and_told_once_and_keeps_the_older_backups(
    backing_up, in_use, tmp_path, monkeypatch
):
    home = in_use
    states_of(backing_up)
    monkeypatch.setenv("ROUTING_ML_SOURCE", str(tmp_path / "없음.accdb"))
    before = Vault(home / "backups").newest()
    with FakeSlack() as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        for _ in range(2):
            states, run = states_of(backing_up)
    assert str(run.state) == "failed"
    assert states == {
        "copy": "success", "verify": "success", "forget": "success", "report": "failed"
    }  # fmt: skip
    assert [message["text"] for message in slack.messages] == ["Routing ML: the backup failed"]
    assert "없음.accdb is not there" in slack.texts()[0]
    newest = Vault(home / "backups").newest()
    assert newest.name > before.name and list(newest.missing) == ["database default"]
    with store(home) as opened:
        seen = opened.snapshot()
    assert seen.labelled("backups") == {"success": 1, "failure": 2}
    assert seen.facts["backup"]["backup"] == before.name


def test_a_night_copies_nothing_of_a_state_folder_that_is_half_restored(
    backing_up, home, monkeypatch
):
    (home / ".restore").mkdir()
    (home / ".restore" / "journal.json").write_text("{}")
    states, run = states_of(backing_up)
    assert str(run.state) == "failed" and states["copy"] == "failed"
    assert not list((home / "backups").glob("backup_*"))
    outcome = json.loads((home / "backups" / "last_outcome.json").read_text())
    assert "was interrupted: 'routing-ml restore' finishes it" in outcome["failed"]["copy"]


def test_a_night_without_room_is_red_and_tries_to_forget_all_the_same(
    backing_up, home, monkeypatch
):
    (home / "backups").write_text("a file is in the way")
    states, run = states_of(backing_up)
    assert str(run.state) == "failed"
    assert (states["copy"], states["verify"]) == ("failed", "upstream_failed")
    with store(home) as opened:
        assert opened.snapshot().labelled("backups") == {"failure": 1}


@pytest.mark.parametrize(("times", "hands"), [(0, []), (1, ["clear"]), (3, ["clear"])])
def test_a_task_that_a_person_cleared_is_a_hand(dag_bag, times, hands):
    import runs

    ti = SimpleNamespace(xcom_pull=lambda **asked: [])
    assert runs.hands({"ti": ti, "dag_run": SimpleNamespace(clear_number=times)}) == hands


def test_a_look_leaves_a_page_and_tells_what_changed_since_last_week(
    looking, home, changed, tmp_path, monkeypatch
):
    changed(ITEMS, "DRAW_USE", None)  # as it is
    assert set(states_of(looking, source="default", as_of="2026-11-02")[0].values()) == {"success"}
    (tmp_path / "f.sqlite").unlink()
    changed(ROUTINGS, "SETUP_TIME", -1.0)
    with FakeSlack() as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        states, run = states_of(looking, source="default", as_of="2026-11-09")
    assert states == {"look": "success", "report": "success"}
    page = next(home.glob(f"quality/*{run.run_id[-18:-6].replace(':', '_')}*.html"))
    assert "1 thing got worse" in page.read_text()
    assert [m["text"] for m in slack.messages] == ["Routing ML, data quality: 1 thing got worse"]
    with store(home) as opened:
        assert opened.fact("quality")["findings"]["impossible"] == 19_786


def test_a_look_that_fails_is_red_recorded_and_told_once(looking, home, tmp_path, monkeypatch):
    bad = tmp_path / "erp.accdb"
    bad.write_bytes(b"no database")
    monkeypatch.setenv("ROUTING_ML_SOURCE", str(bad))
    with FakeSlack() as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        states, run = states_of(looking, source="default", as_of=None)
    assert (states, str(run.state)) == ({"look": "failed", "report": "failed"}, "failed")
    assert [m["text"] for m in slack.messages] == ["Routing ML: the look at the data failed"]
    assert str(bad) in slack.texts()[0]
    (outcome,) = home.glob("runs/*/outcome.json")
    assert list(json.loads(outcome.read_text())["failed"]) == ["look"]
    with store(home) as opened:
        assert opened.fact("quality_run")["succeeded"] is False
