"""What time it is: read from here, so that what happened can be played again as of its own time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_SET: ContextVar[float | None] = ContextVar("moment", default=None)


def seconds() -> float:
    """The time now, in seconds since 1970: the machine's, or what `at` has set."""
    moment = _SET.get()
    return time.time() if moment is None else moment


def utc() -> datetime:
    """The time now, in UTC and aware of it."""
    return datetime.fromtimestamp(seconds(), UTC)


def standing() -> datetime | None:
    """The moment that `at` has set, for another process to set too; None where time goes on."""
    moment = _SET.get()
    return None if moment is None else datetime.fromtimestamp(moment, UTC)


@contextmanager
def at(moment: datetime) -> Iterator[None]:
    """Have it be `moment` (aware) inside the block, where time stands still; in this thread alone,
    and in what asyncio starts from it. Blocks may be nested: after the inner one the outer moment
    holds again.

    How long something took is measured by `time.monotonic`, which goes on. Raises ValueError for a
    naive moment, which is none.
    """
    if moment.tzinfo is None:
        raise ValueError(
            f"{moment.isoformat()} has no time zone: it is no moment to set a clock to"
        )
    before = _SET.set(moment.timestamp())
    try:
        yield
    finally:
        _SET.reset(before)
