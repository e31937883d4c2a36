"""How much the planners' minutes differed from the proposed ones at training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from routing_ml.drift.spread import LEAST_UNITS, Spread, Units

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
        """Of the held-out items' operations (n,), no NaN; None where there are too few. A machine
        or job that is not known is ''."""
        if len(values) < LEAST_UNITS:
            return None
        centre = float(np.median(values))
        robust = 1.4826 * float(np.median(np.abs(values - centre)))
        width = OUTLIER * max(robust, float(values.std()) / 4, 0.01)
        made = cls(centre - width, centre + width, {})
        values = np.clip(values, made.low, made.high)
        for scope, places in (("machine", machines), ("job", jobs)):
            named = [k for k, place in enumerate(places) if place]
            of = [families[k] for k in named]
            if spread := Spread.fit(values[named], [places[k] for k in named], of):
                made.scopes[scope] = spread
        rest = made._rest(values, machines)
        if spread := Spread.fit(rest, [""] * len(rest), families):
            made.scopes["all"] = spread
        return made if made.scopes else None

    def units(
        self,
        values: NDArray[np.float64],
        machines: list[str],
        jobs: list[str],
        families: NDArray[np.int64],
    ) -> dict[str, Units]:
        """The units of operations (n,), no NaN, of numbered families, by scope."""
        values = np.clip(values, self.low, self.high)
        found = {}
        for scope, spread in self.scopes.items():
            if scope == "all":
                found[scope] = spread.units(
                    [""] * len(values), families, self._rest(values, machines)
                )
            else:
                found[scope] = spread.units(
                    machines if scope == "machine" else jobs, families, values
                )
        return found

    def _rest(self, values: NDArray[np.float64], machines: list[str]) -> NDArray[np.float64]:
        """Log ratios (n,) without the mean of their machine at training, where that is known."""
        spread = self.scopes.get("machine")
        places = spread.places if spread else {}
        return values - np.array([places.get(name, (0.0,))[0] for name in machines])

    def plain(self) -> dict[str, Any]:
        """It as JSON."""
        scopes = {scope: spread.plain() for scope, spread in self.scopes.items()}
        return {"low": self.low, "high": self.high, "scopes": scopes}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Self:
        """What `plain` gave."""
        scopes = {str(scope): Spread.of(spread) for scope, spread in plain["scopes"].items()}
        return cls(float(plain["low"]), float(plain["high"]), scopes)
