import importlib.util
import logging
import subprocess
import sys
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from slack_fixtures import SECRET, FakeSlack

from routing_ml.backup.ending import end
from routing_ml.notices import notify
from routing_ml.settings import Settings
from routing_ml.store.store import Store

PLUGIN = Path(__file__).parents[2] / "plugins" / "routing_ml_listener.py"


@pytest.fixture
def slack(tmp_path, monkeypatch):
    with FakeSlack() as slack:
        monkeypatch.setenv("ROUTING_ML_HOME", str(tmp_path))
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        monkeypatch.delenv("AIRFLOW__API__BASE_URL", raising=False)
        yield slack


@pytest.fixture(scope="module")
def plugin():
    spec = importlib.util.spec_from_file_location("routing_ml_listener", PLUGIN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def hear(plugin, dag_id="routing_ml_retrain", run_id="manual__1", msg="timed_out", kind="manual"):
    run = SimpleNamespace(dag_id=dag_id, run_id=run_id, run_type=kind)
    plugin.RunListener().on_dag_run_failed(run, msg)
    for thread in threading.enumerate():
        if thread.name == "routing_ml_listener":
            thread.join()


def test_a_run_that_failed_without_a_report_is_told_of_with_its_address(plugin, slack, monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://factory:8080/")
    hear(plugin)
    assert slack.texts() == [
        "routing_ml_retrain failed without a report of its own: timed_out\n"
        "The model in use is the one it was, unless the run's promote task is green.\n"
        "Run: manual__1"
    ]
    address = "http://factory:8080/dags/routing_ml_retrain/runs/manual__1"
    assert slack.links() == [f"<{address}|Open in Airflow>"]


def totals():
    with closing(Store(Settings.from_env().store_url)) as store:
        return store.snapshot().labelled("runs"), store.runs()


@pytest.mark.parametrize("answers", [[], [404]], ids=["told", "nobody can be told"])
def test_a_retraining_that_failed_without_a_report_is_counted_once(plugin, slack, answers):
    slack.script.extend(answers)
    hear(plugin, msg="marked failed")
    hear(plugin, msg="marked failed")
    counts, (run,) = totals()
    assert counts == {"failure": 1}
    assert (run["run"], run["reason"]) == ("manual__1", "marked failed")
    hear(plugin, "routing_ml_predict", "scheduled__1")
    assert totals()[0] == {"failure": 1}


def test_a_run_that_its_report_has_counted_is_not_counted_again(plugin, slack):
    with closing(Store(Settings.from_env().store_url)) as store:
        store.record_run("manual__1", succeeded=False, seconds=7, reason="extract: no file")
    hear(plugin)
    counts, (run,) = totals()
    assert counts == {"failure": 1}
    assert run["reason"] == "extract: no file"


def test_a_backup_that_timed_out_is_counted_once_and_not_where_its_report_did(plugin, slack):
    settings = Settings.from_env()
    end(settings, "manual__1", name=None, failed={"copy": "disk full"}, seconds=1.0)
    for run in ("manual__1", "scheduled__2", "scheduled__2"):
        hear(plugin, "routing_ml_backup", run)
    with closing(Store(settings.store_url)) as store:
        assert store.snapshot().labelled("backups") == {"failure": 2}


def test_people_are_told_though_the_store_cannot_be_written(plugin, slack, tmp_path, caplog):
    (tmp_path / "store.db").mkdir()
    hear(plugin)
    assert "run manual__1 could not be counted" in caplog.text
    assert len(slack.messages) == 1


def test_a_run_is_told_of_once(plugin, slack):
    hear(plugin)
    hear(plugin)
    assert len(slack.messages) == 1


def test_a_run_whose_report_told_is_not_told_of_again(plugin, slack):
    notify.tell(Settings.from_env(), "retrain/manual__1", "The report's", "text")
    hear(plugin)
    assert [message["text"] for message in slack.messages] == ["The report's"]


def test_a_dag_that_fails_every_hour_is_told_of_once_a_day(plugin, slack, monkeypatch):
    for hour in range(3):
        hear(plugin, "routing_ml_drift_watch", f"scheduled__{hour}")
    assert len(slack.messages) == 1
    assert "routing_ml_drift_watch failed" in slack.texts()[0]
    assert "promote" not in slack.texts()[0]
    hear(plugin, "routing_ml_predict", "scheduled__0")
    tomorrow = Settings.from_env().moment(None) + timedelta(days=1)
    monkeypatch.setattr(Settings, "moment", lambda settings, text: tomorrow)
    hear(plugin, "routing_ml_drift_watch", "scheduled__24")
    assert len(slack.messages) == 3


def test_runs_of_the_same_name_of_two_dags_are_told_apart(plugin, slack):
    hear(plugin, "routing_ml_retrain", "scheduled__1")
    hear(plugin, "routing_ml_backup", "scheduled__1")
    assert len(slack.messages) == 2


def test_another_dag_is_not_ours_to_tell_of(plugin, slack):
    hear(plugin, dag_id="payroll")
    assert slack.requests == 0


def test_a_slack_that_is_away_is_an_error_in_the_log_without_its_address(plugin, slack, caplog):
    caplog.set_level(logging.DEBUG)
    slack.script.append(404)
    hear(plugin)
    assert "nobody could be told of run manual__1 yet: Slack refused the notice" in caplog.text
    assert SECRET not in caplog.text


def test_a_setting_that_is_wrong_is_an_error_in_the_log(plugin, slack, monkeypatch, caplog):
    monkeypatch.setenv("ROUTING_ML_TIMEZONE", "Mars/Olympus")
    hear(plugin)
    assert "ROUTING_ML_TIMEZONE is 'Mars/Olympus'" in caplog.text


def test_a_silent_slack_does_not_hold_up_the_scheduler(plugin, slack):
    slack.script.append("silent")
    run = SimpleNamespace(dag_id="routing_ml_x", run_id="1", run_type="scheduled")
    plugin.RunListener().on_dag_run_failed(run, "")
    (thread,) = [t for t in threading.enumerate() if t.name == "routing_ml_listener"]
    assert thread.is_alive()
    slack.holds.set()
    thread.join()


def test_the_plugin_imports_nothing_slow():
    code = (
        "import sys; from routing_ml import backup, notices; notices.tell;"
        "backup.count_unreported;"
        "print([m for m in ('pandas', 'sklearn', 'scipy', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_look_that_its_report_has_told_of_is_not_told_again_and_stays_recorded(plugin, slack):
    settings = Settings.from_env()
    notify.tell(settings, "quality/manual__1", "Routing ML: the look at the data failed", "why")
    hear(plugin, dag_id="routing_ml_quality")
    assert len(slack.messages) == 1
    hear(plugin, dag_id="routing_ml_quality", run_id="manual__2")
    assert len(slack.messages) == 2
    with closing(Store(settings.store_url)) as store:
        assert store.fact("quality_run")["succeeded"] is False
