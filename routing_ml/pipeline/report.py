"""Writes down how a run ended, for machines (`outcome.json`) and for people (`report.html`, and
`report.md` as text), and tells them.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from routing_ml import files, modes, notices
from routing_ml.errors import InputError, ModelError
from routing_ml.pipeline import approval, monitor, report_page, report_text, run_names, telling
from routing_ml.pipeline import steps as pipeline
from routing_ml.redaction import redact
from routing_ml.settings import Settings
from routing_ml.store import StoreError


def outcome_of(
    settings: Settings,
    run_id: str,
    *,
    data: Mapping[str, Any] | None,
    trained: Sequence[Mapping[str, Any]],
    decision: Mapping[str, Any] | None,
    failed: Mapping[str, str],
    cause: str,
    seconds: float,
    started_by: str = "other",
    hands: Collection[str] = (),
    nothing_new: str | None = None,
) -> dict[str, Any]:
    """The outcome of a run.

    What a run did not come to is None or empty. `failed` maps the steps that failed to their
    reasons; `cause` says what started the run, `started_by` in one word, `seconds` how long it
    took, `hands` what a person did for it, and `nothing_new` why there was nothing to learn, where
    the source was away. A registry that cannot name the model in use counts
    as a failure.
    """
    folder = pipeline.run_folder(settings, run_id)
    try:
        active = pipeline.registry(settings).active()
    except ModelError as error:  # the more to be told of
        active, failed = None, {**failed, "report": str(error)}
    # Those who raised it left no secret in it; what is written and told is the last place to see.
    failed = {step: redact(why) for step, why in failed.items()}
    promoted = bool(decision and decision["promote"] and not failed.keys() & {"promote"})
    moment = run_names.moment_of(settings, run_id)
    return {
        "run": run_id,
        "moment": moment.isoformat() if moment else None,
        "succeeded": not failed,
        "model": active.name if active else None,
        "promoted": promoted,
        "reason": redact(nothing_new) if nothing_new and not failed else _reason(decision, failed),
        "nothing_new": bool(nothing_new and not failed),
        "source_away": redact(data["away"]["line"]) if data and data.get("away") else None,
        "metrics": active.manifest["metrics"] if active else None,
        "intervals": active.manifest.get("intervals") if active else None,
        "candidates": {one["candidate"]: dict(one) for one in trained},
        "data": dict(data) if data else None,
        "found_better": _found_better(decision, failed),
        "cause": cause,
        "seconds": seconds,
        "started_by": started_by,
        "hands": sorted(hands),
        "failed": dict(failed),
        "withheld": _withheld(decision),
        "report": str(folder / "report.md"),
        "page": str(folder / "report.html"),
    }


def write(settings: Settings, outcome: Mapping[str, Any]) -> None:
    """Write the outcome of a run into its folder: `outcome.json`, and for people `report.html` and
    `report.md`."""
    settings.opened()
    folder = pipeline.run_folder(settings, outcome["run"])
    with files.told_as(InputError, f"{folder} cannot be written"):
        modes.make_folder(folder)
        title, live = notice(outcome)[0], _live(settings)
        page = report_page.as_html(
            _headline(title), outcome, folder, live,
            before=_before(settings, outcome), zone=settings.timezone.key,
        )  # fmt: skip
        texts = {
            "report.md": report_text.as_markdown(title, outcome, folder, live),
            "report.html": page,
            "outcome.json": json.dumps(outcome, ensure_ascii=False) + "\n",
        }
        for name, text in texts.items():
            files.remove_leftovers(folder, name)
            files.atomic_write(folder / name, text)


def tell(settings: Settings, outcome: Mapping[str, Any], link: str | None = None) -> bool:
    """Tell people how a run ended, once; whether this call told them."""
    title, text = notice(outcome)
    return notices.tell_card(settings, telling.run_card(settings, outcome, title, text, link))


def notice(outcome: Mapping[str, Any]) -> tuple[str, str]:
    """Title and text of the message on a run."""
    if not outcome["succeeded"]:
        title = "Routing ML: the retraining failed"
    elif outcome.get("nothing_new"):
        title = "Routing ML: nothing new to learn, the source is away"
    elif outcome["promoted"]:
        title = "Routing ML: a new model is in use"
    elif outcome["withheld"]:
        title = "Routing ML: a new model waits until someone has looked"
    elif outcome["model"]:
        title = "Routing ML: the model in use stays"
    else:
        title = "Routing ML: no model is in use yet"
    lines = [outcome["reason"], f"In use: {outcome['model'] or 'no model yet'}"]
    if outcome.get("source_away") and not outcome.get("nothing_new"):
        lines.append(f"Learned from old data: {outcome['source_away']}")
    exact = (outcome["metrics"] or {}).get("exact_match")
    if exact is not None:
        sure = (outcome.get("intervals") or {}).get("exact_match")
        between = f" (95 % interval {100 * sure[0]:.1f} to {100 * sure[1]:.1f})" if sure else ""
        lines.append(f"Routings exactly right of items it was not fitted on: {exact:.1%}{between}")
    run = run_names.named(outcome["run"], outcome.get("moment"))
    page = outcome.get("page") or outcome["report"]  # up to 2.1.0 there was no page
    lines += [f"Run: {run} ({outcome['cause']})", f"Report: {page}"]
    return title, "\n".join(lines)


def _headline(title: str) -> str:
    """
    >>> _headline("Routing ML: a new model is in use")
    'A new model is in use'
    """
    words = title.removeprefix("Routing ML: ")
    return f"{words[:1].upper()}{words[1:]}"


def _before(settings: Settings, outcome: Mapping[str, Any]) -> Path | None:
    """The folder of the run before this one, by the data that they read; None for the first one,
    and where this one read none."""
    if not outcome["data"]:
        return None
    found = []
    for path in settings.home.glob("runs/*/outcome.json"):
        if path.parent == pipeline.run_folder(settings, outcome["run"]):
            continue
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            as_of, model = told["data"]["as_of"], told["model"] and told["metrics"] is not None
            if model and "promoted" in told and as_of < outcome["data"]["as_of"]:
                found.append((as_of, path.parent))
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            continue  # of a run that read no data, or of another kind of run
    return max(found)[1] if found else None


def _reason(decision: Mapping[str, Any] | None, failed: Mapping[str, str]) -> str:
    if failed:
        return "; ".join(f"{step}: {why}" if why else step for step, why in failed.items())
    if decision is None:
        return "the run ended before a decision"
    stays = decision["winner"] and not decision["promote"]
    if stays and approval.waits(decision):
        return (
            f"{decision['winner']} waits for a person: 'routing-ml promote {decision['winner']}' "
            f"puts it into use; {decision['reason']}"
        )
    if stays and not _withheld(decision) and not decision.get("answer"):
        return (
            f"{decision['winner']} was not put into use, as the run was told: {decision['reason']}"
        )
    return str(decision["reason"])


def _found_better(decision: Mapping[str, Any] | None, failed: Mapping[str, str]) -> bool | None:
    """Whether there was a better model than the one in use, put into use or not; None where that
    was not judged, or not by all candidates."""
    if decision is None:
        return None
    return True if decision["winner"] else (None if failed else False)


def _withheld(decision: Mapping[str, Any] | None) -> list[str]:
    """What `check` found that keeps a winner waiting; nothing where there is no winner."""
    return list(decision.get("withheld", ())) if decision and decision["winner"] else []


def _live(settings: Settings) -> Mapping[str, Any]:
    """What planners' routings said of the proposals so far; nothing where the store cannot say."""
    try:
        return monitor.live_status(settings)
    except StoreError:
        return {}
