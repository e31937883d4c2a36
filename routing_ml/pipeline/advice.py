"""Says what to do about drift: where it calls for a retraining, whether there is anything new to
learn from since the last one.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from routing_ml import dataset
from routing_ml.drift import active, describe
from routing_ml.notices import tell
from routing_ml.proposals import predict
from routing_ml.registry import Version
from routing_ml.settings import DEFAULT_SOURCE, Settings
from routing_ml.source import Columns
from routing_ml.store import Store

LEAST_NEW_ITEMS = 50
DECISION = "drift_decision"


@dataclass(frozen=True)
class Advice:
    """What to do about drift, and why, in words."""

    retrain: bool
    reason: str


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
    version = active(settings)
    if version.name != status["model"]:
        return Advice(False, f"{version.name} is in use by now, of which nothing is known yet")
    day = moment.date().isoformat()
    with closing(Store(settings.store_url)) as store:
        if (made := _decided(store, day, by)) is not None:
            return made
        since = min(_learned_until(version, store.fact("last_success")), moment)
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


def _decided(store: Store, day: str, by: str) -> Advice | None:
    """The decision of that day: for another than the one who made it there is nothing to do."""
    made = store.fact(DECISION) or {}
    if made.get("day") != day:
        return None
    if made["by"] != by:
        return Advice(False, f"today's decision was made already, by {made['by']}")
    return Advice(made["retrain"], made["reason"])


def _learned_until(version: Version, last_success: Mapping[str, Any] | None) -> datetime:
    """Up to when the last retraining read, whether its models went in or the one in use stayed."""
    read = [version.manifest["as_of"], (last_success or {}).get("as_of")]
    return max(datetime.fromisoformat(as_of) for as_of in read if as_of)


def _routed_since(settings: Settings, since: datetime, moment: datetime) -> int:
    """How many items got a routing, or a new revision of it, after `since`, in the source that a
    retraining reads by itself."""
    columns = Columns.load(settings.columns.get(DEFAULT_SOURCE))
    data = predict.read_source(settings.origin(), columns, moment)
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
    tell(settings, subject, "Routing ML: drift, and too little to learn", "\n".join(text))
