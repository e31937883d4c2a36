"""What a version is judged by: the same candidate fitted without the items it is then asked about.

With many items the newest are left out once. With fewer than `FEW_ITEMS` so few would be left that
nothing could be told from them: then the candidate is fitted `FOLDS` times, each time without one
fold of the items, and every item is proposed by the model that was fitted without it
(cross-fitting: M. Stone, Journal of the Royal Statistical Society B 36, 1974, 111-147).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self

import pandas as pd

from routing_ml import files, models
from routing_ml.errors import ModelError
from routing_ml.models import RoutingModel

FEW_ITEMS = 2_000
FOLDS = 5
FOLDS_FILE = "folds.json"


@dataclass(frozen=True)
class Unseen:
    """The models and, by item code, which of them has not seen the item; empty for one holdout."""

    models: tuple[RoutingModel, ...]
    fold_of: Mapping[str, int]

    @classmethod
    def fit(
        cls,
        fit: Callable[[Sequence[str], RoutingModel | None], RoutingModel],
        codes: Sequence[str],
        folds: Folds,
    ) -> Self:
        """Let `fit` learn from the `codes` (oldest first) without each fold in turn; how right it
        is, it learns once."""
        fold_of, count = folds.fold_of, max(folds.fold_of.values(), default=0) + 1
        if not folds.cross:
            return cls((fit([code for code in codes if code not in fold_of], None),), {})
        without = [[code for code in codes if fold_of[code] != fold] for fold in range(count)]
        first = fit(without[0], None)
        return cls((first, *(fit(rest, first) for rest in without[1:])), fold_of)

    @property
    def fitted(self) -> set[str]:
        """The items that any of the models was fitted on."""
        return {code for model in self.models for code in model.items_}

    @property
    def seen(self) -> set[str]:
        """The items that cannot be judged, for no model was fitted without them."""
        return self.fitted - self.fold_of.keys()

    def predict(self, items: pd.DataFrame) -> pd.DataFrame:
        """Proposals without similarity, each by a model fitted without the item; one that is new
        to all by the first."""
        fold = items["ITEM_CD"].map(self.fold_of).fillna(0)
        parts = [
            model.predict(items[fold == number], similarity=False)
            for number, model in enumerate(self.models)
            if number == 0 or (fold == number).any()
        ]
        return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]

    def save(self, folder: Path) -> None:
        """Write one model into `folder` itself, or each into a folder of its number and the folds
        beside them."""
        if not self.fold_of:
            self.models[0].save(folder)
            return
        for number, model in enumerate(self.models):
            model.save(folder / str(number))
        files.atomic_write(folder / FOLDS_FILE, json.dumps(self.fold_of, ensure_ascii=False))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote; ModelError where it is damaged."""
        path = folder / FOLDS_FILE
        if not path.is_file():
            return cls((models.load(folder),), {})
        with files.told_as(ModelError, f"{path} cannot be read"):
            text = path.read_bytes()
        try:
            fold_of = {str(code): int(fold) for code, fold in json.loads(text).items()}
        except (ValueError, TypeError, AttributeError):
            raise ModelError(f"{path} holds no folds: train the model again") from None
        count = max(fold_of.values(), default=0) + 1
        loaded = cls(tuple(models.load(folder / str(number)) for number in range(count)), fold_of)
        for number, model in enumerate(loaded.models):
            if seen := [code for code in model.items_ if fold_of.get(code) == number]:
                raise ModelError(
                    f"{path} says that {seen[0]} was left out of model {number}, which was fitted "
                    "on it: train the model again"
                )
        return loaded


@dataclass(frozen=True)
class Folds:
    """Which items are left out of which fit: the newest of one (0), or each of one of several."""

    fold_of: Mapping[str, int]
    cross: bool

    @classmethod
    def of(cls, fitted: Sequence[str], held_out: Sequence[str], families: pd.Series) -> Self:
        """The folds of the items, given oldest first; `families` by item code (`families_of`).

        A family is in one fold. The folds are of about one size, and drawn by hashes, so that the
        same items always give the same.
        """
        codes = [*fitted, *held_out]
        if len(codes) >= FEW_ITEMS:
            return cls(dict.fromkeys(held_out, 0), cross=False)
        members = pd.Series(codes).groupby(families.reindex(codes).to_numpy(object)).agg(list)
        sizes, fold_of = [0] * FOLDS, {}
        for family in sorted(members.index, key=_drawn):
            fold = sizes.index(min(sizes))
            sizes[fold] += len(members[family])
            fold_of.update(dict.fromkeys(members[family], fold))
        return cls(fold_of, cross=True)

    def judged(self, codes: Iterable[str]) -> list[str]:
        """Those of the items that are left out of a fit."""
        return [code for code in codes if code in self.fold_of]


def _drawn(family: str) -> bytes:
    return sha256(str(family).encode()).digest()
