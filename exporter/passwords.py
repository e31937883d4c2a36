"""Who is let in: passwords against bcrypt hashes, without a crowd of wrong ones in the way.

A check takes some 60 ms of a core by design, so 1,000 wrong passwords would take a minute. What was
found out is remembered, and looked up before anybody waits; few wait for a check; the others are
told to come back, and who does come back is checked first: a client asks again and again with the
same password, a guess comes once.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import os
import secrets
import sys
import threading
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

# So many wait for a check in each of the two rows: a new password waits 5 checks at most.
WAITING_MOST = 2
# The wrong ones that are known: who sends the same again gets no second check.
WRONG_MOST = 1024
# Of who was told to come back 32 bits are kept, in 1 MiB: at 1,000 guesses a second one of them is
# still known after 15 s with 94 %. A chance hit only means to be checked earlier.
RETURNING_SLOTS = 1 << 18
# bcrypt takes 72 bytes; the toolkit cuts there too.
PASSWORD_BYTES = 72
NICENESS = 10


class BusyError(Exception):
    """Too many unknown passwords are waiting for a check."""


class Passwords:
    """Checks basic authentication, one bcrypt at a time and off the event loop."""

    def __init__(
        self,
        users: Mapping[str, str],
        *,
        before: Passwords | None = None,
        matches: Callable[[bytes, str], bool] | None = None,
    ) -> None:
        """`users` are bcrypt hashes by name. What `before` found right holds on for those users
        whose hash is the same; `matches` tells whether a password has a hash."""
        self._users = users
        self._key: bytes = before._key if before else secrets.token_bytes(32)
        self._right: dict[str, bytes] = {}
        if before:
            same = (name for name in users if before._users.get(name) == users[name])
            self._right = {name: before._right[name] for name in same if name in before._right}
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        self._returning = array("I", bytes(4 * RETURNING_SLOTS)) if users else array("I")
        self._checks: dict[bytes, asyncio.Future[bool]] = {}
        self._rows: tuple[deque[_Check], deque[_Check]] = (deque(), deque())
        self._worker: asyncio.Task[None] | None = None
        self._matches = matches or _matches
        self._thread: ThreadPoolExecutor = (
            before._thread if before else ThreadPoolExecutor(1, "password", _give_way)
        )

    async def accept(self, header: str) -> bool:
        """Whether an Authorization header names a user with the right password.

        Raises BusyError where that would have to wait too long to be found out.
        """
        check = self._read(header)
        if check is None:
            return False
        known = self._known(check)
        if known is not None:
            return known
        found = self._checks.get(check.mark) or self._join(check)
        # Who leaves early must not end it for others with the same password.
        return await asyncio.shield(found)

    @property
    def crowded(self) -> bool:
        """Whether a password that was never seen could not be checked now."""
        return len(self._rows[0]) >= WAITING_MOST

    def turned_away(self, header: str) -> bool:
        """Whether `accept` would raise BusyError, as soon as that can be said."""
        check = self._read(header)
        if check is None or self._known(check) is not None or check.mark in self._checks:
            return False
        return self._row(check) is None

    def _read(self, header: str) -> _Check | None:
        given = _read(header)
        if given is None:
            return None
        name, password = given
        mark = hmac.digest(self._key, name + b":" + password, "sha256")
        return _Check(mark, name.decode("utf-8", "replace"), password)

    def _known(self, check: _Check) -> bool | None:
        """What is remembered of it."""
        if hmac.compare_digest(self._right.get(check.user, b""), check.mark):
            return True
        if check.mark in self._wrong:
            self._wrong.move_to_end(check.mark)
            return False
        return None

    def _row(self, check: _Check) -> deque[_Check] | None:
        """Where it may wait; None where there is no room, and then it is known when it returns."""
        slot = int.from_bytes(check.mark[:4], "big") % RETURNING_SLOTS
        tag = int.from_bytes(check.mark[4:8], "big") | 1
        row = self._rows[self._returning[slot] == tag]
        if len(row) < WAITING_MOST:
            return row
        self._returning[slot] = tag
        return None

    def _join(self, check: _Check) -> asyncio.Future[bool]:
        """Have it checked in its turn."""
        row = self._row(check)
        if row is None:
            raise BusyError
        row.append(check)
        loop = asyncio.get_running_loop()
        self._checks[check.mark] = found = loop.create_future()
        if self._worker is None or self._worker.done():
            self._worker = loop.create_task(self._work())
        return found

    async def _work(self) -> None:
        """Check one after the other, in turns from those that come again and the new ones."""
        new, again = self._rows
        first, second = again, new
        while first or second:
            check = (first or second).popleft()
            first, second = second, first
            found = self._checks[check.mark]
            try:
                right = await self._check(check)
            except Exception as error:  # whoever asked must hear of it, and the next be checked
                del self._checks[check.mark]
                if not found.cancelled():
                    found.set_exception(error)
                    found.exception()
                continue
            if right:
                self._right[check.user] = check.mark
            else:
                self._wrong[check.mark] = None
                if len(self._wrong) > WRONG_MOST:
                    self._wrong.popitem(last=False)
            del self._checks[check.mark]
            if not found.cancelled():
                found.set_result(right)

    async def _check(self, check: _Check) -> bool:
        # An unknown name takes as long as a wrong password, so that names cannot be found out.
        known = check.user in self._users
        stored = self._users.get(check.user) or next(iter(self._users.values()))
        loop = asyncio.get_running_loop()
        right = await loop.run_in_executor(self._thread, self._matches, check.password, stored)
        return right and known


class _Check:
    """A password that is to be checked, and what it is known by."""

    def __init__(self, mark: bytes, user: str, password: bytes) -> None:
        self.mark = mark
        self.user = user
        self.password = password


def bears(header: str, token: str) -> bool:
    """Whether an Authorization header bears this token."""
    scheme, _, given = header.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(
        given.strip().encode("latin-1", "replace"), token.encode()
    )


def _read(header: str) -> tuple[bytes, bytes] | None:
    """Name and password of an Authorization header, None where it has none."""
    scheme, _, encoded = header.partition(" ")
    try:
        name, colon, password = base64.b64decode(encoded.strip()).partition(b":")
    except (binascii.Error, ValueError):
        return None
    if scheme.lower() != "basic" or not colon:
        return None
    return name, password[:PASSWORD_BYTES]


def _matches(password: bytes, stored: str) -> bool:
    import bcrypt  # here, since it is needed with passwords only

    return bcrypt.checkpw(password, stored.encode())


def _give_way() -> None:
    """Let whoever answers go first: on Linux a thread has a niceness of its own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
