"""The monitoring store: what predictions, drift evaluations, audits and retrainings leave for the
exporter to show. Totals are counters kept up to date by the writers, so reading them costs the
same whatever the history; details have a retention.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from routing_ml import clock
from routing_ml.store.evidence import Evidence
from routing_ml.store.keyfigures import KeyFigures
from routing_ml.store.looks import SERIES_MOST as SERIES_MOST
from routing_ml.store.looks import Looks
from routing_ml.store.records import as_json

LATENCY_BUCKETS_SECONDS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
# A proposal's confidence band begins at its figure.
BANDS = (("high", 0.8), ("medium", 0.5), ("low", 0.0))
DETAILS_DAYS = 180
JUDGED_DAYS = 730
DRIFT_DAYS_LIMIT = 5
DRIFT_DAYS_OF = 7
KL_LIMIT = 1.0
PRUNE_ROWS = 20_000

EMPTY_DRIFT: Mapping[str, Any] = {
    "drift_detected": False,
    "kl_divergence": 0.0,
    "threshold": 0.0,
    "p_value": 1.0,
    "severity": "normal",
    "buffer_size": 0,
    "buffer_mean": 0.0,
    "buffer_std": 0.0,
    "drift_days": 0,
    "should_retrain": False,
}


@dataclass(frozen=True)
class Detector:
    """A model's drift detector as it was last saved; `state` is None right after a reset."""

    model: str
    epoch: int
    last_prediction: int
    state: dict[str, Any] | None


class Store(KeyFigures, Looks, Evidence):
    """Writes to the monitoring store and reads it; one object a thread.

    A batch is one transaction: after a method has returned, a killed process loses nothing of it.
    """

    def record_predictions(
        self,
        items: Sequence[str],
        scores: Sequence[float],
        confidences: Sequence[float],
        *,
        model: str,
        seconds: float,
        at: float | None = None,
        batch: str | None = None,
        novelties: Sequence[float] | None = None,
    ) -> None:
        """Record one batch of predictions: one entry an item, not an operation.

        `scores` are similarities to the nearest past item, `confidences` the proposals'; `seconds`
        is what the whole batch took, `at` seconds since 1970 (now), `novelties` how much of what
        tells of each item no past item had. Scores that are no number are
        kept too: the drift detector counts them apart. Where `batch` names it, a batch that was
        recorded is not recorded again: a task may be tried twice.
        """
        news = [None] * len(items) if novelties is None else [_finite(new) for new in novelties]
        if not len(items) == len(scores) == len(confidences) == len(news):
            raise ValueError("items, scores, confidences and novelties must be of one length")
        if not len(items):
            return
        at = clock.seconds() if at is None else at
        each = max(float(seconds), 0.0) / len(items)
        finite = [_finite(value) for value in confidences]
        bands: dict[str, int] = {}
        for confidence in finite:
            if confidence is not None:
                band = _band(confidence)
                bands[band] = bands.get(band, 0) + 1
        bucket = bisect_left(LATENCY_BUCKETS_SECONDS, each)
        counts: dict[tuple[str, str], float] = {
            ("predictions", ""): len(items),
            ("prediction_batches", ""): 1,
            ("prediction_seconds", ""): each * len(items),
            ("prediction_bucket", str(bucket)): len(items),
            **{("proposals", band): n for band, n in bands.items()},
        }
        rows = [
            (at, str(item), model, _unless_nan(score), confidence, each, new)
            for item, score, confidence, new in zip(items, scores, finite, news, strict=True)
        ]
        with self.transaction():
            if batch is not None and not self.claim("batch", batch):
                return
            self.add(counts)
            self.database.run_many(
                "INSERT INTO predictions (at, item_cd, model, score, confidence, seconds,"
                " novelty) VALUES (?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            last = self.fact("last_prediction")
            if last is None or last["at"] <= at:  # else of a run of the past
                self.set_fact("last_prediction", {"at": at, "model": model}, at)

    def record_prediction_failure(self) -> None:
        """Count one batch of predictions that failed."""
        with self.transaction():
            self.add({("prediction_failures", ""): 1})

    def record_run(
        self,
        run: str,
        *,
        succeeded: bool,
        seconds: float,
        ended_at: float | None = None,
        cause: str = "schedule",
        started_by: str = "other",
        hands: Collection[str] = (),
        unless_known: bool = False,
        learned: bool = True,
        **outcome: Any,
    ) -> None:
        """Record how a retraining ended; a second call for the same `run` replaces the first, or
        changes nothing where it is to be recorded `unless_known`.

        `cause` is what started it, in words, `started_by` in one (CAUSES); `hands` what a person
        did for it (HANDS); `outcome` is any JSON beside it, such as model, promoted, reason. A
        corrected outcome moves the totals too. One that succeeded and has not `learned`, for there
        was nothing new, is not the last success: that goes on ageing.
        """
        ended_at = clock.seconds() if ended_at is None else ended_at
        facts = {"run": run, "succeeded": succeeded, "seconds": seconds, "ended_at": ended_at}
        value = {**outcome, **facts, "cause": cause}
        with self.transaction():
            before = self.known_retraining(run)
            if before is None:  # a run that an earlier release recorded
                found = self.database.rows("SELECT succeeded FROM runs WHERE run = ?", (run,))
                before = bool(found[0][0]) if found else None
            if before is not None and unless_known:
                return
            if before is not None:
                self.add({("runs", _outcome(before)): -1})
            self.add({("runs", _outcome(succeeded)): 1})
            self.count_retraining(
                run, cause=started_by, succeeded=succeeded, hands=hands, ended_at=ended_at
            )
            self.database.run(
                "INSERT INTO runs (run, ended_at, succeeded, outcome) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (run) DO UPDATE SET ended_at = excluded.ended_at,"
                " succeeded = excluded.succeeded, outcome = excluded.outcome",
                (run, ended_at, int(succeeded), as_json(value)),
            )
            for name, tells in (("last_run", True), ("last_success", succeeded and learned)):
                last = self.fact(name)
                if tells and (last is None or last["ended_at"] <= ended_at):
                    self.set_fact(name, value, ended_at)

    def record_model(self, name: str, *, created_at: float, metrics: Mapping[str, Any]) -> None:
        """Tell which model is in use, since when it exists, and what `evaluate` says of it.

        To be called after every promotion and rollback.
        """
        value = {"name": name, "created_at": created_at, "metrics": dict(metrics)}
        with self.transaction():
            if self._watched() not in (None, name):  # what is known is of the other model
                # The watch itself was never silent meanwhile.
                looked = {"evaluated_at": self.drift_status().get("evaluated_at")}
                self.set_fact("drift", self._last_status(name) | looked)
            self.set_fact("model", value)

    def record_audit(
        self,
        null_ratios: Mapping[str, Mapping[str, float]],
        *,
        outliers: Mapping[str, int] | None = None,
        rows: Mapping[str, int] | None = None,
    ) -> None:
        """Record an extract's data quality: NULL ratio by table and column, in [0, 1], numeric
        outliers by column, rows by table; of each the `SERIES_MOST` greatest, and how many more
        there were. It replaces what the last audit said."""
        ratios = [
            (table, column, float(ratio))
            for table, columns in null_ratios.items()
            for column, ratio in columns.items()
        ]
        ratios.sort(key=lambda entry: -entry[2])
        worst = sorted((outliers or {}).items(), key=lambda entry: -entry[1])
        largest = sorted((rows or {}).items(), key=lambda entry: -entry[1])
        counts = {"null_ratio": len(ratios), "outliers": len(worst), "extract_rows": len(largest)}
        value = {
            "null_ratios": ratios[:SERIES_MOST],
            "outliers": dict(worst[:SERIES_MOST]),
            "rows": dict(largest[:SERIES_MOST]),
            "left_out": {name: max(n - SERIES_MOST, 0) for name, n in counts.items()},
        }
        with self.transaction():
            self.set_fact("audit", value)

    def detector(self, model: str) -> Detector | None:
        """The saved detector of a model, None before its first evaluation."""
        found = self.database.rows(
            "SELECT epoch, last_prediction, state FROM detectors WHERE model = ?", (model,)
        )
        if not found:
            return None
        epoch, last, state = found[0]
        return Detector(model, epoch, last, json.loads(state))

    def predictions_after(
        self, last: int, *, model: str, limit: int = 50_000
    ) -> list[tuple[int, str, float, float]]:
        """(id, item, score, at) of that model's predictions after id `last`, oldest first, at most
        `limit`. A missing score comes as nan."""
        found = self.database.rows(
            "SELECT id, item_cd, score, at FROM predictions WHERE id > ? AND model = ?"
            " ORDER BY id LIMIT ?",
            (last, model, limit),
        )
        return [(i, item, math.nan if s is None else s, at) for i, item, s, at in found]

    def last_prediction(self) -> int:
        """The highest id of any prediction, 0 when there is none."""
        return int(self.database.rows("SELECT coalesce(max(id), 0) FROM predictions")[0][0])

    def save_detector(self, detector: Detector, status: Mapping[str, Any], *, day: date) -> None:
        """Save the detector of the model in use after an evaluation, and the verdict of its day
        so far.

        `status` is `DriftDetector.status()`. The day's last evaluation is the day's verdict.
        """
        at = clock.seconds()
        with self.transaction():
            before = self._last_status(detector.model).get("advised_since")
            verdict = (
                day.isoformat(),
                detector.model,
                at,
                detector.epoch,
                int(status["drift_detected"]),
                float(status["kl_divergence"]),
                float(status["p_value"]),
                str(status["severity"]),
                int(status["buffer_size"]),
            )
            self.database.run(
                "INSERT INTO drift_verdicts (day, model, at, epoch, detected, kl, p_value,"
                " severity, scores) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (day, model) DO UPDATE SET"
                " at = excluded.at, epoch = excluded.epoch,"
                " detected = excluded.detected, kl = excluded.kl, p_value = excluded.p_value,"
                " severity = excluded.severity, scores = excluded.scores",
                verdict,
            )
            days = self._drift_days(detector, day)
            kl = float(status["kl_divergence"])
            advised = days >= DRIFT_DAYS_LIMIT or kl > KL_LIMIT
            seen = {
                **status,
                "model": detector.model,
                "drift_days": days,
                "should_retrain": advised,
                "advised_since": (before or day.isoformat()) if advised else None,
                "evaluated_at": at,
            }
            self._put_detector(detector, seen)
            self.set_fact("drift", seen, at)
            self.add({("drift_evaluations", ""): 1})
            on = bool(status["drift_detected"]) or advised
            watch = f"{detector.model}/{detector.epoch}"
            self.note_alarm(watch=watch, on=on, advised=advised, day=day, at=at)

    def reset_drift(self, *, why: str = "request") -> None:
        """Begin anew with the model that is watched: an empty window, no drift days, nothing from
        before counted.

        The verdicts of past days stay in the summary.
        """
        with self.transaction():
            model, now = self._watched(), clock.seconds()
            empty = {**EMPTY_DRIFT, "reset_at": now, "reset_because": why}
            if model is not None:
                empty["model"] = model
                old = self.detector(model)
                epoch = old.epoch + 1 if old else 1
                self._put_detector(Detector(model, epoch, self.last_prediction(), None), empty)
            self.set_fact("drift", empty, now)
            self.add({("drift_resets", ""): 1})
            self.dismiss_alarm()

    def drift_status(self) -> dict[str, Any]:
        """The last evaluation's status, with `drift_days` and `should_retrain`."""
        return dict(self.fact("drift") or EMPTY_DRIFT)

    def drift_summary(self, days: int = DRIFT_DAYS_OF, *, today: date | None = None) -> dict:
        """The verdicts of the last `days` days, today included, as the exporter's JSON.

        `events` are the drift days, newest first; means and maxima are over days evaluated, and 0
        where there are none.
        """
        verdicts = self.drift_verdicts(days, today=today)
        events = [
            {name: value for name, value in one.items() if name != "detected"}
            for one in reversed(verdicts)
            if one["detected"]
        ]
        kls = [one["kl_divergence"] for one in verdicts]
        return {
            **empty_summary(days),
            "drift_count": len(events),
            "max_kl_divergence": max(kls, default=0.0),
            "avg_kl_divergence": sum(kls) / len(kls) if kls else 0.0,
            "should_retrain": bool(self.drift_status()["should_retrain"]),
            "events": events,
        }

    def drift_verdicts(self, days: int, *, today: date | None = None) -> list[dict[str, Any]]:
        """The verdict of each of the last `days` days that was evaluated, today included, oldest
        first; `detected` says whether it was a drift day."""
        last = today or date.fromtimestamp(clock.seconds())
        first = last - timedelta(days=days - 1)
        found = self.database.rows(
            "SELECT day, at, detected, kl, p_value, severity, scores, model FROM drift_verdicts"
            " WHERE day >= ? AND day <= ? ORDER BY day, at",
            (first.isoformat(), last.isoformat()),
        )
        # On the day of a switch each model has a verdict: the later one is the day's.
        found = list({row[0]: row for row in found}.values())
        return [
            {
                "day": day,
                "evaluated_at": at,
                "kl_divergence": kl,
                "p_value": p,
                "severity": severity,
                "scores": scores,
                "model": model,
                "detected": bool(detected),
            }
            for day, at, detected, kl, p, severity, scores, model in found
        ]

    def knows_run(self, run: str) -> bool:
        """Whether that run was recorded."""
        return bool(self.database.rows("SELECT 1 FROM runs WHERE run = ?", (run,)))

    def runs(self, limit: int = 50) -> list[dict[str, Any]]:
        """The last runs recorded, newest first."""
        found = self.database.rows(
            "SELECT outcome FROM runs ORDER BY ended_at DESC LIMIT ?", (limit,)
        )
        return [json.loads(outcome) for (outcome,) in found]

    def prune(self, *, older_than_days: float = DETAILS_DAYS, now: float | None = None) -> int:
        """Forget details older than that, never totals; returns how many rows went. What planners'
        routings said of proposals stays for two years.

        In small transactions, so that no writer waits long.
        """
        now = clock.seconds() if now is None else now
        before = now - older_than_days * 86400
        gone = self._forget("predictions", "at", before)
        gone += self._forget("shadow_proposals", "at", before)
        gone += self._forget("judged", "judged_at", now - JUDGED_DAYS * 86400)
        with self.transaction():
            gone += self.database.run("DELETE FROM drift_verdicts WHERE at < ?", (before,))
            gone += self.database.run(
                "DELETE FROM detectors WHERE model <> ?"
                " AND model NOT IN (SELECT model FROM drift_verdicts)",
                (self._watched() or "",),
            )
            day = datetime.fromtimestamp(before, UTC).date().isoformat()
            for table in ("concept_detectors", "worked"):
                gone += self.database.run(f"DELETE FROM {table} WHERE day < ?", (day,))  # noqa: S608
            gone += self.database.run("DELETE FROM runs WHERE ended_at < ?", (before,))
            judged = now - JUDGED_DAYS * 86400  # an item may wait for long, and was seen
            gone += self.database.run("DELETE FROM seen_proposals WHERE at < ?", (judged,))
        return gone

    def _forget(self, table: str, at: str, before: float) -> int:
        """Remove the rows of a table from before a time, some at a time; how many they were."""
        gone = 0
        while True:
            with self.transaction():
                some = self.database.run(
                    f"DELETE FROM {table} WHERE id IN"  # noqa: S608 - our tables
                    f" (SELECT id FROM {table} WHERE {at} < ? ORDER BY {at} LIMIT ?)",
                    (before, PRUNE_ROWS),
                )
            gone += some
            if some < PRUNE_ROWS:
                return gone

    def _watched(self) -> str | None:
        """The model whose drift is watched, None before the first evaluation."""
        if (model := self.drift_status().get("model")) is not None:
            return str(model)
        found = self.database.rows("SELECT model FROM detectors ORDER BY model DESC LIMIT 1")
        return found[0][0] if found else None

    def _last_status(self, model: str) -> dict[str, Any]:
        """What was last known of a model's drift: one that comes back into use brings it along."""
        found = self.database.rows("SELECT status FROM detectors WHERE model = ?", (model,))
        known = json.loads(found[0][0]) if found and found[0][0] else EMPTY_DRIFT
        return {**known, "model": model}

    def _put_detector(self, detector: Detector, status: Mapping[str, Any]) -> None:
        self.database.run(
            "INSERT INTO detectors (model, epoch, last_prediction, state, status)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT (model) DO UPDATE SET"
            " epoch = excluded.epoch, last_prediction = excluded.last_prediction,"
            " state = excluded.state, status = excluded.status",
            (
                detector.model,
                detector.epoch,
                detector.last_prediction,
                as_json(detector.state),
                as_json(status),
            ),
        )

    def _drift_days(self, detector: Detector, day: date) -> int:
        first = day - timedelta(days=DRIFT_DAYS_OF - 1)
        found = self.database.rows(
            "SELECT count(*) FROM drift_verdicts WHERE day >= ? AND day <= ? AND model = ?"
            " AND epoch = ? AND detected = 1",
            (first.isoformat(), day.isoformat(), detector.model, detector.epoch),
        )
        return int(found[0][0])


def empty_summary(days: int) -> dict[str, Any]:
    """The drift summary of a store that knows no verdict."""
    return {
        "period_days": days,
        "drift_count": 0,
        "max_kl_divergence": 0.0,
        "avg_kl_divergence": 0.0,
        "should_retrain": False,
        "events": [],
    }


def _outcome(succeeded: Any) -> str:
    return "success" if succeeded else "failure"


def _band(confidence: float) -> str:
    return next((band for band, least in BANDS if confidence >= least), BANDS[-1][0])


def _unless_nan(value: Any) -> float | None:
    number = float("nan") if value is None else float(value)
    return None if math.isnan(number) else number


def _finite(value: Any) -> float | None:
    number = _unless_nan(value)
    return number if number is not None and math.isfinite(number) else None
