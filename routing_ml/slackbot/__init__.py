"""Turns what people ask for in Slack into answers, and into acts of those who may: each once,
whatever is delivered or pressed twice, and written down before and after.
"""

from typing import TYPE_CHECKING

from routing_ml.lazily import handing_on

if TYPE_CHECKING:
    from routing_ml.slackbot.config import Config as Config
    from routing_ml.slackbot.loop import is_connected as is_connected
    from routing_ml.slackbot.loop import run as run
else:
    __getattr__ = handing_on(__name__, __file__)
