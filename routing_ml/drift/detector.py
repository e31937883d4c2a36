"""Tells from a stream of similarity scores whether new items still resemble the past ones.

Several tests look at the last 20 to 1,000 scores: the mean of normal scores (a shift of all
items), the count in the lowest 2 % (some items unlike any before), and the KL divergence (any
other change). Each allows for the baseline being a sample too, and each has its share of one
level, so that the false-alarm rate of a week is known: see benchmarks/drift.py. Where the day of
the scores is given, an alarm that the same days one cycle ago explain is taken back: see days.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from routing_ml.drift.baseline import Baseline, valid_scores
from routing_ml.drift.days import Days
from routing_ml.drift.windows import Rings, WindowTests
from routing_ml.errors import SettingError

__all__ = ["Baseline", "DriftDetector"]

WINDOW = 1000
ALPHA = 5e-4
# The tests are looked at when this many further scores have come: looking more often than that
# cannot raise the false-alarm rate.
STEP = 10
SEVERITIES = (("severe", 1.0), ("significant", 0.5), ("minor", 0.3))


class DriftDetector:
    """Watches scores against a baseline.

    Without drift at most 5 % of weeks have an alarm. Where the day of the scores is given, that
    holds from the second cycle on also where some of what comes in follows a calendar (a line that
    comes only on Mondays, or fills two days a month) and is in the baseline in its due share; the
    first cycle may alarm, for as long as the window holds it. The calendar only ever takes alarms
    back: a drift that stays goes on being told in its second cycle.

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
        self._day_of = np.zeros(4 * self._keep, dtype=np.int64)
        self._end = 1
        self._items: deque[Hashable] = deque()
        self._known: set[Hashable] = set()
        self._waiting: list[float] = []
        self._waiting_items: list[Hashable] = []
        self._waiting_day: date | None = None
        self._verdict: tuple[int, float, float] | None = None
        self._tests = WindowTests(baseline, window)
        self._days = Days(self._tests)

    def update(
        self,
        score: float,
        *,
        item: Hashable = None,
        at: datetime | None = None,
        day: date | None = None,
    ) -> DriftDetector:
        """Take in one score; an item that is in the window already is not counted again."""
        if day != self._waiting_day:
            self._take_in()
            self._waiting_day = day
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
        day: date | None = None,
    ) -> DriftDetector:
        """Take in scores of one `day` (in the factory's time zone; None where that is not known),
        oldest first, with the item of each where that is known."""
        self._take_in()
        array = np.asarray(scores, dtype=float).ravel()
        named = None if items is None else list(items)
        if named is not None and len(named) != len(array):
            raise ValueError(f"{len(array)} scores but {len(named)} items: give one for each")
        self._add(array, named, day)
        if at is not None:
            self.last_at = at
        return self

    @property
    def drift_detected(self) -> bool:
        """Whether the scores of the window come from elsewhere than the baseline's: the alarm."""
        return self.p_value < self.alpha

    @property
    def p_value(self) -> float:
        """The smallest of the tests' p-values, each divided by its share of alpha; at most 1.

        Where an alarm was taken back, of each test that alarmed the p-value against the same days
        one cycle ago.
        """
        return self._evaluate()[1]

    @property
    def kl_divergence(self) -> float:
        """KL divergence of the window from the baseline, in nats, over the baseline's bins with
        half a score added to each; 0 below 50 independent scores (50 times the dispersion,
        the whole window at most). Where an alarm was taken back, from the same days one cycle ago
        if that is less."""
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
            "score_days": _runs(self._day_of[self._end - kept : self._end]),
            "days": self._days.state(),
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
        """The detector whose `state` that is; one of release 2.1.0 knows no days yet."""
        detector = cls(baseline, window=window, alpha=alpha)
        scores = np.asarray(state["scores"], dtype=float)
        items = state["items"]
        detector._add(scores, items if any(item is not None for item in items) else None)
        detector.seen = int(state["seen"])
        detector.invalid = dict(state["invalid"])
        at = state["last_at"]
        detector.last_at = datetime.fromisoformat(at) if at else None
        if runs := state.get("score_days"):
            days, counts = zip(*runs, strict=True)
            detector._day_of[1 : detector._end] = np.repeat(days, counts)
        detector._days.restore(state.get("days", {}))
        return detector

    def _take_in(self) -> None:
        if self._waiting:
            scores, items = self._waiting, self._waiting_items
            self._waiting, self._waiting_items = [], []
            nameless = items.count(None) == len(items)
            self._add(np.array(scores), None if nameless else items, self._waiting_day)

    def _add(
        self,
        scores: NDArray[np.float64],
        items: Sequence[Hashable] | None,
        day: date | None = None,
    ) -> None:
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
        if day is None:
            scores = scores[-self._keep :]
        cells = np.searchsorted(self.baseline.edges, scores)
        ordinal = day.toordinal() if day else 0
        self._days.add(ordinal, cells)
        self._store(scores[-self._keep :], cells[-self._keep :], ordinal)

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

    def _store(self, scores: NDArray[np.float64], cells: NDArray[np.int64], day: int) -> None:
        if self._end + len(scores) > len(self._scores):
            kept = min(self._end, self._keep + 1)
            for ring in (self._scores, self._bins, self._sums, self._lows, self._day_of):
                ring[:kept] = ring[self._end - kept : self._end].copy()
            self._sums[:kept] -= self._sums[0]
            self._lows[:kept] -= self._lows[0]
            self._end = kept
        start, end = self._end, self._end + len(scores)
        self._scores[start:end] = scores
        self._day_of[start:end] = day
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
            rings = Rings(self._bins, self._sums, self._lows, end)
            verdict = (step, *self._look(rings, min(end - 1, self.window)))
            self._verdict = verdict
        return verdict

    def _look(self, rings: Rings, n: int) -> tuple[float, float]:
        """(p-value, KL) of the last n scores of the rings, but for what the calendar explains."""
        found, kl = self._tests.look(rings, n)
        p = min((p for p, _ in found), default=1.0)
        if p >= self.alpha or not self._days.sums:
            return min(p, 1.0), kl
        days = self._day_of[rings.end - n : rings.end]
        left = min((other for other, _ in found if other >= self.alpha), default=1.0)
        for _, test in sorted(pair for pair in found if pair[0] < self.alpha):
            window = self._tests.sample(rings, test.n)
            explained, lag = self._days.explain(test, window, days[-test.n :], self.alpha)
            if not lag:
                return p, kl
            left = min(left, explained)
        before = self._days.cycle_ago(days, lag)
        if before is not None:
            kl = min(kl, self._tests.kl(self._tests.sample(rings, n), before))
        return left, kl


def _runs(values: NDArray[np.int64]) -> list[list[int]]:
    """[value, how many times it follows itself] of each run."""
    starts = np.flatnonzero(np.diff(values, prepend=-1))
    lengths = np.diff(starts, append=len(values))
    return np.stack([values[starts], lengths], axis=1).tolist()
