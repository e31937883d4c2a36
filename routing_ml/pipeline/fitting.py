"""Fits the candidates of a retraining side by side, each in a process of its own, as Airflow's
workers do.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from typing import Any

from routing_ml import clock
from routing_ml.errors import ModelError, RoutingError, reason_of
from routing_ml.pipeline import steps
from routing_ml.settings import Settings

Found = steps.Reference | Exception


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def train_each(
    settings: Settings,
    run_id: str,
    data: steps.Reference,
    candidates: Sequence[str],
    *,
    at_once: int = 1,
) -> Iterator[tuple[str, Found]]:
    """Fit the candidates, so many `at_once`, and say of each what `train` returned or raised, in
    the order in which they end. With one at a time all is done in this process.

    A process that is killed, as for want of memory, is the failure of its candidate alone; with
    this process all of them end.
    """
    at_once = min(at_once, len(candidates))
    if at_once < 2:
        for candidate in candidates:
            yield candidate, _tried(settings, run_id, data, candidate)
        return
    waiting, running = list(candidates), dict[Connection, tuple[str, Any]]()

    def give(mine: Connection, process: Any) -> None:
        candidate, moment = waiting.pop(), clock.standing()  # the last ones take longest
        if moment:  # versions are named by the second: as they are, one after the other
            moment += timedelta(seconds=len(waiting))
        with suppress(OSError):  # it has ended, which is heard below
            mine.send((moment, candidate))
        running[mine] = candidate, process

    try:
        for _ in range(at_once):
            give(*_start(at_once, settings, run_id, data))
        while running:
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                candidate, process = running[ready]
                yield candidate, _received(ready, process)
                del running[ready]
                if waiting:
                    alive = process.is_alive()
                    give(*((ready, process) if alive else _start(at_once, settings, run_id, data)))
                else:
                    ready.close()
                    process.join()
    finally:
        for mine, (_, process) in running.items():
            process.kill()
            process.join()
            mine.close()


def _start(at_once: int, *given: Any) -> tuple[Connection, Any]:
    """A process that fits what it is given, one after the other, and the connection to it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    mine, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, *given))
    with _environment(threads=max(1, processors() // at_once)):
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


def _received(mine: Connection, process: Any) -> Found:
    """What a process sends."""
    try:
        found: Found = mine.recv()
    except (EOFError, OSError):
        process.join()
        return ModelError(
            f"its process ended with {process.exitcode} before it was fitted; see whether this "
            "machine has memory enough, or fit fewer candidates"
        )
    return found


def _work(theirs: Connection, settings: Settings, run_id: str, data: steps.Reference) -> None:
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
            moment, candidate = theirs.recv()
        except EOFError:
            return
        with clock.at(moment) if moment else nullcontext():
            found = _tried(settings, run_id, data, candidate)
        if isinstance(found, Exception) and not isinstance(found, RoutingError):
            traced = "".join(traceback.format_exception(found))
            found = RoutingError(reason_of(found))  # not every error can be sent
            found.add_note(traced)
        theirs.send(found)


def _tried(settings: Settings, run_id: str, data: steps.Reference, candidate: str) -> Found:
    try:
        return steps.train(settings, run_id, data, candidate)
    except Exception as error:
        return error
