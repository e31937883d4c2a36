"""Shows a run of the retraining: its tasks while it goes on, and what came of it."""

import contextlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow_api import Airflow, ApiError

ENDED = {"success", "failed", "skipped", "upstream_failed", "removed", "up_for_retry"}


class Screen:
    """Lines that stay and, where a person watches, one status line that the next one replaces."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()
        self._status = False

    def say(self, line: str) -> None:
        """Print a line at once, also into a pipe."""
        self.clear()
        print(line, flush=True)

    def status(self, line: str) -> None:
        """Show a line until the next one comes; nothing where nobody watches."""
        if self._is_terminal:
            self.clear()
            print(line[:79], end="", flush=True)
            self._status = True

    def clear(self) -> None:
        """Take the status line away."""
        if self._status:
            print("\r\033[K", end="", flush=True)
            self._status = False


def follow(airflow: Airflow, run: str, screen: Screen, check: Callable[[], None]) -> None:
    """Show each task with its seconds as it ends; returns when the run has ended.

    `check` raises when a program that the run needs has ended.
    """
    said: set[tuple[str, int, int, str]] = set()
    begun = time.monotonic()
    while True:
        over = airflow.state(run) in ("success", "failed")
        tasks = airflow.tasks(run)
        for task in sorted(tasks, key=lambda task: task["end_date"] or ""):
            key = (task["task_id"], task["map_index"], task["try_number"], task["state"])
            if task["state"] in ENDED and key not in said:
                said.add(key)
                screen.say(_line(task))
        if over:
            return
        check()
        running = ", ".join(_label(task) for task in tasks if task["state"] == "running")
        screen.status(f"  {running or 'scheduling'}, {time.monotonic() - begun:.0f} s")
        time.sleep(1)


def _line(task: dict[str, Any]) -> str:
    seconds = "" if task["duration"] is None else f"{task['duration']:.1f} s"
    state = "" if task["state"] == "success" else task["state"].replace("_", " ")
    return f"  {_label(task):22} {seconds:>9}   {state}".rstrip()


def _label(task: dict[str, Any]) -> str:
    if task["map_index"] < 0:
        return task["task_id"]
    return f"{task['task_id']} {task['rendered_map_index'] or task['map_index']}"


def show_outcome(airflow: Airflow, run: str, runs: Path, say: Callable[[str], None]) -> bool:
    """Print what the run wrote down itself and what failed; whether it succeeded."""
    succeeded = airflow.state(run) == "success"
    file = runs / run / "outcome.json"
    if not file.exists():
        say(f"outcome   {'succeeded' if succeeded else 'failed'}, but the run left no {file}")
        for task, why in _errors(airflow, run).items():
            say(f"{task:9} {why}")
        return False
    outcome = json.loads(file.read_text())
    succeeded = succeeded and bool(outcome["succeeded"])
    say(f"outcome   {'succeeded' if succeeded else 'failed'}")
    for task, why in (outcome["failed"] or ({} if succeeded else _errors(airflow, run))).items():
        say(f"{task:9} {why}")
    if outcome["model"]:
        say(f"model     {outcome['model']}, {'promoted' if outcome['promoted'] else 'kept'}")
    if outcome["reason"] and not outcome["failed"]:
        say(f"reason    {outcome['reason']}")
    if outcome["metrics"]:
        shown = (f"{name} {_figure(value)}" for name, value in outcome["metrics"].items())
        say(f"metrics   {', '.join(shown)}")
    say(f"report    {outcome.get('page') or outcome['report']}")
    return succeeded


def _errors(airflow: Airflow, run: str) -> dict[str, str]:
    """The last error in the log of each task that failed, as far as Airflow has it."""
    found = {}
    for task in airflow.tasks(run):
        if task["state"] == "failed":
            with contextlib.suppress(ApiError):
                found[_label(task)] = airflow.last_error(run, task) or "its log names no error"
    return found


def _figure(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
