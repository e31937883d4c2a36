"""Whether the alert on live accuracy is true, and how soon it comes.

    python benchmarks/live_accuracy.py [--replications 2000]

Years of a made-up factory in which each proposal is exactly right with a known chance, items of a
family together. Each day the alert's two figures are looked at: all that was judged of the version
in use, and the last 28 days, whose upper end must be below .85 (`RoutingMLAccuracyLow`). First how
many years have an alarm though .85 or more are right, beside those by an ordinary interval (Wilson)
and by the bare share, both from 60 items on; then how many days pass until one comes where less is
right, from the first day on and after half a year of .93. Ends with exit code 1 when more than 5 %
of the years at .85 have a false alarm.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from routing_ml.comparison import confidence_sequence, intervals

LIMIT, ENOUGH = 0.85, 60
DAYS, WINDOW = 365, 28
FALSE_MOST = 0.05
FACTORIES = ((2, 1), (5, 1), (5, 3), (10, 1))  # items a day, items a family

Counts = NDArray[np.int64]
Most = Callable[[int, int], int]


def bisect(families: int, below: Callable[[int], bool]) -> int:
    """The most families right of these for which the limit is shown to be missed; -1 for none."""
    least, most = -1, families
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if below(middle) else (least, middle - 1)
    return least


@cache
def by_sequence(families: int, size: int) -> int:
    """By the confidence sequence, as the alert does."""
    sizes = {size: families}
    return bisect(families, lambda right: confidence_sequence(right * size, sizes)[1] < LIMIT)


@cache
def by_wilson(families: int, size: int) -> int:
    """By an interval that is meant for one look, each family one, where there are enough items."""

    def below(right: int) -> bool:
        return intervals.wilson(right / families, families)[1] < LIMIT

    return bisect(families, below) if families * size >= ENOUGH else -1


@cache
def by_share(families: int, size: int) -> int:
    """By the share alone, where there are enough items."""
    enough = families * size >= ENOUGH
    return bisect(families, lambda right: right < LIMIT * families) if enough else -1


def first_alarm(families: Counts, right: Counts, size: int, most: Most) -> NDArray[np.float64]:
    """The day (from 1) of each replication's first alarm, inf for none; of families judged a day
    and right ones of them, (replications, days) each."""
    judged, good = families.cumsum(axis=1), right.cumsum(axis=1)
    first = np.full(len(judged), np.inf)
    for day in range(judged.shape[1]):
        for since in {-1, day - WINDOW} if day >= WINDOW else {-1}:
            of = judged[:, day] - (judged[:, since] if since >= 0 else 0)
            are = good[:, day] - (good[:, since] if since >= 0 else 0)
            shown = are <= np.array([most(int(number), size) for number in of])
            first[shown & np.isinf(first)] = day + 1
    return first


def drawn(
    rng: np.random.Generator, shape: tuple[int, int], rate: float, chances: NDArray[np.float64]
) -> tuple[Counts, Counts]:
    """Families judged a day, and right ones, with a chance for each day."""
    families = rng.poisson(rate, shape)
    return families, rng.binomial(families, chances)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--replications", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    year, worst = (options.replications, DAYS), 0.0
    print("items a day, a family  right   years with a false alarm: alert   Wilson   share")
    for items, size in FACTORIES:
        for chance in (0.85, 0.86, 0.88, 0.90):
            counts = drawn(rng, year, items / size, np.full(DAYS, chance))
            ways = (by_sequence, by_wilson, by_share)
            found = [np.isfinite(first_alarm(*counts, size, way)).mean() for way in ways]
            shares = "".join(f"{share:9.2%}" for share in found)
            print(f"{items:11}{size:10}{chance:7.2f}{'':24}{shares}", flush=True)
            worst = max(worst, found[0] if chance == LIMIT else 0.0)
    print("items a day, a family  right   days until told, median (within 90 days): new   later")
    for items, size in FACTORIES:
        for chance in (0.80, 0.75, 0.70, 0.60):
            new = drawn(rng, year, items / size, np.full(DAYS, chance))
            turned = np.where(np.arange(DAYS) < DAYS // 2, 0.93, chance)
            later = first_alarm(*drawn(rng, year, items / size, turned), size, by_sequence)
            said = [first_alarm(*new, size, by_sequence), later - DAYS // 2]
            told = "".join(f"{np.median(s):9.0f} ({np.mean(s <= 90):4.0%})" for s in said)
            print(f"{items:11}{size:10}{chance:7.2f}{'':24}{told}", flush=True)
    print(
        f"at {LIMIT} at most {worst:.2%} of the years have a false alarm, allowed {FALSE_MOST:.0%}"
    )
    raise SystemExit(bool(worst > FALSE_MOST))


if __name__ == "__main__":
    main()
