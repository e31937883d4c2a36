"""Turns a snapshot of the store into Prometheus metric families; computes nothing."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.process_collector import ProcessCollector

from exporter import evidence
from routing_ml import __version__
from routing_ml.store import (
    ALARM_OUTCOMES,
    BANDS,
    CAUSES,
    HANDS,
    LATENCY_BUCKETS_SECONDS,
    RESPONSE_BUCKETS_SECONDS,
    SERIES_MOST,
    SINCE,
    Snapshot,
)

OWN_PROCESS = ProcessCollector(registry=None)
# Metrics whose series are as many as the factory has columns, tables or figures.
LABELLED = (
    "extract_rows",
    "model_metric",
    "null_ratio",
    "outliers",
    "quality_column_findings",
    "source_away",
    "source_data_timestamp_seconds",
)
OUTCOMES = ("success", "failure")
SEVERITIES = ("normal", "minor", "significant", "severe")


@dataclass
class Process:
    """What the exporter knows of itself."""

    started_at: float
    requests: int = 0
    errors: int = 0
    logins_wrong: int = 0
    logins_busy: int = 0


class Collector:
    """One scrape's metrics: of the process, and of the store where it could be read."""

    def __init__(self, process: Process, snapshot: Snapshot | None, now: float) -> None:
        """`snapshot` is None when the store cannot be read; `now` is seconds since 1970."""
        self.process = process
        self.snapshot = snapshot
        self.now = now

    def collect(self) -> Iterator[Metric]:
        """Metric families, the process's own first, each of `SERIES_MOST` series at most; the last
        one says how many of which were left out, by the writer of the store or here."""
        left_out: dict[str, int] = {}
        for fact in ("audit", "quality"):
            known = (self.snapshot.facts.get(fact) if self.snapshot else None) or {}
            left_out |= known.get("left_out", {})
        for family in self._families():
            if len(family.samples) > SERIES_MOST:
                name = family.name.removeprefix("routing_ml_")
                left_out[name] = left_out.get(name, 0) + len(family.samples) - SERIES_MOST
                del family.samples[SERIES_MOST:]
            yield family
        yield self._left_out(left_out)

    def _left_out(self, counts: dict[str, int]) -> Metric:
        family = GaugeMetricFamily(
            "routing_ml_series_left_out",
            f"Series of a metric beyond the first {SERIES_MOST}, which are not shown.",
            labels=["metric"],
        )
        for name in sorted({*LABELLED, *counts}):
            family.add_metric([name], float(counts.get(name, 0)))
        return family

    def _families(self) -> Iterator[Metric]:
        yield from self._own()
        if self.snapshot is not None:
            yield from self._predictions(self.snapshot)
            yield from self._drift(self.snapshot)
            yield from self._retraining(self.snapshot)
            yield from self._quality(self.snapshot)
            yield from self._backups(self.snapshot)
            yield from self._key_figures(self.snapshot)
            yield from self._looks(self.snapshot)
            yield from self._sources(self.snapshot)
            yield from evidence.live(self.snapshot)
            yield from evidence.concept(self.snapshot)

    def _own(self) -> Iterator[Metric]:
        readable = self.snapshot is not None
        yield _gauge("up", "1 when the monitoring store could be read, else 0.", readable)
        yield _gauge(
            "uptime_seconds", "Since the exporter started.", self.now - self.process.started_at
        )
        yield _counter("requests", "HTTP requests the exporter answered.", self.process.requests)
        yield _counter("errors", "Of them, those answered with a 5xx.", self.process.errors)
        logins = CounterMetricFamily(
            "routing_ml_logins_refused",
            "Requests without a right password: known to be wrong, or too many to check.",
            labels=["reason"],
        )
        logins.add_metric(["wrong"], self.process.logins_wrong)
        logins.add_metric(["busy"], self.process.logins_busy)
        yield logins
        info = InfoMetricFamily("routing_ml_build", "The version that runs.")
        info.add_metric([], {"version": __version__, "python": platform.python_version()})
        yield info
        yield from OWN_PROCESS.collect()

    def _predictions(self, store: Snapshot) -> Iterator[Metric]:
        total = store.count("predictions")
        seconds = store.count("prediction_seconds")
        yield _counter("predictions", "Items a routing was proposed for.", total)
        yield _counter(
            "prediction_failures",
            "Batches of predictions that failed.",
            store.count("prediction_failures"),
        )
        yield _gauge(
            "prediction_latency_avg",
            "Mean seconds an item, over all predictions.",
            seconds / total if total else 0.0,
        )
        counts = store.labelled("prediction_bucket")
        buckets = _buckets(LATENCY_BUCKETS_SECONDS, counts)
        latency = HistogramMetricFamily(
            "routing_ml_prediction_latency_seconds", "Seconds an item took, its batch's mean."
        )
        latency.add_metric([], buckets, seconds)
        yield latency
        bands = store.labelled("proposals")
        text = "Proposals by band of confidence."
        yield _counters("proposals", text, "confidence", [band for band, _ in BANDS], bands)
        if last := store.facts.get("last_prediction"):
            yield _gauge("last_prediction_timestamp_seconds", "The last batch.", last["at"])

    def _drift(self, store: Snapshot) -> Iterator[Metric]:
        drift = store.facts.get("drift", {})
        kl = "KL divergence, in nats, of the window from the baseline."
        yield _gauge("drift_kl_divergence", kl, drift.get("kl_divergence", 0.0))
        yield _gauge(
            "drift_detected", "1 while the test alarms.", drift.get("drift_detected", False)
        )
        yield _gauge("drift_p_value", "Of the test, in [0, 1].", drift.get("p_value", 1.0))
        severity = GaugeMetricFamily(
            "routing_ml_drift_severity", "1 for the severity that holds.", labels=["severity"]
        )
        for name in SEVERITIES:
            severity.add_metric([name], float(drift.get("severity", "normal") == name))
        yield severity
        yield _gauge("drift_day_verdicts", "Drift days of the last 7.", drift.get("drift_days", 0))
        yield _gauge("drift_window_scores", "In the window.", drift.get("buffer_size", 0))
        yield _gauge("drift_score_mean", "Over the window.", drift.get("buffer_mean", 0.0))
        yield _gauge(
            "retrain_advised", "1 when drift advises it.", drift.get("should_retrain", False)
        )
        if at := drift.get("evaluated_at"):
            yield _gauge("drift_evaluated_timestamp_seconds", "The last evaluation.", at)

    def _retraining(self, store: Snapshot) -> Iterator[Metric]:
        runs = store.labelled("runs")
        yield _counters("retrain_runs", "Retrainings by outcome.", "outcome", OUTCOMES, runs)
        if total := sum(runs.values()):
            ratio = runs.get("success", 0.0) / total
            yield _gauge("retrain_success_ratio", "Over all retrainings, in [0, 1].", ratio)
        if last := store.facts.get("last_run"):
            yield _gauge("retrain_last_success", "1 when the last one did.", last["succeeded"])
            yield _gauge("retrain_last_duration_seconds", "Of the last one.", last["seconds"])
            yield _gauge("retrain_last_timestamp_seconds", "Its end.", last["ended_at"])
        if success := store.facts.get("last_success"):
            at = success["ended_at"]
            yield _gauge("retrain_last_success_timestamp_seconds", "The last good one's end.", at)
        if model := store.facts.get("model"):
            yield from self._model(model)

    def _model(self, model: dict[str, Any]) -> Iterator[Metric]:
        info = InfoMetricFamily("routing_ml_model", "The model in use.")
        info.add_metric([], {"model": str(model["name"])})
        yield info
        yield _gauge("model_created_timestamp_seconds", "Its birth.", model["created_at"])
        yield _gauge("model_age_seconds", "Of the model in use.", self.now - model["created_at"])
        metrics = model.get("metrics", {})
        if (accuracy := metrics.get("exact_match")) is not None:
            text = "Held-out items whose routing the model in use gets exactly, in [0, 1]."
            yield _gauge("model_accuracy", text, accuracy)
        family = GaugeMetricFamily(
            "routing_ml_model_metric", "Its metrics on held-out items.", labels=["metric"]
        )
        for name, value in sorted(metrics.items()):
            if isinstance(value, (int, float)):
                family.add_metric([name], float(value))
        yield family

    def _quality(self, store: Snapshot) -> Iterator[Metric]:
        audit = store.facts.get("audit")
        if audit is None:
            return
        nulls = GaugeMetricFamily(
            "routing_ml_null_ratio", "NULLs in the last extract.", labels=["table", "column"]
        )
        for table, column, ratio in audit["null_ratios"]:
            nulls.add_metric([table, column], ratio)
        yield nulls
        outliers = GaugeMetricFamily(
            "routing_ml_outliers", "Values with |z| > 3 in the last extract.", labels=["column"]
        )
        # The worst first, should there be too many; a store of 2.1.0 has them in any order.
        for column, count in sorted(audit["outliers"].items(), key=lambda entry: -entry[1]):
            outliers.add_metric([column], count)
        yield outliers
        rows = GaugeMetricFamily(
            "routing_ml_extract_rows", "Rows of the last extract.", labels=["table"]
        )
        for table, count in audit["rows"].items():
            rows.add_metric([table], count)
        yield rows

    def _looks(self, store: Snapshot) -> Iterator[Metric]:
        """What the weekly look at the data found; how the last one ended."""
        if last := store.facts.get("quality_run"):
            text = "1 when the last look at the data did."
            yield _gauge("quality_last_success", text, last["succeeded"])
            text = "The last look's end."
            yield _gauge("quality_last_run_timestamp_seconds", text, last["at"])
        if at := store.facts.get("quality_success"):
            text = "The last good look's end."
            yield _gauge("quality_last_success_timestamp_seconds", text, at)
        if (found := store.facts.get("quality")) is None:
            return
        text = "Measures and columns that got worse since the look before."
        yield _gauge("quality_worse", text, found["worse"])
        checks = GaugeMetricFamily(
            "routing_ml_quality_findings", "Of the last good look, by check.", labels=["check"]
        )
        for check, count in found["findings"].items():
            checks.add_metric([check], count)
        yield checks
        columns = GaugeMetricFamily(
            "routing_ml_quality_column_findings",
            "The same by kind and column.",
            labels=["check", "kind", "table", "column"],
        )
        for *labels, count in found["columns"]:
            columns.add_metric(labels, count)
        yield columns

    def _sources(self, store: Snapshot) -> Iterator[Metric]:
        """Which source cannot be reached, and of when the data is that runs use."""
        sources = store.facts.get("sources") or {}
        away = GaugeMetricFamily(
            "routing_ml_source_away",
            "1 when the last run that wanted a source could not reach it.",
            labels=["source"],
        )
        data = GaugeMetricFamily(
            "routing_ml_source_data_timestamp_seconds",
            "The as-of of the data that the last run used.",
            labels=["source"],
        )
        # Those that are away first, should there be too many.
        for name, known in sorted(sources.items(), key=lambda one: not one[1].get("away_since")):
            away.add_metric([name], float(known.get("away_since") is not None))
            if (as_of := known.get("as_of")) is not None:
                data.add_metric([name], as_of)
        yield away
        yield data

    def _backups(self, store: Snapshot) -> Iterator[Metric]:
        counts = store.labelled("backups")
        yield _counters("backups", "Backups by how they ended.", "result", OUTCOMES, counts)
        if last := store.facts.get("backup"):
            text = "When the last good backup had been restored and read again."
            yield _gauge("backup_last_verified_timestamp_seconds", text, last["at"])
            yield _gauge("backup_bytes", "What it holds.", last["bytes"])
            yield _gauge("backup_new_bytes", "Of them, no earlier one held.", last["new_bytes"])
            yield _gauge("backup_seconds", "What it took, verified.", last["seconds"])

    def _key_figures(self, store: Snapshot) -> Iterator[Metric]:
        ended = CounterMetricFamily(
            "routing_ml_retrain_ended",
            "Retrainings by what started them and how they ended.",
            labels=["cause", "outcome"],
        )
        counts = store.labelled("retrain_ended")
        for cause in CAUSES:
            for outcome in OUTCOMES:
                ended.add_metric([cause, outcome], counts.get(f"{cause}/{outcome}", 0.0))
        yield ended
        text = "Retrainings that ended well and for which nobody had to do anything."
        yield _counter("retrain_unattended", text, store.count("retrain_unattended"))
        text = "What a person did for retrainings and models."
        yield _counters("hands", text, "action", HANDS, store.labelled("hands"))
        text, counts = "Drift alarms by what came of them.", store.labelled("drift_alarms")
        yield _counters("drift_alarms", text, "outcome", ALARM_OUTCOMES, counts)
        answered = HistogramMetricFamily(
            "routing_ml_drift_response_seconds",
            "From an alarm, and from the advice to retrain, to a new model in use.",
            labels=["since"],
        )
        sums = store.labelled("drift_response_seconds")
        counts = store.labelled("drift_response_bucket")
        for since in SINCE:
            own = {
                key.removeprefix(f"{since}/"): n
                for key, n in counts.items()
                if key.startswith(f"{since}/")
            }
            buckets = _buckets(RESPONSE_BUCKETS_SECONDS, own)
            answered.add_metric([since], buckets, sums.get(since, 0.0))
        yield answered
        alarm = store.facts.get("drift_alarm") or {}
        if (advised_at := alarm.get("advised_at")) is not None:
            text = "Since when an alarm that no retraining has judged yet calls for one."
            yield _gauge("drift_advised_timestamp_seconds", text, advised_at)


def _buckets(bounds: Sequence[float], counts: Mapping[str, float]) -> list[tuple[str, float]]:
    """A histogram's buckets, each with those below it, from the counts by number."""
    buckets, below = [], 0.0
    for index, bound in enumerate((*bounds, "+Inf")):
        below += counts.get(str(index), 0.0)
        buckets.append((str(bound), below))
    return buckets


def as_json(process: Process, snapshot: Snapshot | None, now: float) -> dict[str, Any]:
    """The same metrics as one JSON object: the first version's names, then every sample."""
    samples = [
        {"name": sample.name, "labels": sample.labels, "value": float(sample.value)}
        for family in Collector(process, snapshot, now).collect()
        for sample in family.samples
    ]
    plain = {entry["name"]: entry["value"] for entry in samples if not entry["labels"]}
    names = ("uptime_seconds", "requests_total", "errors_total")
    stored = ("predictions_total", "prediction_latency_avg", "drift_kl_divergence")
    first = {name: plain.get(f"routing_ml_{name}") for name in (*names, *stored)}
    stamp = datetime.fromtimestamp(now).astimezone().isoformat()
    return {**first, "up": snapshot is not None, "timestamp": stamp, "samples": samples}


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"routing_ml_{name}", text, value=float(value))


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(f"routing_ml_{name}", text, value=value)


def _counters(
    name: str, text: str, label: str, values: Sequence[str], counts: Mapping[str, float]
) -> CounterMetricFamily:
    """A counter for each value of a label, 0 where nothing was counted."""
    family = CounterMetricFamily(f"routing_ml_{name}", text, labels=[label])
    for value in values:
        family.add_metric([value], counts.get(value, 0.0))
    return family
