"""The folder of backups: their manifests, the contents they share, and the lock that one process at
a time has.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from routing_ml import files
from routing_ml.backup.blobs import PRIVATE_FILE, Blobs, make_folder, write_private
from routing_ml.backup.manifest import Backup, is_name, read, written
from routing_ml.errors import BackupError

LOCK_SECONDS = 30.0
NONE_YET = "'routing-ml backup' makes one"


class Vault:
    """Backups under one folder, which the first one makes."""

    def __init__(self, folder: Path, *, lock_seconds: float = LOCK_SECONDS) -> None:
        self.folder = folder
        self.lock_seconds = lock_seconds
        self.blobs = Blobs(folder / "blobs")
        self.scratch = folder / ".scratch"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one that copies, verifies, forgets or restores, with what a killed process
        left behind removed. BackupError where another one goes on too long, or the folder cannot
        be used."""
        from filelock import FileLock, Timeout

        with files.told_as(BackupError, f"backups in {self.folder} cannot be used"):
            make_folder(self.folder)
            lock = FileLock(self.folder / ".lock", mode=PRIVATE_FILE, fallback_to_soft=False)
            try:
                lock.acquire(timeout=self.lock_seconds)
            except (Timeout, NotImplementedError) as error:
                why = "is used by another process" if isinstance(error, Timeout) else "has no locks"
                raise BackupError(
                    f"{self.folder} {why}: wait until that has ended, or choose another folder "
                    "with ROUTING_ML_BACKUPS"
                ) from None
        try:
            self._clear()
            yield
        finally:
            self._clear()
            lock.release()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Be the only one too, but where the folder cannot be written: nobody else then does."""
        with files.told_as(BackupError, f"backups in {self.folder} cannot be used"):
            is_there = self.folder.is_dir()
        if not is_there:
            raise BackupError(
                f"there is no folder of backups {self.folder}: give it with --from, or set "
                "ROUTING_ML_BACKUPS"
            )
        if os.access(self.folder, os.W_OK):
            with self.locked():
                yield
        else:
            yield

    def backups(self) -> list[Backup]:
        """Every backup whose manifest can be read, oldest first."""
        found = []
        for name in self._names():
            try:
                found.append(self.get(name))
            except BackupError:
                continue
        return found

    def damaged(self) -> dict[str, str]:
        """The manifests that cannot be read: name to reason."""
        reasons = {}
        for name in self._names():
            try:
                self.get(name)
            except BackupError as error:
                reasons[name] = str(error)
        return reasons

    def get(self, name: str) -> Backup:
        """The backup of that name; BackupError where there is none, or its manifest is damaged."""
        if not is_name(name):
            raise BackupError(
                f"{name!r} is no backup's name (backup_YYYYMMDD_HHMMSS): 'routing-ml backups' "
                "lists them"
            )
        path = self._path(name)
        with files.told_as(BackupError, f"{path} cannot be read"):
            if not path.is_file():
                raise BackupError(
                    f"there is no {name} in {self.folder}: 'routing-ml backups' lists what is there"
                )
            backup = read(path.read_bytes(), str(path))
        if backup.name != name:
            raise BackupError(f"{path} is the manifest of {backup.name}: a copy; move it away")
        return backup

    def newest(self, of: Path | None = None) -> Backup | None:
        """The newest backup that was verified, None without one; of that state folder, where there
        is any of it. One of a clock that was ahead is it only where there is no other.
        """
        found = self.verified()
        if of is not None:
            found = [one for one in found if one.home == os.path.realpath(of)] or found
        until = datetime.now(UTC) + timedelta(days=1)
        found = [one for one in found if one.moment <= until] or found
        return found[-1] if found else None

    def verified(self) -> list[Backup]:
        """Every backup that was verified, oldest first."""
        return [one for one in self.backups() if one.verified]

    def put(self, backup: Backup) -> None:
        """Write a backup's manifest: from now on it is there."""
        path = self._path(backup.name)
        with files.told_as(BackupError, f"{path} cannot be written"):
            files.remove_leftovers(self.folder, path.name)
            write_private(path, written(backup))

    def drop(self, backup: Backup) -> None:
        """Forget a backup; what it alone had goes with the next `collect` of the blobs."""
        with files.told_as(BackupError, f"{self._path(backup.name)} cannot be removed"):
            self._path(backup.name).unlink(missing_ok=True)

    def is_beside(self, home: Path) -> bool:
        """Whether the backups are on the disk of the state folder."""
        try:
            return _existing(self.folder).stat().st_dev == _existing(home).stat().st_dev
        except OSError:
            return False

    def room(self) -> Path:
        """An empty folder for whoever has the lock; it is gone when the lock is."""
        self._clear()
        make_folder(self.scratch)
        return self.scratch

    def _clear(self) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _names(self) -> list[str]:
        with files.told_as(BackupError, f"{self.folder} cannot be read"):
            if not self.folder.is_dir():
                return []
            found = [path.name.removesuffix(".json") for path in self.folder.iterdir()]
        return sorted(name for name in found if is_name(name))

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def _existing(path: Path) -> Path:
    """A path, or the nearest folder above it that is there."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
