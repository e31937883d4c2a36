"""What every candidate shares: fit on frames, propose routings as a frame, save and load.

A candidate says how likely each operation is for an item; the order, the times, the machines, the
confidence and the similar past item are the same for all.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from routing_ml.dataset import families_of
from routing_ml.errors import ModelError
from routing_ml.models import storage
from routing_ml.models.features.attributes import NEW, Encoder, Prepared
from routing_ml.models.features.design import Design
from routing_ml.models.features.gower import Gower
from routing_ml.models.learning import Learning
from routing_ml.models.parts import operations
from routing_ml.models.parts.alike import Past, Way, ways
from routing_ml.models.parts.alternatives import Alternatives, Proposed, propose
from routing_ml.models.parts.confidence import Confidence
from routing_ml.models.parts.flags import KINDS, Flags
from routing_ml.models.parts.machines import Machines
from routing_ml.models.parts.minutes import rounded
from routing_ml.models.parts.operations import Numbering, Operation
from routing_ml.models.parts.order import Order
from routing_ml.models.parts.outside import Outside
from routing_ml.models.parts.quantities import Quantities
from routing_ml.models.parts.rates import Rates
from routing_ml.models.parts.times import Times
from routing_ml.models.storage import Stored

PROPOSAL_COLUMNS = (
    "ITEM_CD", "PROC_SEQ", "JOB_CD", "JOB_NM", "RES_CD", "SETUP_TIME", "RUN_TIME", "RUN_TIME_LOW",
    "RUN_TIME_HIGH", "CONFIDENCE", "SIMILARITY_SCORE", "REFERENCE_ITEM_CD", "RES_LIKELIHOOD",
    "RES_OTHERS", "OUTSIDE", "NOTE", "NOVELTY", "NEW_TO_MODEL",
)  # fmt: skip
MOST_NUMBER = 10**12  # of a PROC_SEQ
CHUNK = 4096  # items predicted at a time: bounds memory
MOST_KINDS = 30  # of items, told apart by one column
TOLD_OUTSIDE = 0.05  # share of the past done outside that is worth a note


class RoutingModel(Learning):
    """A candidate. Deterministic: the same frames give the same files and the same proposals."""

    name: ClassVar[str]
    effect_unit: ClassVar[str] = "probability"

    @abstractmethod
    def _parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The candidate's own facts and arrays."""

    @abstractmethod
    def _restore(self, stored: Stored) -> None:
        """Take the candidate's own parts back; `items_`, `operations_`, `encoder_` are there."""

    def contributions(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """For one item's features `matrix` (1, F): start (L,) and what each feature adds to each
        operation (F, L), exactly, in `effect_unit`; None where the candidate cannot say."""
        return None

    def likelihoods(self, items: Prepared) -> np.ndarray:
        """How likely each operation is for prepared items, as borne out: (m, L) in [0, 1]."""
        return self.confidence_.likelihoods(self.likely(items), self.given(items))

    def decided(self, some: Sequence[Prepared]) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each of `some` prepared items, m each, which operations are proposed, (m, L) bool,
        and the probability that the proposal is exactly right, (m,). All are asked at once, which
        takes hardly longer than one of them."""
        items = Prepared.joined(some)
        proposed, confidence = self._proposed(items, self.design_.transform(items), 1)
        present = np.zeros((len(items.codes), len(self.operations_)), bool)
        present[proposed.item, proposed.operation] = True
        ends = np.cumsum([len(one.codes) for one in some])[:-1]
        parts = np.split(present, ends), np.split(confidence[:, 0], ends)
        return list(zip(*parts, strict=True))

    def run_times_in(
        self, jobs: Sequence[str], occurrences: Sequence[int], quantity: np.ndarray
    ) -> np.ndarray:
        """How many run times of one piece it takes to make `quantity` (k,) pieces, of operations by
        job and occurrence: (k,), as many as pieces where no more is known of an operation."""
        number = {(one.job, one.occurrence): k for k, one in enumerate(self.operations_)}
        keys = zip(jobs, occurrences, strict=True)
        operation = np.array([number.get(key, -1) for key in keys], np.int64)
        found, known = quantity.astype(float), operation >= 0
        found[known] = self.quantities_.minutes(
            operation[known], np.ones(known.sum()), found[known], np.full(known.sum(), np.nan)
        )
        return found

    def past_routing(self, row: int) -> list[Operation]:
        """The operations of the fitted item number `row`, in order, without those too rare to be
        learned."""
        return [self.operations_[k] for k in self.past_.of(row)]

    def predict(
        self,
        items: pd.DataFrame,
        *,
        similarity: bool = True,
        alternatives: int = 1,
        quantity: float | None = None,
    ) -> pd.DataFrame:
        """Proposals: PROPOSAL_COLUMNS, a row per operation, items in the order given.

        With `alternatives` up to so many whole routings an item, the proposed one first, told
        apart by a column RANK; CONFIDENCE is how likely each is the planner's. With `quantity` a
        column TOTAL_MINUTES: setup and run of so many pieces.

        Times in minutes, NaN where none is known of the operation. An item that was fitted on is
        never its own reference. Without `similarity` SIMILARITY_SCORE is NaN and
        REFERENCE_ITEM_CD missing, and prediction is faster.
        """
        if "ITEM_CD" not in items:
            raise ModelError("the items have no column ITEM_CD: name it in the columns file")
        starts = range(CHUNK, len(items), CHUNK)
        chunks = [items.iloc[start : start + CHUNK] for start in starts]
        first = items.iloc[:CHUNK] if chunks else items
        parts = [
            self._propose(chunk, similarity, alternatives, quantity) for chunk in (first, *chunks)
        ]
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        names = [*PROPOSAL_COLUMNS]
        names += ["TOTAL_MINUTES"] if quantity is not None else []
        names += ["RANK"] if alternatives > 1 else []
        share = columns["OUTSIDE"]
        # converted one by one: a frame takes four times as long to change its columns
        typed = {
            name: pd.array(values, dtype="str") if values.dtype == object else values
            for name, values in columns.items()
        } | {"OUTSIDE": pd.arrays.BooleanArray(share > 0.5, np.isnan(share))}
        return pd.DataFrame({name: typed[name] for name in names}, copy=False)

    def _propose(
        self, items: pd.DataFrame, similarity: bool, alternatives: int, quantity: float | None
    ) -> dict[str, np.ndarray]:
        prepared = self.encoder_.transform(items)
        matrix = self.design_.transform(prepared)
        proposed, confidence = self._proposed(prepared, matrix, alternatives)
        given = self.given(prepared)
        item, operation, rank = proposed.item, proposed.operation, proposed.rank
        flags = self.flags_.likely(matrix)
        no_setup, no_run, elsewhere, per_lot = (
            self.flags_.of(flags, kind, item, operation) for kind in KINDS
        )
        chosen = self.machines_.choose(matrix, item, operation)
        setup, run, low, high = self.times_.predict(
            self.times_.scale.apply(self.design_, prepared, matrix), matrix, item, operation,
            self.times_.widths(given, self.confidence_.unknown), (no_setup, no_run),
            chosen.machine,
        )  # fmt: skip
        outside = self.outside_.predict(operation, chosen.machine, elsewhere)
        pieces = 1.0 if quantity is None else quantity
        total = setup + self.quantities_.minutes(operation, run, pieces, per_lot)
        jobs, names, machines, codes = self._spelled
        score = np.full(len(items), np.nan)
        reference = np.full(len(items), None, object)
        if similarity and len(items):
            near, scores = self.gower_.nearest(prepared, 1, without=self._own_rows(items))
            score = scores[:, 0].astype(float)
            reference = codes[near[:, 0]]
        return {
            "ITEM_CD": items["ITEM_CD"].to_numpy(object)[item],
            "PROC_SEQ": self.numbering_.numbers(int(proposed.place.max(initial=-1)) + 1)[
                proposed.place
            ],
            "JOB_CD": jobs[operation],
            "JOB_NM": names[operation],
            "RES_CD": machines[chosen.machine],
            "SETUP_TIME": setup,
            "RUN_TIME": run,
            "RUN_TIME_LOW": low,
            "RUN_TIME_HIGH": high,
            "CONFIDENCE": confidence[item, rank],
            "SIMILARITY_SCORE": score[item],
            "REFERENCE_ITEM_CD": reference[item],
            "RES_LIKELIHOOD": np.round(chosen.likely, 4),
            "RES_OTHERS": chosen.others,
            "OUTSIDE": outside,
            "NOTE": notes_of(outside, chosen.notes, self.quantities_.notes(operation, per_lot)),
            "NOVELTY": np.minimum(np.round(given.never, 4), 1)[item],
            "NEW_TO_MODEL": self._new_words(prepared)[item],
            "TOTAL_MINUTES": rounded(total),
            "RANK": rank + 1,
        }

    def alike(self, items: Prepared) -> dict[int, list[Way]]:
        """The whole routings of the past items that are alike in all that is given of an item, for
        those of which little is given (`parts.alike`)."""
        return ways(self.gower_, self.past_, items, 1, np.zeros(len(items.codes)))

    def _proposed(
        self, items: Prepared, matrix: np.ndarray, most: int
    ) -> tuple[Proposed, np.ndarray]:
        """Up to `most` routings of prepared items, and how likely each is right: (m, most)."""
        asked = self._asked(self.likely(items, matrix), matrix)
        proposed = propose(self.alternatives_, asked, most)
        confidence = proposed.shared(self.confidence_.apply(proposed.certainty, self.given(items)))
        found = ways(self.gower_, self.past_, items, most, confidence[:, 0])
        proposed = proposed.instead(found)
        confidence[list(found)] = proposed.likely[list(found)]
        return proposed, confidence

    def _new_words(self, items: Prepared) -> np.ndarray:
        """The columns of each item with a value that no fitted item had, as a text: (m,)."""
        found = np.full(len(items.states), None, object)
        if self.confidence_.scale is None:
            return found  # of 2.1.0, whose models cannot tell a rare value from a new one
        new = (items.states == NEW) & (self.telling_ > 0)
        columns = self.encoder_.columns
        for row in np.flatnonzero(new.any(axis=1)).tolist():
            names = dict.fromkeys(columns[i] for i in np.flatnonzero(new[row]).tolist())
            found[row] = ", ".join(names)
        return found

    @property
    def kinds_by(self) -> str | None:
        """The column that tells the kinds of items apart: the most telling one of few values that
        are written in words; None where there is none."""
        at = self._kinds_at
        return None if at is None else self.encoder_.columns[at]

    def kinds(self, items: pd.DataFrame) -> list[str | None]:
        """The kind of each item, as most of the fitted items spell it; None of one whose kind is
        missing, or was never seen."""
        if self._kinds_at is None:
            return [None] * len(items)
        values = self.encoder_.categories[self._kinds_at].values
        codes = self.encoder_.transform(items).codes[:, self._kinds_at]
        return [values[code] if code >= 0 else None for code in codes.tolist()]

    @cached_property
    def _kinds_at(self) -> int | None:
        """The number of the category that tells the kinds apart."""
        few = [
            (float(self.telling_[at]), -at)
            for at, category in enumerate(self.encoder_.categories)
            if 2 <= len(category.values) <= MOST_KINDS and self.telling_[at] > 0
        ]
        return -max(few)[1] if few else None

    def similarities(self, items: pd.DataFrame, days: pd.Series) -> np.ndarray:
        """Similarity of each item to the nearest fitted one of another day, in [0, 1]: (m,).

        `days` are entry dates by item code. The family of a new item (`families_of`) is not known
        to the model: what is new is compared with this.
        """
        families = families_of(days.reindex(self.items_))
        rows_of = families.reset_index(drop=True).groupby(families.to_numpy()).indices
        of_item = days.reindex(items["ITEM_CD"]).dt.strftime("%Y-%m-%d")
        without = [
            np.union1d(own, rows_of.get(day, own))
            for own, day in zip(self._own_rows(items), of_item, strict=True)
        ]
        _, scores = self.gower_.nearest(self.encoder_.transform(items), 1, without=without)
        return scores[:, 0]

    def _own_rows(self, items: pd.DataFrame) -> list[np.ndarray]:
        """For each item its row among the fitted ones, none where it was not fitted on."""
        rows = [self._row_of.get(str(code)) for code in items["ITEM_CD"].tolist()]
        return [np.array([] if row is None else [row], np.int64) for row in rows]

    @cached_property
    def _spelled(self) -> tuple[np.ndarray, ...]:
        """Job codes, job names, machines (the last for none) and fitted items, to index with."""
        lists: tuple[list[str | None], ...] = (
            [operation.job for operation in self.operations_],
            [operation.name or None for operation in self.operations_],
            [*self.machines_.names, None],
            list(self.items_),
        )
        return tuple(np.array(values, object) for values in lists)

    @cached_property
    def _row_of(self) -> dict[str, int]:
        """The number of each fitted item."""
        return {str(code): row for row, code in enumerate(self.items_)}

    def save(self, folder: Path) -> None:
        """Write the fitted model into `folder`: model.json and arrays.npz."""
        facts, arrays = self._parts()
        known = self.alternatives_
        storage.write(
            Path(folder),
            {
                "candidate": self.name,
                "items": self.items_,
                "operations": operations.facts(self.operations_),
                "numbering": [self.numbering_.start, self.numbering_.step],
                **self.encoder_.facts(),
                "features": self.design_.facts(),
                "confidence": self.confidence_.facts(),
                "rates": self.rates_.column if self.rates_ else -1,
                **storage.prefixed("machines", self.machines_.facts()),
                **(
                    {"alternatives.whole": known.whole, "alternatives.choices": known.facts()}
                    if known
                    else {}
                ),
                **facts,
            },
            {
                **storage.prefixed("routings", self.past_.arrays()),
                **storage.prefixed("gower", self.gower_.arrays()),
                "telling": self.telling_,
                **storage.prefixed("order", self.order_.arrays()),
                **storage.prefixed("times", self.times_.arrays()),
                **storage.prefixed("machines", self.machines_.arrays()),
                **storage.prefixed("flags", self.flags_.arrays()),
                **storage.prefixed("outside", self.outside_.arrays()),
                **storage.prefixed("quantities", self.quantities_.arrays()),
                **storage.prefixed("alternatives", known.arrays() if known else {}),
                **storage.prefixed("rates", self.rates_.arrays() if self.rates_ else {}),
                **storage.prefixed("confidence", self.confidence_.arrays()),
                **arrays,
            },
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model saved in `folder`; ModelError when it is damaged or another candidate's."""
        return cls.from_stored(storage.read(Path(folder)))

    @classmethod
    def from_stored(cls, stored: Stored) -> Self:
        """The model of entries already read."""
        if stored.fact("candidate", str) != cls.name:
            stored.refuse("candidate", f"is {stored.fact('candidate', str)!r}, not {cls.name!r}")
        model = cls()
        model.items_ = stored.strings("items", unique=True)
        model.operations_ = operations.from_stored(stored)
        size = len(model.operations_)
        if not model.items_ or not size:
            stored.refuse("operations", "is empty")
        model.past_ = Past.from_stored(stored, "routings", len(model.items_), size)
        numbering = stored.fact("numbering", list)
        good = len(numbering) == 2 and all(type(value) is int for value in numbering)
        if not good or max(map(abs, numbering)) > MOST_NUMBER or numbering[1] < 1:
            stored.refuse("numbering", "is no pair of a start and a step")
        model.numbering_ = Numbering(*numbering)
        model.encoder_ = Encoder.from_facts(stored)
        model.design_ = Design.from_stored(stored, "features", model.encoder_)
        width = len(model.design_.features)
        model.gower_ = Gower.from_stored(stored, "gower", model.encoder_, len(model.items_))
        model.telling_ = model.gower_.weights
        if stored.format > 1:
            count = len(model.telling_)
            model.telling_ = stored.array("telling", "f", (count,), low=0, high=1.001)
        model.order_ = Order.from_stored(stored, "order", width, size)
        model.machines_ = Machines.from_stored(stored, "machines", width, size)
        machines = len(model.machines_.names)
        model.times_ = Times.from_stored(stored, "times", model.design_, size, machines)
        model.flags_ = Flags.from_stored(stored, "flags", width, size)
        model.alternatives_ = Alternatives.from_stored(
            stored, "alternatives", model.operations_, model.order_
        )
        choices = model.machines_.choices
        if model.alternatives_ is None:  # of 2.1.0
            model.outside_ = Outside.unknown(choices, size)
            model.quantities_ = Quantities.usual(size)
        else:
            model.outside_ = Outside.from_stored(stored, "outside", choices, size)
            model.quantities_ = Quantities.from_stored(stored, "quantities", size)
        categories = len(model.encoder_.categories)
        model.rates_ = Rates.from_stored(stored, "rates", categories, size)
        labels = model.encoder_.labels
        model.confidence_ = Confidence.from_stored(stored, "confidence", labels)
        model._restore(stored)
        return model


def notes_of(outside: np.ndarray, machines: np.ndarray, lots: np.ndarray) -> np.ndarray:
    """NOTE of k operations: all that is to be said of each, None where there is nothing."""
    found = np.full(len(outside), None, object)
    said = (outside >= TOLD_OUTSIDE) | pd.notna(machines) | pd.notna(lots)
    for at in np.flatnonzero(said).tolist():
        share = outside[at]
        notes = [machines[at], lots[at]]
        if share > 0.5:
            notes.insert(0, "done outside" + (f" ({share:.0%} of the past)" if share < 1 else ""))
        elif share >= TOLD_OUTSIDE:
            notes.insert(0, f"done outside in {share:.0%} of the past")
        found[at] = "; ".join(note for note in notes if note) or None
    return found
