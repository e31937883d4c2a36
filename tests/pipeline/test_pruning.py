"""What is removed when it is old, and what never is."""

import os
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from october import LIMIT, NOVEMBER, copy_of

from routing_ml.pipeline import steps as pipeline
from routing_ml.store.store import Store


@pytest.mark.parametrize("last", [None, 100, 40])
def test_a_clock_that_is_ahead_has_nothing_pruned_that_is_not_old_by_the_last_run(
    after_october, last
):
    """Here it is not the clock that is ahead: the last run is `last` days ago."""
    (after_october.home / "runs" / "old").mkdir()
    moment = time.time() - 185 * 86_400
    os.utime(after_october.home / "runs" / "old", (moment, moment))
    registry = pipeline.registry(after_october)
    october = registry.active()
    for days in (185, 300):
        copy_of(registry, october, key=str(days), now=datetime.now(UTC) - timedelta(days=days))
    with closing(Store(after_october.store_url)) as store:
        store.record_predictions(["A"], [0.9], [0.9], model="m", seconds=1, at=moment)
        if last is not None:
            at = time.time() - last * 86_400
            store.record_run("r", succeeded=True, seconds=1, ended_at=at)
    removed = pipeline.prune(after_october)
    assert (removed["runs"], removed["details"]) == ([], 0)
    assert len(removed["models"]) == (0 if last is None else 1)
    with closing(Store(after_october.store_url)) as store:
        store.record_run("s", succeeded=True, seconds=1)
    removed = pipeline.prune(after_october)
    assert (removed["runs"], removed["details"]) == (["old"], 1)


def test_prune_removes_what_is_old_but_not_the_model_in_use_nor_the_one_before(counted):
    given = counted
    registry = pipeline.registry(given)
    october = registry.active()
    ages = {"unused": 300, "before": 250, "active": 200, "recent": 100}
    named = {
        key: copy_of(registry, october, key=key, now=datetime.now(UTC) - timedelta(days=days)).name
        for key, days in ages.items()
    }
    for key in ("before", "active"):
        registry.promote(named[key], who="test", why="test")
    assert pipeline.prune(given)["models"] == [named["unused"]]
    left = {version.name for version in registry.versions()}
    assert left == {october.name, named["before"], named["active"], named["recent"]}


def test_prune_removes_run_folders_of_half_a_year_ago(counted):
    runs = counted.home / "runs"
    for name, days in (("old", 181), ("new", 179), (".trash", 400)):
        (runs / name).mkdir()
        (runs / name / "audit.json").write_text("{}")
        moment = time.time() - days * 86_400
        os.utime(runs / name, (moment, moment))
    assert pipeline.prune(counted)["runs"] == ["old"]
    assert sorted(path.name for path in runs.iterdir()) == [".trash", "new", "october"]
    assert not list((runs / ".trash").glob("old*"))


def test_prune_removes_proposals_and_recorded_details_but_no_total(counted):
    proposals = counted.home / "proposals"
    (proposals / "a.folder").mkdir(parents=True)
    os.utime(proposals / "a.folder", (0, 0))
    for name, days in (("old.parquet", 181), ("old.csv", 181), ("new.parquet", 179)):
        (proposals / name).touch()
        moment = time.time() - days * 86_400
        os.utime(proposals / name, (moment, moment))
    with closing(Store(counted.store_url)) as store:
        for days in (181, 179):
            at = time.time() - days * 86_400
            store.record_predictions(["A"], [0.9], [0.9], model="m", seconds=1, at=at)
        removed = pipeline.prune(counted)
        assert (removed["proposals"], removed["details"]) == (["old.csv", "old.parquet"], 1)
        assert len(store.predictions_after(0, model="m")) == 1
        assert store.snapshot().count("predictions") == 2
    assert sorted(path.name for path in proposals.iterdir()) == ["a.folder", "new.parquet"]


def test_what_killed_writers_left_goes_with_the_next_try(counted):
    given = counted
    left = [
        given.home / "datasets" / ".training_dataset_202611.parquet.0a1b2c3d.tmp",
        given.home / "runs/november/.training_dataset_202611.json.0a1b2c3d.tmp",
        given.home / "runs/november/.audit.json.0a1b2c3d.tmp",
        given.home / "runs/november/.extract-999999999/items.parquet",
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    pipeline.audit(
        given, "november", pipeline.extract(given, "november", as_of=NOVEMBER, limit=LIMIT)
    )
    assert [path for path in left if path.exists()] == []
    assert not list((given.home / "runs/november").glob(".*"))
