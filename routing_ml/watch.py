"""Looks for drift and says what to do about it: the predictions recorded since last time go through
the detector, and where that advises a retraining, whether there is anything new to learn from.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

from routing_ml import notify
from routing_ml.baseline import BASELINE_FILE
from routing_ml.drift import ALPHA, WINDOW, Baseline, DriftDetector
from routing_ml.errors import ModelError
from routing_ml.registry import Registry, Version
from routing_ml.settings import DEFAULT_SOURCE, Settings
from routing_ml.store import DRIFT_DAYS_OF, Detector, Store

PAGE_ROWS = 50_000
LEAST_NEW_ITEMS = 50
DECISION = "drift_decision"


@dataclass(frozen=True)
class Advice:
    """What to do about drift, and why, in words."""

    retrain: bool
    reason: str


def obstacle(settings: Settings) -> str | None:
    """Why drift cannot be watched yet, None where it can."""
    active = Registry(settings.home / "models").active()
    if active is None:
        return "no model is in use yet: 'routing-ml retrain' makes one"
    if not (active.folder / BASELINE_FILE).is_file():
        return (
            f"{active.name} has no drift baseline, as fewer than 15 items were held out when it "
            "was made: drift is not watched until a retraining has more"
        )
    return None


def look(settings: Settings, *, moment: datetime) -> dict[str, Any]:
    """Evaluate the model in use and return the status, its `model` beside it.

    `moment` is naive, in the factory's time zone: the verdict is for its day. Raises ModelError
    where there is an `obstacle`.
    """
    _active(settings)  # where there is none, no store is made
    # The model in use is looked up inside: one that has been replaced must not come after.
    with closing(Store(settings.store_url)) as store, store.transaction():
        active = _active(settings)
        status = evaluate(store, active.name, Baseline.load(active.folder), day=moment.date())
    return {"model": active.name} | status


def evaluate(
    store: Store,
    model: str,
    baseline: Baseline,
    *,
    day: date,
    window: int = WINDOW,
    alpha: float = ALPHA,
) -> dict[str, Any]:
    """Take in the scores that `model` (the one in use) gave since last time; returns the status.

    `day` is the day, in the factory's time zone, that the verdict is for. Another model than last
    time, or a reset, begins with an empty window and no drift days. All of it is one transaction:
    any number of processes may ask, each prediction counts once.
    """
    with store.transaction():
        saved = store.detector()
        if saved is None:
            saved = Detector(model, 1, 0, None)
        elif saved.model != model:
            saved = Detector(model, saved.epoch + 1, saved.last_prediction, None)
        if saved.state is None:
            detector = DriftDetector(baseline, window=window, alpha=alpha)
        else:
            detector = DriftDetector.restore(baseline, saved.state, window=window, alpha=alpha)
        last = saved.last_prediction
        while page := store.predictions_after(last, model=model, limit=PAGE_ROWS):
            last = page[-1][0]
            detector.update_many(
                [score for _, _, score, _ in page],
                items=[item for _, item, _, _ in page],
                at=datetime.fromtimestamp(page[-1][3], UTC),
            )
        now = Detector(model, saved.epoch, last, detector.state())
        store.save_detector(now, detector.status(), day=day)
        return store.drift_status()


def advise(
    settings: Settings,
    status: Mapping[str, Any],
    *,
    moment: datetime,
    by: str,
) -> Advice:
    """What follows from a status of `look`, decided once a day: `by` names who asks, such as a
    run, and gets the same answer when it asks again that day.

    A retraining, where at least 50 items got a routing since the last one, so that there is
    something new to learn from; otherwise people are told, once for each time that drift lasts.
    """
    if not status["should_retrain"]:
        return Advice(False, "the drift so far does not call for a retraining")
    active = _active(settings)
    if active.name != status["model"]:
        return Advice(False, f"{active.name} is in use by now, of which nothing is known yet")
    day = moment.date().isoformat()
    with closing(Store(settings.store_url)) as store:
        if (made := _decided(store, day, by)) is not None:
            return made
        since = _learned_until(active, store.fact("last_success"))
        new = _routed_since(settings, since, moment)
        advice = Advice(
            new >= LEAST_NEW_ITEMS,
            f"{describe(status)}; {new} items were routed since {since:%Y-%m-%d %H:%M}",
        )
        if not advice.retrain:
            _tell(settings, status, f"{advice.reason}, {LEAST_NEW_ITEMS} are needed to learn from")
        with store.transaction():
            if (made := _decided(store, day, by)) is not None:
                return made
            store.set_fact(DECISION, {"day": day, "by": by, **asdict(advice)})
    return advice


def describe(status: Mapping[str, Any]) -> str:
    """A status in one line, for people."""
    return (
        f"drift on {status['drift_days']} of {DRIFT_DAYS_OF} days, KL divergence "
        f"{status['kl_divergence']:.2f} ({status['severity']}), p {status['p_value']:.2g}, "
        f"mean similarity {status['buffer_mean']:.3f} over {status['buffer_size']:,} items"
    )


def _decided(store: Store, day: str, by: str) -> Advice | None:
    """The decision of that day: for another than the one who made it there is nothing to do."""
    made = store.fact(DECISION) or {}
    if made.get("day") != day:
        return None
    if made["by"] != by:
        return Advice(False, f"today's decision was made already, by {made['by']}")
    return Advice(made["retrain"], made["reason"])


def _active(settings: Settings) -> Version:
    if (reason := obstacle(settings)) is not None:
        raise ModelError(reason)
    active = Registry(settings.home / "models").active()
    assert active is not None
    return active


def _learned_until(active: Version, last_success: Mapping[str, Any] | None) -> datetime:
    """Up to when the last retraining read, whether its models went in or the one in use stayed."""
    read = [active.manifest["as_of"], (last_success or {}).get("as_of")]
    return max(datetime.fromisoformat(as_of) for as_of in read if as_of)


def _routed_since(settings: Settings, since: datetime, moment: datetime) -> int:
    """How many items got a routing, or a new revision of it, after `since`, in the source that a
    retraining reads by itself."""
    from routing_ml import dataset, predict
    from routing_ml.columns import Columns

    columns = Columns.load(settings.columns.get(DEFAULT_SOURCE))
    data = predict.read_source(settings.source(), columns, moment)
    newest = dataset.newest_routings(data.routings)
    return int(newest.loc[newest["INSRT_DT"] > since, "ITEM_CD"].nunique())


def _tell(settings: Settings, status: Mapping[str, Any], reason: str) -> None:
    text = [
        f"New items are not what the past ones were: {reason}.",
        f"In use: {status['model']}. It is retrained when that many items have been routed, or on "
        "the 1st of the month; until then look twice at proposals of low similarity. "
        "'routing-ml promote' puts another version of 'routing-ml models' into use by hand.",
    ]
    subject = f"drift/{status['model']}/{status['advised_since']}"
    notify.tell(settings, subject, "Routing ML: drift, and too little to learn", "\n".join(text))
