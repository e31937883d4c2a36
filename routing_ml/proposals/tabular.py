"""Reads a table as people have it: Excel, CSV in any of the usual encodings, Parquet, JSON."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from routing_ml.errors import InputError

SEPARATORS = ",;\t|"
OLD_EXCEL = b"\xd0\xcf\x11\xe0"  # of .xls, and of an .xlsx with a password
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""What Excel takes for a formula where a cell of CSV begins with it (OWASP, CSV injection)."""
csv.field_size_limit(1 << 27)


@dataclass(frozen=True)
class Rows:
    """A table: its header, and rows with their numbers as the file's program shows them."""

    header: list[str]
    numbers: list[int]
    rows: Sequence[Sequence[Any]]


def read(path: Path) -> Rows:
    """The table in `path`, by its ending; rows without any value are left out.

    Texts stay as they are written, of Excel numbers and dates are such. Raises InputError for what
    is no such file, has no header or more cells in a row than columns.
    """
    readers: dict[str, Callable[[Path], list[tuple[int, Sequence[Any]]]]] = {
        ".xlsx": _excel, ".xlsm": _excel, ".csv": _text, ".txt": _text, ".tsv": _text,
        ".parquet": _frame(pd.read_parquet), ".json": _frame(_json),
    }  # fmt: skip
    ending = path.suffix.lower()
    if ending not in readers:
        raise InputError(
            f"{path} is no .xlsx, .csv, .txt, .parquet or .json file; save the items as one"
        )
    try:
        lines = readers[ending](path)
    except FileNotFoundError as error:
        raise InputError(f"{path} is not there; give a file of items") from error
    except InputError:
        raise
    # Whatever damage leads openpyxl, zipfile, expat and pandas to.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path} cannot be read as {ending}: {reason}; mend it") from error
    lines = [(number, row) for number, row in lines if not all(map(is_empty, row))]
    if not lines:
        raise InputError(f"{path} is empty; write a header and the items into it")
    (_, first), *rest = lines
    header = ["" if is_empty(name) else " ".join(str(name).split()) for name in first]
    while header and not header[-1]:
        header.pop()
    for number, row in rest:
        for place, value in enumerate(row):
            if (place >= len(header) or not header[place]) and not is_empty(value):
                raise InputError(
                    f"{path}, row {number}: {value!r} stands in column {place + 1}, which has no "
                    "name in the header; name it, or quote a value with a separator in it"
                )
    rows = [[*row[: len(header)], *[None] * (len(header) - len(row))] for _, row in rest]
    return Rows(header, [number for number, _ in rest], rows)


def _json(path: Path) -> pd.DataFrame:
    return pd.read_json(path, dtype=False)


def is_empty(value: Any) -> bool:
    """Whether a cell has nothing in it."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or value is pd.NaT or value != value


def _excel(path: Path) -> list[tuple[int, Sequence[Any]]]:
    """The first sheet that has rows; of formulas the values that Excel saw last."""
    import openpyxl

    with path.open("rb") as file:
        if file.read(4) == OLD_EXCEL:
            raise InputError(
                f"{path} is an old .xls file or has a password; save it as .xlsx without one"
            )
    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    try:
        for sheet in book.worksheets:
            sheet.reset_dimensions()  # what a file declares may be wrong, or a million rows
            found: list[tuple[int, Sequence[Any]]] = []
            for number, cells in enumerate(sheet.iter_rows(), 1):
                for cell in cells:
                    if cell.data_type == "e":
                        raise InputError(
                            f"{path}, sheet {sheet.title!r}, row {number}: a cell is "
                            f"{cell.value}, an error of Excel; mend the formula"
                        )
                values = [cell.value for cell in cells]
                if not all(map(is_empty, values)):
                    found.append((number, values))
            if found:
                return found
        return []
    finally:
        book.close()


def _text(path: Path) -> list[tuple[int, Sequence[Any]]]:
    text = _decoded(path)
    separator = max(SEPARATORS, key=lambda one: len(next(_parsed(text, one), [])))
    return [
        (number, [_unguarded(value) for value in row])
        for number, row in enumerate(_parsed(text, separator), 1)
    ]


def _parsed(text: str, separator: str) -> Any:
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator)


def _decoded(path: Path) -> str:
    """The text of a file in UTF-8, UTF-16 or cp949, which its bytes tell apart."""
    data = path.read_bytes()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    elif b"\0" in data[:200]:
        encodings = ["utf-16-le" if data[1:2] == b"\0" else "utf-16-be"]
    else:
        encodings = ["utf-8-sig", "cp949"]
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InputError(f"{path} is text in none of UTF-8, UTF-16 and cp949; save it as UTF-8")


def _unguarded(value: str) -> str:
    """A cell without the apostrophe that keeps Excel from taking it for a formula."""
    guarded = value[:1] == "'" and value.lstrip("'").startswith(FORMULA_STARTS)
    return value[1:] if guarded else value


def _frame(
    reader: Callable[[Path], pd.DataFrame],
) -> Callable[[Path], list[tuple[int, Sequence[Any]]]]:
    def read_frame(path: Path) -> list[tuple[int, Sequence[Any]]]:
        frame = reader(path)
        values = frame.astype(object).where(frame.notna(), None).to_numpy().tolist()
        return [(0, [str(name) for name in frame.columns]), *enumerate(values, 1)]

    return read_frame
