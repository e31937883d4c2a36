"""`retrain`: the whole pipeline."""

import argparse

from routing_ml.cli.shared import Result, chosen_source, progress, say
from routing_ml.settings import Settings


def retrain(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml.pipeline import processors, retrain

    settings, source = chosen_source(settings, options.source)
    outcome = retrain(
        settings,
        as_of=settings.past_moment(options.as_of),
        asked=options.as_of,
        source=source,
        columns=options.columns,
        limit=options.limit,
        candidates=options.candidates,
        promotion=options.promotion or settings.promotion,
        at_once=processors(),
        say=say,
        progress=progress(),
    )
    return outcome, ""
