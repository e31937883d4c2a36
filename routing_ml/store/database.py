"""Opens a database from its URL, SQLite or PostgreSQL, so that one set of SQL statements runs on
both, one writer at a time, with no password in any message.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from routing_ml import modes
from routing_ml.errors import RoutingError
from routing_ml.redaction import named, redact
from routing_ml.settings import checked, sqlite_path

WRITE_WAIT_SECONDS = 30.0
READ_WAIT_SECONDS = 0.1
CONNECT_SECONDS = 2  # libpq takes nothing shorter
# An arbitrary number that all writers of this product share: pg_advisory_xact_lock's key.
WRITER_LOCK = 7_203_114


class StoreError(RoutingError):
    """The monitoring store cannot be read or written."""


class StoreMissingError(StoreError):
    """The monitoring store is not there yet: nothing has been recorded."""


class Database:
    """One connection; `?` marks parameters on both kinds."""

    def __init__(self, url: str, *, write: bool) -> None:
        """Open `url`: `sqlite:///relative`, `sqlite:////absolute` or `postgresql://...`.

        A reader opens nothing that is not there, changes nothing and waits briefly. Raises
        SettingError for a URL of another kind, StoreError when it cannot be opened.
        """
        self.url = checked(url)
        self.write = write
        self.is_sqlite = url.startswith("sqlite:")
        self._connection: Any
        if self.is_sqlite:
            self.errors: tuple[type[Exception], ...] = (sqlite3.Error, OSError)
        else:
            import psycopg  # here, since it takes 13 MB that a SQLite store need not pay for

            self.errors = (psycopg.Error, OSError)
        with self._told("open"):
            self._connection = self._open_sqlite() if self.is_sqlite else self._open_postgresql()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of the block; writers queue, so ids are committed in their order."""
        with self._told("write" if self.write else "read"):
            if not self.is_sqlite:
                with self._connection.transaction():
                    if self.write:
                        self._connection.execute(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")
                    yield
                return
            # A plain BEGIN that reads and then writes fails at once when another writer came
            # between (150,000 times in 4 s with four writers); IMMEDIATE waits its turn.
            self._connection.execute("BEGIN IMMEDIATE" if self.write else "BEGIN")
            try:
                yield
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows, empty when it has none."""
        with self._told("read"):
            cursor = self._connection.execute(self._marked(sql), parameters)
            return cursor.fetchall() if cursor.description else []

    def columns(self, table: str) -> list[str]:
        """The columns of a table, none of one that is not there."""
        if self.is_sqlite:
            found = self.rows("SELECT name FROM pragma_table_info(?)", (table,))
        else:
            found = self.rows(
                "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(?)"
                " AND attnum > 0 AND NOT attisdropped",
                (table,),
            )
        return [name for (name,) in found]

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement; returns the number of rows it changed."""
        with self._told("write"):
            return int(self._connection.execute(self._marked(sql), parameters).rowcount)

    def run_many(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each row of parameters."""
        with self._told("write"):
            cursor = self._connection.cursor()
            cursor.executemany(self._marked(sql), parameters)
            cursor.close()

    def shut(self) -> None:
        """Cut a PostgreSQL connection from another thread; whoever waits on it gets an error."""
        if not self.is_sqlite:
            import socket

            try:
                with socket.socket(fileno=os.dup(self._connection.fileno())) as link:
                    link.shutdown(socket.SHUT_RDWR)
            except self.errors:
                pass  # it was closed meanwhile, which is what was asked

    def close(self) -> None:
        """Close the connection; nothing can be run afterwards."""
        self._connection.close()

    def _open_sqlite(self) -> sqlite3.Connection:
        path = Path(sqlite_path(self.url)).absolute()
        if self.write:
            _kept_from_others(path)
            connection = sqlite3.connect(path, timeout=WRITE_WAIT_SECONDS, isolation_level=None)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            return connection
        if not path.exists():
            raise FileNotFoundError("there is no such file")
        try:
            return _read_only(path, "mode=ro")
        except sqlite3.OperationalError:
            # Reading a WAL database needs a small file beside it, which a full or read-only disk
            # refuses. With no log there, nobody writes, and the file alone is the truth.
            log = path.with_name(path.name + "-wal")
            if log.exists() and log.stat().st_size:
                raise
            return _read_only(path, "mode=ro&immutable=1")

    def _open_postgresql(self) -> Any:
        import psycopg

        statement_ms = int((WRITE_WAIT_SECONDS if self.write else 5) * 1000)
        return psycopg.connect(
            self.url,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            options=f"-c statement_timeout={statement_ms} -c timezone=UTC"
            + ("" if self.write else " -c default_transaction_read_only=on"),
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=2,
            tcp_user_timeout=10_000,
        )

    def _marked(self, sql: str) -> str:
        return sql if self.is_sqlite else sql.replace("?", "%s")

    @contextmanager
    def _told(self, verb: str) -> Iterator[None]:
        try:
            yield
        except self.errors as error:
            kind = StoreMissingError if _is_missing(error) else StoreError
            raise kind(
                f"cannot {verb} the monitoring store {named(self.url)}: "
                f"{_reason(error, self.url)}; {_next_step(error, self.is_sqlite)}"
            ) from None


def _kept_from_others(path: Path) -> None:
    """Make the file, for SQLite gives those beside it the same mode; in a folder that everybody may
    read it is still for nobody else."""
    if not path.parent.is_dir():
        modes.make_folder(path.parent)
    if not path.exists():
        with suppress(FileExistsError):
            modes.make_file(path)
    for suffix in ("", "-wal", "-shm"):
        modes.tighten(path.with_name(path.name + suffix))


def _read_only(path: Path, how: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?{how}",
        uri=True,
        timeout=READ_WAIT_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("SELECT count(*) FROM sqlite_master")
    except BaseException:
        connection.close()
        raise
    return connection


def _reason(error: Exception, url: str) -> str:
    # libpq names the whole connection string in some of its messages.
    text = str(error) or type(error).__name__
    return redact(" ".join(text.split()), url)[:300].rstrip(".")


def _is_missing(error: Exception) -> bool:
    undefined_table = getattr(error, "sqlstate", None) == "42P01"
    return isinstance(error, FileNotFoundError) or undefined_table or "no such table" in str(error)


def _next_step(error: Exception, is_sqlite: bool) -> str:
    text = str(error)
    if _is_missing(error):
        return "the first retraining or prediction creates it"
    if not is_sqlite:
        return "see that PostgreSQL runs there and lets this user in"
    if "locked" in text or "busy" in text:
        return "another process holds it; try again when that has ended"
    if "malformed" in text or "not a database" in text:
        return "put a copy back with 'routing-ml restore --only store'"
    if "full" in text or "No space" in text:
        return "free some space there"
    return "see that the file exists and that this user may read and write it and its folder"
