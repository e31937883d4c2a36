"""The confidence sequence of a share: an interval that holds however often one looks.

For outcomes of items that arrive over time, such as whether the routing that a planner entered is
the proposed one. Items of one family, entered together, are right or wrong together: each family
counts as one, of its size. The mean may change with time; what is covered is its running mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log

import numpy as np
from scipy import optimize

from routing_ml.comparison.cases import ALPHA
from routing_ml.errors import InputError

TILTS = np.geomspace(0.01, 4.0, 12)
"""For what surplus of right items a part of the wealth is kept: the largest for few items."""
PRECISION = 1e-7
TINY = 1e-300


def confidence_sequence(
    right: float, sizes: Mapping[int, int], alpha: float = ALPHA
) -> tuple[float, float]:
    """The interval of the running mean of all items so far; wrong at any time with at most `alpha`.

    `right` is the sum of the items' outcomes, each in [0, 1]; `sizes` says of how many items a
    family is and how many there are of these, the size being known before the outcome. (0, 1) for
    no items. InputError for a size or count below 0, a size of 0, or more right items than there
    are; or for an alpha outside (0, 1).

    Of a family of s items with mean outcome X of mean p, exp(l s X) is at most 1 - p + p exp(l s)
    in expectation, whatever its items have to do with each other. The product over the families of
    the one over the other is a supermartingale for each tilt l, and so is the mixture over `TILTS`;
    it ever exceeds 1 / alpha with a chance of at most alpha (Ville). What p was in each family is
    not known, only their running mean m: the product is taken at the p of that mean that makes it
    smallest. Two such, for right and for wrong items, have half of alpha each. (Howard, Ramdas,
    McAuliffe and Sekhon, Annals of Statistics 49, 2021, 1055-1080: sub-Bernoulli processes;
    Robbins, Annals of Mathematical Statistics 41, 1970, 1397-1409: mixtures.)

    >>> [round(bound, 2) for bound in confidence_sequence(90, {1: 100})]
    [0.77, 0.97]
    """
    if not 0 < alpha < 1:
        raise InputError(f"alpha is {alpha}: it must be above 0 and below 1")
    if wrong := [f"{n} families of {s}" for s, n in sizes.items() if s < 1 or n < 0]:
        raise InputError(f"{wrong[0]} were given: count at least 0 families of at least 1 item")
    items = sum(size * number for size, number in sizes.items())
    if not 0 <= right <= items:
        raise InputError(f"{right} of {items} items are right: it must be from 0 to all of them")
    if not items:
        return 0.0, 1.0
    process = Process(sizes)
    least = log(2 / alpha)
    return _lowest(process, right, least), 1 - _lowest(process, items - right, least)


class Process:
    """Wealth of a bet that more items are right than a running mean explains.

    `sizes` is the number of families by their size. What of it does not depend on the outcomes is
    worked out once.
    """

    def __init__(self, sizes: Mapping[int, int]) -> None:
        size, number = np.array(list(sizes), float), np.array(list(sizes.values()), float)
        self.items = float(size @ number)
        self._number, self._size = number, size
        self._all = TILTS[:, None] * size  # (tilts, sizes)
        # Not exp(l s) itself, which a family of thousands would take out of bounds.
        self._none = np.maximum(np.exp(-self._all), TINY)
        # The p of a family of size s that makes the product smallest under sum(s p) = m items is
        # t / s - 1 / (exp(l s) - 1), within [0, 1], for one level t; sum(s p) is linear in t
        # between knots.
        self._start = size * self._none / -np.expm1(-self._all)
        knots = np.sort(np.concatenate([self._start, self._start + size], axis=1), axis=1)
        inside = np.clip(knots[:, :, None] - self._start[:, None, :], 0, size)
        self._knots, self._reached = knots, inside @ number

    def log_wealth(self, right: np.ndarray | float, mean: np.ndarray | float) -> np.ndarray:
        """Of `right` items (c,) at running means (c,); above log(1 / alpha) the mean is refuted."""
        share = np.atleast_1d(np.asarray(mean, float))
        if len(self._size) == 1:
            p = share[:, None, None]
        else:
            level = np.stack(
                [
                    np.interp(share * self.items, reached, knots)
                    for reached, knots in zip(self._reached, self._knots, strict=True)
                ],
                axis=1,
            )
            p = np.clip(level[:, :, None] - self._start, 0, self._size) / self._size
        spent = (self._all + np.log(p + (1 - p) * self._none)) @ self._number
        each = TILTS * np.reshape(right, (-1, 1)) - spent
        top = each.max(axis=1)
        found: np.ndarray = top + np.log(np.exp(each - top[:, None]).mean(axis=1))
        return found


def _lowest(process: Process, right: float, least: float) -> float:
    """The smallest running mean that is not refuted: there the wealth falls below `least`."""

    def beyond(mean: float) -> float:
        return float(process.log_wealth(right, mean)[0]) - least

    # At the share itself every tilt's wealth is at most 1.
    if beyond(0.0) <= 0:
        return 0.0
    root = float(optimize.brentq(beyond, 0.0, right / process.items, xtol=PRECISION))
    return max(root - PRECISION, 0.0)
