"""What is fitted ahead of its time is what is fitted in its turn."""

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from conftest import SAMPLE

from routing_ml import clock
from routing_ml.pipeline import steps, training
from routing_ml.pipeline.replay_ahead import Ahead, run_of
from routing_ml.pipeline.workers import Workers
from routing_ml.settings import Settings

MOMENTS = [datetime(2026, month, 1, 2) for month in (8, 9, 10)]
PLAN = {"limit": 600, "candidates": ["nearest", "forest"], "processes": 2}


@pytest.fixture
def settings(tmp_path):
    env = {"ROUTING_ML_HOME": str(tmp_path / "home"), "ROUTING_ML_SOURCE": str(SAMPLE)}
    return Settings.from_env(env)


def at(moment):
    return clock.at(moment.replace(tzinfo=ZoneInfo("Asia/Seoul")))


def trained(settings, moment):
    data = steps.extract(settings, run_of(moment), as_of=moment, limit=PLAN["limit"])
    return [steps.train(settings, run_of(moment), data, one) for one in PLAN["candidates"]]


def facts(settings):
    return [
        {name: fact for name, fact in one.manifest.items() if name not in ("seconds", "digest")}
        for one in steps.registry(settings).versions()
    ]


def test_what_is_brought_is_what_a_retraining_makes_and_finds(settings, tmp_path, monkeypatch):
    registry = steps.registry(settings)
    with Ahead(settings, MOMENTS[:2], **PLAN) as ahead:
        for moment in MOMENTS[:2]:
            with at(moment):
                assert ahead.bring(moment)
                if not registry.active():
                    first = registry.versions()[0].name
                    registry.promote(first, who="p", why="w", instead_of=None)
    own = replace(settings, home=tmp_path / "own")
    with at(MOMENTS[0]):
        trained(own, MOMENTS[0])
        steps.registry(own).promote(first, who="p", why="w", instead_of=None)
    with at(MOMENTS[1]):
        trained(own, MOMENTS[1])
        assert len(facts(own)) == 4 and facts(settings) == facts(own)
        monkeypatch.delattr(training, "fit_and_register")
        assert len(trained(settings, MOMENTS[1])) == 2


def test_each_process_is_so_many_months_ahead_and_no_more(settings, monkeypatch):
    given = []

    def at_once(self, name, function, *given_, at):
        assert at == given_[2].replace(tzinfo=ZoneInfo("Asia/Seoul"))
        given.append(name)

    monkeypatch.setattr(Workers, "give", at_once)
    monkeypatch.setattr(Workers, "ended", lambda self, patience: [(name, None) for name in given])
    months = [datetime(2026, month, 1, 2) for month in range(1, 11)]
    with Ahead(settings, months, **PLAN) as ahead:
        assert not ahead.bring(datetime(2026, 1, 15, 4))  # nothing was asked for that
        assert len(given) == 4
        assert ahead.bring(months[0]) and len(given) == 5


def test_what_a_killed_process_has_not_fitted_is_left_to_its_turn(settings, monkeypatch):
    def killed(self, *given, **at):
        give(self, *given, **at)
        for _, process in self._busy.values():
            process.kill()

    give = Workers.give
    monkeypatch.setattr(Workers, "give", killed)
    with Ahead(settings, MOMENTS[:1], **PLAN) as ahead, at(MOMENTS[0]):
        assert ahead.bring(MOMENTS[0])
    assert steps.registry(settings).versions() == []
