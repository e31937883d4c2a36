"""The scores that drift is measured from: those of held-out items at training, kept as counts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from routing_ml.drift import kept
from routing_ml.errors import ModelError

BASELINE_FILE = "drift_baseline.json"
LEAST_BASELINE = 15  # what a factory of 1,000 routing records holds out
CELLS = 200
TAIL = 0.02
BINS = 10
# How far apart in the order of entry two items may be to count as of one family.
LAGS = 50


@dataclass(frozen=True)
class Baseline:
    """The scores of held-out items at training, as counts in cells; all a detector needs.

    `edges` (C-1,) rise and lie midway between scores, so that no score falls on one; `counts` (C,)
    are the baseline's scores in each cell; `bins` are the cells at which the KL's next bin begins.
    `dispersion` is how many scores say as much as one independent score would, 1 or more: families
    of items are entered together and score alike.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    bins: NDArray[np.int64]
    mean: float
    std: float
    left_out: int
    dispersion: float = 1.0

    @classmethod
    def fit(cls, scores: ArrayLike, *, in_order: bool = False) -> Self:
        """Cells, bins and what the thresholds follow from, of scores in [0, 1].

        What is no number in [0, 1] is left out and counted. Ten bins of equal mass; a value with a
        tenth of the mass has a bin of its own; bins under max(5, n/40) scores are merged; if one
        is all that remains, the other holds what lies below it. Scores `in_order` of entry tell
        how much alike neighbours are; without it they are taken as independent. Raises ModelError
        when fewer than 15 scores remain.
        """
        given = np.asarray(scores, dtype=float).ravel()
        entered = given[valid_scores(given)]
        valid = np.sort(entered)
        if len(valid) < LEAST_BASELINE:
            raise ModelError(
                f"{len(valid)} valid scores for the drift baseline, at least {LEAST_BASELINE} are "
                "needed: train on more items"
            )
        values, counts = np.unique(valid, return_counts=True)
        # Scores computed twice may differ in the last bits; they are the same score.
        first = np.append(True, np.diff(values) > 1e-9)
        group = np.cumsum(first) - 1
        values, counts = values[first], np.bincount(group, counts).astype(np.int64)
        below = np.cumsum(counts)[:-1]
        n = len(valid)
        bins = _bins(counts)
        targets = np.arange(1, CELLS) * n / CELLS
        fine = np.searchsorted(below, targets) if len(values) > CELLS else np.arange(len(below))
        tail = np.searchsorted(below, TAIL * n, side="right") - 1
        chosen = {int(i) for i in (*bins, *fine, tail) if 0 <= i < len(below)}
        inner = np.array(sorted(chosen), dtype=np.int64)
        edges = (values[inner] + values[inner + 1]) / 2
        cumulative = np.concatenate([[0, 0], below[inner], [n]])
        return cls(
            # The first cell holds nothing: scores lower than any seen come there.
            edges=np.concatenate([[values[0] - 1e-9], edges]),
            counts=np.diff(cumulative),
            bins=np.searchsorted(inner, bins) + 2 if len(bins) else np.array([1]),
            mean=float(valid.mean()),
            std=float(valid.std()),
            left_out=len(given) - n,
            dispersion=_dispersion(entered) if in_order else 1.0,
        )

    @cached_property
    def size(self) -> int:
        """How many scores it holds."""
        return int(self.counts.sum())

    @cached_property
    def normal_scores(self) -> NDArray[np.float64]:
        """What a score in each cell counts for in the mean test (C,): van der Waerden's normal
        scores, averaged over the baseline's scores in the cell, with mean 0 over the baseline."""
        each = special.ndtri((np.arange(self.size) + 0.5) / self.size)
        sums = np.diff(np.concatenate([[0.0], np.cumsum(each)])[np.cumsum([0, *self.counts])])
        means = sums / np.maximum(self.counts, 1)
        means[0] = means[1]
        return means

    @cached_property
    def bin_counts(self) -> NDArray[np.int64]:
        """The baseline's scores in each bin of the KL."""
        return np.add.reduceat(self.counts, np.append(0, self.bins))

    def save(self, path: Path) -> Path:
        """Write it to `path`, in a folder as drift_baseline.json; returns the file."""
        facts = {
            "edges": self.edges.tolist(),
            "counts": self.counts.tolist(),
            "bins": self.bins.tolist(),
            "mean": self.mean,
            "std": self.std,
            "left_out": self.left_out,
            "dispersion": self.dispersion,
        }
        return kept.save(path, BASELINE_FILE, facts)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; ModelError when it is not that."""
        with kept.reading(path, BASELINE_FILE, "drift baseline") as value:
            loaded = cls(
                edges=np.array(value["edges"], dtype=float),
                counts=np.array(value["counts"], dtype=np.int64),
                bins=np.array(value["bins"], dtype=np.int64),
                mean=float(value["mean"]),
                std=float(value["std"]),
                left_out=int(value["left_out"]),
                dispersion=float(value.get("dispersion", 1.0)),
            )
            fits = (
                loaded.edges.ndim == loaded.counts.ndim == loaded.bins.ndim == 1
                and len(loaded.counts) == len(loaded.edges) + 1
                and bool(np.all(np.diff(loaded.edges) > 0))
                and bool(np.all(loaded.counts >= 0))
                and bool(np.all((loaded.bins > 0) & (loaded.bins < len(loaded.counts))))
                and loaded.size >= LEAST_BASELINE
                and 1 <= loaded.dispersion < math.inf
                and math.isfinite(loaded.mean)
                and 0 <= loaded.std < math.inf
            )
            if not fits:
                raise ValueError("it is damaged")
        return loaded


def valid_scores(scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of them are numbers in [0, 1]."""
    return (scores >= 0) & (scores <= 1)


def _dispersion(scores: NDArray[np.float64]) -> float:
    """How many times as much a mean of the scores, in order of entry, varies as one of independent
    scores, 1 or more: 1 + 2 * the sum of the autocorrelations of their normal scores, up to the
    first two that are no more than chance, and the standard error of that on top.

    After C. J. Geyer, "Practical Markov chain Monte Carlo" (1992), section 3.3.
    """
    n = len(scores)
    normal = special.ndtri((stats.rankdata(scores) - 0.5) / n)
    normal -= normal.mean()
    variance = float(normal @ normal)
    if variance < 1e-9:
        return 1.0
    alike, lags = 0.0, 0
    # In pairs of lags, since two kinds of items may be entered in turn.
    for lag in range(1, min(LAGS, n // 2), 2):
        pair = sum(float(normal[k:] @ normal[:-k]) / variance for k in (lag, lag + 1))
        if pair < math.sqrt(2 / n):
            break
        alike, lags = alike + pair, lag + 1
    error = math.sqrt(2 * (2 * lags + 1) / n) if lags else 0.0
    return (1 + 2 * alike) * (1 + error)


def _bins(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The last value (as an index) of every bin but the topmost, for the KL."""
    n, below = int(counts.sum()), np.cumsum(counts)
    ends = set(np.searchsorted(below, np.arange(1, BINS) * n / BINS).tolist())
    heavy = np.flatnonzero(counts >= n / BINS)
    ends |= {*heavy.tolist(), *(heavy - 1).tolist()}
    kept = sorted(end for end in ends if 0 <= end < len(counts) - 1)
    least = max(5.0, n / 40)
    while kept:
        masses = np.diff([0, *below[kept], n])
        small = int(masses.argmin())
        if masses[small] >= least:
            break
        # Merge with the smaller neighbour: remove the edge between.
        left = small == len(kept) or (small > 0 and masses[small - 1] <= masses[small + 1])
        del kept[small - 1 if left else small]
    return np.array(kept, dtype=np.int64)
