"""Keeps the model versions: registers, switches, goes back, prunes; for several processes at once.

A version is a folder `model_YYYYMMDD_HHMMSS`, finished once it holds `manifest.json`; the symlink
`active` names the one in use. Beside them are `history.jsonl` and, hidden, `.lock`, `.claims/` (who
is writing which version), `.pending.json` (a switch under way), `.references/` (pruned versions
that fresh fits are still held against) and `.trash/`. Reading takes no lock. The lock is flock(2)
through filelock: the kernel frees it when its holder dies. (filelock 3.20.4 to early 3.29 deleted
the lock file on release, so that two processes could hold it: tox-dev/filelock#574.)
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routing_ml import clock, files, modes
from routing_ml.errors import ModelError
from routing_ml.registry.history import History
from routing_ml.registry.version import (
    MANIFEST,
    NAME_TIME,
    Version,
    as_json,
    checked_facts,
    is_name,
    parsed,
    read_manifest,
    time_of,
    write_manifest,
)

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["Registry", "Version"]

MAX_AGE_DAYS = 180
REFERENCE_DAYS = 365
"""How long after its use a version's twin is something a fresh fit must hold its own against."""
ANY = "any"
LOCK_SECONDS = 60.0
"""How long a command waits for another that is switching or pruning; either takes milliseconds."""
SAME_KEY_SECONDS = 600.0
"""How long a retry waits for a live process that is writing the version of the same key."""


class Registry:
    """The versions under one folder, which is made on first use."""

    def __init__(
        self,
        folder: Path,
        *,
        lock_seconds: float = LOCK_SECONDS,
        same_key_seconds: float = SAME_KEY_SECONDS,
    ):
        self.folder = Path(folder)
        self.lock_seconds = lock_seconds
        self.same_key_seconds = same_key_seconds
        self._history = History(self.folder)
        self._trash = self.folder / ".trash"
        self._shelf = self.folder / ".references"
        self._claim_folder = self.folder / ".claims"

    def register(
        self,
        write: Callable[[Path], None],
        *,
        key: str,
        facts: Mapping[str, Any],
        now: datetime | None = None,
    ) -> Version:
        """Store what `write(folder)` writes as a new version, not yet active.

        `key` names the attempt: when a version of that key is finished it is returned and `write`
        is not called; one that a killed process left half-written is removed first; one that a
        live process is writing is waited for. `facts` go into the manifest (numpy scalars and
        times are converted, NaN becomes null). `now` (aware; default the time now) names the
        version; a taken second moves on to the next. Raises ModelError when it cannot be stored;
        what else `write` raises passes through. Either way nothing is left behind.
        """
        facts = checked_facts(facts)
        claimed = self._claim(key, now or clock.utc())
        if isinstance(claimed, Version):
            return claimed.verify()
        folder, claim = claimed
        try:
            with files.told_as(ModelError, f"{folder.name} cannot be stored"):
                write(folder)
                modes.tighten(folder)
                write_manifest(folder, key=key, facts=facts)
        except BaseException:
            # What cannot be cleaned up now is, by the next command that takes the lock.
            with suppress(OSError, ModelError), self._locked():
                files.remove_folder(folder, trash=self._trash)
                self._drop_claim(folder.name, claim)
            raise
        with suppress(OSError, ModelError), self._locked():
            self._drop_claim(folder.name, claim)
        return self.get(folder.name)

    def get(self, name: str) -> Version:
        """The version of that name; ModelError when there is none or its manifest is damaged."""
        if not is_name(name):
            raise ModelError(
                f"{name!r} is no version name (model_YYYYMMDD_HHMMSS): "
                "'routing-ml models' lists them"
            )
        folder = self.folder / name
        with files.told_as(ModelError, f"{name} cannot be read"):
            if folder.is_symlink() or not folder.is_dir():
                raise ModelError(
                    f"no version {name} in {self.folder}: 'routing-ml models' lists them"
                )
            return Version(name, folder, read_manifest(folder))

    def versions(self) -> list[Version]:
        """The finished versions whose manifest can be read, oldest first."""
        return [v for v in map(self._readable, self._names()) if v]

    def damaged(self) -> dict[str, str]:
        """Version folders that are not finished or whose manifest is damaged: name to reason.

        One that a live process is writing at this moment is among them.
        """
        reasons = {}
        for name in self._names():
            try:
                self.get(name)
            except ModelError as error:
                reasons[name] = str(error)
        return reasons

    def active(self) -> Version | None:
        """The version in use, None before the first promotion.

        Its files are not hashed here: `verify()` it before loading them. Raises ModelError when
        `active` names no version of this registry.
        """
        with files.told_as(ModelError, f"{self.folder} cannot be read"):
            name = self._history.active()
        if name is None:
            return None
        try:
            return self.get(name)
        except ModelError as error:
            raise ModelError(f"the active model cannot be used: {error}") from None

    def previous(self) -> Version | None:
        """The version `rollback` would return to, None when there is none."""
        name = self._previous_name()
        return self.get(name) if name else None

    def history(self) -> list[dict[str, Any]]:
        """Every switch, oldest first: `id, at, action, from, to, who, why`.

        `action` is "promote", "rollback", or "outside" for a link that was changed by other means.
        """
        with files.told_as(ModelError, f"{self.folder} cannot be read"):
            return self._history.entries()

    def references(self, *, now: datetime | None = None) -> list[Version]:
        """The versions besides the active one that were in use during the past year, newest first.

        Their twins are `compare.decide`'s references. Pruned ones are among them; those whose
        manifest cannot be read are left out.
        """
        since = (now or clock.utc()) - timedelta(days=REFERENCE_DAYS)
        with files.told_as(ModelError, f"{self.folder} cannot be read"):
            names, active = self._history.used_since(since), self._history.target()
        found = [self._readable(n) or self._readable(n, self._shelf) for n in names if n != active]
        return [v for v in found if v]

    def kept(self) -> list[Version]:
        """Every finished version that can be read, pruned ones that are still references last."""
        with files.told_as(ModelError, f"{self.folder} cannot be read"):
            shelved = sorted(folder.name for folder in self._shelf.glob("model_*"))
        found = (self._readable(name, self._shelf) for name in shelved)
        return [*self.versions(), *(version for version in found if version)]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep others from switching, pruning and beginning versions, with what a killed process
        left behind put right."""
        with self._locked():
            yield

    @contextmanager
    def seized(self) -> Iterator[None]:
        """The same for a registry that may be damaged, to put another in its place: nothing is put
        right. ModelError while a live process is writing a version."""
        with files.told_as(ModelError, f"{self.folder} cannot be used"), self._lock():
            for path in sorted(self._claim_folder.glob("*.lock")):
                claim = _file_lock(path)
                if not _try(claim):
                    raise ModelError(
                        f"{self.folder / path.stem} is being written by another process: wait for "
                        "that retraining, or end it, then run this again"
                    )
                claim.release()
            yield

    def place(self) -> str | None:
        """Where in the history of switches a decision is made, for `promote`."""
        with files.told_as(ModelError, f"{self.folder} cannot be read"):
            return self._history.place()

    def promote(
        self,
        name: str,
        *,
        who: str,
        why: str,
        instead_of: str | None = ANY,
        after: str | None = ANY,
    ) -> Version:
        """Put the version into use once its files are verified; a no-op when it already is.

        With `instead_of` (a version's name, None for no version) only where that one is in use,
        with `after` (a `place`) only where nothing was switched since: ModelError otherwise, for
        then the decision to promote is out of date. Its model may be in use again, by somebody who
        went back to it.
        """
        with self._locked():
            version = self.get(name).verify()
            active = self._history.target()
            if active != name:
                known = None if instead_of == ANY else instead_of
                switched = [] if after == ANY else self._history.since(after, known)
                if switched or instead_of not in (ANY, active):
                    last = f" by {switched[-1]['who']}" if switched else ""
                    raise ModelError(
                        f"{name} was chosen instead of {known or 'no model'}, and since then "
                        f"{active or 'no model'} was put into use{last}: retrain to compare again, "
                        f"or 'routing-ml promote {name}'"
                    )
                self._switch("promote", name, who=who, why=why)
        return version

    def rollback(self, *, who: str, why: str, after: str | None = ANY) -> Version:
        """Put the version into use that was in use before, by the history; return it.

        A second rollback goes one further back; pruned versions are passed over. Raises
        ModelError when there is none, or when it is damaged; with `after` (a `place`) also where
        something was switched since, for then another version was meant.
        """
        with self._locked():
            if after != ANY and (switched := self._history.since(after, self._history.target())):
                raise ModelError(
                    f"{self._history.target() or 'no model'} was put into use by "
                    f"{switched[-1]['who']} in the meantime: look at 'routing-ml models', then "
                    "ask again"
                )
            name = self._previous_name()
            if name is None:
                raise ModelError(
                    "there is no earlier version to go back to: "
                    "'routing-ml models' lists what 'routing-ml promote' can put into use"
                )
            version = self.get(name).verify()
            self._switch("rollback", name, who=who, why=why)
        return version

    def prune(
        self,
        *,
        older_than_days: float = MAX_AGE_DAYS,
        now: datetime | None = None,
        keep: Collection[str] = (),
    ) -> list[str]:
        """Remove the versions registered longer ago than that; return their names, oldest first.

        Never the active one, the one before it, those in `keep`, or one being written. Empty
        folders and those of killed registrations go whatever their age (the latter unlisted).
        A version that was in use during the past year can no longer be put into use either, but
        `references` has it until the year is over.
        """
        now = now or clock.utc()
        before, since = (now - timedelta(days=d) for d in (older_than_days, REFERENCE_DAYS))
        removed = []
        with self._locked(), files.told_as(ModelError, f"{self.folder} cannot be pruned"):
            safe = {self._history.active(), self._previous_name(), *keep, *self._claims()}
            used = self._history.used_since(since)
            for name in self._names():
                folder = self.folder / name
                empty = not any(folder.iterdir())
                if name not in safe and (empty or time_of(name) < before):
                    if name in used:
                        modes.make_folder(self._shelf)
                        folder.rename(self._shelf / name)
                    else:
                        files.remove_folder(folder, trash=self._trash)
                    removed.append(name)
            for folder in self._shelf.glob("model_*"):
                if folder.name not in used:
                    files.remove_folder(folder, trash=self._trash)
            files.fsync(self.folder)
        return removed

    def _switch(self, action: str, name: str, *, who: str, why: str) -> None:
        with files.told_as(ModelError, f"{name} cannot be put into use"):
            self._history.switch(action, name, who=who, why=why)

    def _names(self) -> list[str]:
        """Every version folder, finished or not, oldest first."""
        if not self.folder.is_dir():
            return []
        with files.told_as(ModelError, f"{self.folder} cannot be read"):
            paths = [p for p in self.folder.iterdir() if is_name(p.name)]
            return sorted(p.name for p in paths if p.is_dir() and not p.is_symlink())

    def _previous_name(self) -> str | None:
        finished = [n for n in self._names() if (self.folder / n / MANIFEST).exists()]
        return self._history.previous(finished)

    def _readable(self, name: str, within: Path | None = None) -> Version | None:
        folder = (within or self.folder) / name
        try:
            return Version(name, folder, read_manifest(folder))
        except ModelError:
            return None

    # The lock, and the claims: a version being written is claimed by a lock of its own.

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the registry's lock, with what a killed process left behind put right."""
        with files.told_as(ModelError, f"{self.folder} cannot be used for models"):
            # The trash now, for on a full disk prune could not make it.
            modes.make_folder(self._trash)
            with self._lock():
                files.empty_trash(self._trash)
                self._sweep_claims()
                self._history.recover()
                yield

    @contextmanager
    def _lock(self) -> Iterator[None]:
        from filelock import Timeout  # 80 ms to import; reading the active model needs no lock

        lock = _file_lock(self.folder / ".lock")
        try:
            lock.acquire(timeout=self.lock_seconds)
        except Timeout:
            raise ModelError(
                f"{self.folder} has been locked by another process for "
                f"{self.lock_seconds:g} s: see which with 'fuser {lock.lock_file}'"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def _claim(self, key: str, now: datetime) -> "Version | tuple[Path, BaseFileLock]":
        """The finished version of `key`, or a new empty folder and the lock on it."""
        deadline = time.monotonic() + self.same_key_seconds
        while True:
            with self._locked():
                for version in self.versions():
                    if version.manifest["key"] == key:
                        return version
                if key not in self._claims().values():
                    return self._new_folder(key, now)
            if time.monotonic() > deadline:
                raise ModelError(
                    f"another process has been writing the version of {key!r} for "
                    f"{self.same_key_seconds:g} s: end it, then run this again"
                )
            time.sleep(0.2)

    def _new_folder(self, key: str, now: datetime) -> "tuple[Path, BaseFileLock]":
        used = {e["to"] for e in self._history.entries()}
        moment = now.astimezone(UTC).replace(microsecond=0)
        while True:
            folder = self.folder / moment.strftime(NAME_TIME)
            moment += timedelta(seconds=1)
            if folder.name in used or folder.exists():
                continue
            # The claim comes before the folder. A folder without manifest and claim was not made
            # here (somebody is copying a version in) and is left alone.
            modes.make_folder(self._claim_folder)
            claim = _file_lock(self._claim_folder / f"{folder.name}.lock")
            claim.acquire(timeout=self.lock_seconds)
            try:
                about = self._claim_folder / f"{folder.name}.json"
                files.atomic_write(about, as_json({"key": key}))
                modes.make_folder(folder, exist_ok=False)
            except BaseException as error:
                self._drop_claim(folder.name, claim)
                if not isinstance(error, FileExistsError):
                    raise
            else:
                return folder, claim

    def _claims(self) -> dict[str, str]:
        """The versions that live processes are writing: name to key. Call under the lock."""
        return {
            path.stem: str(parsed(path.read_bytes()).get("key"))
            for path in self._claim_folder.glob("*.json")
        }

    def _sweep_claims(self) -> None:
        """Remove the half-written version of every claim whose owner is gone."""
        for path in sorted(self._claim_folder.glob("*.lock")):
            claim = _file_lock(path)
            if _try(claim):
                folder = self.folder / path.stem
                if folder.is_dir() and not (folder / MANIFEST).exists():
                    files.remove_folder(folder, trash=self._trash)
                self._drop_claim(path.stem, claim)

    def _drop_claim(self, name: str, claim: "BaseFileLock") -> None:
        for suffix in (".json", ".lock"):
            files.remove_leftovers(self._claim_folder, name + suffix)
            (self._claim_folder / (name + suffix)).unlink(missing_ok=True)
        claim.release()


def _file_lock(path: Path) -> "BaseFileLock":
    from filelock import FileLock

    # Without flock(2) filelock would fall back to a file that outlives a killed process and locks
    # for ever: better to fail at once.
    return FileLock(path, mode=modes.file_mode(path.parent), fallback_to_soft=False)


def _try(lock: "BaseFileLock") -> bool:
    from filelock import Timeout

    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True
