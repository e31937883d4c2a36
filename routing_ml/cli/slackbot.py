"""`slack-bot`: answers in Slack until it is ended."""

import argparse
import logging
import sys

from routing_ml.cli.shared import Result
from routing_ml.settings import Settings


def slack_bot(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml.slackbot import Config, is_connected, run

    if options.healthy:
        healthy = is_connected(settings)
        words = "connected to Slack" if healthy else "no bot of this state folder is connected"
        return {"passed": healthy}, words
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    # Of its own it tells of each message, with the names of those who ask.
    logging.getLogger("slack_sdk").setLevel(logging.WARNING)
    run(settings, Config.of(settings))
    return {"ended": True}, "ended"
