"""Keeps every notice in a file of its subject from before it is sent until after it was accepted.

A sender that is killed at any moment leaves its notice `waiting`, to be sent by the next, unless
the process that posts it for the sender leaves a receipt that Slack took it. Where both are killed,
better twice than never. One that was accepted is `sent`, and stays for a while, so that nobody
hears of a subject twice. What nobody can be told any more is thrown away, which the log says.
"""

import fcntl
import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from filelock import FileLock, Timeout

from routing_ml import files, modes
from routing_ml.errors import RoutingError
from routing_ml.notices.post import Receipt

WAITING, SENT = "waiting", "sent"
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


@dataclass(frozen=True)
class Notice:
    """What is to be said of a subject since `at` (ISO 8601, with its offset), and how far it came;
    `refusals` counts how often Slack would not take it."""

    subject: str
    at: str
    title: str
    text: str
    state: str = WAITING
    link: str | None = None
    refusals: int = 0


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
                self._write(notice)
                there = notice
            self._tidy(keep=notice.subject)
        return there if there.state == WAITING else None

    @contextmanager
    def sending(self, until: float) -> Iterator[int]:
        """Be the one that sends, from when the one before has ended; RoutingError where that takes
        until `until`, of `time.monotonic`. Yields the lock's file descriptor: a process that has it
        too holds the lock as long."""
        mode = modes.file_mode(self.folder)
        lock = os.open(self.folder / ".sending.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
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

    def waiting(self) -> list[Notice]:
        """What is to be sent, oldest first; one file that cannot be read does not hide the rest."""
        found = [notice for notice in self._all() if notice.state == WAITING]
        return sorted(found, key=lambda notice: _time(notice.at))

    def current(self, subject: str, *, sent: bool = False) -> Notice | None:
        """What is to be sent of a subject, None where there is nothing; with `sent` also what was
        sent already."""
        there = self._read(self.path(subject))
        return there if there and (sent or there.state == WAITING) else None

    def receipt(self, notice: Notice, lock: int) -> Receipt:
        """Where it is to be noted that this notice was accepted, by who posts it."""
        return Receipt(_receipt(self.path(notice.subject)), _digest(notice), lock)

    def accepted(self, notice: Notice) -> None:
        """Note that it was sent, unless there is other news of its subject by now."""
        self._replace(notice, replace(notice, state=SENT))
        with suppress(OSError):
            _receipt(self.path(notice.subject)).unlink(missing_ok=True)

    def refused(self, notice: Notice) -> None:
        """Note that Slack does not take it; after some times nobody tries any more."""
        again = replace(notice, refusals=notice.refusals + 1)
        if again.refusals < MOST_REFUSALS:
            self._replace(notice, again)
            return
        with self._locked():
            if self._read(self.path(notice.subject)) == notice:
                self._throw_away(notice, f"Slack refused it {MOST_REFUSALS} times")

    def path(self, subject: str) -> Path:
        """The file of a subject."""
        digest = hashlib.sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        name = re.sub(r"[^a-zA-Z0-9_+-]", "_", subject)[:MAX_NAME]
        return self.folder / f"{name}-{digest}.json"

    def _replace(self, old: Notice, new: Notice) -> None:
        with self._locked():
            there = self._read(self.path(old.subject))
            if there is not None and replace(there, state=old.state) == old:
                self._write(new)

    def _tidy(self, keep: str) -> None:
        """Throw away what is too old or too much."""
        notices = sorted(self._all(), key=lambda one: (one.state == WAITING, _time(one.at)))
        others = [_time(one.at) for one in notices if one.subject != keep]
        # A clock that is ahead must not have them all thrown away.
        now = min(datetime.now(UTC), max(others, default=datetime.now(UTC)) + LONGEST_PAUSE)
        beyond = len(notices) - MOST
        delivered = 0
        # The one that is kept may be anywhere among those of its second.
        for place, notice in enumerate(one for one in notices if one.subject != keep):
            days = WAITING_DAYS if notice.state == WAITING else SENT_DAYS
            old = now - _time(notice.at) > timedelta(days=days)
            if not (old or place < beyond):
                continue
            if notice.state == WAITING:
                why = f"nobody could be told for {days} days" if old else f"over {MOST} wait"
                self._throw_away(notice, why)
            else:
                self._remove(self.path(notice.subject))
                delivered += 1
        if delivered:
            log.info("%d notices that were delivered long ago left %s", delivered, self.folder)

    def _throw_away(self, notice: Notice, why: str) -> None:
        self.path(notice.subject).unlink(missing_ok=True)
        log.warning(
            "the notice on %r of %s is thrown away unsent: %s", notice.subject, notice.at, why
        )

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
                notice = _parsed(file.read(MAX_BYTES))
            if self.path(notice.subject) != path:
                raise ValueError("its name is not its subject's")
            if notice.state == WAITING and _receipt(path).is_file():
                received = _receipt(path).read_text(errors="replace") == _digest(notice)
                notice = replace(notice, state=SENT) if received else notice
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
        for each in (path, _receipt(path)):
            try:
                each.unlink(missing_ok=True)
            except OSError as error:
                log.warning("%s cannot be thrown away: %s", each, error.strerror)

    def _write(self, notice: Notice) -> None:
        text = json.dumps(asdict(notice), indent=1)
        files.atomic_write(self.path(notice.subject), text + "\n")

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


def _receipt(path: Path) -> Path:
    """The file that says that the notice in `path` was accepted."""
    return path.with_name(f".{path.stem}.receipt")


def _digest(notice: Notice) -> str:
    """What tells a notice from other news of its subject."""
    known = json.dumps([notice.subject, notice.at, notice.title, notice.text])
    return hashlib.sha256(known.encode("utf-8", "surrogatepass")).hexdigest()


def _parsed(data: bytes) -> Notice:
    """The notice in a file's bytes; ValueError, TypeError or AttributeError where it is none."""
    given = json.loads(data)
    # Up to 2.1.0 a third state said that somebody was sending it; who is killed then never says so.
    state = SENT if given.get("state") == SENT else WAITING
    texts = {name: given.get(name) for name in ("subject", "at", "title", "text")}
    link, refusals = given.get("link"), given.get("refusals", 0)
    if not all(isinstance(text, str) for text in (*texts.values(), link or "")):
        raise ValueError("it lacks a text")
    if not isinstance(refusals, int):
        raise ValueError("it counts no refusals")
    _time(texts["at"])
    return Notice(**texts, state=state, link=link, refusals=refusals)


def _time(at: str) -> datetime:
    moment = datetime.fromisoformat(at)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
