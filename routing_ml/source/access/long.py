"""Long texts: in their row only where they are short, else on a page, or on a chain of pages."""

import numpy as np

from routing_ml.source.access.gather import ragged, uint
from routing_ml.source.access.pages import Damaged, Pages, row_spans
from routing_ml.source.access.rows import PAGES_AT_ONCE

HEADER_BYTES = 12  # length and kind, a pointer, four unknown bytes
LENGTH = 0x3FFF_FFFF
CHAIN, ONE_PAGE, IN_ROW = 0, 1, 2  # the upper two bits of the length
OWNER = b"LVAL"


def lengths(data: np.ndarray, start: np.ndarray, size: np.ndarray) -> np.ndarray:
    """How many bytes the long texts have whose headers begin at `start`; 0 without a header."""
    has = size >= HEADER_BYTES
    return np.where(has, uint(data, np.where(has, start, 0), 4) & LENGTH, 0)


def fetch(
    pages: Pages, data: np.ndarray, start: np.ndarray, size: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`data` with the long texts behind it, where each begins in it, and its length.

    `start` and `size`, shape (values,), say where their headers are. Raises Damaged.
    """
    if ((size > 0) & (size < HEADER_BYTES)).any():
        raise Damaged("a long text's header is too short")
    start = np.where(size > 0, start, 0)
    length = lengths(data, start, size)
    if (length > pages.header.pages * pages.layout.page).any():
        raise Damaged("a long text is longer than the file")
    kind = np.where(length > 0, uint(data, start, 4) >> 30, IN_ROW)
    if (kind > IN_ROW).any() or (length > size - HEADER_BYTES)[(kind == IN_ROW) & (size > 0)].any():
        raise Damaged("a long text's header says more than there is")
    pointer = uint(data, start + 4, 4)
    pool, begin = [data], start + HEADER_BYTES
    used = len(data)
    single = np.flatnonzero(kind == ONE_PAGE)
    for some in (single[i : i + PAGES_AT_ONCE] for i in range(0, len(single), PAGES_AT_ONCE)):
        pool.append(_from_pages(pages, pointer[some], length[some]))
        begin[some] = used + np.cumsum(length[some]) - length[some]
        used += len(pool[-1])
    for i in np.flatnonzero(kind == CHAIN):
        pool.append(_from_chain(pages, int(pointer[i]), int(length[i])))
        begin[i] = used
        used += len(pool[-1])
    return np.concatenate(pool), begin, length


def _from_pages(pages: Pages, pointer: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The texts that each are one row of a page, one behind the other."""
    numbers, page = np.unique(pointer >> 8, return_inverse=True)
    buffer = pages.read(numbers)
    if (buffer[:, 4:8] != np.frombuffer(OWNER, np.uint8)).any():
        raise Damaged("a long text is not where it should be")
    start, end, flags = row_spans(pages, buffer, page, pointer & 0xFF)
    if flags.any() or (end - start < length).any():
        raise Damaged("a long text ends too early")
    return ragged(buffer.reshape(-1), start, length)


def _from_chain(pages: Pages, pointer: int, length: int) -> np.ndarray:
    """A text of several rows, each of which begins with the pointer to the next."""
    text, seen = bytearray(), set[int]()
    while len(text) < length:
        owner, row = pages.row(pointer)
        if owner != OWNER or pointer in seen or len(row) <= 4:
            raise Damaged("a long text is not where it should be")
        seen.add(pointer)
        pointer = int.from_bytes(row[:4], "little")
        text += row[4:]
    return np.frombuffer(text, np.uint8, length)
