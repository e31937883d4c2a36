"""What each day's scores were like, and whether the same days one cycle ago explain an alarm.

A line that comes only on Mondays, or that fills two days a month, is in the baseline in its due
share; a short window holds all of it or nothing of it, and would alarm each time. So an alarm is
taken back where all three of these hold for one cycle:

1. the same days one cycle ago were unlike the baseline in the same way;
2. the window is not unlike those days;
3. the last whole cycle, up to yesterday, is like the baseline.

A drift that stays is not explained by its own first days: by the time that there is a drift one
cycle ago, the whole cycle is unlike the baseline. Without days nothing is taken back.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routing_ml.drift.windows import UNIT, Sample, Tests, WindowTest

# Days from one cycle to the next: one and two weeks; a month, whose days a weekend may move by
# two, and four or five weeks (the first Friday).
LAGS = (7, 14, *range(26, 36))
# The longest cycle, and a window of about as much again.
KEPT_DAYS = 75
# As many cycles before are looked at together, where they are kept.
CYCLES = 4
# (1): one-sided level at which the same days one cycle ago must be unlike the baseline.
UNLIKE = 0.01
# (3): level at which the whole cycle is.
CYCLE = 0.002
# Squares of normal scores are kept in this part of UNIT, so that their sums fit 64 bits.
COARSE = 1 << 16
LEAST_FREE = 20


class Days:
    """The scores of the last 75 days, summed up by day.

    Of each day: how many scores, the sum of their normal scores (times UNIT) and of the squares
    (times COARSE squared), how many are low, and how many are in each bin of the KL.
    """

    def __init__(self, tests: Tests) -> None:
        self.tests = tests
        self.sums: dict[int, NDArray[np.int64]] = {}
        counts = tests.baseline.counts
        cells = np.repeat(np.arange(len(counts)), counts)
        self.usual = self._row(cells)

    def add(self, day: int, cells: NDArray[np.int64]) -> None:
        """Take in scores of a day (its ordinal; nothing where that is 0, not known), by the
        baseline's cell of each."""
        if not day or not len(cells):
            return
        row = self._row(cells)
        if day in self.sums:
            self.sums[day] += row
            return
        self.sums[day] = row
        first = max(self.sums) - KEPT_DAYS
        self.sums = {known: sums for known, sums in self.sums.items() if known > first}

    def _row(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        weights = self.tests.weights[cells]
        coarse = weights // (UNIT // COARSE)
        bins = np.bincount(self.tests.bin_of[cells], minlength=self.tests.degrees + 1)
        low = np.count_nonzero(cells < self.tests.tail)
        return np.array([len(cells), weights.sum(), (coarse**2).sum(), low, *bins], dtype=np.int64)

    def explain(
        self, test: WindowTest, window: Sample, days: NDArray[np.int64], alpha: float
    ) -> tuple[float, int]:
        """(p-value of the window against the same days one cycle ago, that cycle in days) where
        those explain what the test says of the window; (0, 0) where no cycle does.

        `days` (n,) are those of the window's scores, oldest first; `alpha` is the level of (2).
        """
        for lag in LAGS:
            before = self.cycle_ago(days, lag)
            if before is None or self.tests.p_value(test, before) > UNLIKE:
                continue
            p = self.tests.p_value(test, window, before)
            if p >= alpha and self._whole_cycle_is_usual(int(days[-1]), lag):
                return p, lag
        return 0.0, 0

    def cycle_ago(self, days: NDArray[np.int64], lag: int) -> Sample | None:
        """The same days in the cycles before, of `lag` days each, each with the weight that it has
        in `days`; None where none is known. A day that is not known counts as the baseline."""
        named, counts = np.unique(days, return_counts=True)
        rows, known = [], False
        for day in named.tolist():
            before = [
                self.sums[d]
                for k in range(1, CYCLES + 1)
                if day and (d := day - k * lag) in self.sums
            ]
            known |= bool(before)
            rows.append(np.sum(before, axis=0) if before else self.usual)
        return self._sample(np.stack(rows), counts / len(days)) if known else None

    def _whole_cycle_is_usual(self, today: int, lag: int) -> bool:
        rows = [self.sums[day] for day in range(today - lag, today) if day in self.sums]
        if not rows:
            return False
        sums = np.stack(rows)
        cycle = self._sample(sums, sums[:, 0] / sums[:, 0].sum())
        tests = [
            *(WindowTest("mean", 0, 1.0, sign) for sign in (-1, 1) if self.tests.shifts),
            WindowTest("low", 0, 1.0),
            WindowTest("kl", 0, 1.0),
        ]
        return all(self.tests.p_value(test, cycle) >= CYCLE for test in tests)

    def _sample(self, sums: NDArray[np.int64], shares: NDArray[np.float64]) -> Sample:
        """Days mixed in these shares (D,), which sum to 1; its variance is that within days."""
        n = sums[:, 0].astype(float)
        size = 1 / float((shares**2 / n).sum())
        means = sums[:, 1] / UNIT / n
        free = float(n.sum()) - len(n)
        within = float((sums[:, 2] / COARSE**2 - n * means**2).sum()) / max(free, 1.0)
        variance = self.tests.variance
        if free >= LEAST_FREE:
            variance = min(max(within, variance / 10), variance)
        each = size * shares / n
        return Sample(
            size=size,
            mean=float(shares @ means),
            variance=variance,
            low=float(each @ sums[:, 3]),
            bins=each @ sums[:, 4:],
        )

    def state(self) -> dict[str, list[int]]:
        """The sums by ISO date, as JSON."""
        return {date.fromordinal(day).isoformat(): row.tolist() for day, row in self.sums.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`."""
        self.sums = {
            date.fromisoformat(day).toordinal(): np.array(row, dtype=np.int64)
            for day, row in state.items()
        }
