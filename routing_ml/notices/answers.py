"""What the other ends answer: whether a notice was taken, where it is, and what else they say."""

import json
import re
from typing import Any

WEBHOOK, API, WORKFLOW = "Slack's webhook", "Slack's Web API", "a Workflows webhook of Teams"
PLACE = re.compile(r"[A-Z0-9]{1,40}/[0-9]{1,20}\.[0-9]{1,20}")
"""A channel's id and a message's ts, by which it is edited."""
HTML = ("text/html", "application/xhtml+xml")


def taken(says: str, status: int, kind: str, body: str) -> str | None:
    """Where the message is that an answer tells of, '' where that cannot be said, None where it was
    not taken. `kind` is the answer's media type.

    A proxy and a login page say 200 too. Slack's webhook says `ok`, its Web API `"ok": true` with
    the place; a Workflows webhook says 202 and nothing, or 200 with what the workflow's author
    chose, which is no page.

    >>> taken(WEBHOOK, 200, "text/plain", "ok"), taken(WEBHOOK, 200, "text/html", "<html>ok")
    ('', None)
    >>> taken(API, 200, "application/json", '{"ok": true, "channel": "C1", "ts": "1.2"}')
    'C1/1.2'
    """
    if says == WORKFLOW:
        page = kind in HTML or body.lstrip().startswith("<")
        return "" if status in (200, 202) and not page else None
    if status != 200:
        return None
    if says == WEBHOOK:
        return "" if body.strip() == "ok" else None
    found = fields(body)
    if found.get("ok") is not True:
        return None
    place = f"{found.get('channel')}/{found.get('ts')}"
    return place if PLACE.fullmatch(place) else ""


def fields(body: str) -> dict[str, Any]:
    """What an answer of Slack's Web API says; nothing where it is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def short(body: str) -> str:
    """An answer of Slack's Web API without the message in it."""
    found = fields(body)
    return json.dumps({key: found[key] for key in ("ok", "error") if key in found})
