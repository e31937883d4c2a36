"""Finds items by a part of their code or name."""

from __future__ import annotations

from dataclasses import dataclass, field

from routing_ml.errors import InputError
from routing_ml.settings import Settings
from routing_ml_pages import reading

MOST = 30


@dataclass(frozen=True)
class Hit:
    """An item; `waiting` says that it has no routing yet."""

    code: str
    name: str
    waiting: bool


@dataclass(frozen=True)
class Found:
    """The best of what was found, and how many items match in all."""

    query: str
    hits: list[Hit] = field(default_factory=list)
    total: int = 0


MOST_LETTERS, MOST_WORDS = 200, 20
"""Of a query what is looked for: each word is held against every item."""


def search(settings: Settings, query: str, *, most: int = MOST) -> Found:
    """Items that have each word of `query` in their code or name: the code itself first, then codes
    that begin with it, that contain it, then names. Nothing of an empty query."""
    words = list(dict.fromkeys(query[:MOST_LETTERS].casefold().split()))[:MOST_WORDS]
    if not words:
        return Found(query)
    try:
        known = reading.known(settings)
    except InputError:
        known = None
    ranked: list[tuple[int, int, str, str]] = []
    whole = " ".join(words)
    if known is not None:
        codes = known.data.items["ITEM_CD"].tolist()
        for row, (code, name) in enumerate(known.sought):
            if all(word in code or word in name for word in words):
                ranked.append((_rank(whole, code), row, codes[row], known.names[row]))
    if (proposed := reading.proposed(settings)) is not None:
        for key, rows in proposed.places.items():
            if whole in key and (known is None or key not in known.row_of):
                code = str(proposed.frame["ITEM_CD"].iloc[rows[0]])
                ranked.append((_rank(whole, key), len(ranked), code, ""))
    ranked.sort()
    hits = [
        Hit(code, name, known is None or code.casefold() not in known.routing_rows)
        for *_, code, name in ranked[:most]
    ]
    return Found(query, hits, len(ranked))


def _rank(query: str, code: str) -> int:
    if code == query:
        return 0
    return 1 if code.startswith(query) else 2 if query in code else 3
