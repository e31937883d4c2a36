"""The sentences of the pages in the languages that people read, from a catalogue each."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).with_name("messages")
LANGUAGES = {"en": "English", "ko": "한국어"}
DEFAULT = "en"


@lru_cache(maxsize=len(LANGUAGES))
def catalogue(language: str) -> Mapping[str, str]:
    """Every sentence of a language, by its key."""
    return tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))


def words(language: str, key: str, **values: object) -> str:
    """A sentence with its values; KeyError for a key that no catalogue has."""
    return catalogue(language)[key].format_map(values)


def language_of(chosen: str | None, accepted: str) -> str:
    """The language that a person chose, or else the first that their browser asks for.

    >>> accepted = "de, ko-KR;q=0.8, en;q=0.9"
    >>> language_of(None, accepted), language_of("ko", "en"), language_of("x", "")
    ('en', 'ko', 'en')
    """
    if chosen in LANGUAGES:
        return str(chosen)
    wanted: list[tuple[float, int, str]] = []
    for part in accepted.split(",")[:20]:
        name, _, weight = part.strip().partition(";q=")
        try:
            wanted.append((-float(weight or 1), len(wanted), name[:2].lower()))
        except ValueError:
            continue
    return next((name for *_, name in sorted(wanted) if name in LANGUAGES), DEFAULT)
