"""Lays the files of a backup out in a folder, and reads there again what was laid out."""

import os
from collections.abc import Sequence
from pathlib import Path

from routing_ml import files
from routing_ml.backup.blobs import Blobs, make_folder
from routing_ml.backup.manifest import Backup, File, Link
from routing_ml.errors import BackupError, InputError, RoutingError
from routing_ml.registry import Registry
from routing_ml.source import count_rows
from routing_ml.store import count_tables


def lay_out(
    blobs: Blobs, within: Path, contents: Sequence[File], links: Sequence[Link] = ()
) -> None:
    """Write files and symlinks under a folder, each file's hash checked on its way. BackupError
    where a content is damaged or the folder cannot be written."""
    with files.told_as(BackupError, f"{within} cannot be written"):
        for file in contents:
            target = within / file.path
            make_folder(target.parent)
            blobs.give(file.sha256, target)
            if file.changed_at is not None:
                os.utime(target, (file.changed_at, file.changed_at))
        for link in links:
            target = within / link.path
            make_folder(target.parent)
            target.symlink_to(link.target)


def read_again(backup: Backup, within: Path) -> dict[str, int]:
    """Hash and count what was laid out of a whole backup, as a second reader; returns how many
    files, bytes, rows and versions that were. BackupError where it is not what was copied."""
    try:
        found = {path.relative_to(within).as_posix(): path for path in _all(within)}
        _same_files(backup, found)
        return {
            "files": len(backup.files),
            "bytes": sum(path.stat().st_size for path in found.values() if not path.is_symlink()),
            "rows": _database_rows(backup, within),
            "records": _store_rows(backup, within),
            "versions": _versions(backup, within),
        }
    except BackupError:
        raise
    except RoutingError as error:
        raise BackupError(f"{backup.name} is no good: {error}") from None
    except OSError as error:
        raise BackupError(f"{backup.name} cannot be read again: {error}; run again") from None


def _same_files(backup: Backup, found: dict[str, Path]) -> None:
    for file in backup.files:
        path = found.pop(file.path, None)
        if path is None or path.is_symlink() or not path.is_file():
            raise _wrong(file.path, "was not restored")
        if path.stat().st_size != file.bytes or files.sha256(path) != file.sha256:
            raise _wrong(file.path, "came back with other bytes")
    for link in backup.links:
        path = found.pop(link.path, None)
        if path is None or not path.is_symlink() or str(path.readlink()) != link.target:
            raise _wrong(link.path, "came back as another symlink")
    if found:
        raise _wrong(min(found), "is in it and was never copied")


def _database_rows(backup: Backup, within: Path) -> int:
    total = 0
    for facts in backup.facts.get("database", {}).values():
        if "rows" in facts:
            rows = count_rows(within / facts["file"])
            if rows != facts["rows"]:
                raise _wrong(facts["file"], f"has {rows} rows, not {facts['rows']}")
            total += sum(rows.values())
    return total


def _store_rows(backup: Backup, within: Path) -> int:
    total = 0
    for file in backup.of("store"):
        tables = count_tables(within / file.path)
        if tables != backup.facts["store"]["tables"]:
            raise _wrong(file.path, f"has {tables} rows")
        total += sum(tables.values())
    return total


def _versions(backup: Backup, within: Path) -> int:
    """The registry as Routing ML itself finds it there: every version whole, the one in use, and
    all of the history."""
    facts = backup.facts.get("models", {})
    folder = within / "models"
    if not folder.is_dir():
        if facts.get("versions"):
            raise _wrong("models", "has no version")
        return 0
    registry = Registry(folder)
    versions = registry.kept()
    active = registry.active()
    for version in versions:
        version.verify()
    seen = ([version.name for version in versions], active and active.name)
    if seen != (facts.get("versions"), facts.get("active")):
        raise _wrong("models", f"has the versions {seen[0]}, {seen[1]} in use")
    if len(registry.history()) != facts.get("switches"):
        raise _wrong("models/history.jsonl", "has not all switches")
    return len(versions)


def _all(folder: Path) -> list[Path]:
    """All that is no folder under one, nothing behind a symlink."""
    found = []
    for path, folders, names in os.walk(folder):
        found += [Path(path, name) for name in names]
        found += [Path(path, name) for name in folders if Path(path, name).is_symlink()]
    return found


def _wrong(path: str, what: str) -> InputError:
    return InputError(f"{path} {what}; make a new one with 'routing-ml backup'")
