"""The rows of a table: which ones there are, and where in each of them a column's value is.

A row counts once. On its home page it is live unless its offset is flagged as deleted; one that
outgrew its page has left a pointer there, and lies elsewhere under the flag of a deleted row, so
that only the pointer leads to it.
"""

from collections.abc import Iterator

import numpy as np

from routing_ml.source.access.definition import Definition, Field
from routing_ml.source.access.gather import ragged, uint
from routing_ml.source.access.pages import DATA_PAGE, Damaged, Pages, row_spans

PAGES_AT_ONCE = 512  # 2 MiB
ROWS_AT_ONCE = 8_192
MOVED, DELETED = 0x4000, 0x8000
MAX_MOVES = 16  # of one row: Access makes one


class Rows:
    """Some rows: the bytes they are in, where each begins and ends there, and their null masks."""

    def __init__(
        self, pages: Pages, definition: Definition, data: np.ndarray, spans: np.ndarray
    ) -> None:
        """`data` is flat uint8, `spans` int64 of shape (2, rows). Raises Damaged."""
        self._table = pages, definition
        self.data = data
        self.start, self.end = spans
        self._width = width = pages.layout.width
        if (self.end - self.start < width + 1).any():
            raise Damaged("a row is too short")
        self._columns = self._count(self.start)
        if (self._columns > definition.max_columns).any():
            raise Damaged("a row has more columns than the table")
        self._mask = self.end - (self._columns + 7) // 8
        self._limit = self._mask  # where what precedes the null mask ends
        self._offsets = self._variable = np.zeros(len(self), np.int64)
        self._jumps: list[tuple[np.ndarray, np.ndarray]] = []
        if definition.has_variable:
            self._find_offsets()
        if (self._limit < self.start + width).any():
            raise Damaged("a row is shorter than what it says to hold")

    def __len__(self) -> int:
        return len(self.start)

    def part(self, first: int, last: int) -> "Rows":
        """The rows from number `first` up to `last`."""
        return Rows(*self._table, self.data, np.stack([self.start, self.end])[:, first:last])

    def present(self, field: Field) -> np.ndarray:
        """Which rows' bit of the column is set: those that have a value; of a Yes/No, the Yes.

        A row older than the column has no such bit.
        """
        known = self._columns > field.number
        at = np.where(known, self._mask + field.number // 8, self.start)
        return known & (self.data[at] >> (field.number % 8) & 1).astype(bool)

    def spans(self, field: Field, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the column's values begin in `data`, and how many bytes they have.

        `rows` are the numbers of those that have a value. Raises Damaged.
        """
        start, limit = self.start[rows], self._limit[rows]
        if field.size is not None:
            begin = start + self._width + field.at
            end = begin + field.size
        else:
            if (self._variable[rows] <= field.at).any():
                raise Damaged("a row lacks the value it says to have")
            begin, end = (start + self._offset(field.at + i, rows) for i in (0, 1))
        if (begin < start + self._width).any() or (end < begin).any() or (end > limit).any():
            raise Damaged("a value begins or ends outside of its row")
        return begin, end - begin

    def _find_offsets(self) -> None:
        """Where the list of the variable columns' offsets is, from its end to its beginning."""
        width = self._width
        at = self._mask - width
        self._check(at)
        self._variable = self._count(at)
        self._offsets = at - width
        if width == 1:
            self._find_jumps(at)
        self._limit = self._offsets - width * self._variable
        self._check(self._limit)

    def _find_jumps(self, at: np.ndarray) -> None:
        """Offsets of Access 97 are bytes; before them is listed at which column 256 is added."""
        jumps = (self.end - self.start - 1) // 256
        self._offsets = at - jumps - 1
        # A last entry that no offset can need is left out of the count, not out of the row.
        jumps = jumps - ((self._offsets - self.start - self._variable) // 256 < jumps)
        self._check(self._offsets)
        for i in range(int(jumps.max(initial=0))):
            used = jumps > i
            column = self.data[np.where(used, at - 1 - i, at)]
            self._jumps.append((used, column))

    def _offset(self, i: int, rows: np.ndarray) -> np.ndarray:
        """The i-th of the variable columns' offsets; the one past the last ends them all."""
        at = self._offsets[rows] - self._width * i
        offset = self._count(at)
        for used, column in self._jumps:
            offset += 256 * (used[rows] & (column[rows] <= i))
        return offset

    def _count(self, at: np.ndarray) -> np.ndarray:
        return uint(self.data, at, self._width)

    def _check(self, at: np.ndarray) -> None:
        if (at < self.start + self._width).any():
            raise Damaged("a row is shorter than what it says to hold")


def read_rows(pages: Pages, definition: Definition, numbers: np.ndarray) -> Iterator[Rows]:
    """The live rows on the pages of these numbers, in their order, ROWS_AT_ONCE or fewer at once.

    Raises Damaged.
    """
    seen = [np.empty(0, np.int64)]
    for first in range(0, len(numbers), PAGES_AT_ONCE):
        buffer = pages.read(numbers[first : first + PAGES_AT_ONCE])
        start, end, moved = _live(pages, definition, buffer)
        for i in range(0, len(start), ROWS_AT_ONCE):
            here = slice(i, i + ROWS_AT_ONCE)
            data, spans = buffer.reshape(-1), np.stack([start[here], end[here]])
            away = np.flatnonzero(moved[here])
            for some in (away[i : i + PAGES_AT_ONCE] for i in range(0, len(away), PAGES_AT_ONCE)):
                seen.append(_pointers(data, *spans[:, some]))
                found, length = _moved(pages, definition, seen[-1])
                ends = len(data) + np.cumsum(length)
                spans[:, some] = ends - length, ends
                data = np.concatenate([data, found])
            yield Rows(pages, definition, data, spans)
    pointers = np.concatenate(seen)
    if len(np.unique(pointers)) < len(pointers):
        raise Damaged("two rows have moved to one place")


def _live(
    pages: Pages, definition: Definition, buffer: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each live row begins and ends in the buffer of pages, and whether it has moved.

    Maps name pages of indexes or of another table now and then: they are passed over.
    """
    base = np.arange(len(buffer)) * buffer.shape[1]
    data = buffer.reshape(-1)
    own = (buffer[:, 0] == DATA_PAGE) & (uint(data, base + 4, 4) == definition.page)
    counts = np.where(own, uint(data, base + pages.layout.rows_at, 2), 0)
    if (counts > buffer.shape[1] // 2).any():
        raise Damaged("a page's list of rows is longer than the page")
    page = np.repeat(np.arange(len(buffer)), counts)
    row = np.arange(len(page)) - np.repeat(np.cumsum(counts) - counts, counts)
    start, end, flags = row_spans(pages, buffer, page, row)
    live = flags & DELETED == 0
    return start[live], end[live], flags[live] & MOVED != 0


def _moved(
    pages: Pages, definition: Definition, pointers: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The rows that these pointers lead to, one behind the other, and their lengths."""
    for _ in range(MAX_MOVES):
        numbers, page = np.unique(pointers >> 8, return_inverse=True)
        buffer = pages.read(numbers)
        data = buffer.reshape(-1)
        if (uint(data, np.arange(len(buffer)) * buffer.shape[1] + 4, 4) != definition.page).any():
            raise Damaged("a row has moved to a page of another table")
        start, end, flags = row_spans(pages, buffer, page, pointers & 0xFF)
        again = flags & MOVED != 0
        if not again.any():
            if (flags & DELETED == 0).any():
                raise Damaged("a row has moved to the place of another")
            return ragged(data, start, end - start), end - start
        pointers = np.where(again, _pointers(data, start, end), pointers)
    raise Damaged("a row has moved in a circle")


def _pointers(data: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    if (end - start < 4).any():
        raise Damaged("a pointer to a row is too short")
    return uint(data, start, 4)
