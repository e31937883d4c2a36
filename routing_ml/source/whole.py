"""Copies the file of a source as it was at one moment, whoever writes to it meanwhile."""

import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from routing_ml import files
from routing_ml.errors import InputError
from routing_ml.files import BLOCK_BYTES
from routing_ml.source.opening import read_settled

SQLITE = b"SQLite format 3\x00"
BUSY_S = 30.0


def copy_file(path: Path, target: Path) -> None:
    """Copy an Access or SQLite file to `target`, which is there, byte by byte.

    A file is copied when it is quiet. What SQLite has not yet put into its file, or writes all the
    time, comes by its backup, whose bytes may be others. InputError where neither can be.
    """
    files.require_plain(path)
    try:
        with path.open("rb") as file:
            is_sqlite = file.read(len(SQLITE)) == SQLITE
    except FileNotFoundError:
        raise InputError(
            f"{path} is not there; see that its disk or share is, or restore it with 'routing-ml "
            "restore --only database'"
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; see to its rights") from None
    if is_sqlite and _unfinished(path):
        copy_sqlite(path, target)
        return
    try:
        read_settled(str(path), lambda: _bytes(path, target))
    except InputError:
        if not is_sqlite:
            raise
        copy_sqlite(path, target)
        return
    if is_sqlite and _unfinished(path):  # it came after the look above
        copy_sqlite(path, target)


def copy_sqlite(path: Path, target: Path) -> None:
    """Copy a SQLite database as it is at one moment, by SQLite's backup, into one plain file.

    Raises InputError where it is locked for long, or damaged.
    """
    until = time.monotonic() + BUSY_S

    def waited(status: int, *_: int) -> None:
        if status not in (sqlite3.SQLITE_OK, sqlite3.SQLITE_DONE) and time.monotonic() > until:
            raise sqlite3.OperationalError("database is locked")

    try:
        with (
            closing(_read_only(path)) as source,
            closing(sqlite3.connect(target, isolation_level=None)) as copy,
        ):
            copy.execute("PRAGMA synchronous = OFF")  # it is synchronised when it is whole
            source.backup(copy, pages=-1, progress=waited)
            # One file: nothing is left in a log beside it, and none is needed to read it.
            copy.execute("PRAGMA journal_mode = DELETE")
            ((said,),) = copy.execute("PRAGMA integrity_check(1)").fetchall()
    except sqlite3.Error as error:
        raise InputError(f"{path} cannot be copied: {error}; restore it from a copy") from None
    if said != "ok":
        raise InputError(f"{path} is damaged: {said}; restore it from a copy")


def _read_only(path: Path) -> sqlite3.Connection:
    """As the store's reader: without a log there nobody writes, and the file alone is the truth."""
    address = f"file:{quote(str(path))}"
    connection = sqlite3.connect(f"{address}?mode=ro", uri=True, timeout=BUSY_S)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError:
        connection.close()
        if _unfinished(path):
            raise
        connection = sqlite3.connect(f"{address}?mode=ro&immutable=1", uri=True)
    return connection


def _unfinished(path: Path) -> bool:
    """Whether a part of a SQLite database is in a file beside it."""
    for suffix in ("-wal", "-journal"):
        with suppress(OSError):
            if path.with_name(path.name + suffix).stat().st_size:
                return True
    return False


def _bytes(path: Path, target: Path) -> None:
    """Copy what there is now; what cannot be written is an OSError: that is not the source's."""
    with target.open("wb") as to:
        try:
            with path.open("rb") as source:
                while block := _read(source, path):
                    to.write(block)
        except FileNotFoundError:  # it was replaced meanwhile
            raise InputError(
                f"{path} is not there any more; see that it is, then run again"
            ) from None


def _read(source: BinaryIO, path: Path) -> bytes:
    try:
        return source.read(BLOCK_BYTES)
    except OSError as error:  # a disk, or a share that went away
        raise InputError(f"{path} cannot be read: {error.strerror}; see to that disk") from None
