"""What people type into an item master, turned into words and numbers, in any language.

Upper case, one kind of space, full-width forms narrowed (NFKC); words with and without their
neighbour; numbers alone (`12,5 mm`, `1 1/2"`), in runs (`44.9x32.7x3.4`) and behind a letter
(`DN50`, `L=120mm`).
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

from routing_ml.dataset import FACTORS, MM_PER

MISSING = frozenset({"", "-", "--", "?", ".", "N/A", "#N/A", "NULL", "NAN", "<NA>", "(NULL)"})

_HAN = "\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"  # and kana: no spaces between words
_CJK = rf"{_HAN}\uac00-\ud7a3"
_JOINED = rf"[^\W_{_CJK}]"  # a letter or digit that is one word with the number beside it

_DECIMAL = r"\d+(?:[.,٫]\d+)?"
# of an inch, no 10/16; a letter before two whole digits has them for itself: DN15 1/2"
_FRACTION = rf"(?:(?:\d|(?<!{_JOINED})\d\d)[ -])?\d?[13579]/(?:2|4|8|16|32|64)(?!\d)"
_DIGITS = rf"(?P<digits>(?>{_FRACTION}|{_DECIMAL}))"  # all of them: atomic, and never quadratic
_SIGN = "[Ø⌀Φ]"
_TIMES = "[X×*✕]"
# behind a number: no letter or digit, but for the X of a run
_END = rf"(?:(?=X ?{_SIGN}?\d)|(?!{_JOINED}|[.,٫]\d))"
_LENGTHS = sorted((unit for unit, mm in MM_PER.items() if mm in (1, 10, 25.4)), key=len)[::-1]
_SPELLED = "|".join(re.escape(unit) for unit in _LENGTHS if unit[0].isalpha())
_MARKS = "|".join(unit for unit in _LENGTHS if not unit[0].isalpha())
_UNIT = rf" ?(?P<unit>(?:{_SPELLED}){_END}|{_MARKS})"
_FIT = r"(?:JS|[A-HJ-NP-VYZ]{1,2})(?:1[0-8]|\d)"  # a tolerance: h6, JS9
_CLOSED = rf"(?:{_END}|(?={_FIT}{_END}))"
_LED = "M|G|R|TR|D|DN|L|T|U|PL|BL|FL|RD"  # threads, diameters, profiles; of others, C45 is a grade
_TERM = (  # also 3T, thick, and 100L, long
    rf"{_SIGN}? ?{_DIGITS}(?:{_UNIT}|(?:T|LG?)?{_CLOSED})(?: ?(?P<fit>{_FIT})(?= ?{_TIMES}))?"
)
_ANY = re.sub(r"\?P<\w+>", "?:", _TERM)
_IN_RUN = re.compile(_TERM)
_RUN = re.compile(
    rf"(?:(?<!{_JOINED})(?:{_LED})?|(?<=\dX)M)(?<!\d[.,٫/]){_ANY}(?: ?{_TIMES} ?{_ANY}){{1,5}}"
)
_NAME = rf"(?:(?<!{_JOINED})[^\W\d_{_CJK}]{{1,4}}|(?<![{_CJK}])[{_CJK}]{{1,4}})"
_SIZE = re.compile(
    rf"(?:(?P<sign>{_SIGN}) ?|(?P<name>{_NAME})(?: ?[.=:] ?)?|(?<!{_JOINED})(?<!\d[.,٫/]))"
    rf"{_DIGITS}(?:{_UNIT}|(?(sign)|{_CLOSED}))"
)
_NO_WORD = re.compile(r"\d+[.,٫]\d+")
_VULGAR = re.compile(r"(?<=\d)(\d⁄)")
_PLAIN = re.compile(rf"((?:\d+[ -])?\d+/0*[1-9]\d*|[+-]?{_DECIMAL})\s*([^\d\s].{{0,11}})?")
MOST_KEPT = 500_000
"""Letters of the texts of which it is kept what was read in them, each with `EACH` more: they come
again with every copy and every fold of the items, which took a tenth of a fit. All that is kept
takes 10 to 60 MB, the most of Han."""
EACH = 20
SHORT = 4  # letters of a word that may turn the next one round: NO, W/O, OHNE, SANS
_EDGE = "()[]{}<>.,;:!?'\"「」【】（）،؛؟、。„“”"
_PARTS = re.compile(
    rf"[,;/|+()&:=_\-\[\]،؛、。]+|(?<=\d){_TIMES}(?=\d)"
    rf"|(?<=[{_CJK}])(?=[^{_CJK}])|(?<=[^{_CJK}])(?=[{_CJK}])"
)
_UNSPACED = re.compile(rf"[{_HAN}]{{3,}}")
_WRITTEN = re.compile(rf"[{_HAN}]|..+")  # a part that is a word: two letters, or one of Han


Found = TypeVar("Found")


def kept(read: Callable[[str], Found]) -> Callable[[str], Found]:
    """The same, done once for each of the first texts, as many as there is room for: columns are
    read from top to bottom again and again, and the latest would all be gone when their turn comes.
    """
    known: dict[str, Found] = {}
    room = MOST_KEPT

    @wraps(read)
    def reading(text: str) -> Found:
        nonlocal room
        if text in known:
            return known[text]
        found = read(text)
        if room >= len(text) + EACH:
            room -= len(text) + EACH
            known[text] = found
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


@kept
def _spelled(text: str) -> str:
    text = " ".join(unicodedata.normalize("NFKC", text).upper().split())
    return "" if text in MISSING else text


@kept
def words(text: str) -> frozenset[str]:
    """The words of a normalised text, parts of joined words, and short words with the next one,
    because "NO TAP KEYWAY" and "TAP NO KEYWAY" differ.

    Sizes are left out, `run` and `named_numbers` read them: of a run its tolerances stay, of one
    with a name and a unit its name. A number and its unit alone are one word.

    >>> sorted(words("SLEEVE 76.9X39.2X23 NO TAP (NEW)"))
    ['NEW', 'NO', 'NO TAP', 'SLEEVE', 'TAP', 'TAP NEW']
    >>> sorted(words("SHAFT Ø40H6X120, KEYWAY L=25MM 2.5 MM")), sorted(words("SUS304研磨"))
    (['2.5MM', 'H6', 'KEYWAY', 'SHAFT'], ['SUS304', 'SUS304研磨', '研磨'])
    """
    text = _SIZE.sub(_said_of_size, _RUN.sub(_said_of_run, _fractions(text)))
    chunks = [chunk.strip(_EDGE) for chunk in text.split()]
    chunks = [chunk for chunk in chunks if chunk and not _NO_WORD.fullmatch(chunk)]
    found = set(chunks)
    for a, b in pairwise(chunks):
        if len(a) <= SHORT and not any(letter.isdigit() for letter in a):
            found.add(f"{a} {b}")
    for chunk in chunks:
        parts = _PARTS.split(chunk)
        if len(parts) > 1:
            found.update(part for part in parts if _WRITTEN.fullmatch(part))
        for stretch in _UNSPACED.findall(chunk):
            found.update(stretch[i : i + 2] for i in range(len(stretch) - 1))
    return frozenset(found)


def _said_of_run(match: re.Match[str]) -> str:
    fits = [term["fit"] for term in _IN_RUN.finditer(match[0]) if term["fit"]]
    return f" {' '.join(fits)} "


def _said_of_size(match: re.Match[str]) -> str:
    sign, name, digits, unit = match.group("sign", "name", "digits", "unit")
    if not sign and not unit:
        return match[0]
    if not sign and not name:
        return f"{_size(digits, unit):g}MM "
    return f"{name} " if name and len(name) > 1 else " "


@kept
def run(text: str) -> tuple[float, ...]:
    """The numbers of the first AxBxC run of a normalised text, in millimetres where a unit says so.

    >>> run("RING 44,9 x 32,7x3,4 CARBON".upper()), run('2"X1"'), run("RING")
    ((44.9, 32.7, 3.4), (50.8, 25.4), ())
    >>> run("M8X40"), run("Ø40H6X120"), run('1/4" X 100'), run("C45X100")
    ((8.0, 40.0), (40.0, 120.0), (6.35, 100.0), ())
    """
    match = _RUN.search(_fractions(text))
    if not match:
        return ()
    terms = [term.group("digits", "unit") for term in _IN_RUN.finditer(match[0])]
    last = terms[-1][1]
    return tuple(_size(digits, unit or last) for digits, unit in terms)


@kept
def named_numbers(text: str) -> Mapping[str, float]:
    """Numbers behind a short name of letters, outside runs, in millimetres where a unit says so;
    the first of each name.

    >>> dict(named_numbers("FLANGE DN50 L=12CM 316SS"))
    {'DN': 50.0, 'L': 120.0}
    """
    found: dict[str, float] = {}
    for size in _SIZE.finditer(_RUN.sub(" ", _fractions(text))):
        name = size["sign"] or size["name"]
        if name:
            found.setdefault(name, _size(size["digits"], size["unit"]))
    return MappingProxyType(found)


def number(text: str) -> float:
    """A normalised text that is one number, with its unit converted; NaN for anything else.

    >>> number("12,5 MM"), number('1 1/2 CM'), number("316SS")
    (12.5, 15.0, nan)
    """
    text = _fractions(text)
    match = _PLAIN.fullmatch(text)
    return _value(match[1]) * _factor(match[2]) if match else math.nan


def _factor(unit: str | None) -> float:
    return 1.0 if not unit else FACTORS.get(unit, math.nan)


def _size(digits: str, unit: str | None) -> float:
    return _value(digits) * FACTORS.get(unit or "", 1.0)


def _value(digits: str) -> float:
    """`1 1/2` or `12,5` as a number."""
    over, _, under = digits.replace(",", ".").replace("٫", ".").partition("/")
    if not under:
        return float(over)
    *whole, over = re.split("[ -]", over)
    return sum(map(float, whole)) + float(over) / float(under)


def _fractions(text: str) -> str:
    """With the fractions that NFKC makes of ½ and 1½ as they are typed: 1/2 and 1 1/2."""
    return _VULGAR.sub(r" \1", text).replace("⁄", "/") if "⁄" in text else text
