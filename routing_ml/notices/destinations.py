"""Who is to be told: Slack by its Web API or its webhook, Teams by a Workflows webhook, and what is
asked of each.
"""

import json
import logging
from dataclasses import dataclass

from routing_ml.notices import slack, teams
from routing_ml.notices.answers import API, WEBHOOK, WORKFLOW
from routing_ml.notices.card import Card
from routing_ml.notices.record import SLACK, TEAMS
from routing_ml.settings import Settings

SLACK_API = "https://slack.com/api"
UNSET = "SLACK_WEBHOOK_URL is not set, nor SLACK_BOT_TOKEN or TEAMS_WEBHOOK_URL"

log = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)
class Destination:
    """One that is told: its `name` in the outbox, what people call it, the settings to `check`
    where it is not reached, and the protocol that it speaks. There are secrets in the rest."""

    name: str
    called: str
    check: str
    says: str
    url: str
    token: str = ""
    channel: str = ""

    def __repr__(self) -> str:
        return f"Destination({self.name!r})"

    def request(self, card: Card, place: str) -> tuple[str, str]:
        """The address and the body, JSON, that a card is sent with; at a `place`, in the place of
        what the subject's message says there."""
        if self.says == WORKFLOW:
            return self.url, teams.encoded(teams.message(card))
        message = slack.message(card)
        if self.says == WEBHOOK:
            return self.url, json.dumps(message)
        if not place:
            message["channel"] = self.channel
            return f"{self.url}/chat.postMessage", json.dumps(message)
        message["channel"], _, message["ts"] = place.partition("/")
        # By default it makes links and mentions of a text, as chat.postMessage does not.
        message |= {"parse": "none", "link_names": False}
        return f"{self.url}/chat.update", json.dumps(message)


def destinations(settings: Settings) -> list[Destination]:
    """Those that the settings name; with a bot's token Slack's webhook is not used."""
    found = []
    token, channel = settings.slack_bot_token, settings.slack_channel
    if token and channel:
        check = "SLACK_BOT_TOKEN and SLACK_CHANNEL"
        found.append(Destination(SLACK, "Slack", check, API, SLACK_API, token, channel))
    elif url := settings.slack_webhook_url:
        found.append(Destination(SLACK, "Slack", "SLACK_WEBHOOK_URL", WEBHOOK, url))
    if token and not channel:
        instead = "by SLACK_WEBHOOK_URL" if settings.slack_webhook_url else "of nothing"
        log.warning("SLACK_CHANNEL is not set: Slack is told %s, without the bot", instead)
    if url := settings.teams_webhook_url:
        found.append(Destination(TEAMS, "Teams", "TEAMS_WEBHOOK_URL", WORKFLOW, url))
    return found
