"""Reads a file as people keep them (Excel, CSV, Parquet, JSON) into a header and rows of values.

What the columns mean is `items`' business; here a cell is what the file says it is, and an empty
one is None. Every way in which a file can be none of that is one InputError.
"""

import csv
import io
import json
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from routing_ml.errors import InputError
from routing_ml.escapes import from_csv, from_xml

OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # [MS-CFB]: .xls, and the envelope of a password
ENCRYPTED = "EncryptedPackage".encode("utf-16-le")  # [MS-OFFCRYPTO] 2.3.4.4
LAST_ROW = 1_048_576  # of an Excel sheet
SEPARATORS = ",;\t"  # of equally many columns the first
DECLARED = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)  # Excel's own way to name the separator
QUOTED = re.compile(r'(?:^|(?<=[,;\t]))"(?:[^"]|"")*"', re.MULTILINE)
PADDED = re.compile(r"0{2,}")  # the number format that shows 123 as 00123
# What openpyxl raises on a damaged file depends on where the damage is (SyntaxError is the XML's).
DAMAGE = (
    ArithmeticError, AttributeError, EOFError, LookupError, NotImplementedError, OSError,
    RuntimeError, SyntaxError, TypeError, ValueError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip

COMMON = range(0xA1, 0xC9)  # first bytes of the symbols and syllables of KS X 1001


@dataclass(frozen=True)
class Table:
    """`rows` are (number as the file counts, values, None for an empty one) without empty rows.

    `name` is the file and its sheet, `notes` what the person who gave the file should know.
    """

    name: str
    header: list[Any]
    rows: list[tuple[int, list[Any]]]
    notes: tuple[str, ...] = ()
    decimal_comma: bool = False


def read(path: Path) -> Table:
    """The table of a file, by its ending; InputError where it cannot be read, or has no rows."""
    readers = {
        ".xlsx": _workbook, ".xlsm": _workbook, ".csv": _text, ".txt": _text,
        ".parquet": _parquet, ".json": _json,
    }  # fmt: skip
    ending = path.suffix.lower()
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder; give a file of items")
        with path.open("rb") as file:
            start = file.read(len(OLD_EXCEL))
        if ending not in readers and start != OLD_EXCEL:
            raise InputError(
                f"{path} is no .xlsx, .csv, .txt, .parquet or .json file; write the items as one"
            )
        if start == OLD_EXCEL:
            _refuse_old(path)
        if not start:
            raise InputError(f"{path} is empty; give a file with a header and a row an item")
        table = readers[ending](path)
    except FileNotFoundError as error:
        raise InputError(f"{path} is not there; give a file of items") from error
    except PermissionError as error:
        raise InputError(f"{path} may not be read by this user; give the right to it") from error
    except DAMAGE as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"{path} cannot be read as {ending}: {reason}; save it anew from where it comes"
        ) from error
    if not table.rows:
        raise InputError(f"{table.name} has a header and no rows; give a row an item")
    return table


def _refuse_old(path: Path) -> None:
    if ENCRYPTED in path.read_bytes():
        raise InputError(f"{path} has a password; save it without one (File, Info, Protect)")
    raise InputError(f"{path} is an Excel file of before 2007; save it as .xlsx")


def _workbook(path: Path) -> Table:
    import openpyxl

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles and extensions, which are not read
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            sheets = sorted(book.worksheets, key=lambda sheet: sheet.sheet_state != "visible")
            for sheet in sheets:
                rows = list(_rows(sheet))
                if rows:
                    name = f"{path}, sheet {sheet.title!r}"
                    _refuse_uncalculated(path, sheet.title, name, rows)
                    notes = (f"{name} is read, of {len(sheets)}",) if len(sheets) > 1 else ()
                    filled = [(number, _filled(values)) for number, values in rows]
                    return Table(name, filled[0][1], filled[1:], notes)
        finally:
            book.close()
    raise InputError(f"{path} has no sheet with rows; give a header and a row an item")


def _rows(sheet: Any) -> Iterator[tuple[int, list[Any]]]:
    # The size that the file declares may be the whole sheet, which would make each row 16,384
    # cells wide and a table of 20 rows a million.
    sheet.reset_dimensions()
    for number, cells in enumerate(sheet.iter_rows(), start=1):
        if number > LAST_ROW:
            raise ValueError(f"a row comes after the last of a sheet, {LAST_ROW:,}")
        values = [_cell(cell) for cell in cells]
        if any(value is not None for value in _filled(values)):
            yield number, values


def _cell(cell: Any) -> Any:
    value = cell.value
    if value is None and cell.data_type == "str":
        return ""  # the empty text of a formula, as of =IF(A1="","",A1): a value that it has
    if isinstance(value, str):
        return from_xml(value)
    if cell.data_type == "n" and isinstance(value, int) and PADDED.fullmatch(cell.number_format):
        return f"{value:0{len(cell.number_format)}}"
    return value


def _refuse_uncalculated(
    path: Path, title: str, name: str, rows: list[tuple[int, list[Any]]]
) -> None:
    """Programs other than Excel may write a formula without its value: read, it would be empty."""
    import openpyxl

    with zipfile.ZipFile(path) as parts:
        sheets = [part for part in parts.namelist() if part.startswith("xl/worksheets/")]
        if not any(b"<f" in parts.read(part) for part in sheets):
            return
    known = dict(rows)
    book = openpyxl.load_workbook(path, read_only=True)
    try:
        sheet = book[title]
        sheet.reset_dimensions()
        for number, cells in enumerate(sheet.iter_rows(), start=1):
            values = known.get(number, [])
            for i, cell in enumerate(cells):
                if cell.data_type == "f" and (i >= len(values) or values[i] is None):
                    raise InputError(
                        f"{name}, cell {cell.coordinate} is a formula whose value is not in the "
                        "file; open it in Excel and save it"
                    )
    finally:
        book.close()


def _text(path: Path) -> Table:
    text, notes = _decoded(path)
    declared = DECLARED.match(text)
    if declared:
        separator, text = declared[1], text[declared.end() :]
    else:
        bare = QUOTED.sub("", text[: 1 << 20])
        header = next((line for line in bare.splitlines() if line.strip()), "")
        separator = max(SEPARATORS, key=header.count)
    # strict: a quotation mark that is never closed would swallow the rows after it
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows = []
    number = first = int(bool(declared))
    try:
        for number, cells in enumerate(reader, start=first + 1):
            values = _filled(from_csv(cell) for cell in cells)
            if any(value is not None for value in values):
                rows.append((number, values))
    except csv.Error as error:
        raise InputError(f"{path}, row {number + 1} is no CSV: {error}; mend its quotes") from error
    if not rows:
        raise InputError(f"{path} is empty; give a file with a header and a row an item")
    return Table(str(path), rows[0][1], rows[1:], notes, decimal_comma=separator == ";")


def _decoded(path: Path) -> tuple[str, tuple[str, ...]]:
    """The file's text, and a note where its encoding had to be guessed."""
    data, notes = path.read_bytes(), tuple[str, ...]()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16"), ()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = data.decode("cp949")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path} is neither UTF-8, UTF-16 nor cp949; save it as 'CSV UTF-8'"
            ) from error
        if foreign := _foreign(text):
            raise InputError(
                f"{path} is in a code page that cannot be told (read as Korean it has "
                f"{foreign[0]!r}); save it as 'CSV UTF-8'"
            ) from None
        notes = (f"{path} is not UTF-8 and is read as cp949, the Korean Windows'",)
    if "\0" in text:
        raise InputError(f"{path} holds NULs, so is no text; save it as 'CSV UTF-8'")
    return text, notes


def _foreign(text: str) -> re.Match[str] | None:
    """Where a text that was read as cp949 is of a Western code page: "Größe" becomes "Gr秤e".

    A Chinese character within a word of small letters, or a syllable so rare that KS X 1001 leaves
    it out, is what nobody writes; "50mm각x20" and "80mmφx20" are.
    """
    pairs = {letter: letter.encode("cp949") for letter in text if letter > "\x7f"}
    odd = [
        letter for letter, pair in pairs.items() if pair[0] not in COMMON or pair[1] < COMMON.start
    ]
    return re.search(f"[a-z][{''.join(odd)}]{{1,2}}[a-z]", text) if odd else None


def _parquet(path: Path) -> Table:
    import pyarrow.parquet as pq

    # openly opened: given a path, Arrow would guess partitions from the names of its folders
    with path.open("rb") as file:
        found = pq.ParquetFile(file).read()
    values = [_filled(column.to_pylist()) for column in found.columns]
    kept = [i for i, name in enumerate(found.column_names) if not name.startswith("__index_level_")]
    rows = _numbered(zip(*(values[i] for i in kept), strict=True))
    return Table(str(path), [found.column_names[i] for i in kept], rows)


def _json(path: Path) -> Table:
    import pandas as pd

    found = json.loads(_decoded(path)[0])
    if (
        isinstance(found, dict)
        and found
        and all(isinstance(v, dict | list) for v in found.values())
    ):
        # pandas' own forms: column -> row -> value, column -> values
        found = pd.DataFrame(found, dtype=object).to_dict("records")
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise InputError(f"{path} is no list of items; write [{{name: value, ...}}, ...]")
    header = list(dict.fromkeys(name for row in found for name in row))
    return Table(str(path), header, _numbered([row.get(name) for name in header] for row in found))


def _numbered(rows: Any) -> list[tuple[int, list[Any]]]:
    filled = ((number, _filled(row)) for number, row in enumerate(rows, start=1))
    return [(number, row) for number, row in filled if any(value is not None for value in row)]


def _filled(values: Any) -> list[Any]:
    """None for what is missing in other words: NaN, and a text of spaces."""
    return [None if v != v or (isinstance(v, str) and not v.strip()) else v for v in values]
