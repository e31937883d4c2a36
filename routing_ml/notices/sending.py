"""Hands one card to one destination, within a deadline, and says what became of it."""

import re
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from routing_ml.errors import RoutingError
from routing_ml.notices.answers import API, WEBHOOK, WORKFLOW, fields
from routing_ml.notices.card import Card
from routing_ml.notices.destinations import Destination
from routing_ml.notices.post import Answer, Receipt, post

REQUEST_S = 10.0
"""How long one request may take, from the name server to the last byte of the answer."""
ATTEMPTS = 3
BACKOFF_S = 0.5
"""The wait before the second attempt; it doubles."""
LEAST_S = 0.2
"""With less time than that no request is begun."""
OF_THE_NOTICE = {WEBHOOK: (400, 413), API: (413,), WORKFLOW: (413,)}
"""What is answered to a notice that would be refused again: it names no block, or is too long. A
workflow that is switched off says 400 too, to any."""
OF_THE_MESSAGE = frozenset(
    ("invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "no_text")
)
"""The same by Slack's Web API."""
GONE = frozenset(
    ("message_not_found", "cant_update_message", "edit_window_closed", "channel_not_found")
) | frozenset(("is_inactive", "is_archived", "not_in_channel"))
"""Why a message cannot be edited any more: another one is sent, where the settings say."""
LATER = frozenset(("ratelimited", "rate_limited", "service_unavailable"))
WORD = re.compile(r"[a-z]+(?:_[a-z]+)*")
"""Slack's reasons look like `no_service`; whatever else a server says may hold the address."""

sleep = time.sleep  # a name of its own, for the tests


class NotDeliveredError(RoutingError):
    """Nobody took the notice; another one would fare no better now."""


class RefusedError(RoutingError):
    """This notice is not taken; others may be."""


def send(
    to: Destination,
    card: Card,
    *,
    place: str = "",
    until: float,
    receipt: Receipt | None = None,
) -> str:
    """Deliver a card before `until`, of `time.monotonic`; returns where its message is ('' where
    nobody can say) when it was accepted, which the `receipt` says even where this process is killed
    before that. At a `place` the message that is there is edited, or where it is gone a new one
    sent.

    Raises NotDeliveredError or RefusedError, neither with the address.
    """
    attempt = 0
    while True:
        left = until - time.monotonic()
        if left < LEAST_S:
            raise NotDeliveredError(
                f"there was no time left to tell {to.called}; it is tried again later"
            )
        url, body = to.request(card, place)
        seconds = min(REQUEST_S, left)
        answer = post(url, body, seconds, receipt, says=to.says, token=to.token)
        if answer.place is not None:
            return answer.place or place
        if place and _reason(to, answer) in GONE:
            place = ""
            continue
        wait = _wait(to, answer, attempt)
        if wait is None or attempt == ATTEMPTS - 1:
            raise _failure(to, answer)
        if wait > until - time.monotonic() - LEAST_S:
            # Who waits that long holds up all other senders, and a run.
            raise NotDeliveredError(
                f"{_failure(to, answer)}; it asks to wait {wait:g} s, longer than a run does: it "
                "is tried again later"
            )
        sleep(wait)
        attempt += 1


def _wait(to: Destination, answer: Answer, attempt: int) -> float | None:
    """Seconds until another attempt may succeed; None where none would."""
    if answer.status == 429:
        return _seconds(answer.retry_after)
    # Who was silent for a whole request may have heard it: that is not said twice at once.
    away = answer.failure and "in time" not in answer.failure
    later = to.says == API and _reason(to, answer) in LATER
    return BACKOFF_S * 2**attempt if away or later or answer.status >= 500 else None


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


def _reason(to: Destination, answer: Answer) -> str:
    """Why it was not taken, in a word of Slack's; '' where it says none."""
    said = fields(answer.body).get("error") if to.says == API else answer.body.strip()[:80]
    return said if isinstance(said, str) and WORD.fullmatch(said) else ""


def _failure(to: Destination, answer: Answer) -> RoutingError:
    if answer.failure:
        return NotDeliveredError(
            f"{to.called} cannot be reached ({answer.failure}); check {to.check}"
        )
    said = _reason(to, answer)
    reason = said or f"and says nothing that {to.called} would"
    its_own = answer.status in OF_THE_NOTICE[to.says]
    kind = RefusedError if its_own or said in OF_THE_MESSAGE else NotDeliveredError
    return kind(f"{to.called} refused the notice: HTTP {answer.status}, {reason}; check {to.check}")
