"""Asks a person before a new model goes into use: what they are shown, and what they answered."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from routing_ml.errors import ModelError, tried
from routing_ml.pipeline import steps, telling
from routing_ml.settings import Settings

log = logging.getLogger(__name__)

MOST_WHY, MOST_CODE = 500, 60
ASKED, TAKEN = "asked.json", "taken.json"


def ask(
    settings: Settings, run_id: str, decision: Mapping[str, Any], link: str | None = None
) -> str:
    """Tell people that a run waits for one of them, with a `link` to where they answer; what they
    are asked (`question`). Where nobody can be told the run waits all the same."""
    tell = partial(telling.tell_waits, settings, run_id, decision, link)
    if trouble := tried(tell):
        log.warning("nobody could be told yet that run %s waits: %s", run_id, trouble)
    return question(settings, run_id)


def require_first(
    settings: Settings, run_id: str, decision: Mapping[str, Any], *, asking: int = 0
) -> dict[str, Any] | None:
    """The answer that Airflow has taken already (`taken`), of a task that was cut off with it and
    is tried again; None where it is to ask. `asking` is another number once the task was cleared:
    what was answered before then counts no more.

    ModelError where the run has asked about another comparison before: Airflow shows people what
    a task asked at first, also after it was cleared, and the answer would be to that. So it is
    where the answer was yes: what was done by it is not undone by another one.
    """
    folder = steps.run_folder(settings, run_id)
    answer = _facts(settings, run_id).get("answer") or {}
    if answer.get("of") == decision["sha256"] and answer["promote"]:
        raise ModelError(
            f"this run was answered with yes, by {answer['by']}, and does not ask again: look at "
            "'routing-ml history'; 'routing-ml rollback' goes back, 'routing-ml promote' goes on"
        )
    before = _read(folder / ASKED)
    if before and before["of"] != decision["sha256"]:
        raise ModelError(
            "this run has asked about another comparison before, which Airflow goes on showing: "
            "trigger routing_ml_retrain anew"
        )
    if before and before["asking"] == asking:
        return _read(folder / TAKEN)
    (folder / TAKEN).unlink(missing_ok=True)
    steps.write_text(folder / ASKED, json.dumps({"of": decision["sha256"], "asking": asking}))
    return None


def taken(settings: Settings, run_id: str, answer: Mapping[str, Any]) -> None:
    """Keep an answer (as of `require_first`) that Airflow has just taken: it forgets it where the
    task is cut off before the answer is written down."""
    folder = steps.run_folder(settings, run_id)
    if (folder / ASKED).is_file():  # else it is no run of this state folder
        steps.write_text(folder / TAKEN, json.dumps(dict(answer)))


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def question(settings: Settings, run_id: str) -> str:
    """What a person needs to know before they answer what a run has asked, in Markdown that no
    item's code can turn into something else."""
    decision = _facts(settings, run_id)
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

    Nobody did where `by` is None, which never promotes. The same answer a second time changes
    nothing; a later one, of a run that was cleared and has asked again, counts instead of a no.
    ModelError where the question (`decision`) is no longer the run's.
    """
    path, facts = steps.run_folder(settings, run_id) / steps.DECISION, _facts(settings, run_id)
    before = facts.get("answer") or {}
    answers_this = before.get("of") == decision["sha256"]
    if answers_this and (before["promote"] or before["at"] == at.isoformat()):
        return steps.decision_of(settings, path)
    if not answers_this and steps.reference(settings, path)["sha256"] != decision["sha256"]:
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
        "reason": f"{facts['winner']}: {said}; asked because: {decision['reason']}",
    }
    steps.write_json(settings, path, facts)
    return steps.decision_of(settings, path)


def _facts(settings: Settings, run_id: str) -> dict[str, Any]:
    """The decision of a run as it is written."""
    path = steps.run_folder(settings, run_id) / steps.DECISION
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def counts(
    decision: steps.Reference | None, answer: steps.Reference | None
) -> steps.Reference | None:
    """The decision that counts: the answered one, where it is an answer to this very question."""
    if decision and answer and answer["answer"]["of"] == decision["sha256"]:
        return answer
    return decision
