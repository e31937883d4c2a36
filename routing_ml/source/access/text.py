"""Texts of rows and of long values into UTF-8, in bulk. No character is ever replaced."""

from collections.abc import Callable

import numpy as np

from routing_ml.source.access.pages import overlapping, ragged
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
        return _mixed(data, start, length, np.ones(len(start), bool), _by_codec(codec))
    at = np.where(length >= 2, start, 0)
    compressed = (length >= 2) & (data[at] == COMPRESSED[0]) & (data[at + 1] == COMPRESSED[1])
    if not compressed.any():
        return _wide(data, start, length)
    rest = 2 * compressed
    return _mixed(data, start + rest, length - rest, compressed, _decompressed)


def _mixed(
    data: np.ndarray,
    start: np.ndarray,
    length: np.ndarray,
    narrow: np.ndarray,
    decode: Callable[[bytes], bytes],
) -> Texts:
    """Texts of which the `narrow` ones are ASCII as they stand, or go through `decode` one by one,
    and the others are wide.
    """
    raw = ragged(data, start[narrow], length[narrow])
    special = np.cumsum((raw == 0) | (raw >= 0x80))
    if narrow.all() and not special[-1:].any():
        return raw, length
    ends = np.cumsum(length[narrow])
    special = np.concatenate([[0], special])
    odd = np.flatnonzero(narrow)[special[ends] != special[ends - length[narrow]]]
    pool, start, length = [data], start.copy(), length.copy()
    size = len(data)
    known: dict[bytes, bytes] = {}
    for i in odd.tolist():
        value = data[start[i] : start[i] + length[i]].tobytes()
        if value not in known:
            try:
                known[value] = decode(value)
            except UnicodeError as error:
                raise OutOfRange(i, f"is no valid text ({value[:20]!r})") from error
        pool.append(np.frombuffer(known[value], np.uint8))
        start[i], length[i] = size, len(known[value])
        size += len(known[value])
    others = np.flatnonzero(~narrow)
    try:
        text, lengths = _wide(data, start[others], length[others])
    except OutOfRange as error:
        raise OutOfRange(int(others[error.row]), str(error)) from error
    pool.append(text)
    start[others] = size + np.cumsum(lengths) - lengths
    length[others] = lengths
    return ragged(np.concatenate(pool), start, length), length


def _wide(data: np.ndarray, start: np.ndarray, length: np.ndarray) -> Texts:
    """Texts of UTF-16, little-endian."""
    if (length & 1).any():
        raise OutOfRange(int(np.argmax(length & 1)), "is a text cut within a character")
    length = length // 2
    units = ragged(overlapping(data, "<u2"), start, length, step=2)
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


def _by_codec(codec: str) -> Callable[[bytes], bytes]:
    return lambda value: value.decode(codec).encode()


def _decompressed(value: bytes) -> bytes:
    """A compressed text without its first two bytes."""
    wide, narrow, i = bytearray(), True, 0
    while i < len(value):
        if value[i] == 0:
            narrow, i = not narrow, i + 1
        elif narrow:
            wide += bytes((value[i], 0))
            i += 1
        else:
            wide += value[i : i + 2]
            i += 2
    return wide.decode(WIDE).encode()
