"""What a start claims before anything starts: free ports, and a state folder for itself."""

import argparse
import fcntl
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

HOST = "127.0.0.1"
EXPORTER_PORT = 9877


class StartError(Exception):
    """What keeps it from starting, in one line with the next step."""


def port(text: str) -> int:
    """The port that an option names, for argparse.

    >>> port("9877")
    9877
    """
    if text.isdecimal() and 1 <= int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port; give a number from 1 to 65535")


def exporter_port(asked: int | None, env: Mapping[str, str]) -> int:
    """The exporter's: as the option has it, else the setting, else 9877."""
    if asked is not None:
        return asked
    try:
        return port(env.get("ROUTING_ML_EXPORTER_PORT") or str(EXPORTER_PORT))
    except argparse.ArgumentTypeError as error:
        raise StartError(f"ROUTING_ML_EXPORTER_PORT: {error}") from error


def check_ports(ports: Mapping[str, int], hints: Mapping[str, str] | None = None) -> None:
    """StartError where a port, by the option that chooses it, is another's; `hints` say whose it
    may be."""
    for option, number in ports.items():
        if (why := taken(number)) is not None:
            hint = f"{hints[option]}, or " if hints and option in hints else ""
            raise StartError(
                f"port {number} cannot be used ({why}); {hint}choose another with {option}"
            )


def taken(number: int) -> str | None:
    """Why nobody can listen at that port, None where it is free."""
    with socket.socket() as probe:
        # Without it, the connections of a start that just ended would look like a server.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, number))
        except OSError as error:
            return error.strerror
    return None


def home_of(env: Mapping[str, str], root: Path) -> Path:
    """The state folder: ROUTING_ML_HOME, or `var` in the checkout."""
    return Path(env.get("ROUTING_ML_HOME") or root / "var").absolute()


def hold(lock: Path, home: Path, folders: Sequence[Path], who: str, says: str) -> IO[str]:
    """The lock of one start, held while its file is open; its folders are made, for nobody else.

    `says` is what the next one is told of this one. StartError where another holds it or the state
    folder cannot be written.
    """
    try:
        for folder in (home, *folders):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in folders:  # of an earlier release
            folder.chmod(0o700)
        held = lock.open("a+")
    except OSError as error:
        raise StartError(
            f"state folder {home} cannot be written ({error.strerror}); "
            "make it writable or set ROUTING_ML_HOME to another"
        ) from error
    held.seek(0)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise StartError(
            f"{who} already runs on {home} ({held.read().strip()}); "
            "end it with Ctrl-C, or set ROUTING_ML_HOME to another folder"
        ) from error
    held.truncate(0)
    held.write(f"process {os.getpid()}, {says}\n")
    held.flush()
    return held


def holder(lock: Path) -> str | None:
    """What the start that holds this lock says of itself, None where nobody does."""
    try:
        with lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return file.read().strip()
    except OSError:
        pass
    return None
