"""Texts of rows and of long values into UTF-8, in bulk. No character is ever replaced."""

from collections.abc import Callable
from functools import partial

import numpy as np

from routing_ml.source.access.gather import overlapping, ragged
from routing_ml.source.access.values import OutOfRange

# Since Access 2000, a text that begins with this has one byte a character until a zero byte, then
# two bytes a character until the next one, and so on.
COMPRESSED = (0xFF, 0xFE)
WIDE = "utf-16-le"

Texts = tuple[np.ndarray, np.ndarray]  # UTF-8, one text behind the other; the length of each


def utf8(codec: str, data: np.ndarray, start: np.ndarray, length: np.ndarray) -> Texts:
    """The texts that begin at `start` of uint8 `data` and have `length` bytes each.

    Raises OutOfRange for one that is not valid.
    """
    if codec != WIDE:
        narrow = np.ones(len(start), bool)
        return _mixed(data, start, length, narrow, lambda value: value.decode(codec).encode())
    at = np.where(length >= 2, start, 0)
    compressed = (length >= 2) & (data[at] == COMPRESSED[0]) & (data[at + 1] == COMPRESSED[1])
    if not compressed.any():
        return _wide(data, start, length)
    rest = 2 * compressed
    return _mixed(data, start + rest, length - rest, compressed)


def _mixed(
    data: np.ndarray,
    start: np.ndarray,
    length: np.ndarray,
    narrow: np.ndarray,
    decode: Callable[[bytes], bytes] | None = None,
) -> Texts:
    """Texts of a byte a character, where they are `narrow`, and wide ones.

    ASCII stays as it is. Other narrow ones go through `decode`; without that they are Latin-1,
    which is the first 256 characters of Unicode, and decompressed where they have zero bytes.
    """
    raw = ragged(data, start[narrow], length[narrow])
    last = np.cumsum(length[narrow])
    zero, high = (_any(flags, last - length[narrow], last) for flags in (raw == 0, raw >= 0x80))
    if narrow.all() and not (zero | high).any():
        return raw, length
    rows = np.flatnonzero(narrow)
    single = high if decode else zero
    groups: list[tuple[np.ndarray, Callable[..., Texts]]] = [
        (rows[single], partial(_one_by_one, decode or _decompressed)),
        (rows[high & ~single], _latin),
        (np.flatnonzero(~narrow), _wide),
    ]
    pool, first, size = [data], start.copy(), length.copy()
    used = len(data)
    for some, read in groups:
        try:
            text, size[some] = read(data, start[some], length[some])
        except OutOfRange as error:
            raise OutOfRange(int(some[error.row]), str(error)) from error
        first[some] = used + np.cumsum(size[some]) - size[some]
        pool.append(text)
        used += len(text)
    return ragged(np.concatenate(pool), first, size), size


def _any(flags: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Whether any of the flags from each `first` up to each `last` is set."""
    before = np.concatenate([[0], np.cumsum(flags)])
    return before[last] > before[first]


def _one_by_one(
    decode: Callable[[bytes], bytes], data: np.ndarray, start: np.ndarray, length: np.ndarray
) -> Texts:
    """Texts through `decode`, each different one once."""
    known: dict[bytes, bytes] = {}
    found = []
    whole = data.tobytes()
    for row, (first, size) in enumerate(zip(start.tolist(), length.tolist(), strict=True)):
        value = whole[first : first + size]
        if value not in known:
            try:
                known[value] = decode(value)
            except UnicodeError as error:
                raise OutOfRange(row, f"is no valid text ({value[:20]!r})") from error
        found.append(known[value])
    text = np.frombuffer(b"".join(found), np.uint8)
    return text, np.fromiter(map(len, found), np.int64, len(found))


def _latin(data: np.ndarray, start: np.ndarray, length: np.ndarray) -> Texts:
    return _encoded(ragged(data, start, length).astype("<u2"), length)


def _wide(data: np.ndarray, start: np.ndarray, length: np.ndarray) -> Texts:
    """Texts of UTF-16, little-endian."""
    if (length & 1).any():
        raise OutOfRange(int(np.argmax(length & 1)), "is a text cut within a character")
    length = length // 2
    return _encoded(ragged(overlapping(data, "<u2"), start, length, step=2), length)


def _encoded(units: np.ndarray, length: np.ndarray) -> Texts:
    """Texts whose 16-bit `units` stand one behind the other."""
    wider = units >= 0x80
    if not wider.any():
        return units.astype(np.uint8), length
    width = 1 + wider.view(np.uint8)
    width += units >= 0x800
    surrogate = units >> 11 == 0xD800 >> 11
    if surrogate.any():
        _check_surrogates(units, length)
        width[surrogate] = 2  # of the four bytes of a pair
    ends = np.concatenate([[0], np.cumsum(width, dtype=np.int64)])
    last = np.cumsum(length)
    text = units.tobytes().decode(WIDE).encode()
    return np.frombuffer(text, np.uint8), ends[last] - ends[last - length]


def _check_surrogates(units: np.ndarray, length: np.ndarray) -> None:
    """Characters outside the BMP are a high and a low surrogate, both within one text."""
    owner = np.repeat(np.arange(len(length)), length)
    high, low = (
        np.concatenate([units >> 10 == first >> 10, [False]]) for first in (0xD800, 0xDC00)
    )
    paired = high[:-1] & low[1:] & (owner == np.append(owner[1:], -1))
    lone = (high | low)[:-1] & ~paired & ~np.append(False, paired[:-1])
    if lone.any():
        raise OutOfRange(int(owner[np.argmax(lone)]), "is no valid text (half of a character)")


def _decompressed(value: bytes) -> bytes:
    """A compressed text without its first two bytes: narrow, wide, narrow, ..., zeros between."""
    parts, narrow, at = [], True, 0
    while at < len(value):
        step = 1 if narrow else 2
        zero = value[at::step].find(0)
        end = at + step * zero if zero >= 0 else len(value)
        part = value[at:end]
        parts.append(part.decode("latin-1").encode(WIDE) if narrow else part)
        narrow, at = not narrow, end + 1
    return b"".join(parts).decode(WIDE).encode()
