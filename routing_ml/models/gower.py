"""How like two items are: Gower similarity of their attributes, in [0, 1], and the nearest items.

A category matches or not, a number by its distance over the range of the fitted items, a free text
by the share of its telling words in common (Jaccard). Each attribute weighs what it says about the
routing. Missing on both sides matches; missing on one side counts half.
Source: J. C. Gower, "A general coefficient of similarity and some of its properties" (1971).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from routing_ml.models.attributes import Encoder, Prepared
from routing_ml.models.storage import Stored
from routing_ml.models.trees import leaf_sums

MIN_WEIGHT = 0.01  # of the greatest: what says less about the routing is left out
MAX_WORDS = 48
NUMBER_BINS = 16
BLOCK = 256  # items compared at a time: keeps the block of scores in the cache


class Gower:
    """The fitted items, ready to be compared with others.

    Attributes are numbered categories first, then numbers, then texts; `weights` sum to 1.
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
        self._categories = np.flatnonzero(weights[: codes.shape[1]])
        self._numbers = np.flatnonzero(weights[codes.shape[1] :][: numbers.shape[1]])
        self._columns = np.ascontiguousarray(codes.T)
        self._floats = np.ascontiguousarray(numbers.T.astype(np.float32))
        self._marks = marks.astype(np.float32)

    @classmethod
    def fit(cls, encoder: Encoder, items: Prepared, operations: np.ndarray) -> Gower:
        """`operations` (n, L) 0/1: what the weights are to say something about."""
        n, categories = items.codes.shape
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
        weights[weights < MIN_WEIGHT * weights.max()] = 0.0
        total = weights.sum()
        weights = weights / total if total > 0 else np.full(count, 1.0 / max(1, count))
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

    def scores(self, items: Prepared) -> np.ndarray:
        """Similarity of every item to every fitted item: (m, n) float32."""
        codes, numbers = items.codes, items.numbers.astype(np.float32)
        m, n = len(codes), len(self.codes)
        base = self.codes.shape[1]
        out = np.zeros((m, n), np.float32)
        for row in range(m):
            line = out[row]
            for i in self._categories.tolist():
                weight = np.float32(self.weights[i])
                own, theirs = codes[row, i], self._columns[i]
                if own == -1:
                    line += weight * (np.float32(0.5) + np.float32(0.5) * (theirs == -1))
                else:
                    line += weight * (theirs == own)
                    line += (weight * np.float32(0.5)) * (theirs == -1)
            for i in self._numbers.tolist():
                weight = np.float32(self.weights[base + i])
                own, theirs = numbers[row, i], self._floats[i]
                if np.isnan(own):
                    line += weight * np.where(np.isnan(theirs), 1, 0.5).astype(np.float32)
                    continue
                near = np.abs(theirs - own) / np.float32(self.spans[i])
                near = np.float32(1) - np.minimum(near, np.float32(1))
                line += weight * np.where(np.isnan(near), np.float32(0.5), near)
        self._add_texts(items.words[:, self.words].astype(np.float32), out)
        return np.clip(out, 0, 1, out=out)

    def nearest(self, items: Prepared, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The `count` most similar fitted items of each: rows (m, count) and scores, best first.

        Equal scores are ordered by row, so that the answer never depends on the machine.
        """
        count = min(count, len(self.codes))
        rows = np.zeros((len(items.codes), count), np.int64)
        scores = np.zeros((len(items.codes), count), np.float32)
        for start, block in self._blocks(items):
            for k, line in enumerate(block):
                at = np.flatnonzero(line >= np.partition(line, -count)[-count])
                at = at[np.lexsort((at, -line[at]))][:count]
                rows[start + k], scores[start + k] = at, line[at]
        return rows, scores

    def parts(self, items: Prepared, row: int, other: int) -> np.ndarray:
        """Each attribute's own similarity of item `row` to fitted item `other`, in [0, 1]."""
        one = items.at(slice(row, row + 1))
        found = np.zeros(len(self.weights))
        alone = Gower(
            np.zeros(len(self.weights)), self.spans, self.words, self.codes[other : other + 1],
            self.numbers[other : other + 1], self.marks[other : other + 1], self.text_of,
        )  # fmt: skip
        for i in np.flatnonzero(self.weights).tolist():
            weights = np.zeros(len(self.weights))
            weights[i] = 1.0
            alone.__init__(  # type: ignore[misc]
                weights, self.spans, self.words, alone.codes, alone.numbers, alone.marks,
                self.text_of,
            )  # fmt: skip
            found[i] = alone.scores(one)[0, 0]
        return found

    def _blocks(self, items: Prepared) -> Iterator[tuple[int, np.ndarray]]:
        for start in range(0, len(items.codes), BLOCK):
            part = slice(start, start + BLOCK)
            yield (
                start,
                self.scores(items.at(part)),
            )

    def _add_texts(self, words: np.ndarray, out: np.ndarray) -> None:
        base = self.codes.shape[1] + self.numbers.shape[1]
        for i in np.unique(self.text_of).tolist():
            weight = self.weights[base + i]
            if not weight:
                continue
            mine, theirs = words[:, self.text_of == i], self._marks[:, self.text_of == i]
            common = mine @ theirs.T
            union = mine.sum(axis=1)[:, None] + theirs.sum(axis=1)[None, :] - common
            with np.errstate(invalid="ignore"):
                share = np.where(union > 0, common / np.maximum(union, 1), np.float32(1))
            out += np.float32(weight) * share

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_stored` needs."""
        return {
            "weights": self.weights, "spans": self.spans, "words": self.words,
            "codes": self.codes.astype(np.int16 if self.codes.max(initial=0) < 32_000 else np.int32),
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
        return cls(
            stored.array(f"{prefix}.weights", "f", (count,), low=0, high=1.001),
            stored.array(f"{prefix}.spans", "f", (numbers,), low=1e-300),
            words,
            stored.array(f"{prefix}.codes", "i", (items, categories), low=-2).astype(np.int32),
            stored.array(f"{prefix}.numbers", "f", (items, numbers), finite=False),
            np.unpackbits(packed.astype(np.uint8), axis=1, count=len(words)),
            stored.array(f"{prefix}.text_of", "i", (len(words),), low=0, high=high),
        )


def explained(groups: np.ndarray, operations: np.ndarray) -> float:
    """Share of the variance of `operations` (n, L) between `groups` (n,), less what chance gives."""
    counts = np.bincount(groups)
    sums = leaf_sums(groups, len(counts), operations.astype(np.float32))[counts > 0]
    return _share(sums, counts[counts > 0], operations)


def explained_by_flags(flags: np.ndarray, operations: np.ndarray) -> np.ndarray:
    """`explained` of every column of `flags` (n, W) 0/1: (W,)."""
    yes = flags.T.astype(np.float32) @ operations.astype(np.float32)
    counts = flags.sum(axis=0, dtype=np.int64)
    total = operations.sum(axis=0, dtype=np.float64)
    return np.array([
        _share(np.stack([row, total - row]), np.array([n, len(flags) - n]), operations)
        for row, n in zip(yes.astype(np.float64), counts, strict=True)
    ])


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
