"""Made-up judged proposals for benchmarks/concept.py, on the level of the detector's frames.

A factory has ten kinds of items, 20 jobs on a machine each, six of which make an item, the first
job all of them. Families are right or wrong as one, the worst case. Everything is seeded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

KINDS, JOBS, LENGTH = 10, 20, 6
KIND_SHARES = np.array([0.2, 0.15, 0.13, 0.12, 0.1, 0.08, 0.07, 0.06, 0.05, 0.04])
NOISE = 0.15  # standard deviation of the log of minutes
OLD, NEW = "J00", "LAPPING"
START = date(2025, 1, 1)
Frames = tuple[pd.DataFrame, pd.DataFrame]


@dataclass(frozen=True)
class Change:
    """What is otherwise than at training: `rule` is the share of families whose OLD job is replaced
    by NEW (of `kind` only where that is given), `slow` the factor of run times on `machine`, `over`
    what confidences are too high by; `fresh` the share of a new kind, whose confidence is .3."""

    rule: float = 0.0
    kind: int | None = None
    slow: float = 1.0
    machine: int | None = None
    over: float = 0.0
    fresh: float = 0.0
    fresh_right: float = 0.3
    other_machine: float = 0.0


@dataclass(frozen=True)
class Factory:
    """Draws judged items: `family` in each, `shared` the standard deviation of the log of minutes
    that a family has in common, `uneven` whether machines differ in their spread."""

    seed: int
    family: int = 1
    shared: float = 0.0
    uneven: bool = False
    change: Change = field(default_factory=Change)

    def changed(self, **what: Any) -> Factory:
        """The same factory after a change."""
        return replace(self, change=Change(**what))

    def routes(self) -> np.ndarray:
        """The jobs (KINDS, LENGTH) of each kind."""
        rules = np.random.default_rng([self.seed, 1])
        rest = [rules.choice(np.arange(1, JOBS), LENGTH - 1, replace=False) for _ in range(KINDS)]
        return np.array([[0, *np.sort(row)] for row in rest])

    def usual_machine(self) -> int:
        """A machine that an average share of the operations runs on."""
        load = np.zeros(JOBS)
        np.add.at(load, self.routes(), np.repeat(KIND_SHARES[:, None], LENGTH, axis=1))
        return int(np.abs(load - LENGTH / JOBS).argmin())

    def draw(self, count: int, part: int) -> Frames:
        """`count` items in order of entry and their operations; another `part` has others."""
        rules = np.random.default_rng([self.seed, 2])
        offsets, widths = rules.normal(0, 0.05, JOBS), np.full(JOBS, NOISE)
        if self.uneven:
            widths *= rules.lognormal(0, 0.4, JOBS)
        random = np.random.default_rng([self.seed, 3, part])
        change, of = self.change, np.arange(count) // self.family
        families = int(of[-1]) + 1
        kind = random.choice(KINDS, families, p=KIND_SHARES)
        confidence = np.clip(random.beta(8, 1, families), 0.02, 0.99)
        fresh = random.random(families) < change.fresh
        stated = np.where(fresh, 0.3, confidence)
        chance = np.where(fresh, change.fresh_right, confidence - change.over)
        exact = random.random(families) < chance
        ruled = random.random(families) < change.rule
        if change.kind is not None:
            ruled &= kind == change.kind
        lost, kind_of_error = random.integers(0, LENGTH, families), random.random(families) < 0.5
        names = np.array([f"I{part}-{k:06d}" for k in range(count)], object)
        labels = np.where(fresh, "NEW KIND", np.array([f"K{k}" for k in kind], object))
        items = pd.DataFrame({
            "ITEM_CD": names, "family": of, "kind": labels[of],
            "confidence": stated[of], "novelty": np.where(fresh, 0.4, 0.02)[of],
            "exact": (exact & ~ruled)[of],
        })  # fmt: skip
        jobs = self.routes()[kind][of]
        outcome = np.full((count, LENGTH), "hit", object)
        odd = np.flatnonzero(~exact[of])
        outcome[odd, lost[of][odd]] = np.where(kind_of_error[of][odd], "missing", "extra")
        other = random.random((families, LENGTH)) < 0.06 + change.other_machine * (
            jobs_of(jobs, of)
        )
        run, setup = (
            np.asarray(offsets)[jobs] + random.normal(0, 1, (count, LENGTH)) * widths[jobs]
            + random.normal(0, self.shared, (families, LENGTH))[of]
            for _ in range(2)
        )  # fmt: skip
        if change.machine is not None:
            run = run + np.log(change.slow) * (jobs == change.machine)
        affected = ruled[of]
        outcome[affected, 0] = "extra"
        hit = outcome == "hit"
        right = (~other[of]).astype(object)
        right[~hit] = None
        codes = np.array([f"J{k:02d}" for k in range(JOBS)], object)
        machines = np.array([f"M{k:02d}" for k in range(JOBS)], object)
        operations = pd.DataFrame({
            "ITEM_CD": np.repeat(names, LENGTH), "JOB_CD": codes[jobs].ravel(),
            "RES_CD": machines[jobs].ravel(), "outcome": outcome.ravel(),
            "machine_right": right.ravel(), "run_log": np.where(hit, run, np.nan).ravel(),
            "setup_log": np.where(hit, setup, np.nan).ravel(), "place": np.repeat(range(count), 6),
        })  # fmt: skip
        if affected.any():
            added = pd.DataFrame({
                "ITEM_CD": names[affected], "JOB_CD": NEW, "RES_CD": "MLAP", "outcome": "missing",
                "machine_right": None, "run_log": np.nan, "setup_log": np.nan,
                "place": np.flatnonzero(affected),
            })  # fmt: skip
            operations = pd.concat([operations, added]).sort_values("place", kind="stable")
        return items, operations

    def days(self, days: int, a_day: int, part: int) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        """Frames of each day; families do not go on from one day to the next."""
        items, operations = self.draw(days * a_day, part)
        items["family"] = items["family"].astype(str) + f"/{part}"
        ends = np.searchsorted(operations["place"], np.arange(days + 1) * a_day)
        for day in range(days):
            rows = slice(day * a_day, (day + 1) * a_day)
            yield items[rows], operations[ends[day] : ends[day + 1]]


def jobs_of(jobs: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Which operations (families, LENGTH) are the first, whose machine may be another."""
    first = np.zeros((int(of[-1]) + 1, jobs.shape[1]))
    first[:, 0] = 1
    return first


def day_of(number: int) -> date:
    """The day of a life, from 0."""
    return START + timedelta(days=number)
