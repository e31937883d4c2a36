"""The weekly look from the source to people."""

import csv
import json
import os
import stat
import time
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from data_fixtures import AS_OF, SMALL_COLUMNS, small_factory, sqlite_source
from slack_fixtures import FakeSlack

from routing_ml import quality
from routing_ml.errors import InputError, SourceAwayError
from routing_ml.pipeline import looking, monitor
from routing_ml.pipeline import steps as pipeline
from routing_ml.settings import Settings
from routing_ml.store.store import Store

NEXT = AS_OF + timedelta(days=7)


@pytest.fixture
def factory(tmp_path):
    """Settings of a small factory; it has its findings, and `broken` adds an impossible time."""
    tables = small_factory(items=60)
    (tmp_path / "c.toml").write_text(SMALL_COLUMNS)
    path = tmp_path / "erp.sqlite"
    sqlite_source(path, tables)

    def given(**more):
        env = {"ROUTING_ML_HOME": str(tmp_path / "home"), "ROUTING_ML_SOURCE": str(path)}
        return Settings.from_env(env | {"ROUTING_ML_COLUMNS": str(tmp_path / "c.toml")} | more)

    def broken():
        path.unlink()
        table = tables["routings"]
        at = table.index("SETUP_TIME")
        known = [k for k, row in enumerate(table.rows) if (row[0] or "").startswith("IT-00")]
        rows = [
            (*row[:at], -5.0, *row[at + 1 :]) if k in known[:3] else row
            for k, row in enumerate(table.rows)
        ]
        sqlite_source(path, tables | {"routings": table.changed(rows)})

    given.path, given.broken = path, broken
    return given


def look(settings, run="r1", as_of=AS_OF, **end):
    found = looking.look(settings, run, as_of=as_of)
    options = {"source": "default", "found": found, "failed": {}, "cause": "by hand"} | end
    return looking.end_look(settings, run, **options)


def facts(settings):
    with closing(Store(settings.store_url)) as store:
        names = ("quality", "quality_run", "quality_success")
        return [store.fact(name) for name in names]


def test_a_look_leaves_a_page_all_findings_an_outcome_and_a_record(factory):
    settings = factory()
    outcome = look(settings)
    assert outcome["succeeded"] and outcome["since"] is None and outcome["total"] > 0
    folder = settings.home / "quality"
    assert sorted(path.name for path in folder.iterdir()) == ["r1.csv", "r1.html", "r1.json"]
    assert outcome["report"] == str(folder / "r1.html")
    rows = list(csv.DictReader((folder / "r1.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert len(rows) == outcome["total"] == sum(outcome["findings"].values())
    written = json.loads((settings.home / "runs" / "r1" / "outcome.json").read_text())
    assert written == outcome
    found, run, success = facts(settings)
    assert found["findings"] == outcome["findings"]
    assert sum(count for *_, count in found["columns"]) == outcome["total"]
    assert run["succeeded"] and run["at"] == success


def test_the_folder_and_what_is_in_it_are_its_owners_alone(factory):
    settings = factory()
    look(settings)
    folder = settings.home / "quality"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_what_got_worse_is_told_with_the_worst_first(factory):
    settings = factory()
    look(settings)
    factory.broken()
    with FakeSlack() as slack:
        outcome = look(factory(SLACK_WEBHOOK_URL=slack.url), "r2", NEXT)
    assert outcome["worse"][0] == "a time that cannot be, in routings.SETUP_TIME: 3 (before: 0)"
    assert outcome["since"] == AS_OF.isoformat() and outcome["new"] >= 3
    (message,) = slack.messages
    count = len(outcome["worse"])
    things = "1 thing got worse" if count == 1 else f"{count} things got worse"
    assert message["text"] == f"Routing ML, data quality: {things}"
    lines = slack.texts()[0].splitlines()
    assert "routings.SETUP" in lines[0] and "Worst item" in slack.texts()[0]
    assert outcome["worst"][0]["code"] in slack.texts()[0]


def test_where_nothing_got_worse_one_line_is_told_once_a_week(factory):
    settings = factory()
    look(settings)
    with FakeSlack() as slack:
        settings = factory(SLACK_WEBHOOK_URL=slack.url)
        look(settings, "r2", AS_OF + timedelta(hours=1))
        look(settings, "r3", AS_OF + timedelta(hours=2))
    (message,) = slack.messages
    assert message["text"] == "Routing ML, data quality: nothing got worse"
    assert "\n" not in slack.texts()[0]


def test_a_run_that_is_repeated_is_compared_with_what_was_before_it(factory):
    settings = factory()
    look(settings)
    first = look(settings, "r2", NEXT)
    again = look(settings, "r2", NEXT)
    assert again == first and again["since"] == AS_OF.isoformat()


def failing(settings, **options):
    given = {"source": "default", "found": None, "cause": "by hand"}
    given |= {"failed": {"look": "the file is damaged"}}
    return looking.end_look(settings, "bad", **given | options)


def test_a_look_that_failed_leaves_an_outcome_a_record_and_a_notice(factory):
    settings = factory()
    look(settings)
    kept = facts(settings)
    with FakeSlack() as slack:
        settings = factory(SLACK_WEBHOOK_URL=slack.url)
        outcome = failing(settings)
    assert not outcome["succeeded"] and outcome["reason"] == "look: the file is damaged"
    path = settings.home / "runs" / "bad" / "outcome.json"
    assert json.loads(path.read_text()) == outcome
    found, run, success = facts(settings)
    assert (found, success) == (kept[0], kept[2]) and not run["succeeded"]
    assert [m["text"] for m in slack.messages] == ["Routing ML: the look at the data failed"]
    assert "the file is damaged" in slack.texts()[0]


def test_each_end_of_a_look_is_tried_whatever_became_of_the_others(factory, monkeypatch):
    settings = factory()
    look(settings)

    def fails(*given, **options):
        raise ZeroDivisionError("division by zero")

    done = []
    monkeypatch.setattr(looking, "_write", fails)
    monkeypatch.setattr(monitor, "record_quality", lambda *a: (done.append("recorded"), fails()))
    monkeypatch.setattr(looking, "_tell", lambda *a: (done.append("told"), fails()))
    outcome = failing(settings, failed={})
    assert done == ["recorded", "told"]
    assert outcome["failed"]["report"].count("ZeroDivisionError") == 2
    assert not outcome["succeeded"]


def test_a_look_whose_file_was_damaged_meanwhile_fails_by_name(factory):
    settings = factory()
    found = looking.look(settings, "r1", as_of=AS_OF)
    (settings.home / "quality" / "r1.json").write_text("{")
    outcome = looking.end_look(
        settings, "r1", source="default", found=found, failed={}, cause="by hand"
    )
    assert "r1.json is no look at the data" in outcome["failed"]["report"]


def test_the_look_is_written_after_the_page_so_that_none_is_half_there(factory, monkeypatch):
    settings = factory()

    def fails(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(quality, "as_html", fails)
    with pytest.raises(InputError, match="cannot be written: No space left on device"):
        looking.look(settings, "r1", as_of=AS_OF)
    assert not (settings.home / "quality" / "r1.json").exists()


def test_while_the_source_is_away_the_last_dataset_is_looked_at_and_said_to_be_old(factory):
    settings = factory(ROUTING_ML_SOURCE_AWAY="last")
    pipeline.extract(settings, "monthly", as_of=AS_OF)
    factory.path.unlink()
    with FakeSlack() as slack:
        settings = factory(ROUTING_ML_SOURCE_AWAY="last", SLACK_WEBHOOK_URL=slack.url)
        outcome = look(settings, "r1", NEXT)
    assert outcome["as_of"] == AS_OF.isoformat()
    assert "the source has been away since" in outcome["away"]
    page = (settings.home / "quality" / "r1.html").read_text()
    assert "This is old data" in page
    assert "Of old data: the source has been away" in slack.texts()[1]
    with pytest.raises(SourceAwayError):
        looking.look(factory(), "r2", as_of=NEXT)


def test_of_a_source_that_a_command_was_given_the_store_hears_nothing(factory):
    settings = replace(factory(), configured=False)
    assert look(settings)["succeeded"]
    assert facts(settings) == [None, None, None]


def test_looks_of_half_a_year_ago_are_pruned(factory):
    settings = factory()
    look(settings)
    with closing(Store(settings.store_url)) as store:  # by it the clock is believed
        store.record_run("r0", succeeded=True, seconds=1.0)
    folder = settings.home / "quality"
    for name in ("old.json", "old.html"):
        (folder / name).write_text("x")
        at = time.time() - 200 * 86_400
        os.utime(folder / name, (at, at))
    assert pipeline.prune(settings)["looks"] == ["old.html", "old.json"]
    assert sorted(path.name for path in folder.iterdir()) == ["r1.csv", "r1.html", "r1.json"]


def test_an_item_may_be_called_anything(factory):
    outcome = {
        "succeeded": True, "headline": "1 thing got worse", "total": 1, "since": "2026-11-02",
        "new": 1, "mended": 0, "report": "p", "away": None, "worse": ["<@U1> *x*"],
        "worst": [{"code": "<!channel>", "name": "", "count": 1}],
        "as_of": datetime(2026, 11, 9).isoformat(), "run": "r",
    }  # fmt: skip
    with FakeSlack() as slack:
        settings = factory(SLACK_WEBHOOK_URL=slack.url)
        looking._tell(settings, "default", outcome, None)
    assert "<!channel>" not in slack.texts()[0] and "<@U1>" not in slack.texts()[0]
