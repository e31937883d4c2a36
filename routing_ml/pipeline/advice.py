"""Says what to do about drift, of items or of the routings that planners write for them: where it
calls for a retraining, whether there is anything new to learn from since the last one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import Any

from routing_ml import dataset
from routing_ml.drift import DATA, active, describe
from routing_ml.errors import tried
from routing_ml.notices import tell_card
from routing_ml.pipeline import concept
from routing_ml.pipeline.telling import drift_card
from routing_ml.proposals import predict
from routing_ml.registry import Version
from routing_ml.settings import DEFAULT_SOURCE, Settings
from routing_ml.source import Columns
from routing_ml.store import Store

LEAST_NEW_ITEMS = 50
DECISION = "drift_decision"
TOO_LITTLE = (
    "It is retrained when that many items have been routed, or on the 1st of the month; until then "
    "look twice at proposals of low similarity. 'routing-ml promote' puts another version of "
    "'routing-ml models' into use by hand."
)
RETRAINED = "It stays until the retraining has found a better one."
DATA_ADVICE = (
    "Nothing is learned from that by itself: have the item master corrected, or the columns file "
    "where the ERP has changed; then 'routing-ml drift reset'."
)

log = logging.getLogger(__name__)


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
    read: Callable[[], dataset.Dataset] | None = None,
    link: str | None = None,
) -> Advice:
    """What follows from a status of `look`, decided once a day: `by` names who asks, such as a
    run, and gets the same answer when it asks again that day, `link` is its address; `read` gives
    the source as it is at the moment, by default the one that a retraining reads by itself.

    A retraining, where at least 50 items got a routing since the last one, so that there is
    something new to learn from. People are told which, with the cause, once for each time that
    drift lasts; a retraining begins though they cannot be. A fault of the data is no reason to
    learn from them: of that people are told alone.
    """
    tell = partial(_tell, settings, status, link)
    version = active(settings)
    if version.name != status["model"]:
        return Advice(False, f"{version.name} is in use by now, of which nothing is known yet")
    day = moment.date().isoformat()
    with closing(Store(settings.store_url)) as store:
        changed = concept.told(store, version.name)
        if changed and changed["cause"] == DATA:
            columns = [place["value"] for place in changed["where"] if place["what"] == "column"]
            words, began = changed["words"].rstrip("."), f"data {', '.join(columns)}"
            tell("the data are at fault", words, version.name, began, DATA_ADVICE)
            return Advice(False, f"the data are at fault: {changed['words']}")
        if not status["should_retrain"] and changed is None:
            return Advice(False, "the drift so far does not call for a retraining")
        if changed is None:
            why = f"new items are not what the past ones were: {describe(status)}"
            began = status["advised_since"]
        else:
            why, began = changed["words"], changed["since"]
        if (made := _decided(store, day, by)) is not None:
            return made
        since = min(_learned_until(version, store.fact("last_success")), moment)
        new = _routed_since(settings, since, moment, read)
        advice = Advice(
            new >= LEAST_NEW_ITEMS,
            f"{why.rstrip('.')}; {new} items were routed since {since:%Y-%m-%d %H:%M}",
        )
        if not advice.retrain:
            reason = f"{advice.reason}, {LEAST_NEW_ITEMS} are needed to learn from"
            tell("drift, and too little to learn", reason, version.name, began, TOO_LITTLE)
        with store.transaction():
            if (made := _decided(store, day, by)) is not None:
                return made
            store.set_fact(DECISION, {"day": day, "by": by, **asdict(advice)})
    if advice.retrain:
        said = ("drift, and a retraining begins", advice.reason, version.name, began, RETRAINED)
        if trouble := tried(partial(tell, *said)):
            log.warning("nobody could be told of drift yet: %s", trouble)
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


def _routed_since(
    settings: Settings,
    since: datetime,
    moment: datetime,
    read: Callable[[], dataset.Dataset] | None,
) -> int:
    """How many items got a routing, or a new revision of it, after `since`."""
    if read is None:
        columns = Columns.load(settings.columns.get(DEFAULT_SOURCE))
        data = predict.read_source(settings.origin(), columns, moment)
    else:
        data = read()
    newest = dataset.newest_routings(data.routings)
    return int(newest.loc[newest["INSRT_DT"] > since, "ITEM_CD"].nunique())


def _tell(
    settings: Settings,
    status: Mapping[str, Any],
    link: str | None,
    title: str,
    reason: str,
    model: str,
    began: str,
    to_do: str,
) -> None:
    text = f"{reason}.\nIn use: {model}. {to_do}"
    subject, title = f"drift/{model}/{began}", f"Routing ML: {title}"
    tell_card(settings, drift_card(subject, title, text, status, link))
