"""Hands one notice to a Slack webhook, within a deadline, and says what became of it."""

import json
import re
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from routing_ml.errors import RoutingError
from routing_ml.notices.mrkdwn import escaped, linked, plain
from routing_ml.notices.post import Answer, Receipt, post

REQUEST_S = 10.0
"""How long one request may take, from the name server to the last byte of the answer."""
ATTEMPTS = 3
BACKOFF_S = 0.5
"""The wait before the second attempt; it doubles."""
LEAST_S = 0.2
"""With less time than that no request is begun."""
MAX_TEXT = 3_000  # what a Slack section block takes
MAX_TITLE = 150  # and a header block
OF_THE_NOTICE = (400, 413)
"""What Slack answers to a notice that it would refuse again: it names no block, or is too long."""
WORD = re.compile(r"[a-z]+(?:_[a-z]+)*")
"""Slack's reasons look like `no_service`; whatever else a server says may hold the address."""

sleep = time.sleep  # a name of its own, for the tests


class NotDeliveredError(RoutingError):
    """Nobody took the notice; another one would fare no better now."""


class RefusedError(RoutingError):
    """Slack does not take this notice; it may take others."""


def send(
    url: str,
    title: str,
    text: str,
    link: str | None,
    *,
    until: float,
    receipt: Receipt | None = None,
) -> None:
    """Deliver a notice before `until`, of `time.monotonic`; returns when Slack has accepted it,
    which the `receipt` says even where this process is killed before that.

    Raises NotDeliveredError or RefusedError, neither with the address.
    """
    body = json.dumps(message(title, text, link))
    for attempt in range(ATTEMPTS):
        left = until - time.monotonic()
        if left < LEAST_S:
            raise NotDeliveredError("there was no time left to tell Slack; it is tried again later")
        answer = post(url, body, min(REQUEST_S, left), receipt)
        if answer.is_ok:
            return
        wait = _wait(answer, attempt)
        if wait is None or attempt == ATTEMPTS - 1:
            raise _failure(answer)
        if wait > until - time.monotonic() - LEAST_S:
            # Who waits that long holds up all other senders, and a run.
            raise NotDeliveredError(
                f"{_failure(answer)}; it asks to wait {wait:g} s, longer than a run does: it is "
                "tried again later"
            )
        sleep(wait)


def message(title: str, text: str, link: str | None) -> dict[str, Any]:
    """The webhook's JSON; of all that is in it only `link` can be anything but plain text."""
    last = f"\n{linked(link)}" if link else ""
    shown = escaped(text, MAX_TEXT - len(last)) + last
    # Not verbatim, Slack would make links and mentions of what only looks like one.
    section = {"type": "mrkdwn", "text": shown, "verbatim": True}
    named = plain(title).replace("<", "‹").replace(">", "›")[:MAX_TITLE]
    header = {"type": "plain_text", "text": named, "emoji": False}
    return {
        "text": escaped(title, MAX_TITLE),
        "blocks": [{"type": "header", "text": header}, {"type": "section", "text": section}],
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _wait(answer: Answer, attempt: int) -> float | None:
    """Seconds until another attempt may succeed; None where none would."""
    if answer.status == 429:
        return _seconds(answer.retry_after)
    # Who was silent for a whole request may have heard it: that is not said twice at once.
    away = answer.failure and "in time" not in answer.failure
    return BACKOFF_S * 2**attempt if away or answer.status >= 500 else None


def _seconds(retry_after: str) -> float:
    """The header in seconds, of either form that HTTP has; a minute where it is neither."""
    if re.fullmatch(r"\d{1,9}", retry_after.strip()):
        return float(retry_after)
    try:
        at = parsedate_to_datetime(retry_after)
    except (ValueError, TypeError):
        return 60.0
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())


def _failure(answer: Answer) -> RoutingError:
    if answer.failure:
        return NotDeliveredError(
            f"Slack cannot be reached ({answer.failure}); check SLACK_WEBHOOK_URL"
        )
    said = answer.body.strip()[:80]
    reason = said if WORD.fullmatch(said) else "and says nothing that Slack would"
    kind = RefusedError if answer.status in OF_THE_NOTICE else NotDeliveredError
    return kind(
        f"Slack refused the notice: HTTP {answer.status}, {reason}; check SLACK_WEBHOOK_URL"
    )
