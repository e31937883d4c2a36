"""Planners judge what was proposed by what they write: a real model of the sample, a real store."""

import shutil
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta

import pandas as pd
import pytest
from conftest import two_folds

from exporter import evidence as exported
from routing_ml.comparison import metrics
from routing_ml.dataset import newest_routings
from routing_ml.judging import Challenger, Challengers
from routing_ml.pipeline import evidence, monitor, proposing
from routing_ml.pipeline import steps as pipeline
from routing_ml.pipeline.retraining import retrain
from routing_ml.proposals import predict
from routing_ml.settings import Settings
from routing_ml.source.columns import Columns
from routing_ml.store import StoreError
from routing_ml.store.store import Store

AUGUST, NOVEMBER = datetime(2026, 8, 1), datetime(2026, 11, 20, 12)
SOON = AUGUST + timedelta(days=9)
COLUMNS = Columns.load(None)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A home whose model knows the sample up to August."""
    home = tmp_path_factory.mktemp("trained")
    settings = Settings.from_env({"ROUTING_ML_HOME": str(home)})
    with two_folds():
        retrain(settings, as_of=AUGUST, limit=4_000, candidates=["forest"])
    return home


@pytest.fixture
def settings(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "home", symlinks=True)
    return Settings.from_env({"ROUTING_ML_HOME": str(tmp_path / "home")})


def propose(settings, as_of=SOON, **about):
    path = settings.home / "proposals" / "p.parquet"
    return proposing.propose_missing(
        settings, source="default", columns=COLUMNS, as_of=as_of, path=path, **about
    )


def judge(settings, as_of=NOVEMBER):
    return evidence.judge(settings, as_of=as_of)


def kept(settings):
    with closing(Store(settings.store_url, write=False)) as store:
        return store.database.rows("SELECT item_cd, model, at FROM shadow_proposals")


def test_what_was_proposed_is_judged_once_the_planner_has_written(settings):
    assert propose(settings)["items"] == len(kept(settings)) > 5
    assert judge(settings, as_of=SOON)["judged"] == 0
    found = judge(settings)
    assert found["judged"] == found["items"] > 5
    (all_of_them,) = found["live"]["model"]
    assert all_of_them["items"] == found["judged"]
    assert 0 <= all_of_them["low"] < all_of_them["exact"] < all_of_them["high"] <= 1
    assert judge(settings)["judged"] == 0  # nothing is counted twice
    with closing(Store(settings.store_url, write=False)) as store:
        live = store.fact("live")
        assert live["model"][0]["items"] == found["judged"]
        assert live["at"] == settings.seconds(NOVEMBER)
        days = store.database.rows("SELECT DISTINCT day FROM judged ORDER BY day")
        kinds = store.database.rows("SELECT DISTINCT kind FROM judged")
    assert days[0][0] > "2026-08-01" and days[-1][0] <= "2026-11-20"
    assert len(kinds) > 2


def test_the_figures_are_those_of_the_comparison(settings):
    path = settings.home / "proposals" / "p.parquet"
    propose(settings)
    judge(settings)
    data = predict.read_source(settings.origin(), COLUMNS, NOVEMBER)
    truth = newest_routings(data.routings)
    proposals = pd.read_parquet(path)
    truth = truth[truth["ITEM_CD"].isin(proposals["ITEM_CD"])]
    expected = metrics.per_item(proposals, truth)
    with closing(Store(settings.store_url, write=False)) as store:
        found = store.database.rows("SELECT item_cd, exact, tp, fp, fn, resource_hits FROM judged")
    names = ["exact", "tp", "fp", "fn", "resource_hits"]
    assert {item: rest for item, *rest in found} == {
        item: [int(row[name]) for name in names] for item, row in expected.to_dict("index").items()
    }


def test_reported_work_judges_the_proposed_times_once(settings):
    propose(settings)
    first = judge(settings)
    assert first["reports"] > 0
    assert judge(settings)["reports"] == 0
    with closing(Store(settings.store_url, write=False)) as store:
        (all_of_it,) = store.fact("live")["work"]
        machines = store.fact("live")["machine"]
    assert 0 < all_of_it["reports"] == sum(one["reports"] for one in machines) <= first["reports"]
    assert 0 < all_of_it["run_error"] < 0.5 and 0.3 < all_of_it["within_band"] <= 1


def test_a_question_about_the_past_is_no_proposal(settings):
    propose(settings, as_of=AUGUST - timedelta(days=30))
    assert kept(settings) == []


def test_proposals_that_people_got_are_counted_apart(settings):
    assert propose(settings, seen="predict")["items"] > 5
    live = judge(settings)["live"]
    # of items that were routed before they were seen by the test's clock, which is now
    assert live["model"] and not live["seen"]
    with closing(Store(settings.store_url)) as store, store.transaction():
        store.database.run("DELETE FROM judged")
        store.database.run("UPDATE shadow_proposals SET judged = 0")
        store.database.run("UPDATE seen_proposals SET at = ?", (settings.seconds(SOON),))
    live = judge(settings)["live"]
    assert live["seen"] and not live["all"] and not live["model"]


def test_the_daily_files_count_as_seen_where_the_settings_say_so(settings):
    def seen():
        with closing(Store(settings.store_url, write=False)) as store:
            return store.database.rows("SELECT item_cd, how FROM seen_proposals")

    propose(settings)
    assert seen() == []
    reading = replace(settings, daily_files_seen=True)
    propose(reading, keep=False)  # of another source, whose codes may be the same
    assert seen() == []
    propose(reading)
    assert len(seen()) == len(kept(settings)) and {how for _, how in seen()} == {"daily file"}


def test_a_proposal_is_made_where_it_cannot_be_kept(settings, monkeypatch, caplog):
    def full(*about):
        raise StoreError("the disk is full")

    monkeypatch.setattr(Store, "keep_proposals", full)
    assert propose(settings)["items"] > 5
    assert "what planners' routings will say of these proposals is lost: the disk is full" in (
        caplog.text
    )


def test_a_challenger_proposes_too_and_one_that_is_gone_stops_nothing(settings, caplog):
    registry = pipeline.registry(settings)
    active = registry.active()
    other = registry.register(
        lambda folder: shutil.copytree(active.folder / "model", folder / "model"),
        key="other",
        facts={"candidate": "boosted", "as_of": active.manifest["as_of"]},
    )
    by_method = {
        "nearest": Challenger("model_20200101_000000", False, None, "2026-08-01"),
        "boosted": Challenger(other.name, False, None, "2026-08-01"),
    }
    with closing(Store(settings.store_url)) as store:
        Challengers(active.name, registry.place(), by_method).save(store)
    propose(settings)
    counts = {model: 0 for _, model, _ in kept(settings)}
    for _, model, _ in kept(settings):
        counts[model] += 1
    assert counts.keys() == {active.name, other.name}
    assert counts[active.name] == counts[other.name] > 5
    assert "model_20200101_000000 may replace the model in use, and cannot propose" in caplog.text
    assert judge(settings)["judged"] == 2 * judge_items(settings)
    with closing(Store(settings.store_url)) as store:
        (standing,) = [
            standing
            for method, standing in Challengers.known(store).standings().items()
            if method == "boosted"
        ]
    assert standing.items > 5 and standing.differing == 0


def judge_items(settings):
    with closing(Store(settings.store_url, write=False)) as store:
        return len(store.database.rows("SELECT DISTINCT item_cd FROM judged"))


def test_nothing_is_judged_without_a_model(home):
    settings = Settings.from_env()
    assert judge(settings) == {
        "judged": 0, "items": 0, "reports": 0, "model": None, "decision": None, "concept": None,
        "away": None,
    }  # fmt: skip


def test_the_same_item_is_kept_once_a_version(settings):
    propose(settings)
    before = kept(settings)
    propose(settings, as_of=SOON + timedelta(days=1))
    assert set(before) <= set(kept(settings))
    assert len({item for item, _, _ in kept(settings)}) == len(kept(settings))
    assert {model for _, model, _ in before} == {pipeline.registry(settings).active().name}


def test_a_column_that_went_empty_is_told_as_a_fault_of_the_data(settings):
    """With a profile of the data as training leaves it, and a source whose newest items lack it."""
    data = predict.read_source(settings.origin(), COLUMNS, NOVEMBER)
    items = data.items.copy()
    last = items["INSRT_DT"] >= items["INSRT_DT"].max() - timedelta(days=30)
    items.loc[last & (items["INSRT_DT"] > SOON), "PART_TYPE"] = None
    day = items.loc[items["ITEM_CD"].isin(data.routings["ITEM_CD"]), "INSRT_DT"].max()
    told = evidence.judge_data(settings, replace(data, items=items), as_of=day.to_pydatetime())
    concept = told["concept"]
    assert concept["alarm"] and concept["cause"] == "data fault"
    assert [place["value"] for place in concept["where"]] == ["PART_TYPE"]
    assert "PART_TYPE" in concept["words"]
    as_it_is = evidence.judge_data(settings, data, as_of=day.to_pydatetime())["concept"]
    assert not as_it_is["alarm"]


def as_dates(data):
    """The same where the source knows the day of a routing alone."""
    dated = data.routings.assign(INSRT_DT=data.routings["INSRT_DT"].dt.normalize())
    return replace(data, routings=dated)


def test_where_the_source_has_dates_alone_a_copy_of_that_day_is_no_evidence(settings):
    propose(settings)
    data = as_dates(predict.read_source(settings.origin(), COLUMNS, NOVEMBER))
    waiting = {item for item, _, _ in kept(settings)}
    mine = data.routings[data.routings["ITEM_CD"].isin(waiting)]
    with closing(Store(settings.store_url)) as store:
        for item, day in mine.groupby("ITEM_CD")["INSRT_DT"].max().items():
            morning = settings.seconds(day.to_pydatetime() + timedelta(hours=9))
            store.record_seen([item], how="explain", at=morning)
    live = evidence.judge_data(settings, data, as_of=NOVEMBER)["live"]
    assert live["seen"] and not live["model"]


def test_a_routing_that_was_there_before_its_proposal_is_no_test(settings):
    propose(settings)
    with closing(Store(settings.store_url)) as store, store.transaction():
        at = settings.seconds(NOVEMBER) - 3600
        store.database.run("UPDATE shadow_proposals SET at = ?", (at,))
    assert judge(settings)["judged"] == 0
    with closing(Store(settings.store_url, write=False)) as store:
        assert not store.to_judge([item for item, _, _ in kept(settings)])  # nor another day
        assert not store.judged_by("all", since="", seen=False)


def test_reports_that_come_late_or_without_a_time_count_once(settings):
    propose(settings)
    data = predict.read_source(settings.origin(), COLUMNS, NOVEMBER, results=True)
    dated = data.results.assign(REPORT_DT=data.results["REPORT_DT"].dt.normalize())
    first, last = (replace(data, results=results) for results in (dated.iloc[::2], dated))
    counts = [
        evidence.judge_data(settings, given, as_of=as_of)["reports"]
        for given, as_of in ((first, NOVEMBER), (last, NOVEMBER), (last, NOVEMBER))
    ]
    assert counts[0] > 0 and counts[1] > 0 and counts[2] == 0


def test_another_source_than_that_of_the_models_is_not_kept(settings):
    propose(settings, keep=False)
    assert kept(settings) == []


def test_a_verdict_of_a_later_day_is_not_overwritten_by_a_run_of_the_past(settings):
    judge(settings)
    with closing(Store(settings.store_url)) as store:
        alarm = store.fact("concept") | {"alarm": True}
        store.set_fact("concept", alarm)
    judge(settings, as_of=SOON)
    with closing(Store(settings.store_url, write=False)) as store:
        assert store.fact("concept") == alarm


def test_a_watch_that_cannot_be_read_begins_anew(settings, caplog):
    propose(settings)
    name = pipeline.registry(settings).active().name
    with closing(Store(settings.store_url)) as store:
        store.save_concept(name, "2026-08-01", {"told": 7})
    assert judge(settings)["judged"] > 5
    assert "the watch over later routings begins anew" in caplog.text
    with closing(Store(settings.store_url, write=False)) as store:
        assert store.concept(name)[0] == "2026-11-20"


def test_an_item_that_the_erp_writes_in_another_case_since_is_judged_all_the_same(settings):
    propose(settings, seen="predict")
    count = len(kept(settings))
    with closing(Store(settings.store_url)) as store, store.transaction():
        for table in ("shadow_proposals", "seen_proposals"):
            store.database.run(f"UPDATE {table} SET item_cd = lower(item_cd)")
        store.database.run("UPDATE seen_proposals SET at = ?", (settings.seconds(SOON),))
    found = judge(settings)
    assert 5 < found["judged"] <= count and found["live"]["seen"]


def test_a_kept_proposal_that_cannot_be_read_stops_no_other(settings, caplog):
    propose(settings)
    data = predict.read_source(settings.origin(), COLUMNS, NOVEMBER)
    routed = set(data.routings["ITEM_CD"])
    waiting = sorted(item for item, _, _ in kept(settings) if item in routed)
    with closing(Store(settings.store_url)) as store, store.transaction():
        for item, text in zip(waiting, ('[["x"]]', '{"a": 1}', "[[10"), strict=False):
            store.database.run(
                "UPDATE shadow_proposals SET operations = ? WHERE item_cd = ?", (text, item)
            )
    assert judge(settings)["judged"] == len(waiting) - 3
    assert (
        f"3 kept proposals cannot be read, and are not judged, as that for item '{waiting[0]}'"
        in (caplog.text)
    )
    assert judge(settings)["judged"] == 0


def test_the_reports_of_a_day_that_is_not_over_are_waited_for(settings):
    propose(settings)
    data = predict.read_source(settings.origin(), COLUMNS, NOVEMBER, results=True)
    today = data.results.assign(REPORT_DT=pd.Timestamp(NOVEMBER) - timedelta(hours=5))
    found = evidence.judge_data(settings, replace(data, results=today), as_of=NOVEMBER)
    assert found["reports"] == 0
    later = NOVEMBER + timedelta(days=1)
    assert evidence.judge_data(settings, replace(data, results=today), as_of=later)["reports"] > 0


def test_what_was_shown_of_a_version_ends_when_another_one_is_in_use(settings):
    judge(settings)
    with closing(Store(settings.store_url)) as store:
        name = store.fact("model")["name"]
        assert monitor.live_status(settings)["concept"]["model"] == name
        entry = {"boosted": Challenger("model_20990101_000000", False, None, "2026-08-01")}
        Challengers(name, "p", entry).save(store)
        assert list(monitor.live_status(settings)["challengers"]) == ["boosted"]
        store.set_fact("model", store.fact("model") | {"name": "model_20990101_000000"})
        assert not monitor.live_status(settings)["challengers"]
        assert list(exported.concept(store.snapshot())) == []
