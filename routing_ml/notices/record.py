"""A notice as the outbox keeps it: what is said, and how far it came with each who is told."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from routing_ml.notices.card import Card, as_dict, from_dict

WAITING, SENT, GIVEN_UP = "waiting", "sent", "given up"
SLACK, TEAMS = "slack", "teams"


@dataclass(frozen=True)
class Delivery:
    """How far a notice came with one destination; `refusals` counts how often it would not take
    it, `place` is where the subject's message is there ('' where nobody can say)."""

    state: str = WAITING
    refusals: int = 0
    place: str = ""


@dataclass(frozen=True)
class Notice:
    """What is to be said since `at` (ISO 8601, with its offset), and its delivery to each
    destination, by name."""

    card: Card
    at: str
    deliveries: Mapping[str, Delivery]

    @property
    def subject(self) -> str:
        """What it is about."""
        return self.card.subject

    @property
    def title(self) -> str:
        """Its outcome; another one is other news."""
        return self.card.title

    @property
    def time(self) -> datetime:
        """When it was written, aware."""
        return time_of(self.at)

    @property
    def state(self) -> str:
        """Waiting as long as anybody waits for it; given up where nobody was told."""
        states = {one.state for one in self.deliveries.values()}
        return next((state for state in (WAITING, SENT) if state in states), GIVEN_UP)

    @property
    def digest(self) -> str:
        """What tells a notice from other news of its subject; the same as of earlier releases,
        whose receipts may lie there."""
        known = json.dumps([self.subject, self.at, self.title, self.card.text])
        return hashlib.sha256(known.encode("utf-8", "surrogatepass")).hexdigest()

    def waits_for(self, destination: str) -> bool:
        """Whether it is still to be sent there."""
        found = self.deliveries.get(destination)
        return found is not None and found.state == WAITING

    def having(self, destination: str, delivery: Delivery) -> "Notice":
        """The same with that delivery."""
        return replace(self, deliveries={**self.deliveries, destination: delivery})

    def after(self, earlier: "Notice") -> "Notice":
        """The same, with the places of the messages that an earlier one of its subject has."""
        places = {name: one.place for name, one in earlier.deliveries.items()}
        deliveries = {
            name: replace(one, place=places.get(name, "")) for name, one in self.deliveries.items()
        }
        return replace(self, deliveries=deliveries)


def written(card: Card, at: str, destinations: Iterable[str]) -> Notice:
    """A notice that nobody was told yet."""
    return Notice(card, at, {name: Delivery() for name in destinations})


def as_json(notice: Notice) -> str:
    """A notice as a text. `state` is for an earlier release, should one come back."""
    deliveries = {name: asdict(one) for name, one in notice.deliveries.items()}
    state = WAITING if notice.state == WAITING else SENT
    kept = as_dict(notice.card) | {"at": notice.at, "state": state, "deliveries": deliveries}
    return json.dumps(kept, indent=1) + "\n"


def parsed(data: bytes) -> Notice:
    """The notice in a file's bytes; ValueError, TypeError or AttributeError where it is none."""
    given = json.loads(data)
    card, at = from_dict(given), given.get("at", "")
    time_of(at)
    if "deliveries" not in given:
        return Notice(card, at, {SLACK: _of_earlier_release(given)})
    deliveries = {name: Delivery(**one) for name, one in given["deliveries"].items()}
    for one in deliveries.values():
        if one.state not in (WAITING, SENT, GIVEN_UP) or not isinstance(one.place, str):
            raise ValueError("it says of no destination how far it came")
        if not isinstance(one.refusals, int):
            raise ValueError("it counts no refusals")
    return Notice(card, at, deliveries)


def time_of(at: str) -> datetime:
    """A moment in ISO 8601, in UTC where it names no zone."""
    moment = datetime.fromisoformat(at)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _of_earlier_release(given: Mapping[str, Any]) -> Delivery:
    refusals = given.get("refusals", 0)
    if not isinstance(refusals, int):
        raise ValueError("it counts no refusals")
    # Up to 2.1.0 a third state said that somebody was sending it; who is killed then never says so.
    return Delivery(SENT if given.get("state") == SENT else WAITING, refusals)
