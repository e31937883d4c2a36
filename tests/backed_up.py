"""A factory with something to lose: the state folder of a release, and its source."""

import hashlib
import os
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from conftest import SAMPLE

from routing_ml.settings import Settings

KEPT = Path(__file__).parent / "kept" / "state_2.1.0.tar.xz"
ACTIVE = "model_20261125_190932"
SOURCE = "공장 데이터;{a} 'x'.accdb"


def make(folder: Path, **more: str) -> Settings:
    """A state folder as a release left it, and the sample under such a name as people have."""
    filtered = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(KEPT) as archive:
        archive.extractall(folder / "home", **filtered)  # noqa: S202 - our own
    shutil.copyfile(SAMPLE, folder / SOURCE)
    return of(folder, **more)


def of(folder: Path, **more: str) -> Settings:
    """The settings of such a factory."""
    return Settings.from_env(environment(folder) | more)


def environment(folder: Path) -> dict[str, str]:
    return {"ROUTING_ML_HOME": str(folder / "home"), "ROUTING_ML_SOURCE": str(folder / SOURCE)}


def tree(folder: Path, *, but: tuple[str, ...] = ()) -> dict[str, str]:
    """Of each file and symlink under a folder its content; `but` are names at its top left out."""
    found = {}
    for path in below(folder):
        name = path.relative_to(folder)
        if name.parts[0] not in but and not name.name.endswith(".lock"):
            link = path.is_symlink()
            found[str(name)] = (
                f"-> {path.readlink()}" if link else hashlib.sha256(path.read_bytes()).hexdigest()
            )
    return found


def below(folder: Path) -> Iterator[Path]:
    for path, folders, names in os.walk(folder):
        yield from (Path(path, name) for name in names)
        yield from (Path(path, name) for name in folders if Path(path, name).is_symlink())


def state(home: Path) -> dict[str, str]:
    """Everything of a state folder that a backup has, but the store, whose bytes may differ."""
    mine = ("models", "runs", "datasets", "proposals", "outbox")
    found = {name: text for name, text in tree(home).items() if name.split("/")[0] in mine}
    return {name: text for name, text in found.items() if "/.trash/" not in name}


def rows(path: Path) -> dict[str, list[tuple]]:
    """All rows of a SQLite database, by table."""
    with closing(sqlite3.connect(path)) as database:
        names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            name: sorted(database.execute(f"SELECT * FROM {name}").fetchall(), key=repr)
            for (name,) in sorted(names)
        }
