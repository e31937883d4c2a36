"""The learners that benchmarks/trees.py holds against each other: the project's own boosting of
shared trees, and XGBoost in its place."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

import numpy as np

from routing_ml.models import boosted, storage
from routing_ml.models.boosted import PLAN
from routing_ml.models.storage import prefixed
from routing_ml.models.trees.boosting import Plan, boost_flags
from routing_ml.models.trees.ensemble import Ensemble

MISSING = "xgboost is not installed: 'pip install xgboost-cpu==3.2.0', or ask for --learners own"
FILE = "trees.ubj"
COMMON = {
    "objective": "binary:logistic", "tree_method": "hist", "grow_policy": "lossguide",
    "max_depth": 0, "max_leaves": PLAN.shape.leaves, "subsample": PLAN.share,
    "colsample_bytree": PLAN.share, "seed": 1,
}  # fmt: skip


class Trees(Protocol):
    """Trees for L operations, as `Ensemble` has them."""

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """What they add to the log-odds: (n, L) for features (n, F)."""

    def contributions(self, row: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Start (L,) and what each feature of `row` (F,) adds (F, L); None where it cannot say."""


class Learner(Protocol):
    """Fits trees as `boost_flags` does: base log-odds (L,), and what adds to them."""

    @property
    def fit(self) -> Callable[..., tuple[np.ndarray, Any]]: ...

    def save(self, folder: Path, base: np.ndarray, trees: Any) -> None: ...

    def load(self, folder: Path) -> tuple[np.ndarray, Trees]: ...


class Own:
    """The project's own."""

    fit = staticmethod(boost_flags)

    def save(self, folder: Path, base: np.ndarray, trees: Ensemble) -> None:
        storage.write(folder, {}, {"base": base, **prefixed("trees", trees.arrays())})

    def load(self, folder: Path) -> tuple[np.ndarray, Ensemble]:
        stored = storage.read(folder)
        base = stored.array("base", "f", (None,))
        features = np.iinfo(np.int16).max  # a model knows how many
        return base, Ensemble.from_stored(stored, "trees", features, len(base))


@dataclass(frozen=True)
class LibraryTrees:
    """A booster for so many `outputs`, in the place of `count` trees of the project's own; of each
    output the first `counted` (L,) of its own trees count, all where None."""

    booster: Any
    outputs: int
    count: int
    counted: np.ndarray | None = None

    def first(self, trees: int) -> LibraryTrees:
        return self.until(np.full(self.outputs, trees))

    def until(self, trees: np.ndarray) -> LibraryTrees:
        most = self.booster.num_boosted_rounds()
        counted = np.minimum(np.ceil(trees * most / self.count), most).astype(int)
        return replace(self, counted=None if (counted == most).all() else counted)

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        if self.counted is None:
            return self._sum(matrix, 0)
        odds = np.empty((len(matrix), self.outputs), np.float32)
        for count in np.unique(self.counted).tolist():
            mine = self.counted == count
            odds[:, mine] = self._sum(matrix, count)[:, mine]
        return odds

    def _sum(self, matrix: np.ndarray, trees: int) -> np.ndarray:
        """Of the first `trees`; of all for 0."""
        found = self.booster.inplace_predict(
            matrix, iteration_range=(0, trees), predict_type="margin"
        )
        return found.reshape(len(matrix), self.outputs)

    def contributions(self, row: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        try:
            found = self.booster.predict(xgboost().DMatrix(row[None, :]), pred_contribs=True)
        except ValueError:  # XGBoost's own errors are; 3.2.0 has none for trees of many outputs
            return None
        found = found.reshape(self.outputs, len(row) + 1).T.astype(np.float64)
        return found[-1], found[:-1]


@dataclass(frozen=True)
class Library:
    """XGBoost: where the project's own grows PLAN, it grows so many `trees` by `rate`."""

    trees: int
    rate: float
    settings: Mapping[str, Any]

    def fit(
        self,
        matrix: np.ndarray,
        bins: np.ndarray,
        flags: np.ndarray,
        plan: Plan,
        weight: np.ndarray,
    ) -> tuple[np.ndarray, LibraryTrees]:
        scale = self.trees / PLAN.trees
        labels = flags.astype(np.float32)
        data = xgboost().QuantileDMatrix(matrix, labels, weight=weight, nthread=threads())
        settings = {
            **COMMON, **self.settings, "learning_rate": self.rate * plan.rate / PLAN.rate,
            "nthread": threads(),
        }  # fmt: skip
        booster = xgboost().train(settings, data, max(1, round(plan.trees * scale)))
        return np.zeros(flags.shape[1], np.float32), LibraryTrees(
            booster, flags.shape[1], plan.trees
        )

    def save(self, folder: Path, base: np.ndarray, trees: LibraryTrees) -> None:
        trees.booster.save_model(folder / FILE)

    def load(self, folder: Path) -> tuple[np.ndarray, LibraryTrees]:
        booster = xgboost().Booster({"nthread": threads()}, model_file=folder / FILE)
        outputs = booster.inplace_predict(np.zeros((1, booster.num_features()), np.uint8)).size
        trees = LibraryTrees(booster, outputs, booster.num_boosted_rounds())
        return np.zeros(outputs, np.float32), trees


LEARNERS: dict[str, Learner] = {
    "own": Own(),
    "shared": Library(300, 0.1, {"multi_strategy": "multi_output_tree"}),
    "each": Library(150, 0.1, {}),
}
TITLES = {
    "own": "the project's own",
    "shared": "XGBoost, one tree for all",
    "each": "XGBoost, a tree each",
}


@contextmanager
def learning_by(learner: Learner) -> Iterator[None]:
    """The candidate `boosted` with the trees of `learner`; all else is the same."""
    with mock.patch.object(boosted, "boost_flags", learner.fit):
        yield


def xgboost() -> Any:
    """The library; the program ends with one line where it is missing."""
    try:
        import xgboost
    except ImportError:
        raise SystemExit(MISSING) from None
    return xgboost


def threads() -> int:
    """As many as the environment has for NumPy too; else one."""
    return int(os.environ.get("OMP_NUM_THREADS", "1"))
