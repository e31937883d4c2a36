"""Says what a restore would put where, and what is there now, before anything is touched."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from routing_ml import files
from routing_ml.backup.manifest import Backup, File
from routing_ml.backup.state import RECORDS, STORE
from routing_ml.redaction import named
from routing_ml.settings import DEFAULT_SOURCE, Settings, sqlite_path
from routing_ml.source import file_of

RESTORED = "restored"
"""The folder in the state folder for what has no place on this machine that is known."""
BESIDE_STORE = ("-wal", "-shm", "-journal")
UNCOPIED = (".lock", ".claims", ".trash", ".pending.json")


@dataclass(frozen=True)
class Step:
    """One file or folder to restore. `target` is where it goes, None for a PostgreSQL; `action` is
    `new`, `replace` (what is there is moved aside), `same` or `left`: the last two change nothing.
    """

    part: str
    inside: str
    target: Path | None
    action: str
    files: int
    bytes: int
    note: str = ""
    aside: Path | None = None
    """Where what is replaced goes."""

    @property
    def acts(self) -> bool:
        """Whether it changes anything."""
        return self.action in ("new", "replace")

    def as_dict(self) -> dict[str, Any]:
        """The step as JSON has it."""
        paths = {"target": self.target, "aside": self.aside}
        return asdict(self) | {key: str(path) if path else None for key, path in paths.items()}


def plan(
    backup: Backup,
    settings: Settings,
    parts: Sequence[str],
    *,
    elsewhere: bool,
    replace_database: bool,
) -> list[Step]:
    """Every step of a restore of these parts, in the order in which they are done.

    `elsewhere`: into a state folder that is not this machine's, and nothing outside of it.
    """
    found: list[Step] = []
    if "database" in parts:
        found += _database(backup, settings, elsewhere, replace_database)
    if "settings" in parts:
        found += _settings(backup, settings, elsewhere)
    folders = ["models"] if "models" in parts else []
    folders += RECORDS if "records" in parts else []
    for name in folders:
        if any(path.startswith(f"{name}/") for path in backup.paths):
            found.append(_folder(backup, name, settings.home / name))
    if "store" in parts and backup.of("store"):
        found.append(_store(backup, settings))
    return found


def _database(backup: Backup, settings: Settings, elsewhere: bool, replace: bool) -> Iterator[Step]:
    for name, facts in backup.facts.get("database", {}).items():
        file = next((f for f in backup.of("database") if f.path == facts.get("file")), None)
        if file is None:
            continue
        variable = "ROUTING_ML_SOURCE" + ("" if name == DEFAULT_SOURCE else f"_{name.upper()}")
        here = None if elsewhere or name not in settings.sources else file_of(settings.source(name))
        yield _outside(settings, file, here, variable, replace, facts.get("changed_at"))


def _settings(backup: Backup, settings: Settings, elsewhere: bool) -> Iterator[Step]:
    columns = backup.facts.get("settings", {}).get("columns", {})
    named_files = {one["file"]: name for name, one in columns.items()}
    for file in backup.of("settings"):
        if (name := named_files.get(file.path)) is not None:
            variable = "ROUTING_ML_COLUMNS" + ("" if name == DEFAULT_SOURCE else f"_{name.upper()}")
            here = None if elsewhere else settings.columns.get(name)
            yield _outside(settings, file, here, variable, False, None)
        else:
            yield _within(settings, file, "the settings that were set")


def _outside(
    settings: Settings,
    file: File,
    here: Path | None,
    variable: str,
    replace: bool,
    changed_at: float | None,
) -> Step:
    """A file that a setting names: put there where it is missing, else only when that was asked."""
    if here is not None and here.is_file() and variable in settings.given:
        if _holds(here, file):
            return Step(file.part, file.path, here, "same", 1, file.bytes)
        if replace:
            return Step(file.part, file.path, here, "replace", 1, file.bytes)
        ages = f"the one there is of {_day(here.stat().st_mtime)}"
        ages += f", the backup's of {_day(changed_at)}" if changed_at else ""
        how = "--replace-database puts the backup's there" if changed_at else "move it away"
        note = f"another file is there, and stays: {ages}; {how}"
        return Step(file.part, file.path, here, "left", 1, file.bytes, note)
    # A symlink that leads nowhere stays: what it leads to may be a share that is away.
    is_free = here is not None and not os.path.lexists(here) and os.access(here.parent, os.W_OK)
    if variable in settings.given and is_free:
        return Step(file.part, file.path, here, "new", 1, file.bytes, f"is where {variable} says")
    why = f", for {here} cannot be written now" if variable in settings.given and here else ""
    return _within(settings, file, f"set {variable} to it, or put it in its place{why}")


def _within(settings: Settings, file: File, note: str) -> Step:
    target = settings.home / RESTORED / file.path
    action = "same" if _holds(target, file) else "replace" if os.path.lexists(target) else "new"
    return Step(file.part, file.path, target, action, 1, file.bytes, note)


def _folder(backup: Backup, name: str, target: Path) -> Step:
    """A folder as a whole: what is there now goes aside as a whole too."""
    kept = {f.path: f for f in backup.files if f.path.startswith(f"{name}/")}
    links = {k.path: k.target for k in backup.links if k.path.startswith(f"{name}/")}
    part, size = ("models" if name == "models" else "records"), sum(f.bytes for f in kept.values())
    if not os.path.lexists(target):
        return Step(part, name, target, "new", len(kept) + len(links), size)
    if name == "outbox":  # else people would hear again of old things, and never of new ones
        note = "the one there is stays: what was told since, and what waits, is in it alone"
        return Step(part, name, target, "left", len(kept), size, note)
    there = {f"{name}/{path}": target / path for path in _names(target)}
    same = {
        inside
        for inside, path in there.items()
        if (path.is_symlink() and links.get(inside) == str(path.readlink()))
        or (not path.is_symlink() and inside in kept and _holds(path, kept[inside]))
    }
    both = kept.keys() | links.keys()
    new, gone = both - there.keys(), there.keys() - both
    changed = (both & there.keys()) - same
    if not (new or gone or changed):
        return Step(part, name, target, "same", len(both), size)
    note = f"{len(same)} as they are, {len(new)} missing now, {len(changed)} others now, "
    note += f"{len(gone)} that the backup has not"
    return Step(part, name, target, "replace", len(both), size, note)


def _store(backup: Backup, settings: Settings) -> Step:
    (file,) = backup.of("store")
    rows = sum(backup.facts["store"]["tables"].values())
    note = f"{rows:,} rows"
    if not settings.store_url.startswith("sqlite:"):
        note += f" into {named(settings.store_url)}"
        return Step("store", STORE, None, "replace", 1, file.bytes, note)
    target = Path(sqlite_path(settings.store_url)).absolute()
    logs = [target.with_name(target.name + suffix) for suffix in BESIDE_STORE]
    if target.is_file() and not any(map(os.path.lexists, logs)) and _holds(target, file):
        return Step("store", STORE, target, "same", 1, file.bytes, note)
    action = "replace" if os.path.lexists(target) else "new"
    return Step("store", STORE, target, action, 1, file.bytes, note)


def _names(folder: Path) -> Iterator[str]:
    """The relative paths of all that a copy of a folder would have."""
    for path, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in UNCOPIED]
        links = [name for name in folders if Path(path, name).is_symlink()]
        for name in (*names, *links):
            if name not in UNCOPIED:
                yield Path(path, name).relative_to(folder).as_posix()


def _holds(path: Path, file: File) -> bool:
    try:
        is_alike = path.is_file() and path.stat().st_size == file.bytes  # a pipe would never end
        return is_alike and files.sha256(path) == file.sha256
    except OSError:  # what cannot be read is not what was copied
        return False


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"
