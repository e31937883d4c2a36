"""Says in single lines on standard error what went wrong, each kind once in a while, so that nobody
who makes it go wrong often can fill a disk with it.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from typing import Any

# One line of each kind in so long; what came in between is counted in the next one. At the limit of
# open files asyncio's own server wrote a line for each connection it could not take: 1 MB a second.
QUIET_SECONDS = 10.0
LINE_MOST = 500


class Log:
    """A log of few lines, however much happens."""

    def __init__(
        self,
        write: Callable[[str], Any] = lambda line: print(line, file=sys.stderr, flush=True),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`write` takes a line without its end, `clock` tells seconds."""
        self._write = write
        self._clock = clock
        self._kinds: dict[str, tuple[float, int]] = {}

    def say(self, kind: str, text: str) -> None:
        """Say it, unless something of this kind (one of few) was said shortly before."""
        now = self._clock()
        since, left_out = self._kinds.get(kind, (-QUIET_SECONDS, 0))
        if now - since < QUIET_SECONDS:
            self._kinds[kind] = (since, left_out + 1)
            return
        self._kinds[kind] = (now, 0)
        line = "".join(c if c.isprintable() else " " for c in text)[:LINE_MOST]
        self._write(f"exporter: {line}" + (f" ({left_out} more before)" if left_out else ""))

    def fault(self, where: str, error: BaseException) -> None:
        """Say which kind of error came from which line; its text may hold what is secret."""
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        line = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else "nowhere"
        self.say("fault", f"{where}: {type(error).__name__} at {line}; please report it")

    def take_over(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have what asyncio would say said here."""
        asyncio_log = logging.getLogger("asyncio")
        asyncio_log.handlers = [_Handler(self)]
        asyncio_log.propagate = False
        loop.set_exception_handler(self._of_loop)

    def _of_loop(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if isinstance(error := context.get("exception"), Exception):
            self.fault(str(context.get("message")), error)
        else:
            self.say("asyncio", str(context.get("message")))


class _Handler(logging.Handler):
    """Python's logging into such a log, without tracebacks."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.say("asyncio", record.getMessage())
