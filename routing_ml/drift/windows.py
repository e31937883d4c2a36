"""The tests that tell a window of scores from the baseline, and from other days' scores.

Each allows for what it compares with being a sample too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from routing_ml.drift.baseline import TAIL, Baseline

# (scores looked at, its share of alpha). Shares grow with the length, since a short window holds
# more independent looks a week, and most go to falling scores, which is what drift looks like
# here. Overlapping windows say much the same, so the shares may sum to 3: measured, one look in
# 800 alarms without drift, and one week of hourly looks at 200 scores a day in 50.
FALLING = ((20, 0.01), (50, 0.02), (100, 0.04), (200, 0.08), (400, 0.7), (500, 0.8), (700, 1.0))
RISING = ((100, 0.02), (500, 0.06))
TAILS = ((20, 0.004), (50, 0.01), (100, 0.02), (200, 0.04))
KLS = ((200, 0.06), (1000, 0.2))
# Below this many independent scores the KL divergence is mostly noise (its mean is .09 at 50) and
# shown as 0.
LEAST_KL = 50
SMOOTHING = 0.5
UNIT = 1 << 32


class Sample(NamedTuple):
    """Scores as the tests see them: how many they say as much as (but for the dispersion, that of
    the baseline or less), the mean and the variance of their normal scores, how many of them are
    low, and the scores in each bin of the KL (B,)."""

    size: float
    mean: float
    variance: float
    low: float
    bins: NDArray[np.float64]
    dispersion: float


class WindowTest(NamedTuple):
    """A test of the last `n` scores: of their mean (of a `sign`: 1 rising, -1 falling), of the
    count of low ones or of the KL divergence; `share` is its part of the level."""

    kind: Literal["mean", "low", "kl"]
    n: int
    share: float
    sign: int = 1


class Rings(NamedTuple):
    """The scores of a detector up to `end`: the bin of each, and up to and with each the sum of
    normal scores, times UNIT, and the count of low ones."""

    bins: NDArray[np.int64]
    sums: NDArray[np.int64]
    lows: NDArray[np.int64]
    end: int


class WindowTests:
    """The tests of one baseline, with what can be computed beforehand."""

    def __init__(self, baseline: Baseline, window: int) -> None:
        size = baseline.size
        self.baseline, self.size, self.window = baseline, size, window
        self.dispersion = baseline.dispersion
        # In whole numbers, so that sums are exact and a restored detector says the same.
        self.weights = np.rint(baseline.normal_scores * UNIT).astype(np.int64)
        shares, weights = baseline.counts / size, self.weights / UNIT
        self.variance = float(shares @ weights**2)
        third = float(shares @ weights**3)
        self.skewness = third / self.variance**1.5 if self.variance else 0.0
        self.shifts = [
            WindowTest("mean", n, share, sign)
            for sign, tests in ((-1, FALLING), (1, RISING))
            for n, share in _within(tests, window)
            if self.variance > 1e-9
        ]
        below = np.cumsum(baseline.counts)
        self.tail = int(np.searchsorted(below, TAIL * size, side="right"))
        self.rank = int(below[self.tail - 1]) + 1 if self.tail else 1
        self.lows = [
            (WindowTest("low", n, share), self._low_p_values(n))
            for n, share in _within(TAILS, window)
        ]
        self.kls = [WindowTest("kl", n, share) for n, share in _within(KLS, window)]
        self.bin_of = np.zeros(len(baseline.counts), dtype=np.int64)
        self.bin_of[baseline.bins] = 1
        self.bin_of = self.bin_of.cumsum()
        counts = baseline.bin_counts
        self.degrees = len(counts) - 1
        total = size + SMOOTHING * len(counts)
        self.expected = [math.log((count + SMOOTHING) / total) for count in counts.tolist()]
        self.logs = [math.log(count + SMOOTHING) for count in range(window + 1)]

    def look(self, rings: Rings, n: int) -> tuple[list[tuple[float, WindowTest]], float]:
        """The p-values, each over its test's share, of the last n scores of the rings; their KL."""
        bins, sums, lows, end = rings
        found: list[tuple[float, WindowTest]] = []
        kl, of = 0.0, 0
        total, low = int(sums[end - 1]), int(lows[end - 1])
        for test in self.shifts:
            _, scores, share, sign = test
            if scores <= n:
                shift = sign * (total - int(sums[end - 1 - scores]))
                if shift > 0:
                    found.append((self._shift(shift / UNIT / scores, scores, sign) / share, test))
        for test, p_values in self.lows:
            scores = test.n
            if scores <= n:
                found.append((p_values[low - int(lows[end - 1 - scores])] / test.share, test))
        for test in self.kls:
            scores = test.n
            if scores <= n:
                kl, of = self._kl(bins[end - scores : end]), scores
                found.append((self._kl_p(kl, scores) / test.share, test))
        if of != n:
            kl = self._kl(bins[end - n : end])
        if n < min(LEAST_KL * self.dispersion, self.window):
            kl = 0.0
        return found, kl

    def kl_threshold(self, n: int, alpha: float) -> float:
        """The KL from which the KL test alone alarms, at its longest full window (the shortest
        one while none is full)."""
        test = max((t for t in self.kls if t.n <= n), default=self.kls[0], key=lambda t: t.n)
        critical = float(special.chdtri(self.degrees, test.share * alpha))
        return critical * (1 / test.n + 1 / self.size) * self.dispersion / 2

    def sample(self, rings: Rings, n: int) -> Sample:
        """The last n scores of the rings."""
        bins, sums, lows, end = rings
        return Sample(
            size=n,
            mean=int(sums[end - 1] - sums[end - 1 - n]) / UNIT / n,
            variance=self.variance,
            low=int(lows[end - 1] - lows[end - 1 - n]),
            bins=np.bincount(bins[end - n : end], minlength=self.degrees + 1).astype(float),
            dispersion=self.dispersion,
        )

    def p_value(self, test: WindowTest, sample: Sample, other: Sample | None = None) -> float:
        """What the test, at whatever length the sample has, says of it against the baseline, or
        against another sample, at that one's variance."""
        size: float = self.size
        dispersion, variance = self.dispersion, self.variance
        if other is not None:
            size, dispersion, variance = other.size, other.dispersion, other.variance
        if test.kind == "low":
            rank = self.rank if other is None else int(other.low) + 1
            n, of = sample.size / sample.dispersion, size / dispersion
            p_values = _low_p_values(n, rank / dispersion, of)
            return float(p_values[min(int(sample.low / sample.dispersion), len(p_values) - 1)])
        spread = sample.dispersion / sample.size + dispersion / size
        if test.kind == "kl":
            return float(special.chdtrc(self.degrees, 2 * self.kl(sample, other) / spread))
        shift = sample.mean if other is None else sample.mean - other.mean
        return math.erfc(test.sign * shift / math.sqrt(2 * variance * spread)) / 2

    def kl(self, sample: Sample, other: Sample | None = None) -> float:
        """KL divergence of a sample from the baseline, or from another one, in nats."""
        shown = sample.bins + SMOOTHING
        expected = np.array(self.expected)
        if other is not None:
            expected = np.log((other.bins + SMOOTHING) / (other.bins + SMOOTHING).sum())
        return max(float(shown @ (np.log(shown / shown.sum()) - expected)) / shown.sum(), 0.0)

    def _shift(self, mean: float, n: int, sign: int) -> float:
        """P(mean of n normal scores exceeds the baseline's so far), by Pearson's type III curve
        (Wilson and Hilferty's cube root), since few values make the scores skew."""
        spread = 1 / n + 1 / self.size
        z = mean / math.sqrt(self.variance * spread * self.dispersion)
        skew = sign * self.skewness * (1 / n**2 - 1 / self.size**2) / spread**1.5
        if skew > 1e-6:
            shape = 4 / skew**2
            root = max(1 + skew * z / 2, 1e-9) ** (1 / 3)
            z = (root - 1 + 1 / (9 * shape)) * 3 * math.sqrt(shape)
        return math.erfc(z / math.sqrt(2)) / 2

    def _low_p_values(self, n: int) -> list[float]:
        """P(at least k of n scores are low), k = 0..n; of as many independent scores as these
        amount to where neighbours are alike."""
        of = self.dispersion
        p_values = _low_p_values(n / of, self.rank / of, self.size / of)
        shown = (np.arange(n + 1) / of).astype(int)
        return p_values[np.minimum(shown, len(p_values) - 1)].tolist()

    def _kl_p(self, kl: float, n: int) -> float:
        statistic = 2 * kl / (1 / n + 1 / self.size) / self.dispersion
        return float(special.chdtrc(self.degrees, statistic))

    def _kl(self, bins: NDArray[np.int64]) -> float:
        total = len(bins) + SMOOTHING * len(self.expected)
        logs, kl = self.logs, 0.0
        counts = np.bincount(bins, minlength=len(self.expected)).tolist()
        for count, expected in zip(counts, self.expected, strict=True):
            kl += (count + SMOOTHING) * (logs[count] - expected)
        return max(kl / total - math.log(total), 0.0)


def _within(tests: Sequence[tuple[int, float]], window: int) -> list[tuple[int, float]]:
    """The tests that fit the window; one of the window's own length stands for longer ones."""
    fitting = [test for test in tests if test[0] <= window]
    longer = [share for n, share in tests if n > window]
    if longer and all(n != window for n, _ in fitting):
        fitting.append((window, min(longer)))
    return fitting


def _low_p_values(n: float, rank: float, size: float) -> NDArray[np.float64]:
    """P(at least k of n scores lie below the `rank`-th smallest of `size` others), k = 0..n.

    Beta-binomial, exact for any continuous distribution and an upper bound with ties.
    """
    n, size, rank = round(n), round(size), math.ceil(rank)
    k = np.arange(n + 1)
    a, b = rank, max(size + 1 - rank, 1)
    log_p = (
        special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
        + special.betaln(k + a, n - k + b) - special.betaln(a, b)
    )  # fmt: skip
    tail: NDArray[np.float64] = np.minimum(np.cumsum(np.exp(log_p)[::-1])[::-1], 1.0)
    return tail
