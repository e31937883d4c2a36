"""Tells people, once for each subject: Slack by its webhook.

Two may want to speak of the same run (its own report task, and the listener that covers runs which
no task can report), so that what was said is kept in `outbox/`, one file a subject.
"""

import json
import logging
import re
from datetime import UTC, datetime
from pathlib import Path

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

log = logging.getLogger(__name__)


def tell(settings: Settings, subject: str, title: str, text: str) -> bool:
    """Send a notice on `subject` (a run's id) unless one was sent already; whether it was sent now.

    `title` and `text` are plain text. Without SLACK_WEBHOOK_URL nobody is told, which the log
    says. Raises RoutingError when Slack does not take it; a later call tries again.
    """
    if not settings.slack_webhook_url:
        log.info("SLACK_WEBHOOK_URL is not set: nobody is told of %s", subject)
        return False
    outbox = settings.home / "outbox"
    sent = outbox / f"{_file_name(subject)}.json"
    with files.told_as(RoutingError, f"{outbox} cannot be written"):
        outbox.mkdir(parents=True, exist_ok=True)
        with FileLock(outbox / ".lock"):
            if sent.exists():
                return False
            _send(settings.slack_webhook_url, title, text)
            said = {"at": datetime.now(UTC).isoformat(), "subject": subject, "title": title}
            files.atomic_write(sent, json.dumps(said, ensure_ascii=False) + "\n")
    return True


def was_told(settings: Settings, subject: str) -> bool:
    """Whether a notice on `subject` was sent."""
    return Path(settings.home / "outbox" / f"{_file_name(subject)}.json").exists()


def _send(url: str, title: str, text: str) -> None:
    client = WebhookClient(
        url,
        timeout=TIMEOUT_S,
        retry_handlers=[
            ConnectionErrorRetryHandler(max_retry_count=MAX_RETRIES),
            RateLimitErrorRetryHandler(max_retry_count=MAX_RETRIES),
            ServerErrorRetryHandler(max_retry_count=MAX_RETRIES),
        ],
    )
    block = {"type": "section", "text": {"type": "mrkdwn", "text": _escaped(text)[:MAX_TEXT]}}
    header = {"type": "header", "text": {"type": "plain_text", "text": title[:150]}}
    try:
        response = client.send(text=_escaped(title), blocks=[header, block])
    except (SlackClientError, OSError, ValueError) as error:
        raise RoutingError(
            f"Slack cannot be reached ({type(error).__name__}); check SLACK_WEBHOOK_URL"
        ) from None  # the traceback would show the webhook's address, which is a secret
    if response.status_code != 200:
        raise RoutingError(
            f"Slack refused the notice: HTTP {response.status_code}, {response.body[:80]!r}; "
            "check SLACK_WEBHOOK_URL"
        )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _file_name(subject: str) -> str:
    return re.sub(r"[^\w.+-]", "_", subject)
