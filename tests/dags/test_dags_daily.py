"""Runs of the other DAGs: proposals, the drift watch, the backup, the weekly look."""

import dataclasses
import json
import shutil
from datetime import datetime, timedelta

import pandas as pd
import pytest
from dag_runs import impatient, states_of, store
from data_fixtures import ITEMS, ROUTINGS
from slack_fixtures import FakeSlack

from routing_ml.backup import Vault
from routing_ml.pipeline import steps as pipeline
from routing_ml.registry.registry import Registry
from routing_ml.settings import Settings


@pytest.fixture
def watching(dag_bag):
    return dag_bag.dags["routing_ml_drift_watch"]


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


@pytest.fixture
def backing_up(dag_bag):
    with impatient(dag_bag.dags["routing_ml_backup"]) as dag:
        yield dag


@pytest.fixture
def looking(dag_bag):
    with impatient(dag_bag.dags["routing_ml_quality"]) as dag:
        yield dag


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
