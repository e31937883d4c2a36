"""Two months of the sample played again are what the daily runs would have made of them."""

import csv
import json
import shutil
import xml.etree.ElementTree as ElementTree
from contextlib import closing
from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from slack_fixtures import FakeSlack

from routing_ml import clock, drift
from routing_ml.dataset.past import Past
from routing_ml.errors import InputError, ModelError, RoutingError, SettingError
from routing_ml.pipeline import evidence, proposing, replay_days
from routing_ml.pipeline.advice import Advice
from routing_ml.pipeline.replay import POLICIES, play
from routing_ml.pipeline.replay_ahead import Ahead
from routing_ml.pipeline.replay_days import Play, Player
from routing_ml.pipeline.replay_plot import draw
from routing_ml.pipeline.replay_report import Report
from routing_ml.pipeline.replay_text import as_text
from routing_ml.pipeline.retraining import StepError, retrain
from routing_ml.proposals import predict
from routing_ml.registry.registry import Registry
from routing_ml.settings import Settings
from routing_ml.source import EVERY_ROW, extract
from routing_ml.source.columns import Columns
from routing_ml.store import StoreError
from routing_ml.store.store import Store

AUGUST = date(2026, 8, 1)
PLAN = Play(AUGUST, 2, "both", candidates=["forest"], limit=4_000)
COLUMNS = Columns.load(None)
DAYS = 4
SEOUL = ZoneInfo("Asia/Seoul")


def settings(home, **env):
    return Settings.from_env({"ROUTING_ML_HOME": str(home)} | env)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A replay, and what it said; its folder is read, never changed."""
    folder, said = tmp_path_factory.mktemp("replay"), []
    with FakeSlack() as slack:
        given = settings(
            folder / "home", SLACK_WEBHOOK_URL=slack.url, ROUTING_ML_DAILY_FILES_SEEN="true"
        )
        found = play(given, PLAN, out=folder / "played", say=said.append)
        assert slack.messages == []
    assert not (folder / "home").exists()
    return settings(folder / "played"), found, said


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    """All of the sample, read once."""
    folder, end = tmp_path_factory.mktemp("past"), datetime(2026, 11, 1)
    origin = settings(folder).origin()
    return Past.load(extract(origin, folder, columns=COLUMNS, as_of=end, limit=EVERY_ROW).path)


@pytest.fixture
def untrained(monkeypatch):
    """Retrainings that put no model into use; returns when they were asked for, and why."""
    asked = []

    def retrained(given, *, as_of, cause, started_by, **about):
        assert clock.utc() == as_of.replace(tzinfo=given.timezone)
        asked.append((as_of, cause, started_by))
        nothing = {"promoted": False, "model": None, "reason": "", "succeeded": True}
        return {"run": "r", "cause": cause, "started_by": started_by} | nothing

    monkeypatch.setattr(replay_days, "retrain", retrained)
    monkeypatch.setattr(replay_days, "processors", lambda: 1)
    return asked


def rows(given, sql, *values):
    with closing(Store(given.store_url, write=False)) as store:
        return store.database.rows(sql, values)


def equal(one, other):
    for name in ("items", "routings", "results"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))
    assert one.dropped == other.dropped


@pytest.mark.parametrize(
    "moment",
    [datetime(2019, 1, 1, 3), datetime(2024, 11, 1, 2), datetime(2026, 8, 16, 17, 32, 1)],
    ids=str,
)
def test_what_was_read_once_is_on_each_day_what_an_extract_as_of_then_gives(past, moment, tmp_path):
    there = predict.read_source(settings(tmp_path).origin(), COLUMNS, moment, results=True)
    equal(past.at(moment), there)
    assert past.at(moment).manifest["as_of"] == there.manifest["as_of"]


def test_what_was_entered_at_the_very_moment_is_there(past, tmp_path):
    moment = past.tables["routings"]["INSRT_DT"].sort_values().iloc[5_000].to_pydatetime()
    there = predict.read_source(settings(tmp_path).origin(), COLUMNS, moment, results=True)
    equal(past.at(moment), there)
    assert (there.routings["INSRT_DT"] == moment).any()


def test_a_day_does_not_change_the_day_after(past):
    before = past.at(datetime(2026, 9, 1))
    earlier = past.at(datetime(2019, 1, 1)).items
    earlier["ITEM_CD"] = "none"
    equal(past.at(datetime(2026, 9, 1)), before)


def test_what_ends_by_a_date_is_read_as_of_each_day(past, tmp_path):
    parts = {**COLUMNS.routings.parts, "_VALID_TO": ("VALID_TO_DT",)}
    kinds = {**COLUMNS.routings.kinds, "_VALID_TO": "date"}
    columns = replace(COLUMNS, routings=replace(COLUMNS.routings, parts=parts, kinds=kinds))
    given, moment = settings(tmp_path), datetime(2020, 5, 1, 3)
    player = Player(given, PLAN, columns, replace(past, tables={}), Report(given, "r"))
    there = predict.read_source(given.origin(), columns, moment, results=True)
    equal(player._data(moment), there)


def test_a_replay_leaves_what_the_daily_runs_would_have(played, tmp_path):
    mine, theirs = played[0], settings(tmp_path / "home")
    with clock.at(datetime(2026, 8, 1, 2, tzinfo=SEOUL)):
        retrain(theirs, as_of=datetime(2026, 8, 1, 2), limit=4_000, candidates=["forest"])
    for day in range(DAYS):
        at = datetime(2026, 8, 1 + day, 3)
        with clock.at(at.replace(tzinfo=SEOUL)):
            proposing.propose_missing(
                theirs, source="default", columns=COLUMNS, as_of=at, path=tmp_path / "p.parquet"
            )
            evidence.judge(theirs, as_of=at)
        with clock.at(at.replace(hour=4, minute=10, tzinfo=SEOUL)):
            drift.look(theirs, moment=at.replace(hour=4, minute=10))
    until = mine.seconds(datetime(2026, 8, DAYS, 12))
    for sql in (
        "SELECT at, item_cd, model, score, confidence FROM predictions WHERE at < ? ORDER BY id",
        "SELECT item_cd, model, at, operations FROM shadow_proposals WHERE at < ? ORDER BY 1, 2",
        "SELECT item_cd, model, day, family, exact, tp FROM judged WHERE judged_at < ? ORDER BY 1",
        "SELECT day, model, at, detected, kl, scores FROM drift_verdicts WHERE at < ? ORDER BY 1",
    ):
        found = rows(mine, sql, until)
        assert found and found == rows(theirs, sql, until)
    mine_first, theirs_first = (Registry(s.home / "models").history()[0] for s in (mine, theirs))
    assert [mine_first[k] for k in ("at", "to")] == [theirs_first[k] for k in ("at", "to")]


def test_every_month_has_its_figures_and_they_add_up(played):
    given, found, said = played
    assert [month["month"] for month in found["months"]] == ["2026-08", "2026-09"]
    assert [month["days"] for month in found["months"]] == [31, 30]
    for month in found["months"]:
        name = month["month"]
        sql = "SELECT count(*), avg(exact) FROM judged WHERE in_use = 1 AND substr(day, 1, 7) = ?"
        assert rows(given, sql, name) == [(month["items"], pytest.approx(month["exact"]))]
        assert month["items"] > 5 and month["low"] < month["exact"] < month["high"]
        assert 0 < month["confidence"] <= 1
        assert month["method"] == "forest" and month["model"] in json.dumps(month["retrainings"])
        (retraining,) = month["retrainings"]
        assert retraining["day"] == f"{name}-01" and retraining["started_by"] == "schedule"
    total = found["total"]
    assert total["items"] == sum(month["items"] for month in found["months"])
    months = found["months"]
    assert total["exact"] == pytest.approx(
        sum(m["exact"] * m["items"] for m in months) / total["items"]
    )
    assert total["high"] - total["low"] < min(month["high"] - month["low"] for month in months)
    assert len(total["retrainings"]) == 2
    assert [line[:7] for line in said] == ["2026-08", "2026-09"]


def test_the_replay_is_a_state_folder_of_its_time(played):
    given = played[0]
    names = [version.name for version in Registry(given.home / "models").versions()]
    assert names == ["model_20260731_170000", "model_20260831_170000"]
    ended = [at for (at,) in rows(given, "SELECT ended_at FROM runs ORDER BY 1")]
    moments = [datetime(2026, 8, 1, 2), datetime(2026, 9, 1, 2)]
    assert ended == [given.seconds(moment) for moment in moments]
    stamps = sorted(run.stat().st_mtime for run in (given.home / "runs").iterdir())
    assert stamps == ended
    assert sorted(path.name for path in (given.home / "datasets").glob("*.json")) == [
        "training_dataset_202608.json",
        "training_dataset_202609.json",
    ]


def test_the_files_say_what_was_returned(played):
    given, found, _ = played
    assert json.loads((given.home / "replay.json").read_text()) == found
    assert found["whole"] and found["until"] == "2026-10-01"
    with (given.home / "replay.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["month"] for row in table] == ["2026-08", "2026-09"]
    assert [int(row["items"]) for row in table] == [m["items"] for m in found["months"]]
    text = as_text(found)
    assert text.splitlines()[0].split()[:3] == ["month", "judged", "exact"]
    assert text.splitlines()[3].startswith("total ")
    page = (given.home / "replay.html").read_text()
    assert "<script" not in page and page.count("http") == page.count("www.w3.org/2000/svg") + 1
    assert f"<bdi>{found['total']['items']}</bdi>" in page


def test_the_plot_is_whole_xml_with_a_point_a_month_and_its_words_are_escaped(played):
    months = [dict(month) for month in played[1]["months"]]
    months[0]["alarms"] = [{"day": "2026-09-03", "kind": "items", "words": "<b> & more"}]
    root = ElementTree.fromstring(draw({"a & b": months, "c": months}))  # noqa: S314 - ours
    found = {one.get("class") for one in root.iter()}
    assert {"line", "stated", "band", "new", "alarm"} <= found
    dots = [one for one in root.iter() if one.get("class") == "dot"]
    assert len(dots) == 4
    assert "2026-09-03: <b> & more" in {one.text for one in root.iter()}
    assert "prefers-color-scheme: dark" in draw({"none": []})


@pytest.mark.parametrize(
    ("policy", "times"), [("monthly", 3), ("both", 3), ("drift", 1), ("never", 1)]
)
def test_the_calendar_retrains_as_the_policy_says(untrained, tmp_path, policy, times):
    plan = replace(PLAN, months=3, first=date(2025, 12, 1), policy=policy)
    found = play(settings(tmp_path / "home"), plan, out=tmp_path / "out")
    firsts = [datetime(2025, 12, 1, 2), datetime(2026, 1, 1, 2), datetime(2026, 2, 1, 2)]
    assert untrained == [(at, "on schedule", "schedule") for at in firsts[:times]]
    assert len(found["total"]["retrainings"]) == times
    assert found["total"]["exact"] is None and found["until"] == "2026-03-01"


@pytest.mark.parametrize(
    ("policy", "count", "ahead"),
    [("monthly", 2, 3), ("both", 2, 3), ("drift", 2, 0), ("never", 2, 0), ("monthly", 1, 0)],
)
def test_months_are_fitted_ahead_where_they_are_known_and_processors_there(
    untrained, tmp_path, monkeypatch, policy, count, ahead
):
    brought = []

    class Fake(Ahead):
        def go_on(self, *, patience=0):
            pass

        def bring(self, moment):
            brought.append(moment)
            return True

    monkeypatch.setattr(replay_days, "processors", lambda: count)
    monkeypatch.setattr(replay_days, "Ahead", Fake)
    play(settings(tmp_path / "home"), replace(PLAN, policy=policy, months=3), out=tmp_path / "out")
    assert brought == [datetime(2026, 8 + k, 1, 2) for k in range(ahead)]


@pytest.mark.parametrize("policy", POLICIES)
def test_drift_retrains_where_the_policy_says_and_once_a_day(
    untrained, tmp_path, monkeypatch, policy
):
    given = settings(tmp_path)
    status = dict.fromkeys(("kl_divergence", "p_value", "buffer_mean"), 0.0)
    status |= {"drift_detected": True, "drift_days": 5, "severity": "normal", "buffer_size": 9}
    monkeypatch.setattr(drift, "obstacle", lambda given: None)
    monkeypatch.setattr(drift, "look", lambda given, moment: status)
    advised = lambda given, status, **about: Advice(True, "it moved")  # noqa: E731
    monkeypatch.setattr(replay_days, "advise", advised)
    player = Player(given, replace(PLAN, policy=policy), COLUMNS, None, Report(given, "r"))
    for may_retrain in (True, False):
        with player._at(AUGUST, replay_days.WATCHING) as moment:
            player._watch(AUGUST, moment, may_retrain=may_retrain)
    expected = [(moment, "by drift: it moved", "drift")] if policy in ("both", "drift") else []
    assert untrained == expected


def test_judged_items_may_replace_the_model(played, past, tmp_path, monkeypatch):
    shutil.copytree(played[0].home, tmp_path / "home", symlinks=True)
    given, seen = settings(tmp_path / "home"), []
    judged = {"decision": {"winner": "w"}, "concept": {"alarm": True, "words": "otherwise"}}
    monkeypatch.setattr(replay_days, "judge_data", lambda given, data, as_of: judged)

    def replaced(given, run_id, decision):
        seen.append((run_id, decision, clock.utc().hour))
        return {"model": "w", "reason": "better"}

    monkeypatch.setattr(replay_days, "replace_model", replaced)
    report, day = Report(given, "r"), date(2026, 10, 2)
    Player(given, replace(PLAN, policy="never"), COLUMNS, past, report).play_day(day)
    assert seen == [("replay__2026-10-02T030000", {"winner": "w"}, 18)]
    (month,) = report.write(until=day, seconds=0.0, whole=True)["months"]
    assert month["replaced"] == [{"day": "2026-10-02", "model": "w", "reason": "better"}]
    alarm = {"day": "2026-10-02", "kind": "routings", "words": "otherwise"}
    assert [one for one in month["alarms"] if one["kind"] == "routings"] == [alarm]


def test_an_alarm_that_lasts_is_one_and_one_that_comes_back_another(tmp_path):
    report, words = Report(settings(tmp_path), "r"), "it moved"
    for day in (30, 31, 32, 34):
        at = date(2026, 9, 1) + timedelta(days=day - 1)
        report.alarm(at, "items", on=True, words=words)
        report.alarm(at, "routings", on=day == 31, words=words)
    report.alarm(date(2026, 10, 3), "items", on=False, words=words)
    months = report.write(until=date(2026, 10, 5), seconds=0.0, whole=True)["months"]
    days = [[(one["day"], one["kind"]) for one in month["alarms"]] for month in months]
    assert days == [
        [("2026-09-30", "items")],
        [("2026-10-01", "routings"), ("2026-10-04", "items")],
    ]


def test_ctrl_c_leaves_what_was_played_and_says_so(untrained, tmp_path, monkeypatch):
    whole, said = Player.play_day, []

    def interrupted(self, day):
        if day == date(2026, 9, 3):
            raise KeyboardInterrupt
        whole(self, day)

    monkeypatch.setattr(Player, "play_day", interrupted)
    with pytest.raises(KeyboardInterrupt):
        play(settings(tmp_path), PLAN, out=tmp_path / "out", say=said.append)
    found = json.loads((tmp_path / "out" / "replay.json").read_text())
    assert not found["whole"] and found["until"] == "2026-09-03"
    assert len(found["total"]["retrainings"]) == 2
    out = (tmp_path / "out").resolve()
    assert said[-1] == f"interrupted: what was played until 2026-09-03 stays in {out}"


@pytest.mark.parametrize("ended_on", [date(2026, 9, 3), PLAN.first])
def test_an_error_leaves_what_was_played_or_no_folder_in_the_way(
    ended_on, untrained, tmp_path, monkeypatch
):
    whole, said, out = Player.play_day, [], (tmp_path / "out").resolve()

    def full(self, day):
        if day == ended_on:
            raise StoreError("the disk is full")
        whole(self, day)

    monkeypatch.setattr(Player, "play_day", full)
    with pytest.raises(StoreError, match="the disk is full"):
        play(settings(tmp_path), PLAN, out=out, say=said.append)
    assert out.exists() == (ended_on > PLAN.first)
    if ended_on > PLAN.first:
        found = json.loads((out / "replay.json").read_text())
        assert not found["whole"] and found["until"] == ended_on.isoformat()
        assert said[-1] == f"ended: what was played until {ended_on} stays in {out}"


def test_each_month_that_has_ended_is_written_down(untrained, tmp_path, monkeypatch):
    whole, found = Player.play_day, {}

    def watched(self, day):
        path = tmp_path / "out" / "replay.json"
        found[day] = json.loads(path.read_text())["until"] if path.exists() else None
        whole(self, day)

    monkeypatch.setattr(Player, "play_day", watched)
    play(settings(tmp_path), PLAN, out=tmp_path / "out")
    first = [day for day in found if day.month == PLAN.first.month]
    assert {found[day] for day in first} == {None}
    assert found[first[-1] + timedelta(days=1)] == (first[-1] + timedelta(days=1)).isoformat()


def test_a_retraining_that_fails_is_told_and_the_days_go_on(untrained, tmp_path, monkeypatch):
    good = replay_days.retrain

    def failing(given, **about):
        outcome = good(given, **about) | {"succeeded": False, "reason": "audit: too bad"}
        raise StepError("audit: too bad", outcome | {"model": "model_of_before"})

    monkeypatch.setattr(replay_days, "retrain", failing)
    found = play(settings(tmp_path), PLAN, out=tmp_path / "out")
    assert [one["succeeded"] for one in found["total"]["retrainings"]] == [False, False]


@pytest.mark.parametrize(
    ("about", "kind", "said"),
    [
        ({"months": 0}, SettingError, "months is 0: at least 1"),
        ({"months": 99_999}, SettingError, "99999 months from 2026-08 end after the year 9999"),
        ({"policy": "weekly"}, SettingError, "policy 'weekly' is none of both, monthly"),
        ({"first": date(2999, 1, 1)}, SettingError, "end on 2999-03-01, which is ahead of"),
        ({"first": date(2018, 1, 1)}, InputError, "the first item was entered after 2018-03-01"),
        ({"first": date(2018, 8, 1), "months": 99}, InputError, "item was entered on 2018-"),
        ({"first": date(2018, 12, 1)}, InputError, "nothing can be learned as of 2018-12-01"),
    ],
    ids=["no months", "no such year", "no policy", "ahead", "before", "first", "too few"],
)
def test_what_cannot_be_played_is_one_line(tmp_path, about, kind, said):
    with pytest.raises(kind) as caught:
        play(settings(tmp_path), replace(PLAN, **about), out=tmp_path / "out")
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()  # nothing is in the way of the next try


def test_a_folder_that_holds_something_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "note").write_text("mine")
    with pytest.raises(RoutingError, match="is not empty: name another folder with --out"):
        play(settings(tmp_path / "home"), PLAN, out=tmp_path)
    with pytest.raises(RoutingError, match="is not empty"):
        play(settings(tmp_path / "home"), PLAN, out=tmp_path / "note")
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


@pytest.mark.parametrize("role", ["items", "routings"])
def test_a_source_without_entry_dates_cannot_be_played(tmp_path, role):
    table = getattr(COLUMNS, role)
    parts = {name: column for name, column in table.parts.items() if name != "INSRT_DT"}
    columns = replace(COLUMNS, **{role: replace(table, parts=parts)})
    end = datetime(2026, 11, 1)
    read = extract(settings(tmp_path).origin(), tmp_path, columns=columns, as_of=end, limit=500)
    with pytest.raises(InputError, match=f"no row of the {role} says when it was entered"):
        Past.load(read.path)


def test_a_model_is_loaded_once_until_one_of_its_files_is_another(played, tmp_path):
    shutil.copytree(played[0].home / "models", tmp_path / "models", symlinks=True)
    version = Registry(tmp_path / "models").active()
    assert predict.loaded(version) is predict.loaded(Registry(tmp_path / "models").active())
    (version.folder / "model" / "more").write_text("more")
    with pytest.raises(ModelError, match="model/more is not in its manifest"):
        predict.loaded(version)
