"""The buttons under a notice by which people answer what a run asks; the Slack bot reads them."""

import json
from typing import Any

ASKING_DAG, ASKING_TASK = "routing_ml_retrain", "approve"
"""What asks: a DAG, and its task."""
APPROVE, KEEP = "routing_ml_approve", "routing_ml_keep"
"""Their ids, of Slack's `action_id`."""
ANSWERS = {APPROVE: "Put it into use", KEEP: "Keep what is in use"}
"""What is answered, in the words of the task that asks."""
MOST_WHY = 500
"""So many characters may be said with it."""
WAITING = ("awaiting_input", "deferred")
"""The states of Airflow's in which a task that asks can be answered."""
ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")
"""Those in which it has come to an end."""


def approval_buttons(dag: str, run: str, task: str, *, model: str | None = None) -> dict[str, Any]:
    """A Block Kit block with a button for each answer to a task of a run. With the name of the
    `model` that is asked about, they answer nothing else that the run may ask later."""
    asks = {"dag": dag, "run": run, "task": task} | ({"model": model} if model else {})
    value = json.dumps(asks, ensure_ascii=False, separators=(",", ":"))
    buttons = []
    for action, answer in ANSWERS.items():
        button = {"type": "button", "action_id": action, "value": value, "text": _text(answer)}
        if action == APPROVE:
            button |= {"style": "primary", "confirm": _confirmed(answer)}
        buttons.append(button)
    return {"type": "actions", "elements": buttons}


def closed(state: str | None) -> str | None:
    """Why a task in that state of Airflow's is not to be answered; None where it is.

    >>> closed("queued")
    'that run is not waiting for an answer now; try again in a minute'
    """
    if state in WAITING:
        return None
    if state in ENDED:
        return "that run has gone on without an answer; look at its page in Airflow"
    # It was cleared, or is between two tries: Airflow would take an answer, and lose it.
    return "that run is not waiting for an answer now; try again in a minute"


def _confirmed(answer: str) -> dict[str, Any]:
    said = _text("The model is in use from then on, for every proposal.")
    return {
        "title": _text(f"{answer}?"),
        "text": said,
        "confirm": _text("Yes"),
        "deny": _text("Not now"),
    }


def _text(words: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": words, "emoji": False}
