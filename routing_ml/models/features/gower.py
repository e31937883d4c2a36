"""How like two items are: Gower similarity of their attributes, in [0, 1], and the nearest items.

A category matches or not, a number by its distance over the range of the fitted items, a free text
by the share of its telling words in common (Jaccard). An attribute weighs the root of the share of
the routings' variance that it explains alone. Missing on both sides matches; on one side it
counts half.
Source: J. C. Gower, "A general coefficient of similarity and some of its properties" (1971).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from routing_ml.models.features.attributes import ABSENT, MISSING, UNSEEN, Encoder, Prepared
from routing_ml.models.storage import Stored
from routing_ml.models.trees.ensemble import leaf_sums

MIN_WEIGHT = 0.01  # of the greatest: what says less about the routing is left out
MAX_WORDS = 48
NUMBER_BINS = 16
MAX_COST = 1e30  # of a number, in shares of its weight: more than 1 is already as far as can be
MAX_LINES = 16_000_000  # numbers kept: 20,000 values of 100,000 items would take 8 GB
CELLS_AT_ONCE = 64_000  # scores: 256 KB, and as much beside them
DIGITS = 6  # of a score: what is beyond is rounding of float32
ALIKE = 0.1  # of a number's range: no further apart, two items are alike in it


class Gower:
    """The fitted items, ready to be compared with others.

    Attributes are numbered categories first, then numbers, then texts; `weights` sum to 1. The
    numbers called `numbers_told` tell anything.
    """

    def __init__(
        self,
        weights: np.ndarray,
        spans: np.ndarray,
        words: np.ndarray,
        codes: np.ndarray,
        numbers: np.ndarray,
        marks: np.ndarray,
        text_of: np.ndarray,
    ) -> None:
        self.weights, self.spans, self.words = weights, spans, words
        self.codes, self.numbers, self.marks, self.text_of = codes, numbers, marks, text_of
        self._categories = np.flatnonzero(weights[: codes.shape[1]]).tolist()
        self.numbers_told = np.flatnonzero(weights[codes.shape[1] :][: numbers.shape[1]]).tolist()
        self._columns = np.ascontiguousarray(codes.T)
        self._lines: dict[tuple[int, int], np.ndarray] = {}
        # numbers in shares of the attribute's weight: a difference is then what it costs
        self._rates = (weights[codes.shape[1] :][: numbers.shape[1]] / spans).astype(np.float32)
        self._costs = np.ascontiguousarray(self._cost(numbers).T)
        self._gaps = [np.flatnonzero(np.isnan(costs)) for costs in self._costs]
        texts = weights[codes.shape[1] + numbers.shape[1] :]
        self._texts = [
            _Text(np.flatnonzero(text_of == i), np.float32(texts[i]), marks[:, text_of == i])
            for i in np.unique(text_of).tolist()
            if texts[i] > 0
        ]

    @classmethod
    def fit(cls, encoder: Encoder, items: Prepared, operations: np.ndarray) -> Gower:
        """`operations` (n, L) 0/1: what the weights are to say something about."""
        categories = items.codes.shape[1]
        count = categories + items.numbers.shape[1] + len(encoder.texts)
        weights = np.zeros(count)
        for i in range(categories):
            weights[i] = explained(items.codes[:, i] - items.codes[:, i].min(), operations)
        spans = np.ones(items.numbers.shape[1])
        for i, number in enumerate(encoder.numbers):
            values = items.numbers[:, i]
            filled = values[~np.isnan(values)]
            if number.kind in ("entered", "date") or not len(filled):
                continue
            low, high = np.quantile(filled, [0.01, 0.99])
            spans[i] = high - low if high > low else max(float(np.ptp(filled)), 1.0)
            weights[categories + i] = explained(_bins(values, filled), operations)
        words, text_of = [], []
        start = 0
        for i, written in enumerate(encoder.texts):
            marks = items.words[:, start : start + len(written.words)]
            told = explained_by_flags(marks, operations)
            best = np.argsort(-told, kind="stable")[: MAX_WORDS // max(1, len(encoder.texts))]
            best = best[told[best] >= MIN_WEIGHT * max(1e-9, weights.max())]
            if len(best):
                weights[categories + items.numbers.shape[1] + i] = told[best[0]]
                words.extend((start + best).tolist())
                text_of.extend([i] * len(best))
            start += len(written.words)
        weights[weights < MIN_WEIGHT * weights.max(initial=0)] = 0.0
        weights = np.sqrt(weights)
        total = weights.sum()
        if total > 0:
            weights /= total
        else:  # all alike, but for dates, which nearly no two items share, and texts without words
            dates = [number.kind in ("entered", "date") for number in encoder.numbers]
            alike = np.r_[np.ones(categories), ~np.array(dates, bool), np.zeros(len(encoder.texts))]
            weights = alike / max(1.0, alike.sum())
        kept = np.array(words, np.int32)
        return cls(
            weights,
            spans,
            kept,
            items.codes.astype(np.int32),
            items.numbers.astype(np.float32),
            items.words[:, kept],
            np.array(text_of, np.int32),
        )

    def only(self, rows: np.ndarray) -> Gower:
        """The same measure over these of the fitted items."""
        return Gower(
            self.weights, self.spans, self.words, self.codes[rows], self.numbers[rows],
            self.marks[rows], self.text_of,
        )  # fmt: skip

    def nearest(
        self, items: Prepared, count: int, *, without: Sequence[np.ndarray] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The `count` most similar fitted items of each: rows (m, count) and scores, best first.

        `without` (m,) are for each the fitted rows that do not count.
        Equal scores are ordered by row, so that the answer never depends on the machine.
        """
        count = min(count, len(self.codes))
        rows = np.zeros((len(items.codes), count), np.int64)
        scores = np.zeros((len(items.codes), count))
        for k, line in enumerate(self._scores(items)):
            if without is not None:
                line[without[k]] = -1
            if count == 1:
                rows[k] = line.argmax()
            else:
                at = np.flatnonzero(line >= np.partition(line, -count)[-count])
                rows[k] = at[np.lexsort((at, -line[at]))][:count]
            scores[k] = line[rows[k]]
        return rows, np.clip(np.round(scores, DIGITS), 0, 1)

    def alike(self, items: Prepared, row: int) -> np.ndarray:
        """The fitted items (k,) that are like item `row` in every attribute which tells and which
        it has: the same category, a number that is near, the same telling words."""
        categories = self.codes.shape[1]
        found = np.ones(len(self.codes), bool)
        for i in self._categories:
            if items.codes[row, i] != MISSING:
                found &= self._columns[i] == items.codes[row, i]
        for i in self.numbers_told:
            if not np.isnan(items.numbers[row, i]):
                apart = np.abs(self.numbers[:, i] - items.numbers[row, i])
                found &= apart <= ALIKE * self.spans[i]
        words = items.words[row, self.words] > 0
        for i in np.unique(self.text_of).tolist():
            own, at = self.text_of == i, categories + len(self.spans) + i
            given = items.states[row, at] != ABSENT or words[own].any()
            if self.weights[at] > 0 and given:
                found &= (self.marks[:, own] == words[own]).all(axis=1)
        return np.flatnonzero(found)

    def parts(self, items: Prepared, row: int, other: int) -> np.ndarray:
        """Each attribute's own similarity of item `row` to fitted item `other`: (A,) in [0, 1]."""
        codes, theirs = items.codes[row], self.codes[other]
        absent = (codes == MISSING).astype(int) + (theirs == MISSING)
        same = np.where(codes == theirs, 1.0, np.where(absent == 1, 0.5, 0.0))
        mine, other_numbers = items.numbers[row], self.numbers[other]
        absent = np.isnan(mine).astype(int) + np.isnan(other_numbers)
        apart = np.minimum(1, np.abs(np.nan_to_num(mine - other_numbers)) / self.spans)
        near = np.where(absent == 2, 1.0, np.where(absent == 1, 0.5, 1 - apart))
        words, others = items.words[row, self.words], self.marks[other]
        texts = np.ones(len(self.weights) - len(same) - len(near))
        for i in np.unique(self.text_of).tolist():
            own = self.text_of == i
            either = int((words[own] | others[own]).sum())
            texts[i] = int((words[own] & others[own]).sum()) / either if either else 1.0
        return np.r_[same, near, texts]

    def _scores(self, items: Prepared) -> Iterator[np.ndarray]:
        """For each item its similarity to every fitted item: (n,) float32, overwritten by one of
        the next.

        As many at a time as the cache holds: of few fitted items a line alone would take a fifth
        of its time for what it is about.
        """
        words = items.words[:, self.words] > 0
        numbers = self._cost(items.numbers)
        count = max(1, CELLS_AT_ONCE // max(1, len(self.codes)))
        lines = np.empty((min(count, len(items.codes)), len(self.codes)), np.float32)
        work = np.empty_like(lines)
        for start in range(0, len(items.codes), count):
            part = slice(start, start + count)
            some = lines[: len(items.codes) - start]
            self._fill(some, work[: len(some)], items.codes[part], numbers[part], words[part])
            yield from some

    def _fill(
        self, lines: np.ndarray, work: np.ndarray, codes: np.ndarray, numbers: np.ndarray,
        words: np.ndarray,
    ) -> None:  # fmt: skip
        """The similarity of m items to every fitted item, (m, n), with their `codes` (m, C), the
        costs of their `numbers` (m, M) and which of the telling `words` (m, W) they have."""
        lines[:] = 0
        for i in self._categories:
            for line, code in zip(lines, codes[:, i].tolist(), strict=True):
                line += self._line(i, code)
        without = np.isnan(numbers)
        for i in self.numbers_told:
            weight = np.float32(self.weights[self.codes.shape[1] + i])
            np.subtract(self._costs[i], numbers[:, i, None], out=work)
            np.abs(work, out=work)
            np.fmin(work, weight, out=work)
            for line in work:  # twice as fast as of all lines at once
                line[self._gaps[i]] = weight / 2
            np.subtract(weight, work, out=work)
            if without[:, i].any():
                work[without[:, i]] = np.where(np.isnan(self._costs[i]), weight, weight / 2)
            lines += work
        for text in self._texts:
            text.add(words, lines, work)

    def _cost(self, numbers: np.ndarray) -> np.ndarray:
        """(m, M) float32: the numbers in shares of their weight; a misprint like 1e308 is cut."""
        with np.errstate(over="ignore"):
            costs = numbers * self._rates
        return np.clip(costs, -MAX_COST, MAX_COST).astype(np.float32)

    def _line(self, category: int, code: int) -> np.ndarray:
        """What the fitted items get for one category of an item, kept for the next item."""
        found = self._lines.get((category, code))
        if found is None:
            weight, theirs = self.weights[category], self._columns[category]
            other = 0.5 if code == MISSING else 0.0
            found = np.where(theirs == code, 1.0, np.where(theirs == MISSING, 0.5, other)) * weight
            if code == UNSEEN:
                found = np.where(theirs == MISSING, 0.5, 0.0) * weight
            if len(self._lines) * len(theirs) > MAX_LINES:
                self._lines.clear()
            found = self._lines[category, code] = found.astype(np.float32)
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_stored` needs."""
        return {
            "weights": self.weights, "spans": self.spans, "words": self.words,
            "codes": self.codes,
            "numbers": self.numbers, "marks": np.packbits(self.marks, axis=1),
            "text_of": self.text_of,
        }  # fmt: skip

    @classmethod
    def from_stored(cls, stored: Stored, prefix: str, encoder: Encoder, items: int) -> Gower:
        """The part of a stored model; ModelError where an entry cannot be."""
        categories, numbers = len(encoder.categories), len(encoder.numbers)
        count = categories + numbers + len(encoder.texts)
        words = stored.array(f"{prefix}.words", "i", (None,), low=0, high=encoder.words - 1)
        packed = stored.array(f"{prefix}.marks", "u", (items, (len(words) + 7) // 8))
        high = max(0, len(encoder.texts) - 1)
        codes = stored.array(f"{prefix}.codes", "i", (items, categories), low=-2)
        if (codes >= [len(category.values) for category in encoder.categories]).any():
            stored.refuse(f"{prefix}.codes", "has a value that is not there")
        return cls(
            stored.array(f"{prefix}.weights", "f", (count,), low=0, high=1.001),
            stored.array(f"{prefix}.spans", "f", (numbers,), low=1e-300),
            words,
            codes.astype(np.int32),
            stored.array(f"{prefix}.numbers", "f", (items, numbers), finite=False),
            np.unpackbits(packed.astype(np.uint8), axis=1, count=len(words)),
            stored.array(f"{prefix}.text_of", "i", (len(words),), low=0, high=high),
        )


class _Text:
    """One free text of the fitted items: which of the telling words `at` each has."""

    def __init__(self, at: np.ndarray, weight: np.float32, marks: np.ndarray) -> None:
        self.at, self.weight = at, weight
        self.marks = np.ascontiguousarray(marks.T.astype(np.float32))
        self.sizes = self.marks.sum(axis=0)

    def add(self, words: np.ndarray, lines: np.ndarray, work: np.ndarray) -> None:
        """Add to the `lines` (m, n) the weighted Jaccard similarity to the `words` (m, W) of m
        items; no words on both: 1."""
        has = words[:, self.at]
        any_has = np.flatnonzero(has.any(axis=0))
        own = has[:, any_has].astype(np.float32)
        size = own.sum(axis=1, keepdims=True)
        # whole numbers, in whatever order they are added up
        np.matmul(own, self.marks[any_has], out=work)
        either = self.sizes - work
        either += size
        with np.errstate(invalid="ignore"):  # of no words on both, which follow
            work /= either
        work *= self.weight
        if not size.all():
            work[size[:, 0] == 0] = self.weight * (self.sizes == 0)
        lines += work


def explained(groups: np.ndarray, operations: np.ndarray) -> float:
    """Share of the variance of `operations` (n, L) between `groups` (n,), less that of chance."""
    counts = np.bincount(groups)
    (sums,) = leaf_sums(groups, len(counts), operations.astype(np.float32))
    sums = sums[counts > 0]
    return _share(sums, counts[counts > 0], operations)


def explained_by_flags(flags: np.ndarray, operations: np.ndarray) -> np.ndarray:
    """`explained` of every column of `flags` (n, W) 0/1: (W,)."""
    yes = flags.T.astype(np.float32) @ operations.astype(np.float32)
    counts = flags.sum(axis=0, dtype=np.int64)
    total = operations.sum(axis=0, dtype=np.float64)
    return np.array(
        [
            _share(np.stack([row, total - row]), np.array([n, len(flags) - n]), operations)
            for row, n in zip(yes.astype(np.float64), counts, strict=True)
        ]
    )


def _share(sums: np.ndarray, counts: np.ndarray, operations: np.ndarray) -> float:
    n = len(operations)
    mean = operations.mean(axis=0, dtype=np.float64)
    total = float((mean * (1 - mean)).sum()) * n  # the variance of 0/1 columns
    if total <= 0 or len(counts) < 2 or not counts.all():
        return 0.0
    between = float((sums.astype(np.float64) ** 2 / counts[:, None]).sum() - n * (mean @ mean))
    return max(0.0, between / total - (len(counts) - 1) / (n - 1))


def _bins(values: np.ndarray, filled: np.ndarray) -> np.ndarray:
    edges = np.unique(np.quantile(filled, np.linspace(0, 1, NUMBER_BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, values, side="right") + 1
    return np.where(np.isnan(values), 0, bins)
