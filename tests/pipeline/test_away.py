"""A source that cannot be reached: fail, wait, or the last good dataset of that very source."""

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from data_fixtures import SMALL_COLUMNS, small_factory, sqlite_source
from filelock import FileLock, Timeout
from slack_fixtures import FakeSlack

from routing_ml.errors import InputError, SettingError, SourceAwayError, SourceMissingError
from routing_ml.pipeline import away, proposing
from routing_ml.pipeline import steps as pipeline
from routing_ml.pipeline.retraining import StepError, retrain
from routing_ml.settings import Settings
from routing_ml.source import Columns
from routing_ml.store.store import Store

OCTOBER, NOVEMBER = datetime(2026, 10, 1, 2), datetime(2026, 11, 1, 2)


@pytest.fixture
def factory(tmp_path):
    """Settings whose source is a small factory's SQLite file; with further ones as given."""
    source = tmp_path / "share" / "erp.sqlite"
    source.parent.mkdir()
    sqlite_source(source, small_factory(items=60))
    (tmp_path / "c.toml").write_text(SMALL_COLUMNS)

    def given(**more):
        env = {
            "ROUTING_ML_HOME": str(tmp_path / "home"),
            "ROUTING_ML_SOURCE": str(source),
            "ROUTING_ML_COLUMNS": str(tmp_path / "c.toml"),
        }
        return Settings.from_env(env | more)

    given.source = source
    return given


def gone(factory):
    """The share is no longer mounted; its folder is there, and empty."""
    factory.source.rename(factory.source.with_name("elsewhere"))


def back(factory):
    factory.source.with_name("elsewhere").rename(factory.source)


def known(settings, source="default"):
    with closing(Store(settings.store_url)) as store:
        return store.source(source)


def extract(settings, run, as_of=NOVEMBER, **options):
    return pipeline.extract(settings, run, as_of=as_of, **options)


@pytest.mark.parametrize("text", ["never", "LAST!", "0", "wait 6h"])
def test_another_way_than_the_three_is_refused_by_name(text):
    with pytest.raises(SettingError, match=r"ROUTING_ML_SOURCE_AWAY is .*fail, wait or last"):
        Settings.from_env({"ROUTING_ML_SOURCE_AWAY": text})


@pytest.mark.parametrize(
    "text", ["6", "h", "0m", "8d", "-1h", "1.5h", "99999999999999d", "6 hours"]
)
def test_a_wait_that_is_no_time_is_refused_by_name(text):
    with pytest.raises(SettingError, match=r"ROUTING_ML_SOURCE_WAIT is .*from 1m to 7d"):
        Settings.from_env({"ROUTING_ML_SOURCE_WAIT": text})


def test_the_settings_of_a_source_that_is_away_are_no_sources():
    env = {"ROUTING_ML_SOURCE_AWAY": "Last", "ROUTING_ML_SOURCE_WAIT": "90m"}
    settings = Settings.from_env(env)
    assert set(settings.sources) == {"default"}
    assert (settings.source_away, settings.source_wait.total_seconds()) == ("last", 5400)


def test_unless_told_otherwise_a_run_fails_and_the_store_knows_why(factory):
    settings = factory()
    extract(settings, "r1")
    gone(factory)
    with pytest.raises(SourceMissingError, match="is not there"):
        extract(settings, "r2")
    assert known(settings)["away_since"] > 0
    back(factory)
    extract(settings, "r3")
    assert known(settings) == {"away_since": None, "as_of": known(settings)["as_of"]}


def test_the_last_good_dataset_comes_into_the_folder_of_the_run_and_says_so(factory):
    settings = factory(ROUTING_ML_SOURCE_AWAY="last")
    first = extract(settings, "r1", as_of=OCTOBER)
    assert first["away"] is None
    gone(factory)
    used = extract(settings, "r2")
    assert used["sha256"] == first["sha256"] and used["rows"] == first["rows"]
    assert used["as_of"] == OCTOBER.isoformat()
    assert used["uri"] == "runs/r2/training_dataset_202610.json"
    assert used["away"]["as_of"] == OCTOBER.isoformat()
    assert "erp.sqlite is not there" in used["away"]["line"]
    assert "as of 2026-10-01 02:00" in used["away"]["line"]
    of = OCTOBER.replace(tzinfo=settings.timezone).timestamp()
    assert known(settings)["as_of"] == of and known(settings)["away_since"]
    assert [path.name for path in (settings.home / "datasets").glob("*.json")] == [
        "training_dataset_202610.json"
    ]


def test_nobody_writes_another_in_its_place_while_the_last_good_dataset_is_taken(
    factory, monkeypatch
):
    """The dataset of another source has the same name in the same month."""
    settings = factory(ROUTING_ML_SOURCE_AWAY="last")
    extract(settings, "r1", as_of=OCTOBER)
    gone(factory)
    chosen, held = away.last_good, []

    def is_held(*given, **more):
        lock = FileLock(settings.home / "datasets" / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            held.append(True)
        else:
            lock.release()
            held.append(False)

    def choosing(*given, **more):
        is_held()
        return chosen(*given, **more)

    monkeypatch.setattr(away, "last_good", choosing)
    away.read(
        settings, "default", columns=Columns.load(settings.columns["default"]), as_of=NOVEMBER,
        fetch=lambda: extract(factory(), "r2"), instead=is_held,
    )  # fmt: skip
    assert held == [True, True]
    assert FileLock(settings.home / "datasets" / ".lock").acquire(timeout=0)


def refused(factory, as_of=NOVEMBER, **more):
    settings = factory(ROUTING_ML_SOURCE_AWAY="last", **more)
    with pytest.raises(SourceAwayError, match="holds no good dataset of it as of"):
        extract(settings, "r2", as_of=as_of)


def test_a_dataset_of_after_the_as_of_is_not_used(factory):
    extract(factory(), "r1", as_of=NOVEMBER)
    gone(factory)
    refused(factory, as_of=OCTOBER)


def test_a_dataset_of_another_source_is_not_used(factory, tmp_path):
    other = tmp_path / "other.sqlite"
    sqlite_source(other, small_factory(seed=3))
    extract(factory(ROUTING_ML_SOURCE=str(other)), "r1")
    gone(factory)
    refused(factory)


@pytest.mark.parametrize("changed", ["where = \"ITEM_CD > 'IT-010'\"", 'text = ["UNIT"]'])
def test_a_dataset_of_another_factory_in_the_same_source_is_not_used(factory, tmp_path, changed):
    extract(factory(), "r1")
    gone(factory)
    other = SMALL_COLUMNS.replace("[items]\n", f"[items]\n{changed}\n", 1)
    (tmp_path / "other.toml").write_text(other)
    refused(factory, ROUTING_ML_COLUMNS=str(tmp_path / "other.toml"))


def test_a_dataset_that_a_smaller_limit_cut_short_is_not_used(factory):
    extract(factory(), "r1", limit=50)
    gone(factory)
    refused(factory)
    settings = factory(ROUTING_ML_SOURCE_AWAY="last")
    assert extract(settings, "r3", limit=40)["rows"]["routings"] <= 50


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: damage(folder / "training_dataset_202611.parquet"),
        lambda folder: damage(folder / "training_dataset_202611_items.parquet"),
        lambda folder: (folder / "training_dataset_202611_items.parquet").unlink(),
        lambda folder: (folder / "training_dataset_202611.json").write_text("{"),
        lambda folder: (folder / "training_dataset_202611.json").write_text("[]"),
        lambda folder: (folder / "training_dataset_202611.json").write_text(
            (folder / "training_dataset_202611.json").read_text().replace("2026-11-01", "soon")
        ),
    ],
)
def test_a_damaged_dataset_is_passed_over_for_the_one_before(factory, caplog, harm):
    settings = factory(ROUTING_ML_SOURCE_AWAY="last")
    extract(settings, "r1", as_of=OCTOBER)
    extract(settings, "r2", as_of=NOVEMBER)
    gone(factory)
    harm(settings.home / "datasets")
    assert extract(settings, "r3")["as_of"] == OCTOBER.isoformat()
    assert "training_dataset_202611.json is passed over" in caplog.text


def test_a_dataset_of_an_earlier_release_is_told_by_its_columns(factory):
    settings = factory(ROUTING_ML_SOURCE_AWAY="last")
    extract(settings, "r1")
    path = settings.home / "datasets" / "training_dataset_202611.json"
    manifest = json.loads(path.read_text())
    del manifest["asked"]
    path.write_text(json.dumps(manifest))
    gone(factory)
    assert extract(settings, "r2")["away"]
    manifest["columns"]["routings"]["JOB_CD"] = "ANOTHER"
    path.write_text(json.dumps(manifest))
    refused(factory)


def test_a_file_that_is_wrong_or_damaged_fails_whatever_the_setting(factory):
    for mode in ("last", "wait"):
        settings = factory(ROUTING_ML_SOURCE_AWAY=mode)
        if mode == "last":
            extract(settings, "r1")
        content = factory.source.read_bytes()
        factory.source.write_bytes(content[: len(content) // 2])
        with pytest.raises(InputError) as cut:
            extract(settings, "r2", say=print)
        factory.source.write_bytes(content)
        with sqlite3.connect(factory.source) as erp:
            erp.execute("ALTER TABLE routings RENAME COLUMN JOB_CD TO JOB")
        with pytest.raises(InputError, match="JOB_CD") as changed:
            extract(settings, "r3", say=print)
        factory.source.write_bytes(content)
        assert not isinstance(cut.value, SourceAwayError)
        assert not isinstance(changed.value, SourceAwayError)


def test_a_locked_file_is_away(factory, monkeypatch):
    monkeypatch.setattr("routing_ml.source.sqlite.WAIT_S", 0.01)
    settings = factory(ROUTING_ML_SOURCE_AWAY="last")
    extract(settings, "r1")
    with closing(sqlite3.connect(factory.source, isolation_level=None)) as writer:
        writer.execute("PRAGMA locking_mode = EXCLUSIVE")
        writer.execute("BEGIN EXCLUSIVE")
        assert "database is locked" in extract(settings, "r2")["away"]["why"]


def test_a_command_waits_says_so_and_goes_on_when_the_source_is_back(factory, monkeypatch):
    settings, said, slept = factory(ROUTING_ML_SOURCE_AWAY="wait"), [], []
    gone(factory)

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 2:
            back(factory)

    monkeypatch.setattr(away, "sleep", sleep)
    with FakeSlack() as slack:
        given = replace(settings, slack_webhook_url=slack.url)
        assert extract(given, "r1", say=said.append)["away"] is None
    assert slept == [60, 60]
    assert len(said) == 2 and "is not there" in said[0]
    assert "tried again every 60 s for 6 h more" in said[0] and "Ctrl-C ends it" in said[0]
    assert [m["text"] for m in slack.messages] == [away.TITLE]
    assert known(settings)["away_since"] is None


def test_a_command_that_has_waited_long_enough_fails_and_says_so(factory, monkeypatch):
    settings = factory(ROUTING_ML_SOURCE_AWAY="wait", ROUTING_ML_SOURCE_WAIT="1m")
    gone(factory)
    clock = iter(range(0, 1000, 25))
    monkeypatch.setattr(away.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(away, "sleep", lambda seconds: None)
    with pytest.raises(SourceMissingError, match="1 min were waited for it"):
        extract(settings, "r1", say=lambda line: None)


def test_without_somebody_to_hear_of_it_waiting_is_left_to_the_caller(factory, monkeypatch):
    monkeypatch.setattr(away, "sleep", lambda seconds: pytest.fail("it waited"))
    gone(factory)
    with pytest.raises(SourceMissingError):
        extract(factory(ROUTING_ML_SOURCE_AWAY="wait"), "r1")


def test_people_hear_once_of_each_time_that_a_source_is_away(factory):
    with FakeSlack() as slack:
        settings = factory(ROUTING_ML_SOURCE_AWAY="last", SLACK_WEBHOOK_URL=slack.url)
        extract(settings, "r1")
        gone(factory)
        extract(settings, "r2")
        extract(settings, "r3")
        assert [m["text"] for m in slack.messages] == [away.TITLE]
        assert "as of 2026-11-01 02:00" in slack.texts()[0]
        back(factory)
        extract(settings, "r4")
        with closing(Store(settings.store_url)) as store:
            store.record_source_away("default", at=1_800_000_000)  # the next time
        gone(factory)
        extract(settings, "r5")
    assert len(slack.messages) == 2


def test_a_source_that_a_command_was_given_is_no_concern_of_the_store(factory):
    settings = replace(factory(ROUTING_ML_SOURCE_AWAY="last"), configured=False)
    extract(settings, "r1")
    gone(factory)
    assert extract(settings, "r2")["away"]
    assert known(settings) == {}


def test_items_are_proposed_from_the_last_dataset_only_where_it_is_whole(factory):
    settings = factory(ROUTING_ML_SOURCE_AWAY="last")
    columns = pipeline.Columns.load(settings.columns["default"])

    def read(**options):
        return proposing.source_data(
            settings, "default", columns=columns, as_of=NOVEMBER, **options
        )

    extract(settings, "r1", limit=50)
    gone(factory)
    data, used = read()
    assert used and len(data.items) > 30
    with pytest.raises(SourceAwayError, match="no whole and good dataset"):
        read(whole=True)
    back(factory)
    extract(settings, "r2")
    gone(factory)
    data, used = read(whole=True)
    assert used.as_of == NOVEMBER.isoformat() and len(data.items) > 30


# Retraining


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A state folder with a model of October's data of a copy of the sample."""
    folder = tmp_path_factory.mktemp("learned")
    shutil.copy(Path(__file__).parents[2] / "sample" / "factory_sample.accdb", folder / "e.accdb")
    settings = Settings.from_env(
        {
            "ROUTING_ML_HOME": str(folder / "home"),
            "ROUTING_ML_SOURCE": str(folder / "e.accdb"),
            "ROUTING_ML_SOURCE_AWAY": "last",
        }
    )
    assert quick(settings, as_of=OCTOBER)["promoted"]
    (folder / "e.accdb").unlink()
    return settings


def quick(settings, **options):
    options = {"as_of": NOVEMBER, "limit": 1_500, "candidates": ["forest"]} | options
    return retrain(settings, **options)


def test_learning_the_same_again_is_kept_and_ages_the_last_success(learned, tmp_path):
    home = shutil.copytree(learned.home, tmp_path / "home", symlinks=True)
    with FakeSlack() as slack:
        env = {"ROUTING_ML_HOME": str(home), "ROUTING_ML_SOURCE_AWAY": "last"}
        env |= {"ROUTING_ML_SOURCE": learned.source(), "SLACK_WEBHOOK_URL": slack.url}
        settings = Settings.from_env(env)
        with closing(Store(settings.store_url)) as store:
            before = store.fact("last_success")
        outcome = quick(settings)
    assert outcome["succeeded"] and outcome["nothing_new"] and not outcome["promoted"]
    kept = f"kept {outcome['model']}: nothing new to learn: the source has been away since"
    assert outcome["reason"].startswith(kept)
    assert outcome["candidates"] == {}
    assert outcome["source_away"] in Path(outcome["report"]).read_text()
    assert [m["text"] for m in slack.messages] == [
        away.TITLE,
        "Routing ML: nothing new to learn, the source is away",
    ]
    with closing(Store(settings.store_url)) as store:
        assert store.snapshot().labelled("runs") == {"success": 2}
        assert store.fact("last_success") == before


def test_another_candidate_learns_from_the_old_data_and_the_run_says_so(learned, tmp_path):
    home = shutil.copytree(learned.home, tmp_path / "home", symlinks=True)
    settings = replace(learned, home=home, store_url=f"sqlite:///{home}/store.db")
    data = extract(settings, "r", limit=1_500)
    assert pipeline.nothing_new(settings, "r", data, ["forest"])
    # the model in use is of another dataset: what it was not compared on yet may teach something
    other = data | {"sha256": "0" * 64}
    assert pipeline.nothing_new(settings, "r", other, ["forest"]) is None
    assert pipeline.nothing_new(settings, "r", data | {"away": None}, ["forest"]) is None
    (home / "models" / "active").unlink()
    outcome = quick(settings)
    assert outcome["promoted"] and not outcome["nothing_new"]
    assert "as of 2026-10-01 02:00" in outcome["source_away"]
    assert outcome["source_away"] in Path(outcome["report"]).read_text()
    assert outcome["data"]["as_of"] == OCTOBER.isoformat()


def test_with_no_dataset_to_use_the_run_fails_with_an_outcome(factory):
    settings = factory(ROUTING_ML_SOURCE_AWAY="last")
    gone(factory)
    with pytest.raises(StepError, match="holds no good dataset of it") as failed:
        quick(settings)
    assert failed.value.outcome["failed"].keys() == {"extract"}
