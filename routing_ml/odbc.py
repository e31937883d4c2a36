"""Reads tables through ODBC: a Microsoft Access file by its path, any other source by its
connection string. The traps of the MDBTools driver are dodged here and nowhere else.
"""

import os
import re
from collections.abc import Iterator, Sequence
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
        try:
            self._connection = pyodbc.connect(
                connection_string(source), autocommit=True, timeout=CONNECT_TIMEOUT_S
            )
        except pyodbc.Error as error:
            raise self._failed("cannot be opened", error) from error
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
        try:
            rows = self._connection.cursor().tables(schema=schema or None).fetchall()
        except pyodbc.Error as error:
            raise self._failed("cannot list its tables", error) from error
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
        names = ", ".join(self.quoted(name) for name in self._column_names(table)) or "*"
        # Executing without fetching: MDBTools reads no row for it.
        cursor = self._execute(f"SELECT {names} FROM {self.from_(Selection(table, ()))}")
        types = {column[0]: column[1] for column in cursor.description}
        cursor.close()
        return types

    def count(self, selection: Selection) -> int:
        """`COUNT(*)` of the selection. MDBTools returns it as text."""
        sql = f"SELECT COUNT(*) FROM {self.from_(selection)}"
        return int(self._execute(sql, selection.parameters).fetchone()[0])

    def can_sort(self) -> bool:
        """Whether the driver understands ORDER BY and `?`; MDBTools understands neither."""
        return not self.is_mdbtools

    def batches(self, selection: Selection) -> Iterator[list[Any]]:
        """Rows in batches of BATCH_ROWS, `count(selection)` of them in all.

        Raises InputError when the source ends before its own count says, as a truncated Access
        file does without an error. After the last row MDBTools returns the last page's rows
        again, for ever, so that nothing is fetched past a short batch or past the count.
        """
        expected = self.count(selection)
        columns = ", ".join(self.quoted(name) for name in selection.columns)
        sql = f"SELECT {columns} FROM {self.from_(selection)}"
        cursor = self._execute(sql, selection.parameters)
        seen = 0
        last: list[Any] = []
        while not (self.is_mdbtools and seen == expected):
            asked = min(BATCH_ROWS, expected - seen) if self.is_mdbtools else BATCH_ROWS
            try:
                rows = cursor.fetchmany(asked)
            except (pyodbc.Error, ValueError, UnicodeDecodeError) as error:
                raise InputError(
                    f"{self.label}: table {selection.table} cannot be read after row {seen}: "
                    f"{_reason(error)}; correct the row in the ERP or restore the file"
                ) from error
            if self.is_mdbtools and _repeats(last, rows):
                break
            if rows:
                yield rows
            seen += len(rows)
            last = rows
            if len(rows) < asked:
                break
        cursor.close()
        if seen != expected:
            raise InputError(
                f"{self.label}: table {selection.table} has {seen} rows where its header says "
                f"{expected}: the file is truncated or was changed while it was read; "
                "run again, or restore the file from a copy"
            )

    def sorted_values(self, selection: Selection, order: str) -> Iterator[Any]:
        """The first column of the selection, sorted by the source: `order` is an SQL term."""
        name = self.quoted(selection.columns[0])
        sql = f"SELECT {name} FROM {self.from_(selection)} ORDER BY {order}"
        cursor = self._execute(sql, selection.parameters)
        while rows := cursor.fetchmany(BATCH_ROWS):
            yield from (row[0] for row in rows)

    def quoted(self, name: str) -> str:
        """A column's name as an identifier of this source's SQL."""
        return f"{self._quote}{name.replace(self._quote, self._quote * 2)}{self._quote}"

    def from_(self, selection: Selection) -> str:
        """The selection's table and condition in this source's SQL."""
        return ".".join(map(self.quoted, selection.table.split("."))) + selection.where

    def _column_names(self, table: str) -> list[str]:
        schema, _, plain = table.rpartition(".")
        rows = self._connection.cursor().columns(table=plain, schema=schema or None).fetchall()
        return [row.column_name for row in rows]

    def _execute(self, sql: str, parameters: Sequence[Any] = ()) -> pyodbc.Cursor:
        try:
            return self._connection.cursor().execute(sql, *parameters)
        except pyodbc.Error as error:
            raise self._failed("cannot be read", error) from error

    def _info(self, what: int) -> str:
        try:
            return str(self._connection.getinfo(what) or "")
        except pyodbc.Error:
            return ""

    def _failed(self, what: str, error: Exception) -> InputError:
        return InputError(
            f"{self.label} {what} through ODBC: {_reason(error)}; "
            "check ROUTING_ML_SOURCE and that the driver it names is installed"
        )


def connection_string(source: str) -> str:
    """The ODBC connection string of `source`: itself, or the one for an Access file's path.

    Raises InputError for a path that is no readable, whole Access file.
    """
    if "=" in source and not Path(source).exists():
        return source
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
    secret = r"(?i)\b([^;=]*(?:pwd|password|token|secret|key)[^;=]*)=(\{(?:[^}]|\}\})*\}|[^;]*)"
    return re.sub(secret, r"\1=***", source)


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


def _repeats(last: list[Any], rows: list[Any]) -> bool:
    """Whether `rows` only says the end of `last` again and again, as MDBTools does at an end
    that falls on the end of a batch.
    """
    if not last or not rows or rows[0] not in last:
        return False
    page = last[last.index(rows[0]) :]
    return len(rows) >= 3 * len(page) and rows[: 3 * len(page)] == page * 3


def _reason(error: Exception) -> str:
    text = " ".join(str(error.args[-1] if error.args else error).split())
    return re.sub(r"(?i)(pwd|password)=[^;)]*", r"\1=***", text)
