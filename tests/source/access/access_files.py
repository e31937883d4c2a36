"""What the tests of Access files share: the packed files, and all that is in a file."""

import atexit
import lzma
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from routing_ml.source.access import AccessFile

DATA = Path(__file__).resolve().parents[2] / "data" / "access"


@cache
def unpacked(name: str) -> Path:
    """One of the files of tests/data/access, without its .xz."""
    path = _folder() / Path(name).name
    path.write_bytes(lzma.decompress((DATA / f"{name}.xz").read_bytes()))
    return path


@cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="routing-ml-access-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def rows(path: Path, table: str, *names: str) -> list[dict[str, Any]]:
    """The rows of a table; of all columns that are read, unless some are named."""
    with AccessFile(path) as file:
        wanted = names or [column.name for column in file.columns(table) if column.kind]
        return [row for batch in file.batches(table, wanted) for row in batch.to_pylist()]


def column(path: Path, table: str, name: str) -> list[Any]:
    """The values of a column."""
    return [row[name] for row in rows(path, table, name)]


def everything(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of all tables."""
    with AccessFile(path) as file:
        return {name: rows(path, name) for name, kind in file.objects().items() if kind == "table"}
