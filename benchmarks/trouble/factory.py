"""A little factory in an Access file, retrained on in seconds, whose rule takes a model: each of
eight columns decides about an operation of its own, so that no past item is to be copied.
"""

import sqlite3
import struct
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))

from access_builder import DATE, DOUBLE, LONG, TEXT, Builder, Column

EPOCH = datetime(1899, 12, 30)
ITEMS, MISSING, LATER = 260, 12, 40
FIRST = datetime(2024, 1, 1)
AS_OF = "2026-11-01"
JOBS = ("SAW", "TURN", "MILL", "DRILL", "HARDEN", "GRIND", "COAT", "MARK")
ITEM_COLUMNS = ("ITEM_CD", "WIDTH", "INSRT_DT", *(f"TO_{job}" for job in JOBS))
STEP_COLUMNS = ("ITEM_CD", "ROUT_NO", "PROC_SEQ", "JOB_CD", "RES_CD", "INSRT_DT", "SETUP_TIME")
COLUMNS = """
[items]
table = "items"
item = "ITEM_CD"
entered = "INSRT_DT"
[routings]
table = "routings"
item = "ITEM_CD"
revision = "ROUT_NO"
sequence = "PROC_SEQ"
operation = "JOB_CD"
resource = "RES_CD"
entered = "INSRT_DT"
setup_minutes = "SETUP_TIME"
run_minutes = "RUN_TIME"
"""


@dataclass(frozen=True)
class Later:
    """`LATER` more items: one is entered each day from `first` on, all are routed at `routed`."""

    first: datetime
    routed: datetime


def write(
    folder: Path, *, mark: int = 0, run_time: str = "RUN_TIME", later: Later | None = None
) -> Path:
    """Write `erp.accdb` and `columns.toml`; returns the file of the factory.

    Every run time is longer by `mark` thousand minutes, so that of two files that are mixed the
    dataset shows both; `run_time` names their column; `later` come on top.
    """
    items, steps = _rows(mark, later)
    builder = Builder()
    _table(builder, "items", _columns(ITEM_COLUMNS), items)
    _table(builder, "routings", _columns([*STEP_COLUMNS, run_time]), steps)
    (folder / "columns.toml").write_text(COLUMNS)
    path = folder / "erp.accdb"
    path.write_bytes(builder.build())
    return path


def write_sqlite(path: Path) -> None:
    """The same factory as a SQLite file."""
    with closing(sqlite3.connect(path)) as database:
        for table, columns, rows in zip(
            ("items", "routings"),
            (ITEM_COLUMNS, [*STEP_COLUMNS, "RUN_TIME"]),
            _rows(0),
            strict=True,
        ):
            kinds = {TEXT: "TEXT", LONG: "INTEGER", DOUBLE: "REAL", DATE: "TEXT"}
            described = ", ".join(f"{name} {kinds[kind]}" for name, kind in _columns(columns))
            database.execute(f"CREATE TABLE {table} ({described})")
            marks = ", ".join("?" * len(columns))
            plain = [[str(v) if isinstance(v, datetime) else v for v in row] for row in rows]
            database.executemany(f"INSERT INTO {table} VALUES ({marks})", plain)
        database.commit()


def later_steps(later: Later) -> list[list]:
    """The operations that planners write for these."""
    return [row for row in _rows(0, later)[1] if row[5] == later.routed]


def _rows(mark: int, later: Later | None = None) -> tuple[list[list], list[list]]:
    """Items, of which the last `MISSING` before `later` have no routing, and operations."""
    random = np.random.default_rng(7)
    items, steps = [], []
    for n in range(ITEMS + MISSING + (LATER if later else 0)):
        code, entered = f"P{n:04}", FIRST + timedelta(days=3 * n)
        routed = entered if n < ITEMS else None
        if later and n >= ITEMS + MISSING:
            entered = later.first + timedelta(days=n - ITEMS - MISSING)
            routed = later.routed
        width = round(float(random.uniform(1, 100)), 1)
        needed = random.random(len(JOBS)) < 0.5
        items.append([code, width, entered, *("Y" if need else "N" for need in needed)])
        if routed:
            jobs = [job for job, need in zip(JOBS, needed, strict=True) if need]
            for place, job in enumerate(["START", *jobs, "TEST"], start=1):
                minutes = 1000.0 * mark + round(width / 10 + place, 2)
                steps.append([code, "1", 10 * place, job, f"{job}-1", routed, 5.0, minutes])
    return items, steps


def _columns(names: Sequence[str]) -> list[tuple[str, int]]:
    kinds = {"WIDTH": DOUBLE, "INSRT_DT": DATE, "PROC_SEQ": LONG}
    minutes = ("SETUP_TIME", "RUN_TIME", "MINUTES")
    return [(name, DOUBLE if name in minutes else kinds.get(name, TEXT)) for name in names]


def _table(builder: Builder, name: str, columns: list[tuple[str, int]], rows: list[list]) -> None:
    described = [
        Column(column, kind, fixed=False, length=100) if kind == TEXT else Column(column, kind)
        for column, kind in columns
    ]
    kinds = [kind for _, kind in columns]
    packed = [[_packed(v, k) for v, k in zip(row, kinds, strict=True)] for row in rows]
    builder.table(name, described, packed)


def _packed(value: str | float | datetime, kind: int) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-16-le")
    if isinstance(value, datetime):
        return struct.pack("<d", (value - EPOCH).total_seconds() / 86_400)
    return struct.pack("<i" if kind == LONG else "<d", value)
