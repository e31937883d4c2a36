"""Copies the files that the factory's sources are. A server is none: of that the newest dataset is
kept, with the records."""

from pathlib import Path

from routing_ml.backup.contents import Contents
from routing_ml.backup.manifest import Backup
from routing_ml.errors import InputError
from routing_ml.redaction import named
from routing_ml.settings import Settings
from routing_ml.source import copy_file, count_rows, file_of

NO_FILE = "it is no file but a server: the newest dataset is copied, with the records"


def copy_database(
    contents: Contents, settings: Settings, name: str, scratch: Path, last: Backup | None
) -> None:
    """Copy the file of a source while it is quiet, and count what is in it.

    InputError where it is not there, damaged, cut off, or written to all the time.
    """
    path = file_of(settings.source(name))
    facts: dict[str, object] = {"source": named(settings.source(name))}
    contents.facts[name] = facts
    if path is None:
        facts["note"] = NO_FILE
        return
    copied = scratch / "database"
    copied.unlink(missing_ok=True)
    copy_file(path, copied)
    file = contents.add(copied, f"database/{name}/{path.name}", made=True)
    # What was counted in the same bytes before need not be counted again: a verification will.
    before = (last.facts.get("database", {}) if last else {}).get(name, {})
    rows = before.get("rows") if before.get("sha256") == file.sha256 else None
    facts |= {
        "file": file.path,
        "path": str(path),
        "sha256": file.sha256,
        "changed_at": path.stat().st_mtime,
        "rows": rows or _counted(copied, path),
    }
    copied.unlink()


def _counted(copied: Path, path: Path) -> dict[str, int]:
    """The rows of a copy; what is wrong with it is wrong with the file that it is of."""
    try:
        return count_rows(copied)
    except InputError as error:
        raise InputError(str(error).replace(str(copied), str(path))) from None
