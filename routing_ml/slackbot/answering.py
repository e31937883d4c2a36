"""Brings an answer to who asked, by another way where one is gone: messages are deleted, addresses
to answer at hold half an hour, and the bot is not in every channel.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from routing_ml.slackbot.blocks import Said, message, without_buttons
from routing_ml.slackbot.requests import Press

if TYPE_CHECKING:
    from slack_sdk import WebClient

ANSWER_S = 10

log = logging.getLogger(__name__)


class Answers:
    """Speaks through Slack's Web API, and at the addresses that requests bring."""

    def __init__(self, web: "WebClient") -> None:
        self.web = web

    def reply(
        self, said: Said, *, user: str, channel: str, response_url: str, replace: bool = False
    ) -> bool:
        """Tell one person, `replace`-ing the message that was theirs alone; whether that was
        possible by any way."""
        shown = message(said)

        def at_address() -> None:
            self._post(
                response_url, shown | {"response_type": "ephemeral", "replace_original": replace}
            )

        ways: list[Callable[[], object]] = [at_address] if response_url else []
        ways.append(lambda: self.web.chat_postEphemeral(channel=channel, user=user, **shown))
        ways.append(lambda: self.web.chat_postMessage(channel=user, **shown))
        return self._by(ways, said)

    def settle(self, press: Press, said: Said) -> bool:
        """Put an answer for all in the place of the buttons; where the message was deleted, say it
        in its channel."""
        line, shown = message(said)["text"], message(said)
        blocks = without_buttons(press.blocks, said)
        return self._by(
            [
                lambda: self.web.chat_update(
                    channel=press.channel, ts=press.message, text=line, blocks=blocks
                ),
                lambda: self.web.chat_postMessage(channel=press.channel, **shown),
                lambda: self.web.chat_postMessage(channel=press.person.id, **shown),
            ],
            said,
        )

    def _by(self, ways: list[Callable[[], object]], said: Said) -> bool:
        """Go the first way that is open."""
        from slack_sdk.errors import SlackClientError

        for way in ways:
            try:
                way()
            except SlackClientError as error:  # its text may hold what was said
                answer = getattr(error, "response", None)
                log.info("Slack took no answer: %s", answer["error"] if answer else error)
            except (OSError, ValueError) as error:
                log.info("Slack took no answer: %s", type(error).__name__)
            else:
                return True
        log.warning("nobody could be told: %s", said.title)
        return False

    def _post(self, url: str, body: dict) -> None:
        from slack_sdk.errors import SlackClientError
        from slack_sdk.webhook import WebhookClient

        answer = WebhookClient(url, timeout=ANSWER_S).send_dict(body)
        if answer.status_code != 200 or answer.body.strip() not in ("ok", '{"ok":true}'):
            raise SlackClientError(f"the address to answer at said {answer.status_code}")
