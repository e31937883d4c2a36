"""Trouble with the disk of the state folder: it is full, or becomes read-only, or fails."""

import errno
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from trouble.bed import RETRAIN, Bed, Row, after, one_line

LONGEST_SECONDS = 5.0
PAGE = 4096
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
CHANGES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate")


def rows(make: Callable, trials: int, chance: random.Random) -> Iterator[Row]:
    """A row for each trouble; after each, with space and a disk that works, the product goes on."""
    yield from _full(make, trials, chance)
    yield from _read_only(make, trials, chance)
    yield from _failing(make, trials, chance)


def _full(make: Callable, trials: int, chance: random.Random) -> Iterator[Row]:
    """From no space at all to nearly enough: it runs out at every stage."""
    row = Row("disk full, at any stage")
    with make() as bed:
        used = _size(bed.folder)
        bed.command(*RETRAIN)
        needed = _size(bed.folder) - used
    for number in range(trials):
        space = int(needed * (number + chance.random()) / trials) // PAGE * PAGE
        with _mounted(used + 2**25) as folder, make(folder) as bed:
            ballast = folder / "ballast"
            free = os.statvfs(folder)
            with ballast.open("wb") as file:
                file.write(bytes(max(0, free.f_bavail * free.f_frsize - space)))
            before = bed.known()
            ended = bed.command(*RETRAIN)
            ballast.unlink()
            _done(bed, row, before, ended)
    yield row


def _read_only(make: Callable, trials: int, chance: random.Random) -> Iterator[Row]:
    row = Row("disk read-only, all at once")
    for _ in range(trials):
        with _mounted(2**27) as folder, make(folder) as bed:
            before = bed.known()
            shut = after(chance.uniform(0, LONGEST_SECONDS), lambda: _remount(folder, "ro"))
            ended = bed.command(*RETRAIN, meanwhile=shut)
            _remount(folder, "rw")
            _done(bed, row, before, ended)
    yield row


def _failing(make: Callable, trials: int, chance: random.Random) -> Iterator[Row]:
    """One call of those that change a file fails, whichever it is, or all from there on."""
    with make() as bed:
        counted = bed.folder / "counted"
        bed.command(*RETRAIN, inside=lambda: _fail(bed.home, 0, counted, lasting=False))
        calls = len(counted.read_bytes())
    for lasting, name in (
        (False, "one I/O error, at any call"),
        (True, "I/O errors from any call on"),
    ):
        row = Row(name)
        for _ in range(trials):
            number = chance.randint(1, calls)
            with make() as bed:
                before = bed.known()
                log = bed.folder / "counted"
                fail = partial(_fail, bed.home, number, log, lasting=lasting)
                ended = bed.command(*RETRAIN, inside=fail)
                _done(bed, row, before, ended)
        yield row


def _done(bed: Bed, row: Row, before: Any, ended: Any) -> None:
    row.trials += 1
    row.lines += one_line(ended)
    for arguments in (("predict", "--out", str(bed.folder / "p.csv")), ("models",)):
        again = bed.command(*arguments)
        if again.code:
            row.lost.append(f"{arguments[0]} does not go on: {again.line()}")
            break
    else:
        row.went_on += 1
    bed.judge(row, before)


def _fail(home: Path, number: int, log: Path, *, lasting: bool) -> None:
    """From now on in this process, fail the call of that number that changes a file below `home`;
    each leaves a byte in `log`."""
    counted = log.open("ab", buffering=0)
    seen = 0

    def one(path: object) -> None:
        nonlocal seen
        if not str(path).startswith(str(home)):
            return
        seen += 1
        counted.write(b".")
        if seen == number or (lasting and 0 < number <= seen):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    def hook(event: str, arguments: tuple) -> None:
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES:
            one(arguments[0])
        elif event in CHANGES:
            one(arguments[1] if event == "os.symlink" else arguments[0])

    def fsync(handle: int, real: Callable = os.fsync) -> None:
        one(Path(f"/proc/self/fd/{handle}").readlink())
        real(handle)

    vars(os)["fsync"] = fsync
    sys.addaudithook(hook)


@contextmanager
def _mounted(size: int) -> Iterator[Path]:
    """A disk of its own, of so many bytes."""
    folder = Path(tempfile.mkdtemp(prefix="routing-ml-disk-"))
    what = ("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    if os.geteuid() or subprocess.run(what).returncode:
        raise SystemExit("disks are mounted for this: run it as root")
    try:
        yield folder
    finally:
        subprocess.run(("umount", "-l", str(folder)), check=True)
        folder.rmdir()


def _remount(folder: Path, how: str) -> None:
    """It is refused while a file is open for writing."""
    for _ in range(2_000):
        done = subprocess.run(
            ("mount", "-o", f"remount,{how}", str(folder)), stderr=subprocess.DEVNULL
        )
        if not done.returncode:
            return
    raise SystemExit(f"{folder} cannot be mounted {how}")


def _size(folder: Path) -> int:
    blocks = (-(-path.lstat().st_size // PAGE) + 1 for path in folder.rglob("*"))
    return sum(blocks) * PAGE
