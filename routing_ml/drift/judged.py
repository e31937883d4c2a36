"""Frames of judged items and their operations as rows that were looked at: what comes in a day."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from typing import NamedTuple

import pandas as pd

from routing_ml.errors import InputError

ITEM_COLUMNS = ("ITEM_CD", "family", "kind", "confidence", "novelty", "exact")
OPERATION_COLUMNS = (
    "ITEM_CD", "JOB_CD", "RES_CD", "outcome", "machine_right", "run_log", "setup_log",
)  # fmt: skip
OUTCOMES = ("hit", "missing", "extra")


class Item(NamedTuple):
    """One row of `items`."""

    family: str
    kind: str | None
    confidence: float
    novelty: float
    exact: bool


class Operation(NamedTuple):
    """One row of `operations`; `right` None and minutes NaN where not known."""

    item: str
    job: str
    machine: str | None
    outcome: str
    right: bool | None
    run: float
    setup: float


def read_items(items: pd.DataFrame) -> dict[str, Item]:
    """Rows of `ITEM_CD`, `family`, `kind` (None where not known), `confidence` and `novelty` (in
    [0, 1]) and `exact` by their code; InputError where a value is none."""
    _has(items, ITEM_COLUMNS, "items")
    found = {}
    columns = [items[name].tolist() for name in ITEM_COLUMNS]
    for code, family, kind, confidence, novelty, exact in zip(*columns, strict=True):
        for name, share in (("confidence", confidence), ("novelty", novelty)):
            if not 0 <= share <= 1:
                raise InputError(
                    f"{name} of item {code} is {share}: it must lie in [0, 1]; leave the item out"
                )
        known = None if _missing(kind) else str(kind)
        found[str(code)] = Item(str(family), known, float(confidence), float(novelty), bool(exact))
    if len(found) < len(items):
        raise InputError("an item is judged twice on one day: give each ITEM_CD one row")
    return found


def read_operations(operations: pd.DataFrame) -> list[Operation]:
    """Rows of `ITEM_CD`, `JOB_CD`, `RES_CD`, `outcome` (hit, missing or extra), `machine_right` and
    the log ratios `run_log` and `setup_log`; InputError for another outcome."""
    _has(operations, OPERATION_COLUMNS, "operations")
    found = []
    columns = [operations[name].tolist() for name in OPERATION_COLUMNS]
    for item, job, machine, outcome, right, run, setup in zip(*columns, strict=True):
        if outcome not in OUTCOMES:
            raise InputError(
                f"outcome {outcome!r} of item {item}: it must be one of {', '.join(OUTCOMES)}"
            )
        found.append(
            Operation(
                str(item),
                str(job),
                None if _missing(machine) else str(machine),
                outcome,
                None if _missing(right) else bool(right),
                math.nan if _missing(run) else float(run),
                math.nan if _missing(setup) else float(setup),
            )
        )
    return found


def _missing(value: Hashable) -> bool:
    return value is None or value is pd.NA or value != value


def _has(frame: pd.DataFrame, columns: Iterable[str], name: str) -> None:
    if lacking := [column for column in columns if column not in frame]:
        raise InputError(f"{name} lacks {', '.join(lacking)}: give a frame with all its columns")
