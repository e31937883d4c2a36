"""Opens a source, whatever it is, and notices when a file changes while it is read."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from routing_ml import files
from routing_ml.errors import InputError, SourceAwayError, SourceError, SourceMissingError
from routing_ml.redaction import named
from routing_ml.settings import BASE, Origin, expanded, is_connection_string
from routing_ml.source.connection import keywords
from routing_ml.source.reach import is_gone
from routing_ml.source.relation import Source

SETTLED_S = 0.5
"""A file is read when nothing was written to it for so long: a copy in progress writes steadily."""
WAIT_S = 30.0
TRIES = 3

Found = TypeVar("Found")
State = tuple[int, ...]


def open_source(origin: Origin, scratch: Path) -> Source:
    """The open source that `origin` names: an Access or SQLite file by its path, or any by ODBC.

    `scratch` is a folder for what queries on an Access file need. Raises InputError.
    """
    source = origin.source
    from routing_ml.source.sqlite import SIGNATURE, Sqlite

    path = file_of(source)
    if path is not None:
        if _begins_with(path, SIGNATURE, origin.given_by):
            return Sqlite(path, named(source))
        from routing_ml.source.tables import AccessSource

        return AccessSource(path, scratch)
    if "://" in source and not is_connection_string(source):  # whose password may hold it
        raise SourceError(
            f"{named(source)} is a URL; write an ODBC connection string instead, such as "
            "DRIVER={PostgreSQL Unicode};SERVER=...;DATABASE=...;UID=...;PWD=..."
        )
    from routing_ml.source.odbc import Odbc

    opened = Odbc(source, origin.zone)
    # A data source name may stand for a file.
    if opened.driver in ("sqlite", "mdbtools"):
        database = opened.database
        opened.close()
        return open_source(replace(origin, source=database), scratch)
    return opened


def file_of(source: str) -> Path | None:
    """The file that a source is, None for a server or a data source name.

    A connection string that names SQLite's driver or MDBTools names a file, which is read without
    them: they read too many values wrong. Microsoft's own Access driver is used as it is.
    """
    if not is_connection_string(source):
        return None if "://" in source else BASE / expanded(source)
    given = keywords(source)
    driver = given.get("driver", "").lower()
    if "sqlite" in driver or "mdbtools" in driver:
        name = given.get("dbq") or given.get("database")
        if not name:
            raise SourceError(f"{named(source)} names no file; write DATABASE=/path/to/the/file")
        return BASE / expanded(name)
    return None


def labels_of(source: str) -> set[str]:
    """What the manifests of datasets of this source may call it; it need not be there."""
    path = file_of(source)
    return {named(source)} | ({str(path), named(str(path))} if path else set())


def read_settled(source: str, read: Callable[[], Found]) -> Found:
    """What `read` makes of a source, once its file did not change meanwhile.

    A file is left alone until nothing has been written to it for a while, and read again when its
    size or times are others afterwards. Raises SourceAwayError when it changes each time.
    """
    path = file_of(source)
    if path is None:
        return read()
    for _ in range(TRIES):
        before = _settled(path)
        try:
            found = read()
        except InputError:
            if _state(path) == before:
                raise
            continue
        if _state(path) == before:
            return found
    raise SourceAwayError(
        f"{path} is being written: it changed {TRIES} times while it was read; run again when "
        "that has ended, or read a copy of it"
    )


def _settled(path: Path) -> State:
    """The state of a file once it has been the same for SETTLED_S."""
    end = time.monotonic() + WAIT_S
    while True:
        state = _state(path)
        # One from the future was written by a clock that was ahead: not to be waited for.
        if not state or not 0 <= time.time_ns() - state[-1] < SETTLED_S * 1e9:
            return state
        if time.monotonic() > end:
            raise SourceAwayError(
                f"{path} is being written, for {WAIT_S:g} s by now; run again when that has "
                "ended, or read a copy of it"
            )
        time.sleep(SETTLED_S / 5)


def _state(path: Path) -> State:
    """What differs after a file was written to or replaced; empty where there is none.

    The time of the last change of the file itself comes last: nobody sets it by hand.
    """
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _begins_with(path: Path, signature: bytes, given_by: str) -> bool:
    restore = "check the path, or restore the file from a copy"
    files.require_plain(path)
    try:
        with path.open("rb") as file:
            return os.read(file.fileno(), len(signature)) == signature
    except FileNotFoundError:  # whose path may be an address with a password
        raise SourceMissingError(
            f"{named(str(path))} is not there; set {given_by} to an .accdb or .mdb file, "
            "or to an ODBC connection string"
        ) from None
    except OSError as error:
        shown = named(str(path))
        if is_gone(error):
            raise SourceAwayError(
                f"{shown} cannot be reached: {error.strerror}; see that its share is mounted and "
                "that nobody holds it locked"
            ) from None
        raise SourceError(f"{shown} cannot be read: {error.strerror}; {restore}") from None
