"""Copies the newest routings, the items and the work-order results of a source, as they were at one
moment, into typed Parquet files: a dataset.
"""

import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from routing_ml import files
from routing_ml.errors import InputError, SourceError
from routing_ml.settings import Origin
from routing_ml.source.columns import Columns
from routing_ml.source.opening import open_source, read_settled
from routing_ml.source.reading import Progress, TableReader
from routing_ml.source.spool import Spool

log = logging.getLogger(__name__)

DEFAULT_LIMIT = 100_000
FORMAT = 2


@dataclass(frozen=True)
class Extract:
    """A finished extract: its manifest's path, the rows of each table, all bytes, the seconds;
    `left_out` says of each column that could not be read (`role.COLUMN`) why."""

    path: Path
    rows: Mapping[str, int]
    bytes: int
    seconds: float
    left_out: Mapping[str, str]


def extract(
    source: str | Origin,
    out: Path,
    *,
    columns: Columns,
    as_of: datetime,
    limit: int = DEFAULT_LIMIT,
    progress: Progress = lambda table, rows: None,
) -> Extract:
    """Write the dataset of `source` as it was at `as_of` into the folder `out`.

    At most `limit` routing rows: the revisions entered last, each whole. Rows entered after
    `as_of` (naive, the ERP's local time) are left out; rows without an entry date count
    as the oldest. Equal rows give equal bytes, whatever the source and the order they came in.
    `progress` is called with a table's role and the rows read so far.

    Raises InputError for a source that cannot be read whole, and leaves `out` as it was.
    """
    if limit < 1:
        raise InputError(f"limit is {limit}, and at least 1 routing row is needed; raise it")
    origin = Origin(source) if isinstance(source, str) else source
    started = time.monotonic()
    name = f"training_dataset_{as_of.year:04}{as_of.month:02}"  # %Y does not fill up with zeros

    def read() -> dict:
        with (
            _workspace(out) as work,
            open_source(origin, work) as opened,
            # Arrow sorts and compresses one table without the interpreter's lock while the next
            # is read.
            ThreadPoolExecutor(max_workers=1) as background,
        ):
            written = {}
            attributes = columns.attributes
            for table in (columns.items, columns.routings, columns.results):
                if table is not None:
                    suffix = "" if table.role == "routings" else f"_{table.role}"
                    path = work / f"{name}{suffix}.parquet"
                    reader = TableReader(opened, table, attributes, as_of)
                    attributes = reader.attributes
                    spool, figures = reader.read(path.with_suffix(".arrow"), limit, progress)
                    written[table.role] = background.submit(_write, spool, path, figures)
            tables = {role: table.result() for role, table in written.items()}
            facts = {
                "format": FORMAT,
                "as_of": as_of.isoformat(),
                "limit": limit,
                "source": opened.label,
                "attributes": asdict(attributes),
                "columns": {
                    table.role: table.columns
                    for table in (columns.items, columns.routings, columns.results)
                    if table is not None
                },
                "dated": columns.routings.entered is not None,
                "accept": list(columns.accept),
            }
            return _publish(work, out, name, facts, tables)

    try:
        manifest = read_settled(origin.source, read)
    except MemoryError as error:
        raise SourceError(f"{out}: there is too little memory to read the source") from error
    left_out = {
        f"{role}.{column}": why
        for role, table in manifest["tables"].items()
        for column, why in table["left_out"].items()
    }
    for column, why in left_out.items():
        log.warning("column %s is left out: %s", column, why)
    return Extract(
        path=out / f"{name}.json",
        rows={role: table["rows"] for role, table in manifest["tables"].items()},
        bytes=sum(table["bytes"] for table in manifest["tables"].values()),
        seconds=time.monotonic() - started,
        left_out=left_out,
    )


def _write(spool: Spool, path: Path, figures: dict) -> dict:
    """Write what counts of a spool to `path`; the figures of the table."""
    rows = spool.write(path, spool.newest_revisions())
    spool.path.unlink()
    return figures | {"rows": rows, "file": path.name}


@contextmanager
def _workspace(out: Path) -> Iterator[Path]:
    """A folder in `out` for what is not finished; what a killed process left there goes first."""
    work = out / f".extract-{os.getpid()}"
    with files.told_as(InputError, f"dataset in {out} cannot be written"):
        try:
            out.mkdir(parents=True, exist_ok=True)
            for left in out.glob(".extract-*"):
                if left == work or not _is_running(left.name.rpartition("-")[2]):
                    shutil.rmtree(left, ignore_errors=True)
            work.mkdir()
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _is_running(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _publish(work: Path, out: Path, name: str, facts: dict, tables: dict) -> dict:
    """Move the finished files into `out`, the manifest that names their hashes last."""
    for table in tables.values():
        path = work / table["file"]
        table |= {"sha256": files.sha256(path), "bytes": path.stat().st_size}
    manifest = facts | {"tables": tables}
    text = json.dumps(manifest, indent=1, ensure_ascii=False)
    # All are written before the first is moved: a full disk stops it here or not at all.
    files.atomic_write(work / f"{name}.json", text + "\n")
    names = [*(table["file"] for table in tables.values()), f"{name}.json"]
    for file in names:
        files.fsync(work / file)
    for file in names:
        (work / file).replace(out / file)
    files.fsync(out)
    return manifest
