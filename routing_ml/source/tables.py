"""An Access file as a source. A table is read as it is; a query, or a table narrowed by `where`, by
SQLite from a copy of the tables that it names, since there is no Access here to ask.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pyarrow as pa

from routing_ml.errors import SourceError
from routing_ml.source.access import AccessFile
from routing_ml.source.named import Table
from routing_ml.source.relation import Column, Relation, Values, no_table, spelled
from routing_ml.source.sqlite import Sqlite

NO_TABLE = re.compile(r"no such table: (?:main\.)?(.+)")
SQLITE_TYPES = {
    "number": "REAL",
    "whole number": "INTEGER",
    "text": "TEXT COLLATE NOCASE",  # as Access compares texts
    "date": "TIMESTAMP",
}
KINDS = {
    "linked table": "is a linked table, whose rows are in another database: point "
    "ROUTING_ML_SOURCE to that one, or make it a local table in Access",
    "query": 'is a saved query, which only Access can run: write it as query = "SELECT ..." in '
    "the columns file, or make a table of it in Access",
}


class AccessSource:
    """An open Access file."""

    def __init__(self, path: Path, scratch: Path) -> None:
        self.label = str(path)
        self._file = AccessFile(path)
        self._scratch = scratch
        self._queried: list[Sqlite] = []

    def __enter__(self) -> "AccessSource":
        self._file.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        for queried in self._queried:
            queried.close()
        self._file.__exit__(*error)

    def relation(self, table: Table) -> Relation:
        """The table, or the query, of the columns file."""
        if table.query or table.where:
            return self._query(table)
        return AccessTable(self._file, self._table(table.name))

    def _table(self, name: str) -> str:
        """The table called `name`, in the file's spelling."""
        objects = self._file.objects()
        if not objects:
            raise SourceError(
                f"{self.label} has no tables: it is damaged or truncated; "
                "restore the file from a copy"
            )
        found = spelled(name, list(objects))
        if found is None:
            raise no_table(self.label, name, list(objects))
        if (kind := objects[found]) != "table":
            raise SourceError(f"{self.label}: {found!r} {KINDS[kind]}")
        return found

    def _query(self, table: Table) -> Relation:
        """What SQLite makes of a query, over copies of the tables that it asks for."""
        path = self._scratch / f"{table.role}.sqlite"
        with closing(sqlite3.connect(path)) as copy:
            copied: set[str] = set()
            name = '"' + self._table(table.name).replace('"', '""') + '"' if table.name else ""
            asked = table.query or f"SELECT * FROM {name}"  # noqa: S608 - quoted
            where = f" WHERE ({table.where}\n)" if table.where else ""
            while True:
                try:
                    # The query is the columns file's, which is trusted (SECURITY.md).
                    copy.execute(f"EXPLAIN SELECT * FROM ({asked}\n) AS q{where}")  # noqa: S608
                    break
                except sqlite3.Error as error:
                    missing = NO_TABLE.search(str(error))
                    if missing is None or missing[1] in copied:
                        raise SourceError(
                            f"{self.label}: what [{table.role}] asks for is not understood by "
                            f"SQLite, which reads it: {error}; correct it in the columns file"
                        ) from error
                    copied.add(missing[1])
                    self._copied(missing[1], copy)
        self._queried.append(Sqlite(path, self.label))
        relation = self._queried[-1].relation(table)
        if table.name:
            columns = AccessTable(self._file, self._table(table.name)).columns()
            relation.unread = [column for column in columns if column.kind is None]
        return relation

    def _copied(self, name: str, copy: sqlite3.Connection) -> None:
        found = self._table(name)
        columns = [column for column in self._file.columns(found) if column.kind]
        quoted = ['"' + column.name.replace('"', '""') + '"' for column in columns]
        types = [SQLITE_TYPES[column.kind or ""] for column in columns]
        title = '"' + name.replace('"', '""') + '"'
        listed = ", ".join(f"{column} {kind}" for column, kind in zip(quoted, types, strict=True))
        copy.execute(f"CREATE TABLE {title} ({listed})")
        marks = ", ".join("?" * len(columns))
        insert = f"INSERT INTO {title} VALUES ({marks})"  # noqa: S608 - quoted
        for batch in self._file.batches(found, [column.name for column in columns]):
            copy.executemany(insert, zip(*map(_stored, batch.columns), strict=True))
        copy.commit()


class AccessTable:
    """A local table of an Access file."""

    def __init__(self, file: AccessFile, name: str) -> None:
        self._file, self._name = file, name
        self.what = f"table {name}"

    def columns(self) -> list[Column]:
        """Its columns, in the order that Access shows."""
        return [
            Column(c.name, c.type_name, "number" if c.kind == "whole number" else c.kind, c.why)
            for c in self._file.columns(self._name)
        ]

    def batches(self, names: Sequence[str]) -> Iterator[list[Values]]:
        """All rows, as Arrow arrays; see `AccessFile.batches`."""
        for batch in self._file.batches(self._name, names):
            yield batch.columns


def _stored(values: pa.Array) -> list[object]:
    """Values as SQLite stores them."""
    if pa.types.is_timestamp(values.type):
        return [value and value.isoformat(sep=" ") for value in values.to_pylist()]
    return values.to_pylist()
