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
# Elements of a piece from which copying it is cheaper than an index of 16 bytes for each of them.
LONG = 256
RESTORE = "check the path, or restore the file from a copy"


class Damaged(InputError):
    """What is wrong inside a file, in a few words; whoever knows path and table adds them."""


@dataclass(frozen=True)
class Layout:
    """Where a format keeps what, in bytes: offsets (`_at`) and sizes."""

    page: int
    rows_at: int  # in a data page: the number of its rows; their offsets follow
    width: int  # of counts and offsets in a row, and of the length of a column's name
    # In a table's definition:
    row_count_at: int
    counts_at: int  # the most columns a row can have, variable columns, columns; 2 bytes each
    indexes_at: int  # the number of indexes
    map_at: int  # a pointer to the map of the table's pages
    header: int  # all of that; the indexes follow, then the columns, then their names
    index: int
    column: int
    # In a column of it:
    number_at: int
    variable_at: int
    scale_at: int
    flags_at: int
    fixed_at: int
    length_at: int


JET3 = Layout(
    page=2048, rows_at=8, width=1,
    row_count_at=12, counts_at=21, indexes_at=31, map_at=35, header=43, index=8, column=18,
    number_at=1, variable_at=3, scale_at=12, flags_at=13, fixed_at=14, length_at=16,
)  # fmt: skip
JET4 = Layout(
    page=4096, rows_at=12, width=2,
    row_count_at=16, counts_at=41, indexes_at=51, map_at=55, header=63, index=12, column=25,
    number_at=5, variable_at=7, scale_at=12, flags_at=15, fixed_at=21, length_at=23,
)  # fmt: skip


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
            raise Damaged(f"it points to page {outside[0]} of a file of {self.count} pages")
        size = self.layout.page
        pages = np.empty((wanted.size, size), np.uint8)
        starts = np.flatnonzero(np.diff(wanted, prepend=-2) != 1)
        for first, last in zip(starts, [*starts[1:], wanted.size], strict=True):
            view = pages[first:last].reshape(-1).data
            try:
                self._file.seek(int(wanted[first]) * size)
                while view:
                    if not (got := self._file.readinto(view)):
                        raise Damaged("the file ended while it was read")
                    view = view[got:]
            except OSError as error:
                raise Damaged(error.strerror or "it cannot be read") from error
        return pages

    def row(self, pointer: int) -> tuple[bytes, bytes]:
        """The bytes of the row at `pointer`: its page's number and, in the low byte, its own.

        Before them the four bytes that say whose page it is. Raises Damaged.
        """
        page = self.read([pointer >> 8])
        start, end, flags = row_spans(self, page, np.array([0]), np.array([pointer & 0xFF]))
        if flags.any():
            raise Damaged("a pointer leads to a deleted row")
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
    """The unsigned numbers of 1, 2 or 4 bytes at these places of uint8 `data`, as int64."""
    return overlapping(data, f"<u{size}")[at].astype(np.int64)


def overlapping(data: np.ndarray, dtype: str) -> np.ndarray:
    """A view of uint8 `data` with the number that begins at each of its bytes."""
    count = max(len(data) - np.dtype(dtype).itemsize + 1, 0)
    return np.ndarray((count,), dtype, data, strides=(1,))


def ragged(data: np.ndarray, start: np.ndarray, length: np.ndarray, step: int = 1) -> np.ndarray:
    """The pieces of `data` that begin at `start`, one behind the other.

    Each has `length` elements, `step` apart.
    """
    if length.sum() > LONG * len(start):
        pieces = zip(start.tolist(), (start + step * length).tolist(), strict=True)
        return np.concatenate([data[first:last:step] for first, last in pieces])
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
