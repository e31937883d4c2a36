"""E-detectors: what their sums promise, and that a change is told as soon after any quiet while."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing_ml.drift.evidence import CAP, THRESHOLD, Streams

BETS = np.array([0.2, 0.5, 0.8])


def streams(places: int = 1, share: float = 1.0) -> Streams:
    known = {"all": [f"P{k}" for k in range(places)]}
    return Streams(len(BETS), {"all": share}, known)


def logs(wrong: np.ndarray, allowed: float = 0.2) -> np.ndarray:
    return np.log1p(np.outer(wrong / allowed - 1, BETS))


def test_a_false_alarm_is_promised_in_one_year_of_twenty() -> None:
    assert THRESHOLD == 365 / 0.05


def test_without_a_change_the_sum_reaches_a_threshold_as_seldom_as_promised() -> None:
    """A threshold of 20 times the days: 1 life in 20 at most."""
    random, days, reached = np.random.default_rng(1), 40, 0
    for _ in range(400):
        one, top = streams(), 0.0
        for day in range(days):
            wrong = (random.random(5) < 0.2).astype(float)
            one.step(day, [("all", "P0")] * 5, logs(wrong))
            top = max(top, one.total)
        reached += top >= 20 * days
    assert 0 < reached <= 400 / 20


def test_the_mean_sum_of_fair_bets_is_the_number_of_days() -> None:
    """With a small bet, whose sum varies little."""
    random, ends = np.random.default_rng(2), []
    for _ in range(500):
        one = Streams(1, {"all": 1.0}, {"all": ["P0"]})
        for day in range(30):
            wrong = (random.random(3) < 0.2).astype(float)
            one.step(day, [("all", "P0")] * 3, np.log1p(0.05 * (wrong / 0.2 - 1))[:, None])
        ends.append(one.total)
    assert np.mean(ends) == pytest.approx(30, rel=0.06)


def test_a_change_is_told_as_soon_after_years_as_after_days() -> None:
    found = []
    for quiet in (2, 1000):
        one = streams()
        for day in range(quiet):
            one.step(day, [("all", "P0")], logs(np.array([float(day % 5 == 0)])))
        for day in range(quiet, quiet + 60):
            one.step(day, [("all", "P0")], logs(np.ones(1)))
            if one.total >= THRESHOLD:
                break
        found.append(day - quiet)
    assert found[1] <= found[0] + 1 and found[0] < 12


def test_the_place_and_the_day_are_those_of_the_stream_that_rose() -> None:
    one = streams(places=3)
    assert one.best() is None
    for day in range(20):
        wrong = float(day >= 12)
        keys = [("all", "P0"), ("all", "P1"), ("all", "P2")]
        one.step(100 + day, keys, logs(np.array([0.0, wrong, 0.0])))
    best = one.best()
    assert best is not None and best[1:] == (("all", "P1"), 112)


def test_units_of_one_day_are_multiplied_and_begin_one_sum() -> None:
    one = streams()
    one.step(1, [("all", "P0")] * 3, logs(np.ones(3)))
    assert one.total == pytest.approx(((1 + BETS * 4) ** 3).mean())


def test_what_is_gone_is_forgotten_within_weeks_however_long_it_lasted() -> None:
    one = streams()
    for day in range(500):
        one.step(day, [("all", "P0")] * 20, logs(np.ones(20)))
    assert one.total <= 1.01 * CAP * len(BETS)
    for day in range(500, 505):
        one.step(day, [("all", "P0")] * 20, logs(np.zeros(20)))
    assert one.total < THRESHOLD


@given(st.integers(1, 30), st.integers(0, 60), st.floats(0.01, 1))
def test_places_share_their_scope_however_many_come_later(
    known: int, late: int, share: float
) -> None:
    names = [f"P{k}" for k in range(known)]
    one = Streams(2, {"kind": share}, {"kind": names}, growing="kind")
    keys = [("kind", name) for name in names] + [("kind", f"L{k}") for k in range(late)]
    one.step(1, keys, np.zeros((len(keys), 2)))
    assert one.weights.sum() * 2 <= share * (1 + 1e-9)
    assert one.weights.min() > 0
    weights = one.weights[known:, 0].tolist()
    assert all(a > b for a, b in pairwise(weights))


def test_places_that_training_knew_have_all_of_a_scope_that_does_not_grow() -> None:
    one = streams(places=4, share=0.5)
    one.step(1, [("all", f"P{k}") for k in range(4)], np.zeros((4, 3)))
    assert one.weights.sum() * 3 == pytest.approx(0.5)


def test_restored_streams_go_on_as_if_nothing_had_happened() -> None:
    random = np.random.default_rng(4)
    one, other = streams(places=2), streams(places=2)
    for day in range(30):
        keys = [("all", f"P{random.integers(2)}") for _ in range(4)]
        units = logs((random.random(4) < 0.4).astype(float))
        one.step(day, keys, units)
        kept = json.loads(json.dumps(other.state()))
        other = streams(places=2)
        other.restore(kept)
        other.step(day, keys, units)
    assert other.state() == one.state() and other.total == one.total
    assert other.best() == one.best()


def test_a_day_without_units_is_no_step() -> None:
    one = streams()
    one.step(1, [], np.zeros((0, 3)))
    assert one.total == 0 and one.state() == []
