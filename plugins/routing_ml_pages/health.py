"""How things stand: what is in use, how the last runs ended, whether drift is told."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from routing_ml.errors import RoutingError
from routing_ml.settings import Settings
from routing_ml.store import Store
from routing_ml_pages import reading


@dataclass(frozen=True)
class LastRun:
    """A retraining that has ended."""

    run: str
    succeeded: bool
    reason: str | None
    at: str


@dataclass(frozen=True)
class Quality:
    """The last look at the data: how many findings, and how many kinds of them became more."""

    findings: int
    worse: int


@dataclass(frozen=True)
class Drift:
    """Whether it was looked for, whether there is any, how much, and whether a retraining is
    advised."""

    evaluated: bool
    detected: bool
    severity: str
    advised: bool


@dataclass(frozen=True)
class Health:
    """All of it, None of what has not been; `away` says since when a source is. What cannot be read
    says so in `trouble`."""

    model: str | None
    last_run: LastRun | None
    last_success: str | None
    last_proposals: str | None
    quality: Quality | None
    drift: Drift
    away: dict[str, str] = field(default_factory=dict)
    trouble: list[str] = field(default_factory=list)


def health(settings: Settings) -> Health:
    """How things stand."""
    model, trouble = None, list[str]()
    facts: Mapping[str, Any] = {}
    try:
        model = reading.in_use(settings).name
    except RoutingError as error:
        trouble.append(str(error))
    try:
        with closing(Store(settings.store_url, write=False)) as store:
            facts = store.snapshot().facts
    except RoutingError as error:
        trouble.append(str(error))
    return _health(settings, facts, model, trouble)


def _health(
    settings: Settings, facts: Mapping[str, Any], model: str | None, trouble: list[str]
) -> Health:
    def moment(of: Mapping[str, Any] | None, name: str) -> str | None:
        return reading.moment(settings, of[name]) if of else None

    last, quality = facts.get("last_run"), facts.get("quality")
    status = facts.get("drift") or dict[str, Any]()
    return Health(
        model=model,
        last_run=last and LastRun(
            last["run"], last["succeeded"], last.get("reason"),
            reading.moment(settings, last["ended_at"]),
        ),
        last_success=moment(facts.get("last_success"), "ended_at"),
        last_proposals=moment(facts.get("last_prediction"), "at"),
        quality=quality and Quality(sum(quality["findings"].values()), quality["worse"]),
        drift=Drift(
            "evaluated_at" in status,
            bool(status.get("drift_detected")),
            status.get("severity", "normal"),
            bool(status.get("should_retrain")),
        ),
        away={
            name: reading.moment(settings, known["away_since"])
            for name, known in (facts.get("sources") or {}).items()
            if known.get("away_since")
        },
        trouble=trouble,
    )  # fmt: skip
