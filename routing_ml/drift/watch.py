"""Looks for drift: the predictions recorded since last time go through the detector."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, date, datetime, tzinfo
from itertools import groupby
from typing import Any

from routing_ml.drift.baseline import BASELINE_FILE
from routing_ml.drift.detector import ALPHA, WINDOW, Baseline, DriftDetector
from routing_ml.errors import ModelError
from routing_ml.registry import Registry, Version
from routing_ml.settings import Settings
from routing_ml.store import DRIFT_DAYS_OF, Detector, Store

PAGE_ROWS = 50_000


def obstacle(settings: Settings) -> str | None:
    """Why drift cannot be watched yet, None where it can."""
    version = Registry(settings.home / "models").active()
    if version is None:
        return "no model is in use yet: 'routing-ml retrain' makes one"
    if not (version.folder / BASELINE_FILE).is_file():
        return (
            f"{version.name} has no drift baseline, as fewer than 15 items were held out when it "
            "was made: drift is not watched until a retraining has more"
        )
    return None


def active(settings: Settings) -> Version:
    """The version in use, whose drift can be watched; ModelError where there is an `obstacle`."""
    if (reason := obstacle(settings)) is not None:
        raise ModelError(reason)
    version = Registry(settings.home / "models").active()
    assert version is not None
    return version


def look(settings: Settings, *, moment: datetime) -> dict[str, Any]:
    """Evaluate the model in use and return the status, its `model` beside it.

    `moment` is naive, in the factory's time zone: the verdict is for its day. Raises ModelError
    where there is an `obstacle`.
    """
    active(settings)  # where there is none, no store is made
    settings.opened()
    # The model in use is looked up inside: one that has been replaced must not come after.
    with closing(Store(settings.store_url)) as store, store.transaction():
        version = active(settings)
        baseline = Baseline.load(version.folder)
        zone = settings.timezone
        status = evaluate(store, version.name, baseline, day=moment.date(), zone=zone)
    return {"model": version.name} | status


def evaluate(
    store: Store,
    model: str,
    baseline: Baseline,
    *,
    day: date,
    zone: tzinfo = UTC,
    window: int = WINDOW,
    alpha: float = ALPHA,
) -> dict[str, Any]:
    """Take in the scores that `model` (the one in use) gave since last time; returns the status.

    `day` is the day, in the factory's time zone `zone`, that the verdict is for; the day of each
    prediction is when it was recorded. A model that is evaluated
    for the first time, or after a reset, begins with an empty window and no drift days; one that
    comes back into use goes on with its own. All of it is one transaction: any number of processes
    may ask, each prediction counts once.
    """
    with store.transaction():
        saved = store.detector(model) or Detector(model, 1, 0, None)
        if saved.state is None:
            detector = DriftDetector(baseline, window=window, alpha=alpha)
        else:
            detector = DriftDetector.restore(baseline, saved.state, window=window, alpha=alpha)
        last = saved.last_prediction
        while page := store.predictions_after(last, model=model, limit=PAGE_ROWS):
            last = page[-1][0]
            for recorded_on, batch in groupby(page, lambda row: _day(row[3], zone)):
                _, items, scores, moments = zip(*batch, strict=True)
                at = datetime.fromtimestamp(moments[-1], UTC)
                detector.update_many(scores, items=items, at=at, day=recorded_on)
        now = Detector(model, saved.epoch, last, detector.state())
        store.save_detector(now, detector.status(), day=day)
        return store.drift_status()


def _day(seconds: float, zone: tzinfo) -> date:
    return datetime.fromtimestamp(seconds, zone).date()


def describe(status: Mapping[str, Any]) -> str:
    """A status in one line, for people."""
    return (
        f"drift on {status['drift_days']} of {DRIFT_DAYS_OF} days, KL divergence "
        f"{status['kl_divergence']:.2f} ({status['severity']}), p {status['p_value']:.2g}, "
        f"mean similarity {status['buffer_mean']:.3f} over {status['buffer_size']:,} items"
    )
