"""Writes how a run ended as plain text with tables (Markdown): for a terminal, a mail, a chat."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from routing_ml.dataset import in_words
from routing_ml.pipeline.run_names import named

OFFENDERS = "offenders.csv"
SHOWN_OFFENDERS = 3
FIGURES = {
    "exact_match": "routing exactly right",
    "operation_f1": "operations, F1",
    "run_time_mdape": "run time error, median",
    "setup_time_mdape": "setup time error, median",
    "resource_accuracy": "machine right",
    "items": "items judged by",
}


def as_markdown(
    title: str, outcome: Mapping[str, Any], folder: Path, live: Mapping[str, Any]
) -> str:
    """The report of a run, from its outcome, what its steps left in its folder and what planners'
    routings said of proposals since (`monitor.live_status`)."""
    lines = [f"# {title}", "", outcome["reason"], ""]
    lines += [
        f"- run: {named(outcome['run'], outcome.get('moment'))} ({outcome['cause']})",
        f"- in use: {outcome['model'] or 'no model yet'}",
    ]
    if data := outcome["data"]:
        rows = ", ".join(f"{count:,} {role}" for role, count in data["rows"].items())
        lines += [f"- data: {rows}, as of {data['as_of']}", f"- its hash: {data['sha256']}"]
    lines += [f"- {_cell(line)}" for line in changed_with_time(outcome["candidates"].values())]
    if outcome.get("source_away"):
        lines.append(f"- **{_cell(outcome['source_away'])}**")
    compared = _read(folder / "decision.json").get("comparison", {})
    if outcome["candidates"]:
        lines += ["", *_candidates(outcome["candidates"], compared.get("baselines", {}))]
    lines += _floor(compared.get("floor", {}))
    lines += _comparison(compared)
    lines += _judged(live)
    found = _read(folder / "check.json").get("findings", [])
    if found:
        lines += ["", "## What check found", ""]
        lines += [f"- {_level(one)}, {one['name']}: {one['found']}" for one in found]
    lines += _audited(_read(folder / "audit.json"))
    return "\n".join(lines) + "\n"


def _judged(live: Mapping[str, Any]) -> list[str]:
    """The live accuracy, and how the versions that may replace the one in use stand by it."""
    groups = [("the version that was in use", one) for one in live.get("model", ())]
    groups += [("the last 28 days", one) for one in live.get("all", ())]
    groups += [("seen by a planner before", one) for one in live.get("seen", ())]
    lines = []
    if groups:
        lines += ["", "## What planners wrote since", ""]
        heads = ["proposals of", "items", "exactly right", "between", "stated", "operations, F1"]
        lines += [_row(heads), "|---" * len(heads) + "|"]
        for words, one in groups:
            between = f"{one['low']:.3f} and {one['high']:.3f}"
            figures = map(_figure, (one["exact"], between, one["confidence"], one["operation_f1"]))
            lines.append(_row([words, f"{one['items']:,}", *figures]))
    if said := live.get("challengers"):
        lines += ["", *(f"- {_cell(words)}" for words in said.values())]
    if (concept := live.get("concept")) and concept["alarm"]:
        lines += ["", f"**{concept['cause']}**: {_cell(concept['words'])}"]
    return lines


def changed_with_time(candidates: Iterable[Mapping[str, Any]]) -> list[str]:
    """What was learned from the time of entry, in words."""
    found = next((one["recent"] for one in candidates if one.get("recent")), None)
    if found is None:
        return []
    lines = []
    if found["since"]:
        most = f", most in {', '.join(found['operations'])}" if found["operations"] else ""
        lines.append(
            f"routings entered since about {found['since']} differ from those before{most}: new "
            "items are proposed as planners make them now"
        )
    if found["times"]:
        lines.append("times have changed: they are proposed at their level of late")
    if days := found["machines_half_life_days"]:
        lines.append(f"machines: an item counts half of one {days:,.0f} days later")
    return lines or ["nothing is shown to have changed with time: all past items count alike"]


def _level(finding: Mapping[str, Any]) -> str:
    return "accepted" if finding["accepted"] else str(finding["level"])


def _audited(audit: Mapping[str, Any]) -> list[str]:
    """The gates that found something, and the worst behind them."""
    found = [check for check in audit.get("checks", []) if check["level"] != "ok"]
    if not found:
        return []
    lines = ["", "## What the audit found", ""]
    lines += [f"- {check['name']}: {check['found']}" for check in found]
    offenders = audit.get("offenders", [])
    if offenders:
        lines += ["", f"The worst of each; all are in `{OFFENDERS}` beside this report.", ""]
        lines += [_row(["found", "column", "how many", "the worst"]), "|---" * 4 + "|"]
    for of in offenders:
        named = "; ".join(map(in_words, of["worst"][:SHOWN_OFFENDERS]))
        why = of["worst"][0]["why"] if of["worst"] else ""
        cells = [of["gate"], f"{of['table']}.{of['column']}", f"{of['count']:,}"]
        lines.append(_row([*cells, _cell(f"{named} (the first: {why})")]))
    return lines


def _cell(text: str) -> str:
    """A text that may stand in a table's cell."""
    return " ".join(text.split()).replace("|", "\\|")


def _candidates(
    candidates: Mapping[str, Mapping[str, Any]], baselines: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """The figures of the candidates and of the simple rules beside them."""
    columns = [*candidates.values(), *baselines.values()]
    heads = ["on items that it was not fitted on", *candidates]
    lines = [_row([*heads, *(one["words"] for one in baselines.values())])]
    lines.append("|---" * (len(columns) + 1) + "|")
    for key, label in FIGURES.items():
        lines.append(_row([label, *(_figure_between(one, key) for one in columns)]))
    models = [*(one["model"] for one in candidates.values()), *("" for _ in baselines)]
    lines.append(_row(["version", *models]))
    if any(one.get("intervals") for one in columns):
        lines += ["", "Between: where the figure lies in truth, with 95 % certainty."]
    return lines


def _figure_between(one: Mapping[str, Any], key: str) -> str:
    """A figure and its interval, where it is known."""
    bounds = (one.get("intervals") or {}).get(key)
    between = f", between {_figure(bounds[0])} and {_figure(bounds[1])}" if bounds else ""
    return _figure(one["metrics"].get(key)) + between


def _floor(tests: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Each candidate against the simple rules, by the figure that decides."""
    if not any(tests.values()):
        return []
    lines = ["", "## Better than doing without a model?", ""]
    heads = ["candidate", "against", "by", "its", "theirs", "difference", "between", "p", "shown"]
    lines += [_row(heads), "|---" * len(heads) + "|"]
    for name, against in tests.items():
        for test in against:
            exact = test["exact"]
            figures = [exact["exact"], exact["exact_against"], exact["difference"], exact["low"]]
            figures += [exact["high"], exact["p_value"]]
            if test["by"] == "operation F1":
                figures = [test["f1"], test["f1_against"], test["f1_difference"], test["f1_low"]]
                figures += [test["f1_high"], test["f1_p_value"]]
            mine, theirs, difference, low, high, p = map(_figure, figures)
            shown = "yes" if test["passes"] else "no"
            between = f"{low} and {high}"
            cells = [name, test["words"], test["by"], mine, theirs, difference, between, p, shown]
            lines.append(_row(cells))
    return lines


def _comparison(decision: Mapping[str, Any]) -> list[str]:
    """The paired tests behind a decision, and the items on which the models differ most."""
    lines: list[str] = []
    for case in decision.get("comparisons", ()):
        lines += ["", f"## {case['challenger']} against the model in use", ""]
        lines += [
            _row(["against", "items", "exact", "theirs", "difference", "between", "p"]),
            "|---" * 7 + "|",
        ]
        for test in (case["test"], *case["references"]):
            between = f"{test['low']:+.3f} and {test['high']:+.3f}"
            figures = [test["exact"], test["exact_against"], test["difference"]]
            cells = [test["against"], test["items"], *figures, between, test["p_value"]]
            lines.append(_row(map(_figure, cells)))
        differing = case["differing_items"]
        if differing:
            lines += ["", "They differ most on these items:", ""]
            lines += [
                f"- {one['item']}: {_wrong(one, 'challenger')}, {_wrong(one, 'champion')} "
                "by the model in use"
                for one in differing
            ]
    return [*lines, *(f"\nNote: {note}" for note in decision.get("notes", ()))]


def _wrong(item: Mapping[str, Any], who: str) -> str:
    if item[f"{who}_exact"]:
        return "exactly right"
    return f"{item[f'{who}_wrong_operations']} operations wrong"


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _row(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _figure(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
