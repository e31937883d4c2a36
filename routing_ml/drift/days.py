"""What each day's scores were like, and whether the same days one cycle ago explain an alarm.

A line that comes only on Mondays, or that fills two days a month, is in the baseline in its due
share; a short window holds all of it or nothing of it, and would alarm each time. So an alarm is
taken back where all three of these hold for one cycle:

1. days differ: one of the cycle before the window is unlike the baseline by itself, and the same
   days one cycle ago were unlike it in the same way;
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

from routing_ml.drift.windows import UNIT, Sample, WindowTest, WindowTests

# Days from one cycle to the next: one and two weeks; a month, whose days a weekend may move by
# two, and four or five weeks (the first Friday).
LAGS = (7, 14, *range(26, 36))
# The longest cycle, and a window of about as much again.
KEPT_DAYS = 75
# As many cycles as make this are looked at together, where they are kept: months differ.
POOLED_DAYS = 28
# (1): level at which a day of the cycle before the window must be unlike the baseline by itself,
# and one-sided one at which the same days one cycle ago must be.
ODD_DAY = 1e-4
UNLIKE = 0.05
# (3): level at which the whole cycle is.
CYCLE = 0.002
# Squares of normal scores are kept in this part of UNIT, so that their sums fit 64 bits.
COARSE = 1 << 16
# A day of more scores than that has a variance of its own, at least that share of the baseline's.
LEAST_FREE, LEAST_VARIANCE = 20, 0.05
# Fewer days with one a week before do not tell how much such days differ.
LEAST_PAIRS = 14
MEDIAN_CHI = 0.4549  # the median of chi squared with one degree of freedom


class Days:
    """The scores of the last 75 days, summed up by day.

    Of each day: how many scores, the sum of their normal scores (times UNIT) and of the squares
    (times COARSE squared), how many are low, and how many are in each bin of the KL.
    """

    def __init__(self, tests: WindowTests) -> None:
        self.tests = tests
        self.sums: dict[int, NDArray[np.int64]] = {}
        counts = tests.baseline.counts
        cells = np.repeat(np.arange(len(counts)), counts)
        self.usual = self._row(cells)
        self.plain = [
            *(WindowTest("mean", 0, 1.0, sign) for sign in (-1, 1) if tests.shifts),
            WindowTest("low", 0, 1.0),
            WindowTest("kl", 0, 1.0),
        ]
        # Of complete days, so that both stay until a new one begins.
        self._found: float | None = None
        self._odd: dict[int, bool] = {}

    def add(self, day: int, cells: NDArray[np.int64]) -> None:
        """Take in scores of a day (its ordinal; nothing where that is 0, not known), by the
        baseline's cell of each."""
        if not day or not len(cells):
            return
        row = self._row(cells)
        if day in self.sums and day == max(self.sums):
            self.sums[day] += row
            return
        self.sums[day] = self.sums[day] + row if day in self.sums else row
        first = max(self.sums) - KEPT_DAYS
        self.sums = {known: sums for known, sums in self.sums.items() if known > first}
        self._found, self._odd = None, {}

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

        `days` (n,) are the ordinals of those of the window's scores, 0 where one is not known;
        `alpha` is the level of (2).
        """
        known = days[days > 0]
        if not len(known):
            return 0.0, 0
        first, today = int(known.min()), int(known.max())
        for lag in LAGS:
            before = self.cycle_ago(days, lag)
            if before is None or self.tests.p_value(test, before) > UNLIKE:
                continue
            if not self._has_odd_day(first, lag):
                continue
            alike = window._replace(dispersion=before.dispersion)
            p = self.tests.p_value(test, alike, before)
            if p >= alpha and self._whole_cycle_is_usual(today, lag):
                return p, lag
        return 0.0, 0

    def cycle_ago(self, days: NDArray[np.int64], lag: int) -> Sample | None:
        """The same days in the cycles before, of `lag` days each, each with the weight that it has
        in `days`; None where none is known. A day that is not known counts as the baseline, and so
        does one that comes each week where the cycle is not of weeks: else Mondays would explain
        any day."""
        named, counts = np.unique(days, return_counts=True)
        rows, known = [], False
        for day in named.tolist():
            earlier = (day - k * lag for k in range(1, max(POOLED_DAYS // lag, 1) + 1) if day)
            before = [
                self.sums[d]
                for d in earlier
                if d in self.sums and not (lag % 7 and self._is_weekly(d))
            ]
            known |= bool(before)
            rows.append(np.sum(before, axis=0) if before else self.usual)
        return self._sample(np.stack(rows), counts / len(days)) if known else None

    def _has_odd_day(self, first: int, lag: int) -> bool:
        """Whether a day of the `lag` days before `first` is unlike the baseline by itself."""
        return any(self._is_odd(day) for day in range(first - lag, first) if day in self.sums)

    def _is_odd(self, day: int) -> bool:
        if day not in self._odd:
            sample = self._sample(self.sums[day][None], np.ones(1))
            self._odd[day] = any(self.tests.p_value(t, sample) < ODD_DAY for t in self.plain[:-1])
        return self._odd[day]

    def _is_weekly(self, day: int) -> bool:
        """Whether it is odd, and so is the same weekday before or after it."""
        return self._is_odd(day) and any(
            near in self.sums and self._is_odd(near) for near in (day - 7, day + 7)
        )

    def _whole_cycle_is_usual(self, today: int, lag: int) -> bool:
        rows = [self.sums[day] for day in range(today - lag, today) if day in self.sums]
        if not rows:
            return False
        sums = np.stack(rows)
        cycle = self._sample(sums, sums[:, 0] / sums[:, 0].sum())
        return all(self.tests.p_value(test, cycle) >= CYCLE for test in self.plain)

    def _sample(self, sums: NDArray[np.int64], shares: NDArray[np.float64]) -> Sample:
        """Days mixed in these shares (D,), which sum to 1; its variance is that within days."""
        n = sums[:, 0].astype(float)
        size = 1 / float((shares**2 / n).sum())
        means = sums[:, 1] / UNIT / n
        each = size * shares / n
        return Sample(
            size=size,
            mean=float(shares @ means),
            variance=float(shares @ self._within(sums)),
            low=float(each @ sums[:, 3]),
            bins=each @ sums[:, 4:],
            dispersion=self._dispersion(),
        )

    def _within(self, sums: NDArray[np.int64]) -> NDArray[np.float64]:
        """The variance of each day's normal scores (D,); of a day of few the baseline's."""
        n, usual = sums[:, 0].astype(float), self.tests.variance
        squares = sums[:, 2] / COARSE**2 - n * (sums[:, 1] / UNIT / n) ** 2
        found = np.maximum(squares / np.maximum(n - 1, 1), usual * LEAST_VARIANCE)
        return np.where(n > LEAST_FREE, found, usual)

    def _dispersion(self) -> float:
        """How many times as much a day's mean differs from that of a week before as those of
        independent scores would; at most the baseline's, which has what the calendar does in it.

        By the median, and without the last week, so that a few odd days or a drift do not count,
        and with the standard error of it on top.
        """
        most = self.tests.dispersion
        if self._found is None:
            newest = max(self.sums)
            pairs = [
                (row, self.sums[day - 7])
                for day, row in self.sums.items()
                if day <= newest - 7 and day - 7 in self.sums
            ]
            self._found = most
            if len(pairs) >= LEAST_PAIRS:
                one, other = (np.stack(rows) for rows in zip(*pairs, strict=True))
                gaps = one[:, 1] / UNIT / one[:, 0] - other[:, 1] / UNIT / other[:, 0]
                spread = self._within(one) / one[:, 0] + self._within(other) / other[:, 0]
                ratio = float(np.median(gaps**2 / spread)) / MEDIAN_CHI
                self._found = min(max(ratio * (1 + 2 / len(pairs) ** 0.5), 1.0), most)
        return self._found

    def state(self) -> dict[str, list[int]]:
        """The sums by ISO date, as JSON."""
        return {date.fromordinal(day).isoformat(): row.tolist() for day, row in self.sums.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`."""
        self._found, self._odd = None, {}
        self.sums = {
            date.fromisoformat(day).toordinal(): np.array(row, dtype=np.int64)
            for day, row in state.items()
        }
