"""A few threads that work, and a bounded queue before them."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

WORKERS = 4
WAITING = 200
"""Requests that wait for a worker; one more is told to come back."""

log = logging.getLogger(__name__)


class Room:
    """A few workers, and room for so many jobs to wait for them."""

    def __init__(self, workers: int = WORKERS, waiting: int = WAITING) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="slack-bot")
        self._places = threading.BoundedSemaphore(workers + waiting)

    def reserve(self) -> bool:
        """Take a place, for `fill` or `leave`; False where there is none."""
        return self._places.acquire(blocking=False)

    def fill(self, job: Callable[[], object]) -> None:
        """Have a job done that has its place."""

        def work() -> None:
            try:
                job()
            except Exception:
                log.exception("a request was not handled")
            finally:
                self._places.release()

        self._pool.submit(work)

    def leave(self) -> None:
        """Give a place back."""
        self._places.release()

    def close(self) -> None:
        """Wait for what is being done; what has not begun never does."""
        self._pool.shutdown(wait=True, cancel_futures=True)
