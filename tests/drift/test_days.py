"""What follows a calendar is no drift from its second cycle on, and hides none.

How often and how soon it alarms is measured in benchmarks/drift.py, part calendar; here a smaller
version of the same figures keeps it from getting worse unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from routing_ml.drift import days as days_module
from routing_ml.drift.baseline import Baseline
from routing_ml.drift.days import KEPT_DAYS, Days
from routing_ml.drift.detector import DriftDetector
from routing_ml.drift.windows import WindowTests

Scores = NDArray[np.float64]
Draw = Callable[[np.random.Generator, date], Scores]
MONDAY = date(2026, 1, 5)


def usual(rng: np.random.Generator, n: int = 60) -> Scores:
    return rng.beta(8, 2, n)


def line(rng: np.random.Generator, n: int = 60) -> Scores:
    return rng.beta(6, 4, n)


def on_mondays(rng: np.random.Generator, day: date) -> Scores:
    return line(rng) if day.weekday() == 0 else usual(rng)


def twice_a_month(rng: np.random.Generator, day: date) -> Scores:
    return line(rng) if day.day in (14, 15) else usual(rng)


def with_line(rng: np.random.Generator, share: float, size: int = 1000) -> Baseline:
    return Baseline.fit(np.where(rng.random(size) < share, line(rng, size), usual(rng, size)))


def days_with_an_alarm(
    detector: DriftDetector,
    draw: Draw,
    rng: np.random.Generator,
    first: date,
    count: int,
    *,
    told: bool = True,
) -> list[int]:
    """Which of the days, from 0, had a look that alarmed, with six looks a day."""
    found = []
    for number in range(count):
        day = first + timedelta(number)
        looks = draw(rng, day).reshape(6, -1)
        alarms = [
            detector.update_many(part, day=day if told else None).drift_detected for part in looks
        ]
        if any(alarms):
            found.append(number)
    return found


@pytest.mark.parametrize(
    ("draw", "share", "cycle"), [(on_mondays, 1 / 7, 7), (twice_a_month, 1 / 15, 31)]
)
def test_a_calendar_is_no_drift_from_its_second_cycle_on(
    draw: Draw, share: float, cycle: int
) -> None:
    """12 times 4 weeks: more than 6 with an alarm have a chance under 2 % at the promised 5 %."""
    weeks = {True: 0, False: 0}
    for number in range(12):
        for told in weeks:
            rng = np.random.default_rng([41, number])
            detector = DriftDetector(with_line(rng, share))
            first = MONDAY + timedelta(int(rng.integers(60)))
            # The window still holds the first cycle for 17 days.
            days_with_an_alarm(detector, draw, rng, first, cycle + 17, told=told)
            first += timedelta(cycle + 17)
            found = days_with_an_alarm(detector, draw, rng, first, 28, told=told)
            weeks[told] += len({day // 7 for day in found})
    assert weeks[True] <= 6
    assert weeks[False] >= 16


@pytest.mark.parametrize(
    "drift",
    [
        lambda rng, day: np.where(rng.random(60) < 0.3, rng.beta(2, 6, 60), usual(rng)),
        lambda rng, day: rng.beta(7, 3, 60),
    ],
)
def test_without_a_calendar_drift_is_told_as_soon_as_without_days(drift: Draw) -> None:
    for number in range(15):
        found = []
        for told in (True, False):
            rng = np.random.default_rng([42, number])
            detector = DriftDetector(Baseline.fit(usual(rng, 2000)))
            days_with_an_alarm(detector, lambda rng, day: usual(rng), rng, MONDAY, 45, told=told)
            later = MONDAY + timedelta(45)
            found.append(days_with_an_alarm(detector, drift, rng, later, 16, told=told))
        assert found[0] == found[1]
        assert found[0][0] <= 2 and found[0][-14:] == list(range(2, 16))


@pytest.mark.parametrize(
    ("drift", "within"),
    [
        (lambda rng, day: on_mondays(rng, day) if day.weekday() == 0 else rng.beta(7, 3, 60), 5),
        (
            lambda rng, day: np.where(
                rng.random(60) < 0.3, rng.beta(2, 6, 60), on_mondays(rng, day)
            ),
            3,
        ),
    ],
)
def test_a_calendar_hides_no_drift_that_stays(drift: Draw, within: int) -> None:
    """It is told within days, and on each day of its second and third week."""
    for number in range(10):
        rng = np.random.default_rng([43, number])
        detector = DriftDetector(with_line(rng, 1 / 7, 2000))
        days_with_an_alarm(detector, on_mondays, rng, MONDAY, 43)
        found = days_with_an_alarm(detector, drift, rng, MONDAY + timedelta(43), 21)
        assert found[0] <= within
        assert set(range(7, 21)) <= set(found)


def test_a_calendar_hides_no_drift_of_the_lines_own_items() -> None:
    def drift(rng: np.random.Generator, day: date) -> Scores:
        return rng.beta(3, 7, 60) if day.weekday() == 0 else usual(rng)

    for number in range(10):
        rng = np.random.default_rng([44, number])
        detector = DriftDetector(with_line(rng, 1 / 7, 2000))
        days_with_an_alarm(detector, on_mondays, rng, MONDAY, 49)
        assert 0 in days_with_an_alarm(detector, drift, rng, MONDAY + timedelta(49), 2)


def test_a_line_that_the_baseline_does_not_know_alarms_each_week() -> None:
    """The whole cycle is unlike the baseline then."""
    rng = np.random.default_rng(45)
    detector = DriftDetector(Baseline.fit(usual(rng, 2000)))

    def draw(rng: np.random.Generator, day: date) -> Scores:
        return rng.beta(2, 6, 60) if day.weekday() == 0 else usual(rng)

    found = days_with_an_alarm(detector, draw, rng, MONDAY, 42)
    assert {0, 7, 14, 21, 28, 35} <= set(found)


def test_where_an_alarm_is_taken_back_the_kl_is_from_the_same_days() -> None:
    """1,000 items a Monday fill the window: each would ask for a retraining."""
    rng = np.random.default_rng(46)
    detector = DriftDetector(
        Baseline.fit(np.where(rng.random(2000) < 1 / 7, rng.beta(2, 6, 2000), usual(rng, 2000)))
    )
    kls = []
    for number in range(15):
        day = MONDAY + timedelta(number)
        scores = rng.beta(2, 6, 1000) if day.weekday() == 0 else usual(rng, 1000)
        detector.update_many(scores, day=day)
        kls.append(detector.kl_divergence)
    assert kls[0] > 1
    assert kls[7] < 0.1 and kls[14] < 0.1
    assert detector.severity == "normal" and not detector.drift_detected


def test_days_of_which_nothing_is_known_explain_nothing() -> None:
    tests = WindowTests(with_line(np.random.default_rng(47), 1 / 7), 1000)
    days = Days(tests)
    sample = days._sample(days.usual[None], np.ones(1)) if days.sums else None
    assert sample is None
    days.add(0, np.arange(10))
    days.add(MONDAY.toordinal(), np.arange(0))
    assert days.sums == {}
    assert days.cycle_ago(np.full(20, MONDAY.toordinal()), 7) is None


def test_the_last_75_days_are_kept() -> None:
    days = Days(WindowTests(with_line(np.random.default_rng(48), 1 / 7), 1000))
    for number in range(100):
        days.add(MONDAY.toordinal() + number, np.arange(3))
    days.add(MONDAY.toordinal() + 98, np.arange(4))  # a clock that was put back
    assert len(days.sums) == KEPT_DAYS
    assert min(days.sums) == MONDAY.toordinal() + 25
    assert days.sums[MONDAY.toordinal() + 98][0] == 7


def test_a_day_counts_in_the_cycle_before_by_its_part_of_the_window() -> None:
    rng = np.random.default_rng(49)
    tests = WindowTests(Baseline.fit(usual(rng, 500)), 1000)
    days = Days(tests)
    low, high = 2, len(tests.weights) - 1
    monday = MONDAY.toordinal()
    days.add(monday, np.full(40, low))
    days.add(monday + 1, np.full(10, high))
    found = days.cycle_ago(np.repeat([monday + 7, monday + 8], [30, 10]), 7)
    assert found is not None
    weights = tests.weights / days_module.UNIT
    assert found.mean == pytest.approx(0.75 * weights[low] + 0.25 * weights[high])
    assert found.size == pytest.approx(1 / (0.75**2 / 40 + 0.25**2 / 10))
    assert found.bins.sum() == pytest.approx(found.size)


def test_mondays_explain_only_mondays() -> None:
    """30 days back from a Wednesday is a Monday."""
    rng = np.random.default_rng(51)
    detector = DriftDetector(with_line(rng, 1 / 7, 2000))
    days_with_an_alarm(detector, on_mondays, rng, MONDAY, 45)
    wednesday = np.full(50, MONDAY.toordinal() + 44)
    assert detector._days.cycle_ago(wednesday, 30) is None
    mondays = detector._days.cycle_ago(wednesday - 2, 7)
    assert mondays is not None and mondays.mean < -0.5


def test_how_alike_days_are_is_told_by_those_a_week_apart() -> None:
    """In a baseline in order a calendar looks like families; days a week apart know better."""
    rng = np.random.default_rng(50)
    weeks = np.concatenate([on_mondays(rng, MONDAY + timedelta(k)) for k in range(33)])
    baseline = Baseline.fit(weeks, in_order=True)
    assert baseline.dispersion > 5
    detector = DriftDetector(baseline)
    for number in range(20):
        detector.update_many(on_mondays(rng, MONDAY + timedelta(number)),
                             day=MONDAY + timedelta(number))  # fmt: skip
    assert detector._days._dispersion() == baseline.dispersion
    for number in range(20, 60):
        detector.update_many(on_mondays(rng, MONDAY + timedelta(number)),
                             day=MONDAY + timedelta(number))  # fmt: skip
    assert 1 <= detector._days._dispersion() < 3
