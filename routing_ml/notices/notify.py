"""Tells people, once for each subject: Slack by its webhook.

Two may want to speak of the same run (its own report task, and the listener that covers runs which
no task can report), and Slack may be away when they do. So every notice goes through `outbox/`, one
file a subject, which says how far it came: `waiting`, `sending` or `sent`.
"""

import hashlib
import json
import logging
import re
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock
from slack_sdk.errors import SlackClientError
from slack_sdk.http_retry.builtin_handlers import (
    ConnectionErrorRetryHandler,
    RateLimitErrorRetryHandler,
    ServerErrorRetryHandler,
)
from slack_sdk.webhook import WebhookClient

from routing_ml import files
from routing_ml.errors import RoutingError
from routing_ml.settings import Settings

TIMEOUT_S = 10
MAX_RETRIES = 2
MAX_TEXT = 3_000  # what a Slack section block takes
MAX_NAME = 80

log = logging.getLogger(__name__)
# slack_sdk logs the webhook's address, a secret, when it retries; what went wrong is told here.
_SILENT = logging.getLogger(f"{__name__}.slack_sdk")
_SILENT.setLevel(logging.CRITICAL + 1)


def tell(
    settings: Settings, subject: str, title: str, text: str, *, fallback: bool = False
) -> bool:
    """Send a notice on `subject` (a run), unless it was sent already; whether it was sent now.

    `title` and `text` are plain text. Another title is other news: a run that was cleared and came
    out differently is told of again. With `fallback`, whatever the subject has in the outbox comes
    first: what waits is sent, and what was sent is enough.

    Without SLACK_WEBHOOK_URL nobody is told, which the log says. Raises RoutingError when Slack
    does not take it; the notice then waits for the next call on any subject. A sender that was
    killed while it sent may have been heard: that notice is not repeated, which the log says too.
    """
    if not settings.slack_webhook_url:
        log.info("SLACK_WEBHOOK_URL is not set: nobody is told of %s", subject)
        return False
    outbox = settings.home / "outbox"
    path = outbox / _file_name(subject)
    with files.told_as(RoutingError, f"{outbox} cannot be written"):
        outbox.mkdir(parents=True, exist_ok=True)
        with FileLock(outbox / ".lock", fallback_to_soft=False):
            files.remove_leftovers(outbox, "*")
            notice = _read(path)
            if not notice or (notice["title"] != title and not fallback):
                at = datetime.now(UTC).isoformat(timespec="seconds")
                notice = {"subject": subject, "at": at, "title": title, "text": text}
                _write(path, notice, "waiting")
            elif notice["state"] != "waiting":
                if notice["state"] == "sending":
                    log.warning("a sender of the notice on %s was killed: not repeated", subject)
                return False
            _deliver(settings.slack_webhook_url, path, notice)
            _deliver_waiting(settings.slack_webhook_url, outbox)
    return True


def _deliver(url: str, path: Path, notice: dict[str, Any]) -> None:
    _write(path, notice, "sending")
    try:
        _send(url, notice["title"], notice["text"])
    except RoutingError:
        _write(path, notice, "waiting")
        raise
    _write(path, notice, "sent")


def _deliver_waiting(url: str, outbox: Path) -> None:
    """Send what earlier calls could not, now that Slack answers."""
    notices = [(path, _read(path)) for path in outbox.glob("*.json")]
    waiting = [(path, notice) for path, notice in notices if notice.get("state") == "waiting"]
    for path, notice in sorted(waiting, key=lambda one: one[1]["at"]):
        late = notice | {"text": f"{notice['text']}\n(written {notice['at']}, sent late)"}
        try:
            _deliver(url, path, late)
        except RoutingError as error:
            log.warning("the notice on %s waits on: %s", notice["subject"], error)
            return


def _send(url: str, title: str, text: str) -> None:
    client = WebhookClient(
        url,
        timeout=TIMEOUT_S,
        logger=_SILENT,
        retry_handlers=[
            ConnectionErrorRetryHandler(max_retry_count=MAX_RETRIES),
            RateLimitErrorRetryHandler(max_retry_count=MAX_RETRIES),
            ServerErrorRetryHandler(max_retry_count=MAX_RETRIES),
        ],
    )
    block = {"type": "section", "text": {"type": "mrkdwn", "text": _escaped(text)}}
    header = {"type": "header", "text": {"type": "plain_text", "text": title[:150]}}
    try:
        response = client.send(text=_escaped(title), blocks=[header, block])
    except (SlackClientError, HTTPException, OSError, ValueError) as error:
        raise RoutingError(
            f"Slack cannot be reached ({type(error).__name__}); check SLACK_WEBHOOK_URL"
        ) from None  # the traceback would show the webhook's address, which is a secret
    if response.status_code != 200:
        # Some servers repeat the path they were asked for, which is the secret part.
        said = response.body.replace(urlsplit(url).path, "(the address)")[:80]
        raise RoutingError(
            f"Slack refused the notice: HTTP {response.status_code}, {said!r}; "
            "check SLACK_WEBHOOK_URL"
        )


def _escaped(text: str) -> str:
    """Text as Slack's markup takes it, cut to what fits without cutting an escape in two."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if len(escaped) <= MAX_TEXT:
        return escaped
    return re.sub(r"&\w{0,3}$", "", escaped[: MAX_TEXT - 1]) + "…"


def _read(path: Path) -> dict[str, Any]:
    """The notice in a file of the outbox, {} where there is none that can be read."""
    try:
        notice = json.loads(path.read_text(encoding="utf-8"))
        return notice if {"state", "subject", "at", "title", "text"} <= notice.keys() else {}
    except (FileNotFoundError, ValueError, AttributeError):
        return {}


def _write(path: Path, notice: dict[str, Any], state: str) -> None:
    text = json.dumps(notice | {"state": state}, ensure_ascii=False, indent=1)
    files.atomic_write(path, text + "\n")


def _file_name(subject: str) -> str:
    digest = hashlib.sha256(subject.encode()).hexdigest()[:12]
    return f"{re.sub(r'[^a-zA-Z0-9_+-]', '_', subject)[:MAX_NAME]}-{digest}.json"
