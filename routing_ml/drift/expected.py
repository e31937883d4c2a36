"""What a model showed on items that it was not fitted on: what later items are measured against."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routing_ml.drift import kept
from routing_ml.drift.judged import Operation, read_items, read_operations
from routing_ml.drift.minutes import Minutes
from routing_ml.drift.shrinkage import shrunk
from routing_ml.errors import ModelError

REFERENCE_FILE = "concept_reference.json"
ALLOWANCE = 0.05  # a stated confidence may be this far off
SHOWN = 1.5  # standard errors from which held-out items show that confidences are too high
ERRORS = 2.0  # standard errors of the share of wrong machines that are allowed for on top
PLACE_ERRORS = 1.5  # and of that of a kind or a job
LEAST_BETWEEN = 0.03  # standard deviation between kinds, and between jobs, of a share
LEAST_NOVEL = 0.15
MEASURES = ("run", "setup")


@dataclass(frozen=True)
class Reference:
    """Held-out items and their operations at training, as what is to be expected.

    `allowance` is what stated confidences may be too high by, `kinds` by part of the items and
    `other_kinds` of those that are not named; `jobs` are (operations, missing, extra, machines
    known, machines wrong) of each job; `machine` and `machine_jobs` are upper bounds of the share
    of wrong machines, of all and of the operations of a job; `novel` is the novelty from which an
    item is a new kind.
    """

    size: int
    families: int
    allowance: float
    other_kinds: float
    kinds: dict[str, float]
    jobs: dict[str, tuple[int, int, int, int, int]]
    machine: float
    machine_jobs: dict[str, float]
    novel: float
    minutes: dict[str, Minutes] = field(default_factory=dict)

    @classmethod
    def fit(cls, items: pd.DataFrame, operations: pd.DataFrame) -> Self:
        """Of the held-out items (see `read_items`, `read_operations`), any number: with few the
        allowances are wide. Raises ModelError without an item, InputError for frames that lack a
        column or hold what is none of its values."""
        rows, done = read_items(items), read_operations(operations)
        if not rows:
            raise ModelError(
                "no held-out item for the reference of concept drift: train on more items"
            )
        over = np.array([row.confidence - row.exact for row in rows.values()])
        families = [row.family for row in rows.values()]
        mean, error = _mean(over, families)
        # What chance makes of a few hundred items is no reason to allow for more.
        known, margin = (mean, error) if mean > SHOWN * error else (0.0, 0.0)
        kinds, other = _by_place(over - known, [row.kind for row in rows.values()], families, error)
        wrong = [(op, float(not op.right)) for op in done if op.right is not None]
        family_of = {code: row.family for code, row in rows.items()}
        wrongs = np.array([value for _, value in wrong])
        within = [family_of.get(op.item, op.item) for op, _ in wrong]
        rate, rate_error = _mean(wrongs, within) if wrong else (0.0, 0.5)
        jobs, _ = _by_place(wrongs - rate, [op.job for op, _ in wrong], within, rate_error)
        allowance = max(ALLOWANCE, known + margin)
        top = np.quantile([row.novelty for row in rows.values()], 0.95)
        return cls(
            size=len(rows),
            families=len(set(families)),
            allowance=min(allowance, 1.0),
            other_kinds=min(max(allowance, known + other), 1.0),
            kinds={kind: min(max(ALLOWANCE, known + off), 1.0) for kind, off in kinds.items()},
            jobs=_counts(done),
            machine=min(rate + ERRORS * rate_error, 1.0),
            machine_jobs={job: min(max(rate + off, 0.0), 1.0) for job, off in jobs.items()},
            novel=max(LEAST_NOVEL, float(top)),
            minutes=_minutes(done, family_of),
        )

    def save(self, path: Path) -> Path:
        """Write it to `path`, in a folder as concept_reference.json; returns the file."""
        plain = {name: value for name, value in vars(self).items() if name != "minutes"}
        plain["minutes"] = {name: m.plain() for name, m in self.minutes.items()}
        return kept.save(path, REFERENCE_FILE, plain)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; ModelError when it is not that."""
        with kept.reading(path, REFERENCE_FILE, "reference of concept drift") as value:
            loaded = cls(
                size=int(value["size"]),
                families=int(value["families"]),
                allowance=float(value["allowance"]),
                other_kinds=float(value["other_kinds"]),
                kinds=_shares(value["kinds"]),
                jobs={str(job): _five(counts) for job, counts in value["jobs"].items()},
                machine=float(value["machine"]),
                machine_jobs=_shares(value["machine_jobs"]),
                novel=float(value["novel"]),
                minutes={str(name): Minutes.of(m) for name, m in value["minutes"].items()},
            )
            shares = (loaded.allowance, loaded.other_kinds, loaded.machine, loaded.novel)
            fits = loaded.size > 0 and all(0 <= share <= 1 for share in shares)
            if not fits:
                raise ValueError("it is damaged")
        return loaded


def _mean(values: NDArray[np.float64], families: list[str]) -> tuple[float, float]:
    """The mean (n,) and its standard error between families, one more of the usual size counted
    that is off by a half, for small samples know too little of their spread."""
    _, family = np.unique(families, return_inverse=True)
    mean = float(values.mean())
    sums = np.bincount(family, values - mean)
    usual = len(values) / len(sums)
    return mean, math.sqrt(float((sums**2).sum()) + (usual / 2) ** 2) / len(values)


def _by_place(
    values: NDArray[np.float64], places: list[str | None], families: list[str], error: float
) -> tuple[dict[str, float], float]:
    """Upper bounds of the means (n,) of each place, drawn to 0, and of a place that is not there;
    `error` is that of the mean of all."""
    found: dict[str, dict[str, list[float]]] = {}
    for value, place, family in zip(values.tolist(), places, families, strict=True):
        if place is not None:
            found.setdefault(place, {}).setdefault(family, []).append(value)
    means = np.array([np.mean([np.mean(unit) for unit in of.values()]) for of in found.values()])
    counts = np.array([len(of) for of in found.values()], dtype=float)
    spread = error**2 * max(len(set(families)), 1)
    drawn = shrunk(means, spread / counts, least=LEAST_BETWEEN)
    bounds = drawn.means + PLACE_ERRORS * drawn.errors
    return dict(zip(found, bounds.tolist(), strict=True)), drawn.mean + PLACE_ERRORS * drawn.error


def _counts(done: list[Operation]) -> dict[str, tuple[int, int, int, int, int]]:
    found: dict[str, list[int]] = {}
    for op in done:
        counts = found.setdefault(op.job, [0] * 5)
        counts[0] += 1
        counts[1] += op.outcome == "missing"
        counts[2] += op.outcome == "extra"
        counts[3] += op.right is not None
        counts[4] += op.right is False
    return {job: _five(counts) for job, counts in found.items()}


def _minutes(done: list[Operation], family_of: dict[str, str]) -> dict[str, Minutes]:
    found = {}
    for measure in MEASURES:
        rows = [op for op in done if math.isfinite(getattr(op, measure))]
        values = np.array([getattr(op, measure) for op in rows], dtype=float)
        families = [family_of.get(op.item, op.item) for op in rows]
        machines = [op.machine or "" for op in rows]
        made = Minutes.fit(values, machines, [op.job for op in rows], families)
        if made is not None:
            found[measure] = made
    return found


def _shares(plain: dict[str, Any]) -> dict[str, float]:
    found = {str(name): float(share) for name, share in plain.items()}
    if not all(0 <= share <= 1 for share in found.values()):
        raise ValueError("a share lies outside [0, 1]")
    return found


def _five(counts: list[int]) -> tuple[int, int, int, int, int]:
    a, b, c, d, e = (int(count) for count in counts)
    return a, b, c, d, e
