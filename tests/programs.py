"""The programs that tests and benchmarks may start by name: nobody else's machine has more.

And how Python is started, so that what is tested is what is installed.
"""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Part of every Debian: its essential packages, and git, which a checkout takes.
ESSENTIAL = {"bash", "git", "mount", "prlimit", "setpriv", "sh", "true", "umount"}
# Each with the package of `script/install.py` that brings it.
INSTALLED = {
    "amtool": "prometheus-alertmanager",
    "bwrap": "bubblewrap",
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "promtool": "prometheus",
}


def refuse_others(event: str, arguments: tuple) -> None:
    """An audit hook: AssertionError where a test starts a program by another name, or Python so
    that it looks for modules in the folder that it is started in.

    Names with a folder are the caller's own affair, and so is what a library starts.
    """
    if event != "subprocess.Popen":
        return
    name, words = str(arguments[0]), list(map(str, arguments[1]))
    for python, option in pairwise(words):
        if python == sys.executable and option in ("-c", "-m") and "tests" in _folders(_caller()):
            raise AssertionError(
                f"{_caller().name} starts Python with {option} and without -P: what it imports "
                "would be the checkout's, not the installed wheel's"
            )
    if "/" in name or name in ESSENTIAL or name in INSTALLED:
        return
    if {"tests", "benchmarks"} & _folders(_caller()):
        raise AssertionError(
            f"{_caller().name} starts {name}, which script/install.py does not install; read "
            "/proc, or add its package there and its name to tests/programs.py"
        )


def _caller() -> Path:
    """The file that called subprocess."""
    frame = sys._getframe(2)
    while frame.f_back and frame.f_code.co_filename == subprocess.__file__:
        frame = frame.f_back
    return Path(frame.f_code.co_filename)


def _folders(path: Path) -> set[str]:
    return set(path.relative_to(ROOT).parts[:1]) if path.is_relative_to(ROOT) else set()
