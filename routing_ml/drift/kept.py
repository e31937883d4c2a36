"""What a version keeps for the watches: JSON files in its folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from routing_ml.errors import ModelError
from routing_ml.files import atomic_write

DAMAGED = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError),
    RecursionError,
)
"""What a file that was changed by hand or cut off may lead to."""


def save(path: Path, name: str, facts: Mapping[str, Any]) -> Path:
    """Write facts to `path`, in a folder as `name`; returns the file."""
    path = _file(path, name)
    atomic_write(path, json.dumps(facts))
    return path


@contextmanager
def reading(path: Path, name: str, what: str) -> Iterator[Any]:
    """Hand on what `save` has written; ModelError where it is not that, or the block finds that it
    is none, which says `what` it should be."""
    path = _file(path, name)
    try:
        yield json.loads(path.read_text())
    except DAMAGED as error:
        raise ModelError(f"{path} is no {what} ({error}): train the model again") from error


def _file(path: Path, name: str) -> Path:
    return path / name if path.is_dir() else path
