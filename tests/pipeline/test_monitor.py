"""What a run, a command and the listener leave for the key figures."""

from contextlib import closing
from datetime import UTC, date, datetime, timedelta

import pytest

from routing_ml.cli import main
from routing_ml.pipeline import monitor
from routing_ml.pipeline.ending import end
from routing_ml.registry import Registry
from routing_ml.settings import Settings
from routing_ml.store.store import Store

NOW = datetime(2026, 11, 5, 9, 0, tzinfo=UTC)
READ = {"as_of": "2026-11-05T18:00:00", "rows": {"items": 1}, "sha256": "0", "uri": "x"}  # in Seoul
DECIDED = {"promote": False, "winner": None, "reason": "nothing is better", "withheld": []}
BETTER = DECIDED | {"promote": True, "winner": "model_20261105_090000"}


@pytest.fixture
def settings(home):
    return Settings.from_env()


def counted(settings, name):
    with closing(Store(settings.store_url, write=False)) as store:
        return {label: n for label, n in store.snapshot().labelled(name).items() if n}


def ended(settings, run="r1", **about):
    given = {"data": READ, "trained": [], "decision": DECIDED, "failed": {}, "cause": "on schedule"}
    return end(settings, run, **given | {"started_by": "schedule"} | about, seconds=5)


def alarmed(settings, at):
    with closing(Store(settings.store_url)) as store:
        at = at.timestamp()
        store.note_alarm(watch="m1", on=True, advised=True, day=date(2026, 11, 5), at=at)


@pytest.mark.parametrize(
    ("about", "found"),
    [
        ({"decision": BETTER}, {"confirmed": 1}),
        ({"decision": BETTER | {"promote": False}}, {"confirmed": 1}),
        ({"decision": BETTER, "failed": {"promote": "disk full"}}, {"confirmed": 1}),
        ({}, {"false": 1}),
        ({"failed": {"train forest": "no memory"}}, {}),  # it might have been better
        ({"decision": None, "data": None, "failed": {"extract": "no file"}}, {}),
    ],
)
def test_a_run_judges_the_alarm_by_what_it_found(settings, about, found):
    alarmed(settings, NOW - timedelta(hours=1))
    for _ in range(2):
        ended(settings, **about)
    assert counted(settings, "drift_alarms") == found
    answered = {"alarm", "advice"} if about == {"decision": BETTER} else set()
    assert counted(settings, "drift_response_seconds").keys() == answered


def test_a_run_as_of_a_moment_before_the_alarm_says_nothing_of_it(settings):
    alarmed(settings, NOW + timedelta(minutes=1))
    ended(settings)
    assert counted(settings, "drift_alarms") == {}
    alarmed(settings, NOW + timedelta(minutes=1))
    ended(settings, data=READ | {"as_of": "2026-11-05T18:02:00"})
    assert counted(settings, "drift_alarms") == {"false": 1}


def test_what_a_person_did_for_a_run_is_in_its_outcome_and_counted_once(settings):
    for _ in range(2):
        outcome = ended(settings, hands=["clear"])
    assert (outcome["started_by"], outcome["hands"]) == ("schedule", ["clear"])
    assert counted(settings, "hands") == {"clear": 1}
    assert counted(settings, "retrain_unattended") == {}


def test_a_retraining_by_command_is_one_by_hand(home, capsys):
    assert main(["retrain", "--source", "/no/such.accdb"]) == 1
    assert counted(Settings.from_env(), "retrain_ended") == {"hand/failure": 1}
    assert counted(Settings.from_env(), "hands") == {"trigger": 1}


@pytest.fixture
def registry(home):
    """Two versions, the first one put into use by a run."""
    registry = Registry(home / "models")
    for key in ("a", "b"):
        facts = {"metrics": {}, "candidate": "forest", "as_of": "2026-11-01T00:00:00"}
        registry.register(lambda folder: (folder / "x").write_text("x"), key=key, facts=facts)
    first, _ = registry.versions()
    registry.promote(first.name, who=f"{monitor.RUN}r1", why="better")
    return registry


def test_switches_by_hand_are_counted_once_those_of_a_run_are_not(settings, registry, capsys):
    ended(settings)
    assert counted(settings, "hands") == {}
    _, second = registry.versions()
    assert main(["promote", second.name]) == 0
    assert main(["rollback"]) == 0
    for _ in range(2):
        monitor.record_model(settings)
    assert counted(settings, "hands") == {"promote": 1, "rollback": 1}
    assert counted(settings, "retrain_unattended") == {}


def test_a_switch_that_could_not_be_counted_at_once_is_with_the_next(
    settings, registry, monkeypatch
):
    _, second = registry.versions()
    monkeypatch.setenv("ROUTING_ML_STORE_URL", "postgresql://u:p@127.0.0.1:9/none")
    assert main(["promote", second.name]) != 0
    monkeypatch.delenv("ROUTING_ML_STORE_URL")
    ended(settings)
    assert counted(settings, "hands") == {"promote": 1}


def test_a_damaged_history_keeps_nobody_from_knowing_the_model_in_use(settings, registry, caplog):
    with (registry.folder / "history.jsonl").open("a") as history:
        history.write("no record\n")
    monitor.record_model(settings)
    assert "switches by hand are not counted" in caplog.text
    with closing(Store(settings.store_url)) as store:
        assert store.fact("model")["name"] == registry.versions()[0].name


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("scheduled", "schedule"),
        ("asset_triggered", "drift"),
        ("manual", "hand"),
        ("backfill", "hand"),
        ("operator_triggered", "other"),
    ],
)
def test_a_run_without_a_report_is_counted_by_what_started_it(settings, kind, cause):
    for _ in range(2):
        monitor.record_unreported(settings, "r1", "timed_out", kind=kind)
    assert counted(settings, "retrain_ended") == {f"{cause}/failure": 1}
    ended(settings, started_by=cause)  # it was cleared
    assert counted(settings, "retrain_ended") == {f"{cause}/success": 1}
