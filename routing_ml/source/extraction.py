"""Copies the newest routings, the items and the work-order results of a source, as they were at one
moment, into typed Parquet files: a dataset.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from routing_ml.errors import InputError
from routing_ml.settings import Origin
from routing_ml.source import isolated
from routing_ml.source.columns import Columns
from routing_ml.source.copying import copy, name_of
from routing_ml.source.opening import file_of, read_settled
from routing_ml.source.reading import Progress

log = logging.getLogger(__name__)

DEFAULT_LIMIT = 100_000
EVERY_ROW = 1_000_000_000


@dataclass(frozen=True)
class Extract:
    """A finished extract: its manifest's path, the rows of each table, all bytes, the seconds;
    `left_out` says of each column that could not be read (`role.COLUMN`) why."""

    path: Path
    rows: Mapping[str, int]
    bytes: int
    seconds: float
    left_out: Mapping[str, str]


def extract(
    source: str | Origin,
    out: Path,
    *,
    columns: Columns,
    as_of: datetime,
    limit: int = DEFAULT_LIMIT,
    progress: Progress = lambda table, rows: None,
) -> Extract:
    """Write the dataset of `source` as it was at `as_of` into the folder `out`.

    At most `limit` routing rows: the revisions entered last, each whole. Rows entered after
    `as_of` (naive, the ERP's local time) are left out; rows without an entry date count
    as the oldest. Equal rows give equal bytes, whatever the source and the order they came in.
    `progress` is called with a table's role and the rows read so far.

    Raises InputError for a source that cannot be read whole, and leaves `out` as it was.
    """
    if limit < 1:
        raise InputError(f"limit is {limit}, and at least 1 routing row is needed; raise it")
    origin = Origin(source) if isinstance(source, str) else source
    started = time.monotonic()
    path = out / f"{name_of(as_of)}.json"
    if file_of(origin.source) is None:
        # A driver is code that may crash.
        manifest = isolated.copy(origin, out, columns, as_of, limit, progress)
    else:
        manifest = read_settled(
            origin.source, lambda: copy(origin, out, columns, as_of, limit, progress)
        )
    left_out = {
        f"{role}.{column}": why
        for role, table in manifest["tables"].items()
        for column, why in table["left_out"].items()
    }
    for column, why in left_out.items():
        log.warning("column %s is left out: %s", column, why)
    return Extract(
        path=path,
        rows={role: table["rows"] for role, table in manifest["tables"].items()},
        bytes=sum(table["bytes"] for table in manifest["tables"].values()),
        seconds=time.monotonic() - started,
        left_out=left_out,
    )
