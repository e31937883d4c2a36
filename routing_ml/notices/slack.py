"""Turns a card into Slack's Block Kit: what it says of a text, a message or a button holds of
whatever is in the card.

Slack takes 50 blocks, 3,000 characters a text and about 13,200 in all; what is built here has at
most 9 blocks and 12,000 characters, counted as they are escaped.
"""

from collections.abc import Iterator
from typing import Any

from routing_ml.notices.card import Card, Fact, sparkline
from routing_ml.notices.mrkdwn import escaped, linked, plain

MAX_TEXT = 3_000  # what a section block takes
MAX_TITLE = 150  # and a header block
FIELDS = 10  # and a section's fields
MAX_FACTS, MAX_NAME, MAX_VALUE = 12, 60, 120
MAX_LINKS, MAX_LINK = 3, 1_000


def message(card: Card) -> dict[str, Any]:
    """The message as JSON; of all that is in it only links can be anything but plain text."""
    return {
        "text": escaped(card.title, MAX_TITLE).strip() or "…",
        "blocks": list(_blocks(card)),
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _blocks(card: Card) -> Iterator[dict[str, Any]]:
    named = plain(card.headline).replace("<", "‹").replace(">", "›")[:MAX_TITLE].strip()
    yield {"type": "header", "text": {"type": "plain_text", "text": named or "…", "emoji": False}}
    if text := escaped(card.text, MAX_TEXT).strip():
        yield {"type": "section", "text": _text(text)}
    fields = [_field(fact) for fact in card.facts if fact.value.strip()][:MAX_FACTS]
    for at in range(0, len(fields), FIELDS):
        yield {"type": "section", "fields": fields[at : at + FIELDS]}
    if card.plot and (bars := sparkline(card.plot.values)):
        shown = f"{_line(card.plot.name, MAX_NAME * 2)}  {bars}"
        yield {"type": "context", "elements": [_text(shown)]}
    links = [linked(one.address, _line(one.label, MAX_NAME)) for one in card.links]
    if links := [link for link in links if 0 < len(link) <= MAX_LINK][:MAX_LINKS]:
        yield {"type": "context", "elements": [_text("  ".join(links))]}


def _field(fact: Fact) -> dict[str, Any]:
    change = f" ({_line(fact.change, MAX_VALUE)})" if fact.change.strip() else ""
    name = _line(fact.name, MAX_NAME)
    return _text(f"{f'*{name}*' if name else ''}\n{_line(fact.value, MAX_VALUE)}{change}")


def _line(text: str, most: int) -> str:
    return escaped(" ".join(text.split()), most)


def _text(text: str) -> dict[str, Any]:
    # Not verbatim, Slack would make links and mentions of what only looks like one.
    return {"type": "mrkdwn", "text": text, "verbatim": True}
