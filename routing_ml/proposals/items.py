"""Turns a file of items into the frame that a model proposes for: columns under their names, codes
as text, numbers and dates where the model knows numbers and dates.
"""

import difflib
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from routing_ml.errors import InputError
from routing_ml.models import RoutingModel, normalise, number
from routing_ml.proposals import tables
from routing_ml.source import Columns, typed

# As Excel shows them in a cell, and writes them into a CSV.
EXCEL_ERRORS = frozenset(
    ("#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A", "#SPILL!", "#CALC!",
     "#FIELD!", "#GETTING_DATA", "#BLOCKED!", "#CONNECT!", "#UNKNOWN!")
)  # fmt: skip
# 1,250 is 1250 to some and 1.25 to others, where the file itself does not say which.
TWO_NUMBERS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?![\d.,]).*")
# So is 1.250 in a column where others have a comma before their decimals.
ALSO_TWO = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}(?![\d.,]).*")
SCIENTIFIC = re.compile(r"[+-]?\d+(?:[.,]\d+)?E[+-]?\d+")  # 4.49E-05, as Excel writes it into CSV
SHORTENED = re.compile(r"\d(?:[.,]\d+)?E\+\d{2,}")  # and 123456789012, its last digits lost
YES_OR_NO = {"TRUE": 1.0, "FALSE": 0.0}  # a yes or no of Excel or Access in CSV
NUMBER_KINDS = {"value": "number", "date": "date", "entered": "date"}  # others stand in texts
NAMED = 8  # unknown columns that a note names


@dataclass(frozen=True)
class Items:
    """`frame` has ITEM_CD and the attributes that the file has; `notes` are lines for whoever gave
    the file: what was guessed, and which of its columns are not used."""

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def only_codes(self) -> bool:
        """Whether the attributes are to be looked up in the source."""
        return list(self.frame.columns) == ["ITEM_CD"]


def read_items(path: Path, columns: Columns, model: RoutingModel) -> Items:
    """Items of an Excel, CSV, Parquet or JSON file: a column of codes, and the attributes that
    `model` was fitted on, all under the ERP's names or the standard ones, in any case and order.

    Raises InputError, naming row, column and value, for a file that cannot be read, has no codes or
    the same twice, or has a value that is none of its column's kind; and for one that has columns
    beside the codes of which none is an attribute.
    """
    return _items(tables.read(path), columns, model)


def typed_in(values: Mapping[str, str], columns: Columns, model: RoutingModel) -> dict[str, Any]:
    """What a person typed of one item, by column, as a model reads it; None of what is empty.

    Raises InputError, naming column and value, for a value that is none of its column's kind, and
    for a column that is not known.
    """
    kinds = _kinds(model, columns)
    unknown = [name for name in values if name not in kinds]
    if unknown:
        raise InputError(f"{_listed(unknown)} is no attribute of an item that the model knows")
    table = tables.Table(
        "what was typed in", list(values), [(1, [v or None for v in values.values()])]
    )
    found = {name: _column(table, at, kinds[name]).iloc[0] for at, name in enumerate(values)}
    return {name: None if pd.isna(value) else value for name, value in found.items()}


def _items(table: tables.Table, columns: Columns, model: RoutingModel) -> Items:
    kinds = _kinds(model, columns)
    given = _given(table)
    places = {
        name: [given[spelled] for spelled in _spellings(name, columns) if spelled in given]
        for name in kinds
    }
    found = {name: at[0] for name, at in places.items() if at}
    parts = _parts(columns, given)
    codes = _codes(table, columns, [found["ITEM_CD"]] if "ITEM_CD" in found else parts)
    taken = {*parts, *(at for every in places.values() for at in every)}
    unknown = [str(table.header[at]).strip() for at in given.values() if at not in taken]
    attributes = {name: at for name, at in found.items() if name != "ITEM_CD"}
    if not attributes.keys() - {"INSRT_DT"} and (unknown or attributes):  # a date alone is none
        others = [*unknown, *(str(table.header[at]).strip() for at in attributes.values())]
        raise InputError(
            f"{table.name} has no attribute that is known to the model: "
            f"{_listed(others)}; name the columns as in the ERP, or leave only the codes"
        )
    frame = {"ITEM_CD": pd.Series(codes, dtype="str")}
    for name, at in attributes.items():
        frame[name] = _column(table, at, kinds[name])
    absent = [name for name in kinds if name not in found]
    notes = (*table.notes, *_unnamed(table), *_unknown(unknown, absent))
    return Items(pd.DataFrame(frame), notes)


def _kinds(model: RoutingModel, columns: Columns) -> dict[str, str]:
    """Every known column -> text, number or date: the columns file's, and what was fitted on."""
    encoder, attributes = model.encoder_, columns.attributes
    texts = (*attributes.text, *attributes.units.values())
    texts += tuple(one.column for one in encoder.categories)
    texts += tuple(one.column for one in encoder.texts)
    kinds = {"ITEM_CD": "text", "INSRT_DT": "date"}
    kinds |= dict.fromkeys(attributes.units, "number") | dict.fromkeys(texts, "text")
    for one in encoder.numbers:
        if one.kind in NUMBER_KINDS:
            kinds[one.column] = NUMBER_KINDS[one.kind]
        if one.unit:
            kinds.setdefault(one.unit, "text")
    return kinds


def _key(name: object) -> str:
    return " ".join(unicodedata.normalize("NFKC", str(name)).split()).casefold()


def _spellings(name: str, columns: Columns) -> list[str]:
    """What a file may call a column: the standard name first, then the ERP's."""
    return [_key(one) for one in (name, columns.items.columns.get(name)) if one]


def _given(table: tables.Table) -> dict[str, int]:
    """The file's names -> where; those without a name are left out."""
    given: dict[str, int] = {}
    for at, name in enumerate(table.header):
        if name is None or not _key(name):
            continue
        if _key(name) in given:
            raise InputError(
                f"{table.name} has two columns {str(name).strip()!r}; remove or rename one"
            )
        given[_key(name)] = at
    width = len(table.header)
    for row, values in table.rows:
        if any(value is not None for value in values[width:]):
            raise InputError(
                f"{table.name}, row {row} has {len(values)} cells and the header {width}; "
                "put a text that has the separator in it between quotation marks"
            )
    return given


def _parts(columns: Columns, given: dict[str, int]) -> list[int]:
    """Where the columns are that the ERP's item code is joined of; none when one is not there."""
    parts = [_key(part) for part in columns.items.parts.get("ITEM_CD", ())]
    return [given[part] for part in parts] if all(part in given for part in parts) else []


def _codes(table: tables.Table, columns: Columns, places: Sequence[int]) -> list[str]:
    if not places:
        wanted = columns.items.columns["ITEM_CD"]
        raise InputError(f"{table.name} has no column {wanted!r} with the item codes; add it")
    parts = [_converted(table, at, _code, "item code") for at in places]
    codes = []
    seen = set()
    for (row, _), *values in zip(table.rows, *parts, strict=True):
        each = [(value or "").strip() for value in values]
        if not all(each):
            raise InputError(f"{table.name}, row {row}: the item code is empty; fill it")
        code = "/".join(each)
        if code in seen:
            raise InputError(f"{table.name} has item {code!r} twice; keep one row an item")
        seen.add(code)
        codes.append(code)
    return codes


def _column(table: tables.Table, at: int, kind: str) -> pd.Series:
    if kind == "number":
        return pd.Series(_converted(table, at, _number(table, at), "number"), dtype="float64")
    if kind == "date":
        values = _converted(table, at, _date, "date (write 2020-10-09)")
        return pd.Series(values, dtype="datetime64[us]")
    return pd.Series(_texts(table, at), dtype="str")


def _texts(table: tables.Table, at: int) -> list[str | None]:
    return _converted(table, at, _text, "text")


def _converted(table: tables.Table, at: int, one: Callable[[Any], Any], kind: str) -> list[Any]:
    converted = []
    for row, values in table.rows:
        value = values[at] if at < len(values) else None
        where = f"{table.name}, row {row}, column {str(table.header[at]).strip()!r}"
        if isinstance(value, str) and value.strip() in EXCEL_ERRORS:
            raise InputError(f"{where} is the Excel error {value.strip()}; mend or empty the cell")
        try:
            converted.append(None if value is None else one(value))
        except (TypeError, ValueError, OverflowError) as error:
            shown = repr(value) if isinstance(value, str | float | int) else str(value)
            is_text = kind in ("text", "item code")
            step = "format the cell as text" if is_text else "mend or empty it"
            raise InputError(f"{where}: {shown[:80]} is no {kind}; {step}") from error
    return converted


def _text(value: Any) -> str | None:
    if isinstance(value, date | time | timedelta):
        raise TypeError(value)
    if isinstance(value, str):
        value.encode()  # UnicodeEncodeError, a ValueError: half a surrogate pair, of JSON
        return value
    return typed.array([value], "text")[0].as_py()


def _code(value: Any) -> str | None:
    if isinstance(value, str) and SHORTENED.fullmatch(value.strip()):
        raise ValueError(value)
    return _text(value)


def _number(table: tables.Table, at: int) -> Callable[[Any], float | None]:
    cells = [values[at] for _, values in table.rows if at < len(values)]
    commas = any(isinstance(cell, str) and re.search(r"\d,\d", cell) for cell in cells)
    two = [*([] if table.decimal_comma else [TWO_NUMBERS]), *([ALSO_TWO] if commas else [])]

    def convert(value: Any) -> float | None:
        if not isinstance(value, str):
            if not math.isfinite(value):
                raise ValueError(value)
            return float(value)
        spelled = normalise(value)
        if not spelled:  # "-", "N/A": what a model takes as missing
            return None
        if spelled in YES_OR_NO:
            return YES_OR_NO[spelled]
        if SCIENTIFIC.fullmatch(spelled):
            return float(spelled.replace(",", "."))
        found = number(spelled)
        if math.isnan(found) or any(pattern.fullmatch(spelled) for pattern in two):
            raise ValueError(value)
        return found

    return convert


def _date(value: Any) -> Any:
    if isinstance(value, str) and not normalise(value):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return typed.array([value], "date")[0].as_py()


def _unnamed(table: tables.Table) -> list[str]:
    notes = []
    for at, name in enumerate(table.header):
        if (name is None or not _key(name)) and any(
            at < len(values) and values[at] is not None for _, values in table.rows
        ):
            notes.append(f"column {at + 1} has no name in the header; its values are not used")
    return notes


def _unknown(names: Sequence[str], absent: Sequence[str]) -> list[str]:
    """A line for each name that is nearly one that the file lacks, and one for the others."""
    spelled = {_key(name): name for name in absent}
    notes, others = [], []
    for name in names:
        near = difflib.get_close_matches(_key(name), spelled, n=1)
        if near:
            notes.append(
                f"column {name!r} is not known; nearest: {spelled[near[0]]!r}; "
                "its values are not used"
            )
        else:
            others.append(name)
    if others:
        notes.append(f"not known, so that their values are not used: {_listed(others)}")
    return notes


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(repr(name) for name in names[:NAMED]) + more
