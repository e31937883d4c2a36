"""Numbers and dates: bytes of a row into the values that Access shows."""

import numpy as np

from routing_ml.source.access.definition import DATE, EXTENDED, GUID, SINGLE, TYPES
from routing_ml.source.access.pages import Damaged

MONEY, DOUBLE = 5, 7
INTEGERS = {2: "<u1", 3: "<i2", 4: "<i4", MONEY: "<i8", 19: "<i8"}
MONEY_SCALE = 4
MAX_EXACT = 2**53  # of a float, and 10**22 the last power of ten
POWERS = np.array([float(f"1e{i}") for i in range(23)])
GUID_PATTERN = b"{00000000-0000-0000-0000-000000000000}"
GUID_ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15]
DAY_MS = 86_400_000
DAY_US = DAY_MS * 1000
UNIX_DAYS = 25_569  # from 1899-12-30 to 1970-01-01
FIRST_DATE, END_OF_DATES = -657_434 - UNIX_DAYS, 2_958_466 - UNIX_DAYS  # the years 100 to 9999
# A Date/Time Extended: days since the year 1, 100 ns since midnight, each as text of 19 digits.
EXTENDED_DAYS, EXTENDED_TICKS = slice(0, 19), slice(20, 39)
UNIX_DAYS_FROM_YEAR_1 = 719_162
DAY_TICKS = DAY_US * 10


class OutOfRange(ValueError):
    """The value at `row` is none that can be held; the message says what it is."""

    def __init__(self, row: int, what: str) -> None:
        super().__init__(what)
        self.row = row


def decode(
    code: int, scale: int, data: np.ndarray, start: np.ndarray, length: np.ndarray
) -> np.ndarray:
    """The numbers or dates of the type `code` that begin at `start` of uint8 `data`.

    int64 for whole numbers, microseconds since 1970 for dates, else float64. Raises OutOfRange,
    and Damaged where the `length` is not that of the type.
    """
    raw = _cells(code, data, start, length)
    if not len(raw):
        return np.empty(0, np.float64 if TYPES[code].kind == "number" else np.int64)
    if code in INTEGERS:
        whole = raw.view(INTEGERS[code])[:, 0].astype(np.int64)
        return whole if code != MONEY else _scaled(whole, MONEY_SCALE)
    if code == SINGLE:
        return shortest(raw.view("<f4")[:, 0])
    if code == DOUBLE:
        return raw.view("<f8")[:, 0] + 0.0
    if code == DATE:
        return _dates(raw.view("<f8")[:, 0])
    if code == EXTENDED:
        return _extended(raw)
    return _decimals(raw, scale)


def shortest(singles: np.ndarray) -> np.ndarray:
    """The float64 of the shortest decimal that gives each float32: .15, not .15000000596.

    Tries 7 to 9 digits, which always serve; past what is exact in a float, by text.
    """
    exact = singles.astype(np.float64)
    result = exact.copy()
    left = (exact != 0) & np.isfinite(exact)
    exponent = np.floor(np.log10(np.abs(exact), where=left, out=np.zeros_like(exact))).astype(int)
    for digits in range(7, 10):
        todo = np.flatnonzero(left & (np.abs(exponent) < len(POWERS) - 9))
        power = digits - 1 - exponent[todo]
        up, down = POWERS[np.maximum(power, 0)], POWERS[np.maximum(-power, 0)]
        tried = np.rint(exact[todo] * up / down) / up * down
        fits = tried.astype(np.float32) == singles[todo]
        result[todo[fits]] = tried[fits]
        left[todo[fits]] = False
    for i in np.flatnonzero(left):
        result[i] = float(str(singles[i]))
    return result + 0.0  # -0.0 becomes 0.0: equal rows are to give equal bytes


def guids(data: np.ndarray, start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The GUIDs that begin at `start` of uint8 `data`, as text, uint8 of shape (n, 38)."""
    raw = _cells(GUID, data, start, length)[:, GUID_ORDER]
    digits = np.frombuffer(b"0123456789ABCDEF", np.uint8)
    pattern = np.frombuffer(GUID_PATTERN, np.uint8)
    text = np.tile(pattern, (len(raw), 1))
    text[:, pattern == ord("0")] = np.stack([digits[raw >> 4], digits[raw & 15]], axis=2).reshape(
        -1, 32
    )
    return text


def _cells(code: int, data: np.ndarray, start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The bytes of each value, shape (n, size of the type)."""
    size = TYPES[code].size or 0
    if (length != size).any():
        raise Damaged("a value has not the length of its type")
    if not len(start):
        return np.empty((0, size), np.uint8)
    return np.lib.stride_tricks.sliding_window_view(data, size)[start]


def _scaled(whole: np.ndarray, scale: int) -> np.ndarray:
    """`whole` / 10**scale, each the nearest float64."""
    if scale < len(POWERS) and np.abs(whole).max() <= MAX_EXACT:
        return whole / POWERS[scale]
    return np.array([value / 10**scale for value in whole.tolist()])


def _decimals(raw: np.ndarray, scale: int) -> np.ndarray:
    """A sign and four 32-bit numbers, the highest first, each little-endian."""
    words = np.ascontiguousarray(raw[:, 1:]).view("<u4").astype(np.int64)
    negative = raw[:, 0] != 0
    if words[:, :2].any() or (words[:, 2] >> 21).any() or scale >= len(POWERS):
        whole = [(((a << 32 | b) << 32 | c) << 32) | d for a, b, c, d in words.tolist()]
        size = np.array([value / 10**scale for value in whole])
    else:
        size = (words[:, 2] << 32 | words[:, 3]) / POWERS[scale]
    return np.where(negative, -size, size) + 0.0


def _dates(days: np.ndarray) -> np.ndarray:
    """Days since 1899-12-30; below 0 the fraction still counts upwards: -1.25 is 6:00 of the 29th.

    To the millisecond: a double of today holds 1 µs, and 15:45 is to be 15:45.
    """
    within = (days > FIRST_DATE + UNIX_DAYS - 1) & (days < END_OF_DATES + UNIX_DAYS)
    whole = np.trunc(np.where(within, days, 0))
    time = np.rint(np.abs(days - whole, where=within, out=np.zeros_like(whole)) * DAY_MS)
    date = (whole - UNIX_DAYS).astype(np.int64) * DAY_US + time.astype(np.int64) * 1000
    within &= (date >= FIRST_DATE * DAY_US) & (date < END_OF_DATES * DAY_US)
    if not within.all():
        row = int(np.argmin(within))
        raise OutOfRange(row, f"is no date of the years 100 to 9999 (day {days[row]:.12g})")
    return date


def _extended(raw: np.ndarray) -> np.ndarray:
    """Days and ticks as texts; below a microsecond is cut off."""
    numbers = []
    right = (raw[:, [19, 39]] == ord(":")).all(axis=1)
    for part in (EXTENDED_DAYS, EXTENDED_TICKS):
        digits = raw[:, part].astype(np.int64) - ord("0")
        right &= ((digits >= 0) & (digits <= 9)).all(axis=1) & ~digits[:, :4].any(axis=1)
        numbers.append(digits @ (10 ** np.arange(digits.shape[1] - 1, -1, -1)))
    days, ticks = numbers
    days = days - UNIX_DAYS_FROM_YEAR_1
    right &= (days < END_OF_DATES) & (ticks < DAY_TICKS)
    if not right.all():
        raise OutOfRange(int(np.argmin(right)), "is no date of the years 1 to 9999")
    return days * DAY_US + ticks // 10
