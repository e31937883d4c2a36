"""Which columns of digits hold codes, as a material group 00117, and which hold quantities.

Of a number nearby values tell something, of a code nothing: where a code is taken for a number, one
that no item had goes unnoticed between those that some had.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np

from routing_ml.models.features import text
from routing_ml.models.trees.ensemble import leaf_sums

MIN_DIGITS = 3  # of texts that are all as long: shorter ones may be sizes
REPEATS = 5  # items of a value on average, under which values of whole numbers are no codes
MISPRINTS = 0.02  # of the items, up to which a leading zero or a decimal point says nothing
MIN_TOLD = 0.1  # of the routings' variance by the single values, under which it may be chance
MAX_ALIKE = 0.25  # of that by the values beside: of made-up sizes it was .6 to 1, of codes 0
DAY = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])?")  # 20240105, 202401


def spelled_as_code(counts: Mapping[str, int]) -> bool:
    """Do texts, with the items of each, look like codes: digits alone, some with a zero before
    them, or all as long and each many times? Days do not: of those the next is always new.

    >>> spelled_as_code({"00117": 3, "12040": 2}), spelled_as_code({"117": 30, "204": 20})
    (True, True)
    >>> spelled_as_code({"0.5": 30, "12": 20}), spelled_as_code({"90": 30, "120": 20})
    (False, False)
    """
    filled = sum(counts.values())
    digits = {value: count for value, count in counts.items() if value.isdecimal()}
    sizes = sum(n for v, n in counts.items() if v not in digits and not math.isnan(text.number(v)))
    days = sum(n for value, n in digits.items() if DAY.fullmatch(value))
    empty = sum(n for value, n in digits.items() if not value.strip("0"))  # 00000000: no day
    if not digits or sizes > MISPRINTS * filled or days > (filled - empty) / 2:
        return False
    zeros = sum(n for value, n in digits.items() if value[0] == "0" and len(value) > 1)
    if zeros > MISPRINTS * filled:
        return True
    lengths = {len(value) for value in digits}
    return len(lengths) == 1 and min(lengths) >= MIN_DIGITS and filled >= REPEATS * len(digits)


def tells_as_code(values: np.ndarray, operations: np.ndarray, families: np.ndarray) -> bool:
    """Do whole numbers (n,), NaN where missing, tell the `operations` (n, L) of 0 and 1 value by
    value, while those of neighbouring values are not alike?

    Of `families` (n,), whose items are made alike, one item of each value counts: ten items of one
    size and one drawing made a code of every second size.
    """
    known = ~np.isnan(values)
    if not known.any() or (values[known] % 1).any():
        return False
    _, first = np.unique(np.c_[families, values][known], axis=0, return_index=True)
    told, alike = _told(values[known][first], operations[known][first])
    return told >= MIN_TOLD and alike <= MAX_ALIKE * told


def _told(values: np.ndarray, operations: np.ndarray) -> tuple[float, float]:
    """Shares of the variance of the `operations` (n, L): between the `values` (n,), less that of
    chance; and in common with the values next above and below (Moran's I), which chance adds
    nothing to. 0 where values are few or come too seldom."""
    distinct, groups, counts = np.unique(values, return_inverse=True, return_counts=True)
    apart = operations.astype(np.float32)
    apart -= apart.mean(axis=0)
    total = float((apart.astype(np.float64) ** 2).sum())
    if len(distinct) < 3 or len(values) < REPEATS * len(distinct) or total <= 0:
        return 0.0, 0.0
    (sums,) = leaf_sums(groups, len(distinct), apart)
    means = sums / counts[:, None]
    beside = np.concatenate([means[1:2], (means[:-2] + means[2:]) / 2, means[-2:-1]])
    told = float((sums * means).sum()) / total - (len(distinct) - 1) / (len(values) - 1)
    return told, float((sums * beside).sum()) / total
