"""What anyone of the workspace may ask: how things stand, the models, drift, why a routing."""

import threading
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from routing_ml.errors import InputError, ModelError, tried
from routing_ml.registry import Registry
from routing_ml.settings import DEFAULT_SOURCE, Settings
from routing_ml.slackbot.blocks import Said
from routing_ml.store import Store, StoreMissingError

if TYPE_CHECKING:
    from routing_ml.dataset import Dataset

SHOWN_VERSIONS = 15
MAX_CODE = 200
DATA_S = 300.0
"""How long the source's items are believed before they are read again."""


def status(settings: Settings) -> Said:
    """The model in use and since when, the last run, drift, how right the proposals are."""
    from routing_ml.pipeline import monitor

    registry, lines = Registry(settings.home / "models"), []
    active = registry.active()
    title = f"{active.name} is in use" if active else "No model is in use yet"
    if active and (last := _last_switch(registry, active.name)):
        when = settings.moment(datetime.fromisoformat(last["at"]))
        lines.append(f"Since {when:%Y-%m-%d %H:%M}, by {last['who']}: {last['why']}")
    try:
        with closing(Store(settings.store_url, write=False)) as store:
            runs = store.runs(1)
        lines += [_run(settings, run) for run in runs] or ["No retraining has ended yet."]
        lines.append(_drift(monitor.drift_status(settings)))
        lines += [_live(one) for one in monitor.live_status(settings).get("all") or ()]
    except StoreMissingError:
        lines.append("No retraining has ended yet.")
    return Said(title, "\n".join(lines))


def models(settings: Settings) -> Said:
    """The versions, newest first; which one is in use."""
    registry = Registry(settings.home / "models")
    try:
        active, trouble = registry.active(), ""
    except ModelError as error:
        active, trouble = None, f"\n{error}"
    versions = registry.versions()[::-1]
    lines = []
    for version in versions[:SHOWN_VERSIONS]:
        exact = version.manifest["metrics"].get("exact_match")
        used = "in use: " if active and version.name == active.name else ""
        right = "" if exact is None else f", {exact:.1%} exactly right when it was compared"
        lines.append(f"{used}{version.name} ({version.manifest['candidate']}){right}")
    if len(versions) > SHOWN_VERSIONS:
        lines.append(f"and {len(versions) - SHOWN_VERSIONS} older ones")
    title = f"{len(versions)} versions" if versions else "No model yet: ask for 'retrain'"
    return Said(title, "\n".join(lines) + trouble)


def drift(settings: Settings) -> Said:
    """Whether new items still resemble the past ones, and the drift days of the last week."""
    from routing_ml.pipeline import monitor

    found = monitor.drift_status(settings)
    events = monitor.drift_summary(settings, 7)["events"]
    lines = [
        f"{event['day']}: KL divergence {event['kl_divergence']:.2f} ({event['severity']}), "
        f"{event['scores']:,} items"
        for event in events
    ]
    if found.get("should_retrain"):
        lines.append("A retraining is advised.")
    return Said(_drift(found), "\n".join(lines))


class Explainer:
    """Says why a routing is proposed for an item; a question, which no drift watch counts."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._read: tuple[float, Dataset] | None = None

    def explain(self, code: str) -> Said:
        """The proposal for an item of the source and its reasons. InputError where there is none
        of that code."""
        from routing_ml import pipeline
        from routing_ml.proposals import explain, predict

        code = code.strip()
        if not 0 < len(code) <= MAX_CODE:
            raise InputError("explain needs the code of one item, such as: explain A-1001")
        settings = self.settings
        predictor = predict.Predictor(Registry(settings.home / "models"))
        model = predictor.model  # before the source is read: without one it is read for nothing
        items = predict.listed(self._data(), [code])
        found = explain(model, items, str(items["ITEM_CD"].iloc[0]))
        tried(partial(pipeline.monitor.record_seen, settings, [found.item], how="slack"))
        first, _, rest = found.as_text().partition("\n")
        return Said(f"{found.item}: {' '.join(_jobs(found.proposal))}", f"{first}\n{rest}")

    def _data(self) -> "Dataset":
        """The source's items; of several who ask at once one reads, and the others wait."""
        from routing_ml import pipeline
        from routing_ml.source import Columns

        with self._lock:
            if self._read is None or time.monotonic() - self._read[0] > DATA_S:
                columns = Columns.load(self.settings.columns.get(DEFAULT_SOURCE))
                data, _ = pipeline.source_data(
                    self.settings, DEFAULT_SOURCE, columns=columns,
                    as_of=self.settings.moment(None), say=lambda line: None,
                )  # fmt: skip
                self._read = (time.monotonic(), data)
            return self._read[1]


def _jobs(proposal: list[dict[str, Any]]) -> list[str]:
    return [str(row["JOB_CD"]) for row in proposal]


def _last_switch(registry: Registry, name: str) -> dict[str, Any] | None:
    found = [entry for entry in registry.history() if entry["to"] == name]
    return found[-1] if found else None


def _run(settings: Settings, run: Mapping[str, Any]) -> str:
    ended = settings.moment(datetime.fromtimestamp(run["ended_at"], UTC))
    word = "succeeded" if run["succeeded"] else "failed"
    reason = f": {run['reason']}" if run.get("reason") else ""
    return f"The last retraining {word} on {ended:%Y-%m-%d %H:%M}{reason}"


def _drift(found: Mapping[str, Any]) -> str:
    from routing_ml.drift import describe

    if "evaluated_at" not in found:
        return "Drift was not evaluated yet"
    return f"{'Drift' if found['drift_detected'] else 'No drift'}: {describe(found)}"


def _live(one: Mapping[str, Any]) -> str:
    if not one["items"]:
        return "No proposal of the last 28 days has been judged by planners' routings."
    return (
        f"Of {one['items']:,} proposals that planners' routings judged in the last 28 days "
        f"{one['exact']:.1%} were exactly right (between {one['low']:.1%} and {one['high']:.1%})."
    )
