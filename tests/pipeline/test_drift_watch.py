"""What is done about drift, with a real model of the sample and a real store."""

import shutil
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from conftest import two_folds
from slack_fixtures import FakeSlack

from routing_ml import notices
from routing_ml.drift import watch
from routing_ml.drift.baseline import BASELINE_FILE
from routing_ml.errors import ModelError
from routing_ml.pipeline import advice as advising
from routing_ml.pipeline import proposing
from routing_ml.pipeline import steps as pipeline
from routing_ml.pipeline.advice import advise
from routing_ml.pipeline.retraining import retrain
from routing_ml.proposals import predict
from routing_ml.settings import Settings
from routing_ml.source.columns import Columns
from routing_ml.store.store import Store

AUGUST, NOON = datetime(2026, 8, 1), datetime(2026, 11, 20, 12)


def settings_of(home, **env):
    return Settings.from_env({"ROUTING_ML_HOME": str(home)} | env)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A home whose model knows the sample up to August."""
    home = tmp_path_factory.mktemp("trained")
    with two_folds():
        retrain(settings_of(home), as_of=AUGUST, limit=4_000, candidates=["forest"])
    return home


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request, trained, tmp_path):
    """A copy of that home, with a store of either kind; PostgreSQL's begins empty."""
    shutil.copytree(trained, tmp_path / "home", symlinks=True)
    if request.param == "sqlite":
        return settings_of(tmp_path / "home")
    url = request.getfixturevalue("postgresql").fresh("watch")
    return settings_of(tmp_path / "home", ROUTING_ML_STORE_URL=url)


def record(settings, mean, count=300, seed=1):
    """Predictions of items whose similarity is about `mean`."""
    scores = np.random.default_rng(seed).normal(mean, 0.02, count).clip(0, 1).tolist()
    model = pipeline.registry(settings).active().name
    with closing(Store(settings.store_url)) as store:
        names = [f"{seed}-{k}" for k in range(count)]
        store.record_predictions(names, scores, scores, model=model, seconds=1)


def propose(settings):
    """The sample's items without a routing are proposed one."""
    return proposing.propose_missing(
        settings,
        source="default",
        columns=Columns.load(None),
        as_of=NOON,
        path=settings.home / "proposals" / "p.parquet",
    )


def copied(registry, version):
    """Another version, with the same model and baseline."""

    def write(folder):
        for path in (version.folder / "model", version.folder / "twin"):
            shutil.copytree(path, folder / path.name)
        shutil.copy(version.folder / BASELINE_FILE, folder)

    return registry.register(write, key="other", facts={"as_of": "2026-08-02T00:00:00"})


def learned_until(settings, moment):
    """As if the last retraining had read the source at that moment."""
    with closing(Store(settings.store_url)) as store:
        store.record_run("later", succeeded=True, seconds=1, as_of=moment.isoformat())


def test_what_a_retraining_read_counts_as_learned(trained):
    with closing(Store(settings_of(trained).store_url)) as store:
        assert store.fact("last_success")["as_of"] == AUGUST.isoformat()


def test_what_is_proposed_for_the_sample_is_watched_and_no_drift(settings):
    found = propose(settings)
    status = watch.look(settings, moment=NOON)
    assert status["model"] == found["model"]
    assert status["scores_seen"] == found["items"] > 0
    assert not status["drift_detected"] and not status["should_retrain"]
    assert status["advised_since"] is None
    assert not advise(settings, status, moment=NOON, by="run").retrain


def test_items_are_recorded_in_the_order_of_their_entry(settings):
    """By code, all of a rare kind would come at once, which would look like drift."""
    found = propose(settings)
    data = predict.read_source(settings.source(), Columns.load(None), NOON)
    dates = data.items.set_index("ITEM_CD")["INSRT_DT"]
    with closing(Store(settings.store_url)) as store:
        rows = store.predictions_after(0, model=found["model"])
    entered = dates.loc[[item for _, item, _, _ in rows]]
    assert entered.is_monotonic_increasing and len(entered) == found["items"]
    assert not entered.index.is_monotonic_increasing


def test_what_is_known_of_one_model_is_not_shown_of_the_next(settings):
    record(settings, 0.2)
    status = watch.look(settings, moment=NOON)
    assert status["should_retrain"]
    with closing(Store(settings.store_url)) as store:
        store.record_model("model_20250101_000000", created_at=0.0, metrics={})
        assert not store.drift_status()["drift_detected"]
        watch.look(settings, moment=NOON)
        store.record_model(status["model"], created_at=1.0, metrics={})
        assert store.drift_status()["drift_detected"]
    other = dict(status) | {"model": "model_20200101_000000"}
    advice = advise(settings, other, moment=NOON, by="run")
    assert not advice.retrain and "is in use by now" in advice.reason


def test_a_retraining_is_advised_once_a_day_with_its_reason(settings):
    record(settings, 0.2)
    status = watch.look(settings, moment=NOON)
    assert status["should_retrain"] and status["severity"] == "severe"
    advice = advise(settings, status, moment=NOON, by="run 1")
    assert advice.retrain
    assert "KL divergence" in advice.reason and "(severe)" in advice.reason
    assert "items were routed since 2026-08-01 00:00" in advice.reason
    again = advise(settings, status, moment=NOON + timedelta(hours=1), by="run 2")
    assert (again.retrain, again.reason) == (False, "today's decision was made already, by run 1")
    assert advise(settings, status, moment=NOON, by="run 1") == advice
    assert advise(settings, status, moment=NOON + timedelta(days=1), by="run 3").retrain


def test_with_too_little_to_learn_from_people_are_told_once_while_it_lasts(settings):
    learned_until(settings, NOON - timedelta(days=1))
    record(settings, 0.2)
    with FakeSlack() as slack:
        settings = replace(settings, slack_webhook_url=slack.url)
        for day in range(3):
            moment = NOON + timedelta(days=day)
            advice = advise(settings, watch.look(settings, moment=moment), moment=moment, by="run")
            assert not advice.retrain
        assert len(slack.messages) == 1
        assert "0 items were routed since 2026-11-19 12:00, 50 are needed" in slack.texts()[0]
        record(settings, 0.97, count=1000, seed=2)
        moment = NOON + timedelta(days=12)
        assert not watch.look(settings, moment=moment)["should_retrain"]
        record(settings, 0.2, count=1000, seed=3)
        advise(settings, watch.look(settings, moment=moment), moment=moment, by="run")
        assert len(slack.messages) == 2


def test_drift_that_calls_for_a_retraining_is_told_once_with_its_cause(settings):
    record(settings, 0.2)
    status = watch.look(settings, moment=NOON)
    with FakeSlack() as slack:
        settings = replace(settings, slack_webhook_url=slack.url)
        for day in range(2):
            moment = NOON + timedelta(days=day)
            advice = advise(settings, status, moment=moment, by=f"run {day}", link="http://x/run")
            assert advice.retrain
    (message,) = slack.messages
    assert message["text"] == "Routing ML: drift, and a retraining begins"
    assert "new items are not what the past ones were: drift on 1 of 7 days" in slack.texts()[0]
    fields = [field["text"] for field in message["blocks"][2]["fields"]]
    assert fields[0].startswith("*Mean similarity of new items*\n0.198 (")
    assert fields[0].endswith(" when it was learned)")
    assert slack.links() == ["<http://x/run|Open the run>"]


def test_a_retraining_begins_though_nobody_can_be_told_of_the_drift(settings, caplog):
    record(settings, 0.2)
    status = watch.look(settings, moment=NOON)
    with FakeSlack(404) as slack:
        settings = replace(settings, slack_webhook_url=slack.url)
        assert advise(settings, status, moment=NOON, by="run 1").retrain
        assert "nobody could be told of drift yet: Slack refused" in caplog.text
        notices.catch_up(settings)
    assert len(slack.messages) == 1


def test_a_decision_that_could_not_be_told_is_made_again(settings):
    learned_until(settings, NOON)
    record(settings, 0.2)
    status = watch.look(settings, moment=NOON)
    with FakeSlack(404) as slack:
        settings = replace(settings, slack_webhook_url=slack.url)
        with pytest.raises(Exception, match="Slack refused"):
            advise(settings, status, moment=NOON, by="run 1")
        advise(settings, status, moment=NOON + timedelta(hours=1), by="run 2")
        assert len(slack.messages) == 1


def test_a_decision_is_one_runs_even_where_two_make_it_at_once(settings, monkeypatch):
    record(settings, 0.2)
    status = watch.look(settings, moment=NOON)

    def meanwhile(*given):
        monkeypatch.setattr(advising, "_routed_since", lambda *given: 70)
        assert advise(settings, status, moment=NOON, by="run 2").retrain
        return 70

    monkeypatch.setattr(advising, "_routed_since", meanwhile)
    assert not advise(settings, status, moment=NOON, by="run 1").retrain


def test_the_model_that_is_evaluated_is_the_one_in_use_when_it_is(settings, monkeypatch):
    """A look that began before a promotion must not come after one at the new model."""
    registry = pipeline.registry(settings)
    first = registry.active()
    other = copied(registry, first)
    transaction = Store.transaction

    def switching(store):
        if registry.active().name != other.name:
            registry.promote(other.name, who="test", why="test")
        return transaction(store)

    with closing(Store(settings.store_url)):
        pass
    monkeypatch.setattr(Store, "transaction", switching)
    assert watch.look(settings, moment=NOON)["model"] == other.name


def test_five_days_of_mild_drift_in_seven_advise_a_retraining(settings):
    active = pipeline.registry(settings).active()
    usual = np.load(active.folder / "validation_scores.npy")
    scores = np.random.default_rng(4).choice(usual, 300)
    scores[::5] = 0.5
    with closing(Store(settings.store_url)) as store:
        names = [f"I{k}" for k in range(300)]
        store.record_predictions(names, scores.tolist(), scores, model=active.name, seconds=1)
    for day in range(5):
        status = watch.look(settings, moment=NOON + timedelta(days=day))
        assert status["drift_detected"]
        assert 0.1 < status["kl_divergence"] < 1.0
        assert (status["drift_days"], status["should_retrain"]) == (day + 1, day == 4)
    assert status["advised_since"] == "2026-11-24"


def test_another_model_begins_with_an_empty_window_and_no_drift_days(settings):
    record(settings, 0.2)
    assert watch.look(settings, moment=NOON)["drift_days"] == 1
    registry = pipeline.registry(settings)
    other = copied(registry, registry.active())
    registry.promote(other.name, who="test", why="test")
    status = watch.look(settings, moment=NOON + timedelta(days=1))
    assert (status["buffer_size"], status["drift_days"]) == (0, 0)
    assert not status["should_retrain"]


def test_without_a_model_or_a_baseline_there_is_nothing_to_watch(tmp_path, settings):
    empty = settings_of(tmp_path / "empty")
    assert "no model is in use yet" in watch.obstacle(empty)
    with pytest.raises(ModelError, match="no model is in use yet"):
        watch.look(empty, moment=NOON)
    assert watch.obstacle(settings) is None
    (pipeline.registry(settings).active().folder / BASELINE_FILE).unlink()
    assert "has no drift baseline" in watch.obstacle(settings)


def changed(settings, cause, *, alarm=True, model=None):
    """A verdict on the routings that planners wrote later, as the daily judgement leaves it."""
    told = {
        "cause": cause, "words": "WASH is missing in 15 of 20 proposals.", "since": "2026-11-03",
        "where": [{"what": "column", "value": "SIZE", "figures": ""}], "alarm": alarm,
        "model": model or pipeline.registry(settings).active().name,
    }  # fmt: skip
    with closing(Store(settings.store_url)) as store:
        store.set_fact("concept", told)


def test_other_routings_of_the_same_items_ask_for_a_retraining_too(settings):
    status = watch.look(settings, moment=NOON)
    assert not status["should_retrain"]
    changed(settings, "same items, other routings", alarm=False)
    assert not advise(settings, status, moment=NOON, by="run 1").retrain
    changed(settings, "same items, other routings", model="model_20200101_000000")
    assert not advise(settings, status, moment=NOON, by="run 1").retrain
    changed(settings, "same items, other routings")
    advice = advise(settings, status, moment=NOON, by="run 1")
    assert advice.retrain
    assert advice.reason.startswith("WASH is missing in 15 of 20 proposals; ")
    assert not advise(settings, status, moment=NOON, by="run 2").retrain  # once a day


def test_nothing_is_learned_from_data_that_are_at_fault(settings):
    with FakeSlack() as slack:
        given = replace(settings, slack_webhook_url=slack.url)
        record(settings, 0.2)
        status = watch.look(settings, moment=NOON)
        assert status["should_retrain"]
        changed(settings, "data fault")
        for _ in range(2):
            advice = advise(given, status, moment=NOON, by="run 1")
            assert not advice.retrain and advice.reason.startswith("the data are at fault: WASH")
        assert len(slack.messages) == 1
        assert "Nothing is learned from that by itself" in slack.texts()[0]
