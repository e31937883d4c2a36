"""What the drift watch and planners' later routings say of the model in use."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from routing_ml import drift
from routing_ml.errors import ModelError
from routing_ml.pipeline import monitor
from routing_ml.registry import Version
from routing_ml.settings import Settings
from routing_ml.store import DRIFT_DAYS_OF, Store, StoreError
from routing_ml_pages import reading

DAYS = 60
RECENT_SCORES = 1_000
BANDS = {"minor": 0.3, "significant": 0.5, "severe": 1.0}
"""From which KL divergence on drift is called so."""


@dataclass(frozen=True)
class Day:
    """The verdict of a day; `drift` says whether the test gave an alarm."""

    day: str
    kl: float
    p_value: float
    severity: str
    scores: int
    model: str
    drift: bool


@dataclass(frozen=True)
class Share:
    """A range of similarity, and the shares of the baseline and of the newest scores in it."""

    label: str
    usual: float
    now: float


@dataclass(frozen=True)
class Live:
    """How right proposals were by planners' later routings; `group` says which proposals."""

    group: str
    value: str
    items: int
    exact: float | None
    low: float
    high: float
    stated: float | None
    f1: float | None


@dataclass(frozen=True)
class Watched:
    """The last evaluation, the days, the scores beside the baseline's, the live figures. `obstacle`
    says why drift cannot be watched, `trouble` why the store cannot be read."""

    evaluated: bool
    drift: bool
    severity: str
    kl: float
    p_value: float
    mean: float
    usual_mean: float | None
    scores: int
    drift_days: int
    of_days: int
    advised: bool
    at: str
    days: list[Day] = field(default_factory=list)
    shares: list[Share] = field(default_factory=list)
    recent: int = 0
    live: list[Live] = field(default_factory=list)
    weeks: list[Live] = field(default_factory=list)
    concept: str | None = None
    challengers: dict[str, str] = field(default_factory=dict)
    obstacle: str | None = None
    trouble: str | None = None


def watched(settings: Settings) -> Watched:
    """All of it; what is not known is empty."""
    try:
        obstacle = drift.obstacle(settings)
    except ModelError as error:
        obstacle = str(error)
    try:
        with closing(Store(settings.store_url, write=False)) as store:
            status = store.drift_status()
            days = [
                Day(d["day"], d["kl_divergence"], d["p_value"], d["severity"], d["scores"],
                    d["model"], d["detected"])
                for d in store.drift_verdicts(DAYS, today=settings.moment(None).date())
            ]  # fmt: skip
            try:
                shares, recent = ([], 0) if obstacle else _shares(settings, store)
            except ModelError as error:
                obstacle, shares, recent = str(error), [], 0
        live = monitor.live_status(settings)
    except StoreError as error:
        return _of({}, settings, obstacle=obstacle, trouble=str(error))
    concept = live.get("concept") or {}
    return _of(
        status, settings, days=days, shares=shares, recent=recent, obstacle=obstacle,
        live=_lives(live, ("model", "all", "seen", "confidence", "kind")),
        weeks=_lives(live, ("week",)),
        concept=f"{concept['cause']}: {concept['words']}" if concept.get("alarm") else None,
        challengers=dict(live.get("challengers") or {}),
    )  # fmt: skip


def _of(status: Mapping[str, Any], settings: Settings, **more: Any) -> Watched:
    return Watched(
        evaluated="evaluated_at" in status,
        drift=bool(status.get("drift_detected")),
        severity=str(status.get("severity", "normal")),
        kl=float(status.get("kl_divergence", 0.0)),
        p_value=float(status.get("p_value", 1.0)),
        mean=float(status.get("buffer_mean", 0.0)),
        usual_mean=status.get("baseline_mean"),
        scores=int(status.get("buffer_size", 0)),
        drift_days=int(status.get("drift_days", 0)),
        of_days=DRIFT_DAYS_OF,
        advised=bool(status.get("should_retrain")),
        at=reading.moment(settings, status.get("evaluated_at")),
        **more,
    )


def _shares(settings: Settings, store: Store) -> tuple[list[Share], int]:
    """The newest scores of the model in use beside its baseline's, in the ranges of the KL."""
    import numpy as np

    version: Version = reading.in_use(settings)
    baseline = drift.Baseline.load(version.folder)
    edges = baseline.edges[baseline.bins - 1]
    last = store.last_prediction()
    rows = store.predictions_after(last - 4 * RECENT_SCORES, model=version.name)
    scores = np.array([score for *_, score, _ in rows if score == score][-RECENT_SCORES:])
    now = np.bincount(np.searchsorted(edges, scores), minlength=len(edges) + 1)
    usual = baseline.bin_counts
    ends = [*(f"{edge:.3f}" for edge in edges), "1"]
    labels = [f"≤ {end}" for end in ends]
    return [
        Share(label, float(one / max(usual.sum(), 1)), float(other / max(len(scores), 1)))
        for label, one, other in zip(labels, usual, now, strict=True)
    ], len(scores)


def _lives(live: Mapping[str, Any], groups: tuple[str, ...]) -> list[Live]:
    return [
        Live(group, one["value"], one["items"], one["exact"], one["low"], one["high"],
             one["confidence"], one["operation_f1"])
        for group in groups
        for one in live.get(group) or ()
    ]  # fmt: skip
