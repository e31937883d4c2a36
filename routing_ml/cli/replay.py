"""`replay`: what would have happened."""

import argparse
import re
from datetime import date

from routing_ml.cli.shared import Result, chosen_source, say
from routing_ml.settings import Settings

MOST_MONTHS = 240


def replay(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml.pipeline import Play, as_text, play

    settings, source = chosen_source(settings, options.source)
    plan = Play(
        first=options.first,
        months=options.months,
        policy=options.retrain,
        source=source,
        columns=options.columns,
        limit=options.limit,
        candidates=options.candidates,
    )
    out = options.out or settings.home / "replays" / plan.name
    found = play(settings, plan, out=out, say=say)
    return found, as_text(found)


def month(text: str) -> date:
    """The 1st of a month that is written as 2024-11."""
    found = re.fullmatch(r"(\d{4})-(\d{2})", text)
    if not found or not 1 <= int(found[2]) <= 12 or int(found[1]) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no month, such as 2024-11")
    return date(int(found[1]), int(found[2]), 1)


def months(text: str) -> int:
    """How many months."""
    if not text.isdecimal() or not 1 <= int(text) <= MOST_MONTHS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of months from 1 to {MOST_MONTHS}")
    return int(text)
