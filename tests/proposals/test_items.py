"""Files of items as people have them: what each cell becomes, and what is said of the rest."""

import csv
import io
import json
import os
import tempfile
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import models_factory as valves
import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routing_ml import models
from routing_ml.errors import InputError
from routing_ml.escapes import to_csv
from routing_ml.models import RoutingModel
from routing_ml.proposals import Items, read_items, typed_in
from routing_ml.source import Columns

COLUMNS_FILE = """
[items]
table = "Artikel"
item = "PartNo"
entered = "Angelegt"
text = ["Beschreibung"]
[items.units]
Laenge = "Einheit"
[routings]
table = "r"
item = "i"
revision = "r"
sequence = "s"
operation = "o"
entered = "e"
"""


@pytest.fixture(scope="module")
def columns(tmp_path_factory: pytest.TempPathFactory) -> Columns:
    path = tmp_path_factory.mktemp("columns") / "columns.toml"
    path.write_text(COLUMNS_FILE)
    return Columns.load(path)


@pytest.fixture(scope="module")
def model() -> RoutingModel:
    made = valves.make(300)
    return models.fit("nearest", made.items, made.routings, attributes=valves.Attributes())


@pytest.fixture
def read(tmp_path: Path, columns: Columns, model: RoutingModel) -> Any:
    """Reads a file made of bytes, text or the rows of a sheet."""

    def given(content: Any, name: str = "new.csv") -> Items:
        path = tmp_path / name
        write(path, content)
        return read_items(path, columns, model)

    return given


def write(path: Path, content: Any) -> None:
    if isinstance(content, list):
        book = openpyxl.Workbook()
        for row in content:
            book.active.append(row)
        book.save(path)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def refused(read: Any, content: Any, name: str = "new.csv") -> str:
    with pytest.raises(InputError) as caught:
        read(content, name)
    line = str(caught.value)
    assert "\n" not in line
    return line


HEADER = ["partno ", "LAENGE", "Einheit", "angelegt", "Beschreibung"]


def test_a_sheet_is_read_with_its_codes_numbers_and_dates(read: Any) -> None:
    rows = [
        HEADER,
        ["00123", 44.9, "MM", datetime(2026, 1, 2), "Spindel"],
        [None, None, " ", None, None],
        [123.0, "2,5", "INCH", "2020/10/9", None],
        [True, None, None, 20201009, "=1"[1:]],
    ]
    frame = read(rows, "new.xlsx").frame
    assert frame["ITEM_CD"].tolist() == ["00123", "123", "True"]
    assert frame["Laenge"].tolist()[:2] == [44.9, 2.5] and pd.isna(frame["Laenge"][2])
    assert frame["INSRT_DT"].tolist()[1:] == [pd.Timestamp(2020, 10, 9)] * 2
    assert frame["Beschreibung"].fillna("").tolist() == ["Spindel", "", "1"]


def test_a_number_that_excel_shows_with_zeros_before_it_is_that_code(
    tmp_path: Path, columns: Columns, model: RoutingModel
) -> None:
    book = openpyxl.Workbook()
    book.active.append(["PartNo"])
    book.active.append([123])
    book.active["A2"].number_format = "00000"
    book.save(tmp_path / "new.xlsx")
    items = read_items(tmp_path / "new.xlsx", columns, model)
    assert items.frame["ITEM_CD"].tolist() == ["00123"] and items.only_codes


def test_codes_of_digits_keep_their_zeros_and_an_unknown_one_is_new_not_refused(
    tmp_path: Path, columns: Columns
) -> None:
    made = valves.make(300)
    groups = [f"{7 + 11 * (k % 20):05d}" for k in range(300)]
    items = made.items.assign(Gruppe=pd.Series(groups, dtype="str"))
    model = models.fit("nearest", items, made.routings, attributes=valves.Attributes())
    path = tmp_path / "new.csv"
    path.write_text("PartNo;Gruppe\nA;00117\nB;117\nC;KJWJKJ\nD;\n")
    frame = read_items(path, columns, model).frame
    assert frame["Gruppe"].fillna("").tolist() == ["00117", "117", "KJWJKJ", ""]
    told = model.predict(frame).drop_duplicates("ITEM_CD")["NEW_TO_MODEL"]
    assert told.fillna("").tolist() == ["", "Gruppe", "Gruppe", ""]
    typed = typed_in({"Gruppe": "00117"}, columns, model)
    assert typed == {"Gruppe": "00117"}


def test_the_first_sheet_that_is_shown_and_has_rows_is_read_and_named(
    tmp_path: Path, columns: Columns, model: RoutingModel
) -> None:
    book = openpyxl.Workbook()
    hidden, shown = book.create_sheet("lists"), book.create_sheet("Neue Teile")
    hidden.sheet_state = "hidden"
    hidden.append(["x"])
    shown.append(["PartNo"])
    shown.append(["A"])
    book.save(tmp_path / "new.xlsx")
    items = read_items(tmp_path / "new.xlsx", columns, model)
    assert items.frame["ITEM_CD"].tolist() == ["A"]
    assert "sheet 'Neue Teile' is read, of 3" in items.notes[0]


def test_a_declared_size_of_the_whole_sheet_does_not_matter(read: Any, tmp_path: Path) -> None:
    write(tmp_path / "small.xlsx", [["PartNo"], ["A"]])
    with (
        zipfile.ZipFile(tmp_path / "small.xlsx") as old,
        zipfile.ZipFile(tmp_path / "huge.xlsx", "w") as new,
    ):
        for name in old.namelist():
            part = old.read(name)
            assert name != "xl/worksheets/sheet1.xml" or b'ref="A1:A2"' in part
            new.writestr(name, part.replace(b'ref="A1:A2"', b'ref="A1:XFD1048576"'))
    items = read((tmp_path / "huge.xlsx").read_bytes(), "new.xlsx")
    assert items.frame["ITEM_CD"].tolist() == ["A"]


@pytest.mark.parametrize(
    ("cell", "column", "complaint"),
    [
        ("about 5", 1, "row 3, column 'LAENGE': 'about 5' is no number"),
        ("soon", 3, "row 3, column 'angelegt': 'soon' is no date"),
        (44113, 3, "column 'angelegt': 44113 is no date"),
        ("#N/A", 1, "row 3, column 'LAENGE' is the Excel error #N/A"),
        ("#REF!", 4, "column 'Beschreibung' is the Excel error #REF!"),
        (
            datetime(2026, 3, 4),
            0,
            "column 'partno': 2026-03-04 00:00:00 is no item code; format the cell as text",
        ),
        (" ", 0, "row 3: the item code is empty"),
        ("A", 0, "has item 'A' twice"),
        ("=1+1", 1, "cell B3 is a formula whose value is not in the file"),
    ],
)
def test_a_cell_that_cannot_be_is_named(
    read: Any, cell: object, column: int, complaint: str
) -> None:
    row: list[object] = ["B", 1, "MM", None, "x"]
    row[column] = cell
    assert complaint in refused(read, [HEADER, ["A", 1, "MM", None, "x"], row], "new.xlsx")


@pytest.mark.parametrize(
    ("content", "name", "complaint"),
    [
        (b"", "new.xlsx", "is empty"),
        (b"\n \n", "new.csv", "is empty"),
        ([["PartNo"]], "new.xlsx", "has a header and no rows"),
        ([], "new.xlsx", "has no sheet with rows"),
        (
            [["PartNo", "Werkstoff", "WERKSTOFF "], ["A", 1, 2]],
            "new.xlsx",
            "two columns 'WERKSTOFF'",
        ),
        (
            [["PartNo", "Foo"], ["A", 1]],
            "new.xlsx",
            "no attribute that is known to the model: 'Foo'",
        ),
        ("PartNo,Angelegt\nA,2026-01-01\n", "new.csv", "no attribute that is known to the model"),
        ("PartNo,Laenge\n1.23457E+11,1\n", "new.csv", "'1.23457E+11' is no item code; format"),
        ("PartNo;Laenge\nA;12,5\nB;1.250\n", "new.csv", "row 3, column 'Laenge': '1.250' is no"),
        ('PartNo,Laenge\nA,"1,250 mm"\n', "new.csv", "'1,250 mm' is no number"),
        (b'[{"PartNo": "\\ud800", "Laenge": 1}]', "new.json", r"'\ud800' is no item code"),
        (b'[{"PartNo": "A", "Laenge": Infinity}]', "new.json", "row 1, column 'Laenge': inf is no"),
        ([["Foo"], ["A"]], "new.xlsx", "has no column 'PartNo' with the item codes"),
        (b"PK\x03\x04 no more", "new.xlsx", "cannot be read as .xlsx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "new.xls", "Excel file of before 2007"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
            "new.xlsx",
            "has a password",
        ),
        (b"x", "new.docx", "is no .xlsx, .csv"),
        ('PartNo,Werkstoff\nA,"STAHL\nB,x\n', "new.csv", "row 2 is no CSV"),
        ("PartNo,Werkstoff\nA,STAHL,1\n", "new.csv", "row 2 has 3 cells and the header 2"),
        ('PartNo,Laenge\nA,"1,250"\n', "new.csv", "'1,250' is no number"),
        (b"PartNo\0,Werkstoff\nA,1", "new.csv", "holds NULs"),
        (b"PartNo\n\xff\xff\n", "new.csv", "neither UTF-8, UTF-16 nor cp949"),
        (b"PAR1 no more", "new.parquet", "cannot be read as .parquet"),
        (b'{"a": 1}', "new.json", "is no list of items"),
        (b"[" * 100_000, "new.json", "cannot be read as .json"),
    ],
)
def test_a_file_that_holds_no_items_is_refused_in_one_line(
    read: Any, content: Any, name: str, complaint: str
) -> None:
    assert complaint in refused(read, content, name)


def test_a_folder_and_what_is_not_there_are_refused(
    tmp_path: Path, columns: Columns, model: RoutingModel
) -> None:
    for path, complaint in ((tmp_path, "is a folder"), (tmp_path / "a.csv", "is not there")):
        with pytest.raises(InputError, match=complaint):
            read_items(path, columns, model)


def test_a_file_without_permission_is_refused(columns: Columns, model: RoutingModel) -> None:
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "new.csv")
        write(path, "PartNo\nA\n")
        path.chmod(0)
        Path(folder).chmod(0o755)
        if user == 0:  # who may read everything
            os.seteuid(65534)
        try:
            with pytest.raises(InputError, match="may not be read by this user"):
                read_items(path, columns, model)
        finally:
            os.seteuid(user)


def test_numbers_are_read_as_excel_writes_them_into_csv(read: Any) -> None:
    lines = [
        f"N{n};{size}" for n, size in enumerate(["4.49E+01", "2,5E-05", "TRUE", "false", "1,250"])
    ]
    frame = read("\n".join(["PartNo;Laenge", *lines])).frame
    assert frame["Laenge"].tolist() == [44.9, 2.5e-05, 1, 0, 1.25]


def test_a_formula_whose_value_is_an_empty_text_is_an_empty_cell(read: Any, tmp_path: Path) -> None:
    write(
        tmp_path / "made.xlsx", [["PartNo", "Laenge", "Werkstoff"], ["A", 1, '=IF(B2="","x","")']]
    )
    sheet, formula = "xl/worksheets/sheet1.xml", b'<f>IF(B2="","x","")</f>'
    with (
        zipfile.ZipFile(tmp_path / "made.xlsx") as old,
        zipfile.ZipFile(tmp_path / "saved.xlsx", "w") as new,
    ):
        for name in old.namelist():
            made = b'<c r="C2">' + formula + b"<v />"
            saved = b'<c r="C2" t="str">' + formula + b"<v></v>"
            part = old.read(name)
            assert name != sheet or made in part
            new.writestr(name, part.replace(made, saved))
    frame = read((tmp_path / "saved.xlsx").read_bytes(), "new.xlsx").frame
    assert frame["Werkstoff"].isna().all()


@pytest.mark.parametrize(
    "held",
    [
        {"PartNo": ["A", "B"], "Laenge": [1.5, None]},
        {"PartNo": {"0": "A", "1": "B"}, "Laenge": {"0": 1.5, "1": None}},
    ],
)
def test_json_may_be_a_table_as_pandas_writes_it(read: Any, held: Any) -> None:
    frame = read(json.dumps(held), "new.json").frame
    assert frame["ITEM_CD"].tolist() == ["A", "B"] and frame["Laenge"][0] == 1.5


def test_unknown_columns_are_noted_with_the_nearest_that_the_file_lacks(read: Any) -> None:
    items = read("PartNo;Werkstof;Laenge;Lange;;Farbe\nA;STAHL;1,250;2;9;rot\n")
    assert list(items.frame.columns) == ["ITEM_CD", "Laenge"]
    assert items.frame["Laenge"].tolist() == [1.25]
    assert items.notes == (
        "column 5 has no name in the header; its values are not used",
        "column 'Werkstof' is not known; nearest: 'Werkstoff'; its values are not used",
        "not known, so that their values are not used: 'Lange', 'Farbe'",
    )


def test_a_code_of_several_columns_is_joined(
    tmp_path: Path, columns: Columns, model: RoutingModel
) -> None:
    (tmp_path / "c.toml").write_text(COLUMNS_FILE.replace('"PartNo"', '["Werk", "PartNo"]'))
    (tmp_path / "new.csv").write_text("partno,werk\n007,A\n")
    items = read_items(tmp_path / "new.csv", Columns.load(tmp_path / "c.toml"), model)
    assert items.frame["ITEM_CD"].tolist() == ["A/007"] and items.only_codes


def test_excels_own_word_for_the_separator_and_a_guessed_encoding(read: Any) -> None:
    assert read("sep=;\r\nPartNo;Werkstoff\r\nA;x,y\r\n").frame["Werkstoff"].tolist() == ["x,y"]
    items = read("PartNo,Beschreibung\nA,씰링\n".encode("cp949"))
    assert items.frame["Beschreibung"].tolist() == ["씰링"]
    assert "is read as cp949" in items.notes[0]


WORDS = (
    st.text("aB9 ,;\t\"'\n=+-@가힣é", max_size=8).map(str.strip).filter(lambda text: text != "-")
)
KOREAN = (
    st.text("aB9 ,;\t\"'\n=+-@가링", max_size=8).map(str.strip).filter(lambda text: text != "-")
)
NUMBERS = st.none() | st.floats(-1e6, 1e6).map(lambda value: round(value, 3))


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, str, list[tuple[str, str, float | None]]]:
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp949"]))
    words = KOREAN if encoding == "cp949" else WORDS
    codes = draw(st.lists(words.filter(bool), min_size=1, max_size=6, unique=True))
    return encoding, draw(st.sampled_from(",;\t")), [(c, draw(words), draw(NUMBERS)) for c in codes]


def same(frame: pd.DataFrame, rows: list[tuple[str, str, float | None]]) -> None:
    assert frame["ITEM_CD"].tolist() == [code for code, _, _ in rows]
    assert frame["Beschreibung"].fillna("").tolist() == [text for _, text, _ in rows]
    numbers = [None if pd.isna(value) else value for value in frame["Laenge"].tolist()]
    assert numbers == [number for _, _, number in rows]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables())
def test_every_csv_encoding_and_separator_is_read_equal(
    read: Any, table: tuple[str, str, list[tuple[str, str, float | None]]]
) -> None:
    encoding, separator, rows = table
    written = io.StringIO()
    writer = csv.writer(written, delimiter=separator)
    writer.writerow(["ITEM_CD", "Beschreibung", "Laenge"])
    for code, text, number in rows:
        shown = "" if number is None else str(number)
        shown = shown.replace(".", ",") if separator == ";" else shown
        writer.writerow([to_csv(code), to_csv(text), shown])
    same(read(written.getvalue().encode(encoding)).frame, rows)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables(), st.sampled_from(["xlsx", "parquet", "json"]))
def test_every_other_format_is_read_equal(
    read: Any, table: tuple[str, str, list[tuple[str, str, float | None]]], ending: str
) -> None:
    rows = table[2]
    frame = pd.DataFrame(rows, columns=["ITEM_CD", "Beschreibung", "Laenge"])
    frame["Laenge"] = frame["Laenge"].astype("float64")
    if ending == "xlsx":
        book = openpyxl.Workbook()
        book.active.append(list(frame.columns))
        for row in rows:
            book.active.append(row)
            for cell in book.active[book.active.max_row][:2]:
                cell.data_type = "s" if cell.value else cell.data_type
        held = io.BytesIO()
        book.save(held)
        content = held.getvalue()
    elif ending == "parquet":
        content = frame.to_parquet(index=False)
    else:
        content = json.dumps(frame.astype(object).where(frame.notna(), None).to_dict("records"))
    same(read(content, f"new.{ending}").frame, rows)


@settings(deadline=None, max_examples=200)
@given(
    whole=st.booleans(),
    part=st.integers(0, 99),
    bytes_at=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=8),
    kept=st.just(1.0) | st.floats(0.1, 1),
)
def test_a_damaged_workbook_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    columns: Columns,
    model: RoutingModel,
    whole: bool,
    part: int,
    bytes_at: list[tuple[float, int]],
    kept: float,
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.xlsx"
    write(path, [HEADER, ["A", 1, "MM", datetime(2026, 1, 2), "x"]])

    def damaged(content: bytes) -> bytes:
        held = bytearray(content)
        for at, value in bytes_at:
            held[int(at * len(held))] = value
        return bytes(held[: int(kept * len(held)) or 1])

    if whole:
        path.write_bytes(damaged(path.read_bytes()))
    else:  # the archive is sound, one of its files is not
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in sorted(archive.namelist())}
        name = list(parts)[part % len(parts)]
        parts[name] = damaged(parts[name])
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in parts.items():
                archive.writestr(name, content)
    try:
        read_items(path, columns, model)
    except InputError as error:
        assert "\n" not in str(error)


def test_a_western_code_page_is_not_taken_for_korean(tmp_path: Path) -> None:
    from routing_ml.errors import InputError as Refused
    from routing_ml.proposals import tables

    path = tmp_path / "a.csv"
    path.write_bytes("ITEM_CD,Größe\nA,1\n".encode("cp1252"))
    with pytest.raises(Refused, match="code page that cannot be told"):
        tables.read(path)
    path.write_bytes("ITEM_CD,Text\nA,CNC선삭 1차\n".encode("cp949"))
    assert "cp949" in tables.read(path).notes[0]
    path.write_bytes("ITEM_CD,Text\nA,50mm각x20φx3\n".encode("cp949"))
    assert tables.read(path).rows[0][1][1] == "50mm각x20φx3"


def test_what_is_typed_in_is_read_by_the_kind_of_its_column(
    columns: Columns, model: RoutingModel
) -> None:
    values = {"Laenge": "2,5", "Einheit": "INCH", "INSRT_DT": "2026-01-02", "Teil": ""}
    assert typed_in(values, columns, model) == {
        "Laenge": 2.5, "Einheit": "INCH", "INSRT_DT": pd.Timestamp("2026-01-02"), "Teil": None,
    }  # fmt: skip
    assert typed_in({}, columns, model) == {}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"Laenge": "long"}, "column 'Laenge': 'long' is no number"),
        ({"Laenge": "1,250"}, "is no number"),
        ({"Farbe": "red"}, "'Farbe' is no attribute"),
    ],
)
def test_what_is_typed_in_and_cannot_be_is_named(
    columns: Columns, model: RoutingModel, values: dict[str, str], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        typed_in(values, columns, model)
