"""What every source offers: tables, or queries in their place, with columns of a known kind."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import pyarrow as pa

from routing_ml.errors import SourceError
from routing_ml.source.named import Table

Values: TypeAlias = pa.Array | Sequence[Any]
"""One column of a batch: Arrow in the column's own type, or what the driver gave for each row."""


@dataclass(frozen=True)
class Column:
    """A column as the source has it: `kind` is what its values are read as (`number`, `text` or
    `date`), None where no route to them has been proven, and `why` then says so.
    """

    name: str
    type_name: str
    kind: str | None
    why: str = ""


class Relation(Protocol):
    """A table of an open source, or a query in its place."""

    what: str

    def columns(self) -> list[Column]:
        """Its columns, in their order."""

    def batches(self, names: Sequence[str]) -> Iterator[list[Values]]:
        """All rows, a few thousand at a time: the named columns' values.

        Raises InputError when the source ends before its own count says.
        """


class Source(Protocol):
    """An open source; a context manager that closes it."""

    label: str

    def __enter__(self) -> "Source":
        """The source itself."""

    def __exit__(self, *_: object) -> None:
        """Close it."""

    def relation(self, table: Table) -> Relation:
        """The rows that the columns file means; SourceError where they are not there."""


def spelled(name: str, names: Sequence[str]) -> str | None:
    """`name` among `names`: as written, else the only one that differs in case alone."""
    if name in names:
        return name
    alike = {other for other in names if other.casefold() == name.casefold()}
    return alike.pop() if len(alike) == 1 else None


def no_table(label: str, name: str, have: Sequence[str]) -> SourceError:
    """The error for a table that a source does not have."""
    listed = ", ".join(sorted(set(have))[:8]) or "none"
    return SourceError(
        f"{label} has no table {name!r} (it has: {listed}); "
        "name its tables in a columns file (ROUTING_ML_COLUMNS)"
    )


def short(label: str, what: str, seen: int, expected: int) -> str:
    """What to say of a table whose rows are not as many as its own count."""
    return (
        f"{label}: {what} has {seen} rows where its header says {expected}: the file is "
        "truncated or was changed while it was read; run again, or restore the file from a copy"
    )
