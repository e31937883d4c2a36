import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from access_builder import (
    BINARY,
    COMPLEX,
    DATE,
    DECIMAL,
    GUID,
    LONG,
    MEMO,
    SINGLE,
    TEXT,
    YES_NO,
    Builder,
    Column,
)
from access_files import EVERY_TYPE, LEFT_OUT, RIGHT, every_type, everything, rows, unpacked

from routing_ml.errors import InputError
from routing_ml.source.access import AccessFile


def saved(tmp_path: Path, builder: Builder, name: str = "erp.mdb") -> Path:
    path = tmp_path / name
    path.write_bytes(builder.build())
    return path


def wide(text: str) -> bytes:
    return text.encode("utf-16-le")


def long(value: int) -> bytes:
    return struct.pack("<i", value)


@pytest.mark.parametrize("name", EVERY_TYPE)
def test_every_type_of_every_format_is_read_value_by_value(name: str) -> None:
    path = unpacked(f"every_type/{name}")
    for table, right in every_type(name).items():
        assert rows(path, table) == right
        with AccessFile(path) as file:
            assert file.count(table) == len(right)


@pytest.mark.parametrize(("name", "table", "column", "right"), RIGHT)
def test_what_a_driver_reads_wrong_is_right(
    name: str, table: str, column: str, right: list[Any]
) -> None:
    assert [row[column] for row in rows(unpacked(name), table, column)] == right


@pytest.mark.parametrize(("name", "left_out"), LEFT_OUT)
def test_columns_that_are_not_read_are_named_with_the_reason(
    name: str, left_out: dict[str, str]
) -> None:
    with AccessFile(unpacked(name)) as file:
        columns = [column for column in file.columns("items") if column.kind is None]
        assert {column.name: column.type_name for column in columns} == left_out
        assert all(column.why for column in columns)
        with pytest.raises(InputError, match=r"column \w+ of table items .* leave it out"):
            next(file.batches("items", ["ITEM_CD", columns[0].name]))


def test_a_batch_has_the_columns_asked_for_in_that_order(sample: Path) -> None:
    with AccessFile(sample) as file:
        batches = list(file.batches("dbo_BI_ROUTING_VIEW", ["RUN_TIME", "ITEM_CD", "INSRT_DT"]))
    assert [str(kind) for kind in batches[0].schema.types] == ["double", "string", "timestamp[us]"]
    assert batches[0].schema.names == ["RUN_TIME", "ITEM_CD", "INSRT_DT"]
    assert sum(len(batch) for batch in batches) == 19_786
    for batch in batches:
        batch.validate(full=True)


def test_columns_come_as_access_shows_them_and_tables_with_what_they_are(tmp_path: Path) -> None:
    builder = Builder()
    columns = [Column("나중", LONG), Column("B", BINARY), Column("X", COMPLEX), Column("Q", 99)]
    builder.table("품목 {A};'B'", columns, [])
    builder.table("hidden", columns, [], flags=0x2)
    builder.table("~TMPCLP1", columns, [])
    builder.objects += [(9, "dbo_ITEM", 4, 0), (9, "other.mdb", 6, 0), (9, "a query", 5, 0),
                        (9, "~sq_f", 5, 0), (9, "form", -32768, 0)]  # fmt: skip
    with AccessFile(saved(tmp_path, builder)) as file:
        assert file.objects() == {
            "품목 {A};'B'": "table", "dbo_ITEM": "linked table", "other.mdb": "linked table",
            "a query": "query",
        }  # fmt: skip
        found = file.columns("품목 {A};'B'")
        assert [column.name for column in found] == ["나중", "B", "X", "Q"]
        assert [column.kind for column in found] == ["whole number", None, None, None]
        for name, words in (("a query", "is a query"), ("none", "has no table 'none'")):
            with pytest.raises(InputError, match=words):
                file.columns(name)


@pytest.mark.parametrize("name", ["한글 밸브", "größe é", "a;b", "{c}", 'it\'s "d"', "日本語"])
def test_a_path_may_have_any_characters(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / f"{name}.accdb"
    path.parent.mkdir()
    path.write_bytes(unpacked("emoji.accdb").read_bytes())
    assert rows(path, "items", "T")[0] == {"T": "한글 밸브"}


@pytest.mark.parametrize("jet", [3, 4])
@pytest.mark.parametrize("reference_map", [False, True])
def test_a_definition_may_span_pages_and_a_map_may_too(
    tmp_path: Path, jet: int, reference_map: bool
) -> None:
    builder = Builder(jet)
    columns = [Column(f"{'long name ' * 5}{i}", (LONG, TEXT, YES_NO)[i % 3]) for i in range(200)]
    values = [
        [(long(i), b"", i % 2 == 0)[i % 3] if i % 7 else None for i in range(200)]
        for _ in range(60)
    ]
    builder.table("t", columns, values, reference_map=reference_map)
    found = rows(saved(tmp_path, builder), "t")
    assert len(found) == 60
    right = [(i, "", int(i % 2 == 0))[i % 3] if i % 7 else (0 if i % 3 == 2 else None)
             for i in range(200)]  # fmt: skip
    assert [list(row.values()) for row in found] == [right] * 60


def test_a_map_is_read_past_its_first_part(tmp_path: Path) -> None:
    builder = Builder(3)
    builder.pages += [bytes(2048)] * 16_400  # of 16,352 pages of Access 97 there is one part
    values = [(long(i),) for i in range(300)]
    builder.table("t", [Column("N", LONG)], values, reference_map=True)
    assert [row["N"] for row in rows(saved(tmp_path, builder), "t")] == list(range(300))


@pytest.mark.parametrize(("code_page", "word"), [(949, "밸브"), (932, "バルブ"), (1252, "Größe")])
def test_access_97_is_read_in_the_code_page_of_its_header(
    tmp_path: Path, code_page: int, word: str
) -> None:
    builder = Builder(3, code_page=code_page)
    texts = [(word + " ")[: i % 7] * i + "x" for i in range(120)]
    columns = [Column("T", TEXT), Column(word, TEXT), Column("M", MEMO), Column("U", TEXT)]
    columns += [Column(f"C{i}", TEXT) for i in range(3)]
    values = []
    for i, text in enumerate(texts):
        part, whole = text[:120].encode(builder.codec), text.encode(builder.codec)
        values.append((part, None, builder.memo(whole), part, b"c" * i, b"d" * (250 - i), b"e"))
    builder.table(word, columns, values)
    with AccessFile(path := saved(tmp_path, builder)) as file:
        assert (file.format_name, list(file.objects())) == ("Access 97", [word])
    found = rows(path, word)
    assert [list(row.values()) for row in found] == [
        [text[:120], None, text, text[:120], "c" * i, "d" * (250 - i), "e"]
        for i, text in enumerate(texts)
    ]


def test_a_row_older_than_a_column_has_no_value_in_it(tmp_path: Path) -> None:
    builder = Builder()
    page = builder.new_page()
    builder.objects.append((page, "t", 1, 0))
    columns = [Column("A", LONG), Column("B", TEXT)]
    added = [*columns, *(Column(f"C{i}", (LONG, TEXT, YES_NO)[i % 3]) for i in range(12))]
    old = builder.row(columns, (long(1), wide("b")))
    new = builder.row(added, (long(2), None, *(long(3), wide("d"), True) * 4))
    builder.raw_table(added, [(0, old), (0, new)], page=page)
    found = rows(saved(tmp_path, builder), "t")
    assert [list(row.values()) for row in found] == [
        [1, "b", *[None, None, 0] * 4],
        [2, None, *[3, "d", 1] * 4],
    ]


def test_a_map_that_names_pages_of_others_adds_no_rows(tmp_path: Path) -> None:
    builder = Builder()
    columns = [Column("M", MEMO)]
    values = [(builder.memo(wide("long" * 100)),)]
    builder.table("one", columns, values)
    page = builder.new_page()
    builder.objects.append((page, "other", 1, 0))
    own = builder.data_pages(page, [(0, builder.row(columns, values[0]))])
    builder.definition(page, columns, 1, builder.usage_map([*range(1, page), *own]))
    right = [{"M": "long" * 100}]
    assert everything(saved(tmp_path, builder)) == {"one": right, "other": right}


def test_a_text_may_be_of_fixed_length_and_a_decimal_too(tmp_path: Path) -> None:
    builder = Builder()
    columns = [Column("T", TEXT, fixed=True, length=8), Column("D", DECIMAL, 2, True, 17)]
    decimal = b"\x80" + struct.pack("<4I", 0, 0, 0, 1234)
    builder.table("t", columns, [(wide("abcd"), decimal), (wide("한글  "), None)])
    assert rows(saved(tmp_path, builder), "t") == [
        {"T": "abcd", "D": -12.34},
        {"T": "한글  ", "D": None},
    ]


def test_long_texts_are_not_in_memory_all_at_once(tmp_path: Path) -> None:
    builder = Builder()
    texts = ["긴 글 " * 100_000, "", "x" * 3000, *["열 자 " * 20_000] * 20]
    values = [(builder.memo(wide(text)),) for text in texts]
    builder.table("t", [Column("M", MEMO)], values)
    with AccessFile(saved(tmp_path, builder)) as file:
        batches = list(file.batches("t", ["M"]))
    assert [text for batch in batches for text in batch[0].to_pylist()] == texts
    assert max(batch.nbytes for batch in batches) < 5 << 20
    assert len(batches) > 1


def test_a_value_that_cannot_be_held_names_table_column_and_row(tmp_path: Path) -> None:
    def refused(code: int, value: bytes, jet: int = 4) -> str:
        builder = Builder(jet)
        item = Column("ITEM_CD", TEXT)
        values = [("A1".encode(builder.codec), None), ("B2".encode(builder.codec), value)]
        builder.table("items", [item, Column("V", code)], values)
        with pytest.raises(InputError) as error:
            rows(saved(tmp_path, builder), "items")
        return str(error.value).split("erp.mdb: ")[1]

    where = "table items, ITEM_CD 'B2': V "
    assert refused(DATE, struct.pack("<d", 3e6)) == (
        f"{where}is no date of the years 100 to 9999 (day 3000000); correct it in Access"
    )
    for day in (-657435.0, 2958466.0, 2958465.9999999999, float("nan"), float("inf")):
        assert refused(DATE, struct.pack("<d", day)).startswith(where)
    for text in ("\ud83d", "\ude00", "a\ud83db", "\ude00\ud83d"):
        assert refused(TEXT, text.encode("utf-16-le", "surrogatepass")).startswith(where)
    assert refused(TEXT, b"a\0b").startswith(f"{where}is a text cut within a character")
    assert refused(TEXT, b"\x81", jet=3).startswith(f"{where}is no valid text")
    assert refused(TEXT, b"\xff\xfea\0\x3d\xd8").startswith(f"{where}is no valid text")


def test_a_text_that_is_not_valid_is_named_among_compressed_ones(tmp_path: Path) -> None:
    builder = Builder()
    texts = [b"\xff\xfeplain", b"\xff\xfegr\xfc\xdf", wide("한글"), b"\x00\xd8", wide("x")]
    values = [(wide(f"A{i}"), text) for i, text in enumerate(texts)]
    builder.table("t", [Column("ITEM_CD", TEXT), Column("V", TEXT)], values)
    with pytest.raises(InputError, match=r"table t, ITEM_CD 'A3': V is no valid text"):
        rows(saved(tmp_path, builder), "t")


def test_two_halves_of_a_character_in_two_rows_are_not_one(tmp_path: Path) -> None:
    builder = Builder()
    halves = [(text.encode("utf-16-le", "surrogatepass"),) for text in ("\ud83d", "\ude00")]
    builder.table("t", [Column("T", TEXT)], halves)
    with pytest.raises(InputError, match="half of a character"):
        rows(saved(tmp_path, builder), "t")


def test_a_file_with_a_password_but_plain_pages_is_read(tmp_path: Path) -> None:
    data = bytearray(unpacked("every_type/every_type_2003.mdb").read_bytes())
    data[0x42:0x6A] = bytes(byte ^ 0x55 for byte in data[0x42:0x6A])
    (path := tmp_path / "erp.mdb").write_bytes(data)
    assert everything(path) == everything(unpacked("every_type/every_type_2003.mdb"))


def test_an_encrypted_file_is_told_as_such(tmp_path: Path) -> None:
    builder = Builder()
    builder.key = b"\0\0\1\0"
    with pytest.raises(InputError, match=r"is encrypted; remove the password in Access .*copy$"):
        AccessFile(saved(tmp_path, builder))


def test_an_unknown_format_and_an_unknown_code_page_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"format of Access that is not known \(version 9\)"):
        AccessFile(saved(tmp_path, Builder(version=9)))
    builder = Builder(3)
    builder.code_page = 65535
    with pytest.raises(InputError, match="code page 65535, which Python does not know"):
        AccessFile(saved(tmp_path, builder))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is not there; set ROUTING_ML_SOURCE"),
        ("folder", "cannot be read: Is a directory"),
        (b"", "is empty"),
        (b"PK\3\4" + bytes(5000), "is no Microsoft Access database"),
        (b"\0\1\0\0Standard", "is no Microsoft Access database"),
        (b"\0\1\0\0Standard Jet DB\0\1" + bytes(5000), "ends in the middle of a page"),
    ],
)
def test_a_path_that_is_no_access_file_is_told_in_one_line(
    tmp_path: Path, content: bytes | str | None, words: str
) -> None:
    path = tmp_path / "erp.accdb"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        path.mkdir()
    with pytest.raises(InputError, match=words) as error:
        AccessFile(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_reading_imports_no_pandas(sample: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from routing_ml.source.access import AccessFile\n"
        "assert 'numpy' not in sys.modules or 'pyarrow' in sys.modules\n"
        "with AccessFile(Path(sys.argv[1])) as file:\n"
        "    for table in file.objects():\n"
        "        names = [c.name for c in file.columns(table) if c.kind]\n"
        "        assert sum(len(b) for b in file.batches(table, names)) == file.count(table)\n"
        "print('pandas' in sys.modules)"
    )
    command = [sys.executable, "-P", "-c", code, str(sample)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"


def test_handing_on_the_names_imports_nothing_slow() -> None:
    code = "import sys, routing_ml.source.access; print('numpy' in sys.modules)"
    command = [sys.executable, "-P", "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_guid_and_a_single_of_a_column_without_values(tmp_path: Path) -> None:
    builder = Builder()
    builder.table("t", [Column("G", GUID), Column("S", SINGLE)], [(None, None)] * 3)
    assert rows(saved(tmp_path, builder), "t") == [{"G": None, "S": None}] * 3
