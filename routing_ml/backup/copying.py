"""Copies everything into a new backup, part by part, while others go on writing: what is required
before what is optional, and one part that cannot be copied keeps no other from it.
"""

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import routing_ml
from routing_ml import files, modes
from routing_ml.backup import database, given, state
from routing_ml.backup.contents import Contents
from routing_ml.backup.manifest import NAME_TIME, Backup
from routing_ml.backup.vault import Vault
from routing_ml.errors import BackupError, RoutingError
from routing_ml.redaction import redact
from routing_ml.settings import Settings

Step = Callable[[Contents], None]


def copy(settings: Settings, *, now: datetime | None = None) -> Backup:
    """Make a backup, which nobody has verified yet.

    A part that cannot be copied is `missing`, and what the last verified backup has of it takes its
    place. Raises BackupError where the folder of backups cannot be written: then there is no new
    backup, and the older ones are what they were.
    """
    started = time.monotonic()
    vault = Vault(settings.backup_folder)
    for folder in (settings.home / name for name in modes.OURS):
        if vault.folder.resolve().is_relative_to(folder.resolve()):
            raise BackupError(
                f"backups in {vault.folder} would be copied into themselves: choose a folder "
                f"outside of {folder} with ROUTING_ML_BACKUPS"
            )
    with vault.locked():
        name = _free_name(vault, now or datetime.now(UTC))
        with files.told_as(BackupError, f"{vault.folder} cannot be written"):
            done, missing = _parts(settings, vault)
        backup = Backup(
            name=name,
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            home=os.path.realpath(settings.home),
            code_version=routing_ml.__version__,
            files=tuple(file for one in done for file in one.files),
            links=tuple(link for one in done for link in one.links),
            facts=_facts(done),
            missing=missing,
            notes=tuple(_said(note) for one in done for note in one.notes),
            new_bytes=sum(one.new_bytes for one in done),
            seconds=round(time.monotonic() - started, 3),
        )
        vault.put(backup)
    return backup


def _parts(settings: Settings, vault: Vault) -> tuple[list[Contents], dict[str, str]]:
    """What was copied of each part, and why what could not be was not."""
    last, scratch = vault.newest(settings.home), vault.room()
    done, missing = [], {}
    for what, prefix, step in _steps(settings, scratch, last):
        part = what.partition(" ")[0]
        contents = Contents(part, vault.blobs)
        try:
            step(contents)
        except BackupError:
            raise
        except RoutingError as error:
            missing[what] = _said(str(error), *settings.sources.values(), settings.store_url)
            contents = _carried(part, prefix, last, vault)
        done.append(contents)
    return done, missing


def _steps(
    settings: Settings, scratch: Path, last: Backup | None
) -> Iterator[tuple[str, str, Step]]:
    """Each thing to copy: what it is called, where it is in a backup, and how it is copied."""
    for name in sorted(settings.sources):
        step = partial(
            database.copy_database, settings=settings, name=name, scratch=scratch, last=last
        )
        yield f"database {name}", f"database/{name}/", step
    yield "store", "store/", partial(state.copy_store, settings=settings, scratch=scratch)
    yield "models", "models/", partial(state.copy_models, settings=settings, scratch=scratch)
    yield "settings", "settings/", partial(given.copy_settings, settings=settings, scratch=scratch)
    yield "records", "", partial(state.copy_records, settings=settings, scratch=scratch)


def _carried(part: str, prefix: str, last: Backup | None, vault: Vault) -> Contents:
    """What the last verified backup has of a part, as long as that is undamaged."""
    contents = Contents(part, vault.blobs)
    if last is None:
        return contents
    kept = [file for file in last.of(part) if file.path.startswith(prefix)]
    if not all(vault.blobs.is_sound(file.sha256, file.bytes) for file in kept):
        return contents
    contents.files = kept
    contents.links = [link for link in last.links_of(part) if link.path.startswith(prefix)]
    facts = last.facts.get(part, {})
    if part == "database":
        name = prefix.split("/")[1]
        if name in facts:
            contents.facts[name] = {"of": last.name, **facts[name]}
    elif kept:
        contents.facts = {"of": last.name, **facts}
    return contents


def _facts(done: list[Contents]) -> dict[str, dict]:
    found: dict[str, dict] = {}
    for contents in done:
        found.setdefault(contents.part, {}).update(contents.facts)
    return found


def _said(text: str, *of: str) -> str:
    """What may be shown of a text, and printed: the name of a file need not be UTF-8."""
    return redact(text, *of).encode("utf-8", "backslashreplace").decode()


def _free_name(vault: Vault, moment: datetime) -> str:
    """The backup's name: its second, or the next one that is free."""
    taken = {*(one.name for one in vault.backups()), *vault.damaged()}
    while (name := moment.astimezone(UTC).strftime(NAME_TIME)) in taken:
        moment += timedelta(seconds=1)
    return name
