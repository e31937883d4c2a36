"""Reads what Slack delivers: a slash command, or a button that was pressed, and by whom.

Of a payload nothing is believed but its form: what lacks a part, or has another in its place, is
no request.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_NAME = 80
MAX_TEXT = 4_000


@dataclass(frozen=True)
class Person:
    """Who asks, by Slack's id and name, and the workspace or organization that they are of."""

    id: str
    name: str
    team: str

    @property
    def who(self) -> str:
        """As it stands in a history.

        >>> Person("U1", "kim", "T1").who
        'Slack: kim (U1)'
        """
        return f"Slack: {self.name} ({self.id})"


@dataclass(frozen=True)
class Command:
    """`text` is what stands behind the slash command; `key` is the same for it alone."""

    text: str
    person: Person
    channel: str
    response_url: str
    key: str


@dataclass(frozen=True)
class Press:
    """A button of a message, what it carries, and the message's own blocks."""

    action: str
    value: Mapping[str, Any]
    person: Person
    channel: str
    message: str
    response_url: str
    is_ephemeral: bool
    key: str
    """The same for each press of that button of that message by that person."""
    blocks: Any = field(default=None, compare=False)


def read(kind: str, envelope: str, payload: Any) -> Command | Press | None:
    """The request in an envelope of that kind; None where there is none of ours."""
    try:
        if kind == "slash_commands":
            return _command(envelope, payload)
        if kind == "interactive" and payload["type"] == "block_actions":
            return _press(payload)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError):
        return None
    return None


def _command(envelope: str, payload: Mapping[str, Any]) -> Command:
    return Command(
        text=_text(payload.get("text", ""))[:MAX_TEXT],
        person=_person(payload["user_id"], payload.get("user_name"), payload["team_id"]),
        channel=_text(payload["channel_id"]),
        response_url=_text(payload.get("response_url", "")),
        # Slack's own word for this one command, whatever envelope it comes in.
        key=f"command/{_text(payload.get('trigger_id') or envelope)}",
    )


def _press(payload: Mapping[str, Any]) -> Press:
    action, container, user = payload["actions"][0], payload["container"], payload["user"]
    value = json.loads(_text(action["value"]))
    if not isinstance(value, dict):
        raise ValueError("a button of ours carries an object")
    channel = _text(container.get("channel_id") or payload["channel"]["id"])
    message, pressed = _text(container["message_ts"]), _text(action["action_id"])
    person = _person(user["id"], user.get("name") or user.get("username"), user["team_id"])
    carried = json.dumps(value, sort_keys=True)
    return Press(
        action=pressed,
        value=value,
        person=person,
        channel=channel,
        message=message,
        response_url=_text(payload.get("response_url", "")),
        is_ephemeral=bool(container.get("is_ephemeral")),
        key=f"press/{pressed}/{channel}/{message}/{person.id}/{carried}",
        blocks=payload.get("message", {}).get("blocks"),
    )


def _person(user: object, name: object, team: object) -> Person:
    shown = " ".join(name.split())[:MAX_NAME] if isinstance(name, str) else ""
    return Person(_text(user), shown or _text(user), _text(team))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value
