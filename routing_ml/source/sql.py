"""What the sources that understand SQL share: relations, their rows, their order."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from routing_ml.errors import InputError, SourceError
from routing_ml.source.named import Table
from routing_ml.source.relation import Column, Values, no_table, short, spelled

BATCH_ROWS = 4_000


class Cursor(Protocol):
    """The part of the DB-API (PEP 249) that is used."""

    @property
    def description(self) -> Any:
        """Name and type of each column."""

    def fetchmany(self, size: int = 1, /) -> list[Any]:
        """Some rows."""

    def close(self) -> None:
        """No more rows are wanted."""


class SqlSource(ABC):
    """An open source that understands SQL."""

    label: str

    def __enter__(self) -> "SqlSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""

    @abstractmethod
    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Cursor:
        """Run a statement; InputError with the source's reason."""

    @abstractmethod
    def fetch(self, cursor: Cursor, what: str) -> list[Any]:
        """The next BATCH_ROWS rows of `what`; fewer at its end."""

    @abstractmethod
    def tables(self) -> list[tuple[str, str]]:
        """Schema ('' for none) and name of each table and view."""

    @abstractmethod
    def describe(self, relation: "SqlRelation") -> list[Column]:
        """The columns of a relation."""

    def term(self, column: Column) -> str:
        """The SQL term that reads a column."""
        return self.quoted(column.name)

    def decoded(self, column: Column, values: Sequence[Any]) -> Sequence[Any]:
        """A column's values as they are meant."""
        return values

    def quoted(self, name: str) -> str:
        """A name as an identifier of this source's SQL."""
        return '"' + name.replace('"', '""') + '"'

    def relation(self, table: Table) -> "SqlRelation":
        """The table or query of the columns file, narrowed by its `where`."""
        if table.query:
            return SqlRelation(
                self, f"the query of [{table.role}]", f"({table.query})", table.where
            )
        tables = self.tables()
        schema, _, plain = table.name.rpartition(".")
        # A name may have a dot of its own.
        for wanted_schema, wanted in (("", table.name), (schema, plain)):
            here = [(s, n) for s, n in tables if not wanted_schema or spelled(wanted_schema, [s])]
            if (found := spelled(wanted, list(dict.fromkeys(n for _, n in here)))) is not None:
                schemas = [s for s, n in here if n == found]
                name = self.located(found, schemas, wanted_schema)
                return SqlRelation(self, f"table {table.name}", name, table.where)
        raise no_table(self.label, table.name, [name for _, name in tables])

    def located(self, name: str, schemas: list[str], schema: str) -> str:
        """A table's name in SQL, its schema before it where the columns file names one."""
        return ".".join(self.quoted(part) for part in (schema and schemas[0], name) if part)


class SqlRelation:
    """A table of a source that understands SQL, or a query in its place."""

    can_sort = True

    def __init__(self, source: SqlSource, what: str, name: str, where: str) -> None:
        self.source, self.what, self.name = source, what, name
        self._conditions = [f"({where})"] if where else []
        self._columns: dict[str, Column] | None = None

    def from_(self, condition: str = "") -> str:
        """FROM and WHERE, with one more condition."""
        conditions = [*self._conditions, *([condition] if condition else [])]
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return f"FROM {self.name} AS q{where}"

    def columns(self) -> list[Column]:
        """Its columns, in their order."""
        if self._columns is None:
            self._columns = {column.name: column for column in self.source.describe(self)}
        return list(self._columns.values())

    def quoted(self, name: str) -> str:
        """A column's name in the source's SQL."""
        return self.source.quoted(name)

    def count(self, condition: str = "", parameters: Sequence[Any] = ()) -> int:
        """How many rows it has."""
        cursor = self.source.execute(f"SELECT COUNT(*) {self.from_(condition)}", parameters)
        ((count,),) = self.source.fetch(cursor, self.what)
        return int(count)

    def batches(
        self, names: Sequence[str], condition: str = "", parameters: Sequence[Any] = ()
    ) -> Iterator[list[Values]]:
        """Rows in batches of BATCH_ROWS: the named columns' values.

        Raises InputError when they are fewer than the source's own count before and after.
        """
        self.columns()
        assert self._columns is not None
        columns = [self._columns[name] for name in names]
        before = self.count(condition, parameters)
        terms = ", ".join(map(self.source.term, columns))
        seen = 0
        for rows in self._fetched(f"SELECT {terms} {self.from_(condition)}", parameters):
            seen += len(rows)
            yield [
                self.source.decoded(column, values)
                for column, values in zip(columns, zip(*rows, strict=True), strict=True)
            ]
        if seen != before:
            # Rows come and go in a database that others write to; a file's do not.
            after = self.count(condition, parameters)
            if not min(before, after) <= seen <= max(before, after):
                raise InputError(short(self.source.label, self.what, seen, before))

    def rows(
        self, terms: str, condition: str = "", parameters: Sequence[Any] = (), order: str = ""
    ) -> Iterator[Any]:
        """Rows of any SQL terms."""
        for rows in self._fetched(f"SELECT {terms} {self.from_(condition)}{order}", parameters):
            yield from rows

    def _fetched(self, sql: str, parameters: Sequence[Any]) -> Iterator[list[Any]]:
        cursor = self.source.execute(sql, parameters)
        # Nothing is fetched past a batch that is not full.
        while rows := self.source.fetch(cursor, self.what):
            yield rows
            if len(rows) < BATCH_ROWS:
                break
        cursor.close()


def refused(label: str, what: str, reason: str, step: str) -> SourceError:
    """The error for a source that cannot be used as it is."""
    return SourceError(f"{label}: {what}: {reason}; {step}")
