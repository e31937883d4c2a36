"""What a decision rests on: paired tests, the case of each challenger, and the decision itself."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import ceil, floor
from typing import Any, Self

import numpy as np
import pandas as pd

from routing_ml.comparison import paired
from routing_ml.comparison.guards import Guard
from routing_ml.errors import InputError

MARGIN = 0.01
ALPHA = 0.05
COLUMNS = ("exact", "tp", "fp", "fn", "run_ape", "setup_ape", "resource_hits", "resource_known")
"""Of `metrics.per_item`, what a comparison needs."""
REFERENCE_LEAD = 1 / 3
"""Of the margin, how far a fresh fit may be behind a version that was in use during the year."""


@dataclass(frozen=True)
class PairedTest:
    """Exact matches of a challenger against another model on the same items; all fractions.

    `better` and `worse` count the items only the challenger, or only the other, has right. `low`
    and `high` bound the difference (each at the error rate: 90 % two-sided at .05). `p_value` is
    for the challenger being `margin` or more below (margin 0: for it not being better).
    `dispersion` is how many items say as much as one independent one, families being right or
    wrong together: the interval and the p-value are those of so many fewer items.
    """

    against: str
    items: int
    exact: float
    exact_against: float
    difference: float
    low: float
    high: float
    better: int
    worse: int
    margin: float
    p_value: float
    dispersion: float = 1.0

    @classmethod
    def of(
        cls,
        against: str,
        mine: pd.DataFrame,
        theirs: pd.DataFrame,
        *,
        margin: float,
        alpha: float,
        families: np.ndarray | None = None,
    ) -> Self:
        """The test of two `metrics.per_item` of one order; `families` (n,) number their items'."""
        a, b = mine["exact"].to_numpy(bool), theirs["exact"].to_numpy(bool)
        better, worse, items = int((a & ~b).sum()), int((b & ~a).sum()), len(a)
        spread = paired.dispersion(a.astype(float) - b, families)
        # Rounded against the challenger.
        fewer = floor(better / spread), ceil(worse / spread), ceil(items / spread)
        low, high = paired.interval(*fewer, alpha)
        return cls(
            against=against,
            items=items,
            exact=float(a.mean()) if items else 0.0,
            exact_against=float(b.mean()) if items else 0.0,
            difference=(better - worse) / max(items, 1),
            low=low,
            high=high,
            better=better,
            worse=worse,
            margin=margin,
            p_value=paired.p_value(*fewer, margin),
            dispersion=spread,
        )


@dataclass(frozen=True)
class FloorTest:
    """A candidate against one of the simple rules, `words` saying which.

    Decided `by` its exact matches, or by operation F1 where neither has a routing exactly right
    often enough to tell; either way it must not be shown to be worse in the other. `f1_low` and
    `f1_high` bound the difference of F1, each at the error rate `level`.
    """

    against: str
    words: str
    by: str
    exact: PairedTest
    f1: float
    f1_against: float
    f1_difference: float
    f1_low: float
    f1_high: float
    f1_p_value: float
    level: float
    passes: bool


@dataclass(frozen=True)
class Comparison:
    """A challenger's case: its test against the champion and the references, and its guards.

    `level` is the error rate the first was held to, its part of the whole, `reference_level` that
    of the others. `shown` says that all of them hold.
    """

    challenger: str
    fresh_fit: bool
    test: PairedTest
    references: tuple[PairedTest, ...]
    guards: tuple[Guard, ...]
    shown: bool
    level: float
    reference_level: float
    differing_items: tuple[dict[str, Any], ...]

    @property
    def p_value(self) -> float:
        """Of the test against the champion; 1 where a reference stands against the challenger."""
        return 1.0 if self.failed else self.test.p_value

    @property
    def failed(self) -> tuple[PairedTest, ...]:
        """The references against which it does not hold."""
        return tuple(
            t
            for t in self.references
            if t.p_value > self.reference_level or t.difference < -t.margin * REFERENCE_LEAD
        )

    @property
    def passes(self) -> bool:
        """Shown, and stopped by no guard."""
        return self.shown and not any(g.stops for g in self.guards)


@dataclass(frozen=True)
class Decision:
    """What goes into use (None: the champion stays), why in words, and the figures behind it.

    `floor` holds each candidate's tests against the simple rules, `baselines` what those came to:
    words, metrics and intervals by name; `champion` the metrics and intervals of the model in use
    on these items. `why_not` says of each candidate that does not go in why, `examples` shows items
    on which models differ. `streams` is the state of a `PairedSequence` of each challenger that has
    taken in these items.
    """

    winner: str | None
    reason: str
    items: int
    exact: dict[str, float]
    comparisons: tuple[Comparison, ...] = ()
    margin: float = MARGIN
    alpha: float = ALPHA
    notes: tuple[str, ...] = ()
    floor: dict[str, tuple[FloorTest, ...]] = field(default_factory=dict)
    baselines: dict[str, dict[str, Any]] = field(default_factory=dict)
    streams: dict[str, dict[str, Any]] = field(default_factory=dict)
    champion: dict[str, Any] = field(default_factory=dict)
    why_not: dict[str, str] = field(default_factory=dict)
    examples: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON has it, and of each comparison whether an earlier version stands
        against the challenger."""
        facts = asdict(self)
        for told, case in zip(facts["comparisons"], self.comparisons, strict=True):
            told["failed"] = bool(case.failed)
        return facts


def aligned(frames: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The frames in one order of items; InputError when they are not of the same items."""
    first_name, first = next(iter(frames.items()))
    done = {}
    for name, frame in frames.items():
        if missing := [c for c in COLUMNS if c not in frame]:
            raise InputError(f"the figures of {name} lack {missing[0]}: score it again")
        same = frame.index.equals(first.index)
        if not frame.index.is_unique or not (same or set(frame.index) == set(first.index)):
            raise InputError(
                f"{name} and {first_name} were scored on different items: "
                "score all of them on one holdout"
            )
        done[name] = frame if same else frame.reindex(first.index)
    return done
