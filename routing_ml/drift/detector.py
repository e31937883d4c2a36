"""Tells from a stream of similarity scores whether new items still resemble the past ones.

Several tests look at the last 20 to 1,000 scores: the mean of normal scores (a shift of all
items), the count in the lowest 2 % (some items unlike any before), and the KL divergence (any
other change). Each allows for the baseline being a sample too, and each has its share of one
level, so that the false-alarm rate of a week is known: see benchmarks/drift.py.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from routing_ml.drift.baseline import TAIL, Baseline, valid_scores
from routing_ml.errors import SettingError

__all__ = ["Baseline", "DriftDetector"]

WINDOW = 1000
ALPHA = 5e-4
# The tests are looked at when this many further scores have come: looking more often than that
# cannot raise the false-alarm rate.
STEP = 10
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
SEVERITIES = (("severe", 1.0), ("significant", 0.5), ("minor", 0.3))
SMOOTHING = 0.5
UNIT = 1 << 32


class DriftDetector:
    """Watches scores against a baseline.

    >>> rng = np.random.default_rng(7)
    >>> detector = DriftDetector(Baseline.fit(rng.beta(8, 2, 2000)))
    >>> detector.update_many(rng.beta(8, 2, 1000)).drift_detected
    False
    >>> detector.update_many(rng.beta(7, 3, 100)).drift_detected
    True
    """

    def __init__(self, baseline: Baseline, *, window: int = WINDOW, alpha: float = ALPHA) -> None:
        """`window` scores at most are looked at; `alpha` is the level that the tests share.

        Raises SettingError for a window below 100 or an alpha outside (0, .1].
        """
        if window < 100:
            raise SettingError(f"window is {window}: it must be at least 100 scores")
        if not 0 < alpha <= 0.1:
            raise SettingError(f"alpha is {alpha}: it must be above 0 and at most .1")
        self.baseline = baseline
        self.window = window
        self.alpha = alpha
        self.seen = 0
        self.invalid = {"nan": 0, "infinite": 0, "out_of_range": 0}
        self.last_at: datetime | None = None
        # The tests look at the last full step, so a few scores beyond the window are kept, each
        # with its bin and, up to and with it, the sum of normal scores and the count of low ones.
        self._keep = window + STEP
        self._scores = np.zeros(4 * self._keep)
        self._bins = np.zeros(4 * self._keep, dtype=np.int64)
        self._sums = np.zeros(4 * self._keep, dtype=np.int64)
        self._lows = np.zeros(4 * self._keep, dtype=np.int64)
        self._end = 1
        self._items: deque[Hashable] = deque()
        self._known: set[Hashable] = set()
        self._waiting: list[float] = []
        self._waiting_items: list[Hashable] = []
        self._verdict: tuple[int, float, float] | None = None
        self._tests = _Tests(baseline, window)

    def update(
        self, score: float, *, item: Hashable = None, at: datetime | None = None
    ) -> DriftDetector:
        """Take in one score; an item that is in the window already is not counted again."""
        self._waiting.append(float(score))
        self._waiting_items.append(item)
        if at is not None:
            self.last_at = at
        if len(self._waiting) >= self._keep:
            self._take_in()
        return self

    def update_many(
        self,
        scores: ArrayLike,
        *,
        items: Iterable[Hashable] | None = None,
        at: datetime | None = None,
    ) -> DriftDetector:
        """Take in scores, oldest first, with the item of each where that is known."""
        self._take_in()
        array = np.asarray(scores, dtype=float).ravel()
        named = None if items is None else list(items)
        if named is not None and len(named) != len(array):
            raise ValueError(f"{len(array)} scores but {len(named)} items: give one for each")
        self._add(array, named)
        if at is not None:
            self.last_at = at
        return self

    @property
    def drift_detected(self) -> bool:
        """Whether the scores of the window come from elsewhere than the baseline's: the alarm."""
        return self.p_value < self.alpha

    @property
    def p_value(self) -> float:
        """The smallest of the tests' p-values, each divided by its share of alpha; at most 1."""
        return self._evaluate()[1]

    @property
    def kl_divergence(self) -> float:
        """KL divergence of the window from the baseline, in nats, over the baseline's bins with
        half a score added to each; 0 below 50 independent scores (50 times the dispersion,
        the whole window at most)."""
        return self._evaluate()[2]

    @property
    def severity(self) -> str:
        """normal, minor (KL from .3), significant (.5) or severe (1.0)."""
        kl = self.kl_divergence
        return next((name for name, least in SEVERITIES if kl >= least), "normal")

    def status(self) -> dict[str, Any]:
        """All of it as JSON: the exporter's drift status, but for what follows from past days."""
        _, p_value, kl = self._evaluate()
        self._take_in()
        scores = self._scores[max(self._end - self.window, 1) : self._end]
        return {
            "drift_detected": p_value < self.alpha,
            "kl_divergence": kl,
            "threshold": self._tests.kl_threshold(min(len(scores), self.window), self.alpha),
            "p_value": p_value,
            "severity": self.severity,
            "buffer_size": len(scores),
            "buffer_mean": float(scores.mean()) if len(scores) else 0.0,
            "buffer_std": float(scores.std()) if len(scores) else 0.0,
            "baseline_size": self.baseline.size,
            "baseline_mean": self.baseline.mean,
            "scores_seen": self.seen,
            "scores_invalid": dict(self.invalid),
            "last_score_at": self.last_at.isoformat() if self.last_at else None,
        }

    def reset(self) -> None:
        """Forget every score; the baseline stays."""
        self.__init__(self.baseline, window=self.window, alpha=self.alpha)  # type: ignore[misc]

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on as if nothing had happened, as JSON; items as text."""
        self._take_in()
        kept = min(self._end - 1, self._keep)
        items = [None] * kept + list(self._items)
        return {
            "scores": self._scores[self._end - kept : self._end].tolist(),
            "items": [None if item is None else str(item) for item in items[len(items) - kept :]],
            "seen": self.seen,
            "invalid": dict(self.invalid),
            "last_at": self.last_at.isoformat() if self.last_at else None,
        }

    @classmethod
    def restore(
        cls,
        baseline: Baseline,
        state: Mapping[str, Any],
        *,
        window: int = WINDOW,
        alpha: float = ALPHA,
    ) -> Self:
        """The detector whose `state` that is."""
        detector = cls(baseline, window=window, alpha=alpha)
        scores = np.asarray(state["scores"], dtype=float)
        items = state["items"]
        detector._add(scores, items if any(item is not None for item in items) else None)
        detector.seen = int(state["seen"])
        detector.invalid = dict(state["invalid"])
        at = state["last_at"]
        detector.last_at = datetime.fromisoformat(at) if at else None
        return detector

    def _take_in(self) -> None:
        if self._waiting:
            scores, items = self._waiting, self._waiting_items
            self._waiting, self._waiting_items = [], []
            nameless = items.count(None) == len(items)
            self._add(np.array(scores), None if nameless else items)

    def _add(self, scores: NDArray[np.float64], items: Sequence[Hashable] | None) -> None:
        valid = valid_scores(scores)
        if not valid.all():
            wrong = scores[~valid]
            nan, infinite = int(np.isnan(wrong).sum()), int(np.isinf(wrong).sum())
            self.invalid["nan"] += nan
            self.invalid["infinite"] += infinite
            self.invalid["out_of_range"] += len(wrong) - nan - infinite
            scores = scores[valid]
            if items is not None:
                items = [item for item, ok in zip(items, valid, strict=True) if ok]
        if items is not None:
            fresh = [place for place, item in enumerate(items) if self._enter(item)]
            scores = scores[fresh]
        elif self._known:
            for _ in range(min(len(scores), self._keep)):
                self._enter(None)
        elif self._items:
            self._items.clear()
        self.seen += len(scores)
        self._store(scores[-self._keep :])

    def _enter(self, item: Hashable) -> bool:
        """Note the item as the newest of the window; False when it is in there already."""
        if item is not None:
            if item in self._known:
                return False
            self._known.add(item)
        self._items.append(item)
        if len(self._items) > self.window:
            self._known.discard(self._items.popleft())
        return True

    def _store(self, scores: NDArray[np.float64]) -> None:
        if self._end + len(scores) > len(self._scores):
            kept = min(self._end, self._keep + 1)
            for ring in (self._scores, self._bins, self._sums, self._lows):
                ring[:kept] = ring[self._end - kept : self._end].copy()
            self._sums[:kept] -= self._sums[0]
            self._lows[:kept] -= self._lows[0]
            self._end = kept
        start, end = self._end, self._end + len(scores)
        cells = np.searchsorted(self.baseline.edges, scores)
        self._scores[start:end] = scores
        self._bins[start:end] = self._tests.bin_of[cells]
        self._sums[start:end] = self._tests.weights[cells].cumsum() + self._sums[start - 1]
        self._lows[start:end] = (cells < self._tests.tail).cumsum() + self._lows[start - 1]
        self._end = end

    def _evaluate(self) -> tuple[int, float, float]:
        """(scores seen at the last full step, p-value, KL) there."""
        verdict = self._verdict
        if verdict is not None and self.seen + len(self._waiting) < verdict[0] + STEP:
            return verdict
        self._take_in()
        step = self.seen - self.seen % STEP
        if verdict is None or verdict[0] != step:
            end = max(self._end - self.seen % STEP, 1)
            n = min(end - 1, self.window)
            verdict = (step, *self._tests.look(self._bins, self._sums, self._lows, end, n))
            self._verdict = verdict
        return verdict


class _Tests:
    """The tests of one baseline, with what can be computed beforehand."""

    def __init__(self, baseline: Baseline, window: int) -> None:
        size = baseline.size
        self.size, self.window = size, window
        self.dispersion = baseline.dispersion
        # In whole numbers, so that sums are exact and a restored detector says the same.
        self.weights = np.rint(baseline.normal_scores * UNIT).astype(np.int64)
        shares, weights = baseline.counts / size, self.weights / UNIT
        self.variance = float(shares @ weights**2)
        third = float(shares @ weights**3)
        self.skewness = third / self.variance**1.5 if self.variance else 0.0
        self.shifts = [
            (n, share, sign)
            for sign, tests in ((-1, FALLING), (1, RISING))
            for n, share in _within(tests, window)
            if self.variance > 1e-9
        ]
        below = np.cumsum(baseline.counts)
        self.tail = int(np.searchsorted(below, TAIL * size, side="right"))
        rank = int(below[self.tail - 1]) + 1 if self.tail else 1
        self.tail_p = [
            (n, share, _tail_p_values(n, rank, size, baseline.dispersion))
            for n, share in _within(TAILS, window)
        ]
        self.kls = _within(KLS, window)
        self.bin_of = np.zeros(len(baseline.counts), dtype=np.int64)
        self.bin_of[baseline.bins] = 1
        self.bin_of = self.bin_of.cumsum()
        counts = baseline.bin_counts
        self.degrees = len(counts) - 1
        total = size + SMOOTHING * len(counts)
        self.expected = [math.log((count + SMOOTHING) / total) for count in counts.tolist()]
        self.logs = [math.log(count + SMOOTHING) for count in range(window + 1)]

    def look(
        self,
        bins: NDArray[np.int64],
        sums: NDArray[np.int64],
        lows: NDArray[np.int64],
        end: int,
        n: int,
    ) -> tuple[float, float]:
        """(p-value, KL) of the n scores before `end` of the detector's rings."""
        p, kl, of = 1.0, 0.0, 0
        total, low = int(sums[end - 1]), int(lows[end - 1])
        for scores, share, sign in self.shifts:
            if scores <= n:
                shift = sign * (total - int(sums[end - 1 - scores]))
                if shift > 0:
                    p = min(p, self._shift(shift / UNIT, scores, sign) / share)
        for scores, share, p_values in self.tail_p:
            if scores <= n:
                p = min(p, p_values[low - int(lows[end - 1 - scores])] / share)
        for scores, share in self.kls:
            if scores <= n:
                kl, of = self._kl(bins[end - scores : end]), scores
                statistic = 2 * kl / (1 / scores + 1 / self.size) / self.dispersion
                p = min(p, float(special.chdtrc(self.degrees, statistic)) / share)
        if of != n:
            kl = self._kl(bins[end - n : end])
        if n < min(LEAST_KL * self.dispersion, self.window):
            kl = 0.0
        return p, kl

    def kl_threshold(self, n: int, alpha: float) -> float:
        """The KL from which the KL test alone alarms, at its longest full window (the shortest
        one while none is full)."""
        scores, share = max((t for t in self.kls if t[0] <= n), default=self.kls[0])
        critical = float(special.chdtri(self.degrees, share * alpha))
        return critical * (1 / scores + 1 / self.size) * self.dispersion / 2

    def _shift(self, total: float, n: int, sign: int) -> float:
        """P(mean of n normal scores exceeds the baseline's so far), by Pearson's type III curve
        (Wilson and Hilferty's cube root), since few values make the scores skew."""
        spread = 1 / n + 1 / self.size
        z = total / n / math.sqrt(self.variance * spread * self.dispersion)
        skew = sign * self.skewness * (1 / n**2 - 1 / self.size**2) / spread**1.5
        if skew > 1e-6:
            shape = 4 / skew**2
            root = max(1 + skew * z / 2, 1e-9) ** (1 / 3)
            z = (root - 1 + 1 / (9 * shape)) * 3 * math.sqrt(shape)
        return math.erfc(z / math.sqrt(2)) / 2

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


def _tail_p_values(n: int, rank: int, size: int, dispersion: float) -> list[float]:
    """P(at least k of n scores lie below the baseline's `rank`-th smallest), k = 0..n.

    Beta-binomial, exact for any continuous distribution and an upper bound with ties; of as many
    independent scores as these amount to where neighbours are alike.
    """
    shown = (np.arange(n + 1) / dispersion).astype(int)
    n, size = round(n / dispersion), round(size / dispersion)
    rank = math.ceil(rank / dispersion)
    k = np.arange(n + 1)
    a, b = rank, size + 1 - rank
    log_p = (
        special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
        + special.betaln(k + a, n - k + b) - special.betaln(a, b)
    )  # fmt: skip
    tail = np.minimum(np.cumsum(np.exp(log_p)[::-1])[::-1], 1.0)
    found: list[float] = tail[np.minimum(shown, n)].tolist()
    return found
