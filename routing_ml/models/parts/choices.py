"""Operations that are chosen together: those that go together (forge, trim, normalise) or in place
of others (or saw).

What a model misjudges of one of them it misjudges of the others too; that is how they are told.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csgraph

LINKED = 0.25  # correlation of what was misjudged from which two operations are of one choice
SURELY = 4.0  # and standard deviations of a correlation of nothing
MAX_LINKED = 40  # operations of a choice
MAX_WAYS = 200  # of a choice, the commonest
BESIDE = 0.1  # how much a further routing of an item counts beside its first
SWEEPS = 15  # of proportional fitting
LEAST = 1e-3  # of a likelihood: one operation that was misjudged must not rule a way out


@dataclass(frozen=True)
class Choice:
    """`operations` (k,) that stand or fall together, the `ways` (w, k) in which past routings have
    them, and how common each way is (w,), which sums to 1."""

    operations: np.ndarray
    ways: np.ndarray
    common: np.ndarray

    @classmethod
    def fit(cls, operations: np.ndarray, has: np.ndarray, beside: np.ndarray | None) -> Choice:
        """From the items' routings `has` (n, L) and further ones of some, `beside` (k, L)."""
        every = has if beside is None else np.r_[has, beside]
        ways, number = np.unique(every[:, operations], axis=0, return_inverse=True)
        weight = np.where(np.arange(len(every)) < len(has), 1.0, BESIDE)
        counts = np.bincount(number.ravel(), weights=weight, minlength=len(ways))
        order = np.argsort(-counts, kind="stable")[:MAX_WAYS]
        return cls(operations, ways[order], counts[order] / counts[order].sum())

    def known_to(self, number: dict[int, int]) -> Choice | None:
        """The same choice by the operations' numbers in another model, without those that it does
        not have; None where fewer than two are left."""
        kept = [k for k, operation in enumerate(self.operations.tolist()) if operation in number]
        if len(kept) < 2:
            return None
        operations = np.array([number[k] for k in self.operations[kept].tolist()])
        ways, same = np.unique(self.ways[:, kept], axis=0, return_inverse=True)
        return Choice(operations, ways, np.bincount(same.ravel(), weights=self.common))

    def likely(self, likely: np.ndarray) -> np.ndarray:
        """(m, w) probabilities of the ways by iterative proportional fitting: the nearest to
        `common`, by relative entropy, with the operations' likelihoods (m, L) as margins."""
        having = np.clip(likely[:, self.operations], LEAST, 1 - LEAST).T[:, :, None]
        lacking = 1 - having
        found = np.repeat(self.common[None], len(likely), axis=0)
        ways = np.array(self.ways.T, order="C")
        steps = list(zip(ways, ways.astype(float), having, lacking, strict=True))
        for _ in range(SWEEPS):
            for has, counted, p, q in steps:
                share = np.minimum(np.maximum((found @ counted)[:, None], LEAST**2), 1 - LEAST**2)
                found *= np.where(has, p / share, q / (1 - share))
            found /= found.sum(axis=1, keepdims=True)  # margins that contradict each other drift
        return found


def linked(misjudged: np.ndarray) -> list[np.ndarray]:
    """Operations that are misjudged together, from (n, L) what was less what was likely."""
    if not len(misjudged):
        return []
    norm = np.sqrt((misjudged**2).sum(axis=0))
    corr = np.abs(misjudged.T @ misjudged) / np.maximum(np.outer(norm, norm), 1)
    np.fill_diagonal(corr, 0)
    least = max(LINKED, SURELY / np.sqrt(len(misjudged)))
    while True:
        count, label = csgraph.connected_components(corr >= least)
        sizes = np.bincount(label, minlength=count)
        if sizes.max(initial=0) <= MAX_LINKED:
            return [np.flatnonzero(label == k) for k in np.flatnonzero(sizes > 1)]
        least += 0.05
