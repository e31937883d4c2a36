"""One clock: what is written down bears the time that a replay has set."""

import ast
import asyncio
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing_ml import clock
from routing_ml.pipeline import monitor
from routing_ml.proposals import default_path
from routing_ml.registry import Registry
from routing_ml.settings import Settings
from routing_ml.store import Store

THEN = datetime(2024, 11, 1, 2, tzinfo=UTC)
ZONES = st.integers(-12, 14).map(lambda hours: timezone(timedelta(hours=hours)))


def moved_in(models, *, at):
    """A version registered and put into use at a moment."""
    registry = Registry(models)
    with clock.at(at):
        version = registry.register(
            lambda folder: (folder / "model").write_text("m"), key=at.isoformat(), facts={}
        )
        registry.promote(version.name, who="run r", why="because")
    return version


def test_it_is_the_machines_time_until_a_moment_is_set():
    before = time.time()
    assert before <= clock.seconds() <= time.time()
    assert clock.utc().tzinfo is UTC


@given(st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=ZONES))
def test_it_is_the_moment_that_was_set_in_whatever_zone(moment):
    with clock.at(moment):
        assert clock.utc() == moment
        assert clock.seconds() == moment.timestamp()


def test_after_an_inner_block_the_outer_moment_holds_again_and_then_the_machines():
    with clock.at(THEN):
        with pytest.raises(RuntimeError), clock.at(THEN + timedelta(days=1)):
            raise RuntimeError
        assert clock.utc() == THEN
    assert clock.seconds() > THEN.timestamp()


def test_a_moment_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="2024-11-01T02:00:00 has no time zone"):
        clock.at(THEN.replace(tzinfo=None)).__enter__()


def test_another_thread_keeps_the_machines_time_and_a_task_takes_the_moment_along():
    found = []
    with clock.at(THEN):
        other = threading.Thread(target=lambda: found.append(clock.seconds()))
        other.start()
        other.join()

        async def asked():
            return clock.utc()

        assert asyncio.run(asked()) == THEN
    assert found[0] > THEN.timestamp()


def test_now_of_the_settings_is_the_factorys_time_of_that_moment():
    settings = Settings.from_env({"ROUTING_ML_TIMEZONE": "Asia/Seoul"})
    with clock.at(THEN):
        assert settings.moment(None) == datetime(2024, 11, 1, 11)


def test_versions_and_switches_bear_the_moment(tmp_path):
    version = moved_in(tmp_path, at=THEN)
    assert version.name == "model_20241101_020000"
    assert Registry(tmp_path).history()[0]["at"] == "2024-11-01T02:00:00.000+00:00"


def test_a_version_is_a_reference_for_a_year_of_the_time_that_is_set(tmp_path):
    registry = Registry(tmp_path)
    first = moved_in(tmp_path, at=THEN)
    moved_in(tmp_path, at=THEN + timedelta(days=30))
    with clock.at(THEN + timedelta(days=390)):
        assert [one.name for one in registry.references()] == [first.name]
        assert registry.prune() == [] and registry.previous().name == first.name
    with clock.at(THEN + timedelta(days=400)):
        assert registry.references() == []


def test_what_the_store_records_bears_the_moment(tmp_path):
    with closing(Store(f"sqlite:///{tmp_path / 'store.db'}")) as store:
        with clock.at(THEN):
            store.record_run("r", succeeded=True, seconds=1.0)
            store.record_predictions(["A"], [0.5], [0.9], model="m", seconds=0.1)
            store.record_seen(["A"], how="predict")
            store.record_quality({}, worse=0)
            store.record_source_away("default")
            store.record_model("m", created_at=0.0, metrics={})
            store.claim("batch", "b")
            store.note_alarm(watch="m/1", on=True, advised=False, day=THEN.date(), at=0.0)
            store.reset_drift()
        sql = (
            "SELECT ended_at FROM runs UNION SELECT at FROM predictions UNION SELECT at FROM claims"
            " UNION SELECT at FROM seen_proposals UNION SELECT judged_at FROM alarms"
            " UNION SELECT at FROM facts WHERE name <> 'schema'"
        )
        assert store.database.rows(sql) == [(THEN.timestamp(),)]
        assert store.source("default")["away_since"] == THEN.timestamp()
        with clock.at(THEN + timedelta(days=180)):
            assert store.prune() == 0
        with clock.at(THEN + timedelta(days=181)):
            assert store.prune() == 2


def test_a_batch_of_the_past_is_recorded_as_of_then_and_is_not_the_last_one(tmp_path):
    settings = Settings.from_env({"ROUTING_ML_HOME": str(tmp_path)})
    figures = {"SIMILARITY_SCORE": [0.5], "CONFIDENCE": [0.9], "NOVELTY": [0.0]}
    proposals = pd.DataFrame({"ITEM_CD": ["A"]} | figures)
    for at in (None, THEN.timestamp()):
        monitor.record_predictions(settings, proposals, model="m", seconds=0.1, at=at)
    with closing(Store(settings.store_url, write=False)) as store:
        times = [at for (at,) in store.database.rows("SELECT at FROM predictions ORDER BY id")]
        assert times[1] == THEN.timestamp() < times[0]
        assert store.fact("last_prediction")["at"] == times[0]


def test_a_file_of_proposals_is_called_by_the_moment(tmp_path):
    with clock.at(THEN):
        assert default_path(tmp_path).name == "proposals_20241101_020000_000000.parquet"


ROOMS = ("registry", "proposals", "store", "judging", "drift", "pipeline")
READS = {("time", "time"), ("datetime", "now"), ("datetime", "utcnow"), ("date", "today")}


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_that_is_played_again_reads_the_time_elsewhere(room):
    found = [
        f"{path.name}:{node.lineno}"
        for path in (Path(clock.__file__).parent / room).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if (node.value.id, node.attr) in READS
    ]
    assert found == []
