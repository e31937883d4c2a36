"""The programs that tests and benchmarks may start by name: nobody else's machine has more."""

from __future__ import annotations

import subprocess
import sys
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
    """An audit hook: AssertionError where a test starts a program by another name.

    Names with a folder are the caller's own affair, and so is what a library starts.
    """
    if event != "subprocess.Popen":
        return
    name = str(arguments[0])
    if "/" in name or name in ESSENTIAL or name in INSTALLED:
        return
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename == subprocess.__file__:
        frame = frame.f_back
    caller = Path(frame.f_code.co_filename)
    if any(caller.is_relative_to(ROOT / folder) for folder in ("tests", "benchmarks")):
        raise AssertionError(
            f"{caller.name} starts {name}, which script/install.py does not install; read /proc, "
            "or add its package there and its name to tests/programs.py"
        )
