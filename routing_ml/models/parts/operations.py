"""A routing as a set of operations: which ones occur, in which order, under which numbers.

An operation is a job and its occurrence: the second washing of an item is another operation than
the first, so repeats survive. The order is decided pair by pair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from routing_ml import dataset
from routing_ml.errors import ModelError
from routing_ml.models.storage import Stored

MIN_ITEMS = 3  # an operation must occur in to be learned
MAX_OPERATIONS = 500  # the commonest; memory and time grow with them: 5,784 took over 6 GB


@dataclass(frozen=True)
class Operation:
    """The `occurrence`-th (from 0) time of a job in a routing; `name` is its usual JOB_NM."""

    job: str
    occurrence: int
    name: str


@dataclass(frozen=True)
class Rows:
    """Routing rows as numbers, in routing order: `item` and `operation` index the two lists;
    `whole` (items,) bool: none of the item's rows were left out; `entered` (items,): the day of
    each routing's newest row, counted from 1970, NaN where unknown."""

    codes: list[str]
    operations: list[Operation]
    item: np.ndarray
    operation: np.ndarray
    table: pd.DataFrame
    whole: np.ndarray
    entered: np.ndarray

    @property
    def present(self) -> np.ndarray:
        """(items, operations) uint8: does the item have the operation."""
        present = np.zeros((len(self.codes), len(self.operations)), np.uint8)
        present[self.item, self.operation] = 1
        return present

    def at(self, items: np.ndarray) -> Rows:
        """The rows of these items alone, which are numbered anew in the order given."""
        place = np.full(len(self.codes), -1)
        place[items] = np.arange(len(items))
        kept = np.flatnonzero(place[self.item] >= 0)
        kept = kept[np.argsort(place[self.item[kept]], kind="stable")]
        return Rows(
            [self.codes[i] for i in items.tolist()],
            self.operations,
            place[self.item[kept]],
            self.operation[kept],
            self.table.iloc[kept].reset_index(drop=True),
            self.whole[items],
            self.entered[items],
        )


def read(routings: pd.DataFrame, codes: list[str]) -> Rows:
    """The routings of the items `codes`; operations are numbered by how common they are.

    Columns of times that are not there are NaN.
    """
    table = routings[dataset.among(routings["ITEM_CD"], codes)]
    table = table.sort_values(["ITEM_CD", "PROC_SEQ"], kind="stable", ignore_index=True)
    jobs = table["JOB_CD"].astype("str").fillna("").str.strip()
    unknown = {name: np.nan for name in ("SETUP_TIME", "RUN_TIME") if name not in table}
    table = table.assign(JOB_CD=jobs, **unknown)
    occurrence = table.groupby(["ITEM_CD", "JOB_CD"], sort=False).cumcount()
    names = table["JOB_NM"] if "JOB_NM" in table else pd.Series(np.nan, table.index, dtype="str")
    common = _commonest(jobs, names)
    counts = pd.Series(1, table.index).groupby([jobs, occurrence]).size()
    keys = sorted(counts.index, key=lambda key: (-counts[key], key))
    operations = [Operation(job, int(k), common.get(job, "")) for job, k in keys]
    at = {key: i for i, key in enumerate(keys)}
    operation = np.array([at[key] for key in zip(jobs, occurrence, strict=True)], np.int64)
    place = {code: i for i, code in enumerate(codes)}
    item = table["ITEM_CD"].map(place).to_numpy(np.int64)
    # items in the order of `codes`, each item's operations in routing order
    order = np.argsort(item, kind="stable")
    table, item, operation = table.iloc[order].reset_index(drop=True), item[order], operation[order]
    whole = np.ones(len(codes), bool)
    return Rows(codes, operations, item, operation, table, whole, _entered(table, codes))


def frequent(rows: Rows) -> Rows:
    """The rows of operations that MIN_ITEMS items have, at most the MAX_OPERATIONS commonest.

    Every item stays, be it without rows. ModelError when no operation is frequent enough.
    """
    counts = np.bincount(rows.operation, minlength=len(rows.operations))
    size = min(int((counts >= MIN_ITEMS).sum()), MAX_OPERATIONS)  # they are numbered by count
    if not size:
        raise ModelError(
            f"none of the {len(counts)} operations occurs in {MIN_ITEMS} items, so that there is "
            "nothing to learn: check that the columns file names the column of job codes"
        )
    kept = rows.operation < size
    whole = rows.whole.copy()
    whole[rows.item[~kept]] = False
    table = rows.table[kept].reset_index(drop=True)
    return Rows(
        rows.codes, rows.operations[:size], rows.item[kept], rows.operation[kept], table, whole,
        rows.entered,
    )  # fmt: skip


def days(moments: pd.Series) -> np.ndarray:
    """Days since 1970 of dates (n,), NaN where there is none."""
    moments = pd.to_datetime(moments).astype("datetime64[us]")
    found = moments.to_numpy().astype("int64") / 86_400e6
    return np.where(moments.isna(), np.nan, found)


def _entered(table: pd.DataFrame, codes: list[str]) -> np.ndarray:
    if "INSRT_DT" not in table:
        return np.full(len(codes), np.nan)
    return days(table.groupby("ITEM_CD")["INSRT_DT"].max().reindex(codes))


def further(routings: pd.DataFrame | None, rows: Rows) -> Rows | None:
    """More routings of the items of `rows`, each revision of an alternative as an item of its own
    under the same code; whole where `rows` know all their operations. None without any."""
    if routings is None or routings.empty:
        return None
    keys = [name for name in ("ITEM_CD", "ALT_NO", "ROUT_NO") if name in routings]
    known = routings[dataset.among(routings["ITEM_CD"], rows.codes)]
    if known.empty:
        return None
    number = known.groupby(keys, dropna=False, sort=True).ngroup().to_numpy()
    codes = known.groupby(keys, dropna=False, sort=True)["ITEM_CD"].first().tolist()
    names = [str(k) for k in range(len(codes))]
    every = read(known.assign(ITEM_CD=pd.Series(number, known.index).map(str)), names)
    at = {(o.job, o.occurrence): k for k, o in enumerate(rows.operations)}
    place = np.array([at.get((o.job, o.occurrence), -1) for o in every.operations], np.int64)
    operation = place[every.operation]
    whole = np.ones(len(codes), bool)
    whole[every.item[operation < 0]] = False
    kept = operation >= 0
    return Rows(
        codes, rows.operations, every.item[kept], operation[kept],
        every.table[kept].reset_index(drop=True), whole, every.entered,
    )  # fmt: skip


def decide(likely: np.ndarray, known: list[Operation]) -> np.ndarray:
    """Which operations to propose: (m, L) bool. At least one; no second time without a first."""
    present = likely >= 0.5
    if likely.shape[1]:
        empty = ~present.any(axis=1)
        present[empty, likely[empty].argmax(axis=1)] = True
    return with_earlier(present, repeats(known))


def repeats(known: Sequence[Operation]) -> np.ndarray:
    """(R, 2): the numbers of each operation that repeats a job and of the time before it, those
    that repeat it most often first."""
    at = {(o.job, o.occurrence): i for i, o in enumerate(known)}
    pairs = [
        (i, at[job, occurrence - 1])
        for (job, occurrence), i in sorted(at.items(), key=lambda entry: -entry[0][1])
        if (job, occurrence - 1) in at
    ]
    return np.array(pairs, np.int64).reshape(-1, 2)


def with_earlier(present: np.ndarray, repeated: np.ndarray) -> np.ndarray:
    """`present` (m, L), changed: with each operation the earlier times of its job (`repeats`)."""
    for later, earlier in repeated.tolist():
        present[:, earlier] |= present[:, later]
    return present


def facts(operations: list[Operation]) -> list[dict[str, Any]]:
    """JSON-able; the inverse of `from_stored`."""
    return [vars(operation) for operation in operations]


def from_stored(stored: Stored) -> list[Operation]:
    """The operations of a stored model."""
    fields = {"job": str, "occurrence": int, "name": str}
    records = stored.records("operations", fields)
    found = [Operation(**{name: record[name] for name in fields}) for record in records]
    if len({(o.job, o.occurrence) for o in found}) < len(found):
        stored.refuse("operations", "repeats an entry")
    if any(type(o.occurrence) is not int or o.occurrence < 0 for o in found):
        stored.refuse("operations", "has an occurrence below 0")
    return found


def _commonest(keys: pd.Series, values: pd.Series) -> dict[str, str]:
    """The commonest filled value of each key; the first in order where two tie."""
    filled = values.notna()
    counts = Counter(zip(keys[filled], values[filled].astype(str), strict=True))
    best: dict[str, tuple[int, str]] = {}
    for (key, value), count in counts.items():
        best[key] = min(best.get(key, (1, "")), (-count, value))
    return {key: value for key, (_, value) in best.items()}


@dataclass(frozen=True)
class Numbering:
    """PROC_SEQ of the k-th operation: `start + k * step`, the commonest of the fitted routings."""

    start: int
    step: int

    @classmethod
    def fit(cls, rows: Rows) -> Numbering:
        """10, 20, 30 where there is nothing to learn from."""
        sequence = rows.table["PROC_SEQ"].to_numpy(np.int64)
        same = rows.item[1:] == rows.item[:-1]
        steps = np.diff(sequence)[same]
        firsts = sequence[np.r_[True, ~same]] if len(sequence) else sequence
        step = _mode(steps[steps > 0], 10)
        return cls(_mode(firsts, step), step)

    def numbers(self, count: int) -> np.ndarray:
        """The first `count` sequence numbers."""
        return self.start + self.step * np.arange(count)


def _mode(values: np.ndarray, default: int) -> int:
    if not len(values):
        return default
    found, counts = np.unique(values, return_counts=True)
    return int(found[counts.argmax()])
