"""Tells from proposals and the routings that planners wrote later whether the work has changed.

The similarity detector sees that items are new; this one that items like before are made otherwise
(another rule, other machines, other minutes). False alarms in at most 5 % of years: `evidence`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routing_ml.drift.causes import Told, Verdict, tell
from routing_ml.drift.centres import Centres
from routing_ml.drift.evidence import THRESHOLD, Key, Streams
from routing_ml.drift.expected import ALLOWANCE, MEASURES, Reference
from routing_ml.drift.judged import Item, Operation, read_items, read_operations
from routing_ml.drift.spread import BETS as TIME_BETS
from routing_ml.drift.spread import Spread, Units
from routing_ml.drift.tally import KEPT_DAYS, Counts, Tally, add
from routing_ml.errors import InputError, ModelError

BETS = np.array([0.1, 0.2, 0.4, 0.7])  # shares of the right ones that a change makes wrong
HELD_DAYS = 14  # a verdict stays on for so long after its evidence was last there
SHARES: dict[str, dict[str, float]] = {
    "routing": {"all": 0.34, "kind": 0.25},
    "machine": {"all": 0.03, "job": 0.03},
    "run": {"all": 0.05, "machine": 0.15, "job": 0.05},
    "setup": {"all": 0.02, "machine": 0.05, "job": 0.03},
}  # of the level; they sum to 1


class ConceptDetector:
    """Watches judged proposals, a day at a time, against what was to be expected.

    A family (items entered together) is one unit of evidence on the day it is first judged; what
    comes of it within 60 days after that adds to the figures only.
    """

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.reset()

    def reset(self) -> None:
        """Forget all that was judged; the reference stays."""
        self._day: date | None = None
        self._families: dict[str, date] = {}
        self._tally = Tally()
        self._centres = Centres(self.reference.minutes)
        self._streams = _streams(self.reference)
        self._told: Told | None = None

    def update(self, day: date, items: pd.DataFrame, operations: pd.DataFrame) -> None:
        """Take in what was judged on `day`, days in order; see `read_items`, `read_operations`.

        A day without items is no step. Raises InputError for a day that is not after the last one,
        and for frames that are not what they should be; nothing is taken in then.
        """
        rows, done = read_items(items), read_operations(operations)
        if self._day is not None and day <= self._day:
            raise InputError(
                f"{day} was given after {self._day}: give each day once, in order, or reset first"
            )
        if strange := {op.item for op in done} - rows.keys():
            raise InputError(
                f"operations are of {min(strange)}, which is no judged item of {day}: give both "
                "frames of the same items"
            )
        self._day = day
        for tables in self._tally.forget(day):
            if not self._on:
                self._centres.learn(tables)
        first = day - timedelta(days=KEPT_DAYS)
        self._families = {name: at for name, at in self._families.items() if at > first}
        if not rows:
            return
        fresh = {row.family for row in rows.values()} - self._families.keys()
        self._count(day, rows, done)
        self._routings(day, rows, fresh)
        self._machines(day, rows, done, fresh)
        for measure in MEASURES:
            self._minutes(measure, day, rows, done, fresh)
        self._families |= dict.fromkeys((row.family for row in rows.values()), day)
        if self.e_value >= THRESHOLD:
            self._told = self._strongest(day)

    @property
    def e_value(self) -> float:
        """The weighted Shiryaev-Roberts sum of all streams; an alarm from 7,300 on."""
        return sum(streams.total for streams in self._streams.values())

    @property
    def verdict(self) -> Verdict:
        """What is told now: a change, its cause and place, or that there is none."""
        if self._told is None or not self._on:
            return Verdict(e_value=self.e_value)
        return tell(self._told, self._tally, self.reference, self.e_value)

    @property
    def _on(self) -> bool:
        """Whether the evidence was there within the last 14 days."""
        told, day = self._told, self._day
        return told is not None and day is not None and (day - told.last).days < HELD_DAYS

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on as if nothing had happened, as JSON; families as text."""
        return {
            "day": self._day.isoformat() if self._day else None,
            "families": {name: at.isoformat() for name, at in self._families.items()},
            "tally": self._tally.state(),
            "centres": self._centres.state(),
            "streams": {name: streams.state() for name, streams in self._streams.items()},
            "told": self._told.plain() if self._told else None,
        }

    @classmethod
    def restore(cls, reference: Reference, state: Mapping[str, Any]) -> Self:
        """The detector whose `state` that is; ModelError where it is none."""
        detector = cls(reference)
        try:
            detector._day = date.fromisoformat(state["day"]) if state["day"] else None
            detector._families = {
                str(name): date.fromisoformat(at) for name, at in state["families"].items()
            }
            detector._tally = Tally.restore(state["tally"])
            detector._centres.restore(state["centres"])
            for name, streams in detector._streams.items():
                streams.restore(state["streams"][name])
            detector._told = Told.of(state["told"]) if state["told"] else None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(
                f"the kept state of concept drift cannot be read ({error}): begin anew without it"
            ) from error
        return detector

    def _count(self, day: date, rows: Mapping[str, Item], done: list[Operation]) -> None:
        tables: dict[str, Counts] = {name: {} for name in ("items", "kinds", "jobs", "machines")}
        for row in rows.values():
            wrong = not row.exact
            new = wrong and row.novelty >= self.reference.novel
            figures = (1, int(row.exact), row.confidence, int(wrong), int(new))
            add(tables["items"], "", figures)
            if row.kind is not None:
                add(tables["kinds"], row.kind, figures)
        for op in done:
            known, other = int(op.right is not None), int(op.right is False)
            missing, extra = int(op.outcome == "missing"), int(op.outcome == "extra")
            add(tables["jobs"], op.job, (1, missing, extra, known, other))
            if known and op.machine is not None:
                add(tables["machines"], op.machine, (known, other))
        for table, counts in tables.items():
            self._tally.put(day, table, counts)

    def _routings(self, day: date, rows: Mapping[str, Item], fresh: set[str]) -> None:
        units: dict[tuple[Key, str], list[float]] = {}
        reference = self.reference
        for row in rows.values():
            if row.family not in fresh:
                continue
            doubt = 1 - row.confidence
            _unit(units, ("all", ""), row.family, not row.exact, doubt + reference.allowance)
            if row.kind is not None:
                allowed = reference.kinds.get(row.kind, reference.other_kinds)
                _unit(units, ("kind", row.kind), row.family, not row.exact, doubt + allowed)
        self._bet("routing", day, units)

    def _machines(
        self, day: date, rows: Mapping[str, Item], done: list[Operation], fresh: set[str]
    ) -> None:
        units: dict[tuple[Key, str], list[float]] = {}
        reference = self.reference
        for op in done:
            row = rows[op.item]
            if op.right is None or row.family not in fresh:
                continue
            # An item that the model is honestly unsure of may get other machines as well.
            doubt = 1 - row.confidence
            allowed = max(reference.machine, doubt) + ALLOWANCE
            _unit(units, ("all", ""), row.family, not op.right, allowed)
            if op.job in reference.machine_jobs:
                allowed = max(reference.machine_jobs[op.job], doubt) + ALLOWANCE
                _unit(units, ("job", op.job), row.family, not op.right, allowed)
        self._bet("machine", day, units)

    def _bet(self, measure: str, day: date, units: dict[tuple[Key, str], list[float]]) -> None:
        """Factors 1 + bet * (share wrong / share allowed - 1), whose mean is 1 at most."""
        if not units:
            return
        wrong, allowed, _ = np.array(list(units.values())).T
        logs = np.log1p(np.outer(wrong / allowed - 1, BETS))
        self._streams[measure].step(day.toordinal(), [key for key, _ in units], logs)

    def _minutes(
        self, measure: str, day: date, rows: Mapping[str, Item], done: list[Operation],
        fresh: set[str],
    ) -> None:  # fmt: skip
        minutes = self.reference.minutes.get(measure)
        if minutes is None:
            return
        ops = [op for op in done if math.isfinite(getattr(op, measure))]
        number: dict[str, int] = {}
        family = [number.setdefault(rows[op.item].family, len(number)) for op in ops]
        new = np.array([name in fresh for name in number], dtype=bool)
        by_scope = minutes.units(
            np.array([getattr(op, measure) for op in ops], dtype=float),
            [op.machine or "" for op in ops],
            [op.job for op in ops],
            np.array(family, dtype=np.int64),
        )
        for scope, units in by_scope.items():
            table, spread = f"{measure} {scope}", minutes.scopes[scope]
            evidence = new[units.family]
            self._tally.put(day, table, _sums(spread, units, evidence))
            if evidence.any():
                units = Units(*(part[evidence] for part in units))
                keys = [(scope, spread.names[k]) for k in units.place.tolist()]
                both = spread.logs(units, *self._centres.of(table))
                for way, logs in zip(("rising", "falling"), both, strict=True):
                    self._streams[f"{measure} {way}"].step(day.toordinal(), keys, logs)

    def _strongest(self, day: date) -> Told:
        best = [(found, name) for name, s in self._streams.items() if (found := s.best())]
        (_, (scope, place), since), measure = max(best)
        return Told(measure, scope, place, date.fromordinal(since), day)


def _sums(spread: Spread, units: Units, evidence: NDArray[np.bool_]) -> Counts:
    """By place: operations, the sum of their log ratios, and of the units that are evidence the
    sums of their precisions and of precision * mean."""
    precisions = np.where(evidence, spread.precisions(units), 0.0)
    columns = (units.counts, units.counts * units.means, precisions, precisions * units.means)
    many = len(spread.names)
    sums = np.stack([np.bincount(units.place, column, many) for column in columns], axis=1)
    return {
        spread.names[k]: [int(count), *rest]
        for k, (count, *rest) in enumerate(sums.tolist())
        if count
    }


def _streams(reference: Reference) -> dict[str, Streams]:
    known = {"all": [""], "kind": list(reference.kinds), "job": list(reference.machine_jobs)}
    found = {
        name: Streams(len(BETS), SHARES[name], known, growing="kind")
        for name in ("routing", "machine")
    }
    for measure in MEASURES:
        half = {scope: share / 2 for scope, share in SHARES[measure].items()}
        minutes = reference.minutes.get(measure)
        places = {s: list(spread.places) for s, spread in minutes.scopes.items()} if minutes else {}
        for way in ("rising", "falling"):
            found[f"{measure} {way}"] = Streams(len(TIME_BETS), half, places)
    return found


def _unit(
    units: dict[tuple[Key, str], list[float]], key: Key, family: str, wrong: bool, allowed: float
) -> None:
    sums = units.setdefault((key, family), [0.0, 0.0, 0.0])
    sums[0] += wrong
    sums[1] += min(allowed, 1.0)
    sums[2] += 1
