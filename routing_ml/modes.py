"""Keeps the state folder to its owner, or to its owner and a group, whatever the umask says.

Which of the two is written on the folders themselves, and what is made in one takes after it: a
file in a folder of mode 0700 gets 0600, in one of 0750 it gets 0640. In any other folder, such as
one that a person named for proposals, the umask decides.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

OURS = ("runs", "datasets", "models", "proposals", "outbox", "quality", "slack_bot")
OUR_FILES = ("store.db", "store.db-wal", "store.db-shm", "store.db-journal")
KNOWN = {
    *(*OURS, *OUR_FILES, "airflow", "backups", "cache", "log", "replaced", "replays"),
    "lost+found",  # of a volume
}
"""All that a state folder has at its top, but for what is hidden."""
OTHERS = 0o077
GROUP_READS = 0o050
FILE, FOLDER = 0o600, 0o700

_opened: set[tuple[int, int, bool]] = set()


def open_state(home: Path, *, group: bool) -> None:
    """Make the state folder where there is none, and take from others what an earlier release let
    them read; with `group`, its group may read it.

    Only what this user owns and Routing ML made is touched, and no symlink is followed. Raises
    OSError where the folder cannot be made. It is looked through once a process.
    """
    if not home.is_dir():
        home.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another process was faster
            home.mkdir(FOLDER)
    found = home.stat()
    if (key := (found.st_dev, found.st_ino, group)) in _opened:
        return
    _opened.add(key)
    for name in OURS:
        tighten(home / name, group=group)
    for name in OUR_FILES:
        _set(home / name, group)
    # Last: it says to whoever makes a file in there which of both it is.
    if _is_ours(home, found):
        _set(home, group)


def _is_ours(home: Path, found: os.stat_result) -> bool:
    """Whether a folder holds nothing but what a state folder does: that of a user, of everybody
    (/tmp) or of the whole system that was taken for one, by whatever path, stays what it is."""
    if found.st_mode & stat.S_ISVTX or not stat.S_ISDIR(found.st_mode):
        return False
    for other in (Path.home(), Path("/")):
        with suppress(OSError):
            if os.path.samestat(found, other.stat()):
                return False
    names = (entry.name for entry in home.iterdir())
    return all(name in KNOWN or name.startswith(".") for name in names)


def tighten(path: Path, *, group: bool | None = None) -> None:
    """Give a file, or a folder with all in it, the mode that it should have; by default as the
    folder says that it is in."""
    if group is None:
        group = _group_reads(path.parent)
    for one in _below(path):
        _set(one, group)


def make_folder(path: Path, *, exist_ok: bool = True) -> None:
    """Make a folder for nobody else, or for the group where that may read the one it is in, and
    those above it that are not there. FileExistsError where it is, without `exist_ok`."""
    try:
        path.mkdir(FOLDER)
    except FileNotFoundError:
        make_folder(path.parent)
        make_folder(path, exist_ok=exist_ok)
    except FileExistsError:
        if not exist_ok or not path.is_dir():
            raise
    else:
        _set(path, _group_reads(path.parent))


def make_own_folder(path: Path) -> None:
    """Make a folder for nobody else where everybody may write, such as among the temporary files.

    FileExistsError where somebody else has put something there.
    """
    with suppress(FileExistsError):
        path.mkdir(FOLDER)
    found = path.lstat()
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    if not ours or found.st_mode & OTHERS:
        raise FileExistsError(errno.EEXIST, "it is not for this user alone", str(path))


def make_file(path: Path) -> Path:
    """Make an empty file with the mode that it should have, for others to write to; FileExistsError
    where there is one."""
    mode = file_mode(path.parent)
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE)
    try:
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)
    return path


def file_mode(folder: Path) -> int:
    """The mode of a file in a folder."""
    others = folder.stat().st_mode & OTHERS
    if not others:
        return FILE
    if others == GROUP_READS:
        return FILE | 0o040
    mask = os.umask(OTHERS)  # the one way to ask; what is made meanwhile is too close, not too open
    os.umask(mask)
    return 0o666 & ~mask


def _group_reads(folder: Path) -> bool:
    return folder.stat().st_mode & OTHERS == GROUP_READS


def _below(path: Path) -> Iterator[Path]:
    """A path and all below it, deepest first, but for what symlinks lead to."""
    with suppress(OSError):
        if stat.S_ISDIR(path.lstat().st_mode):
            for one in sorted(path.iterdir()):
                yield from _below(one)
    yield path


def _set(path: Path, group: bool) -> None:
    """Set the mode of a plain file or a folder of ours; nothing else is touched."""
    try:
        # By its descriptor: the name may be another's by the time the mode is set.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return
    try:
        found = os.fstat(descriptor)
        is_folder = stat.S_ISDIR(found.st_mode)
        if found.st_uid != os.geteuid() or not (is_folder or stat.S_ISREG(found.st_mode)):
            return
        mode = (
            (FOLDER | 0o050 if group else FOLDER) if is_folder else FILE | (0o040 if group else 0)
        )
        if found.st_mode & 0o777 != mode:
            # New files of a folder go on belonging to its group, where it says so.
            os.fchmod(descriptor, mode | (found.st_mode & stat.S_ISGID if is_folder else 0))
    except OSError:
        return
    finally:
        os.close(descriptor)
