"""Starts programs with a log file each and ends every process that came of them.

Linux only: orphans are adopted by this process (PR_SET_CHILD_SUBREAPER), so that whatever a
program started, also in a process group of its own as Airflow's tasks are, is found in /proc.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

GRACE_SECONDS = 5.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


class Stopped(BaseException):
    """A signal asked for the end; raised once, further signals are ignored."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class ProcessError(Exception):
    """A program that ended though it should serve."""


def stop_on_signals() -> None:
    """Turn Ctrl-C, a closed terminal and SIGTERM into one `Stopped` in the main thread."""

    def stop(number: int, frame: FrameType | None) -> None:
        for each in STOP_SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(number)

    for number in STOP_SIGNALS:
        # nohup ignores SIGHUP for its program, and that holds; a shell's `&` ignores SIGINT.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stop)


class Processes:
    """The programs of one start, by name."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start a program in a session of its own, so that the terminal's Ctrl-C passes it by."""
        with self.log(name).open("wb") as output:
            self._running[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environment),
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )

    def log(self, name: str) -> Path:
        """Where the output of a program goes."""
        return self.logs / f"{name}.log"

    def finish(self, name: str) -> None:
        """Wait for a program that ends by itself; raise when its code is not 0."""
        if self._running[name].wait() == 0:
            del self._running[name]
        self.check()

    def ended(self, name: str) -> int | None:
        """The code that a program of this start ended with, None while it runs."""
        return self._running[name].poll()

    def check(self, *, but: str = "") -> None:
        """Raise when a program has ended, `but` for one: what it said last is in the message."""
        for name, process in self._running.items():
            if name != but and process.poll() is not None:
                lines = self.log(name).read_text(errors="replace").splitlines()
                tail = [line for line in lines if line.strip()][-5:]
                raise ProcessError(
                    f"{name} ended with code {process.returncode}; its log is {self.log(name)}"
                    + "".join(f"\n  {line}" for line in tail)
                )

    def stop(self) -> None:
        """End every descendant: asked first, killed after `GRACE_SECONDS`; returns when none is."""
        for number in STOP_SIGNALS:  # a second Ctrl-C must not leave the rest behind
            signal.signal(number, signal.SIG_IGN)
        end = time.monotonic() + GRACE_SECONDS
        asked: set[int] = set()
        while alive := _descendants():
            late = time.monotonic() > end
            for pid in alive:
                if late or pid not in asked:
                    asked.add(pid)
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
            if (
                time.monotonic() > end + GRACE_SECONDS
            ):  # such as apt-get under sudo: not ours to end
                return
            time.sleep(0.05)


def _end_with_parent() -> None:
    """In the child: be told to end should this process be killed without a chance to stop it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _descendants() -> list[int]:
    """The processes below this one, also those that ended below another and wait to be reaped."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # "pid (name) state parent ...", where the name may hold spaces and brackets
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                children.setdefault(int(parent), []).append(int(entry.name))
    found = children.pop(os.getpid(), [])
    for pid in found:
        found.extend(children.pop(pid, []))
    return found
