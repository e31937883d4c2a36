"""Tells people, once for each subject: Slack by its webhook.

Two may want to speak of the same run (its own report task, and the listener that covers runs which
no task can report), and Slack may be away when they do. So every notice goes through the outbox.
"""

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from routing_ml import files, modes
from routing_ml.errors import RoutingError, SettingError
from routing_ml.notices import slack
from routing_ml.notices.outbox import Notice, Outbox
from routing_ml.redaction import redact
from routing_ml.settings import Settings

SENDING_S = 30.0
"""How long a call takes at most, waits for others and for Slack included."""

log = logging.getLogger(__name__)


def tell(
    settings: Settings,
    subject: str,
    title: str,
    text: str,
    *,
    link: str | None = None,
    fallback: bool = False,
) -> bool:
    """Send a notice on `subject` (a run), unless it was sent already; whether it was sent now.

    `title` and `text` are plain text, whatever is in them; `link` is an address of ours. Another
    title is other news: a run that was cleared and came out differently is told of again. With
    `fallback`, whatever the subject has in the outbox comes first: what waits is sent, and what was
    sent is enough.

    Without SLACK_WEBHOOK_URL nobody is told, which the log says. A state folder that cannot be
    written, of which people should hear most of all, has a spare outbox among the temporary files.
    Raises RoutingError when Slack does not take it within half a minute; the notice then waits for
    the next call on any subject.
    """
    if not settings.slack_webhook_url:
        log.info("SLACK_WEBHOOK_URL is not set: nobody is told of %s", subject)
        return False
    until = time.monotonic() + SENDING_S
    at = datetime.now(UTC).isoformat(timespec="seconds")
    notice = Notice(subject, at, redact(title), redact(text), link=link)
    with files.told_as(RoutingError, f"{settings.home / 'outbox'} cannot be written"):
        outbox = _noted(settings, notice, fallback=fallback)
        if outbox is None:
            return False
        with outbox.sending(until) as lock:
            send = partial(_deliver, settings.slack_webhook_url, outbox, until, lock)
            mine = outbox.current(subject)
            if mine is None:  # who sent before took it along
                return False
            try:
                send(mine)
            except slack.RefusedError:
                _deliver_waiting(outbox, send, but=subject)
                raise
            _deliver_waiting(outbox, send, but=subject)
    return True


def catch_up(settings: Settings) -> None:
    """Send what could not be sent when it was written; what waits on is told in the log."""
    if not settings.slack_webhook_url:
        return
    until = time.monotonic() + SENDING_S
    for outbox in (Outbox(settings.home / "outbox"), _spare(settings)):
        with files.told_as(RoutingError, f"{outbox.folder} cannot be used"):
            if outbox.folder.is_dir() and outbox.waiting():
                with outbox.sending(until) as lock:
                    send = partial(_deliver, settings.slack_webhook_url, outbox, until, lock)
                    _deliver_waiting(outbox, send, but="")


def _noted(settings: Settings, notice: Notice, *, fallback: bool) -> Outbox | None:
    """Put a notice where it can be kept; the outbox to send it from, None where its subject was
    told already."""
    spare = _spare(settings)
    known = spare.current(notice.subject, sent=True)
    if known is None or (known.title != notice.title and not fallback):
        outbox = Outbox(settings.home / "outbox")
        try:
            settings.opened()
            return outbox if outbox.put(notice, fallback=fallback) else None
        except (OSError, SettingError) as error:
            log.warning("the notice on %s goes by %s: %s", notice.subject, spare.folder, error)
    modes.make_own_folder(spare.folder)
    return spare if spare.put(notice, fallback=fallback) else None


def _spare(settings: Settings) -> Outbox:
    """Where notices of a state folder are kept that cannot keep them itself."""
    home = hashlib.sha256(str(settings.home).encode()).hexdigest()[:12]
    return Outbox(Path(tempfile.gettempdir()) / f"routing-ml-outbox-{os.getuid()}-{home}")


def _deliver(
    url: str, outbox: Outbox, until: float, lock: int, notice: Notice, note: str = ""
) -> None:
    """Send one notice, and only then note that it was."""
    receipt = outbox.receipt(notice, lock)
    text = notice.text + note
    try:
        slack.send(url, notice.title, text, notice.link, until=until, receipt=receipt)
    except slack.RefusedError:
        outbox.refused(notice)
        raise
    outbox.accepted(notice)


def _deliver_waiting(outbox: Outbox, send: Callable[..., None], *, but: str) -> None:
    """Send what earlier calls could not, now that Slack answers."""
    for notice in outbox.waiting():
        if notice.subject == but:
            continue
        try:
            send(notice, f"\n(written {notice.at}, sent late)")
        except slack.RefusedError as error:
            log.warning("the notice on %s waits on: %s", notice.subject, error)
        except slack.NotDeliveredError as error:
            log.warning("the notice on %s and what is newer wait on: %s", notice.subject, error)
            return
