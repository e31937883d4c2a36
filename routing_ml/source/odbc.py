"""Reads tables of a database through ODBC, by its connection string. What each driver gets wrong is
dodged here and in `types`, and nowhere else.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from zoneinfo import ZoneInfo

import pyodbc

from routing_ml.errors import InputError, SourceAwayError
from routing_ml.redaction import named, redact
from routing_ml.source import typed, types
from routing_ml.source.reach import is_silent
from routing_ml.source.relation import Column
from routing_ml.source.sql import BATCH_ROWS, Cursor, SqlRelation, SqlSource, refused

CONNECT_TIMEOUT_S = 15
# PostgreSQL's driver holds a whole result in memory unless it is told not to, and cuts texts.
POSTGRESQL_OPTIONS = (
    f";UseDeclareFetch=1;Fetch={BATCH_ROWS}"
    ";MaxVarcharSize=100000000;MaxLongVarcharSize=100000000;UnknownSizes=2"
)
SYSTEM_SCHEMAS = ("information_schema", "pg_catalog", "pg_toast", "sys")
# What drivers nobody has tried here hand over as text though it is a number.
NUMBER_TYPES = re.compile(r"(?i)bool|decimal|numeric")
PRECISION = re.compile(r"\s*\(.*\)")


def driver_of(connection: pyodbc.Connection) -> str:
    """`postgresql`, `sql server`, `access`, `sqlite`, `mdbtools`, or the driver's own name."""
    name = _info(connection, pyodbc.SQL_DRIVER_NAME).lower()
    dbms = _info(connection, pyodbc.SQL_DBMS_NAME).lower()
    if name.startswith("psqlodbc") or "postgres" in dbms:
        return "postgresql"
    for part, known in (
        ("sqlite", "sqlite"),
        ("mdbtools", "mdbtools"),
        ("microsoft sql server", "sql server"),
        ("access", "access"),
        ("aceodbc", "access"),
    ):
        if part in name or part in dbms:
            return known
    return dbms or name


class Odbc(SqlSource):
    """An open ODBC source; moments with a zone are read as the wall clock of `zone`."""

    def __init__(self, source: str, zone: ZoneInfo) -> None:
        self.label = named(source)
        self.zone = zone
        self._source = source
        self._connection = self._connect(source)
        self.driver = driver_of(self._connection)
        if self.driver == "postgresql":
            self._connection.close()
            self._connection = self._connect(source.rstrip("; ") + POSTGRESQL_OPTIONS)
        quote = _info(self._connection, pyodbc.SQL_IDENTIFIER_QUOTE_CHAR).strip(" \0")
        self._open, self._close = ("[", "]") if quote == "[" else (quote or '"', quote or '"')

    @property
    def database(self) -> str:
        """The name of the database, the path of a file."""
        return _info(self._connection, pyodbc.SQL_DATABASE_NAME)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Cursor:
        """Run a statement; InputError with the driver's reason."""
        with self._calling("it cannot be read", "check what the columns file asks it for"):
            return self._connection.cursor().execute(sql, *parameters)

    def fetch(self, cursor: Cursor, what: str) -> list[Any]:
        """The next rows."""
        with self._calling(f"{what} cannot be read", "correct the row in the ERP"):
            return cursor.fetchmany(BATCH_ROWS)

    def quoted(self, name: str) -> str:
        """A name as an identifier of this source's SQL."""
        return self._open + name.replace(self._close, self._close * 2) + self._close

    def tables(self) -> list[tuple[str, str]]:
        """Schema and name of each table and view that is no system table."""
        with self._calling("its tables cannot be listed"):
            rows = self._connection.cursor().tables().fetchall()
        return [
            (row.table_schem or "", row.table_name)
            for row in rows
            if "SYSTEM" not in (row.table_type or "").upper()
            and (row.table_schem or "").lower() not in SYSTEM_SCHEMAS
        ]

    def located(self, name: str, schemas: list[str], schema: str) -> str:
        """A table's name in SQL; one that PostgreSQL would not look for is told with its schema."""
        found = super().located(name, schemas, schema)
        if self.driver == "postgresql" and not schema:
            visible = self.execute("SELECT to_regclass(?) IS NOT NULL", [self.quoted(name)])
            if self.fetch(visible, name)[0][0] not in (True, 1, "1", "t"):
                raise refused(
                    self.label,
                    f"table {name!r} cannot be read by its name alone",
                    f"it is in schema {schemas[0]!r}, outside the search path",
                    f'write table = "{schemas[0]}.{name}" in the columns file',
                )
        return found

    def describe(self, relation: SqlRelation) -> list[Column]:
        """The columns and what each is read as, by the driver's list of types."""
        if self.driver == "postgresql":
            return self._listed(self._postgresql(relation), types.POSTGRESQL)
        if self.driver == "sql server":
            return self._listed(self._sql_server(relation), types.SQL_SERVER)
        described = self._described(relation)
        if self.driver == "access":
            named = self._catalog(relation)
            found = [(name, named.get(name, "")) for name, _ in described]
            return self._listed(found, types.MICROSOFT_ACCESS)
        named = self._catalog(relation)
        columns = []
        for name, kind in described:
            written = named.get(name, "")
            taken = typed.kind_of(kind)
            if taken == "text" and NUMBER_TYPES.match(written):
                taken = "number"
            why = "" if taken else f"{written or kind.__name__} is not read"
            columns.append(Column(name, written or kind.__name__, taken, why))
        return columns

    def term(self, column: Column) -> str:
        """The SQL term that reads a column by its type's route."""
        if self.driver != "postgresql":
            return self.quoted(column.name)
        route = types.POSTGRESQL[column.type_name]
        return route.sql.format(column=self.quoted(column.name), zone=self.zone.key)

    def decoded(self, column: Column, values: Sequence[Any]) -> Sequence[Any]:
        """Digits that came as text, as numbers."""
        if self.driver == "postgresql" and types.POSTGRESQL[column.type_name].as_text:
            return [None if value is None else float(value) for value in values]
        return values

    def _listed(
        self, found: Sequence[tuple[str, str]], routes: Mapping[str, types.Route]
    ) -> list[Column]:
        columns = []
        for name, written in found:
            route = routes.get(PRECISION.sub("", written)) or routes.get(written.upper())
            why = "" if route else f"values of type {written or 'unknown'} are not read"
            columns.append(Column(name, written, route.kind if route else None, why))
        return columns

    def _described(self, relation: SqlRelation) -> list[tuple[str, type]]:
        """Name and Python type of each column, of a statement that gives no row."""
        cursor = self.execute(f"SELECT * {relation.from_('1 = 0')}")
        found = [(column[0].partition("\0")[0], column[1]) for column in cursor.description]
        cursor.close()
        return found

    def _postgresql(self, relation: SqlRelation) -> list[tuple[str, str]]:
        names = [name for name, _ in self._described(relation)]
        terms = ", ".join(f"CAST(pg_typeof(o.{self.quoted(name)}) AS text)" for name in names)
        # A row of NULLs, whose types are those of the columns, also of a query.
        sql = f"SELECT {terms} FROM (SELECT 1) AS one LEFT JOIN "  # noqa: S608 - names are quoted
        sql += f"(SELECT * {relation.from_('1 = 0')}) AS o ON true"
        (row,) = self.fetch(self.execute(sql), relation.what)
        return list(zip(names, row, strict=True))

    def _sql_server(self, relation: SqlRelation) -> list[tuple[str, str]]:
        sql = "SELECT name, system_type_name FROM sys.dm_exec_describe_first_result_set(?, NULL, 0)"
        cursor = self.execute(sql + " ORDER BY column_ordinal", [f"SELECT * {relation.from_()}"])
        return [(name, written or "") for name, written in self.fetch(cursor, relation.what)]

    def _catalog(self, relation: SqlRelation) -> dict[str, str]:
        """The type names of a table's columns; none of a query's."""
        *schema, plain = relation.name.strip(self._open + self._close).split(
            f"{self._close}.{self._open}"
        )
        with self._calling(f"the columns of {relation.what} cannot be listed"):
            listed = self._connection.cursor().columns(
                table=plain, schema=schema[0] if schema else None
            )
            # The catalog takes the `_` of a name for a wildcard.
            return {row.column_name: row.type_name for row in listed if row.table_name == plain}

    def _connect(self, text: str) -> pyodbc.Connection:
        with self._calling("it cannot be opened"):
            return pyodbc.connect(text, autocommit=True, timeout=CONNECT_TIMEOUT_S)

    @contextmanager
    def _calling(self, what: str, step: str = "") -> Iterator[None]:
        """Turns the driver's errors into one line, without the source's secrets."""
        try:
            yield
        except (pyodbc.Error, ValueError, TypeError) as error:
            reason = str(error.args[-1] if error.args else error)
            reason = redact(" ".join(reason.split()), self._source)
            if isinstance(error, pyodbc.Error) and is_silent(str(error.args[0]), reason):
                raise SourceAwayError(
                    f"{self.label}: it cannot be reached through ODBC: {reason}; see that the "
                    "server runs and that this machine gets through to it"
                ) from None
            step = step or "check ROUTING_ML_SOURCE and that the driver it names is installed"
            raise InputError(f"{self.label}: {what} through ODBC: {reason}; {step}") from None


def _info(connection: pyodbc.Connection, what: int) -> str:
    try:
        return str(connection.getinfo(what) or "")
    except pyodbc.Error:
        return ""
