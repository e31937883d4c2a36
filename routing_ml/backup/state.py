"""Copies the state folder: the store, the registry with its history, and the records of what was
read, run, proposed and told.
"""

from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from routing_ml import modes
from routing_ml.backup.blobs import TRIES
from routing_ml.backup.contents import Contents
from routing_ml.errors import InputError, ModelError
from routing_ml.registry import Registry, Version
from routing_ml.settings import Settings
from routing_ml.store import StoreMissingError, copy_out

RECORDS = tuple(name for name in modes.OURS if name != "models")
STORE = "store/store.db"
LOCK_SECONDS = 60.0


def copy_store(contents: Contents, settings: Settings, scratch: Path) -> None:
    """Copy the monitoring store as it is at one moment; nothing where nothing was recorded yet."""
    copied = scratch / "store.db"
    copied.unlink(missing_ok=True)
    try:
        contents.facts["tables"] = copy_out(settings.store_url, copied)
    except StoreMissingError:
        contents.facts["tables"] = None
        return
    contents.add(copied, STORE, made=True)
    copied.unlink()


def copy_models(contents: Contents, settings: Settings, scratch: Path) -> None:
    """Copy every finished version, the history and which one is in use, as they are at one moment.

    A version that is being written is none yet. One that is damaged is left out, and noted;
    ModelError where that is the one in use.
    """
    folder = settings.home / "models"
    if not folder.is_dir():
        contents.facts |= {"versions": [], "active": None, "switches": 0}
        return
    registry = Registry(folder)
    for _ in range(TRIES):
        contents.files.clear()
        contents.links.clear()
        contents.notes.clear()
        with registry.held():
            versions, damaged = registry.kept(), registry.damaged()
            active = registry.active()
            switches = len(registry.history())
            with suppress(FileNotFoundError):  # nothing was put into use yet
                contents.add(folder / "history.jsonl", "models/history.jsonl")
            if active is not None:
                contents.add_link(folder / "active", "models/active")
        try:
            copied = [v.name for v in versions if _copied(contents, folder, v, active)]
        except FileNotFoundError:  # pruned meanwhile: what there is now is another registry
            continue
        contents.notes += [f"left out: {why}" for why in damaged.values()]
        contents.facts |= {
            "versions": copied,
            "active": active.name if active else None,
            "switches": switches,
        }
        return
    raise ModelError(f"{folder} changed {TRIES} times while it was copied: run again")


def copy_records(contents: Contents, settings: Settings, scratch: Path) -> None:
    """Copy datasets, runs, proposals and notices; what is not whole yet is hidden, and left out."""
    for name in RECORDS:
        folder = settings.home / name
        if name == "datasets" and folder.is_dir():
            lock = FileLock(folder / ".lock", mode=modes.file_mode(folder), fallback_to_soft=False)
            try:
                with lock.acquire(timeout=LOCK_SECONDS):
                    contents.add_folder(folder, name)
            except Timeout:
                raise InputError(
                    f"{folder} is being written, for {LOCK_SECONDS:g} s by now; run again when "
                    "that has ended"
                ) from None
        else:
            contents.add_folder(folder, name)
        contents.facts[name] = sum(f.path.startswith(f"{name}/") for f in contents.files)


def _copied(contents: Contents, folder: Path, version: Version, active: Version | None) -> bool:
    """Copy one version, if it is what its manifest says; FileNotFoundError where it was pruned."""
    start = len(contents.files)
    inside = f"models/{version.folder.relative_to(folder).as_posix()}"

    contents.add(version.folder / "manifest.json", f"{inside}/manifest.json")
    for name, digest in sorted(version.manifest["files"].items()):
        path = version.folder / name
        try:
            file = contents.add(path, f"{inside}/{name}")
        except FileNotFoundError:
            if not version.folder.is_dir():
                raise
            found = None
        else:
            found = file.sha256
        if found == digest:
            continue
        why = "is missing" if found is None else "is not the file that was registered"
        said = f"{version.name}: {name} {why}"
        if active is not None and version.name == active.name:
            raise ModelError(
                f"{said}, and it is in use: put another version into use with 'routing-ml "
                "promote', or 'routing-ml restore --only models'"
            )
        del contents.files[start:]
        contents.notes.append(f"left out: {said}")
        return False
    return True
