"""Tells people, once for each subject: Slack and Teams, whichever the settings name.

Two may want to speak of the same run (its own report task, and the listener that covers runs which
no task can report), and Slack may be away when they do. So every notice goes through the outbox.
"""

import hashlib
import logging
import os
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from routing_ml import files, modes
from routing_ml.errors import RoutingError, SettingError
from routing_ml.notices.card import Card, Link
from routing_ml.notices.destinations import UNSET, Destination, destinations
from routing_ml.notices.outbox import Outbox
from routing_ml.notices.record import Notice, written
from routing_ml.notices.sending import NotDeliveredError, RefusedError, send
from routing_ml.redaction import redact
from routing_ml.settings import Settings

SENDING_S = 30.0
"""How long a call takes at most, waits for others and for those who are told included; each of
them has an equal part of it, so that none takes another's."""

log = logging.getLogger(__name__)


def tell(
    settings: Settings,
    subject: str,
    title: str,
    text: str,
    *,
    level: str = "",
    link: str | None = None,
    fallback: bool = False,
) -> bool:
    """`tell_card`, of a title, a text, a level and a `link` to the run in Airflow."""
    links = [Link("Open in Airflow", link)] if link else []
    return tell_card(settings, Card(subject, title, text, level, links=links), fallback=fallback)


def tell_card(settings: Settings, card: Card, *, fallback: bool = False) -> bool:
    """Send a card on its subject (a run), unless it was sent already; whether it was sent now.

    Another title is other news: a run that was cleared and came out differently is told of again,
    in the place of what was said, where that can be edited. With `fallback`, whatever the subject
    has in the outbox comes first: what waits is sent, and what was sent is enough.

    Without a destination nobody is told, which the log says. A state folder that cannot be
    written, of which people should hear most of all, has a spare outbox among the temporary files.
    Raises RoutingError when one of the destinations does not take it in its part of half a minute;
    there it then waits for the next call on any subject, whatever became of it elsewhere.
    """
    there = destinations(settings)
    if not there:
        log.info("%s: nobody is told of %s", UNSET, card.subject)
        return False
    at = datetime.now(UTC).isoformat(timespec="seconds")
    notice = written(card.changed(redact), at, [to.name for to in there])
    with files.told_as(RoutingError, f"{settings.home / 'outbox'} cannot be written"):
        outbox = _noted(settings, notice, fallback=fallback)
        if outbox is None:
            return False
        told, failed = False, list[RoutingError]()
        for to in there:
            try:
                told |= _tell_one(outbox, to, card.subject, SENDING_S / len(there))
            except RoutingError as error:
                failed.append(error)
    _raise(failed)
    return told


def catch_up(settings: Settings) -> None:
    """Send what could not be sent when it was written; what waits on is told in the log."""
    there, failed = destinations(settings), list[RoutingError]()
    for outbox in (Outbox(settings.home / "outbox"), _spare(settings)) if there else ():
        with files.told_as(RoutingError, f"{outbox.folder} cannot be used"):
            for to in there:
                if outbox.folder.is_dir() and outbox.waiting(to.name):
                    try:
                        _send_waiting(outbox, to, SENDING_S / len(there))
                    except RoutingError as error:
                        failed.append(error)
    _raise(failed)


def _raise(failed: list[RoutingError]) -> None:
    """Raise what several have raised, as one error; nothing where none has."""
    if failed:
        raise type(failed[0])("; ".join(dict.fromkeys(map(str, failed))))


def _send_waiting(outbox: Outbox, to: Destination, seconds: float) -> None:
    until = time.monotonic() + seconds
    with outbox.sending(to.name, until) as lock:
        _Sender(outbox, to, until, lock).deliver_waiting(but="")


def _tell_one(outbox: Outbox, to: Destination, subject: str, seconds: float) -> bool:
    """Send to one destination what waits on a subject for it, then what else does; whether there
    was anything on the subject."""
    until = time.monotonic() + seconds
    with outbox.sending(to.name, until) as lock:
        sender = _Sender(outbox, to, until, lock)
        mine = outbox.current(subject, to.name)
        if mine is None:  # who sent before took it along
            return False
        try:
            sender.deliver(mine)
        except RefusedError:
            sender.deliver_waiting(but=subject)
            raise
        sender.deliver_waiting(but=subject)
    return True


def _noted(settings: Settings, notice: Notice, *, fallback: bool) -> Outbox | None:
    """Put a notice where it can be kept; the outbox to send it from, None where its subject was
    told already."""
    spare = _spare(settings)
    known = spare.known(notice.subject)
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


@dataclass(frozen=True)
class _Sender:
    """The one who sends to a destination, while it holds that `lock`."""

    outbox: Outbox
    to: Destination
    until: float
    lock: int

    def deliver(self, notice: Notice, note: str = "") -> None:
        """Send one notice, and only then note that it was."""
        name = self.to.name
        receipt = self.outbox.receipt(notice, name, self.lock)
        card = replace(notice.card, text=notice.card.text + note)
        place = notice.deliveries[name].place
        try:
            place = send(self.to, card, place=place, until=self.until, receipt=receipt)
        except RefusedError:
            self.outbox.refused(notice, name, self.to.called)
            raise
        self.outbox.accepted(notice, name, place)

    def deliver_waiting(self, *, but: str) -> None:
        """Send what earlier calls could not, now that the destination answers."""
        for notice in self.outbox.waiting(self.to.name):
            if notice.subject == but:
                continue
            try:
                self.deliver(notice, f"\n(written {notice.at}, sent late)")
            except RefusedError as error:
                log.warning("the notice on %s waits on: %s", notice.subject, error)
            except NotDeliveredError as error:
                said = "the notice on %s and what is newer wait on: %s"
                log.warning(said, notice.subject, error)
                return
