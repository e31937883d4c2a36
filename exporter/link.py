"""Reads the store in a thread of its own, so that a slow, locked or silent store never holds up
an answer: whoever asks waits a fraction of a second and then gets an error instead.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

from routing_ml.errors import RoutingError
from routing_ml.store import Snapshot, Store, StoreError

ANSWER_SECONDS = 0.15  # a scrape is to be answered within .25, whatever the store does
RESET_SECONDS = 5.0
# Scrapes closer together than this share one reading.
FRESH_SECONDS = 0.1
STUCK_SECONDS = 8.0

Job = tuple[Callable[[Store], Any], asyncio.Future, bool]


class Link:
    """The exporter's way to the store: one thread, one connection, one thing at a time."""

    def __init__(self, url: str) -> None:
        """Nothing is opened before `start`."""
        self.url = url
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._store: Store | None = None
        self._busy_since: float | None = None
        self._reading: asyncio.Future | None = None
        self._last: Snapshot | None = None
        self._last_at = 0.0

    def start(self) -> None:
        """Start the thread; call it inside the event loop."""
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._work, name="store", daemon=True).start()

    async def snapshot(self) -> Snapshot:
        """The store's totals as of now. Raises StoreError when it cannot be read in time."""
        if self._last is not None and time.monotonic() - self._last_at < FRESH_SECONDS:
            return self._last
        if self._reading is None or self._reading.done():
            self._reading = self._ask(Store.snapshot, write=False)
            self._reading.add_done_callback(self._keep)
        return await self._wait(self._reading, ANSWER_SECONDS)

    async def read(self, question: Callable[[Store], Any]) -> Any:
        """What `question` reads from the store. Raises StoreError when it cannot in time."""
        return await self._wait(self._ask(question, write=False), ANSWER_SECONDS)

    async def change(self, action: Callable[[Store], Any]) -> Any:
        """Have `action` write to the store. Raises StoreError when it cannot in time."""
        self._last = None
        return await self._wait(self._ask(action, write=True), RESET_SECONDS)

    def _ask(self, question: Callable[[Store], Any], *, write: bool) -> asyncio.Future:
        assert self._loop is not None
        future = self._loop.create_future()
        # Nobody may be left to hear of a failure; asking for it keeps asyncio from complaining.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._jobs.put((question, future, write))
        return future

    async def _wait(self, future: asyncio.Future, seconds: float) -> Any:
        done, _ = await asyncio.wait([future], timeout=seconds)
        if done:
            return future.result()
        since = self._busy_since
        if since is not None and time.monotonic() - since > STUCK_SECONDS:
            store = self._store
            if store is not None:
                store.shut()
        raise StoreError(
            f"the monitoring store did not answer within {seconds:g} s; "
            "see whether it is reachable and not locked"
        )

    def _keep(self, future: asyncio.Future) -> None:
        if not future.cancelled() and future.exception() is None:
            self._last, self._last_at = future.result(), time.monotonic()

    def _work(self) -> None:
        assert self._loop is not None
        while True:
            question, future, write = self._jobs.get()
            self._busy_since = time.monotonic()
            try:
                result, error = self._answer(question, write), None
            except RoutingError as told:
                result, error = None, told
            except Exception as unknown:  # the thread must outlive whatever a damaged store holds
                result, error = None, StoreError(f"the store's content is damaged: {unknown!r}")
            self._busy_since = None
            try:
                self._loop.call_soon_threadsafe(_settle, future, result, error)
            except RuntimeError:
                return  # the loop has ended, and so does the process

    def _answer(self, question: Callable[[Store], Any], write: bool) -> Any:
        if write:
            with closing(Store(self.url)) as store:
                return question(store)
        # A new SQLite connection each time (0.2 ms): one kept open would go on answering from
        # its memory when the file below it was replaced or damaged.
        keep = not self.url.startswith("sqlite:")
        store = self._store or Store(self.url, write=False)
        if keep:
            self._store = store
        try:
            return question(store)
        except BaseException:
            keep, self._store = False, None
            raise
        finally:
            if not keep:
                store.close()


def _settle(future: asyncio.Future, result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
