"""The day of a prediction is the factory's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from routing_ml.drift.baseline import Baseline
from routing_ml.drift.watch import evaluate
from routing_ml.settings import default_url
from routing_ml.store.store import Store

SEOUL = ZoneInfo("Asia/Seoul")
TODAY = date(2026, 11, 2)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(default_url(tmp_path))) as opened:
        yield opened


def record(store: Store, scores: np.ndarray, moment: datetime) -> None:
    names = [f"{moment.isoformat()}-{k}" for k in range(len(scores))]
    given = scores.tolist()
    store.record_predictions(names, given, given, model="m1", seconds=1, at=moment.timestamp())


def test_scores_are_of_the_day_in_the_factorys_zone(store: Store) -> None:
    """03:00 in Seoul is the day before in UTC."""
    rng = np.random.default_rng(1)
    baseline = Baseline.fit(rng.beta(8, 2, 500))
    for hour, count in ((14, 3), (15, 4), (18, 5)):
        record(store, rng.beta(8, 2, count), datetime(2026, 11, 1, hour, tzinfo=UTC))
    status = evaluate(store, "m1", baseline, day=TODAY, zone=SEOUL)
    assert status["last_score_at"] == "2026-11-01T18:00:00+00:00"
    saved = store.detector("m1")
    assert saved is not None and saved.state is not None
    assert {day: row[0] for day, row in saved.state["days"].items()} == {
        "2026-11-01": 3,
        "2026-11-02": 9,
    }


def test_a_line_on_mondays_is_watched_without_an_alarm_by_daily_batches(store: Store) -> None:
    rng = np.random.default_rng(2)
    of_line = rng.random(2000) < 1 / 7
    baseline = Baseline.fit(np.where(of_line, rng.beta(6, 4, 2000), rng.beta(8, 2, 2000)))
    alarms = []
    for number in range(35):
        day = TODAY + timedelta(number)
        scores = rng.beta(6, 4, 60) if day.weekday() == 0 else rng.beta(8, 2, 60)
        record(store, scores, datetime(day.year, day.month, day.day, 3, tzinfo=SEOUL))
        if evaluate(store, "m1", baseline, day=day, zone=SEOUL)["drift_detected"]:
            alarms.append(number)
    assert alarms and max(alarms) < 7
