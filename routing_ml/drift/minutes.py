"""How much the planners' minutes differ from the proposed ones, and bets that they have moved.

A unit is a family's operations on one machine (of one job; all of them) on a day: the mean of their
log(true / proposed minutes), against what the held-out items showed there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from routing_ml.drift.shrinkage import shrunk

BETS = (0.25, 0.5, 1.0, 1.5)  # in standard deviations of a unit's mean
CLIP = 3.0  # standard deviations of a unit that count at most
OUTLIER = 4.0  # robust standard deviations of one operation that count at most
ALLOWANCE = 0.02  # log minutes: times this far off are no drift
ERRORS = 1.5  # standard errors of a place's own mean that are allowed for on top
LEAST_UNITS = 8  # places with fewer are seen among all only
PRIOR_UNITS = 10  # what the spread of all counts for in that of one place
LEAST_BETWEEN = 0.02  # standard deviation between places, log minutes


@dataclass(frozen=True)
class Spread:
    """What units of one scope showed at training.

    A unit's mean of n operations has the variance `shared` + `own` / n, times the square of its
    place's scale; `places` are (mean, its standard error, scale) of each; `rising` and `falling`
    are upper bounds of the mean factor of each bet before it is divided by them.
    """

    shared: float
    own: float
    places: dict[str, tuple[float, float, float]]
    rising: tuple[float, ...]
    falling: tuple[float, ...]

    @classmethod
    def fit(
        cls, values: NDArray[np.float64], places: list[str], families: list[str]
    ) -> Self | None:
        """Of the operations' log ratios (n,), each with its place and family; None where no place
        has eight families."""
        place_of, names = _numbered(places)
        family_of, _ = _numbered(families)
        both = place_of * (int(family_of.max(initial=0)) + 1) + family_of
        _, first, unit = np.unique(both, return_index=True, return_inverse=True)
        sizes = np.bincount(unit).astype(float)
        means = np.bincount(unit, values) / sizes
        at, family = place_of[first], family_of[first]
        units = np.bincount(at, minlength=len(names))
        enough = units[at] >= LEAST_UNITS
        if not enough.any():
            return None
        inside = enough[unit]
        free = float(inside.sum() - enough.sum())
        own = float(((values - means[unit])[inside] ** 2).sum() / free) if free >= 10 else 0.0
        means, sizes, family = means[enough], sizes[enough], family[enough]
        kept, at = np.unique(at[enough], return_inverse=True)
        count = np.bincount(at)
        residual = means - (np.bincount(at, means) / count)[at]
        spread = float((residual**2).sum() / max(len(means) - len(kept), 1))
        shared = max(spread - own * float((1 / sizes).mean()), own / 50, 1e-6)
        weights = 1 / (shared + own / sizes)
        totals = np.bincount(at, weights)
        raw = np.bincount(at, weights * means) / totals
        found = shrunk(raw, 1 / totals, least=LEAST_BETWEEN)
        # A unit is part of its place's mean, which later ones will not be.
        z = (means - raw[at]) * np.sqrt(weights / (1 - weights / totals[at]))
        squares = np.bincount(at, np.minimum(z**2, CLIP**2))
        scale = np.sqrt(
            (PRIOR_UNITS + squares) / (PRIOR_UNITS + count) * (1 + 1 / np.sqrt(PRIOR_UNITS + count))
        )
        standard = np.clip(z / scale[at], -CLIP, CLIP)
        listed = zip(found.means.tolist(), found.errors.tolist(), scale.tolist(), strict=True)
        return cls(
            shared=shared,
            own=own,
            places=dict(zip((names[k] for k in kept.tolist()), listed, strict=True)),
            rising=_growth(standard, family),
            falling=_growth(-standard, family),
        )

    def logs(
        self, places: list[str], totals: NDArray[np.float64], counts: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Log factors (U, B) of the bets that times rose, and that they fell, of units given by
        their place (one of `places`), sum of log ratios and operations."""
        known = np.array([self.places[place] for place in places])
        width = known[:, 2] * np.sqrt(self.shared + self.own / counts)
        off, allowed = totals / counts - known[:, 0], ALLOWANCE + ERRORS * known[:, 1]
        bets = np.array(BETS)
        up, down = (np.clip(v / width, -CLIP, CLIP) for v in (off - allowed, -off - allowed))
        rising = np.outer(up, bets) - np.log(self.rising)
        return rising, np.outer(down, bets) - np.log(self.falling)


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
        return asdict(self)

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Self:
        """What `plain` gave."""
        scopes = {
            scope: Spread(
                float(s["shared"]),
                float(s["own"]),
                {str(k): (float(a), float(b), float(c)) for k, (a, b, c) in s["places"].items()},
                _positive(s["rising"]),
                _positive(s["falling"]),
            )
            for scope, s in plain["scopes"].items()
        }
        return cls(float(plain["low"]), float(plain["high"]), scopes)


def _positive(bounds: list[float]) -> tuple[float, ...]:
    found = tuple(float(bound) for bound in bounds)
    if len(found) != len(BETS) or min(found) < 1:
        raise ValueError("the bounds of the bets are not what they were")
    return found


def _growth(z: NDArray[np.float64], families: NDArray[np.int64]) -> tuple[float, ...]:
    """An upper bound of the mean of exp(bet * z) for each bet: the mean and two standard errors
    between families (linearization), 1 at least."""
    bounds = []
    for bet in BETS:
        factors = np.exp(bet * z)
        mean = float(factors.mean())
        error = float(np.sqrt((np.bincount(families, factors - mean) ** 2).sum())) / len(z)
        bounds.append(max(mean + 2 * error, 1.0))
    return tuple(bounds)


def _numbered(names: list[str]) -> tuple[NDArray[np.int64], list[str]]:
    found: dict[str, int] = {}
    numbers = [found.setdefault(name, len(found)) for name in names]
    return np.array(numbers, dtype=np.int64), list(found)
