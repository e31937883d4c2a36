import struct
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from uuid import UUID

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from routing_ml.source.access import text, values
from routing_ml.source.access.definition import DATE, DECIMAL, EXTENDED, SINGLE
from routing_ml.source.access.pages import Damaged

MONEY, LARGE = 5, 19
BASE = datetime(1899, 12, 30)
EPOCH = datetime(1970, 1, 1)
MANY_DIGITS = 9_111_222_333_444_556_875  # rounded twice, as a float and in its division, it differs


def decoded(code: int, cells: list[bytes], scale: int = 0) -> list:
    """The values of cells that stand one behind the other after an odd number of bytes."""
    data = np.frombuffer(b"odd" + b"".join(cells), np.uint8)
    length = np.array([len(cell) for cell in cells])
    return values.decode(code, scale, data, 3 + np.cumsum(length) - length, length).tolist()


def as_texts(codec: str, cells: list[bytes]) -> list[str]:
    data = np.frombuffer(b"odd" + b"".join(cells), np.uint8)
    length = np.array([len(cell) for cell in cells], np.int64)
    found, lengths = text.utf8(codec, data, 3 + np.cumsum(length) - length, length)
    ends = np.cumsum(lengths)
    return [found[a:b].tobytes().decode() for a, b in zip(ends - lengths, ends, strict=True)]


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1))
def test_a_single_is_its_shortest_decimal(singles: list[float]) -> None:
    found = decoded(SINGLE, [struct.pack("<f", single) for single in singles])
    assert found == [float(str(np.float32(single))) for single in singles]


@given(st.integers(1, 2**24), st.integers(0, 6))
def test_a_single_that_was_entered_with_few_digits_is_that_number(whole: int, places: int) -> None:
    entered = whole % 10**6 / 10**places
    assert decoded(SINGLE, [struct.pack("<f", entered)]) == [entered]


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
@example([MANY_DIGITS])
def test_money_is_the_float_nearest_to_its_decimal(whole: list[int]) -> None:
    cells = [struct.pack("<q", value) for value in whole]
    assert decoded(MONEY, cells) == [float(Decimal(value) / 10_000) for value in whole]
    assert decoded(LARGE, cells) == whole


@given(st.lists(st.tuples(st.integers(0, 10**28), st.booleans()), min_size=1), st.integers(0, 28))
@example([(MANY_DIGITS, True)], 4)
def test_a_decimal_is_the_float_nearest_to_it(numbers: list[tuple[int, bool]], scale: int) -> None:
    cells = []
    for whole, negative in numbers:
        words = [whole >> shift & 0xFFFFFFFF for shift in (96, 64, 32, 0)]
        cells.append(struct.pack("<B4I", 0x80 * negative, *words))
    with localcontext(prec=40):
        right = [float(Decimal(n).scaleb(-scale)) * (-1) ** sign + 0.0 for n, sign in numbers]
    assert decoded(DECIMAL, cells, scale) == right


@given(st.datetimes(datetime(100, 1, 1), datetime(9999, 12, 31, 23, 59, 59)))
def test_a_date_is_read_to_the_millisecond_before_1899_too(moment: datetime) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    days, rest = divmod(moment - BASE, timedelta(days=1))
    fraction = rest / timedelta(days=1)
    written = days + fraction if days >= 0 else days - fraction  # the fraction counts upwards
    found = decoded(DATE, [struct.pack("<d", written)])
    assert EPOCH + timedelta(microseconds=found[0]) == moment


def test_an_hour_of_a_date_before_1899_counts_from_its_midnight() -> None:
    found = decoded(DATE, [struct.pack("<d", days) for days in (-1.25, -0.25, 0.25, 45660.65625)])
    assert [EPOCH + timedelta(microseconds=value) for value in found] == [
        datetime(1899, 12, 29, 6),
        datetime(1899, 12, 30, 6),
        datetime(1899, 12, 30, 6),
        datetime(2025, 1, 3, 15, 45),
    ]


@given(st.datetimes(), st.integers(0, 9))
def test_an_extended_date_is_read_to_the_microsecond(moment: datetime, tenth: int) -> None:
    days, rest = divmod(moment - datetime.min, timedelta(days=1))
    ticks = rest // timedelta(microseconds=1) * 10 + tenth
    found = decoded(EXTENDED, [b"%019d:%019d:7\0" % (days, ticks)])
    assert EPOCH + timedelta(microseconds=found[0]) == moment


def test_a_value_that_has_not_the_length_of_its_type_is_refused() -> None:
    with pytest.raises(Damaged, match="not the length of its type"):
        decoded(DECIMAL, [bytes(17), bytes(16)])


@pytest.mark.parametrize(
    "cell",
    [
        b"0000000000003652059:0000000000000000000:7\0",
        b"0000000000000000000:0000000864000000000:7\0",
        b"9999999999999999999:0000000000000000000:7\0",
        b"000000000000000000x:0000000000000000000:7\0",
        b"0000000000000000000 0000000000000000000:7\0",
        bytes(42),
    ],
)
def test_an_extended_date_that_is_none_is_refused(cell: bytes) -> None:
    with pytest.raises(values.OutOfRange, match="is no date") as error:
        decoded(EXTENDED, [b"0000000000000000000:0000000000000000000:7\0", cell])
    assert error.value.row == 1


@given(st.lists(st.uuids(), max_size=5))
def test_a_guid_is_the_text_that_access_shows(guids: list[UUID]) -> None:
    data = np.frombuffer(b"odd" + b"".join(guid.bytes_le for guid in guids), np.uint8)
    start = 3 + 16 * np.arange(len(guids))
    found = values.guids(data, start, np.full(len(guids), 16))
    assert [row.tobytes().decode() for row in found] == [f"{{{guid}}}".upper() for guid in guids]


@given(st.lists(st.text(max_size=400), max_size=6))
def test_texts_are_read_whatever_their_characters(texts: list[str]) -> None:
    cells = [one.encode("utf-16-le") for one in texts]
    right = [one for one, cell in zip(texts, cells, strict=True) if cell[:2] != b"\xff\xfe"]
    assert as_texts("utf-16-le", [cell for cell in cells if cell[:2] != b"\xff\xfe"]) == right


def _packed(one: str) -> bytes:
    """A text compressed as Access does, switching where its characters need it."""
    packed, narrow = b"\xff\xfe", True
    for character in one:
        if (0 < ord(character) < 256) != narrow:
            packed += b"\0"
            narrow = not narrow
        packed += character.encode("latin-1" if narrow else "utf-16-le")
    return packed


# A text that begins with U+FEFF looks compressed, and a character whose low byte is zero like the
# switch back: neither can be told apart, and Access does not compress such texts.
COMPRESSIBLE = st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff")).filter(
    lambda one: b"\0" not in one.encode("utf-16-le")[::2]
)


@given(st.lists(st.tuples(COMPRESSIBLE, st.booleans())))
def test_compressed_texts_are_read_among_others(texts: list[tuple[str, bool]]) -> None:
    cells = [_packed(one) if packed else one.encode("utf-16-le") for one, packed in texts]
    assert as_texts("utf-16-le", cells) == [one for one, _ in texts]


@pytest.mark.parametrize("codec", ["cp949", "cp1252", "cp1251"])
@given(data=st.data())
def test_texts_of_a_code_page_are_read(codec: str, data: st.DataObject) -> None:
    texts = data.draw(st.lists(st.text(st.characters(codec=codec), max_size=30), max_size=5))
    assert as_texts(codec, [one.encode(codec) for one in texts]) == texts
