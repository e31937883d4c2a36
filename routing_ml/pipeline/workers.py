"""Processes that work beside this one, each on one task after the other."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from multiprocessing.connection import Connection, wait
from typing import Any, Self

from routing_ml import clock
from routing_ml.errors import ModelError, RoutingError, reason_of


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def came_of(function: Callable[..., Any], *given: Any) -> Any:
    """What a function returns, or the exception that it raises."""
    try:
        return function(*given)
    except Exception as error:
        return error


class Workers:
    """So many processes, started as they are needed; with this process all of them end.

    One that is killed, as for want of memory, is the failure of its task alone.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._idle: list[tuple[Connection, Any]] = []
        self._busy: dict[Connection, tuple[str, Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self.close()

    @property
    def free(self) -> int:
        """How many more tasks could be begun now."""
        return self._most - len(self._busy)

    @property
    def busy(self) -> int:
        """How many tasks have not ended."""
        return len(self._busy)

    def give(
        self, name: str, function: Callable[..., Any], *given: Any, at: datetime | None = None
    ) -> None:
        """Begin a task: what `function`, which can be imported by its name, makes of what is given,
        as of the moment `at`, if there is one (`clock.at`)."""
        idle = [one for one in self._idle if one[1].is_alive()]
        mine, process = idle.pop() if idle else _start(self._most)
        self._idle = idle
        with suppress(OSError):  # it has ended, which is heard below
            mine.send((at, function, given))
        self._busy[mine] = name, process

    def ended(self, *, patience: float | None = None) -> list[tuple[str, Any]]:
        """The tasks that have ended since, by name, each with what it returned or raised; waited
        for until there is one, or for so many seconds."""
        found = []
        for mine in wait(list(self._busy), patience) if self._busy else []:
            assert isinstance(mine, Connection)
            name, process = self._busy.pop(mine)
            found.append((name, _received(mine, process)))
            if process.is_alive():
                self._idle.append((mine, process))
        return found

    def close(self) -> None:
        """End them, whatever they are at."""
        for mine, process in [*self._idle, *((m, p) for m, (_, p) in self._busy.items())]:
            process.kill()
            process.join()
            mine.close()
        self._idle, self._busy = [], {}


def _start(most: int) -> tuple[Connection, Any]:
    """A process that does what it is given, and the connection to it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["routing_ml.pipeline.fitting"])
    mine, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,))
    with _environment(threads=max(1, processors() // most)):
        process.start()
    theirs.close()
    return mine, process


@contextmanager
def _environment(*, threads: int) -> Iterator[None]:
    """Have a Python that is started inside import nothing from the folder that it is started in,
    and calculate on so many threads."""
    before = dict(os.environ)
    os.environ["PYTHONSAFEPATH"] = "1"
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(threads))
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def _received(mine: Connection, process: Any) -> Any:
    """What a process sends."""
    try:
        return mine.recv()
    except (EOFError, OSError):
        mine.close()
        process.join()
        return ModelError(
            f"its process ended with {process.exitcode} before it was fitted; see whether this "
            "machine has memory enough, or fit fewer candidates"
        )


def _work(theirs: Connection) -> None:
    """What a process does; it ends with the one that started it, which Ctrl-C is for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    while True:
        try:
            moment, function, given = theirs.recv()
        except EOFError:
            return
        with clock.at(moment) if moment else nullcontext():
            found = came_of(function, *given)
        if isinstance(found, Exception) and not isinstance(found, RoutingError):
            traced = "".join(traceback.format_exception(found))
            found = RoutingError(reason_of(found))  # not every error can be sent
            found.add_note(traced)
        theirs.send(found)
