"""Asks a person before a new model goes into use: what they are shown, and what they answered."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from routing_ml.errors import ModelError, tried
from routing_ml.pipeline import steps, telling
from routing_ml.settings import Settings

log = logging.getLogger(__name__)

MOST_WHY, MOST_CODE = 500, 60
ASKED = "asked.txt"


def ask(
    settings: Settings, run_id: str, decision: Mapping[str, Any], link: str | None = None
) -> str:
    """Tell people that a run waits for one of them, with a `link` to where they answer; what they
    are asked (`question`). Where nobody can be told the run waits all the same."""
    tell = partial(telling.tell_waits, settings, run_id, decision, link)
    if trouble := tried(tell):
        log.warning("nobody could be told yet that run %s waits: %s", run_id, trouble)
    return question(settings, run_id)


def require_first(settings: Settings, run_id: str, decision: Mapping[str, Any]) -> None:
    """ModelError where the run has asked about another comparison before: Airflow shows people what
    a task asked at first, also after it was cleared, and the answer would be to that."""
    path = steps.run_folder(settings, run_id) / ASKED
    if path.is_file() and path.read_text(encoding="utf-8") != decision["sha256"]:
        raise ModelError(
            "this run has asked about another comparison before, which Airflow goes on showing: "
            "trigger routing_ml_retrain anew"
        )
    steps.write_text(path, decision["sha256"])


def question(settings: Settings, run_id: str) -> str:
    """What a person needs to know before they answer what a run has asked, in Markdown that no
    item's code can turn into something else."""
    path = steps.run_folder(settings, run_id) / steps.DECISION
    decision = json.loads(path.read_text(encoding="utf-8"))
    compared = decision["comparison"]
    exact = compared.get("exact", {})
    lines = [decision["reason"], "", "| version | routings exactly right |", "|---|---|"]
    for method, version in decision["challengers"].items():
        if method in exact:
            chosen = ", **chosen**" if version == decision["winner"] else ""
            lines.append(f"| {version} ({method}){chosen} | {exact[method]:.1%} |")
    for case in compared.get("comparisons", ()):
        if decision["challengers"].get(case["challenger"]) == decision["winner"]:
            lines += _case(case)
    if decision["withheld"]:
        lines += ["", f"**Look first at what check found:** {', '.join(decision['withheld'])}"]
    lines += ["", f"In use: {decision['champion'] or 'no model yet'}; without an answer it stays."]
    return "\n".join(lines)


def _case(case: Mapping[str, Any]) -> list[str]:
    """The winner against the model in use: the difference, and the items they differ most on."""
    test = case["test"]
    lines = [
        "",
        f"Of {test['items']:,} items that neither was fitted on it has {test['exact']:.1%} exactly "
        f"right, the model in use {test['exact_against']:.1%}: a difference of "
        f"{test['difference']:+.1%}, between {test['low']:+.1%} and {test['high']:+.1%}.",
    ]
    if items := case.get("differing_items"):
        lines += ["", "| they differ most on | the new one | in use |", "|---|---|---|"]
    for item in items or ():
        words = [
            "right" if item[f"{who}_exact"] else f"{item[f'{who}_wrong_operations']} wrong"
            for who in ("challenger", "champion")
        ]
        lines.append(f"| {_as_code(item['item'])} | {' | '.join(words)} |")
    return lines


def _as_code(text: str) -> str:
    """A text as it stands, in Markdown."""
    shown = "".join(
        c if c.isprintable() and c not in "`|\\" else "\N{REPLACEMENT CHARACTER}" for c in text
    )
    return f"`{shown[:MOST_CODE]}`"


def answered(
    settings: Settings,
    run_id: str,
    decision: Mapping[str, Any],
    *,
    promote: bool,
    by: str | None,
    at: datetime,
    why: str = "",
) -> steps.Reference:
    """The decision of a run once a person has answered (`at` is aware), as `compare` returns one.

    Nobody did where `by` is None, which never promotes. A second time changes nothing. ModelError
    where the question (`decision`) is no longer the run's.
    """
    path = steps.run_folder(settings, run_id) / steps.DECISION
    facts = json.loads(path.read_text(encoding="utf-8"))
    if (facts.get("answer") or {}).get("of") == decision["sha256"]:
        return steps.decision_of(settings, path)
    if steps.reference(settings, path)["sha256"] != decision["sha256"]:
        raise ModelError("the run has compared again since it asked: clear its task compare")
    promote = promote and by is not None
    when, why = f"{settings.moment(at):%Y-%m-%d %H:%M}", " ".join(why.split())[:MOST_WHY]
    if by is None:
        said = f"nobody answered until {when}, and the model in use stays"
    else:
        verb = "put into use" if promote else "kept out"
        said = f"{verb} by {by} on {when}" + (f", who said: {why}" if why else "")
    answer = {"of": decision["sha256"], "promote": promote, "by": by, "at": at.isoformat()}
    facts |= {
        "promote": promote,
        "answer": answer | {"why": why},
        "reason": f"{facts['winner']}: {said}; asked because: {facts['reason']}",
    }
    steps.write_json(settings, path, facts)
    return steps.decision_of(settings, path)


def counts(
    decision: steps.Reference | None, answer: steps.Reference | None
) -> steps.Reference | None:
    """The decision that counts: the answered one, where it is an answer to this very question."""
    if decision and answer and answer["answer"]["of"] == decision["sha256"]:
        return answer
    return decision
