"""Writes files so that a reader sees the old content or the new one, never a part of either.

A killed process or a full disk leaves at most a hidden `.NAME.XXXXXXXX.tmp` beside the target,
which `remove_leftovers` clears.
"""

import errno
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from routing_ml import modes
from routing_ml.errors import InputError, RoutingError

BLOCK_BYTES = 1 << 20
NEXT_STEPS = {
    errno.ENOSPC: "free some space there, then run it again",
    errno.EDQUOT: "free some space there, then run it again",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f), then run it again",
    errno.EROFS: "choose a folder that can be written with ROUTING_ML_HOME",
    errno.EACCES: "give this user the right to it, or choose another folder with ROUTING_ML_HOME",
    errno.EPERM: "give this user the right to it, or choose another folder with ROUTING_ML_HOME",
    errno.EEXIST: "a file is in the way; remove it, or choose another folder with ROUTING_ML_HOME",
    errno.ENOTDIR: "a part of that path is a file; choose another folder with ROUTING_ML_HOME",
}


def atomic_write(path: Path, data: bytes | str) -> None:
    """Write `data` (text as UTF-8) to `path` in one step that survives a crash.

    Raises OSError when it cannot be written; `path` then holds what it held before.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a path in the same folder to write to; it becomes `path` when the block succeeds.

    For writers that want a path of their own (Parquet, npz). The block's exceptions pass through
    and leave nothing behind.
    """
    path = Path(path)
    temporary = _beside(path)
    try:
        yield modes.make_file(temporary)
        fsync(temporary)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    fsync(path.parent)


def require_plain(path: Path) -> None:
    """InputError where there is a pipe, a device or a socket at `path`, whose reader may wait
    forever; what is not there, or a folder, is for the reader to tell."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(
            f"{path} is no file but a pipe, a device or a socket; give the path of a file"
        )


def replace_link(path: Path, target: str) -> None:
    """Make `path` a symlink to `target` (kept as written) in one step, replacing an older link."""
    temporary = _beside(path)
    try:
        temporary.symlink_to(target)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    fsync(path.parent)


def remove_leftovers(folder: Path, name: str) -> None:
    """Remove the temporary files that killed writers of `folder/name` left; call under its lock."""
    for path in folder.glob(f".{name}.????????.tmp"):
        with suppress(OSError):
            path.unlink()


def remove_folder(folder: Path, *, trash: Path) -> None:
    """Make `folder` disappear in one step (a rename into `trash`), then free its space.

    A crash in between leaves it in `trash`, which `empty_trash` clears. Both must be on the same
    file system.
    """
    modes.make_folder(trash)
    resting = trash / f"{folder.name}.{secrets.token_hex(4)}"
    folder.rename(resting)
    fsync(folder.parent)
    shutil.rmtree(resting, ignore_errors=True)


def empty_trash(trash: Path) -> None:
    """Free what an interrupted `remove_folder` left behind."""
    if trash.is_dir():
        for path in trash.iterdir():
            shutil.rmtree(path, ignore_errors=True)


def sha256(path: Path) -> str:
    """The file's SHA-256 as 64 hex digits; reads a megabyte at a time."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def fsync(path: Path) -> None:
    """Have the disk confirm a file's content, or a folder's list of names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def regular_files(folder: Path) -> Iterator[Path]:
    """Every file under `folder`, sorted; a ValueError names anything that is no plain file or
    folder (a symlink could point out of it, a pipe would hang whoever reads it)."""
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            yield path
        elif not stat.S_ISDIR(mode):
            raise ValueError(f"{path} is neither a plain file nor a folder")


def fsync_tree(folder: Path) -> None:
    """Have the disk confirm every file and folder under `folder`, and `folder` itself; a symlink is
    confirmed by the folder that it is in."""
    for path in folder.rglob("*"):
        if not path.is_symlink():
            fsync(path)
    fsync(folder)


@contextmanager
def told_as(kind: type[RoutingError], what: str) -> Iterator[None]:
    """Turn an OSError of the block into one line of `kind`: what failed, where, the next step."""
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        reason = error.strerror or str(error) or type(error).__name__
        step = NEXT_STEPS.get(error.errno or 0, "see to that, then run it again")
        raise kind(f"{what}: {reason}{where}: {step}") from error


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
