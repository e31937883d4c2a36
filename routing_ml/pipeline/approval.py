"""Asks a person before a new model goes into use: what they are shown, and what they answered."""

from __future__ import annotations

import json
import logging
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from routing_ml.errors import InputError, ModelError, tried
from routing_ml.notices import ANSWERS, MOST_WHY
from routing_ml.pipeline import steps, telling
from routing_ml.settings import Settings

log = logging.getLogger(__name__)

MOST_CODE = 60
ASKED, TAKEN = "asked.json", "taken.json"
ASKED_BEFORE = "asked.txt"
"""What a run asked about, as it was written at first: the hash alone."""


def waits(decision: Mapping[str, Any]) -> bool:
    """Whether a decision waits for a person: it asks, and nobody has answered.

    >>> waits({"asks": True, "promote": False, "answer": None})
    True
    """
    return bool(decision.get("asks") and not decision.get("promote") and not decision.get("answer"))


def ask(
    settings: Settings, run_id: str, decision: Mapping[str, Any], link: str | None = None
) -> str:
    """Tell people that a run waits for one of them, with a `link` to where they answer; what they
    are asked (`question`). Where nobody can be told the run waits all the same. ModelError where
    the run has asked about another comparison before (`require_first`): it will not wait."""
    _require_same(settings, run_id, decision)
    tell = partial(telling.tell_waits, settings, run_id, decision, link)
    if trouble := tried(tell):
        log.warning("nobody could be told yet that run %s waits: %s", run_id, trouble)
    return question(settings, run_id)


def require_first(
    settings: Settings, run_id: str, decision: Mapping[str, Any], *, asking: int = 0
) -> dict[str, Any] | None:
    """The answer that Airflow has taken already (`taken`), of a task that was cut off with it and
    is tried again; None where it is to ask. `asking` is another number once the task was cleared:
    what was answered before then counts no more. Where the answer cannot be gone on with, the task
    is to ask all the same.

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
    _require_same(settings, run_id, decision)
    steps.write_text(folder / ASKED, json.dumps({"of": decision["sha256"]}))
    kept = folder / TAKEN
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    return found if found.get("asking") == asking else None


def _require_same(settings: Settings, run_id: str, decision: Mapping[str, Any]) -> None:
    """ModelError where a run has asked about another comparison than that of `decision`."""
    before = _asked_about(steps.run_folder(settings, run_id))
    if before not in (None, decision["sha256"]):
        raise ModelError(
            "this run has asked about another comparison before, which Airflow goes on showing: "
            "trigger routing_ml_retrain anew"
        )


def _asked_about(folder: Path) -> str | None:
    """The hash of the comparison that a run has asked about, None before it did."""
    path, earlier = folder / ASKED, folder / ASKED_BEFORE
    if path.is_file():
        return str(json.loads(path.read_text(encoding="utf-8"))["of"])
    return earlier.read_text(encoding="utf-8").strip() if earlier.is_file() else None


def require_allowed(given: object) -> None:
    """InputError where an answer, as Airflow's API is given it, is not one that the run can go on
    with: exactly one of the options, and of all parameters at most `why`, a short text or null.
    Airflow takes any parameters, and the task then fails at every try."""
    if not isinstance(given, Mapping):
        raise InputError("an answer is an object with chosen_options and params_input")
    if given.get("chosen_options") not in [[option] for option in ANSWERS.values()]:
        options = ", ".join(map(repr, ANSWERS.values()))
        raise InputError(f"chosen_options is a list of exactly one of {options}")
    params = given.get("params_input", {})
    if not isinstance(params, Mapping):
        raise InputError("params_input is an object with why, or empty")
    if others := sorted(params.keys() - {"why"}):
        raise InputError(f"params_input has why alone, and not {others[0][:MOST_CODE]!r}")
    why = "" if params.get("why") is None else params["why"]
    if not isinstance(why, str) or len(why) > MOST_WHY:
        has = f"; it has {len(why)}" if isinstance(why, str) else ""
        raise InputError(f"why is a text of at most {MOST_WHY} characters, or null{has}")
    # PostgreSQL keeps no NUL, and UTF-8 has no half of a pair.
    for letter in why:
        if unicodedata.category(letter) in ("Cc", "Cs") and not letter.isspace():
            raise InputError(f"why is a text, which has no U+{ord(letter):04X}")


def taken(settings: Settings, run_id: str, answer: Mapping[str, Any], *, asking: int) -> None:
    """Keep an answer that Airflow has just taken, to what is `asking` (as of `require_first`): it
    forgets it where the task is cut off before the answer is written down."""
    folder = steps.run_folder(settings, run_id)
    if _asked_about(folder) is not None:  # else it is no run of this state folder
        steps.write_text(folder / TAKEN, json.dumps({**answer, "asking": asking}))


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
    decision: Mapping[str, Any] | None,
    *,
    promote: bool,
    by: str | None,
    at: datetime,
    why: str = "",
) -> steps.Reference:
    """The decision of a run once a person has answered (`at` is aware), as `compare` returns one.

    Nobody did where `by` is None, which never promotes. The same answer a second time changes
    nothing; a later one, of a run that was cleared and has asked again, counts instead of a no.
    ModelError where the question (`decision`) is no longer the run's, or not what it has asked.
    """
    if decision is None:
        raise ModelError(
            "the run has no comparison any more that this could answer: trigger "
            "routing_ml_retrain anew"
        )
    _require_same(settings, run_id, decision)
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
