"""Turns what planners' routings said of the proposals into metric families; computes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric

from routing_ml.store import CONCEPT_CAUSES, Snapshot

BY = ("all", "model", "recent", "kind", "confidence", "week", "seen")
"""How the judged items are put together: the keys of the fact `live`."""
WEEKS_SHOWN = 2
"""Each week is a series of its own for good; Prometheus remembers those that have passed."""

Entry = tuple[str, Mapping[str, Any]]


def live(store: Snapshot) -> Iterator[Metric]:
    """How right the proposals were, of each group of judged items; nothing before the first
    judging. What has no value is left out: a figure of nothing, and a kind that no item has."""
    if (known := store.facts.get("live")) is None:
        return
    entries = list(_entries(known))
    text = "Judged items whose proposal was exactly the routing that a planner wrote, in [0, 1]."
    yield _figure("live_accuracy", text, entries, "exact")
    text = "The lower end of its interval, which holds however often one looks."
    yield _figure("live_accuracy_low", text, entries, "low")
    text = "The upper end of its interval."
    yield _figure("live_accuracy_high", text, entries, "high")
    yield _figure("live_items", "Items that were judged.", entries, "items")
    text = "How likely to be exactly right these proposals were said to be, the mean."
    yield _figure("live_confidence", text, entries, "confidence")
    text = "F1 of their operations, in [0, 1]."
    yield _figure("live_operation_f1", text, entries, "operation_f1")
    text = "Their operations that a planner gave the proposed machine, in [0, 1]."
    yield _figure("live_resource_accuracy", text, entries, "resource_accuracy")
    text = "The error of their run times, a fraction: the mean of the items' medians."
    yield _figure("live_run_error", text, entries, "run_error")
    if (at := known.get("at")) is not None:
        text = "As of when planners' routings were last asked."
        yield GaugeMetricFamily("routing_ml_live_judged_timestamp_seconds", text, value=at)


def concept(store: Snapshot) -> Iterator[Metric]:
    """Whether planners write other routings than the items' past leads to expect, and why; nothing
    before the first judging, also of another version than the one in use."""
    known, model = store.facts.get("concept"), store.facts.get("model")
    if known is None or (model and model["name"] != known.get("model", model["name"])):
        return
    family = GaugeMetricFamily(
        "routing_ml_concept_drift",
        "1 for the cause that is told: why planners write other routings than are proposed.",
        labels=["cause"],
    )
    for cause in CONCEPT_CAUSES:
        told = known.get("alarm") and known.get("cause") == cause
        family.add_metric([cause], float(bool(told)))
    yield family
    text = "The evidence for it, an e-value; it is told from 7,300 on, 5 false alarms in 100 years."
    value = known.get("e_value", 0.0)
    yield GaugeMetricFamily("routing_ml_concept_drift_e_value", text, value=value)


def _entries(known: Mapping[str, Any]) -> Iterator[Entry]:
    """(by, figures) of each group; of weeks the last ones."""
    for by in BY:
        groups = [group for group in known.get(by) or () if group.get("value")]
        if by == "week":
            groups = sorted(groups, key=lambda group: group["value"])[-WEEKS_SHOWN:]
        for group in groups:
            yield by, group


def _figure(name: str, text: str, entries: Sequence[Entry], figure: str) -> Metric:
    """A figure of every group that has it."""
    family = GaugeMetricFamily(f"routing_ml_{name}", text, labels=["by", "value"])
    for by, group in entries:
        if (value := group.get(figure)) is not None:
            family.add_metric([by, group["value"]], value)
    return family
