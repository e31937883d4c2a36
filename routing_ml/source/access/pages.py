"""A file as numbered pages: its format from the header, then pages by number, never past the end.

Offsets follow the HACKING document of MDB Tools and the sources of Jackcess.
"""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from routing_ml.errors import InputError

SIGNATURES = (b"Standard Jet DB\x00", b"Standard ACE DB\x00")
FORMATS = {
    0: "Access 97",
    1: "Access 2000-2003",
    2: "Access 2007",
    3: "Access 2010",
    4: "Access 2013",
    5: "Access 2016",
    6: "Access 2019",
}
HEADER_BYTES = 152
# The header's own obfuscation, the same in every file: RC4 with this key from byte 0x18 on.
HEADER_KEY = bytes.fromhex("c7da396b")
MASK_AT = 0x18
CODE_PAGE_AT = 0x3C
ENCODING_KEY_AT = 0x3E
ROW_OFFSET = 0x1FFF  # of the number in a page's list of rows; the other bits are flags
DATA_PAGE, DEFINITION_PAGE, USAGE_PAGE = 1, 2, 5
RESTORE = "check the path, or restore the file from a copy"


class Damaged(InputError):
    """What is wrong inside a file, in a few words; whoever knows path and table adds them."""


@dataclass(frozen=True)
class Layout:
    """Where a format keeps what, in bytes: offsets (`_at`) and sizes."""

    page: int
    rows_at: int  # of a data page: the number of its rows, their offsets behind it
    header: int  # of a table definition, up to its indexes
    counts_at: int  # number of variable columns, of columns
    row_count_at: int
    indexes_at: int
    map_at: int  # the row that holds the map of the table's pages
    index: int
    column: int
    number_at: int  # of a column: from here to length_at
    variable_at: int
    scale_at: int
    flags_at: int
    fixed_at: int
    length_at: int
    width: int  # of counts and offsets in a row, and of the length of a column's name


JET3 = Layout(2048, 8, 43, 23, 12, 31, 35, 8, 18, 1, 3, 12, 13, 14, 16, 1)
JET4 = Layout(4096, 12, 63, 43, 16, 51, 55, 12, 25, 5, 7, 12, 15, 21, 23, 2)


class Pages:
    """An Access file, opened read-only. Page numbers are checked against the file's size."""

    def __init__(self, path: Path) -> None:
        """Raises InputError for a file that is no whole, plain Access database."""
        with ExitStack() as stack:
            try:
                self._file = stack.enter_context(path.open("rb", buffering=0))
                size = os.fstat(self._file.fileno()).st_size
                head = self._file.read(HEADER_BYTES)
            except FileNotFoundError as error:
                raise InputError(
                    f"{path} is not there; set ROUTING_ML_SOURCE or --source to an .accdb or .mdb "
                    "file, or to an ODBC connection string"
                ) from error
            except OSError as error:
                raise InputError(f"{path} cannot be read: {error.strerror}; {RESTORE}") from error
            self._read_header(path, head, size)
            stack.pop_all()

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        self._file.close()

    def _read_header(self, path: Path, head: bytes, size: int) -> None:
        if size == 0:
            raise InputError(f"{path} is empty; {RESTORE}")
        if head[4:20] not in SIGNATURES:
            raise InputError(f"{path} is no Microsoft Access database; {RESTORE}")
        version = head[20] if len(head) > 20 else 0
        if version not in FORMATS:
            raise InputError(
                f"{path} is of a format of Access that is not known (version {version}); "
                "save a copy of it in Access as .accdb and point to that copy"
            )
        self.format_name = FORMATS[version]
        self.layout = JET4 if version else JET3
        if size % self.layout.page:
            raise InputError(
                f"{path} ends in the middle of a page ({size} bytes are no multiple of "
                f"{self.layout.page}): it is truncated; {RESTORE}"
            )
        self.count = size // self.layout.page
        mask = _rc4(HEADER_KEY, HEADER_BYTES - MASK_AT)
        plain = bytes(a ^ b for a, b in zip(head[MASK_AT:], mask, strict=True))
        if any(plain[ENCODING_KEY_AT - MASK_AT :][:4]):
            raise InputError(
                f"{path} is encrypted; remove the password in Access "
                "(File > Info > Decrypt Database) and point to that copy"
            )
        self.code_page = int.from_bytes(plain[CODE_PAGE_AT - MASK_AT :][:2], "little")

    def read(self, numbers: Sequence[int] | np.ndarray) -> np.ndarray:
        """The pages of these numbers, uint8 of shape (len(numbers), page size).

        Neighbours are read at once. Raises Damaged for a number that the file does not have.
        """
        wanted = np.asarray(numbers, np.int64)
        outside = wanted[(wanted <= 0) | (wanted >= self.count)]
        if outside.size:
            raise Damaged(f"page {outside[0]} is asked for, and there are {self.count}")
        size = self.layout.page
        pages = np.empty((wanted.size, size), np.uint8)
        starts = np.flatnonzero(np.diff(wanted, prepend=-2) != 1)
        for first, last in zip(starts, [*starts[1:], wanted.size], strict=True):
            view = memoryview(pages[first:last].reshape(-1))
            try:
                self._file.seek(int(wanted[first]) * size)
                while view:
                    if not (got := self._file.readinto(view)):
                        raise Damaged("it ends while it is read: it is truncated")
                    view = view[got:]
            except OSError as error:
                raise Damaged(error.strerror or "it cannot be read") from error
        return pages

    def row(self, pointer: int) -> tuple[bytes, bytes]:
        """The bytes of the row at `pointer`: its page's number and, in the low byte, its own.

        Before them the four bytes that say whose page it is. Raises Damaged.
        """
        page = self.read([pointer >> 8])
        start, end, _ = row_spans(self, page, np.array([0]), np.array([pointer & 0xFF]))
        return page[0, 4:8].tobytes(), page[0, start[0] : end[0]].tobytes()


def row_spans(
    pages: Pages, buffer: np.ndarray, page: np.ndarray, row: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where in the flattened `buffer` of pages each `row` of each `page` begins and ends.

    `page` counts the buffer's pages; it and `row` have shape (rows,). The third array holds the
    rows' flags. Raises Damaged for a row that its page does not have.
    """
    size = pages.layout.page
    data, base = buffer.reshape(-1), page * size
    table = base + pages.layout.rows_at
    if (data[base] != DATA_PAGE).any() or (row >= uint(data, table, 2)).any():
        raise Damaged("a pointer leads to no row")
    slot = table + 2 + 2 * row
    if (slot + 2 > base + size).any():
        raise Damaged("a page's list of rows is longer than the page")
    offset = uint(data, slot, 2)
    start = base + (offset & ROW_OFFSET)
    end = base + np.where(row == 0, size, uint(data, slot - 2, 2) & ROW_OFFSET)
    if (start < slot + 2).any() or (end < start).any() or (end > base + size).any():
        raise Damaged("a row begins or ends outside of its page")
    return start, end, offset & ~ROW_OFFSET


def uint(data: np.ndarray, at: np.ndarray, size: int) -> np.ndarray:
    """The unsigned little-endian numbers of `size` bytes at these places of uint8 `data`, int64."""
    value = data[at].astype(np.int64)
    for i in range(1, size):
        value |= data[at + i].astype(np.int64) << (8 * i)
    return value


def ragged(data: np.ndarray, start: np.ndarray, length: np.ndarray, step: int = 1) -> np.ndarray:
    """The pieces of `data` that begin at `start`, one behind the other.

    Each has `length` elements, `step` apart.
    """
    shift = np.repeat(start - step * (np.cumsum(length) - length), length)
    shift += np.arange(0, step * len(shift), step)
    return data[shift]


def _rc4(key: bytes, length: int) -> bytes:
    """The key stream of RC4, as every description of the cipher has it."""
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) & 255
        state[i], state[j] = state[j], state[i]
    stream = bytearray()
    i = j = 0
    for _ in range(length):
        i = (i + 1) & 255
        j = (j + state[i]) & 255
        state[i], state[j] = state[j], state[i]
        stream.append(state[(state[i] + state[j]) & 255])
    return bytes(stream)
