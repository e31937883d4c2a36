"""Who may ask the bot for what: anyone of the workspace may read, those who are named may act."""

import logging
import threading
import time
from typing import TYPE_CHECKING

from routing_ml.slackbot.config import Config
from routing_ml.slackbot.requests import Person

if TYPE_CHECKING:
    from slack_sdk import WebClient

MEMBERS_S = 60.0
"""How long the members of a group are believed: who leaves it may act no longer than that."""

log = logging.getLogger(__name__)


class Access:
    """The rules, for the workspace (`teams`: its id, and its organization's) that the bot is of."""

    def __init__(self, web: "WebClient", config: Config, teams: frozenset[str]) -> None:
        self.web = web
        self.config = config
        self.teams = teams
        self._members: dict[str, tuple[float, frozenset[str]]] = {}
        self._lock = threading.Lock()

    def refuses_to_read(self, person: Person) -> str | None:
        """Why somebody may not even read, None where they may: a shared channel has people of
        other companies in it."""
        if person.team in self.teams:
            return None
        return "Only members of the workspace that Routing ML is installed in may ask."

    def refuses_to_act(self, person: Person) -> str | None:
        """Why somebody may not act, None where they may; what cannot be asked is refused."""
        if refusal := self.refuses_to_read(person):
            return refusal
        if person.id in self.config.users:
            return None
        if not self.config.users and not self.config.groups:
            return "Nobody may act from Slack: ROUTING_ML_SLACK_ADMINS is not set."
        unknown = False
        for group in sorted(self.config.groups):
            members = self._members_of(group)
            if members is None:
                unknown = True
            elif person.id in members:
                return None
        if unknown:
            return "Slack does not say now who may act; nothing was done. Try again in a minute."
        return f"You ({person.id}) may not act: ROUTING_ML_SLACK_ADMINS names who may."

    def _members_of(self, group: str) -> frozenset[str] | None:
        """Who is in a user group, None where Slack does not say."""
        from slack_sdk.errors import SlackApiError

        with self._lock:
            at, members = self._members.get(group, (0.0, frozenset()))
            if at and time.monotonic() - at < MEMBERS_S:
                return members
            try:
                answer = self.web.usergroups_users_list(usergroup=group)
                members = frozenset(map(str, answer["users"]))
            except SlackApiError as error:
                log.warning("who is in group %s is not known: %s", group, error.response["error"])
                return None
            except (OSError, KeyError, TypeError, ValueError) as error:
                log.warning("who is in group %s is not known: %s", group, type(error).__name__)
                return None
            self._members[group] = (time.monotonic(), members)
            return members
