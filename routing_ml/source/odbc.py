"""Reads tables through ODBC: a Microsoft Access file by its path, any other source by its
connection string. The traps of the MDBTools driver are dodged here and nowhere else.
"""

import ctypes
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyodbc

from routing_ml.errors import InputError

ACCESS_DRIVERS = ("Microsoft Access Driver (*.mdb, *.accdb)", "MDBTools")
ACCESS_SIGNATURES = (b"Standard Jet DB\x00", b"Standard ACE DB\x00")
JET3_VERSION = 0
BATCH_ROWS = 4_000
CONNECT_TIMEOUT_S = 15
# PostgreSQL's driver holds a whole result in memory unless it is told not to.
POSTGRESQL_OPTIONS = f";UseDeclareFetch=1;Fetch={BATCH_ROWS}"
# What SQLite's and PostgreSQL's drivers hand over as text though it is a number.
NUMBER_TYPES = re.compile(r"(?i)bool|decimal|numeric")
CONNECTION_STRING = re.compile(r"\s*[A-Za-z][\w -]*=")
SECRET = re.compile(
    r"(?i)(\b[^;={}]*(?:pwd|password|token|secret|key)[^;={}]*=)(\{(?:[^}]|\}\})*\}|[^;]*)"
)
URL_SECRET = re.compile(r"(://[^:/@]*:)(.*)(?=@)")


@dataclass(frozen=True)
class Selection:
    """What to read of a table: the ERP's column names, and a condition with its parameters."""

    table: str
    columns: tuple[str, ...]
    where: str = ""
    parameters: tuple[Any, ...] = ()


class Source:
    """An open ODBC source. A context manager: it closes its connection at the end."""

    def __init__(self, source: str) -> None:
        self.label = label(source)
        self._secrets = secrets(source)
        text = connection_string(source)
        self.is_mdbtools = "mdbtools" in text.lower()
        self._connection = self._connect(text)
        if self._info(pyodbc.SQL_DRIVER_NAME).lower().startswith("psqlodbc"):
            self._connection.close()
            self._connection = self._connect(text.rstrip("; ") + POSTGRESQL_OPTIONS)
        self.is_mdbtools = self._info(pyodbc.SQL_DBMS_NAME).upper().startswith("MDBTOOLS")
        if self.is_mdbtools:
            # Text as it comes, UTF-8, without the way through UTF-16: a fifth less time.
            self._connection.setdecoding(pyodbc.SQL_WCHAR, encoding="utf-8", ctype=pyodbc.SQL_CHAR)
        self._quote = self._info(pyodbc.SQL_IDENTIFIER_QUOTE_CHAR).strip(" \0") or '"'

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def table(self, name: str) -> str:
        """The table or view called `name`, in the source's own spelling of it."""
        schema, _, plain = name.rpartition(".")
        with self._calling("its tables cannot be listed"):
            rows = self._connection.cursor().tables(schema=schema or None).fetchall()
        if not rows and self.is_mdbtools:
            raise InputError(
                f"{self.label} has no tables: it is damaged or truncated; "
                "restore the file from a copy"
            )
        names = [row.table_name for row in rows if "SYSTEM" not in (row.table_type or "").upper()]
        found = spelled(plain, names)
        if found is None:
            have = ", ".join(sorted(set(names))[:8]) or "none"
            raise InputError(
                f"{self.label} has no table {name!r} (it has: {have}); "
                "name its tables in a columns file (ROUTING_ML_COLUMNS)"
            )
        return f"{schema}.{found}" if schema else found

    def types(self, table: str) -> dict[str, type]:
        """The columns of `table` in its order, each with the Python type its values come as."""
        schema, _, plain = table.rpartition(".")
        # Executing without fetching: MDBTools, which knows no such condition, reads no row for it.
        where = "" if self.is_mdbtools else " WHERE 1 = 0"
        cursor = self._execute(f"SELECT * FROM {self.from_(Selection(table, (), where))}")
        with self._calling(f"the columns of {table} cannot be listed"):
            # SQLite's driver lets garbage follow on names with umlauts, after a NUL.
            types = {column[0].partition("\0")[0]: column[1] for column in cursor.description}
            cursor.close()
            for row in self._connection.cursor().columns(table=plain, schema=schema or None):
                # The catalog takes the `_` of a name for a wildcard.
                if row.table_name == plain and types.get(row.column_name) is str:
                    types[row.column_name] = float if NUMBER_TYPES.match(row.type_name) else str
        return types

    def count(self, selection: Selection) -> int:
        """`COUNT(*)` of the selection. MDBTools returns it as text."""
        sql = f"SELECT COUNT(*) FROM {self.from_(selection)}"
        cursor = self._execute(sql, selection.parameters)
        with self._calling(f"table {selection.table} cannot be counted"):
            return int(cursor.fetchone()[0])

    def can_sort(self) -> bool:
        """Whether the driver understands ORDER BY and `?`; MDBTools understands neither."""
        return not self.is_mdbtools

    def batches(self, selection: Selection) -> Iterator[list[Any]]:
        """Rows in batches of BATCH_ROWS, `count(selection)` of them in all.

        Raises InputError when the source ends before its own count says, as a truncated Access
        file does without an error. After MDBTools has said that there is no more row it returns
        the last page's rows again, for ever, so that nothing is fetched past a short batch; at an
        end that falls on a full batch's it says so with an empty one.
        """
        expected = self.count(selection)
        columns = ", ".join(self.quoted(name) for name in selection.columns)
        sql = f"SELECT {columns} FROM {self.from_(selection)}"
        cursor = self._execute(sql, selection.parameters)
        seen = 0
        more = True
        while more:
            step = "correct the row in the ERP or restore the file"
            with self._calling(f"table {selection.table} cannot be read after row {seen}", step):
                rows = cursor.fetchmany(BATCH_ROWS)
            if rows:
                yield rows
            seen += len(rows)
            more = len(rows) == BATCH_ROWS
        cursor.close()
        if seen != expected and not self._changed(selection, expected, seen):
            raise InputError(
                f"{self.label}: table {selection.table} has {seen} rows where its header says "
                f"{expected}: the file is truncated or was changed while it was read; "
                "run again, or restore the file from a copy"
            )

    def sorted_values(self, selection: Selection, order: str) -> Iterator[Any]:
        """The first column of the selection, sorted by the source: `order` is an SQL term."""
        name = self.quoted(selection.columns[0])
        sql = f"SELECT {name} FROM {self.from_(selection)} ORDER BY {order}"
        for row in self.rows(sql, selection.parameters):
            yield row[0]

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Any]:
        """The rows of a query, of a source other than MDBTools."""
        cursor = self._execute(sql, parameters)
        with self._calling("it cannot be read"):
            while rows := cursor.fetchmany(BATCH_ROWS):
                yield from rows

    def quoted(self, name: str) -> str:
        """A column's name as an identifier of this source's SQL."""
        return f"{self._quote}{name.replace(self._quote, self._quote * 2)}{self._quote}"

    def from_(self, selection: Selection) -> str:
        """The selection's table and condition in this source's SQL."""
        return ".".join(map(self.quoted, selection.table.split("."))) + selection.where

    def _changed(self, selection: Selection, before: int, seen: int) -> bool:
        """Whether rows came or went while they were read, which files do not do."""
        if self.is_mdbtools:
            return False
        return min(before, after := self.count(selection)) <= seen <= max(before, after)

    def _connect(self, text: str) -> pyodbc.Connection:
        with self._calling("it cannot be opened"):
            return pyodbc.connect(text, autocommit=True, timeout=CONNECT_TIMEOUT_S)

    def _execute(self, sql: str, parameters: Sequence[Any] = ()) -> pyodbc.Cursor:
        with self._calling("it cannot be read"):
            return self._connection.cursor().execute(sql, *parameters)

    def _info(self, what: int) -> str:
        try:
            return str(self._connection.getinfo(what) or "")
        except pyodbc.Error:
            return ""

    @contextmanager
    def _calling(self, what: str, step: str = "") -> Iterator[None]:
        """Turns the driver's errors into one line, without the source's secrets."""
        try:
            with _quiet(self.is_mdbtools):
                yield
        except (pyodbc.Error, ValueError, TypeError) as error:
            reason = " ".join(str(error.args[-1] if error.args else error).split())
            for secret in self._secrets:
                reason = reason.replace(secret, "***")
            if self.is_mdbtools:
                step = step or "the file may be damaged or truncated: restore it from a copy"
            step = step or "check ROUTING_ML_SOURCE and that the driver it names is installed"
            raise InputError(f"{self.label}: {what} through ODBC: {reason}; {step}") from error


def connection_string(source: str) -> str:
    """The ODBC connection string of `source`: itself, or the one for an Access file's path.

    Raises InputError for a path that is no readable, whole Access file.
    """
    if CONNECTION_STRING.match(source):
        return source
    if "://" in source:
        raise InputError(
            f"{label(source)} is a URL; write an ODBC connection string instead, such as "
            "DRIVER={PostgreSQL Unicode};SERVER=...;DATABASE=...;UID=...;PWD=..."
        )
    path = Path(source).expanduser().absolute()
    _check_access_file(path)
    drivers = pyodbc.drivers()
    driver = next((name for name in ACCESS_DRIVERS if name in drivers), None)
    if driver is None:
        raise InputError(
            f"no ODBC driver for Microsoft Access is installed, which {path} needs; "
            "install Debian's odbc-mdbtools, or Microsoft's Access Database Engine on Windows"
        )
    if ";" in str(path):
        raise InputError(f"{path} has a ';' in it, which ends a path in ODBC; rename it")
    return f"DRIVER={{{driver}}};DBQ={path}"


def label(source: str) -> str:
    """`source` as it may be shown and logged: a connection string without its secrets.

    >>> label("DRIVER={PostgreSQL Unicode};SERVER=erp;UID=ml;PWD={a;b}")
    'DRIVER={PostgreSQL Unicode};SERVER=erp;UID=ml;PWD=***'
    """
    return SECRET.sub(r"\1***", URL_SECRET.sub(r"\1***", source))


def secrets(source: str) -> list[str]:
    """The secrets in a connection string, as written and without their braces, longest first."""
    found = {match[2] for pattern in (SECRET, URL_SECRET) for match in pattern.finditer(source)}
    found |= {text.strip("{}").replace("}}", "}") for text in found}
    return sorted(filter(None, found), key=len, reverse=True)


def _check_access_file(path: Path) -> None:
    restore = "check the path, or restore the file from a copy"
    try:
        with path.open("rb") as file:
            head = file.read(64)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError as error:
        raise InputError(
            f"{path} is not there; set ROUTING_ML_SOURCE or --source to an .accdb or .mdb file, "
            "or to an ODBC connection string"
        ) from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; {restore}") from error
    if size == 0:
        raise InputError(f"{path} is empty; {restore}")
    if head[4:20] not in ACCESS_SIGNATURES:
        raise InputError(f"{path} is no Microsoft Access database; {restore}")
    page = 2048 if head[20:21] == bytes([JET3_VERSION]) else 4096
    if size % page:
        raise InputError(
            f"{path} ends in the middle of a page ({size} bytes are no multiple of {page}): "
            f"it is truncated; {restore}"
        )


def spelled(name: str, names: Sequence[str]) -> str | None:
    """`name` among `names`: as written, else the only one that differs in case alone."""
    if name in names:
        return name
    alike = {other for other in names if other.casefold() == name.casefold()}
    return alike.pop() if len(alike) == 1 else None


@contextmanager
def _quiet(muted: bool) -> Iterator[None]:
    """Keeps what MDBTools prints of its own about a damaged file off both outputs: its lines come
    between a command's one line of error and in its JSON. For the calls of the driver only.
    """
    if not muted or not hasattr(os, "fork"):
        yield
        return
    kept = [(number, os.dup(number)) for number in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number, _ in kept:
            os.dup2(nowhere, number)
        yield
    finally:
        ctypes.CDLL(None).fflush(None)
        for number, copy in kept:
            os.dup2(copy, number)
            os.close(copy)
        os.close(nowhere)
