"""Keeps every notice in a file of its subject from before it is sent until after it was accepted.

A sender that is killed at any moment leaves its notice waiting, to be sent by the next, unless
the process that posts it for the sender leaves a receipt that it was taken. Where both are killed,
better twice than never. One that was accepted is sent, and stays for a while, so that nobody
hears of a subject twice. What nobody can be told any more is thrown away, which the log says.

Each destination has a delivery, a receipt and a sender of its own: one that is away holds up none
of the others, and doubles nothing there.
"""

import fcntl
import glob
import logging
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from filelock import FileLock, Timeout

from routing_ml import files, modes
from routing_ml.errors import RoutingError
from routing_ml.notices.post import Receipt
from routing_ml.notices.record import (
    GIVEN_UP,
    SENT,
    SLACK,
    WAITING,
    Delivery,
    Notice,
    as_json,
    parsed,
)

WAITING_DAYS = 30
SENT_DAYS = 180
LONGEST_PAUSE = timedelta(days=31)
"""How far the clock is believed after the newest of the others."""
MOST = 500
"""Notices in an outbox: beyond it the oldest go, those that were sent first."""
MOST_REFUSALS = 5
MAX_BYTES = 1_000_000  # of a file that can be a notice
MAX_NAME = 80
LOCK_S = 10.0
"""How long a file's change is waited for; it takes milliseconds."""
POLL_S = 0.02

log = logging.getLogger(__name__)


class Outbox:
    """A folder of notices, for several processes at once. Raises OSError where it cannot be used,
    RoutingError where another process keeps it too long."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, notice: Notice, *, fallback: bool) -> Notice | None:
        """Note what is to be said; the notice to be sent, None where its subject was told already.

        Another title is other news and takes the place of what the subject had; with `fallback`
        nothing does.
        """
        modes.make_folder(self.folder)
        with self._locked():
            files.remove_leftovers(self.folder, "*")
            there = self._read(self.path(notice.subject))
            if there is None or (there.title != notice.title and not fallback):
                there = notice.after(there) if there else notice
                self._write(there)
            self._tidy(keep=notice.subject)
        return there if there.state == WAITING else None

    @contextmanager
    def sending(self, destination: str, until: float) -> Iterator[int]:
        """Be the one that sends there, from when the one before has ended; RoutingError where that
        takes until `until`, of `time.monotonic`. Yields the lock's file descriptor: a process that
        has it too holds the lock as long."""
        mode = modes.file_mode(self.folder)
        path = self.folder / f".sending{_of(destination)}.lock"
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
        try:
            with suppress(PermissionError):  # another user's, who may let this one use it
                os.fchmod(lock, mode)  # whatever the umask
            while not _locks(lock):
                if time.monotonic() > until:
                    raise self._busy()
                time.sleep(POLL_S)
            yield lock
        finally:
            os.close(lock)

    def waiting(self, destination: str) -> list[Notice]:
        """What is to be sent there, oldest first; one file that cannot be read does not hide the
        rest."""
        found = [notice for notice in self._all() if notice.waits_for(destination)]
        return sorted(found, key=lambda notice: notice.time)

    def known(self, subject: str) -> Notice | None:
        """What was written last of a subject, sent or not; None where there is nothing."""
        return self._read(self.path(subject))

    def current(self, subject: str, destination: str) -> Notice | None:
        """What is to be sent there of a subject, None where there is nothing."""
        there = self.known(subject)
        return there if there and there.waits_for(destination) else None

    def receipt(self, notice: Notice, destination: str, lock: int) -> Receipt:
        """Where it is to be noted that this notice was accepted there, by who posts it."""
        return Receipt(_receipt(self.path(notice.subject), destination), notice.digest, lock)

    def accepted(self, notice: Notice, destination: str, place: str = "") -> None:
        """Note that it was sent there, and where its message is. Other news that its subject has by
        now is to be sent yet, to that place."""
        path = self.path(notice.subject)
        with self._locked():
            there = self._read(path)
            if there and (mine := there.deliveries.get(destination)):
                state = SENT if there.digest == notice.digest else mine.state
                mine = replace(mine, state=state, place=place or mine.place)
                self._write(there.having(destination, mine))
        with suppress(OSError):
            _receipt(path, destination).unlink(missing_ok=True)

    def refused(self, notice: Notice, destination: str, called: str) -> None:
        """Note that it is not taken there; after some times nobody tries any more."""
        with self._locked():
            there = self._read(self.path(notice.subject))
            if there is None or there.digest != notice.digest or not there.waits_for(destination):
                return
            mine = there.deliveries[destination]
            mine = replace(mine, refusals=mine.refusals + 1)
            if mine.refusals < MOST_REFUSALS:
                self._write(there.having(destination, mine))
            else:
                why = f"{called} refused it {MOST_REFUSALS} times"
                self._give_up(there.having(destination, mine), why, [destination])

    def path(self, subject: str) -> Path:
        """The file of a subject."""
        digest = sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        name = re.sub(r"[^a-zA-Z0-9_+-]", "_", subject)[:MAX_NAME]
        return self.folder / f"{name}-{digest}.json"

    def _tidy(self, keep: str) -> None:
        """Throw away what is too old or too much."""
        notices = sorted(self._all(), key=lambda one: (one.state == WAITING, one.time))
        others = [one.time for one in notices if one.subject != keep]
        # A clock that is ahead must not have them all thrown away.
        now = min(datetime.now(UTC), max(others, default=datetime.now(UTC)) + LONGEST_PAUSE)
        beyond = len(notices) - MOST
        delivered = 0
        # The one that is kept may be anywhere among those of its second.
        for place, notice in enumerate(one for one in notices if one.subject != keep):
            days = WAITING_DAYS if notice.state == WAITING else SENT_DAYS
            old = now - notice.time > timedelta(days=days)
            if not (old or place < beyond):
                continue
            if notice.state == WAITING:
                why = f"nobody could be told for {days} days" if old else f"over {MOST} wait"
                self._give_up(notice, why, keep=place >= beyond)
            else:
                self._remove(self.path(notice.subject))
                delivered += 1
        if delivered:
            log.info("%d notices that were delivered long ago left %s", delivered, self.folder)

    def _give_up(
        self, notice: Notice, why: str, among: Iterable[str] = (), *, keep: bool = True
    ) -> None:
        """Have a notice wait no longer, for destinations `among` others or at all. Where somebody
        was told of it or is still to be, that is kept; else, or without `keep`, it goes."""
        given_up = sorted(among) or [n for n in notice.deliveries if notice.waits_for(n)]
        for name in given_up:
            mine = notice.deliveries[name]
            notice = notice.having(name, replace(mine, state=GIVEN_UP))
        if keep and notice.state != GIVEN_UP:
            self._write(notice)
            rest = f"not told to {' and '.join(given_up)}"
        else:
            self._remove(self.path(notice.subject))
            rest = "thrown away unsent"
        log.warning("the notice on %r of %s is %s: %s", notice.subject, notice.at, rest, why)

    def _all(self) -> list[Notice]:
        found = []
        for path in sorted(self.folder.glob("*.json")):
            notice = self._read(path)
            if notice is not None:
                found.append(notice)
        return found

    def _read(self, path: Path) -> Notice | None:
        """The notice in a file, None where there is none; what can be none is thrown away."""
        try:
            if path.is_symlink() or (path.exists() and not path.is_file()):
                raise ValueError("it is no plain file")
            with path.open("rb") as file:
                notice = parsed(file.read(MAX_BYTES))
            if self.path(notice.subject) != path:
                raise ValueError("its name is not its subject's")
            for name, delivery in notice.deliveries.items():
                if delivery.state == WAITING:
                    notice = notice.having(name, _received(path, name, notice))
        except FileNotFoundError:
            return None
        except OSError as error:  # it may be readable later
            log.warning("%s cannot be read: %s", path, error.strerror)
            return None
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            log.warning("%s holds no notice and is thrown away: %s", path, error)
            self._remove(path)
            return None
        return notice

    def _remove(self, path: Path) -> None:
        for each in (path, *path.parent.glob(f".{glob.escape(path.stem)}*.receipt")):
            try:
                each.unlink(missing_ok=True)
            except OSError as error:
                log.warning("%s cannot be thrown away: %s", each, error.strerror)

    def _write(self, notice: Notice) -> None:
        files.atomic_write(self.path(notice.subject), as_json(notice))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Nobody else changes a file; never held while something is sent."""
        lock = FileLock(
            self.folder / ".lock", mode=modes.file_mode(self.folder), fallback_to_soft=False
        )
        try:
            lock.acquire(timeout=LOCK_S, poll_interval=POLL_S)
        except Timeout:
            raise self._busy() from None
        try:
            yield
        finally:
            lock.release()

    def _busy(self) -> RoutingError:
        return RoutingError(
            f"another process uses {self.folder}; what waits there is sent by the next run"
        )


def _locks(lock: int) -> bool:
    """Whether the file is locked by us now."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _of(destination: str) -> str:
    """What is in the names of a destination's files; of Slack nothing, as in earlier releases."""
    return "" if destination == SLACK else f".{destination}"


def _receipt(path: Path, destination: str) -> Path:
    """The file that says that the notice in `path` was accepted there."""
    return path.with_name(f".{path.stem}{_of(destination)}.receipt")


def _received(path: Path, destination: str, notice: Notice) -> Delivery:
    """A delivery with what its receipt says: that the notice was taken, or earlier news of its
    subject, and where that is."""
    mine = notice.deliveries[destination]
    try:
        said = _receipt(path, destination).read_text(errors="replace")
    except FileNotFoundError:
        return mine
    digest, _, place = said.partition("\n")
    state = SENT if digest == notice.digest else WAITING
    return replace(mine, state=state, place=place or mine.place)
