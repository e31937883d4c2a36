"""Files of items as people have them."""

import math
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
from data_fixtures import SMALL_COLUMNS
from hypothesis import given
from hypothesis import strategies as st

from routing_ml.errors import InputError
from routing_ml.proposals.items import read_items
from routing_ml.source.columns import Columns

KNOWN = {"MATERIAL": "text", "SIZE": "number", "MADE": "date"}
HEADER = ["ITEM_CD", "MATERIAL", "SIZE", "MADE"]
ROWS = [["00123", "SUS 304", "12.5", "2020-10-09"], ["B;1", '황동, "연"\n둘째 줄', "", ""]]


@pytest.fixture(scope="module")
def columns(tmp_path_factory: pytest.TempPathFactory) -> Columns:
    path = tmp_path_factory.mktemp("columns") / "c.toml"
    path.write_text(SMALL_COLUMNS)
    return Columns.load(path)


def csv_text(rows: list[list[str]], separator: str) -> str:
    def quoted(value: str) -> str:
        special = any(letter in value for letter in (separator, '"', "\n", "\r"))
        return '"' + value.replace('"', '""') + '"' if special else value

    return "".join(separator.join(map(quoted, row)) + "\r\n" for row in rows)


def sheet(path: Path, *sheets: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for rows in sheets:
        made = book.create_sheet()
        for row in rows:
            made.append(row)
    book.save(path)
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp949"])
def test_csv_of_every_encoding_and_separator_is_read_equal(
    tmp_path: Path, columns: Columns, encoding: str, separator: str
) -> None:
    path = tmp_path / "items.csv"
    path.write_bytes(csv_text([HEADER, *ROWS], separator).encode(encoding))
    items, unused = read_items(path, columns, KNOWN)
    assert unused == []
    assert items["ITEM_CD"].tolist() == ["00123", "B;1"]
    assert items["MATERIAL"].tolist() == ["SUS 304", '황동, "연"\n둘째 줄']
    assert items["SIZE"][0] == 12.5 and math.isnan(items["SIZE"][1])
    assert items["MADE"][0] == datetime(2020, 10, 9) and items["MADE"].isna()[1]


def test_excel_is_read_as_it_is_meant(tmp_path: Path, columns: Columns) -> None:
    rows = [
        [None, None],
        [" item_cd ", "Material", None, "SIZE", "made", "Colour"],
        [123.0, "SUS 304", None, 12.5, datetime(2020, 10, 9), "red"],
        [],
        ["00124", 304, None, "12,5 mm", "2020/10/9", None],
    ]
    path = sheet(tmp_path / "items.xlsx", [], rows, [["other"]])
    items, unused = read_items(path, columns, KNOWN)
    assert items["ITEM_CD"].tolist() == ["123", "00124"]
    assert items["MATERIAL"].tolist() == ["SUS 304", "304"]
    assert items["SIZE"].tolist() == [12.5, 12.5]
    assert items["MADE"].tolist() == [datetime(2020, 10, 9)] * 2
    assert unused == [f"{path}: the model has no use for Colour"]


def test_a_misspelled_column_is_named_with_the_nearest(tmp_path: Path, columns: Columns) -> None:
    path = tmp_path / "items.csv"
    path.write_text("ITEM_CD,Materail,SIZE\nA,x,1\n")
    items, unused = read_items(path, columns, KNOWN)
    assert list(items) == ["ITEM_CD", "SIZE"]
    assert unused == [f"{path}: column 'Materail' is not known and not used; nearest: 'MATERIAL'"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ITEM_CD,SIZE\nA,big\n", "row 2: SIZE is 'big', where a number is due"),
        ("ITEM_CD,MADE\nA,\nB,soon\n", "row 3: MADE is 'soon', where a date is due"),
        ("ITEM_CD,SIZE\nA,1\n,2\n", "row 3: the item code is empty"),
        ("ITEM_CD,SIZE\nA,1\n\na,2\nA,3\n", "has item 'A' twice, in rows 2 and 5"),
        ("ITEM_CD,SIZE,size\nA,1,2\n", "has column 'size' twice"),
        ("ITEM_CD,SIZE\nA,1,2\n", "row 2: '2' stands in column 3, which has no name"),
        ("CODE,SIZE\nA,1\n", "has no column 'ITEM_CD' with the item codes (it has: CODE, SIZE)"),
        ("ITEM_CD,COLOUR\nA,red\n", "has no column that the model knows (it has: ITEM_CD, COLOUR"),
        ("ITEM_CD,SIZE\n", "has a header and no items"),
        ("", "is empty; write a header"),
        ("\n , \n", "is empty; write a header"),
    ],
)
def test_a_mistake_is_named_with_its_place(
    tmp_path: Path, columns: Columns, text: str, shown: str
) -> None:
    path = tmp_path / "items.csv"
    path.write_text(text)
    with pytest.raises(InputError) as failed:
        read_items(path, columns, KNOWN)
    assert shown in str(failed.value)
    assert "\n" not in str(failed.value)


@pytest.mark.parametrize(
    ("name", "content", "shown"),
    [
        ("a.xlsx", b"\xd0\xcf\x11\xe0" + b"\0" * 600, "is an old .xls file or has a password"),
        ("a.xlsx", b"PK\x03\x04 broken", "cannot be read as .xlsx"),
        ("a.xlsx", b"ITEM_CD,SIZE\n", "cannot be read as .xlsx"),
        ("a.csv", b"ITEM_CD\n\xff\x81\xfe", "is text in none of UTF-8, UTF-16 and cp949"),
        ("a.parquet", b"no", "cannot be read as .parquet"),
        ("a.json", b"{", "cannot be read as .json"),
        ("a.ods", b"", "is no .xlsx, .csv, .txt, .parquet or .json file"),
    ],
)
def test_a_file_that_is_none_is_one_line(
    tmp_path: Path, columns: Columns, name: str, content: bytes, shown: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as failed:
        read_items(tmp_path / name, columns, KNOWN)
    assert shown in str(failed.value)
    assert "\n" not in str(failed.value)


def test_an_error_of_excel_and_a_folder_are_named(tmp_path: Path, columns: Columns) -> None:
    path = sheet(tmp_path / "e.xlsx", [["ITEM_CD", "SIZE"], ["A", "#N/A"]])
    with pytest.raises(InputError, match="row 2: a cell is #N/A, an error of Excel"):
        read_items(path, columns, KNOWN)
    (tmp_path / "f.csv").mkdir()
    with pytest.raises(InputError, match="Is a directory"):
        read_items(tmp_path / "f.csv", columns, KNOWN)


def test_codes_alone_are_enough(tmp_path: Path, columns: Columns) -> None:
    path = tmp_path / "items.txt"
    path.write_text("item_cd\n00123\n")
    assert read_items(path, columns, KNOWN)[0].to_dict("list") == {"ITEM_CD": ["00123"]}


CELLS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=12
).map(lambda text: "x" + text + "x")


@given(
    st.lists(st.tuples(CELLS, st.floats(-1e6, 1e6).map(lambda x: round(x, 3))), max_size=8),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["utf-8", "utf-16", "utf-8-sig"]),
)
def test_what_was_written_is_read(tmp_path_factory, columns, rows, separator, encoding) -> None:
    path = tmp_path_factory.mktemp("any") / "items.csv"
    written = [["SIZE", "ITEM_CD", "MATERIAL"]]
    written += [[str(size), f"I{n}", text] for n, (text, size) in enumerate(rows)]
    written.append(["1", "last", "x"])
    path.write_bytes(csv_text(written, separator).encode(encoding))
    items, _ = read_items(path, columns, KNOWN)
    assert items["MATERIAL"].tolist() == [text for text, _ in rows] + ["x"]
    assert items["SIZE"].tolist() == [size for _, size in rows] + [1.0]
    frame = pd.DataFrame({"ITEM_CD": items["ITEM_CD"], "SIZE": items["SIZE"]})
    frame.to_parquet(path.with_suffix(".parquet"))
    again, _ = read_items(path.with_suffix(".parquet"), columns, KNOWN)
    assert again["SIZE"].tolist() == items["SIZE"].tolist()
