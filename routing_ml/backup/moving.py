"""Puts restored files in the place of others, all or none: what was there is moved aside, and a
journal says how far that came, so that the next restore finishes what a killed one began.
"""

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from routing_ml import files, modes
from routing_ml.errors import BackupError

WORK = ".restore"
JOURNAL = "journal.json"


@dataclass(frozen=True)
class Move:
    """`new` goes to `target`, what is there to `aside` (None: nothing was); `beside` are files of
    the target that go aside with it, such as the log of a SQLite database. Whole paths, all."""

    new: str
    target: str
    aside: str | None
    beside: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Journal:
    """A restore whose files lie ready: from when it is written until it is gone, what it says is
    being done. `store` is the file that goes into PostgreSQL."""

    backup: str
    parts: tuple[str, ...]
    moves: tuple[Move, ...]
    store: str | None = None


def begun(home: Path) -> Journal | None:
    """The restore that a killed process left, None without one; BackupError where nobody can say
    what it was."""
    path = home / WORK / JOURNAL
    try:
        facts = json.loads(path.read_bytes())
        moves = (Move(**{**m, "beside": tuple(map(tuple, m["beside"]))}) for m in facts["moves"])
        known = {**facts, "moves": tuple(moves), "parts": tuple(facts["parts"])}
        return Journal(**known)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BackupError(
            f"{path} cannot be read ({error}): move it away; what was replaced is in "
            f"{home / 'replaced'}"
        ) from None


def require_whole(home: Path) -> None:
    """BackupError while a restore that was killed halfway waits to be finished."""
    with files.told_as(BackupError, f"state folder {home} cannot be looked at"):
        is_begun = (home / WORK / JOURNAL).exists()
    if is_begun:
        raise BackupError(f"a restore of {home} was interrupted: 'routing-ml restore' finishes it")


def write(home: Path, journal: Journal) -> None:
    """From now on the restore is finished by whoever comes next."""
    files.atomic_write(home / WORK / JOURNAL, json.dumps(asdict(journal), indent=1))


def carry_out(moves: Sequence[Move]) -> None:
    """Do what has not been done yet. Where one cannot be done, all are undone: OSError."""
    done: list[Move] = []
    try:
        for move in moves:
            done.append(move)
            _do(move)
    except OSError:
        for move in reversed(done):
            _undo(move)
        raise


def undo(moves: Sequence[Move]) -> None:
    """Have all as it was."""
    for move in reversed(moves):
        _undo(move)


def clear(home: Path) -> None:
    """Remove the journal, then what was prepared for it."""
    with suppress(FileNotFoundError):
        (home / WORK / JOURNAL).unlink()
        files.fsync(home / WORK)
    shutil.rmtree(home / WORK, ignore_errors=True)


def _do(move: Move) -> None:
    if not os.path.lexists(move.new):
        return  # done before
    # What came there since the restore was planned goes aside too.
    kept = move.aside or f"{move.target}.replaced"
    for path, aside in (*move.beside, (move.target, kept)):
        if os.path.lexists(path):
            modes.make_folder(Path(aside).parent)
            _rename(Path(path), _unused(Path(aside)))
    modes.make_folder(Path(move.target).parent)
    _rename(Path(move.new), Path(move.target))


def _undo(move: Move) -> None:
    """Each step back that can be taken: of a disk that fails nobody can have more."""
    with suppress(OSError):
        if not os.path.lexists(move.new) and os.path.lexists(move.target):
            _rename(Path(move.target), Path(move.new))
        kept = move.aside or f"{move.target}.replaced"
        for path, aside in ((move.target, kept), *move.beside):
            if os.path.lexists(aside) and not os.path.lexists(path):
                _rename(Path(aside), Path(path))


def _unused(path: Path) -> Path:
    """The path, or one beside it where something was moved aside there already."""
    found, number = path, 2
    while os.path.lexists(found):
        found, number = path.with_name(f"{path.name}.{number}"), number + 1
    return found


def _rename(path: Path, target: Path) -> None:
    path.rename(target)
    files.fsync(target.parent)
    if path.parent != target.parent:
        files.fsync(path.parent)
