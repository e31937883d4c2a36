"""What a decision rests on: paired tests, the case of each challenger, and the decision itself."""

from dataclasses import asdict, dataclass
from typing import Any

from routing_ml.comparison.guards import Guard

MARGIN = 0.01
ALPHA = 0.05
REFERENCE_LEAD = 1 / 3
"""Of the margin, how far a fresh fit may be behind a version that was in use during the year."""


@dataclass(frozen=True)
class PairedTest:
    """Exact matches of a challenger against another model on the same items; all fractions.

    `better` and `worse` count the items only the challenger, or only the other, has right. `low`
    and `high` bound the difference (each at the error rate: 90 % two-sided at .05). `p_value` is
    for the challenger being `margin` or more below (margin 0: for it not being better).
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
    """What goes into use (None: the champion stays), why in words, and the figures behind it."""

    winner: str | None
    reason: str
    items: int
    exact: dict[str, float]
    comparisons: tuple[Comparison, ...] = ()
    margin: float = MARGIN
    alpha: float = ALPHA
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        return asdict(self)
