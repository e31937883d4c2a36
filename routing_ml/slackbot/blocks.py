"""Writes what the bot says as Slack's Block Kit, within its limits, every text as it stands.

By Slack's reference a message has 50 blocks, a section 3,000 characters, a header 150, a button's
text 75, its value 2,000 and its id 255; beyond 13,000 characters in all it was refused.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routing_ml.notices import escaped, linked, plain

MAX_SECTION, MAX_TITLE, MAX_BUTTON, MAX_VALUE = 3_000, 150, 75, 2_000
MAX_SECTIONS = 4
"""With what is around them they stay below 13,000 characters."""
MAX_LINE = 1_000
MAX_BUTTONS = 5
LEFT_OUT = "… and more: the rest is on the page of Airflow and in the command line."


@dataclass(frozen=True)
class Button:
    """What is pressed: its text, what it asks for (`action`), and what it carries."""

    text: str
    action: str
    value: Mapping[str, Any]
    style: str = ""


@dataclass(frozen=True)
class Said:
    """An answer: the outcome in one line, then what there is to say of it, all plain text; an
    address of ours; what can be pressed."""

    title: str
    text: str = ""
    link: str | None = None
    buttons: Sequence[Button] = ()


def message(said: Said) -> dict[str, Any]:
    """The `text` and `blocks` of an answer; nothing in it is a mention, a link or markup."""
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _plain_text(said.title or "Routing ML", MAX_TITLE)}
    ]
    blocks += [section(text) for text in _sections(said.text)]
    if said.link and len(said.link) < MAX_LINE:
        blocks.append(section(linked(said.link)))
    if said.buttons:
        elements = [_button(button) for button in said.buttons[:MAX_BUTTONS]]
        blocks.append({"type": "actions", "elements": elements})
    return {"text": escaped(said.title, MAX_TITLE), "blocks": blocks}


def section(text: str) -> dict[str, Any]:
    """A block of a text that is escaped already."""
    # Not verbatim, Slack would make links and mentions of what only looks like one.
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def without_buttons(blocks: object, said: Said) -> list[dict[str, Any]]:
    """The blocks of a message, as Slack hands them back, with an answer in the place of what could
    be pressed."""
    kept = (
        [block for block in blocks if isinstance(block, dict)] if isinstance(blocks, list) else []
    )
    kept = [block for block in kept if block.get("type") != "actions"]
    line = said.title if not said.text else f"{said.title}\n{said.text}"
    return [*kept[:49], section(escaped(line, MAX_SECTION))]


def _sections(text: str) -> Iterator[str]:
    """A text in as many sections as it needs, lines kept whole; what is too much is said to be."""
    sections, room = [""], MAX_SECTION - len(LEFT_OUT) - 1
    for line in text.splitlines():
        shown = escaped(line, MAX_LINE)
        if len(sections[-1]) + len(shown) + 1 > room:
            if len(sections) == MAX_SECTIONS:
                sections[-1] += LEFT_OUT
                break
            sections.append("")
        sections[-1] += shown + "\n"
    return (section for section in sections if section.strip())


def _button(button: Button) -> dict[str, Any]:
    value = json.dumps(dict(button.value), ensure_ascii=False, separators=(",", ":"))
    if len(value) > MAX_VALUE:  # cut, it would mean something else
        raise ValueError(f"a button carries {len(value)} characters, Slack takes {MAX_VALUE}")
    made = {
        "type": "button",
        "text": _plain_text(button.text, MAX_BUTTON),
        "action_id": button.action,
        "value": value,
    }
    return made | ({"style": button.style} if button.style else {})


def _plain_text(text: str, most: int) -> dict[str, Any]:
    shown = plain(text).replace("<", "‹").replace(">", "›").replace("\n", " ")
    cut = shown if len(shown) <= most else shown[: most - 1] + "…"
    return {"type": "plain_text", "text": cut, "emoji": False}
