"""A raw score turned into the probability that the routing is right, by isotonic regression."""

from __future__ import annotations

import numpy as np

from routing_ml.models.storage import Stored


class Calibration:
    """A rising curve through (`raw`, `probability`), straight between its points."""

    def __init__(self, raw: np.ndarray, probability: np.ndarray) -> None:
        self.raw, self.probability = raw, probability

    @classmethod
    def fit(cls, raw: np.ndarray, right: np.ndarray) -> Calibration:
        """`raw` scores of items the model was not fitted on, and whether each was `right`.

        Without items: the raw score itself. A first and last pseudo-item, wrong and right, keep
        the ends from promising certainty.
        """
        if not len(raw):
            return cls(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
        order = np.argsort(raw, kind="stable")
        points, hits = raw[order].astype(float), right[order].astype(float)
        middle = float(hits.mean())
        blocks: list[list[float]] = []  # sum of hits, weight, sum of raw: pool adjacent violators
        for point, hit in zip(points.tolist(), hits.tolist(), strict=True):
            blocks.append([hit, 1.0, point])
            while (
                len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]
            ):
                last = blocks.pop()
                blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
        x = np.array([block[2] / block[1] for block in blocks])
        y = np.array([(block[0] + middle) / (block[1] + 1) for block in blocks])
        return cls(x, np.maximum.accumulate(y))

    def apply(self, raw: np.ndarray) -> np.ndarray:
        """Probabilities in [0, 1]."""
        return np.interp(raw, self.raw, self.probability)

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_stored` needs."""
        return {"raw": self.raw, "probability": self.probability}

    @classmethod
    def from_stored(cls, stored: Stored, prefix: str) -> Calibration:
        """The part of a stored model."""
        raw = stored.array(f"{prefix}.raw", "f", (None,))
        return cls(raw, stored.array(f"{prefix}.probability", "f", (len(raw),), low=0, high=1))
