"""The drift watch where a line of a factory comes on some days only: `drift.py --part calendar`.

60 items a day, looked at every 4 hours, from an empty window. The line is in the baseline in its
due share, which is either in order of entry, a day's items of the line together, or drawn without
order. Weeks count from the end of the first cycle (a week, or 31 days); `later` ones from when the
window of 1,000 holds nothing of the first cycle. The same scores go through a detector that is told
the day of each and through one that is not.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from routing_ml.drift import Baseline, DriftDetector

Scores = NDArray[np.float64]
Drift = Callable[[Scores, bool, np.random.Generator], Scores]
A_DAY, A_LOOK = 60, 10
WINDOW_DAYS = 17
WEEKS = 7
MOST = 0.05
# Drift begins after that many days without.
BEFORE, AFTER = 48, 21


class Calendar(NamedTuple):
    """When the line comes, the days of a cycle, and its due share of all items."""

    comes: Callable[[date], bool]
    cycle: int
    share: float


def a_monday(day: date) -> bool:
    return day.weekday() == 0


def one_of_two_working_days(day: date) -> bool:
    """The first two working days from the 14th on."""
    if day.weekday() > 4 or not 14 <= day.day <= 19:
        return False
    working = [d for d in range(14, day.day) if day.replace(day=d).weekday() < 5]
    return len(working) < 2


def never(day: date) -> bool:
    return False


CALENDARS = {
    "only on Mondays": Calendar(a_monday, 7, 1 / 7),
    "two days a month": Calendar(one_of_two_working_days, 31, 24 / 365.25),
}
NONE = Calendar(never, 7, 0.0)


def beta(rng: np.random.Generator, n: int, a: float, b: float) -> Scores:
    return rng.beta(a, b, n)


def usual(rng: np.random.Generator, n: int) -> Scores:
    return rng.beta(8, 2, n)


def line(rng: np.random.Generator, n: int) -> Scores:
    return rng.beta(6, 4, n)


def baseline(rng: np.random.Generator, size: int, calendar: Calendar, in_order: bool) -> Baseline:
    """With the line's due share; in order, its items in runs of about a day's."""
    of_line = rng.random(size) < calendar.share
    if in_order:
        of_line[:] = False
        count = round(calendar.share * size)
        runs = max(round(count / A_DAY), 1)
        ends = np.linspace(0, size, runs + 1).astype(int)
        for start, end, run in zip(
            ends[:-1], ends[1:], np.array_split(np.arange(count), runs), strict=True
        ):
            at = rng.integers(start, end - len(run) + 1)
            of_line[at : at + len(run)] = True
    scores = np.where(of_line, line(rng, size), usual(rng, size))
    return Baseline.fit(scores, in_order=in_order)


def live(
    rng: np.random.Generator,
    base: Baseline,
    calendar: Calendar,
    days: int,
    drift: Drift | None = None,
) -> NDArray[np.bool_]:
    """Whether it alarms (2, days, looks a day): told the days, and not. `drift` changes the scores
    of each day from BEFORE on; the alarms are of the days from then on."""
    told, untold = DriftDetector(base), DriftDetector(base)
    alarms = np.zeros((2, days, A_DAY // A_LOOK), dtype=bool)
    first = date(2026, 1, 1) + timedelta(int(rng.integers(365)))
    while drift is its_own and not calendar.comes(first + timedelta(BEFORE)):
        first += timedelta(1)
    for number in range(days):
        day = first + timedelta(number)
        comes = calendar.comes(day)
        scores = (line if comes else usual)(rng, A_DAY)
        if drift is not None and number >= BEFORE:
            scores = drift(scores, comes, rng)
        for look, part in enumerate(scores.reshape(-1, A_LOOK)):
            alarms[0, number, look] = told.update_many(part, day=day).drift_detected
            alarms[1, number, look] = untold.update_many(part).drift_detected
    return alarms if drift is None else alarms[:, BEFORE:]


def weeks_with_an_alarm(replications: int) -> bool:
    """Print the table; whether every cell that has a promise keeps it."""
    print(
        f"\nWeeks with an alarm, no drift, a line on some days, {replications} replications "
        f"(at most {MOST:.0%})\n"
        f"{'line':18}{'baseline':>9}{'':14}{'first cycle':>12}{'all after it':>14}{'later':>8}"
        f"{'days not told':>15}"
    )
    kept = True
    for in_order in (True, False):
        for name, calendar in CALENDARS.items():
            for size in (300, 2000):
                first, weeks, without = [], [], []
                for number in range(replications):
                    rng = np.random.default_rng([31, size, number])
                    base = baseline(rng, size, calendar, in_order)
                    days = calendar.cycle + 7 * WEEKS
                    alarms = np.any(live(rng, base, calendar, days), axis=2)
                    first.append(alarms[0, : calendar.cycle].any())
                    after = alarms[:, calendar.cycle :].reshape(2, WEEKS, 7)
                    told, untold = np.any(after, axis=2)
                    weeks.append(told)
                    without.append(untold)
                later = np.array(weeks)[:, -(-WINDOW_DAYS // 7) :].mean()
                every = float(np.mean(weeks))
                kept &= bool((every if in_order else later) <= MOST)
                print(
                    f"{name:18}{size:9,}{'  in order' if in_order else '  without':14}"
                    f"{np.mean(first):12.1%}{every:14.1%}{later:8.1%}{np.mean(without):15.1%}",
                    flush=True,
                )
    return kept


def new_line(scores: Scores, comes: bool, rng: np.random.Generator) -> Scores:
    """Three items of ten are of a new line."""
    return np.where(rng.random(len(scores)) < 0.3, rng.beta(2, 6, len(scores)), scores)


def others(scores: Scores, comes: bool, rng: np.random.Generator) -> Scores:
    """All items but the line's are .1 lower."""
    return scores if comes else rng.beta(7, 3, len(scores))


def its_own(scores: Scores, comes: bool, rng: np.random.Generator) -> Scores:
    """The line's own items are .3 lower."""
    return rng.beta(3, 7, len(scores)) if comes else scores


DRIFTS = {
    "a new line, 30 % of the items": new_line,
    "all others .1 lower": others,
    "the line's own items .3 lower": its_own,
}


def delays(replications: int) -> None:
    """How soon a real drift is told under a calendar, and on how many days of its second week."""
    print(
        f"\nReal drift, baseline 2,000, {replications} replications: found within 3 days, in 21, "
        "median days\nuntil the alarm, days of the second week that end in one; days told, then not"
    )
    for name, calendar in {"no calendar": NONE, **CALENDARS}.items():
        for in_order in (True, False):
            for kind, drift in DRIFTS.items():
                if calendar is NONE and drift is its_own:
                    continue
                found = []
                for number in range(replications):
                    rng = np.random.default_rng([32, number])
                    base = baseline(rng, 2000, calendar, in_order)
                    alarms = live(rng, base, calendar, BEFORE + AFTER, drift)
                    found.append(alarms)
                told, untold = np.array(found).swapaxes(0, 1)
                print(
                    f"{name:18}{'in order' if in_order else 'without':10}{kind:32}"
                    f"{shown(told)}   {shown(untold)}",
                    flush=True,
                )


def shown(alarms: NDArray[np.bool_]) -> str:
    """Of alarms (replications, days, looks)."""
    looks = alarms.reshape(len(alarms), -1)
    per_day = alarms.shape[2]
    first = np.where(looks.any(axis=1), looks.argmax(axis=1) + 1, np.inf) / per_day
    week = alarms[:, 7:14, -1].mean()
    return (
        f"{(first <= 3).mean():5.0%}{np.isfinite(first).mean():6.0%}{np.median(first):6.1f}"
        f"{week:6.0%}"
    )


def calendar(replications: int) -> bool:
    """Both tables; whether the promise is kept."""
    kept = weeks_with_an_alarm(replications)
    delays(max(replications // 8, 1))
    return kept
