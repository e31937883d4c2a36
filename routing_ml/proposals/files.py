"""Writes proposals for machines (Parquet, JSON) and for people (Excel, CSV that Excel opens)."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from routing_ml import files
from routing_ml.errors import InputError
from routing_ml.proposals.tabular import FORMULA_STARTS

FOR_PEOPLE = (".xlsx", ".csv")
# What XML 1.0 cannot hold, which a sheet is.
NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
MAX_CELL = 32_767
MAX_WIDTH = 40
NUMBER_FORMATS = {
    "SETUP_TIME": "0.00", "RUN_TIME": "0.00", "RUN_TIME_LOW": "0.00", "RUN_TIME_HIGH": "0.00",
    "CONFIDENCE": "0.000", "SIMILARITY_SCORE": "0.000",
}  # fmt: skip


def save(proposals: pd.DataFrame, path: Path) -> list[Path]:
    """Write proposals by the path's ending, nothing half-written; the files that were written.

    Beside what is for people, `.xlsx` or `.csv`, stands a `.parquet` of the same name. No text is
    taken for a formula: in Excel's files texts are texts, in CSV an apostrophe comes first.
    """
    writers: dict[str, Callable[[Path], object]] = {
        ".parquet": lambda to: proposals.to_parquet(to, index=False),
        ".json": lambda to: proposals.to_json(to, orient="records", force_ascii=False, indent=1),
        ".csv": lambda to: guarded(proposals).to_csv(
            to, index=False, encoding="utf-8-sig", lineterminator="\r\n"
        ),
        ".xlsx": lambda to: _excel(proposals, to),
    }
    ending = path.suffix.lower()
    if ending not in writers:
        raise InputError(f"{path} is no .xlsx, .csv, .parquet or .json file; choose such a name")
    wanted = {path: writers[ending]}
    if ending in FOR_PEOPLE:
        wanted[path.with_suffix(".parquet")] = writers[".parquet"]
    for target, write in wanted.items():
        with files.told_as(InputError, f"{target} cannot be written"):
            target.parent.mkdir(parents=True, exist_ok=True)
            with files.atomic_path(target) as temporary:
                write(temporary)
    return list(wanted)


def default_path(home: Path) -> Path:
    """Where proposals go when no file is named."""
    return home / "proposals" / f"proposals_{datetime.now(UTC):%Y%m%d_%H%M%S_%f}.parquet"


def guarded(table: pd.DataFrame) -> pd.DataFrame:
    """The table with an apostrophe before each text that Excel would take for a formula."""
    texts = table.select_dtypes(["object", "string"]).columns
    return table.assign(**{str(name): table[name].map(_guarded) for name in texts})


def _guarded(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    value = value.replace("\0", "\ufffd")  # a text with NULs is taken for UTF-16
    return "'" + value if value.lstrip("'").startswith(FORMULA_STARTS) else value


def _excel(table: pd.DataFrame, path: Path) -> None:
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    book = Workbook(write_only=True)
    sheet = book.create_sheet("proposals")
    sheet.freeze_panes = "A2"
    for place, name in enumerate(table.columns, 1):
        longest = table[name].astype("str").str.len().max() if len(table) else 0
        width = max(len(str(name)), 8, min(int(longest or 0), MAX_WIDTH)) + 2
        sheet.column_dimensions[get_column_letter(place)].width = width

    def cell(value: Any, name: str = "") -> Any:
        if isinstance(value, str):
            made = WriteOnlyCell(sheet, NOT_IN_XML.sub("\ufffd", value)[:MAX_CELL])
            made.data_type = "s"  # also what begins like a formula
        else:
            made = WriteOnlyCell(sheet, None if pd.isna(value) else value)
            if name in NUMBER_FORMATS:
                made.number_format = NUMBER_FORMATS[name]
        return made

    header = [cell(str(name)) for name in table.columns]
    for one in header:
        one.font = Font(bold=True)
    sheet.append(header)
    names = [str(name) for name in table.columns]
    for row in table.astype(object).itertuples(index=False):
        sheet.append([cell(value, name) for value, name in zip(row, names, strict=True)])
    book.save(path)
