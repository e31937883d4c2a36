"""Copies the monitoring store into one SQLite file, from SQLite or PostgreSQL, and that file back
into a PostgreSQL: one moment of it, whoever writes meanwhile, and no program beside this one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from routing_ml.errors import InputError
from routing_ml.redaction import named
from routing_ml.settings import sqlite_path
from routing_ml.source import copy_sqlite
from routing_ml.store.database import Database, StoreError, StoreMissingError
from routing_ml.store.records import SCHEMA, TABLES, Records

BATCH_ROWS = 5_000
READ_SECONDS = 60
LOCK_SECONDS = 5
NUMBERED = tuple(table for table in TABLES for ddl in SCHEMA if f" {table} (id {{id}}" in ddl)
"""The tables whose rows the database numbers."""


def copy_out(url: str, target: Path) -> dict[str, int]:
    """Write the store at `url` to a file, a SQLite store; returns the rows of each table.

    Raises StoreMissingError where nothing was recorded yet, StoreError where it cannot be read
    whole.
    """
    if url.startswith("sqlite:"):
        path = Path(sqlite_path(url)).absolute()
        if not path.exists():
            raise StoreMissingError(
                f"there is no monitoring store {path} yet: the first retraining or prediction "
                "creates it"
            )
        try:
            copy_sqlite(path, target)
        except InputError as error:
            raise StoreError(f"the monitoring store {error}") from None
        return count_tables(target)
    with closing(Records(url, write=False)) as store:
        if not store.database.columns("facts"):
            raise StoreMissingError(f"there is no monitoring store in {named(url)} yet")
    with closing(Records(url)):  # brings an earlier release's tables forward
        pass
    with closing(Records(sqlite_url(target))) as copy, closing(Database(url, write=False)) as given:
        counts = _read_out(given, copy)
        copy.database.rows("PRAGMA journal_mode = DELETE")
    return counts


def copy_in(source: Path, url: str) -> None:
    """Put a copy in the place of all that the PostgreSQL store at `url` holds, in one transaction.

    Raises StoreError, and has then changed nothing, where it is in use or the copy is a newer
    release's.
    """
    with closing(Records(sqlite_url(source))) as copy:  # brings it forward
        copy.database.rows("PRAGMA journal_mode = DELETE")
        with closing(Records(url)) as store:
            store.database.rows(f"SET lock_timeout = '{LOCK_SECONDS}s'")
            with store.transaction():
                for table in TABLES:
                    _fill(store.database, copy.database, table)


def count_tables(path: Path) -> dict[str, int]:
    """The rows of each table of a copy, after SQLite has looked through all of it; StoreError where
    it is damaged."""
    address = f"file:{quote(str(path))}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(address, uri=True)) as copy:
            ((said,),) = copy.execute("PRAGMA integrity_check(1)").fetchall()
            if said != "ok":
                raise sqlite3.DatabaseError(said)
            names = copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            tables = [name for name in TABLES if (name,) in names]
            counts = {name: f"SELECT COUNT(*) FROM {name}" for name in tables}
            return {name: copy.execute(sql).fetchone()[0] for name, sql in counts.items()}
    except sqlite3.Error as error:
        raise StoreError(
            f"{path} is no whole copy of the monitoring store: {error}; take another one"
        ) from None


def require_free(url: str) -> None:
    """See that nobody writes to the store; StoreError where somebody does.

    Of SQLite all that is in its log goes into its file. One that is missing or damaged is free.
    """
    if not url.startswith("sqlite:"):
        return  # `copy_in` takes the writers' lock
    path = Path(sqlite_path(url)).absolute()
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None)) as store:
            store.execute("BEGIN IMMEDIATE")
            store.execute("ROLLBACK")
            store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        if "locked" in str(error) or "busy" in str(error):
            raise StoreError(
                f"another process writes to the monitoring store {path}: run again when that has "
                "ended"
            ) from None


def sqlite_url(path: Path) -> str:
    """The URL of a store in a file."""
    return "sqlite:///" + quote(str(path.absolute()))


def _read_out(given: Database, copy: Records) -> dict[str, int]:
    """Copy every table of PostgreSQL as it is at one moment."""
    counts = {}
    given.rows("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    given.rows(f"SET LOCAL statement_timeout = '{READ_SECONDS}s'")
    with copy.transaction():
        for table in TABLES:
            columns = [
                name for name in copy.database.columns(table) if name in given.columns(table)
            ]
            copy.database.run(f"DELETE FROM {table}")
            seen = 0
            for rows in _rows(given, table, columns):
                copy.database.run_many(_insert(table, columns), rows)
                seen += len(rows)
            ((expected,),) = given.rows(f"SELECT COUNT(*) FROM {table}")
            if seen != expected:
                raise StoreError(
                    f"the monitoring store gave {seen} rows of {table} where it counts {expected}: "
                    "run again"
                )
            counts[table] = seen
        for table in NUMBERED:
            _number(given, copy.database, table)
    given.rows("COMMIT")
    return counts


def _rows(given: Database, table: str, columns: Sequence[str]) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a table in the order of its columns, a batch at a time."""
    listed = ", ".join(columns)
    if not given.is_sqlite:
        given.rows(
            f"DECLARE rows NO SCROLL CURSOR FOR SELECT {listed} FROM {table} ORDER BY {listed}"
        )
        while rows := given.rows(f"FETCH {BATCH_ROWS} FROM rows"):
            yield rows
        given.rows("CLOSE rows")
        return
    last = 0
    while rows := given.rows(
        f"SELECT rowid, {listed} FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT ?",
        (last, BATCH_ROWS),
    ):
        last = rows[-1][0]
        yield [row[1:] for row in rows]


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def _number(given: Database, copy: Database, table: str) -> None:
    """Have the copy go on where PostgreSQL's numbers are: what was forgotten counts too."""
    ((name,),) = given.rows("SELECT pg_get_serial_sequence(?, 'id')", (table,))
    ((last, called),) = given.rows(f"SELECT last_value, is_called FROM {name}")
    copy.run("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
    if called:
        copy.run("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, last))


def _fill(store: Database, copy: Database, table: str) -> None:
    """Replace a table's rows in PostgreSQL by those of a copy."""
    columns = [name for name in store.columns(table) if name in copy.columns(table)]
    store.run(f"DELETE FROM {table}")
    own = " OVERRIDING SYSTEM VALUE" if table in NUMBERED else ""
    insert = _insert(table, columns).replace(") VALUES", f"){own} VALUES")
    for rows in _rows(copy, table, columns):
        store.run_many(insert, rows)
    if table in NUMBERED:
        found = copy.rows("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,))
        last = found[0][0] if found else 1
        store.rows(
            "SELECT setval(pg_get_serial_sequence(?, 'id'), ?, ?)", (table, last, bool(found))
        )
