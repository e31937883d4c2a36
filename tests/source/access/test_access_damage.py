import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from access_builder import DELETED, LONG, MEMO, MOVED, TEXT, Builder, Column
from access_files import everything, unpacked
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routing_ml.errors import InputError

FILES = ["emoji.accdb", "memo_16k.accdb", "grown_then_deleted.accdb",
         "every_type/every_type_2000.mdb", "every_type/every_type_2019.accdb"]  # fmt: skip
BYTES = st.integers(1, 255)
COLUMNS = [Column("N", LONG), Column("T", TEXT)]


def access_97() -> bytes:
    builder = Builder(3)
    columns = [Column("N", LONG), Column("T", TEXT), Column("M", MEMO)]
    values = [(struct.pack("<i", i), b"t" * i * 4, builder.memo(b"m" * i * 90)) for i in range(60)]
    builder.table("t", columns, values)
    return builder.build()


@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([*FILES, "Access 97"]))
    content = access_97() if name == "Access 97" else unpacked(name).read_bytes()
    page = 2048 if name == "Access 97" else 4096
    damaged = bytearray(content)
    numbers = st.integers(0, len(content) // page - 1)
    for _ in range(data.draw(st.integers(1, 30))):
        kind = data.draw(st.sampled_from(["flip", "flip a head", "swap", "cut"]))
        at, other = (data.draw(numbers) * page for _ in range(2))
        if kind == "flip":
            damaged[(at + data.draw(st.integers(0, page - 1))) % len(damaged)] ^= data.draw(BYTES)
        elif kind == "flip a head":
            damaged[(at + data.draw(st.integers(0, 63))) % len(damaged)] ^= data.draw(BYTES)
        elif kind == "swap" and max(at, other) < len(damaged):
            damaged[at : at + page], damaged[other : other + page] = (
                damaged[other : other + page], damaged[at : at + page],
            )  # fmt: skip
        elif kind == "cut" and at:
            del damaged[at:]
    path = tmp_path / "erp.accdb"
    path.write_bytes(damaged)
    try:
        everything(path)
    except InputError as error:
        assert str(error).startswith(str(path))
        assert "\n" not in str(error)


def refusal(tmp_path: Path, builder: Builder) -> str:
    path = tmp_path / "erp.mdb"
    path.write_bytes(builder.build())
    with pytest.raises(InputError) as error:
        everything(path)
    return str(error.value).removeprefix(f"{path}: ")


def moved(builder: Builder, page: int, pointers: list[bytes]) -> None:
    """A table `t` whose rows have all moved: these pointers are what is left."""
    builder.objects.append((page, "t", 1, 0))
    builder.raw_table(COLUMNS, [(MOVED, pointer) for pointer in pointers], page=page)


def a_row(builder: Builder, owner: int, flags: int = DELETED) -> bytes:
    """A row that lies where only a pointer leads: the pointer."""
    row = builder.row(COLUMNS, (struct.pack("<i", 7), b""))
    return struct.pack("<I", builder.new_page(builder.data_page(owner, [(flags, row)])) << 8)


def test_a_pointer_leads_to_a_row_that_has_moved_twice(tmp_path: Path) -> None:
    builder = Builder()
    page = builder.new_page()
    there = builder.data_page(page, [(MOVED | DELETED, a_row(builder, page))])
    moved(builder, page, [struct.pack("<I", builder.new_page(there) << 8)])
    path = tmp_path / "erp.mdb"
    path.write_bytes(builder.build())
    assert everything(path) == {"t": [{"N": 7, "T": ""}]}


def test_a_row_that_has_moved_in_a_circle_is_refused(tmp_path: Path) -> None:
    builder = Builder()
    page = builder.new_page()
    itself = struct.pack("<I", len(builder.pages) << 8)
    builder.new_page(builder.data_page(page, [(MOVED | DELETED, itself)]))
    moved(builder, page, [itself])
    assert "a row has moved in a circle" in refusal(tmp_path, builder)


@pytest.mark.parametrize(
    ("pointers", "words"),
    [
        (lambda b, page: [a_row(b, page)] * 2, "two rows have moved to one place"),
        (lambda b, page: [a_row(b, 77)], "to a page of another table"),
        (lambda b, page: [a_row(b, page)[:3]], "a pointer to a row is too short"),
        (lambda b, page: [a_row(b, page, flags=0)], "a row has moved to the place of another"),
        (lambda b, page: [b"\5" + a_row(b, page)[1:]], "a pointer leads to no row"),
        (lambda b, page: [b"\0\0\0\1"], "it points to page 65536 of a file of 8 pages"),
    ],
)
def test_a_pointer_that_leads_elsewhere_is_refused(
    tmp_path: Path, pointers: Callable[[Builder, int], list[bytes]], words: str
) -> None:
    builder = Builder()
    page = builder.new_page()
    moved(builder, page, pointers(builder, page))
    message = refusal(tmp_path, builder)
    assert message.startswith("table t cannot be read: ") and words in message
    assert message.endswith("run again, or restore the file from a copy")


@pytest.mark.parametrize("count", [0, 2, 4, 2**32 - 1])
def test_fewer_or_more_rows_than_the_header_says_are_refused(tmp_path: Path, count: int) -> None:
    builder = Builder()
    builder.table("t", COLUMNS, [(struct.pack("<i", i), b"") for i in range(3)], count=count)
    assert refusal(tmp_path, builder) == (
        f"table t has 3 rows where its header says {count}: the file is truncated or was changed "
        "while it was read; run again, or restore the file from a copy"
    )


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (b"\x10\0\0", "a long text's header is too short"),
        (struct.pack("<II4x", 0x8000_0040, 0), "says more than there is"),
        (struct.pack("<II4x", 0xC000_0040, 0), "says more than there is"),
        (struct.pack("<II4x", 0x3FFF_FFFF, 0), "is longer than the file"),
        (struct.pack("<II4x", 0x4000_1000, 3 << 8), "a long text is not where it should be"),
        (struct.pack("<II4x", 0x0000_1000, 3 << 8), "a pointer leads to no row"),
        (struct.pack("<II4x", 0x4000_1000, 4 << 8), "a long text ends too early"),
        (struct.pack("<II4x", 0x0000_1000, 4 << 8), "a long text is not where it should be"),
        (struct.pack("<II4x", 0x0000_0002, 5 << 8), "a long text is not where it should be"),
        (struct.pack("<II4x", 0x0000_1000, 4 << 8 | 1), "leads to a deleted row"),
        (struct.pack("<II4x", 0x0000_1000, 4 << 8 | 2), "a pointer leads to no row"),
    ],
)
def test_a_long_text_that_is_not_there_is_refused(
    tmp_path: Path, header: bytes, words: str
) -> None:
    builder = Builder()
    builder.new_page()
    circle = struct.pack("<I", 4 << 8) + b"text"
    builder.new_page(builder.data_page(b"LVAL", [(0, circle), (DELETED, circle)]))
    builder.new_page(builder.data_page(7, [(0, circle)]))
    builder.table("t", [Column("M", MEMO)], [(header,)])
    assert words in refusal(tmp_path, builder)


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (0, b"\1", "its definition is not where it should be"),
        (4, b"\3", "its definition runs in a circle"),
        (4, b"\xff\xff", "it points to page 65535"),
        (41, b"\1", "a row has more columns than the table"),
        (45, b"\0", "its list of columns cannot be read"),
        (45, b"\xff", "its definition ends too early"),
        (51, b"\xff\xff", "its definition ends too early"),
        (55, b"\0\0\0\0", "it points to page 0"),
        (55, b"\7", "a pointer leads to no row"),
        (63 + 5, b"\1", "its list of columns cannot be read"),
        (63 + 21, b"\x50", "a value begins or ends outside of its row"),
        (63 + 25 + 7, b"\5", "a row lacks the value it says to have"),
        (63 + 50 + 2, b"\x00\xd8", "the name of a column cannot be read"),
    ],
)
def test_a_definition_that_contradicts_itself_is_refused(
    tmp_path: Path, at: int, value: bytes, words: str
) -> None:
    builder = Builder()
    page = builder.table("t", COLUMNS, [(struct.pack("<i", 1), b"")])
    assert page == 3
    definition = builder.pages[page]
    builder.pages[page] = definition[:at] + value + definition[at + len(value) :]
    assert words in refusal(tmp_path, builder)


def test_a_list_of_tables_with_other_columns_is_refused(tmp_path: Path) -> None:
    def change(builder: Builder) -> None:
        definition = bytearray(builder.pages[2])
        definition[63 + 2 * 25] = 9  # of the column Type
        builder.pages[2] = bytes(definition)

    path = tmp_path / "erp.mdb"
    path.write_bytes(Builder().build(change))
    with pytest.raises(InputError, match=r"table MSysObjects.*it has other columns"):
        everything(path)


def test_a_table_whose_definition_is_on_page_0_is_refused(tmp_path: Path) -> None:
    builder = Builder()
    builder.objects.append((0, "t", 1, 0))
    assert "it points to page 0" in refusal(tmp_path, builder)


def test_a_file_cut_at_a_page_is_refused(tmp_path: Path) -> None:
    content = unpacked("every_type/every_type_2010.accdb").read_bytes()
    path = tmp_path / "erp.accdb"
    path.write_bytes(content[: len(content) // 2 // 4096 * 4096])
    with pytest.raises(InputError, match=r"rows where its header says|points to page"):
        everything(path)
