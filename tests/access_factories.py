"""Whole factories as Access files, written byte by byte: of any marker, and of any types."""

import struct
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from access_builder import (
    BINARY,
    BYTE,
    DATE,
    DOUBLE,
    EXTENDED,
    GUID,
    INTEGER,
    LARGE,
    LONG,
    SINGLE,
    TEXT,
    Builder,
    Column,
)

EPOCH = datetime(1899, 12, 30)
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
entered = "INSRT_DT"
setup_minutes = "SETUP_TIME"
run_minutes = "RUN_TIME"
"""
PLAIN = {"number": DOUBLE, "sequence": LONG, "date": DATE}
AWKWARD = {"number": SINGLE, "sequence": INTEGER, "date": DATE}


def marked(mark: int, items: int = 4_000) -> bytes:
    """A factory that has `mark` in every row: of two that are mixed, a dataset shows both."""
    names = [f"IT-{n:05}" for n in range(items)]
    rows = [(name, float(mark), datetime(2026, 1, 2)) for name in names]
    steps = [(name, "1", 10, "CUT", float(mark), float(mark), rows[0][2]) for name in names]
    return _file(rows, steps, PLAIN, more=False)


def twins(items: int = 2_600, seed: int = 0) -> tuple[bytes, bytes]:
    """The same factory twice: its numbers as Double and Long; and as Single and Integer beside
    columns of Large Number, Binary, GUID, Date/Time Extended and calculated types."""
    random = np.random.default_rng(seed)
    rows, steps = [], []
    for n in range(items):
        size = round(float(random.gamma(3, 20)), 2)
        entered = datetime.fromordinal(738_000 + int(random.integers(0, 900)))
        rows.append((f"IT-{n:05}", size, entered))
        for place in range(int(random.integers(3, 9))):
            job = f"J{int(random.integers(1, 20))}"
            setup, run = round(5 + size / 10, 1), round(size * (place + 1) / 7, 2)
            steps.append((f"IT-{n:05}", "R1", 10 * place + 10, job, setup, run, entered))
    return _file(rows, steps, PLAIN, more=False), _file(rows, steps, AWKWARD, more=True)


def _file(
    items: Sequence[tuple[Any, ...]],
    steps: Sequence[tuple[Any, ...]],
    types: dict[str, int],
    *,
    more: bool,
) -> bytes:
    builder = Builder()
    number, date = types["number"], types["date"]
    columns = [_text("ITEM_CD"), Column("SIZE", number), Column("INSRT_DT", date)]
    others: list[bytes] = []
    if more:
        columns += [
            Column("VALID_TO", DATE),
            Column("BIG", LARGE),
            Column("BYTES", BINARY, fixed=False, length=50),
            Column("ID", GUID),
            Column("EXACT", EXTENDED),
            Column("SUM", DOUBLE, calculated=True, fixed=False, length=39),
            Column("SMALL", BYTE),
        ]
        others = [
            _packed(datetime(9999, 12, 31), DATE),
            struct.pack("<q", 2**60),
            b"\xff\xfe\x00",
            bytes(range(16)),
            b"0000000000000738521:0000000000000000000:7\0".ljust(42, b"\0")[:42],
            bytes(23) + struct.pack("<d", 1.5),
            b"\x07",
        ]
    kinds = [TEXT, number, date]
    rows = [[_packed(v, k) for v, k in zip(row, kinds, strict=True)] + others for row in items]
    builder.table("items", columns, rows)
    kinds = [TEXT, TEXT, types["sequence"], TEXT, number, number, date]
    names = ["ITEM_CD", "ROUT_NO", "PROC_SEQ", "JOB_CD", "SETUP_TIME", "RUN_TIME", "INSRT_DT"]
    columns = [
        _text(name) if kind == TEXT else Column(name, kind)
        for name, kind in zip(names, kinds, strict=True)
    ]
    rows = [[_packed(v, k) for v, k in zip(row, kinds, strict=True)] for row in steps]
    builder.table("routings", columns, rows)
    return builder.build()


def _text(name: str) -> Column:
    return Column(name, TEXT, length=100)


def _packed(value: Any, kind: int) -> bytes:
    if kind == TEXT:
        return value.encode("utf-16-le")
    if kind == DATE:
        return struct.pack("<d", (value - EPOCH).total_seconds() / 86_400)
    return struct.pack({LONG: "<i", INTEGER: "<h", SINGLE: "<f", DOUBLE: "<d"}[kind], value)


def write_columns(folder: Path) -> Path:
    """The columns file of these factories."""
    path = folder / "columns.toml"
    path.write_text(COLUMNS)
    return path
