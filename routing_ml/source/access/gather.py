"""Numbers and pieces from all over an array of bytes, for many places at once."""

import numpy as np

# Elements of a piece from which copying it is cheaper than an index of 16 bytes for each of them.
LONG = 256


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
