"""A dataset as a candidate learns from it and is judged by it, and the simple rules beside it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import pandas as pd

from routing_ml import comparison, dataset, models
from routing_ml.comparison import intervals, metrics
from routing_ml.drift import Profile
from routing_ml.models import RoutingModel
from routing_ml.pipeline.unseen import Folds


@dataclass(frozen=True)
class Material:
    """A dataset as it is learned from: newest routings, entry dates, and what is left out."""

    data: dataset.Dataset

    @cached_property
    def newest(self) -> pd.DataFrame:
        """The newest routing of every item that the item table has."""
        newest = dataset.newest_routings(self.data.routings)
        return newest[dataset.among(newest["ITEM_CD"], self.data.items["ITEM_CD"])]

    @cached_property
    def entered(self) -> pd.Series:
        """The entry date of each of these items."""
        return dataset.entered(self.data.items, self.newest)

    @cached_property
    def families(self) -> pd.Series:
        """The family of each of these items."""
        return dataset.families_of(self.entered)

    @cached_property
    def codes(self) -> list[str]:
        """These items, oldest first."""
        fitted, held_out = dataset.split(self.data.items, self.newest)
        return [*fitted, *held_out]

    @cached_property
    def folds(self) -> Folds:
        """Which of them are left out of which fit."""
        return Folds.of(*dataset.split(self.data.items, self.newest), self.families)

    @cached_property
    def profile(self) -> Profile:
        """The columns of these items, as what is usual among new ones."""
        families = self.families.reindex(self.codes).astype("str").tolist()
        return Profile.fit(self.items(self.codes), families)

    def judged(self, since: str | None) -> list[str]:
        """The items that models are judged by, oldest first: those that are left out of a fit. Of a
        small factory these are all; where planners make items otherwise `since` a day, the ones
        entered from then on, if they are enough: who knows the rules of now is wrong of others."""
        codes = self.folds.judged(self.codes)
        if since is None or not self.folds.cross:
            return codes
        routed = self.newest.groupby("ITEM_CD")["INSRT_DT"].max()
        late = set(routed.index[routed >= pd.Timestamp(since)])
        found = [code for code in codes if code in late]
        return found if len(found) >= comparison.LEAST_ITEMS else codes

    def recent(self, codes: Iterable[str]) -> dict[str, Any]:
        """What was learned of these items from their time of entry, as of `Ground.recent`."""
        return self._ground(frozenset(codes)).recent

    def items(self, codes: Sequence[str]) -> pd.DataFrame:
        """The rows of these items, in this order."""
        return self.data.items.set_index("ITEM_CD").loc[list(codes)].reset_index()

    def truth(self, codes: Iterable[str]) -> pd.DataFrame:
        """The newest routings of these items."""
        return self.newest[dataset.among(self.newest["ITEM_CD"], set(codes))]

    @cached_property
    def others(self) -> pd.DataFrame:
        """The further routings of items that have several."""
        return dataset.other_routings(self.data.routings)

    def fit(
        self, candidate: str, codes: Iterable[str], like: RoutingModel | None = None
    ) -> RoutingModel:
        """The candidate fitted on these items, knowing how right it is from `like`, if there is one
        that was fitted on hardly fewer."""
        wanted = frozenset(codes)
        others = self.others[dataset.among(self.others["ITEM_CD"], wanted)]
        # without the newest nobody knows whether anything has changed
        near = self._grounds.get(frozenset(like.items_)) if like and self.folds.cross else None
        ground = self._ground(wanted, near)
        return models.learn(candidate, ground, alternatives=others, like=like)

    def _ground(self, wanted: frozenset[str], like: models.Ground | None = None) -> models.Ground:
        """What all candidates learn from these items alike, once for all of them."""
        if wanted not in self._grounds:
            items, results = self.data.items, self.data.results
            self._grounds[wanted] = models.Ground.fit(
                items[dataset.among(items["ITEM_CD"], wanted)],
                self.truth(wanted),
                None if results is None else results[dataset.among(results["ITEM_CD"], wanted)],
                attributes=self.data.attributes,
                like=like,
            )
        return self._grounds[wanted]

    @cached_property
    def _grounds(self) -> dict[frozenset[str], models.Ground]:
        return {}

    def figures(self, proposed: pd.DataFrame, codes: Iterable[str]) -> dict[str, Any]:
        """Metrics of proposals for these items and their intervals, as a manifest has them."""
        truth = self.truth(codes)
        return {
            "metrics": metrics.evaluate(proposed, truth),
            "intervals": intervals.of(proposed, truth, self.families),
        }


@dataclass(frozen=True)
class Rule:
    """A simple rule of `models.BASELINES`, and what it proposes for the items that are judged."""

    name: str
    words: str
    proposed: pd.DataFrame

    @classmethod
    def fit(cls, kind: type[Any], material: Material) -> Self:
        """Fit it as a candidate is: without each fold of the items, which it is then asked."""
        items, folds = material.data.items, material.folds
        proposed, words = [], []
        for fold in sorted(set(folds.fold_of.values())):
            asked = [code for code in material.codes if folds.fold_of.get(code) == fold]
            rest = items[dataset.among(items["ITEM_CD"], set(material.codes) - set(asked))]
            truth = material.truth(rest["ITEM_CD"])
            rule = kind().fit(rest, truth, attributes=material.data.attributes)
            proposed.append(rule.predict(material.items(asked)))
            words.append(rule.words)
        most = max(words, key=words.count)
        return cls(kind.name, most, pd.concat(proposed, ignore_index=True))
