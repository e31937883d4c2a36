"""Turns a card into an Adaptive Card in the envelope that a Workflows webhook of Teams takes, 28 KB
at most, in which a text is shown as it stands.

A TextBlock and a fact take a subset of Markdown, `{{DATE(...)}}` and, in some clients, entities;
no client is known to honour every escape, so that what would mean something is set apart by a
character of no width, as for Slack, or shown as a sign that looks alike.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from routing_ml.notices.card import ATTENTION, BAD, GOOD, Card, Fact, sparkline
from routing_ml.notices.mrkdwn import APART, is_link, plain

SCHEMA = "http://adaptivecards.io/schemas/adaptive-card.json"
VERSION = "1.4"
MAX_BYTES = 28_000
"""Of the whole message; Teams takes 28 KB."""
TEXTS = (3_000, 1_500, 500)
"""Characters of the text: the first that the message is small enough with."""
MAX_LINES, MAX_TITLE = 40, 150
MAX_FACTS, MAX_NAME, MAX_VALUE = 12, 60, 100
MAX_LINKS, MAX_ADDRESS = 3, 500
COLORS = {GOOD: "Good", ATTENTION: "Warning", BAD: "Attention"}
MEANT = re.compile(
    r"&(?=[#\w])"  # an entity
    r"|\](?=[(\[:])|!(?=\[)"  # a link, an image
    r"|\\(?=[!-/:-@\[-`{-~]|$)"  # an escape, also of what stands after the text
    r"|[{$](?=\{)"  # {{DATE(...)}}, ${...} of a template
    r"|^(?=(?:[-+]|#{1,6}|[0-9]{1,9}[.)])(?:\s|$)|--|[=|])"  # a list, a heading, a rule, a table
)
ALIKE = str.maketrans({"<": "‹", ">": "›"})


def message(card: Card) -> dict[str, Any]:
    """The webhook's JSON, at most MAX_BYTES of it in UTF-8; of all that is in it only links can be
    anything but plain text."""
    for most in TEXTS:
        found = _message(card, most)
        if len(encoded(found).encode()) <= MAX_BYTES:
            break
    return found


def encoded(message: dict[str, Any]) -> str:
    """A message as it is sent."""
    return json.dumps(message, ensure_ascii=False)


def shown(text: str, most: int) -> str:
    """One line of plain text as a TextBlock takes it, at most `most` characters of it.

    >>> shown("# [M07](http://x) <b> {{DATE(1)}}", 99).replace(APART, "'")
    "'# [M07]'(http:'//x) ‹b› {'{DATE(1)}}"
    """
    # Nothing of it becomes shorter: what is beyond that would be cut off.
    line = plain(" ".join(text.split())[: most + 1]).translate(ALIKE)
    line = MEANT.sub(lambda found: found[0] + APART, line)
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _message(card: Card, most: int) -> dict[str, Any]:
    content: dict[str, Any] = {
        "$schema": SCHEMA,
        "type": "AdaptiveCard",
        "version": VERSION,
        "msteams": {"width": "Full"},
        "body": list(_body(card, most)),
    }
    links = [one for one in card.links if is_link(one.address)]
    links = [one for one in links if len(one.address) <= MAX_ADDRESS][:MAX_LINKS]
    if links:
        content["actions"] = [
            {
                "type": "Action.OpenUrl",
                "title": shown(one.label, MAX_NAME) or "Open",
                "url": one.address,
            }
            for one in links
        ]
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "content": content}]}


def _body(card: Card, most: int) -> Iterator[dict[str, Any]]:
    title = shown(card.headline, MAX_TITLE) or "…"
    color = COLORS.get(card.level, "Default")
    yield _block(title, size="Large", weight="Bolder", color=color)
    for line in _lines(card.text, most):
        yield _block(line, spacing="Small")
    facts = [_fact(fact) for fact in card.facts if fact.value.strip()][:MAX_FACTS]
    if facts:
        yield {"type": "FactSet", "facts": facts}
    if card.plot and (bars := sparkline(card.plot.values)):
        name = shown(card.plot.name, MAX_NAME * 2)
        yield _block(f"{name}  {bars}", spacing="Medium", isSubtle=True)


def _lines(text: str, most: int) -> Iterator[str]:
    """Each line of a text: a line break within a TextBlock is a space."""
    left = most
    lines = [line for line in text.splitlines() if line.strip()]
    for line in [*lines[: MAX_LINES - 1], *([" ".join(lines[MAX_LINES - 1 :])])]:
        found = shown(line, left)
        if found and left > 1:
            yield found
            left -= len(found)


def _fact(fact: Fact) -> dict[str, str]:
    change = f" ({shown(fact.change, MAX_VALUE)})" if fact.change.strip() else ""
    name = shown(fact.name, MAX_NAME)
    return {"title": name, "value": f"{shown(fact.value, MAX_VALUE)}{change}"}


def _block(text: str, **looks: Any) -> dict[str, Any]:
    return {"type": "TextBlock", "text": text, "wrap": True, **looks}
