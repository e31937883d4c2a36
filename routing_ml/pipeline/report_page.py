"""Writes how a run ended as one HTML page for people, from what its steps left in its folder: the
decision first, then what it rests on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from routing_ml import pages
from routing_ml.dataset import in_words
from routing_ml.pages import Range
from routing_ml.pipeline.examples import IN_USE
from routing_ml.pipeline.report_text import OFFENDERS, SHOWN_OFFENDERS, changed_with_time

TEMPLATE = Path(__file__).with_name("report_page.html")
FIGURES = {
    "exact_match": ("Routing exactly right", True),
    "operation_f1": ("Operations right (F1)", True),
    "resource_accuracy": ("Machine right", True),
    "run_time_mdape": ("Run time off by", False),
    "setup_time_mdape": ("Setup time off by", False),
}
"""What each is called, and whether more is better. F1 counts an operation too many and one too few
alike; the errors of times are medians."""
LIVE = {
    "model": "by the version that was in use",
    "all": "in the last 28 days",
    "seen": "that a planner had seen before",
}


@dataclass(frozen=True)
class Figures:
    """What a model comes to on items that it was not fitted on: fractions, but for the items."""

    label: str
    kind: Any
    metrics: Mapping[str, Any]
    intervals: Mapping[str, Any]

    def between(self, key: str) -> Sequence[float] | None:
        """The interval in which a figure lies, None where it is not known."""
        return self.intervals.get(key)


@dataclass(frozen=True)
class Operation:
    """An operation of a routing, and whether the planner's has it not."""

    job: str
    name: str
    surplus: bool


def as_html(
    title: str,
    outcome: Mapping[str, Any],
    folder: Path,
    live: Mapping[str, Any],
    *,
    before: Path | None,
    zone: str,
) -> str:
    """The page; a browser needs nothing else to show it.

    `title` says what became of the run, `folder` is its own, `before` that of the run before it,
    None for the first one; `live` is what planners' routings said of proposals since
    (`monitor.live_status`), `zone` the factory's time zone.
    """
    decision, audit = _read(folder / "decision.json"), _read(folder / "audit.json")
    compared = decision.get("comparison", {})
    now = in_use(outcome, decision)
    last = _last(before)
    weeks = live.get("week", [])
    rows = list(_contestants(outcome, decision, now))
    return pages.template(TEMPLATE).render(
        title=title,
        outcome=outcome,
        zone=zone,
        reasons=str(outcome["reason"]).split("; "),
        tone="bad" if not outcome["succeeded"] else "good" if outcome["promoted"] else "",
        figures=FIGURES,
        now=now,
        last=last,
        rows=rows,
        plot=pages.ranges("Routings exactly right", list(_ranges(rows))),
        floor=list(_floor(compared)),
        changed=changed_with_time(outcome["candidates"].values()),
        candidates=list(_candidates(outcome, decision)),
        notes=compared.get("notes", ()),
        examples=_examples(compared.get("examples") or {}, promoted=outcome["promoted"]),
        lives=[(words, one) for key, words in LIVE.items() for one in live.get(key, ())],
        challengers=live.get("challengers") or {},
        concept=live.get("concept"),
        weeks=weeks[-pages.MOST_WEEKS :],
        weeks_plot=pages.by_week("Routings exactly right, by week", weeks),
        check=_read(folder / "check.json"),
        audited=[one for one in audit.get("checks", ()) if one["level"] != "ok"],
        offenders=[
            {**of, "worst": [(in_words(one), one["why"]) for one in of["worst"][:SHOWN_OFFENDERS]]}
            for of in audit.get("offenders", ())
        ],
        all_offenders=str(folder / OFFENDERS),
    )


def in_use(outcome: Mapping[str, Any], decision: Mapping[str, Any]) -> Figures | None:
    """The figures of the model that is in use after a run, on the items of that run where it was
    compared on them, else as they were when it was fitted; None where no model is in use."""
    if not outcome["model"] or not outcome["metrics"]:
        return None
    champion = decision.get("comparison", {}).get("champion")
    if not champion or decision["champion"] != outcome["model"]:
        champion = {"metrics": outcome["metrics"], "intervals": outcome.get("intervals")}
    label = f"in use: {outcome['model']}"
    return Figures(label, "use", champion["metrics"], champion["intervals"] or {})


def _last(before: Path | None) -> tuple[Figures, str] | None:
    """The figures of the model that was in use after the run before, and as of when that was."""
    if before is None:
        return None
    outcome = _read(before / "outcome.json")
    found = in_use(outcome, _read(before / "decision.json"))
    return None if found is None else (found, str(outcome["data"]["as_of"])[:10])


def _contestants(
    outcome: Mapping[str, Any], decision: Mapping[str, Any], now: Figures | None
) -> Iterator[Figures]:
    """All that was judged on the items of this run, the model in use first."""
    compared = decision.get("comparison", {})
    if now is not None:
        yield now
    if outcome["promoted"] and (before := compared.get("champion")):
        label = f"in use before: {decision['champion']}"
        yield Figures(label, "model", before["metrics"], before["intervals"])
    for name, one in outcome["candidates"].items():
        if not (outcome["promoted"] and one["model"] == outcome["model"]):
            yield Figures(name, "model", one["metrics"], one.get("intervals") or {})
    for rule in compared.get("baselines", {}).values():
        yield Figures(rule["words"], "rule", rule["metrics"], rule["intervals"])


def _ranges(rows: Sequence[Figures]) -> Iterator[Range]:
    for row in rows:
        share = row.metrics.get("exact_match")
        if share is not None:
            low, high = row.between("exact_match") or (None, None)
            yield Range(row.label, share, low, high, row.kind)


def _floor(compared: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """How far each candidate is ahead of each simple rule, by the figure that decides."""
    for name, tests in compared.get("floor", {}).items():
        for test in tests:
            exact, by_f1 = test["exact"], test["by"] == "operation F1"
            ahead = test["f1_difference"] if by_f1 else exact["difference"]
            low = test["f1_low"] if by_f1 else exact["low"]
            high = test["f1_high"] if by_f1 else exact["high"]
            shown = {"ahead": ahead, "low": low, "high": high, "passes": test["passes"]}
            yield shown | {"name": name, "rule": test["words"], "by": test["by"]}


def _candidates(
    outcome: Mapping[str, Any], decision: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """What was fitted and what became of each; what could not be fitted last."""
    why_not = decision.get("comparison", {}).get("why_not", {})
    won = "waits" if outcome["withheld"] else "not put in"
    won = "goes in" if outcome["promoted"] else won
    for name, one in outcome["candidates"].items():
        wins = one["model"] == decision.get("winner")
        verdict = won if wins else "stays out"
        yield {"seconds": None, "items_fitted": None, **one} | {
            "name": name, "verdict": verdict,
            "tone": "good" if wins and outcome["promoted"] else "calm",
            "why": why_not.get(name, "") if not wins else "",
        }  # fmt: skip
    for step, why in outcome["failed"].items():
        if step.startswith("train "):
            name = step.removeprefix("train ")
            yield {"name": name, "verdict": "could not be fitted", "tone": "", "why": why,
                   "model": None, "metrics": {}}  # fmt: skip


def _examples(found: Mapping[str, Any], *, promoted: bool) -> list[dict[str, Any]]:
    """The items on which two models differ, each routing with what the planner's has not, and what
    it lacks of that. What was in use when they were compared no longer is where one was promoted.
    """
    names = found.get("names", {})
    models = [
        f"{model} before" if promoted and model == IN_USE else model
        for model in found.get("models", ())
    ]
    return [
        {
            "item": one["item"],
            "planner": [Operation(job, names.get(job, ""), False) for job in one["planner"]],
            "proposed": [
                _beside(model, jobs, one["planner"], names)
                for model, jobs in zip(models, one["proposed"], strict=True)
            ],
        }
        for one in found.get("items", ())
    ]


def _beside(
    model: str, jobs: Sequence[str], planner: Sequence[str], names: Mapping[str, str]
) -> dict[str, Any]:
    left, shown = Counter(planner), []
    for job in jobs:
        shown.append(Operation(job, names.get(job, ""), not left[job]))
        left[job] -= left[job] > 0
    lacks = [Operation(job, names.get(job, ""), False) for job in left.elements()]
    wrong = len(lacks) + sum(operation.surplus for operation in shown)
    return {
        "model": model, "operations": shown, "lacks": lacks, "wrong": wrong,
        "right": list(jobs) == list(planner),
    }  # fmt: skip


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
