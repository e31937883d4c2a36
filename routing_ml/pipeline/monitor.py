"""Writes what others do into the monitoring store: how runs ended, which model is in use, what it
proposed; reads and resets what it says of drift.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routing_ml import clock, files
from routing_ml.errors import InputError, ModelError
from routing_ml.judging import Challengers
from routing_ml.registry import Registry
from routing_ml.settings import Settings
from routing_ml.store import Store

log = logging.getLogger(__name__)

MISSED_DAYS = 7
RUN = "run "
"""What `who` of a switch begins with where a run made it."""

if TYPE_CHECKING:
    import pandas as pd


def record_run(
    settings: Settings, outcome: Mapping[str, Any], *, ended_at: float | None = None
) -> None:
    """Record a run by its outcome (`report.write`); a second time replaces the first.

    `ended_at` is in seconds since 1970, now by default. Raises StoreError when the store cannot be
    written.
    """
    as_of = outcome["data"]["as_of"] if outcome["data"] else None
    ended_at = clock.seconds() if ended_at is None else ended_at
    told = ("cause", "started_by", "hands", "model", "promoted", "reason")
    with closing(_written(settings)) as store:
        with store.transaction():
            store.record_run(
                outcome["run"],
                succeeded=outcome["succeeded"],
                seconds=outcome["seconds"],
                ended_at=ended_at,
                learned=not outcome.get("nothing_new"),
                **{key: outcome[key] for key in told},
                as_of=as_of,
            )
            if as_of is not None and outcome["found_better"] is not None:
                read = datetime.fromisoformat(as_of).replace(tzinfo=settings.timezone)
                store.judge_alarm(
                    outcome["run"],
                    better=outcome["found_better"],
                    promoted=outcome["promoted"],
                    as_of=read.timestamp(),
                    at=ended_at,
                )
        audit = Path(outcome["report"]).with_name("audit.json")
        if audit.is_file():
            found = json.loads(audit.read_text(encoding="utf-8"))
            outliers = {
                f"{table}.{column}": count
                for table, counts in found["outliers"].items()
                for column, count in counts.items()
            }
            store.record_audit(
                found["null_ratios"],
                outliers=outliers,
                rows=outcome["data"]["rows"] if outcome["data"] else None,
            )
    record_model(settings)


def record_missed(settings: Settings) -> list[dict[str, Any]]:
    """Record the runs that ended in these days while the store could not be written; their
    outcomes.

    A file that is no outcome, or one of an earlier release, is left alone.
    """
    since = clock.seconds() - MISSED_DAYS * 86_400
    missed = []
    with files.told_as(InputError, f"{settings.home / 'runs'} cannot be read"):
        found = [(path.stat().st_mtime, path) for path in settings.home.glob("runs/*/outcome.json")]
    for ended_at, path in sorted(found):
        if ended_at < since:
            continue
        try:
            outcome = json.loads(path.read_text(encoding="utf-8"))
            if not outcome.keys() >= {"candidates", "seconds"}:  # it is no retraining's
                continue
            with closing(_written(settings)) as store:
                known = store.knows_run(outcome["run"])
            if not known:
                record_run(settings, outcome, ended_at=ended_at)
                missed.append(outcome)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            log.debug("%s is no outcome that can be counted", path, exc_info=True)
    return missed


def record_unreported(settings: Settings, run_id: str, why: str, *, kind: str) -> None:
    """Count a retraining that failed without a report of its own; nothing where it has one. `kind`
    is Airflow's word for what started it."""
    with closing(Store(settings.store_url)) as store:
        store.record_run(
            run_id, succeeded=False, seconds=0.0, cause="unknown", started_by=started_by(kind),
            unless_known=True, model=None, promoted=False, reason=why, as_of=None,
        )  # fmt: skip


def started_by(kind: str) -> str:
    """Who or what started a run, one of the store's CAUSES, by Airflow's word for it.

    >>> started_by("scheduled"), started_by("asset_triggered"), started_by("manual")
    ('schedule', 'drift', 'hand')
    """
    words = {"scheduled": "schedule", "asset_triggered": "drift"}
    return words.get(kind, "hand" if kind in ("manual", "backfill") else "other")


def record_predictions(
    settings: Settings,
    proposals: "pd.DataFrame",
    *,
    model: str,
    seconds: float,
    at: float | None = None,
    batch: str | None = None,
) -> None:
    """Record a batch of proposals, one entry an item; `seconds` is what predicting them took, `at`
    the moment that they are of, in seconds since 1970 (now).

    A `batch` that was recorded is not recorded again.
    """
    items = proposals.drop_duplicates("ITEM_CD")
    if len(items):
        with closing(_written(settings)) as store:
            store.record_predictions(
                items["ITEM_CD"].tolist(),
                items["SIMILARITY_SCORE"].tolist(),
                items["CONFIDENCE"].tolist(),
                model=model,
                seconds=seconds,
                at=at,
                batch=batch,
                novelties=items["NOVELTY"].tolist(),
            )


def record_seen(settings: Settings, items: Sequence[str], *, how: str) -> None:
    """Record that people have seen what is proposed for these items, and `how`, in a word."""
    with closing(_written(settings)) as store:
        store.record_seen(items, how=how)


def record_failure(settings: Settings) -> None:
    """Count a batch of predictions that failed."""
    with closing(_written(settings)) as store:
        store.record_prediction_failure()


def record_quality(settings: Settings, outcome: Mapping[str, Any]) -> None:
    """Record how a look at the data ended, and what it found."""
    with closing(_written(settings)) as store:
        if outcome["succeeded"]:
            store.record_quality(
                outcome["findings"],
                columns=outcome["columns"],
                worse=len(outcome["worse"]),
            )
        else:
            store.record_quality_run(succeeded=False)


def record_look_failed(settings: Settings) -> None:
    """Record that a look at the data ended badly, without a report of its own."""
    with closing(Store(settings.store_url)) as store:
        store.record_quality_run(succeeded=False)


def record_source_read(settings: Settings, source: str, as_of: datetime) -> None:
    """Record that a configured source was read as of a moment of the factory's."""
    with closing(_written(settings)) as store:
        store.record_source_read(source, as_of=settings.seconds(as_of))


def record_source_away(settings: Settings, source: str) -> datetime:
    """Record that a configured source cannot be reached; since when, in the factory's time."""
    with closing(_written(settings)) as store:
        since = store.record_source_away(source)
    return settings.moment(datetime.fromtimestamp(since, UTC))


def record_source_data(settings: Settings, source: str, as_of: datetime) -> None:
    """Record of when the data is that is used while a source is away."""
    with closing(_written(settings)) as store:
        store.record_source_data(source, as_of=settings.seconds(as_of))


def live_status(settings: Settings) -> dict[str, Any]:
    """How right the proposals are, by the last judgement (`judging.figures`); how each version that
    may replace the one in use stands, in words; what the watch over later routings says."""
    with closing(Store(settings.store_url, write=False)) as store:
        known = Challengers.known(store)
        concept, model = store.fact("concept"), store.fact("model")
        if model and concept and concept["model"] != model["name"]:
            concept = None
        if model and known and known.champion != model["name"]:
            known = None
        said = {"challengers": known.words() if known else {}, "concept": concept}
        return (store.fact("live") or {}) | said


def drift_status(settings: Settings) -> dict[str, Any]:
    """The last evaluation, as the exporter shows it."""
    with closing(Store(settings.store_url, write=False)) as store:
        return store.drift_status()


def drift_summary(settings: Settings, days: int) -> dict[str, Any]:
    """The verdicts of the last `days` days in the factory's time zone, today included."""
    with closing(Store(settings.store_url, write=False)) as store:
        return store.drift_summary(days, today=settings.moment(None).date())


def reset_drift(settings: Settings, *, why: str) -> None:
    """Have the detector begin anew."""
    with closing(_written(settings)) as store, store.transaction():
        store.reset_drift(why=why)
        store.reset_concept()


def last_ended(settings: Settings) -> float:
    """When the last run ended that was recorded, in seconds since 1970; 0 before the first."""
    with closing(_written(settings)) as store:
        last = store.fact("last_run")
    return float(last["ended_at"]) if last else 0.0


def prune(settings: Settings, *, now: float) -> int:
    """Forget details that are older than 180 days at `now`, in seconds since 1970, and never
    totals; returns how many rows went."""
    with closing(_written(settings)) as store:
        return store.prune(now=now)


def record_model(settings: Settings) -> None:
    """Record which model is in use, and the switches by hand that were not counted yet; to be
    called after every switch."""
    registry = Registry(settings.home / "models")
    if registry.active() is None:
        return
    # Looked up inside, so that of two switches the later one is recorded last.
    with closing(_written(settings)) as store, store.transaction():
        active = registry.active()
        if active is not None:
            store.record_model(
                active.name,
                created_at=active.created_at.timestamp(),
                metrics=active.manifest["metrics"],
            )
        for switch in _switches_by_hand(registry):
            at = datetime.fromisoformat(switch["at"]).timestamp()
            store.count_switch(switch["id"], action=switch["action"], at=at)


def _switches_by_hand(registry: Registry) -> list[dict[str, Any]]:
    """Those that no run made. A damaged history is no reason not to say which model is in use."""
    try:
        history = registry.history()
    except ModelError as error:
        log.warning("switches by hand are not counted: %s", error)
        return []
    by_hand = [each for each in history if not each["who"].startswith(RUN)]
    return [each for each in by_hand if each["action"] in ("promote", "rollback")]


def _written(settings: Settings) -> Store:
    settings.opened()
    return Store(settings.store_url)
