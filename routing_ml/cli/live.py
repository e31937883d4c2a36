"""`live status`, `judge`: how right the proposals are, by what planners wrote later."""

import argparse
from collections.abc import Mapping
from typing import Any

from routing_ml.cli.shared import Result, chosen_columns, say
from routing_ml.settings import DEFAULT_SOURCE, Settings

HEADS = {
    "all": "of the last 28 days",
    "model": "of the version in use, since it has been",
    "kind": "of the last 28 days, by kind of item",
    "confidence": "of the last 28 days, by confidence",
    "week": "by week",
    "seen": "of the last 28 days, of proposals that a planner had seen before writing (counted "
    "nowhere else)",
}


def status(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml.pipeline import monitor

    return _shown(monitor.live_status(settings))


def judge(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml import pipeline
    from routing_ml.pipeline import monitor

    columns = chosen_columns(settings, DEFAULT_SOURCE, options)
    found = pipeline.judge(settings, columns=columns, as_of=settings.moment(None), say=say)
    if found["away"]:
        say(found["away"])
    say(f"{found['judged']} proposals for {found['items']} items were judged now")
    return _shown(monitor.live_status(settings) | {"judged": found["judged"]})


def _shown(live: dict[str, Any]) -> Result:
    """The figures as text: a line each."""
    lines = []
    if not any(live.get(key) for key in HEADS):
        lines.append(
            "no proposal has been judged yet: items that were proposed for need a routing of their "
            "planner's first, and the daily run, or 'routing-ml live judge', to see it"
        )
    for key, head in HEADS.items():
        if live.get(key):
            lines += [head, *(f"  {_line(one)}" for one in live[key])]
    if challengers := live.get("challengers"):
        lines += ["that may replace it", *(f"  {words}" for words in challengers.values())]
    if (concept := live.get("concept")) and concept["alarm"]:
        lines += [f"CHANGED: {concept['cause']}", f"  {concept['words']}"]
    return live, "\n".join(lines)


def _line(one: Mapping[str, Any]) -> str:
    value = one["value"] or "(no kind)"
    if not one["items"]:
        return f"{value}: none"
    return (
        f"{value}: {one['exact']:.1%} exactly right of {one['items']:,} items "
        f"(between {one['low']:.1%} and {one['high']:.1%})"
        + (f", stated {one['confidence']:.1%}" if one["confidence"] is not None else "")
        + (f", operations F1 {one['operation_f1']:.3f}" if one["operation_f1"] else "")
    )
