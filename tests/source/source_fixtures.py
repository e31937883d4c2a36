"""A source opened as the extraction opens it."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from routing_ml.settings import Origin
from routing_ml.source.named import Table
from routing_ml.source.opening import open_source
from routing_ml.source.relation import Relation, Source

SEOUL = ZoneInfo("Asia/Seoul")


@contextmanager
def opened(source: str, zone: ZoneInfo = SEOUL) -> Iterator[Source]:
    with (
        tempfile.TemporaryDirectory() as scratch,
        open_source(Origin(source, zone=zone), Path(scratch)) as it,
    ):
        yield it


def table(name: str = "", query: str = "", where: str = "") -> Table:
    return Table("items", name, {}, {}, (), query=query, where=where)


def rows(relation: Relation, names: Sequence[str] | None = None) -> list[tuple[Any, ...]]:
    """All rows of a relation; by default its readable columns."""
    names = names or [column.name for column in relation.columns() if column.kind]
    found = []
    for values in relation.batches(names):
        listed = [v.to_pylist() if isinstance(v, pa.Array) else v for v in values]
        found += list(zip(*listed, strict=True))
    return found
