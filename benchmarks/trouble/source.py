"""Trouble with the source: it vanishes, is locked, replaced, truncated, or has other columns."""

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pyarrow.parquet as parquet

from trouble import factory
from trouble.bed import RETRAIN, Bed, Row, after, one_line

Trouble = Callable[[Bed, random.Random], AbstractContextManager[Callable[[], object]]]
"""Prepares a bed, and mends it in the end; what it yields is done while the command runs."""
LONGEST_SECONDS = 1.0


def rows(make: Callable, trials: int, chance: random.Random) -> Iterator[Row]:
    """A row for each trouble; after each, with the file as it was, the product goes on."""
    for name, trouble, may_succeed in TROUBLES:
        row = Row(f"source {name}")
        for _ in range(trials):
            with make() as bed:
                _trial(bed, row, trouble, may_succeed, chance)
        yield row


def _trial(bed: Bed, row: Row, trouble: Trouble, may_succeed: bool, chance: random.Random) -> None:
    path = bed.folder / "erp.accdb"
    content, before = path.read_bytes(), bed.known()
    with trouble(bed, chance) as meanwhile:
        moment = chance.uniform(0, LONGEST_SECONDS)
        ended = bed.command(*RETRAIN, meanwhile=after(moment, meanwhile))
    row.trials += 1
    row.lines += one_line(ended)
    if ended.code == 0 and not may_succeed:
        row.lost.append("it succeeded on what cannot be right")
    row.lost += _mixtures(bed)
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    again = bed.command("predict", "--out", str(bed.folder / "p.csv"))
    row.went_on += again.code == 0
    bed.judge(row, before)


def _mixtures(bed: Bed) -> list[str]:
    """Datasets whose run times are of more than one state of the file."""
    found = []
    for path in bed.home.glob("*/**/*.parquet"):
        if path.name.endswith("_items.parquet") or "proposals" in path.parts:
            continue
        minutes = parquet.read_table(path, columns=["RUN_TIME"])["RUN_TIME"].to_pylist()
        if len({value // 1000 for value in minutes}) > 1:
            found.append(f"{path.name} mixes two states of the file")
    return found


@contextmanager
def _vanishes(bed: Bed, _: random.Random) -> Iterator[Callable[[], object]]:
    yield (bed.folder / "erp.accdb").unlink


@contextmanager
def _replaced(bed: Bed, _: random.Random) -> Iterator[Callable[[], object]]:
    other = _another(bed, mark=1)
    yield lambda: other.replace(bed.folder / "erp.accdb")


@contextmanager
def _overwritten(bed: Bed, _: random.Random) -> Iterator[Callable[[], object]]:
    content = _another(bed, mark=1).read_bytes()

    def overwrite() -> None:
        with (bed.folder / "erp.accdb").open("r+b") as file:
            for start in range(0, len(content), 8192):
                file.write(content[start : start + 8192])
                file.flush()

    yield overwrite


@contextmanager
def _truncated(bed: Bed, chance: random.Random) -> Iterator[Callable[[], object]]:
    _truncate(bed.folder / "erp.accdb", chance)
    yield lambda: None


@contextmanager
def _truncated_meanwhile(bed: Bed, chance: random.Random) -> Iterator[Callable[[], object]]:
    yield lambda: _truncate(bed.folder / "erp.accdb", chance)


@contextmanager
def _other_columns(bed: Bed, _: random.Random) -> Iterator[Callable[[], object]]:
    _another(bed, run_time="MINUTES").replace(bed.folder / "erp.accdb")
    yield lambda: None


@contextmanager
def _locked(bed: Bed, _: random.Random) -> Iterator[Callable[[], object]]:
    """As a SQLite file, which another program holds."""
    path = bed.folder / "erp.sqlite"
    factory.write_sqlite(path)
    usual = bed.env["ROUTING_ML_SOURCE"]
    bed.env["ROUTING_ML_SOURCE"] = str(path)
    holder = sqlite3.connect(path)
    holder.execute("BEGIN EXCLUSIVE")
    yield lambda: None
    holder.close()
    bed.env["ROUTING_ML_SOURCE"] = usual


def _another(bed: Bed, *, mark: int = 0, run_time: str = "RUN_TIME") -> Path:
    folder = bed.folder / "other"
    folder.mkdir()
    return factory.write(folder, mark=mark, run_time=run_time)


def _truncate(path: Path, chance: random.Random) -> None:
    with path.open("r+b") as file:
        file.truncate(chance.randrange(path.stat().st_size))


TROUBLES: tuple[tuple[str, Trouble, bool], ...] = (
    ("vanishes mid-read", _vanishes, True),
    ("is replaced mid-read", _replaced, True),
    ("is overwritten mid-read", _overwritten, True),
    ("is truncated mid-read", _truncated_meanwhile, True),
    ("is truncated", _truncated, False),
    ("has other columns", _other_columns, False),
    ("is locked", _locked, False),
)
