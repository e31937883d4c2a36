"""Puts evidence that the work has changed into a cause, a place and words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple, Self

from routing_ml.drift.evidence import THRESHOLD
from routing_ml.drift.expected import Reference
from routing_ml.drift.tally import Counts, Tally
from routing_ml.store import CONCEPT_CAUSES

ROUTINGS, TIMES, NEW_KIND, DATA = CONCEPT_CAUSES
LEAST_EXCESS = 2.0  # operations more than were to be expected, for one to be named
SECOND = 0.5  # of the excess of the worst: another operation that is named with it
MOSTLY = 0.6  # of what went wrong: a kind that is named as the place


class Place(NamedTuple):
    """Where something changed: `what` (operation, machine, kind, column) is `value`."""

    what: str
    value: str
    figures: str


@dataclass(frozen=True)
class Verdict:
    """What is told: a `cause` and `where`, worst first, or None and () while nothing is.

    `since` is the day on which the evidence began to rise, `e_value` what is compared with
    `threshold`; `words` are for people.
    """

    cause: str | None = None
    where: tuple[Place, ...] = ()
    since: date | None = None
    e_value: float = 0.0
    threshold: float = THRESHOLD
    words: str = "as before"

    @property
    def alarm(self) -> bool:
        """Whether there is anything to tell."""
        return self.cause is not None


@dataclass(frozen=True)
class Told:
    """The stream that rose most, of a measure, at a scope and place: since when, and the last day
    that all together were enough for an alarm."""

    measure: str
    scope: str
    place: str
    since: date
    last: date

    def plain(self) -> dict[str, str]:
        """It as JSON."""
        return {name: str(value) for name, value in vars(self).items()}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Self:
        """What `plain` gave."""
        days = (date.fromisoformat(plain[name]) for name in ("since", "last"))
        return cls(plain["measure"], plain["scope"], plain["place"], *days)


def tell(told: Told, tally: Tally, reference: Reference, e_value: float) -> Verdict:
    """The verdict of a change, with the figures since the day it began (60 days at most)."""
    since = max(told.since, tally.first or told.since)
    if told.measure in ("routing", "machine"):
        items = tally.since(since, "items").get("", [0.0] * 5)
        of_kind = tally.since(since, "kinds")
        judged = of_kind.get(told.place, items) if told.scope == "kind" else items
        if told.measure == "machine":
            cause, where, words = ROUTINGS, *_machines(told, tally, reference, since)
        elif judged[4] > judged[3] / 2:
            cause, where, words = NEW_KIND, *_new_kinds(of_kind, items, since)
        else:
            cause, where, words = ROUTINGS, *_routings(told, tally, reference, since, items)
    else:
        cause, where, words = TIMES, *_times(told, tally, reference, since)
    return Verdict(cause, tuple(where), since, e_value, words=words)


def _routings(
    told: Told, tally: Tally, reference: Reference, since: date, items: list[float]
) -> tuple[list[Place], str]:
    where = _operations(tally.since(since, "jobs"), reference)
    kinds = tally.since(since, "kinds")
    kind = told.place if told.scope == "kind" else _concentrated(kinds, items)
    if kind is not None and kind in kinds:
        where.append(Place("kind", kind, _right(kinds[kind])))
    count, right, expected = items[:3]
    words = (
        f"Items look as before, but planners make them otherwise: of {count:.0f} items since "
        f"{_day(since)}, {right:.0f} have the planner's routing where {expected:.0f} were to be "
        f"expected"
    )
    return where, _sentence(words, where)


def _operations(jobs: Counts, reference: Reference) -> list[Place]:
    """The operations that are missing, or too many, most above what they were at training."""
    found = []
    for job, (rows, missing, extra, *_) in jobs.items():
        known, missed, added, *_ = reference.jobs.get(job, (0, 0, 0, 0, 0))
        for count, before, text in (
            (missing, missed, f"missing in {missing:.0f} of {rows - extra:.0f} proposals"),
            (extra, added, f"not wanted in {extra:.0f} of {rows - missing:.0f} proposals"),
        ):
            found.append((count - rows * (before + 0.5) / (known + 10), job, text))
    found.sort(key=lambda each: (-each[0], each[1]))
    least = max(LEAST_EXCESS, SECOND * found[0][0]) if found else math.inf
    return [Place("operation", job, text) for excess, job, text in found[:2] if excess >= least]


def _concentrated(kinds: Counts, items: list[float]) -> str | None:
    """The kind that holds most of what went wrong beyond what was stated, not most of the items."""
    lost = items[2] - items[1]
    for kind, (count, right, expected, *_) in kinds.items():
        if expected - right >= MOSTLY * lost > 0 and count <= MOSTLY * items[0]:
            return kind
    return None


def _machines(
    told: Told, tally: Tally, reference: Reference, since: date
) -> tuple[list[Place], str]:
    jobs, machines = tally.since(since, "jobs"), tally.since(since, "machines")
    job = told.place if told.scope == "job" else _worst_job(jobs, reference)
    where = []
    if job in jobs:
        known, other = jobs[job][3:5]
        figures = f"on another machine than proposed in {other:.0f} of {known:.0f}"
        where.append(Place("operation", job, figures))
    if machines:
        machine = max(machines, key=lambda name: (machines[name][1], name))
        known, other = machines[machine]
        figures = f"chosen instead of another in {other:.0f} of {known:.0f} operations"
        where.append(Place("machine", machine, figures))
    known, other = (sum(counts[k] for counts in jobs.values()) for k in (3, 4))
    words = (
        f"Planners choose other machines than before: {other:.0f} of {known:.0f} operations since "
        f"{_day(since)} are not on the proposed machine"
    )
    return where, _sentence(words, where)


def _worst_job(jobs: Counts, reference: Reference) -> str:
    def excess(job: str) -> float:
        *_, known, wrong = reference.jobs.get(job, (0, 0, 0, 0, 0))
        return jobs[job][4] - jobs[job][3] * (wrong + 0.5) / (known + 10)

    return max(jobs, key=lambda job: (excess(job), job), default="")


def _new_kinds(kinds: Counts, items: list[float], since: date) -> tuple[list[Place], str]:
    by_novel = sorted(kinds, key=lambda kind: (-kinds[kind][4], kind))
    named = [kind for kind in by_novel[:1] if kinds[kind][4] > 0]
    where = [Place("kind", kind, _right(kinds[kind])) for kind in named]
    words = (
        f"A new kind of item is proposed wrongly: of {items[3]:.0f} items since {_day(since)} "
        f"that are not as proposed, {items[4]:.0f} are like no past item"
    )
    return where, _sentence(words, where)


def _times(told: Told, tally: Tally, reference: Reference, since: date) -> tuple[list[Place], str]:
    measure, _ = told.measure.split()
    counts = tally.since(since, f"{measure} {told.scope}").get(told.place, [0.0] * 4)
    before = reference.minutes[measure].scopes[told.scope].places[told.place][0]
    mean = counts[1] / max(counts[0], 1)
    what = {"machine": "machine", "job": "operation"}.get(told.scope)
    name = {"run": "Run", "setup": "Setup"}[measure] + " times"
    at = f" on machine {told.place}" if what == "machine" else f" of operation {told.place}"
    figures = (
        f"{math.exp(mean):.2f} times the proposed ones in {counts[0]:.0f} operations since "
        f"{_day(since)}, {math.exp(before):.2f} before"
    )
    words = f"{name}{at if what else ''} have moved: they are {figures}."
    return ([Place(what, told.place, figures)] if what else []), words


def _right(counts: Sequence[float]) -> str:
    return f"{counts[1]:.0f} of {counts[0]:.0f} right where {counts[2]:.0f} were to be expected"


def _sentence(words: str, where: Sequence[Place]) -> str:
    worst = "; ".join(f"{place.what} {place.value} {place.figures}" for place in where)
    return f"{words}; worst: {worst}." if worst else f"{words}."


def _day(day: date) -> str:
    return f"{day.day} {day:%B}"
