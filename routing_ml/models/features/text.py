"""What people type into an item master, turned into words and numbers, in any language.

Upper case, one kind of space, full-width forms narrowed (NFKC); words with and without their
neighbour; numbers alone (`12,5 mm`, `1 1/2"`), in runs (`44.9x32.7x3.4`) and behind a letter
(`DN50`, `L=120`).
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import wraps
from itertools import pairwise
from types import MappingProxyType
from typing import TypeVar

from routing_ml.dataset import FACTORS

MISSING = frozenset({"", "-", "--", "?", ".", "N/A", "#N/A", "NULL", "NAN", "<NA>", "(NULL)"})

_NUMBER = r"\d+(?:[.,]\d+)?"
_UNIT = r"(?:MM|CM|INCH(?:ES)?|IN\b|ZOLL|\"|″|”)?"
_RUN = re.compile(rf"[Ø⌀Φ]?{_NUMBER}\s*{_UNIT}(?:\s*[X×*✕]\s*[Ø⌀Φ]?{_NUMBER}\s*{_UNIT}){{1,5}}")
_IN_RUN = re.compile(rf"({_NUMBER})\s*({_UNIT})")
_NAMED = re.compile(
    rf"(?<![^\W_])([^\W\d_]{{1,4}}\s?[.=:]\s?|[^\W\d_]{{1,4}}|[Ø⌀Φ]\s?)({_NUMBER})(?![.,]?[^\W_])"
)
_PLAIN = re.compile(r"([+-]?\d+(?:[.,]\d+)?)\s*([^\d\s].{0,11})?")
_MIXED = re.compile(r"(?:(\d+)[ -])?(\d+)/(\d+)\s*([^\d\s].{0,11})?")
_DECIMAL = re.compile(r"[Ø⌀Φ]?\d+[.,]\d+")
MOST_KEPT = 500_000
"""Letters of the texts of which it is kept what was read in them, each with `EACH` more: they come
again with every copy and every fold of the items, which took a tenth of a fit. All that is kept
takes 10 to 60 MB, the most of Han."""
EACH = 20
SHORT = 4  # letters of a word that may turn the next one round: NO, W/O, OHNE, SANS
_EDGE = "()[]{}<>.,;:!?'\"「」【】（）"
_PARTS = re.compile(r"[,;/|+()&:=_\-\[\]]+")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]{3,}")  # kana and Han: no spaces between words


Found = TypeVar("Found")


def _kept(read: Callable[[str], Found]) -> Callable[[str], Found]:
    """The same, done once for each of the first texts, as many as there is room for: columns are
    read from top to bottom again and again, and the latest would all be gone when their turn comes.
    """
    kept: dict[str, Found] = {}
    room = MOST_KEPT

    @wraps(read)
    def reading(text: str) -> Found:
        nonlocal room
        if text in kept:
            return kept[text]
        found = read(text)
        if room >= len(text) + EACH:
            room -= len(text) + EACH
            kept[text] = found
        return found

    return reading


def normalise(value: object) -> str:
    """One spelling of `value`; empty for what means "nothing".

    >>> normalise(" seal　ring "), normalise("n/a"), normalise(304.0)
    ('SEAL RING', '', '304')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _spelled(str(value))


@_kept
def _spelled(text: str) -> str:
    text = " ".join(unicodedata.normalize("NFKC", text).upper().split())
    return "" if text in MISSING else text


@_kept
def words(text: str) -> frozenset[str]:
    """The words of a normalised text, parts of joined words, and short words with the next one,
    because "NO TAP KEYWAY" and "TAP NO KEYWAY" differ.

    Runs of dimensions are left out: `run` reads them.

    >>> sorted(words("SLEEVE 76.9X39.2X23 NO TAP (NEW)"))
    ['NEW', 'NO', 'NO TAP', 'SLEEVE', 'TAP', 'TAP NEW']
    """
    chunks = [chunk.strip(_EDGE) or chunk for chunk in _RUN.sub(" ", text).split()]
    chunks = [chunk for chunk in chunks if not _DECIMAL.fullmatch(chunk)]
    found = set(chunks)
    for a, b in pairwise(chunks):
        if len(a) <= SHORT and not any(letter.isdigit() for letter in a):
            found.add(f"{a} {b}")
    for chunk in chunks:
        parts = _PARTS.split(chunk)
        if len(parts) > 1:
            found.update(part for part in parts if len(part) > 1)
        for stretch in _UNSPACED.findall(chunk):
            found.update(stretch[i : i + 2] for i in range(len(stretch) - 1))
    return frozenset(found)


@_kept
def run(text: str) -> tuple[float, ...]:
    """The numbers of the first AxBxC run of a normalised text, in millimetres where a unit says so.

    >>> run("RING 44,9 x 32,7x3,4 CARBON".upper()), run('2"X1"'), run("RING")
    ((44.9, 32.7, 3.4), (50.8, 25.4), ())
    """
    match = _RUN.search(text)
    if not match:
        return ()
    pairs = _IN_RUN.findall(match.group())
    last = pairs[-1][1]
    return tuple(_float(digits) * FACTORS.get(unit or last, 1.0) for digits, unit in pairs)


@_kept
def named_numbers(text: str) -> Mapping[str, float]:
    """Numbers behind a short name of letters, outside runs; the first of each name.

    >>> dict(named_numbers("FLANGE DN50 L=120 316SS"))
    {'DN': 50.0, 'L': 120.0}
    """
    found: dict[str, float] = {}
    for name, digits in _NAMED.findall(_RUN.sub(" ", text)):
        found.setdefault(name.rstrip(" .=:"), _float(digits))
    return MappingProxyType(found)


def number(text: str) -> float:
    """A normalised text that is one number, with its unit converted; NaN for anything else.

    >>> number("12,5 MM"), number('1 1/2 CM'), number("316SS")
    (12.5, 15.0, nan)
    """
    match = _PLAIN.fullmatch(text)
    if match:
        return _float(match[1]) * _factor(match[2])
    match = _MIXED.fullmatch(text)
    if match and int(match[3]):
        value = int(match[1] or 0) + int(match[2]) / int(match[3])
        return value * _factor(match[4])
    return math.nan


def _factor(unit: str | None) -> float:
    return 1.0 if not unit else FACTORS.get(unit, math.nan)


def _float(digits: str) -> float:
    return float(digits.replace(",", "."))
