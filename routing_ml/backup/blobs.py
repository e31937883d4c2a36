"""Keeps contents by their SHA-256, each once however many backups have it, and gives them back only
when they are what they were.
"""

import hashlib
import os
import secrets
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from routing_ml import files
from routing_ml.backup.manifest import File
from routing_ml.errors import BackupError, InputError
from routing_ml.files import BLOCK_BYTES

TRIES = 3
PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
TEMPORARY = ".tmp"


@dataclass(frozen=True)
class Taken:
    """A content that is kept now; `new` says whether it had to be written, `changed_at` when the
    file was last changed that had it, in seconds since 1970."""

    sha256: str
    bytes: int
    new: bool
    changed_at: float


class Blobs:
    """The contents under one folder. What cannot be written is a BackupError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: str) -> Path:
        """Where a content is."""
        return self.folder / digest[:2] / digest

    def take(self, path: Path) -> Taken:
        """Keep the content of a plain file, as it was at one moment.

        A file that is written to meanwhile is taken again. Raises InputError where it cannot be
        read, FileNotFoundError where it is not there (any more).
        """
        files.require_plain(path)
        for _ in range(TRIES):
            before = _state(path)
            digest = _hashed(path)
            size = before[2]
            if self.is_sound(digest, size):
                new = False
            else:
                new = True
                if self._write(path, digest) != digest:
                    continue
            if _state(path) == before:
                return Taken(digest, size, new, before[3] / 1e9)
        raise InputError(
            f"{path} is being written: it changed {TRIES} times while it was copied; run again "
            "when that has ended"
        )

    def is_sound(self, digest: str, size: int) -> bool:
        """Whether that content is kept undamaged; one that is damaged will be written anew."""
        path = self.path(digest)
        try:
            if path.stat().st_size != size:
                return False
            return _hashed(path) == digest
        except (OSError, InputError):
            return False

    def require(self, contents: Iterable[File]) -> None:
        """See that these are kept undamaged, else BackupError."""
        for file in contents:
            if not self.is_sound(file.sha256, file.bytes):
                raise _damaged(self.path(file.sha256), f"it is not what {file.path} was")

    def give(self, digest: str, target: Path) -> None:
        """Write a content to `target`, which is not there yet. BackupError where it is damaged."""
        path = self.path(digest)
        try:
            with path.open("rb") as source:
                # From the disk, not from memory: what is there is what a restore would get.
                with suppress(OSError):
                    os.posix_fadvise(source.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                found = _copied(source, target)
        except FileNotFoundError as error:
            if error.filename != str(path):
                raise
            raise _damaged(path, "it is missing") from None
        if found != digest:
            raise _damaged(path, "its bytes are not the ones that were copied")

    def collect(self, keep: Collection[str]) -> int:
        """Remove what no backup needs, and what killed writers left; returns the bytes freed."""
        freed = 0
        for path in self._all():
            if path.name not in keep:
                freed += path.stat().st_size
                path.unlink()
        return freed

    def _all(self) -> Iterator[Path]:
        if self.folder.is_dir():
            for folder in sorted(self.folder.iterdir()):
                if folder.is_dir() and not folder.is_symlink():
                    yield from sorted(folder.iterdir())

    def _write(self, path: Path, digest: str) -> str:
        """Copy a file to the place of a content that it should have, if it has; returns its own."""
        place = self.path(digest)
        # The source first: where it is gone by now, that is no fault of the backups' folder.
        with path.open("rb") as source, files.told_as(BackupError, f"{place} cannot be written"):
            make_folder(place.parent)
            temporary = place.with_name(f"{secrets.token_hex(8)}{TEMPORARY}")
            try:
                found = _copied(source, temporary)
                if found == digest:
                    files.fsync(temporary)
                    temporary.replace(place)
                    files.fsync(place.parent)
            finally:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
        return found


def make_folder(folder: Path) -> None:
    """Make a folder for nobody but this user, and those above it that are not there."""
    if not folder.is_dir():
        make_folder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir(PRIVATE_FOLDER)


def write_private(path: Path, text: str) -> None:
    """Write a text in one step, for nobody but this user."""
    with files.atomic_path(path) as temporary:
        with suppress(PermissionError):  # a share that knows no modes
            temporary.chmod(PRIVATE_FILE)
        temporary.write_text(text, encoding="utf-8")


def _copied(source: BinaryIO, target: Path) -> str:
    """Write what is read to a new private file; returns its SHA-256."""
    digest = hashlib.sha256()
    descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as to:
        while block := source.read(BLOCK_BYTES):
            digest.update(block)
            to.write(block)
    return digest.hexdigest()


def _hashed(path: Path) -> str:
    """A file's SHA-256; InputError where it cannot be read."""
    try:
        return files.sha256(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; see to its rights") from None


def _state(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _damaged(path: Path, why: str) -> BackupError:
    return BackupError(
        f"{path} is damaged: {why}; restore another one of 'routing-ml backups', and make a new "
        "one with 'routing-ml backup'"
    )
