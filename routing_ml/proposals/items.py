"""Items of a file as people have it into a frame as the model wants it."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from routing_ml.errors import InputError
from routing_ml.models import number_in
from routing_ml.proposals import tabular
from routing_ml.source import Columns, typed


def read_items(
    path: Path, columns: Columns, known: Mapping[str, str] | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """Items of a file, a row each, and lines on its columns that are not used.

    A column of codes, named as in the ERP or ITEM_CD, and attributes under the ERP's names, in any
    case. `known` are the attributes that count and what they are ("text", "number", "date"), those
    of the model in use; without it every column is taken as it is. Raises InputError naming row,
    column and value of what is not what it should be.
    """
    rows = tabular.read(path)
    wanted = _names(columns, known or {})
    found: dict[str, list[Any]] = {}
    unknown: list[str] = []
    parts = columns.items.parts["ITEM_CD"]
    for place, written in enumerate(rows.header):
        if not written:
            continue
        name = wanted.get(written.casefold(), written)
        if name in found:
            raise InputError(f"{path} has column {written!r} twice; keep one of them")
        found[name] = [row[place] for row in rows.rows]
        if known is not None and name not in ("ITEM_CD", "INSRT_DT", *known, *parts):
            unknown.append(written)
    codes = _codes(path, rows, found, parts, columns)
    kinds = {"INSRT_DT": "date", **(known or {})}
    data: dict[str, Any] = {"ITEM_CD": codes}
    for name, values in found.items():
        if name not in data and (known is None or name in kinds):
            data[name] = _converted(path, rows, name, values, kinds.get(name, ""))
    if known is not None and unknown and not data.keys() & known.keys():
        raise InputError(
            f"{path} has no column that the model knows (it has: {', '.join(rows.header)}; the "
            f"model knows: {', '.join(list(known)[:8])}, ...); name its columns as in the ERP"
        )
    return pd.DataFrame(data), _unused(path, unknown, set(wanted.values()) - found.keys())


def _names(columns: Columns, known: Mapping[str, str]) -> dict[str, str]:
    """Names as they may be written, in lower case, to what they are called here."""
    names = {name.casefold(): name for name in (*known, *columns.items.parts["ITEM_CD"])}
    single = {
        parts[0].casefold(): standard
        for standard, parts in columns.items.parts.items()
        if len(parts) == 1
    }
    return names | single | {"item_cd": "ITEM_CD", "insrt_dt": "INSRT_DT"}


def _codes(
    path: Path,
    rows: tabular.Rows,
    found: Mapping[str, list[Any]],
    parts: Sequence[str],
    columns: Columns,
) -> pd.Series:
    if "ITEM_CD" in found:
        given = [None if tabular.is_empty(code) else code for code in found["ITEM_CD"]]
        codes = [code and code.strip() for code in typed.array(given, "code").to_pylist()]
    elif len(parts) > 1 and set(parts) <= found.keys():
        each = [typed.array(found[part], "code").to_pylist() for part in parts]
        codes = [
            "/".join(part.strip() for part in row) if all(row) else None
            for row in zip(*each, strict=True)
        ]
    else:
        raise InputError(
            f"{path} has no column {columns.items.columns['ITEM_CD']!r} with the item codes (it "
            f"has: {', '.join(rows.header)}); add it, or call it ITEM_CD"
        )
    first: dict[str, int] = {}
    for number, code in zip(rows.numbers, codes, strict=True):
        if not code:
            raise InputError(f"{path}, row {number}: the item code is empty; fill it")
        if code in first:
            raise InputError(
                f"{path} has item {code!r} twice, in rows {first[code]} and {number}; keep one"
            )
        first[code] = number
    if not codes:
        raise InputError(f"{path} has a header and no items; write one in each row")
    return pd.Series(codes, dtype="str")


def _converted(
    path: Path, rows: tabular.Rows, name: str, values: list[Any], kind: str
) -> pd.Series:
    """A column as what the model knows it as; InputError names the first value that is not."""
    values = [None if tabular.is_empty(value) else value for value in values]
    if kind == "number":
        numbers = [np.nan if value is None else number_in(value) for value in values]
        for number, value, read in zip(rows.numbers, values, numbers, strict=True):
            if value is not None and np.isnan(read):
                raise InputError(
                    f"{path}, row {number}: {name} is {value!r}, where a number is due; correct it"
                )
        return pd.Series(numbers, dtype=float)
    if kind == "date":
        try:
            return pd.Series(typed.array(values, "date").to_pandas())
        except typed.ConversionError as error:
            raise InputError(
                f"{path}, row {rows.numbers[error.row]}: {name} is {error.value!r}, where a date "
                "is due; write it like 2026-11-01"
            ) from error
    if kind == "text":
        return pd.Series(typed.array([_plain(value) for value in values], "code").to_pylist())
    return pd.Series(values, dtype=object).infer_objects()


def _plain(value: Any) -> Any:
    """A date of Excel in a column of texts, as a person writes it."""
    return str(value).removesuffix(" 00:00:00") if hasattr(value, "isoformat") else value


def _unused(path: Path, unknown: Sequence[str], missing: set[str]) -> list[str]:
    """A line for each column that may be a misspelled one, and one for the others."""
    by_case = {name.casefold(): name for name in missing}
    lines, others = [], []
    for written in unknown:
        near = difflib.get_close_matches(written.casefold(), by_case, n=1, cutoff=0.75)
        if near:
            lines.append(
                f"{path}: column {written!r} is not known and not used; "
                f"nearest: {by_case[near[0]]!r}"
            )
        else:
            others.append(written)
    if others:
        lines.append(f"{path}: the model has no use for {', '.join(others)}")
    return lines
