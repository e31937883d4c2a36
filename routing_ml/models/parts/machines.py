"""The machine of each operation, by shared trees on the item's features and its entry date."""

from __future__ import annotations

import numpy as np
import pandas as pd

from routing_ml.models.parts.operations import Rows
from routing_ml.models.storage import Stored, prefixed
from routing_ml.models.trees.boosting import Plan, boost_numbers
from routing_ml.models.trees.ensemble import Ensemble, Shape

PLAN = Plan(trees=25, rate=0.3, shape=Shape(leaves=16, min_leaf=5))


class Machines:
    """`names` of machines; `choices` (K, 2): (operation, machine) pairs that were seen together,
    by operation; `base` (K,) and `trees` score them, and the highest of an operation wins."""

    def __init__(
        self, names: list[str], choices: np.ndarray, base: np.ndarray, trees: Ensemble | None
    ) -> None:
        self.names, self.choices, self.base, self.trees = names, choices, base, trees

    @classmethod
    def fit(cls, rows: Rows, matrix: np.ndarray, bins: np.ndarray) -> Machines:
        """`RES_CD` may be missing, in rows or altogether."""
        names, choices, target = targets(rows)
        if not len(choices):
            return cls([], choices, np.zeros(0), None)
        base, trees = boost_numbers(matrix, bins, target, PLAN)
        return cls(names, choices, base, trees)

    def predict(self, matrix: np.ndarray, item: np.ndarray, operation: np.ndarray) -> np.ndarray:
        """The machine's number for each (item, operation), -1 for none."""
        found = np.full(len(item), -1)
        if self.trees is None or not len(item):
            return found
        scores = self.base + self.trees.predict(matrix)
        for k in np.unique(self.choices[:, 0]).tolist():
            columns = np.flatnonzero(self.choices[:, 0] == k)
            mine = np.flatnonzero(operation == k)
            best = scores[item[mine][:, None], columns].argmax(axis=1)
            found[mine] = self.choices[columns[best], 1]
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_stored` needs beside the names."""
        trees = prefixed("trees", self.trees.arrays()) if self.trees else {}
        return {"choices": self.choices, "base": self.base, **trees}

    @classmethod
    def from_stored(cls, stored: Stored, prefix: str, features: int, size: int) -> Machines:
        """The part of a stored model."""
        names = stored.strings(f"{prefix}.names", unique=True)
        choices = stored.array(f"{prefix}.choices", "i", (None, 2), low=0)
        count = len(choices)
        if count and (choices.max(axis=0) >= [size, len(names)]).any():
            stored.refuse(f"{prefix}.choices", "names an operation or machine that is not there")
        base = stored.array(f"{prefix}.base", "f", (count,))
        trees = Ensemble.from_stored(stored, f"{prefix}.trees", features, count) if count else None
        return cls(names, choices, base, trees)


def targets(rows: Rows) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Machine names, (operation, machine) choices (K, 2), and target (n, K): 1 for the machine
    used, 0 for the operation's others, NaN where the item has no such operation or machine."""
    names: list[str] = []
    if "RES_CD" in rows.table:
        machine = rows.table["RES_CD"].astype("str").str.strip()
        names = sorted(name for name in machine.dropna().unique() if name)
    if not names:
        return names, np.zeros((0, 2), np.int64), np.zeros((len(rows.codes), 0), np.float32)
    codes = pd.Categorical(machine, categories=names).codes.astype(np.int64)
    known = codes >= 0
    pairs = rows.operation[known] * len(names) + codes[known]
    found, choice = np.unique(pairs, return_inverse=True)
    choices = np.stack(np.divmod(found, len(names)), axis=1)
    used = np.zeros((len(rows.codes), len(rows.operations)), bool)
    used[rows.item[known], rows.operation[known]] = True
    target = np.where(used[:, choices[:, 0]], 0, np.nan).astype(np.float32)
    target[rows.item[known], choice] = 1
    return names, choices, target
