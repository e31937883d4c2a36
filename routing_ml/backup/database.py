"""Copies the files that the factory's sources are. A server is none: of that the newest dataset is
kept, with the records."""

from pathlib import Path

from routing_ml.backup.contents import Contents
from routing_ml.backup.manifest import Backup
from routing_ml.redaction import named
from routing_ml.settings import Settings
from routing_ml.source import copy_file, count_rows, file_of

NO_FILE = "it is no file but a server: the newest dataset is copied, with the records"


def sources(settings: Settings) -> dict[str, Path | None]:
    """The file of each configured source by its name, None of one that is a server."""
    return {name: file_of(source) for name, source in sorted(settings.sources.items())}


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
    file = contents.add(copied, f"database/{name}/{path.name}")
    # What was counted in the same bytes before need not be counted again: a verification will.
    before = (last.facts.get("database", {}) if last else {}).get(name, {})
    rows = before.get("rows") if before.get("sha256") == file.sha256 else None
    facts |= {
        "file": file.path,
        "path": str(path),
        "sha256": file.sha256,
        "changed_at": path.stat().st_mtime,
        "rows": rows or count_rows(copied),
    }
    copied.unlink()
