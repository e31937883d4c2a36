"""Judged proposals for the tests of concept drift: 8 kinds of items, 12 jobs on a machine each,
four of which make an item, the first one all of them.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from routing_ml.drift import ConceptDetector, Reference

Frames = tuple[pd.DataFrame, pd.DataFrame]
START = date(2025, 3, 1)
CONFIDENCE = 0.9


def day_of(number: int) -> date:
    return START + timedelta(days=number)


def judged(
    count: int,
    seed: int,
    *,
    family: int = 1,
    right: float = CONFIDENCE,
    confidence: float = CONFIDENCE,
    rule: float = 0.0,
    only: str | None = None,
    novelty: float = 0.0,
    slow: dict[str, float] | None = None,
    other_machine: float = 0.0,
    noise: float = 0.15,
) -> Frames:
    """`count` items, right with a chance of `right`; a share of `rule` (`only` of one kind) has J00
    replaced by NEW; log minutes are longer by `slow` on a machine."""
    random = np.random.default_rng([seed, count])
    items, operations = [], []
    for number in range(count):
        if number % family == 0:
            kind, exact = int(random.integers(8)), random.random() < right
            ruled = random.random() < rule and only in (None, f"K{kind}")
            odd = int(random.integers(1, 4))
        code = f"I{seed}-{number}"
        good = bool(exact and not ruled)
        new = 0.0 if good else novelty
        items.append((code, f"F{seed}-{number // family}", f"K{kind}", confidence, new, good))
        jobs = [0, 1 + kind % 11, 1 + (kind + 3) % 11, 1 + (kind + 6) % 11]
        for place, job in enumerate(jobs):
            outcome = "hit" if exact or place != odd else "missing"
            if ruled and place == 0:
                operations.append((code, "NEW", "MNEW", "missing", None, np.nan, np.nan))
                outcome = "extra"
            hit = outcome == "hit"
            machine = f"M{job:02d}"
            run, setup = random.normal(0, noise, 2)
            run += (slow or {}).get(machine, 0.0) + (slow or {}).get("", 0.0)
            same = bool(random.random() >= (other_machine if job == 0 else 0.03)) if hit else None
            operations.append((code, f"J{job:02d}", machine, outcome, same,
                               run if hit else np.nan, setup if hit else np.nan))  # fmt: skip
    return pd.DataFrame(
        items, columns=["ITEM_CD", "family", "kind", "confidence", "novelty", "exact"]
    ), pd.DataFrame(
        operations,
        columns=["ITEM_CD", "JOB_CD", "RES_CD", "outcome", "machine_right", "run_log", "setup_log"],
    )


def live(detector: ConceptDetector, first: int, days: int, a_day: int = 20, **what: Any) -> int:
    """Days, from 1, until something is told; 0 where nothing is."""
    for number in range(first, first + days):
        detector.update(day_of(number), *judged(a_day, 1000 + number, **what))
        if detector.verdict.alarm:
            return number - first + 1
    return 0


def trained(items: int = 300, **what: Any) -> Reference:
    return Reference.fit(*judged(items, 1, **what))
