"""What a race must not have come to, by what Airflow, the run's folder and the registry say after
it.
"""

import json
from collections.abc import Iterator
from typing import Any

from racing.bed import Bed
from racing.request import Request
from routing_ml.notices import ANSWERS, APPROVE, ASKING_DAG, ASKING_TASK, KEEP
from routing_ml.pipeline import steps
from routing_ml.registry import Registry

PROMOTE = ANSWERS[APPROVE]
TWO, UNANSWERED, AGAINST, LATE, OTHER, LOST, NAMELESS, SWITCHES, UNDONE = WRONGS = (
    "more than one answer was taken",
    "promoted without an answer",
    "promoted though the answer was to keep",
    "promoted by time-out",
    "the answer that is recorded is not the one that was done",
    "an answer was taken and came to nothing",
    "an entry of the history lacks who, when or why",
    "switched twice",
    "answered with yes, and the model is not in use",
)


def wrongs(one: Request, bed: Bed) -> Iterator[str]:
    """What is wrong with the outcome of a race that has ended."""
    registry = Registry(one.home / "models")
    history = registry.history()[1:]
    facts = json.loads((steps.run_folder(one.settings, one.run) / steps.DECISION).read_text())
    answer = facts.get("answer") or {}
    by_run = [entry for entry in history if entry["who"] == f"run {one.run}"]
    asked_again = any("cleared" in line for line in one.done)
    answers = one.given + one.unsure
    said = (PROMOTE if answer.get("promote") else ANSWERS[KEEP], answer.get("by"))
    if len(one.given) > 1 and not asked_again:
        yield TWO
    if by_run and PROMOTE not in {option for option, _ in answers}:
        yield UNANSWERED
    if by_run and not answer.get("promote"):
        yield AGAINST
    if by_run and not answer.get("by"):
        yield LATE
    if answer.get("by") and said not in answers:
        yield OTHER
    if one.given and not asked_again and not answer.get("by"):
        yield LOST
    yield from _recorded(one, bed, answer, said)
    if not all(entry["who"] and entry["at"] and entry["why"] for entry in history):
        yield NAMELESS
    if any(str(answer.get("by")) not in entry["why"] for entry in by_run):
        yield NAMELESS
    if len(history) > 1:
        yield SWITCHES
    active = registry.active()
    if answer.get("promote") and (active is None or active.name != one.new):
        yield UNDONE


def _recorded(
    one: Request, bed: Bed, answer: dict[str, Any], said: tuple[str, str | None]
) -> Iterator[str]:
    """Whether Airflow says what was done."""
    detail = bed.users["kim"].question(ASKING_DAG, one.run, ASKING_TASK) or {}
    tasks = bed.tasks(one.run)
    if not answer or tasks["decide"] != "success":
        return
    user = detail.get("responded_by_user") or {}
    if ((detail.get("chosen_options") or [None])[0], user.get("name")) != said:
        yield OTHER
    way, other = ("promote", "keep") if answer["promote"] else ("keep", "promote")
    if tasks[way] != "success" or tasks[other] != "skipped":
        yield OTHER
