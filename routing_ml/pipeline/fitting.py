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
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from multiprocessing.connection import Connection, wait
from typing import Any

from routing_ml import clock
from routing_ml.errors import ModelError, RoutingError, reason_of
from routing_ml.pipeline import steps
from routing_ml.settings import Settings

SAFE_PATH = "PYTHONSAFEPATH"
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
    if min(at_once, len(candidates)) < 2:
        for candidate in candidates:
            yield candidate, _tried(settings, run_id, data, candidate)
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    waiting, running = list(candidates), dict[Connection, tuple[str, Any]]()
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                candidate = waiting.pop()  # the last ones take longest
                mine, theirs = context.Pipe(duplex=False)
                moment = clock.standing()
                if moment:  # versions are named by the second: as they are, one after the other
                    moment += timedelta(seconds=len(waiting))
                work = (theirs, moment, settings, run_id, data, candidate)
                process = context.Process(target=_work, args=work, name=candidate)
                with _safe_path():
                    process.start()
                theirs.close()
                running[mine] = candidate, process
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                candidate, process = running.pop(ready)
                yield candidate, _received(ready, process)
    finally:
        for _, process in running.values():
            process.kill()
            process.join()


@contextmanager
def _safe_path() -> Iterator[None]:
    """Have a Python that is started inside import nothing from the folder that it is started in."""
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        os.environ.pop(SAFE_PATH)
        if before is not None:
            os.environ[SAFE_PATH] = before


def _received(mine: Connection, process: Any) -> Found:
    """What a process has sent before it ended."""
    with mine:
        try:
            found: Found = mine.recv()
        except EOFError:
            process.join()
            found = ModelError(
                f"its process ended with {process.exitcode} before it was fitted; see whether this "
                "machine has memory enough, or fit fewer candidates"
            )
    process.join()
    return found


def _work(theirs: Connection, moment: datetime | None, *given: Any) -> None:
    """What a process does; it ends with the one that started it, which Ctrl-C is for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    with clock.at(moment) if moment else nullcontext():
        found = _tried(*given)
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
