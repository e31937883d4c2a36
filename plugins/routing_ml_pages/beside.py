"""Two routings beside each other: the planner's own and the proposed one, or before and after an
attribute was changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from routing_ml.proposals import Explanation

NOTICEABLE = 0.01
"""Share by which a time must differ to be told."""


@dataclass(frozen=True)
class Side:
    """An operation of one of two routings; minutes None where none is known."""

    job: str
    name: str | None
    machine: str | None
    setup: float | None
    run: float | None


@dataclass(frozen=True)
class Beside:
    """A row of two routings, either side None where the other has more."""

    proposed: Side | None
    own: Side | None


@dataclass(frozen=True)
class Effect:
    """What became another: `kind` is added, removed, order, machine, setup, run or confidence."""

    kind: str
    job: str
    before: str | float | None
    after: str | float | None


def beside(proposal: Sequence[Mapping[str, Any]], own: Sequence[Mapping[str, Any]]) -> list[Beside]:
    """The proposed operations and the planner's own, equal ones in one row; nothing where there is
    no own routing."""
    if not own:
        return []
    mine, theirs = [_side(row) for row in proposal], [_side(row) for row in own]
    jobs = [side.job for side in mine], [side.job for side in theirs]
    rows: list[Beside] = []
    matcher = SequenceMatcher(None, *jobs, autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            rows += [Beside(*pair) for pair in zip(mine[i1:i2], theirs[j1:j2], strict=True)]
        else:
            rows += [Beside(side, None) for side in mine[i1:i2]]
            rows += [Beside(None, side) for side in theirs[j1:j2]]
    return rows


def effects(before: Explanation, after: Explanation) -> list[Effect]:
    """What differs between two proposals, and nothing else."""
    old, new = _numbered(before.proposal), _numbered(after.proposal)
    found = [Effect("added", _label(row), None, None) for key, row in new.items() if key not in old]
    found += [
        Effect("removed", _label(row), None, None) for key, row in old.items() if key not in new
    ]
    both = [key for key in old if key in new]
    if both != [key for key in new if key in old]:
        found.append(Effect("order", "", _jobs(before), _jobs(after)))
    for key in both:
        for kind, column in (("machine", "RES_CD"), ("setup", "SETUP_TIME"), ("run", "RUN_TIME")):
            was, now = old[key][column], new[key][column]
            if _differ(was, now):
                found.append(Effect(kind, _label(new[key]), was, now))
    if abs(after.confidence - before.confidence) >= 0.005:
        found.append(Effect("confidence", "", before.confidence, after.confidence))
    return found


def _numbered(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int], Mapping[str, Any]]:
    """The operations by job, and which of several of one job."""
    found: dict[tuple[str, int], Mapping[str, Any]] = {}
    for row in rows:
        number = sum(job == row["JOB_CD"] for job, _ in found)
        found[row["JOB_CD"], number] = row
    return found


def _differ(was: Any, now: Any) -> bool:
    if isinstance(was, float) and isinstance(now, float):
        return abs(was - now) > NOTICEABLE * max(abs(was), abs(now))
    return was != now


def _side(row: Mapping[str, Any]) -> Side:
    return Side(row["JOB_CD"], row["JOB_NM"], row["RES_CD"], row["SETUP_TIME"], row["RUN_TIME"])


def _label(row: Mapping[str, Any]) -> str:
    return f"{row['JOB_CD']} {row['JOB_NM']}" if row["JOB_NM"] else str(row["JOB_CD"])


def _jobs(found: Explanation) -> str:
    return " ".join(str(row["JOB_CD"]) for row in found.proposal)
