"""A file as numbered pages, and the rows on a page: never past the end of either."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from routing_ml.errors import InputError, SourceAwayError, SourceMissingError
from routing_ml.source.access.gather import uint
from routing_ml.source.access.header import HEADER_BYTES, RESTORE, read_header
from routing_ml.source.reach import is_gone

ROW_OFFSET = 0x1FFF  # of the number in a page's list of rows; the other bits are flags
DATA_PAGE, DEFINITION_PAGE, USAGE_PAGE = 1, 2, 5


class Damaged(InputError):
    """What is wrong inside a file, in a few words; whoever knows path and table adds them."""


class Gone(Damaged):
    """The file cannot be reached any more; what is in it may be whole."""


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
                raise SourceMissingError(
                    f"{path} is not there; set ROUTING_ML_SOURCE or --source to an .accdb or .mdb "
                    "file, or to an ODBC connection string"
                ) from error
            except OSError as error:
                kind = SourceAwayError if is_gone(error) else InputError
                raise kind(f"{path} cannot be read: {error.strerror}; {RESTORE}") from error
            self.header = read_header(path, head, size)
            stack.pop_all()
        self.layout = self.header.layout

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        self._file.close()

    def read(self, numbers: Sequence[int] | np.ndarray) -> np.ndarray:
        """The pages of these numbers, uint8 of shape (len(numbers), page size).

        Neighbours are read at once. Raises Damaged for a number that the file does not have.
        """
        wanted = np.asarray(numbers, np.int64)
        outside = wanted[(wanted <= 0) | (wanted >= self.header.pages)]
        if outside.size:
            raise Damaged(f"it points to page {outside[0]} of a file of {self.header.pages} pages")
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
                kind = Gone if is_gone(error) else Damaged
                raise kind(error.strerror or "it cannot be read") from error
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
