"""How models that were saved before `text` read otherwise go on reading texts: their words and
thresholds are of this reading, so it is never mended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from types import MappingProxyType

from routing_ml.dataset import FACTORS
from routing_ml.models.features.text import SHORT, kept

_NUMBER = r"\d+(?:[.,]\d+)?"
_UNIT = r"(?:MM|CM|INCH(?:ES)?|IN\b|ZOLL|\"|″|”)?"
_RUN = re.compile(rf"[Ø⌀Φ]?{_NUMBER}\s*{_UNIT}(?:\s*[X×*✕]\s*[Ø⌀Φ]?{_NUMBER}\s*{_UNIT}){{1,5}}")
_IN_RUN = re.compile(rf"({_NUMBER})\s*({_UNIT})")
_NAMED = re.compile(
    rf"(?<![^\W_])([^\W\d_]{{1,4}}\s?[.=:]\s?|[^\W\d_]{{1,4}}|[Ø⌀Φ]\s?)({_NUMBER})(?![.,]?[^\W_])"
)
_DECIMAL = re.compile(r"[Ø⌀Φ]?\d+[.,]\d+")
_EDGE = "()[]{}<>.,;:!?'\"「」【】（）"
_PARTS = re.compile(r"[,;/|+()&:=_\-\[\]]+")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]{3,}")


@kept
def words(text: str) -> frozenset[str]:
    """The words of a normalised text, parts of joined words, and short words with the next one."""
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


@kept
def run(text: str) -> tuple[float, ...]:
    """The numbers of the first AxBxC run of a normalised text, in millimetres."""
    match = _RUN.search(text)
    if not match:
        return ()
    pairs = _IN_RUN.findall(match.group())
    last = pairs[-1][1]
    return tuple(_float(digits) * FACTORS.get(unit or last, 1.0) for digits, unit in pairs)


@kept
def named_numbers(text: str) -> Mapping[str, float]:
    """Numbers behind a short name of letters, outside runs; the first of each name."""
    found: dict[str, float] = {}
    for name, digits in _NAMED.findall(_RUN.sub(" ", text)):
        found.setdefault(name.rstrip(" .=:"), _float(digits))
    return MappingProxyType(found)


def _float(digits: str) -> float:
    return float(digits.replace(",", "."))
