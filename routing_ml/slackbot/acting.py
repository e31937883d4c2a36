"""What those who may can have done: retrain, put a model into use, go back, answer a run.

Each order changes something once, however often it is carried out: a run is started under the
order's own id, a switch names the place in the history that it was asked at and is signed with the
order's id, and a run takes one answer.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from routing_ml.errors import InputError, RoutingError, tried
from routing_ml.notices import ANSWERS, ASKING_DAG
from routing_ml.pipeline import monitor, tell_switches
from routing_ml.registry import Registry, Version
from routing_ml.settings import Settings
from routing_ml.slackbot import approval
from routing_ml.slackbot.airflow_api import Airflow
from routing_ml.slackbot.blocks import Button, Said
from routing_ml.slackbot.claims import Order

ACTS = RETRAIN, PROMOTE, ROLLBACK, ANSWER = "retrain", "promote", "rollback", "answer"
CANCEL = "routing_ml_cancel"
CONFIRMED = {"routing_ml_promote": PROMOTE, "routing_ml_rollback": ROLLBACK}
ACTIONS = {**CONFIRMED, **dict.fromkeys(ANSWERS, ANSWER)}
"""What each button has done, by its id."""
RUN = "slack__"
"""What the id of a run begins with that was started from Slack."""
MAX_WHY = 300
BY_HAND = "by hand"


def perform(settings: Settings, airflow: Airflow, order: Order) -> Said:
    """Carry out an order; what came of it. RoutingError where nothing was done."""
    if order.what == RETRAIN:
        return _retrain(settings, airflow, order)
    if order.what == ANSWER:
        return approval.answer(settings, airflow, order)
    return _switch(settings, order)


def ask_promotion(settings: Settings, text: str) -> Said:
    """The question whether a version is to be put into use, `text` being its name and why."""
    name, _, why = text.strip().partition(" ")
    if not name:
        raise InputError("promote needs a version, such as: promote model_20261101_020000 and why")
    registry = Registry(settings.home / "models")
    place, active, version = registry.place(), registry.active(), registry.get(name)
    if active and active.name == version.name:
        return Said(f"{version.name} is in use already")
    lines = [_figures(version), _figures(active) if active else "No model is in use yet."]
    return _confirm(
        f"Put {version.name} into use?",
        lines,
        Button("Put it into use", "routing_ml_promote", _switched(version, active, place, why)),
    )


def ask_rollback(settings: Settings, why: str) -> Said:
    """The question whether the version before is to be used again."""
    registry = Registry(settings.home / "models")
    place, active, version = registry.place(), registry.active(), registry.previous()
    if version is None or active is None:
        return Said("There is no earlier version to go back to")
    return _confirm(
        f"Go back to {version.name}?",
        [_figures(version), _figures(active)],
        Button("Go back to it", "routing_ml_rollback", _switched(version, active, place, why)),
    )


def _retrain(settings: Settings, airflow: Airflow, order: Order) -> Said:
    run = f"{RUN}{order.id}"  # of the order alone: the same however often it is carried out
    airflow.trigger(ASKING_DAG, run, note=f"asked for by {order.who}")
    return Said("A retraining has begun", f"Run: {run}", settings.run_address(ASKING_DAG, run))


def _switch(settings: Settings, order: Order) -> Said:
    """Put a version into use, where nobody has switched since it was asked about."""
    asked, registry = order.arguments, Registry(settings.home / "models")
    target, before, place = (asked.get(name) for name in ("to", "from", "place"))
    if not isinstance(target, str):
        raise RoutingError("this button names no version; ask again")
    sign = f"[slack {order.id}]"
    # A bot that was killed has done it, and could not say so.
    if not any(entry["why"].endswith(sign) for entry in registry.history()):
        why = f"{asked.get('why') or BY_HAND} {sign}"
        if order.what == PROMOTE:
            registry.promote(target, who=order.who, why=why, instead_of=before, after=place)
        else:
            registry.rollback(who=order.who, why=why, after=place)
    # Whom nobody can tell now is told later, by the outbox.
    tried(partial(tell_switches, settings, place))
    uncounted = tried(partial(monitor.record_model, settings))
    again = " again" if order.what == ROLLBACK else ""
    text = f"Before: {before or 'no model'}\nBy {order.who}: {asked.get('why') or BY_HAND}"
    return Said(
        f"{target} is in use{again}",
        f"{text}\nThe monitoring store was not told: {uncounted}" if uncounted else text,
    )


def _switched(
    version: Version, active: Version | None, place: str | None, why: str
) -> Mapping[str, Any]:
    """What a button that confirms a switch carries."""
    reason = " ".join(why.split())[:MAX_WHY]
    return {
        "to": version.name,
        "from": active.name if active else None,
        "place": place,
        "why": reason,
    }


def _confirm(title: str, lines: list[str], yes: Button) -> Said:
    said = f"Why: {yes.value['why'] or BY_HAND}"
    no = Button("Leave it as it is", CANCEL, {})
    return Said(
        title,
        "\n".join([*lines, said]),
        buttons=(Button(yes.text, yes.action, yes.value, "danger"), no),
    )


def _figures(version: Version) -> str:
    exact = version.manifest["metrics"].get("exact_match")
    right = "" if exact is None else f", {exact:.1%} exactly right when it was compared"
    return (
        f"{version.name}: {version.manifest['candidate']}{right}, as of {version.manifest['as_of']}"
    )
