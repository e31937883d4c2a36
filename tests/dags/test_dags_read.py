"""What Airflow reads of the DAGs: schedules, forms, pages and limits, without a run."""

import copy
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from dag_runs import DAGS, SEOUL

from routing_ml.pipeline import steps as pipeline
from routing_ml.settings import Settings


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


def test_the_report_of_a_run_that_drift_started_says_so(dag_bag):
    import runs

    event = SimpleNamespace(extra={"reason": "drift on 5 of 7 days"})
    run = SimpleNamespace(run_type="asset_triggered")
    context = {"dag_run": run, "triggering_asset_events": {"routing_ml_drift": [event]}}
    assert runs.cause(context) == "by drift: drift on 5 of 7 days"
    assert pipeline.monitor.started_by(runs.kind(context)) == "drift"


@pytest.mark.parametrize(("mode", "hours"), [("fail", 6), ("last", 6), ("wait", 8)])
def test_a_run_that_may_wait_has_so_much_longer(dag_bag, mode, hours):
    import runs

    env = {"ROUTING_ML_SOURCE_AWAY": mode, "ROUTING_ML_SOURCE_WAIT": "2h"}
    assert runs.time_limit(Settings.from_env(env), hours=6) == timedelta(hours=hours)


@pytest.mark.parametrize(("times", "hands"), [(0, []), (1, ["clear"]), (3, ["clear"])])
def test_a_task_that_a_person_cleared_is_a_hand(dag_bag, times, hands):
    import runs

    ti = SimpleNamespace(xcom_pull=lambda **asked: [])
    assert runs.hands({"ti": ti, "dag_run": SimpleNamespace(clear_number=times)}) == hands
