"""`history`: who put which version into use, when and why."""

import argparse
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from routing_ml.cli.shared import Result
from routing_ml.settings import Settings

WORDS = {
    "promote": "put into use",
    "rollback": "gone back to",
    "outside": "found in use, by other means",
}


def history(settings: Settings, options: argparse.Namespace) -> Result:
    from routing_ml.registry import Registry

    switches = Registry(settings.home / "models").history()[::-1]
    shown = switches[: options.limit]
    lines = [line for switch in shown for line in _lines(settings, switch)]
    if len(switches) > len(shown):
        lines.append(f"and {len(switches) - len(shown):,} earlier: --limit {len(switches)}")
    text = "\n".join(lines) or "no version was put into use yet: 'routing-ml retrain' does"
    return {"history": shown, "total": len(switches)}, text


def _lines(settings: Settings, switch: Mapping[str, Any]) -> list[str]:
    """When in the factory's time, which version, what was in use before, who; and why."""
    at = settings.moment(datetime.fromisoformat(switch["at"]))
    before = f", instead of {switch['from']}" if switch["from"] else ""
    what = f"{switch['to'] or 'none'} {WORDS.get(switch['action'], switch['action'])}"
    why = " ".join(str(switch["why"]).split())
    return [f"{at:%Y-%m-%d %H:%M}  {what}{before}, by {switch['who']}", f"  {why}"]
