"""What units of planners' minutes showed at training, and bets that they have moved.

A unit is a family's operations on one machine (of one job; all of them) on a day: the mean of their
log(true / proposed minutes), against what the held-out items showed there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from routing_ml.drift.shrinkage import shrunk

BETS = (0.25, 0.5, 1.0, 1.5)  # in standard deviations of a unit's mean
CLIP = 3.0  # standard deviations of a unit that count at most
ALLOWANCE = 0.01  # log minutes: times this far off are no drift
ERRORS = 1.25  # standard errors of a place's own mean that are allowed for on top
LEAST_UNITS = 8  # places with fewer are seen among all only
PRIOR_UNITS = 10  # what the spread of all counts for in that of one place
LEAST_BETWEEN = 0.02  # standard deviation between places, log minutes


class Units(NamedTuple):
    """Units (U,): `place` among a spread's names, the number of their family, the mean log ratio
    of their operations and how many these are."""

    place: NDArray[np.int64]
    family: NDArray[np.int64]
    means: NDArray[np.float64]
    counts: NDArray[np.int64]


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

    @cached_property
    def names(self) -> list[str]:
        """The places, in an order of their own."""
        return list(self.places)

    @cached_property
    def index(self) -> dict[str, int]:
        """Where each place is among `names`."""
        return {name: k for k, name in enumerate(self.names)}

    def units(
        self, places: list[str], families: NDArray[np.int64], values: NDArray[np.float64]
    ) -> Units:
        """The units of operations (n,), those of places that are not known left out."""
        at = np.array([self.index.get(place, -1) for place in places], dtype=np.int64)
        known = at >= 0
        many = int(families.max(initial=0)) + 1
        both, of = np.unique(at[known] * many + families[known], return_inverse=True)
        counts = np.bincount(of, minlength=len(both))
        return Units(both // many, both % many, np.bincount(of, values[known]) / counts, counts)

    def precisions(self, units: Units) -> NDArray[np.float64]:
        """1 / the variance of the mean of each unit (U,)."""
        return 1 / (self._scales[units.place] ** 2 * (self.shared + self.own / units.counts))

    def logs(
        self, units: Units, means: NDArray[np.float64], errors: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Log factors (U, B) of the bets that times rose, and that they fell; `means` of the places
        and their standard `errors` (P,) are as they are known by now."""
        off = units.means - means[units.place]
        allowed = ALLOWANCE + ERRORS * errors[units.place]
        root, bets = np.sqrt(self.precisions(units)), np.array(BETS)
        up, down = (np.clip(v * root, -CLIP, CLIP) for v in (off - allowed, -off - allowed))
        rising = np.outer(up, bets) - np.log(self.rising)
        return rising, np.outer(down, bets) - np.log(self.falling)

    @cached_property
    def _scales(self) -> NDArray[np.float64]:
        return np.array([scale for *_, scale in self.places.values()])

    def plain(self) -> dict[str, Any]:
        """It as JSON."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Self:
        """What `plain` gave; ValueError where it cannot be."""
        places = {str(k): _three(values) for k, values in plain["places"].items()}
        bounds = [tuple(float(bound) for bound in plain[way]) for way in ("rising", "falling")]
        if any(len(found) != len(BETS) or min(found) < 1 for found in bounds):
            raise ValueError("the bounds of the bets are not what they were")
        return cls(float(plain["shared"]), float(plain["own"]), places, *bounds)


def _three(plain: Sequence[float]) -> tuple[float, float, float]:
    mean, error, scale = (float(value) for value in plain)
    if not (error > 0 and scale > 0):
        raise ValueError("an error or a scale is not above 0")
    return mean, error, scale


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
