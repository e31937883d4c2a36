"""Values as a page shows them: text without what hides or turns it, shares, counts, changes."""

import re
from typing import Any

HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff]"
)
"""What no browser shows, what turns the text around it, and halves of characters."""


def plain(text: Any) -> str:
    """A text without what hides or turns it.

    >>> plain("a\\u202eb")
    'a\\ufffdb'
    """
    return HIDDEN.sub("\ufffd", str(text))


def sentence(text: str) -> str:
    """
    >>> sentence("usual is about 3")
    'Usual is about 3.'
    """
    return f"{text[:1].upper()}{text[1:]}."


def signed(number: int) -> str:
    """
    >>> signed(3), signed(-1200), signed(0)
    ('+3', '−1,200', '0')
    """
    return f"{number:+,}".replace("-", "−") if number else "0"


def percent(share: float | None) -> str:
    """
    >>> percent(0.0), percent(0.0004), percent(0.125), percent(None)
    ('0 %', 'under 0.1 %', '12.5 %', 'none')
    """
    if share is None:
        return "none"
    if 0 < share < 0.001:
        return "under 0.1 %"
    return f"{100 * share:.1f} %" if share else "0 %"


def points(change: float) -> str:
    """
    >>> points(0.012), points(-0.00001), points(0)
    ('+1.2', '−0.0', '0')
    """
    return f"{100 * change:+.1f}".replace("-", "−") if change else "0"
