"""Copies the tables of a source into the files of a dataset, which appear when all are whole."""

import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from routing_ml import files, modes
from routing_ml.errors import InputError
from routing_ml.settings import Origin
from routing_ml.source.columns import Columns
from routing_ml.source.opening import open_source
from routing_ml.source.reading import Progress, TableReader
from routing_ml.source.spool import Spool

FORMAT = 2


def copy(
    origin: Origin, out: Path, columns: Columns, as_of: datetime, limit: int, progress: Progress
) -> dict:
    """Write the dataset, whatever its source does meanwhile; the manifest."""
    name = name_of(as_of)
    tables = [t for t in (columns.items, columns.routings, columns.results) if t is not None]
    with (
        _workspace(out) as work,
        open_source(origin, work) as opened,
        # Arrow sorts and compresses one table without the interpreter's lock while the next is
        # read.
        ThreadPoolExecutor(max_workers=1) as background,
    ):
        written = {}
        attributes = columns.attributes
        for table in tables:
            suffix = "" if table.role == "routings" else f"_{table.role}"
            path = work / f"{name}{suffix}.parquet"
            reader = TableReader(opened, table, attributes, as_of)
            attributes = reader.attributes
            spool, figures = reader.read(path.with_suffix(".arrow"), limit, progress)
            written[table.role] = background.submit(_write, spool, path, figures)
        facts = {
            "format": FORMAT,
            "as_of": as_of.isoformat(),
            "limit": limit,
            "source": opened.label,
            "asked": columns.fingerprint,
            "attributes": asdict(attributes),
            "columns": {table.role: table.columns for table in tables},
            "dated": columns.routings.entered is not None,
            "accept": list(columns.accept),
        }
        done = {role: table.result() for role, table in written.items()}
        return _publish(work, out, name, facts, done)


def name_of(as_of: datetime) -> str:
    """The name of a dataset's files, without their ending."""
    return f"training_dataset_{as_of.year:04}{as_of.month:02}"  # %Y does not fill up with zeros


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
            work.mkdir(modes.FOLDER)
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
    mode = modes.file_mode(out)
    for file in names:
        (work / file).chmod(mode)
        files.fsync(work / file)
    for file in names:
        (work / file).replace(out / file)
    files.fsync(out)
    return manifest
