"""Reads a SQLite file by Python's own library, whose values are what the file holds.

Its ODBC driver was measured to cut whole numbers to 32 bits, to make 12 of '12abc', and to lose
what is no date.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from routing_ml.errors import SourceAwayError, SourceError
from routing_ml.source import types
from routing_ml.source.relation import Column
from routing_ml.source.sql import BATCH_ROWS, Cursor, SqlRelation, SqlSource

SIGNATURE = b"SQLite format 3\x00"
WAIT_S = 15


class Sqlite(SqlSource):
    """An open SQLite file; what it reads is one moment's, whoever writes meanwhile."""

    def __init__(self, path: Path, label: str) -> None:
        self.label = label
        with self._calling("it cannot be opened"):
            address = f"file:{quote(str(path))}?mode=ro"
            self._connection = sqlite3.connect(address, uri=True, timeout=WAIT_S)
            self._connection.isolation_level = None
            self._connection.execute("BEGIN")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Cursor:
        """Run a statement; InputError with SQLite's reason."""
        with self._calling("it cannot be read"):
            return self._connection.execute(sql, [_stored(value) for value in parameters])

    def fetch(self, cursor: Cursor, what: str) -> list[Any]:
        """The next rows."""
        with self._calling(f"{what} cannot be read"):
            return cursor.fetchmany(BATCH_ROWS)

    def tables(self) -> list[tuple[str, str]]:
        """The file's tables and views."""
        found = self.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
        return [
            ("", name) for (name,) in found.fetchmany(100_000) if not name.startswith("sqlite_")
        ]

    def describe(self, relation: SqlRelation) -> list[Column]:
        """The columns, by their declared types and, where these say nothing, their values."""
        view = self.quoted(f"columns of {relation.what}")
        self.execute(f"CREATE TEMP VIEW IF NOT EXISTS {view} AS SELECT * {relation.from_()}")
        listed = self.execute(f"PRAGMA temp.table_info({view})").fetchmany(10_000)
        # A view calls some columns otherwise, such as one named TRUE.
        named = self.execute(f"SELECT * {relation.from_('0')}").description
        columns = []
        for (name, *_), (_, _, declared, *_) in zip(named, listed, strict=True):
            kind = types.sqlite(declared, frozenset())
            stored = self._stored(relation, name) if kind == "text" else frozenset[str]()
            kind = types.sqlite(declared, stored) if stored else kind
            why = "" if kind else "its values are bytes or times of day"
            columns.append(Column(name, declared, kind, why))
        return columns

    def _stored(self, relation: SqlRelation, name: str) -> frozenset[str]:
        """The storage classes that a column's values have."""
        found = relation.rows(f"DISTINCT typeof({self.quoted(name)})")
        return frozenset(kind for (kind,) in found)

    @contextmanager
    def _calling(self, what: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            reason = " ".join(str(error).split())
            locked = "locked" in reason or "busy" in reason
            step = (
                "run again when its writer has ended"
                if locked
                else (
                    "check ROUTING_ML_SOURCE and the columns file, or restore the file from a copy"
                )
            )
            kind = SourceAwayError if locked else SourceError
            raise kind(f"{self.label}: {what}: {reason}; {step}") from error


def _stored(value: Any) -> Any:
    """A parameter as SQLite compares it: moments are text there."""
    return value.isoformat(sep=" ") if hasattr(value, "isoformat") else value
