"""Turns what became of runs, drift, looks and switches into cards for people: the outcome, its
figures, and what became of them since the last time.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from routing_ml import notices
from routing_ml.errors import ModelError
from routing_ml.notices import ATTENTION, BAD, GOOD, Asks, Card, Fact, Link, Plot
from routing_ml.pipeline import monitor, run_names
from routing_ml.registry import Registry
from routing_ml.settings import Settings

FIGURES = {
    "exact_match": "Routings exactly right",
    "operation_f1": "Operations, F1",
    "run_time_mdape": "Run time error, median",
}
"""Metrics that a card shows, all of them fractions."""
PLOTTED = 12
"""Runs or looks in a plot."""
APPROVAL = "Routing ML: a new model waits for your approval"

Outcomes = Sequence[Mapping[str, Any]]


def run_card(
    settings: Settings, outcome: Mapping[str, Any], title: str, text: str, link: str | None
) -> Card:
    """How a retraining ended, by its outcome (`report.outcome_of`): the figures of the model in use
    and of the data, against those of the last retraining before it."""
    if not outcome["succeeded"]:
        level = BAD
    elif outcome.get("nothing_new") or outcome["withheld"] or not outcome["model"]:
        level = ATTENTION
    else:
        level = GOOD
    earlier = _earlier(settings, outcome)
    before = earlier[-1] if earlier else None
    facts = [*_figures(outcome["metrics"], before), *_rows(outcome["data"], before)]
    plot = _plot(outcome, earlier) if outcome["succeeded"] else None
    subject = f"retrain/{outcome['run']}"
    return Card(subject, title, text, level, facts, plot, _link("Open the run", link))


def tell_waits(
    settings: Settings, run_id: str, decision: Mapping[str, Any], link: str | None = None
) -> bool:
    """Tell people that the winner of a run waits until one of them has approved it; what the run
    ends by takes the place of it, where that can be edited. Whether this call told them."""
    return notices.tell_card(settings, waiting_card(settings, run_id, decision, link))


def waiting_card(
    settings: Settings, run_id: str, decision: Mapping[str, Any], link: str | None
) -> Card:
    """What a person is to decide: the figures of the winner against those of the model in use."""
    registry = Registry(settings.home / "models")
    winner, champion = decision["winner"], decision.get("champion")
    lines = [
        str(decision["reason"]),
        f"Waits: {winner}",
        f"In use until then: {champion or 'no model yet'}",
        f"Run: {run_names.run_in_words(settings, run_id)}",
    ]
    facts = _against(registry, winner, champion)
    links = _link("Look and decide", link)
    asks = Asks(notices.ASKING_DAG, run_id, notices.ASKING_TASK, winner)
    text = "\n".join(lines)
    return Card(f"retrain/{run_id}", APPROVAL, text, ATTENTION, facts, None, links, asks)


def drift_card(
    subject: str, title: str, text: str, status: Mapping[str, Any], link: str | None
) -> Card:
    """Drift and its cause, with the figures of a status of `look`."""
    facts = []
    if "baseline_mean" in status and status["buffer_size"]:
        then = f"{status['baseline_mean']:.3f} when it was learned"
        facts.append(Fact("Mean similarity of new items", f"{status['buffer_mean']:.3f}", then))
    if "kl_divergence" in status:
        value = f"{status['kl_divergence']:.2f}, {status['severity']}"
        limit = f"over {status['threshold']:.2f} is drift" if "threshold" in status else ""
        facts.append(Fact("KL divergence", value, limit))
    if "drift_days" in status:
        facts.append(Fact("Drift days of the last 7", str(status["drift_days"])))
    return Card(subject, title, text, ATTENTION, facts, None, _link("Open the run", link))


def look_card(
    settings: Settings, subject: str, outcome: Mapping[str, Any], title: str, text: str,
    link: str | None,
) -> Card:  # fmt: skip
    """What a look at the data found, by its outcome (`looking.end_look`), and what changed."""
    links = _link("Open the run", link)
    if not outcome["succeeded"]:
        return Card(subject, title, text, BAD, links=links)
    level = ATTENTION if outcome["worse"] else GOOD
    change = ""
    if outcome["since"] is not None:
        change = f"{outcome['new']:,} new, {outcome['mended']:,} mended since "
        change += str(outcome["since"])[:10]
    facts = [Fact("Findings", f"{outcome['total']:,}", change)]
    totals = list(_totals(settings.home / "quality", outcome))[-PLOTTED:]
    plot = Plot(f"Findings, last {len(totals)} looks", totals) if len(totals) > 1 else None
    return Card(subject, title, text, level, facts, plot, links)


def switch_card(registry: Registry, switch: Mapping[str, Any]) -> Card:
    """A switch that a person made, an entry of `Registry.history`: the figures of the version in
    use now, against those of the one before."""
    name, before = switch["to"], switch["from"]
    again = " again" if switch["action"] == "rollback" else ""
    lines = [
        f"{name} is in use{again}, before: {before or 'no model'}",
        f"By: {switch['who']}",
        f"Why: {switch['why']}",
    ]
    done = "rolled back" if switch["action"] == "rollback" else "promoted"
    title = f"Routing ML: a model was {done} by hand"
    facts = _against(registry, name, before)
    return Card(f"switch/{switch['id']}", title, "\n".join(lines), ATTENTION, facts)


def tell_switches(settings: Settings, place: str | None) -> bool:
    """Tell people of the switches by hand after that `place` of the history, each once; whether
    this call told them of any."""
    registry = Registry(settings.home / "models")
    entries = registry.history()
    ids = [entry["id"] for entry in entries]
    after = entries[ids.index(place) + 1 :] if place in ids else entries[-1:]
    by_hand = [
        one
        for one in after
        if one["action"] in ("promote", "rollback") and not one["who"].startswith(monitor.RUN)
    ]
    told = [notices.tell_card(settings, switch_card(registry, one)) for one in by_hand]
    return any(told)


def points(now: float, before: float, since: str) -> str:
    """What became of a fraction, in points of a hundred.

    >>> points(0.935, 0.923, "since 2026-10-01"), points(0.9, 0.9, "since 2026-10-01")
    ('+1.2 points since 2026-10-01', 'the same since 2026-10-01')
    """
    change = f"{100 * (now - before):+.1f}"
    return f"the same {since}" if float(change) == 0 else f"{change} points {since}"


def _figures(metrics: Mapping[str, Any] | None, before: Mapping[str, Any] | None) -> Iterator[Fact]:
    """The metrics of a model, and what they have changed by since an earlier outcome."""
    for key, name in FIGURES.items():
        now = _number(metrics, key)
        if now is None:
            continue
        then = _number(before["metrics"], key) if before else None
        change = points(now, then, f"since {_day(before)}") if before and then is not None else ""
        yield Fact(name, f"{100 * now:.1f} %", change)


def _rows(data: Mapping[str, Any] | None, before: Mapping[str, Any] | None) -> Iterator[Fact]:
    """How many items the data have, and how many more than an earlier outcome's."""
    now = _number((data or {}).get("rows"), "items")
    if now is None:
        return
    then = _number(before["data"].get("rows"), "items") if before else None
    change = f"{now - then:+,} since {_day(before)}" if before and then is not None else ""
    yield Fact("Items in the data", f"{now:,}", change)


def _against(registry: Registry, name: str, other: str | None) -> list[Fact]:
    """The metrics of a version, and what they differ by from another's."""
    mine, theirs = _metrics(registry, name), _metrics(registry, other)
    facts = []
    for key, label in FIGURES.items():
        now, then = _number(mine, key), _number(theirs, key)
        if now is not None:
            change = points(now, then, f"against {other}") if then is not None else ""
            facts.append(Fact(label, f"{100 * now:.1f} %", change))
    return facts


def _metrics(registry: Registry, name: str | None) -> Mapping[str, Any] | None:
    """The metrics of a version; None of one that cannot be read."""
    if name is None:
        return None
    try:
        found: Mapping[str, Any] = registry.get(name).manifest["metrics"]
    except ModelError:
        return None
    return found


def _earlier(settings: Settings, outcome: Mapping[str, Any]) -> Outcomes:
    """The retrainings that learned from data of before this one's, oldest first; none where this
    one has no data. What is no such outcome is passed over."""
    as_of = (outcome["data"] or {}).get("as_of")
    found = []
    for path in settings.home.glob("runs/*/outcome.json") if as_of else ():
        with suppress(OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            one = json.loads(path.read_text(encoding="utf-8"))
            known = _number(one["metrics"], "exact_match") is not None and one["succeeded"]
            if known and one["run"] != outcome["run"] and one["data"]["as_of"] < as_of:
                found.append(one)
    return sorted(found, key=lambda one: str(one["data"]["as_of"]))


def _plot(outcome: Mapping[str, Any], earlier: Outcomes) -> Plot | None:
    shown = [*earlier, outcome][-PLOTTED:]
    values = [_number(one["metrics"], "exact_match") for one in shown]
    if len(values) < 2 or values[-1] is None:
        return None
    return Plot(f"{FIGURES['exact_match']}, last {len(values)} runs", values)


def _totals(folder: Path, outcome: Mapping[str, Any]) -> Iterator[float]:
    """How many findings each look at this source had, until this one's, in the order of time."""
    found = []
    for path in folder.glob("*.json"):
        with suppress(OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            told = json.loads(path.read_text(encoding="utf-8"))["told"]
            of, total = datetime.fromisoformat(told["as_of"]), _number(told, "total")
            same = told["source"] == outcome["source"]
            if total is not None and same and of <= datetime.fromisoformat(outcome["as_of"]):
                found.append((of, total))
    yield from (total for _, total in sorted(found))


def _number(of: Any, key: str) -> int | float | None:
    value = of.get(key) if isinstance(of, Mapping) else None
    return value if isinstance(value, (int, float)) else None


def _day(outcome: Mapping[str, Any]) -> str:
    return str(outcome["data"]["as_of"])[:10]


def _link(label: str, address: str | None) -> list[Link]:
    return [Link(label, address)] if address else []
