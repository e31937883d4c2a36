"""Writes proposals as files: Parquet for programs, Excel and CSV for planners, JSON for both.

No text is taken for a formula by the program that opens it, whatever an ERP's names begin with.
"""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from routing_ml import clock, files, modes
from routing_ml.errors import InputError
from routing_ml.escapes import to_csv, to_xml

MAX_ROWS = 1_048_575  # of an Excel sheet, without its header
MAX_ROWS_UNASKED = 20_000  # openpyxl writes some 4,000 a second
FORMATS = {
    "PROC_SEQ": "0", "SETUP_TIME": "0.0", "RUN_TIME": "0.00", "RUN_TIME_LOW": "0.00",
    "RUN_TIME_HIGH": "0.00", "CONFIDENCE": "0.00", "SIMILARITY_SCORE": "0.00",
    "RES_LIKELIHOOD": "0.00", "TOTAL_MINUTES": "0.0", "RANK": "0",
}  # fmt: skip
AS_TEXT = "@"  # also after somebody has edited the cell
MOST_WIDE = 40  # characters
SHOWN = 200  # rows that a column's width is taken from


def save(proposals: pd.DataFrame, path: Path) -> None:
    """Write proposals as Parquet, Excel, CSV or JSON, by the path's ending; nothing half-written.

    With Excel and CSV comes the Parquet file `beside(path)`, for their texts are made for people.
    """
    writers: dict[str, Callable[[pd.DataFrame, Path], object]] = {
        ".parquet": lambda frame, to: frame.to_parquet(to, index=False),
        ".xlsx": _write_workbook,
        ".csv": _write_csv,
        ".json": lambda frame, to: frame.to_json(to, orient="records", force_ascii=False, indent=1),
    }
    ending = path.suffix.lower()
    if ending not in writers:
        raise InputError(f"{path} is no .parquet, .xlsx, .csv or .json file; choose such a name")
    if ending == ".xlsx" and len(proposals) > MAX_ROWS:
        raise InputError(
            f"{path}: {len(proposals):,} operations are more than a sheet's {MAX_ROWS:,} rows; "
            "write .csv or .parquet"
        )
    parquet = beside(path)
    for to in (parquet, path) if parquet else (path,):
        with files.told_as(InputError, f"{to} cannot be written"):
            to.parent.mkdir(parents=True, exist_ok=True)
            with files.atomic_path(to) as temporary:
                writers[to.suffix.lower()](proposals, temporary)


def beside(path: Path) -> Path | None:
    """The Parquet file that `save` writes with an Excel or CSV file; None with others."""
    return path.with_suffix(".parquet") if path.suffix.lower() in (".xlsx", ".csv") else None


def default_path(home: Path) -> Path:
    """Where proposals go when no file is named; the folder is made, for nobody else."""
    folder = home / "proposals"
    with files.told_as(InputError, f"{folder} cannot be written"):
        modes.make_folder(folder)
    return folder / f"proposals_{clock.utc():%Y%m%d_%H%M%S_%f}.parquet"


def add_workbook(parquet: Path) -> Path | None:
    """Write the Excel file of a saved Parquet file beside it; None where it would take more
    than some seconds (20,000 operations)."""
    proposals = pd.read_parquet(parquet)
    if len(proposals) > MAX_ROWS_UNASKED:
        return None
    path = parquet.with_suffix(".xlsx")
    with (
        files.told_as(InputError, f"{path} cannot be written"),
        files.atomic_path(path) as temporary,
    ):
        _write_workbook(proposals, temporary)
    return path


def _write_csv(proposals: pd.DataFrame, to: Path) -> None:
    shown = proposals.copy()
    for name in shown.columns:
        if not pd.api.types.is_numeric_dtype(shown[name]):
            shown[name] = shown[name].map(to_csv, na_action="ignore")
    # The mark is how Excel knows UTF-8; the line ends are RFC 4180's.
    shown.to_csv(to, index=False, encoding="utf-8-sig", lineterminator="\r\n")


def _write_workbook(proposals: pd.DataFrame, to: Path) -> None:
    import openpyxl
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("proposals")
    sheet.freeze_panes = "A2"
    header, cells, columns = [], [], []
    for at, name in enumerate(proposals.columns, start=1):
        values, number = proposals[name], pd.api.types.is_numeric_dtype(proposals[name])
        header.append(WriteOnlyCell(sheet, name))
        header[-1].font = Font(bold=True)
        # one cell a column, filled again for each row: making one takes as long as writing it
        cells.append(WriteOnlyCell(sheet))
        cells[-1].number_format = FORMATS.get(name, "General") if number else AS_TEXT
        known = values.notna().tolist()
        # an empty text is an empty cell: Excel mends a file that has it as a text of nothing
        columns.append(
            [v if there and v != "" else None for v, there in zip(values, known, strict=True)]
        )
        widest = 0 if number else max((len(v) for v in columns[-1][:SHOWN] if v), default=0)
        width = min(MOST_WIDE, max(widest, len(name)) + 3)
        sheet.column_dimensions[get_column_letter(at)].width = width
    sheet.append(header)
    for row in zip(*columns, strict=True):
        for cell, value in zip(cells, row, strict=True):
            if isinstance(value, str):
                cell.value = to_xml(value)
                cell.data_type = "s"  # openpyxl has made "=1+1" a formula and "#N/A" an error
            else:
                cell.value = value
        sheet.append(cells)
    book.save(to)
