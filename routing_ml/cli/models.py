"""Commands of models and the registry, from `train` to `prune`."""

import argparse
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from routing_ml.cli.shared import Result, figure, say, user
from routing_ml.errors import ModelError, tried
from routing_ml.settings import Settings

if TYPE_CHECKING:
    from routing_ml.registry import Registry


def train(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml import dataset, pipeline

    material = pipeline.Material(dataset.load(options.dataset))
    key = f"command__{datetime.now(UTC):%Y-%m-%dT%H%M%S.%fZ}/{options.candidate}"
    version = pipeline.fit_and_register(
        pipeline.registry(settings), material, options.candidate, key=key
    )
    return {
        "model": version.name,
        "candidate": options.candidate,
        "metrics": version.manifest["metrics"],
        "intervals": version.manifest["intervals"],
    }, ""


def evaluate(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml import dataset, pipeline

    version = pipeline.registry(settings).get(options.model)
    found = pipeline.evaluate(version, dataset.load(options.dataset))
    return {"model": version.name} | found, ""


def models(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml.registry import Registry

    registry = Registry(settings.home / "models")
    try:
        active, trouble = registry.active(), []
    except ModelError as error:  # the list is what helps out of it
        active, trouble = None, [f"! {error}"]
    rows = [
        {
            "model": version.name,
            "candidate": version.manifest["candidate"],
            "as_of": version.manifest["as_of"],
            "exact_match": version.manifest["metrics"].get("exact_match"),
            "active": active is not None and version.name == active.name,
        }
        for version in registry.versions()
    ]
    lines = [
        f"{'*' if row['active'] else ' '} {row['model']}  {row['candidate']:10} "
        f"exact {figure(row['exact_match'])}  as of {row['as_of']}"
        for row in rows
    ]
    text = "\n".join([*lines, *trouble]) or "no model yet: 'routing-ml retrain' makes one"
    return {"models": rows, "history": registry.history(), "damaged": registry.damaged()}, text


def promote(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml.pipeline import monitor
    from routing_ml.registry import Registry

    registry = Registry(settings.home / "models")
    place = _place(registry)
    version = registry.promote(options.model, who=user(), why=options.why)
    _tell(settings, place)
    monitor.record_model(settings)
    return {"model": version.name}, f"{version.name} is in use"


def rollback(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml.pipeline import monitor
    from routing_ml.registry import Registry

    registry = Registry(settings.home / "models")
    place = _place(registry)
    version = registry.rollback(who=user(), why=options.why)
    _tell(settings, place)
    monitor.record_model(settings)
    return {"model": version.name}, f"{version.name} is in use again"


def _place(registry: "Registry") -> str | None:
    """Where the history of switches ends; None where it cannot be read, which ends no switch."""
    with suppress(ModelError):
        return registry.place()
    return None


def _tell(settings: Settings, place: str | None) -> None:
    """Tell people of what was switched since; whom nobody can tell now is told later."""
    from routing_ml.pipeline import tell_switches

    if trouble := tried(partial(tell_switches, settings, place)):
        say(f"nobody could be told of it yet: {trouble}")


def prune(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml import pipeline

    removed = pipeline.prune(settings)
    text = ", ".join(
        f"{found if isinstance(found, int) else len(found)} {kind}"
        for kind, found in removed.items()
    )
    text = f"removed: {text}"
    return removed, text
