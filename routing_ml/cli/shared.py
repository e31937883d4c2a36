"""What the commands share: results, the source and columns they read, how they show progress."""

import argparse
import getpass
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from routing_ml.settings import DEFAULT_SOURCE, Settings, expanded, is_connection_string

if TYPE_CHECKING:
    from routing_ml.source import Columns

Result = tuple[dict[str, Any], str]
"""What a command prints: its JSON, and its text for people ('' where the JSON is the text)."""


def chosen_source(settings: Settings, given: str | None) -> tuple[Settings, str]:
    """The name of the source to read; a path or connection string takes the default's place."""
    if given is None or given in settings.sources:
        return settings, given or DEFAULT_SOURCE
    if "://" not in given and not is_connection_string(given):
        given = str(expanded(given).absolute())  # as the shell completes it
    sources = {**settings.sources, DEFAULT_SOURCE: given}
    return replace(settings, sources=sources, configured=False), DEFAULT_SOURCE


def chosen_columns(settings: Settings, source: str, options: argparse.Namespace) -> "Columns":
    """The columns file of a source; one given with the command comes first."""
    from routing_ml.source import Columns

    return Columns.load(options.columns or settings.columns.get(source))


def progress() -> Callable[[str, int], None]:
    """Shows rows as they are read, when a person watches."""
    if not sys.stderr.isatty():
        return lambda table, rows: None
    return lambda table, rows: print(f"\r{table}: {rows:,} rows read ", end="", file=sys.stderr)


def say(line: str) -> None:
    lead = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(f"{lead}{line}", file=sys.stderr)


def user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user has a number and no name
        return f"user {os.getuid()}"


def figure(value: float | None) -> str:
    return " none" if value is None else f"{value:.3f}"
