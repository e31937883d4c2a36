"""Answers what a run asks, by the button of a notice: of the one task that asks, of the very model
that the notice names, and only once, whoever else answers meanwhile.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from routing_ml import pipeline
from routing_ml.errors import RoutingError
from routing_ml.notices import ANSWERS, ASKING_DAG, ASKING_TASK, ENDED, closed
from routing_ml.settings import Settings
from routing_ml.slackbot.airflow_api import Airflow
from routing_ml.slackbot.blocks import Said
from routing_ml.slackbot.claims import Order

MAX_RUN = 250


def answer(settings: Settings, airflow: Airflow, order: Order) -> Said:
    """Give an answer, unless there is one; what has been answered, by whom. RoutingError where a
    button is another task's, or what it is about is no longer asked."""
    asks, option = order.arguments["asks"], ANSWERS[order.arguments["action"]]
    run = _run(asks)
    link = settings.run_address(ASKING_DAG, run)
    question, state = _asked(airflow, run)
    shut = closed(state)
    if shut and state not in ENDED:
        raise RoutingError(shut)
    if question.get("response_received"):
        return _answered(settings, question, link)
    if shut:
        raise RoutingError(shut)
    _same_model(settings, run, asks)
    if option not in question.get("options", ()):
        raise RoutingError(f"that run does not offer {option!r}; answer on its page in Airflow")
    if airflow.answer(ASKING_DAG, run, ASKING_TASK, option=option, why=signed(order)):
        return Said(f"{option}: answered by {order.who.removeprefix('Slack: ')}", link=link)
    question, state = _asked(airflow, run)
    if not question.get("response_received"):  # it was cleared meanwhile
        raise RoutingError(closed(state) or closed(None))
    return _answered(settings, question, link)


def _asked(airflow: Airflow, run: str) -> tuple[dict[str, Any], str | None]:
    """What a run asks, and the state of the task that does; RoutingError where it asks nothing."""
    question = airflow.question(ASKING_DAG, run, ASKING_TASK)
    if question is None:
        raise RoutingError("that run asks nothing any more; look at its page in Airflow")
    return question, (question.get("task_instance") or {}).get("state")


def signed(order: Order) -> str:
    """What Airflow is told of who answers, for there the bot is a user of its own."""
    return f"{order.who.removeprefix('Slack: ')} by Slack"


def _run(asks: Mapping[str, Any]) -> str:
    """The run that a button is about; RoutingError where it is about another task."""
    if (asks.get("dag"), asks.get("task")) != (ASKING_DAG, ASKING_TASK):
        raise RoutingError("this button is about another task, which is not answered from here")
    run = asks.get("run")
    if not isinstance(run, str) or not 0 < len(run) <= MAX_RUN:
        raise RoutingError("this button names no run; answer on the run's page in Airflow")
    return run


def _same_model(settings: Settings, run: str, asks: Mapping[str, Any]) -> None:
    """RoutingError where the run has compared again since the notice, and chosen another model."""
    if "model" not in asks:
        return
    path = pipeline.run_folder(settings, run) / "decision.json"
    try:
        winner = json.loads(path.read_text(encoding="utf-8")).get("winner")
    except (OSError, ValueError, AttributeError) as error:
        raise RoutingError(
            "what that run has decided cannot be read; answer on its page in Airflow"
        ) from error
    if winner != asks["model"]:
        raise RoutingError(
            f"that run asks about {winner or 'no model'} by now; answer the newer message, or on "
            "its page in Airflow"
        )


def _answered(settings: Settings, question: Mapping[str, Any], link: str | None) -> Said:
    """Who has answered what, and when."""
    chosen = ", ".join(map(str, question.get("chosen_options") or ())) or "nothing"
    user = question.get("responded_by_user") or {}
    why = str((question.get("params_input") or {}).get("why") or "")
    by = user.get("name") or user.get("id")
    title = f"{chosen}: answered by {by}" if by else f"{chosen}: nobody answered in time"
    at = question.get("responded_at")
    when = f"On {settings.moment(datetime.fromisoformat(at)):%Y-%m-%d %H:%M}" if at else ""
    return Said(title, "\n".join(line for line in (why, when) if line), link=link)
