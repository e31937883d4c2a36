"""What every candidate learns alike from the same items: it is learned once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from routing_ml import dataset
from routing_ml.errors import ModelError
from routing_ml.models import storage
from routing_ml.models.features.attributes import ABSENT, Attributes, Encoder, Made, Prepared
from routing_ml.models.features.design import Design
from routing_ml.models.features.gower import Gower
from routing_ml.models.features.masking import few, masked
from routing_ml.models.parts import operations
from routing_ml.models.parts.alike import Past
from routing_ml.models.parts.choice import choose
from routing_ml.models.parts.dated import Dated
from routing_ml.models.parts.flags import Flags
from routing_ml.models.parts.machines import Machines
from routing_ml.models.parts.operations import Numbering, Rows
from routing_ml.models.parts.order import Order
from routing_ml.models.parts.outside import Outside
from routing_ml.models.parts.quantities import Quantities
from routing_ml.models.parts.times import Times
from routing_ml.models.parts.trials import Trial, telling, timing, trials, tried_columns
from routing_ml.models.trees.boosting import SEED

one_thread = threadpool_limits.wrap(limits=1, user_api="blas")
"""The matrices are small: on two cores two threads took three times the CPU, and no less time."""
MIN_ITEMS = 20
LEAST_FAMILIES = 6
COPIES = ((1_000, 1), (6_000, 3), (10_000, 2))
"""Up to so many items, so many copies of each; one beyond. Of few items three copies cost four
points of exact matches with all columns."""


@dataclass(frozen=True)
class Ground:
    """The fitted items and all that does not depend on how a candidate learns.

    `rows` are their routings, `prepared` the items themselves, `matrix` (n, F) their features.
    """

    coded: pd.DataFrame
    rows: Rows
    prepared: Prepared
    matrix: np.ndarray
    encoder: Encoder
    design: Design
    order: Order
    gower: Gower
    telling: np.ndarray
    numbering: Numbering
    times: Times
    machines: Machines
    flags: Flags
    outside: Outside
    quantities: Quantities
    like: Ground | None = None

    @classmethod
    @one_thread
    def fit(
        cls,
        items: pd.DataFrame,
        routings: pd.DataFrame,
        results: pd.DataFrame | None = None,
        *,
        attributes: Attributes,
        like: Ground | None = None,
    ) -> Self:
        """Learn from `items` and the newest routing of each; items without rows are left out,
        and so are operations of hardly any item (`operations.frequent`). ModelError where so few
        are left that nothing can be learned.

        `like` is the ground of most of the same items, as old as these: what is tried out, that
        nothing has changed and how times are learned, is taken over from it.
        """
        coded = items.drop_duplicates("ITEM_CD", keep="last").sort_values("ITEM_CD")
        coded = coded[dataset.among(coded["ITEM_CD"], routings["ITEM_CD"].unique())]
        if len(coded) < MIN_ITEMS:
            raise ModelError(
                f"{len(coded)} items have a routing, a model needs {MIN_ITEMS}: "
                "extract more rows, or check that item codes agree between the tables"
            )
        coded = coded.reset_index(drop=True)
        every = operations.read(routings, coded["ITEM_CD"].tolist())
        rows = operations.frequent(every)
        encoder = Encoder.fit(coded, attributes, Made(rows.present, _families(coded, rows)))
        prepared = encoder.transform(coded)
        design = choose(Design.fit(encoder, prepared, rows.present), prepared, rows)
        matrix, bins = design.transform(prepared), design.bins
        order = Order.fit(rows, matrix, bins)
        gower = Gower.fit(encoder, prepared, np.c_[rows.present, order.directions(rows)])
        machines = Machines.fit(rows, matrix, bins, results)
        return cls(
            coded, rows, prepared, matrix,
            encoder, design, order, gower, telling(gower.weights, prepared.codes, rows),
            Numbering.fit(every),
            Times.fit(
                rows, design, prepared, matrix, results, machines.names,
                like.times.plan if like else None,
            ),
            machines,
            Flags.fit(rows, matrix, bins), Outside.fit(rows, machines.choices, machines.names),
            Quantities.fit(rows, results), like,
        )  # fmt: skip

    @cached_property
    def copies(self) -> list[Prepared]:
        """The items with columns left out; in the last, which only calibrates, with hardly any
        left."""
        random = np.random.default_rng(SEED)
        weights = self.gower.weights / max(1e-9, self.gower.weights.max(initial=0))
        tells: dict[str, float] = {}
        for column, weight in zip(self.encoder.columns, weights.tolist(), strict=True):
            tells[column] = max(tells.get(column, 0.0), weight)
        count = next((copies for most, copies in COPIES if len(self.coded) <= most), 1)
        copies = [*(masked(self.coded, tells, random) for _ in range(count))]
        copies.append(few(self.coded, tells, random))
        return [self.encoder.transform(c) for c in copies]

    @cached_property
    def families(self) -> np.ndarray:
        """The family of each item as a number (n,): those that were entered together; each its own
        where there are so few families that leaving one out would leave little."""
        return _families(self.coded, self.rows)

    @cached_property
    def dated(self) -> Dated | None:
        """What has changed since the items were entered; None where nothing is shown to have."""
        if self.like and self.like.dated is None:
            return None
        return Dated.learn(
            self.matrix, self.design.bins, self.rows.present, self.rows.entered, self.families
        )

    @cached_property
    def present(self) -> np.ndarray:
        """Which operations each item has, (n, L) of 0 and 1, by the rules of now."""
        return self.rows.present if self.dated is None else self.dated.now(self.rows.present)

    def change(self, items: np.ndarray) -> np.ndarray | float:
        """By how much likelier each operation has become since these items were entered: (k, L)."""
        return 0.0 if self.dated is None else self.dated.change[items]

    @cached_property
    def recent(self) -> dict[str, Any]:
        """What is learned from the time of entry, JSON-able: the day `since` which items are made
        otherwise, the `operations` that changed most, whether `times` are those of late, and after
        how many days an item counts half in which machine is usual; None where nothing is shown."""
        dated, names = self.dated, [o.name or o.job for o in self.rows.operations]
        entered = self.rows.entered[~np.isnan(self.rows.entered)]
        half_life = self.machines.half_life
        return {
            "since": dated.since.isoformat() if dated else None,
            "operations": [names[k] for k in dated.operations] if dated else [],
            "times": self.times.of_late,
            "machines_half_life_days": round(half_life * float(np.ptp(entered)), 1)
            if half_life
            else None,
        }

    @property
    def past(self) -> Past:
        """The routings as a model keeps them."""
        lengths = np.bincount(self.rows.item, minlength=len(self.rows.codes))
        starts = storage.offsets(lengths.tolist())
        return Past(starts, self.rows.operation, self.rows.whole, self.families)

    @property
    def looks(self) -> list[Prepared]:
        """The items as they are, and the copies."""
        return [self.prepared, *self.copies]

    @cached_property
    def told(self) -> np.ndarray:
        """The attributes that tell anything, of the operations or of the times."""
        return np.flatnonzero((self.gower.weights > 0) | timing(self.prepared, self.rows))

    @cached_property
    def blurs(self) -> list[float]:
        """What each of the attributes `told` costs where it is missing, in the logarithm of the
        band's width; it sets how wide the times' band becomes."""
        absent, far = [], []
        for items in self.looks:
            found, item = self.times.strays(
                self.rows, self.design, items, self.design.transform(items)
            )
            absent.append(self.absent(items)[item])
            far.append(found)
        return self.times.widen(np.concatenate(absent), np.concatenate(far))

    def absent(self, items: Prepared) -> np.ndarray:
        """Which of the attributes `told` are missing of prepared items: (m, A) of 0 and 1."""
        return (items.states[:, self.told] == ABSENT).astype(float)

    @cached_property
    def tried(self) -> list[int]:
        """The categories of which values are left out in the trials."""
        return tried_columns(self.prepared.codes, self.telling[: len(self.encoder.categories)])

    @cached_property
    def trials(self) -> Sequence[tuple[Trial, np.ndarray, np.ndarray]]:
        """The trials, each with how far its run times lie out and of which of its items."""
        return [(trial, *self._strays(trial)) for trial in trials(self.prepared, self.tried)]

    def _strays(self, trial: Trial) -> tuple[np.ndarray, np.ndarray]:
        known, inputs = (
            self.times.scale.apply(self.design, part, self.design.transform(part))
            for part in (self.prepared.at(trial.fitted), trial.items)
        )
        rows, asked = self.rows.at(trial.fitted), self.rows.at(trial.asked)
        return self.times.strays_without(rows, known, asked, inputs)


def _families(coded: pd.DataFrame, rows: Rows) -> np.ndarray:
    day = pd.Series(pd.to_datetime(rows.entered, unit="D"), index=rows.codes)
    if "INSRT_DT" in coded and coded["INSRT_DT"].dtype.kind == "M":
        own = pd.Series(coded["INSRT_DT"].to_numpy("M8[us]"), index=rows.codes)
        day = own.fillna(day.astype("M8[us]"))
    found = pd.factorize(dataset.families_of(day))[0]
    size = np.bincount(found)
    few = len(size) < LEAST_FAMILIES or size.max() > len(found) / LEAST_FAMILIES
    return np.arange(len(found)) if few else found
