"""A proposal as one short text, as it is kept until a planner's own routing judges it, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from routing_ml.errors import InputError
from routing_ml.store import Proposed

COLUMNS = (
    *("PROC_SEQ", "JOB_CD", "RES_CD", "SETUP_TIME", "RUN_TIME", "RUN_TIME_LOW", "RUN_TIME_HIGH"),
    "RES_LIKELIHOOD",
)
TEXTS = ("JOB_CD", "RES_CD")


def kept(
    proposals: pd.DataFrame, *, model: str, method: str, in_use: bool, at: float
) -> Iterator[Proposed]:
    """The first routing of each item of `proposals` (as of `RoutingModel.predict`), made by a
    version `model` of a method at a moment in seconds since 1970."""
    if "RANK" in proposals:
        proposals = proposals[proposals["RANK"] == 1]
    columns = [proposals[name].to_numpy(object) for name in COLUMNS]
    rows = [[_plain(value) for value in row] for row in zip(*columns, strict=True)]
    codes = proposals["ITEM_CD"].to_numpy(object)
    changes = (np.flatnonzero(codes[1:] != codes[:-1]) + 1).tolist()
    bounds = [0, *changes, len(codes)] if len(codes) else []
    for start, end in pairwise(bounds):
        first = proposals.iloc[start]
        yield Proposed(
            item_cd=str(codes[start]),
            model=model,
            method=method,
            in_use=int(in_use),
            at=at,
            confidence=_plain(first["CONFIDENCE"]),
            novelty=_plain(first["NOVELTY"]),
            operations=json.dumps(rows[start:end], ensure_ascii=False, separators=(",", ":")),
            used_at=at if in_use else None,
        )


def operations_of(proposals: Iterable[Proposed]) -> pd.DataFrame:
    """The operations of kept proposals, one of an item each: ITEM_CD and COLUMNS.

    Raises InputError for a text that `kept` did not write.
    """
    codes: list[str] = []
    rows: list[list[Any]] = []
    for one in proposals:
        if (found := _rows(one.operations)) is None:
            raise InputError(
                f"the proposal of {one.model} for item {one.item_cd!r} in the monitoring store is "
                "damaged; put a copy back with 'routing-ml restore --only store'"
            )
        codes += [one.item_cd] * len(found)
        rows += found
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame.insert(0, "ITEM_CD", codes)
    for name in COLUMNS:
        frame[name] = frame[name].astype("str" if name in TEXTS else float)
    return frame


def is_whole(one: Proposed) -> bool:
    """Whether the text of a kept proposal is one that `kept` wrote."""
    return _rows(one.operations) is not None


def _rows(operations: str) -> list[list[Any]] | None:
    try:
        found = json.loads(operations)
        good = isinstance(found, list) and all(_is_row(row) for row in found)
    except (ValueError, TypeError, RecursionError):
        return None
    return found if good else None


def _is_row(row: Any) -> bool:
    """Whether it has a value for each of the COLUMNS, of its type or missing."""
    return (
        isinstance(row, list)
        and len(row) == len(COLUMNS)
        and all(
            value is None or isinstance(value, str if name in TEXTS else int | float)
            for name, value in zip(COLUMNS, row, strict=True)
        )
    )


def _plain(value: Any) -> Any:
    """A cell as JSON has it; a missing one is None, a number has no more digits than it needs."""
    if value is None or value is pd.NA or (isinstance(value, float) and not np.isfinite(value)):
        return None
    if isinstance(value, str):
        return value
    number = float(value)
    return int(number) if number == int(number) else round(number, 4)
