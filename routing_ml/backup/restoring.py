"""Restores a backup, or parts of it: checked and laid ready first, then put in place at once."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from routing_ml import files, modes
from routing_ml.backup import moving
from routing_ml.backup.laying import lay_out
from routing_ml.backup.manifest import PARTS, Backup, File
from routing_ml.backup.moving import WORK, Journal, Move
from routing_ml.backup.planning import BESIDE_STORE, Step, plan
from routing_ml.backup.vault import NONE_YET, Vault
from routing_ml.errors import BackupError, RoutingError
from routing_ml.pipeline import monitor
from routing_ml.registry import Registry
from routing_ml.settings import Settings
from routing_ml.store import Store, StoreMissingError, copy_in, copy_out, require_free

LOCK_SECONDS = 5.0
ALONE = ".restore.lock"
STAMP = "%Y%m%d_%H%M%S"


@dataclass(frozen=True)
class Restore:
    """What a restore did, or would do: `finished` is True where it ended one that was killed."""

    backup: str
    home: Path
    steps: tuple[Step, ...]
    supply_anew: tuple[str, ...] = ()
    finished: bool = False
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The restore as JSON has it."""
        return {
            "backup": self.backup,
            "home": str(self.home),
            "steps": [step.as_dict() for step in self.steps],
            "supply_anew": list(self.supply_anew),
            "finished": self.finished,
            "notes": list(self.notes),
        }


def restore(
    settings: Settings,
    name: str | None = None,
    *,
    parts: Sequence[str] = PARTS,
    elsewhere: bool = False,
    replace_database: bool = False,
    dry_run: bool = False,
) -> Restore:
    """Put a backup (by default the newest that was verified) in the place of what there is.

    What is there is moved aside, never deleted. Either all of it is restored or nothing; one that
    was killed halfway is finished by the next call, which does no more than that. The file of a
    source goes where its setting says only where there is none, unless `replace_database`;
    `elsewhere` puts nothing outside of the state folder. Raises BackupError where the backup is
    damaged, ModelError or StoreError where another process uses what would be replaced.
    """
    vault = Vault(settings.backup_folder)
    if (journal := moving.begun(settings.home)) is not None:
        return _finish(settings, journal, dry_run)
    with vault.reading():
        backup = _chosen(vault, name, None if elsewhere else settings.home)
        aside = settings.home / "replaced" / datetime.now(UTC).strftime(STAMP)
        planned = plan(
            backup, settings, parts, elsewhere=elsewhere, replace_database=replace_database
        )
        _require_parts(backup, parts, planned)
        steps = [_with_aside(settings, step, aside) for step in planned]
        acting = [step for step in steps if step.acts]
        known = backup.facts.get("settings", {}).get("supply_anew", ())
        found = Restore(
            backup=backup.name,
            home=settings.home,
            steps=tuple(steps),
            supply_anew=tuple(known) if "settings" in parts else (),
            notes=tuple(_notes(backup, parts)),
        )
        if dry_run:
            for step in acting:
                vault.blobs.require(_files_of(backup, step))
        if dry_run or not acting:
            return found
        settings.opened()
        with _lock(settings.home / ALONE), _nobody_else(settings, acting):
            moving.require_whole(settings.home)  # one that was killed since it was looked for
            _put(settings, vault, backup, acting)
    _recorded(settings, [step.part for step in acting])
    return found


def _put(settings: Settings, vault: Vault, backup: Backup, steps: Sequence[Step]) -> None:
    work = settings.home / WORK
    moves: list[Move] = []
    store = None
    try:
        with files.told_as(BackupError, f"{backup.name} cannot be laid ready"):
            shutil.rmtree(work, ignore_errors=True)
            modes.make_folder(work)
            for step in steps:
                new = _lay_ready(settings, vault, backup, step, work)
                if step.target is None:
                    store = str(new)
                    _keep_postgresql(settings, step)
                else:
                    moves.append(_move(step, new))
            files.fsync_tree(work)
            parts = tuple(dict.fromkeys(step.part for step in steps))
            journal = Journal(backup.name, parts, tuple(moves), store)
            moving.write(settings.home, journal)
    except BaseException:
        for step in steps:
            if _is_outside(settings, step):
                _beside(step).unlink(missing_ok=True)
        moving.clear(settings.home)
        raise
    _carry_out(settings, journal)


def _carry_out(settings: Settings, journal: Journal) -> None:
    """Do what the journal says, and remove it; where that cannot be, nothing has changed."""
    with files.told_as(BackupError, f"{journal.backup} cannot be put in place"):
        try:
            moving.carry_out(journal.moves)
        except OSError:
            moving.clear(settings.home)
            raise
        if journal.store is not None:
            try:
                copy_in(Path(journal.store), settings.store_url)
            except RoutingError:
                moving.undo(journal.moves)
                moving.clear(settings.home)
                raise
        moving.clear(settings.home)


def _finish(settings: Settings, journal: Journal, dry_run: bool) -> Restore:
    """End the restore that a killed process began."""
    said = f"a restore of {', '.join(journal.parts)} was interrupted, and is finished"
    if dry_run:
        said = f"a restore of {', '.join(journal.parts)} was interrupted, and would be finished"
    else:
        with _lock(settings.home / ALONE):
            if moving.begun(settings.home) == journal:  # nobody was faster
                if "store" in journal.parts:
                    require_free(settings.store_url)
                _carry_out(settings, journal)
        _recorded(settings, journal.parts)
    return Restore(
        backup=journal.backup,
        home=settings.home,
        steps=(),
        finished=True,
        notes=(said,),
    )


def _lay_ready(settings: Settings, vault: Vault, backup: Backup, step: Step, work: Path) -> Path:
    """The file or folder of a step, whole, on the disk that it goes to."""
    if _is_outside(settings, step):
        (file,) = [file for file in backup.files if file.path == step.inside]
        new = _beside(step)
        modes.make_folder(new.parent)
        new.unlink(missing_ok=True)
        vault.blobs.give(file.sha256, new)
        new.chmod(modes.file_mode(new.parent))
        files.fsync(new)
        return new
    links = [link for link in backup.links if link.path.startswith(f"{step.inside}/")]
    lay_out(vault.blobs, work / "new", _files_of(backup, step), links)
    modes.tighten(work / "new", group=settings.group_readable)
    return work / "new" / step.inside


def _files_of(backup: Backup, step: Step) -> list[File]:
    """The file of a step, or all files of its folder."""
    folder = f"{step.inside}/"
    return [f for f in backup.files if f.path == step.inside or f.path.startswith(folder)]


def _is_outside(settings: Settings, step: Step) -> bool:
    return step.target is not None and not step.target.is_relative_to(settings.home)


def _beside(step: Step) -> Path:
    """Where a file that goes elsewhere than into the state folder is laid ready."""
    assert step.target is not None
    return step.target.with_name(f".{step.target.name}.restore")


def _with_aside(settings: Settings, step: Step, aside: Path) -> Step:
    """The step, with where what it replaces goes: on the disk that it is on."""
    if step.action != "replace":
        return step
    if step.target is None:
        return replace(step, aside=aside / "store.db")
    if _is_outside(settings, step):
        name = f"{step.target.name}.replaced_{aside.name}"
        return replace(step, aside=step.target.with_name(name))
    return replace(step, aside=aside / step.target.relative_to(settings.home))


def _move(step: Step, new: Path) -> Move:
    target, old = step.target, step.aside
    beside: list[tuple[str, str]] = []
    if step.part == "store" and old is not None:
        beside = [(f"{target}{suffix}", f"{old}{suffix}") for suffix in BESIDE_STORE]
    return Move(str(new), str(target), str(old) if old else None, tuple(beside))


def _keep_postgresql(settings: Settings, step: Step) -> None:
    """Keep what the PostgreSQL store holds now, as a file."""
    assert step.aside is not None
    modes.make_folder(step.aside.parent)
    with suppress(StoreMissingError):
        copy_out(settings.store_url, step.aside)
        modes.tighten(step.aside)


@contextmanager
def _nobody_else(settings: Settings, steps: Sequence[Step]) -> Iterator[None]:
    """See that nobody uses what is replaced, and keep others from it meanwhile."""
    replaced = {step.inside for step in steps if step.action == "replace"}
    with ExitStack() as held:
        if "models" in replaced:
            registry = Registry(settings.home / "models", lock_seconds=LOCK_SECONDS)
            held.enter_context(registry.seized())
        if "datasets" in replaced:
            held.enter_context(_lock(settings.home / "datasets" / ".lock"))
        if any(step.part == "store" for step in steps):
            require_free(settings.store_url)
        yield


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with files.told_as(BackupError, f"{path.parent} cannot be written"):
        lock = FileLock(path, mode=modes.file_mode(path.parent), fallback_to_soft=False)
        try:
            lock.acquire(timeout=LOCK_SECONDS)
        except Timeout:
            raise BackupError(
                f"{path.parent} is being written by another process: run again when that has ended"
            ) from None
    try:
        yield
    finally:
        lock.release()


def _chosen(vault: Vault, name: str | None, home: Path | None) -> Backup:
    """The backup that is meant; BackupError where the newest may be another factory's than that of
    the state folder that it is to go to."""
    if name is not None:
        return vault.get(name)
    newest = vault.newest()
    if newest is None:
        damaged = "; ".join(vault.damaged().values())
        unverified = ", ".join(one.name for one in vault.backups())
        said = f"only {unverified}, never verified: name one to restore it" if unverified else ""
        raise BackupError(
            f"there is no verified backup in {vault.folder}: {damaged or said or NONE_YET}"
        )
    if home is not None and newest.home != os.path.realpath(home):
        homes = sorted({one.home for one in vault.verified()})
        if len(homes) > 1:
            each = ((vault.newest(Path(one)), one) for one in homes)
            said = ", ".join(f"{one.name} of {of}" for one, of in each if one)
            raise BackupError(
                f"{vault.folder} has backups of several state folders, and the newest is not of "
                f"{home}: name the one to restore ({said})"
            )
    return newest


def _require_parts(backup: Backup, parts: Sequence[str], steps: Sequence[Step]) -> None:
    """BackupError for a part that was asked for by itself and is not there."""
    if len(parts) < len(PARTS):
        lacking = [part for part in parts if part not in {step.part for step in steps}]
        if lacking:
            why = next((w for p, w in backup.missing.items() if p.startswith(lacking[0])), "")
            raise BackupError(
                f"{backup.name} has no {lacking[0]}: {why or 'there was none then'}; 'routing-ml "
                "backups' lists the others"
            )


def _notes(backup: Backup, parts: Sequence[str]) -> Iterator[str]:
    """What of these parts is older than the backup, if it is there at all."""
    for what, why in backup.missing.items():
        if what.partition(" ")[0] in parts:
            yield f"{what} was not copied then, what there is of it is older: {why}"


def _recorded(settings: Settings, parts: Sequence[str]) -> None:
    """Have the store know which model is in use now, where what it knows is another time's."""
    if ("models" in parts) == ("store" in parts):
        return
    try:
        active = Registry(settings.home / "models").active()
        with suppress(StoreMissingError), closing(Store(settings.store_url, write=False)) as store:
            known = (store.fact("model") or {}).get("name")
            if active is None or known == active.name:
                return
        monitor.record_model(settings)
    except RoutingError as error:
        raise BackupError(
            "all is restored, but the monitoring store does not know which model is in use: "
            f"{error}; then put it into use once more with 'routing-ml promote'"
        ) from None
