"""How much the planners' minutes differed from the proposed ones at training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from routing_ml.drift.spread import LEAST_UNITS, Spread

OUTLIER = 4.0  # robust standard deviations of one operation that count at most


@dataclass(frozen=True)
class Minutes:
    """Log ratios of run or of setup times at training, by scope: 'all', 'machine' and 'job'.

    `low` and `high` are where one operation is clipped. 'all' is of what is left when each
    machine's mean is taken off, so that another mix of machines is no drift."""

    low: float
    high: float
    scopes: dict[str, Spread]

    @classmethod
    def fit(
        cls,
        values: NDArray[np.float64],
        machines: list[str],
        jobs: list[str],
        families: list[str],
    ) -> Self | None:
        """Of the held-out items' operations (n,), no NaN; None where there are too few."""
        if len(values) < LEAST_UNITS:
            return None
        centre = float(np.median(values))
        robust = 1.4826 * float(np.median(np.abs(values - centre)))
        width = OUTLIER * max(robust, float(values.std()) / 4, 0.01)
        made = cls(centre - width, centre + width, {})
        values = np.clip(values, made.low, made.high)
        for scope, places in (("machine", machines), ("job", jobs)):
            if spread := Spread.fit(values, places, families):
                made.scopes[scope] = spread
        usual = made._usual()
        rest = values - np.array([usual.get(machine, 0.0) for machine in machines])
        if spread := Spread.fit(rest, [""] * len(rest), families):
            made.scopes["all"] = spread
        return made if made.scopes else None

    def within(
        self, operations: Iterable[tuple[str, str, str, float]]
    ) -> dict[str, dict[tuple[str, str], list[float]]]:
        """The units of operations (machine, job, family, log ratio): by scope, and by place and
        family, the sum of the clipped log ratios and their count; places not known left out."""
        units: dict[str, dict[tuple[str, str], list[float]]] = {s: {} for s in self.scopes}
        usual = self._usual()
        kinds = [(units[scope], spread.places, scope) for scope, spread in self.scopes.items()]
        for machine, job, family, value in operations:
            value = min(max(value, self.low), self.high)
            for found, known, scope in kinds:
                if scope == "all":
                    place, value_there = "", value - usual.get(machine, 0.0)
                else:
                    place, value_there = (machine if scope == "machine" else job), value
                if place in known:
                    sums = found.get((place, family))
                    if sums is None:
                        found[place, family] = [value_there, 1]
                    else:
                        sums[0] += value_there
                        sums[1] += 1
        return units

    def _usual(self) -> dict[str, float]:
        """The mean log ratio on each machine at training that is known."""
        spread = self.scopes.get("machine")
        return {name: place[0] for name, place in spread.places.items()} if spread else {}

    def plain(self) -> dict[str, Any]:
        """It as JSON."""
        scopes = {scope: spread.plain() for scope, spread in self.scopes.items()}
        return {"low": self.low, "high": self.high, "scopes": scopes}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Self:
        """What `plain` gave."""
        scopes = {str(scope): Spread.of(spread) for scope, spread in plain["scopes"].items()}
        return cls(float(plain["low"]), float(plain["high"]), scopes)
