"""What the tests and benchmarks of Access files share: the packed files, and what is right."""

import atexit
import gzip
import json
import lzma
import shutil
import tempfile
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from routing_ml.source.access import AccessFile

DATA = Path(__file__).resolve().parent / "data" / "access"
LONG_TEXT = "가" * 5461 + "끝"
# File, table, column, and its values.
RIGHT: list[tuple[str, str, str, list[Any]]] = [
    ("single.accdb", "items", "OUTDIA", [0.15, 25.4, 100.0]),
    ("single.accdb", "routings", "RUN_TIME", [12.5, 0.15, 30.0, 7.25, 1.0, 2.0]),
    ("integer.accdb", "items", "ROUGH", [-23, 7, -32768]),
    ("integer.accdb", "items", "B", [5, 200, 255]),
    ("emoji.accdb", "items", "T", ["한글 밸브", "a😀b", "𠮷野家 ok"]),
    ("emoji.accdb", "items", "M", ["메모", "a😀b", "x"]),
    ("nul.accdb", "items", "T", ["ab\0cd", "ab\0", "plain"]),
    ("empty_text.accdb", "items", "T", ["", None, "x"]),
    ("empty_text.accdb", "items", "M", ["", None, "y"]),
    ("memo_16k.accdb", "items", "M", ["x" + LONG_TEXT, "xx" + LONG_TEXT, "가" * 4000 + "끝"]),
    ("bigint.accdb", "items", "BI", [9007199254740993, -5, 9223372036854775807]),
    ("short_date.accdb", "routings", "INSRT_DT",
     [datetime(2026, 1, 3, 15, 45), datetime(2026, 1, 3, 9, 10)]),
    ("general_date.accdb", "routings", "INSRT_DT",
     [datetime(2026, 1, 3, 15, 45), datetime(2026, 1, 3, 9, 10)]),
    ("date_1850.accdb", "items", "D", [datetime(1850, 6, 15), datetime(2026, 1, 1)]),
    ("date_9999.accdb", "items", "VALID_TO",
     [datetime(9999, 12, 31), datetime(2999, 12, 31), datetime(4600, 1, 1)]),
    ("extdate.accdb", "items", "ED",
     [datetime(2026, 1, 2, 3, 4, 5, 123456), datetime(1500, 1, 1),
      datetime(9999, 12, 31, 23, 59, 59)]),
    ("grown_then_deleted.accdb", "t", "id", [i for i in range(1, 3000) if i % 3]),
]  # fmt: skip
# File, and the columns of `items` that are left out, with their types.
LEFT_OUT = [
    ("calc_text.accdb", {"C": "Short Text"}),
    ("calc_num.accdb", {"C": "Double", "L": "Long Integer", "D": "Date/Time", "B": "Yes/No",
                        "M": "Currency"}),
    ("binary_crash.accdb", {"B": "Binary"}),
    ("every_type/every_type_2019.accdb",
     {"A_BINARY": "Binary", "A_OLE": "OLE Object", "A_CALC": "Double"}),
]  # fmt: skip
EVERY_TYPE = [
    "every_type_2000.mdb", "every_type_2003.mdb", "every_type_2007.accdb",
    "every_type_2010.accdb", "every_type_2016.accdb", "every_type_2019.accdb",
]  # fmt: skip


@cache
def unpacked(name: str, data: Path = DATA) -> Path:
    """One of the files of `data`, where it lies, or without its .xz."""
    if (data / name).exists():
        return data / name
    path = _folder() / Path(name).name
    path.write_bytes(lzma.decompress((data / f"{name}.xz").read_bytes()))
    return path


@cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="routing-ml-access-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def rows(path: Path, table: str, *names: str) -> list[dict[str, Any]]:
    """The rows of a table; of all columns that are read, unless some are named."""
    with AccessFile(path) as file:
        wanted = names or [column.name for column in file.columns(table) if column.kind]
        return [row for batch in file.batches(table, wanted) for row in batch.to_pylist()]


def everything(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of all tables."""
    with AccessFile(path) as file:
        return {name: rows(path, name) for name, kind in file.objects().items() if kind == "table"}


def types(path: Path, table: str) -> dict[str, str]:
    """The type of each column that is read."""
    with AccessFile(path) as file:
        return {column.name: column.type_name for column in file.columns(table) if column.kind}


def every_type(name: str, data: Path = DATA) -> dict[str, list[dict[str, Any]]]:
    """What is right of one of the files of every_type/, by table, as it is to be read."""
    path = unpacked(f"every_type/{name}", data)
    packed = (data / "every_type" / f"{path.stem}.json.gz").read_bytes()
    right = {}
    for table, listed in json.loads(gzip.decompress(packed)).items():
        kinds = types(path, table)
        right[table] = [
            {key: _right(value, kinds.get(key, "")) for key, value in row.items()} for row in listed
        ]
    return right


def _right(value: Any, type_name: str) -> Any:
    """A value of the JSON files as it is to be read."""
    if value is None:
        return None
    if type_name.startswith("Date/Time"):
        return datetime.fromisoformat(value)  # cuts off what is below a microsecond
    if type_name in ("Currency", "Decimal"):
        return float(Decimal(value))
    if type_name == "Single":
        return float(str(np.float32(value)))
    return int(value) if type_name == "Yes/No" else value
