"""Which versions may replace the one in use after a retraining, and the one that does, once judged
items show that it is better.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from routing_ml import judging, notices
from routing_ml.comparison import Decision
from routing_ml.errors import tried
from routing_ml.judging import Challenger, Challengers
from routing_ml.pipeline import monitor, run_names
from routing_ml.registry import ANY, Registry
from routing_ml.settings import Settings
from routing_ml.store import Store, StoreError, StoreMissingError

log = logging.getLogger(__name__)

NOT_SHOWN = "it is not shown to be better than the simple rules of the last comparison"
LOOK_FIRST = "check found what a person must look at first"
UNFIT = "the last comparison could not judge it"
TOLD_SO = "its retraining was told to change nothing"
KEPT_OUT = "a person kept it out"
BEHIND = "it is behind a version that was in use earlier"


def record_challengers(settings: Settings, outcome: Mapping[str, Any]) -> None:
    """Take in what a retraining decided, by its outcome (`report.outcome_of`): those that it fitted
    and did not put into use may replace what is, by what planners write from now on. A second time
    changes nothing, nor does a run that a later decision has overtaken."""
    decided = Path(outcome["report"]).with_name("decision.json")
    registry = Registry(settings.home / "models")
    place, active = registry.place(), registry.active()
    if active is None or not decided.is_file():
        return
    decision = json.loads(decided.read_text(encoding="utf-8"))
    champion = decision["winner"] if outcome["promoted"] else decision["champion"]
    if champion != active.name:
        return
    fitted = _fitted(decision, method=active.manifest["candidate"], since=_since(outcome))
    settings.opened()
    with closing(Store(settings.store_url)) as store, store.transaction():
        judging.after_retraining(
            store, champion=champion, place=place, promoted=outcome["promoted"], fitted=fitted
        )


def judged_since(
    settings: Settings, champion: str | None, decision: Decision
) -> tuple[str | None, str]:
    """What planners' routings say since, beside the held-out items of a retraining's decision: the
    method that goes in by them where the held-out items left the champion in use, and all of it in
    words; None and nothing where the store knows nothing of challengers of this champion.

    Neither is a second chance for what the simple rules or a guard have stopped.
    """
    try:
        with closing(Store(settings.store_url, write=False)) as store:
            known = Challengers.known(store)
    except StoreMissingError:  # before the first run
        return None, ""
    except StoreError as error:
        log.warning("judged items have no say in this decision: %s", error)
        return None, ""
    registry = Registry(settings.home / "models")
    if known is None or (known.champion, known.place) != (champion, registry.place()):
        return None, ""
    said = known.words()
    told = {name for name, standing in known.standings().items() if standing.families}
    words = "; ".join(said[name] for name in decision.exact if name in told)
    words = f"the routings that planners wrote since: {words}" if words else ""
    method = known.winner()
    stopped = {one.challenger for one in decision.comparisons if any(g.stops for g in one.guards)}
    floored = not all(test.passes for test in decision.floor.get(method or "", ()))
    if decision.winner or method not in decision.exact or method in stopped or floored:
        return None, words
    return method, words


def shown(settings: Settings, store: Store) -> dict[str, Any] | None:
    """What puts a challenger into use, as of `pipeline.promote`, where judged items show that it is
    better; None where none is."""
    known = Challengers.known(store)
    registry = Registry(settings.home / "models")
    place, active = registry.place(), registry.active()
    if known is None or active is None or (active.name, place) != (known.champion, known.place):
        return None
    known = known.among({version.name for version in registry.versions()})
    method = known.winner()
    if method is None:
        return None
    return {
        "winner": known.by_method[method].version,
        "champion": known.champion,
        "place": place,
        "promote": True,
        "reason": f"by routings that planners wrote later: {known.words()[method]}",
    }


def replace_model(
    settings: Settings, run_id: str, decision: Mapping[str, Any], *, link: str | None = None
) -> dict[str, Any]:
    """Put a challenger into use that judged items show to be better, where the version that it was
    compared with still is in use; tell people, with a `link` to the run, and count the switch."""
    version = Registry(settings.home / "models").promote(
        decision["winner"],
        who=f"{monitor.RUN}{run_id}",
        why=decision["reason"],
        instead_of=decision["champion"],
        after=decision.get("place", ANY),
    )
    monitor.record_model(settings)
    text = [decision["reason"], f"In use: {version.name}, before: {decision['champion']}"]
    text += [
        f"Run: {run_names.run_in_words(settings, run_id)}",
        "'routing-ml rollback' goes back to the one before.",
    ]
    title = "Routing ML: a new model is in use, by what planners wrote"
    told = (f"evidence/{run_id}", title, "\n".join(text))
    tried(partial(notices.tell, settings, *told, level=notices.GOOD, link=link))
    return {"model": version.name, "reason": decision["reason"]}


def offer(
    settings: Settings, run_id: str, decision: Mapping[str, Any], *, link: str | None = None
) -> str:
    """Tell people, once a version, of one that judged items show to be better, where they decide;
    what was told."""
    said = (
        f"{decision['winner']} is better than {decision['champion']}, {decision['reason']}; put it "
        f"into use with 'routing-ml promote {decision['winner']}'"
    )
    title = "Routing ML: a better model waits for a person"
    subject = f"evidence/{decision['winner']} against {decision.get('place')}"
    told = (subject, title, f"{said}\nRun: {run_names.run_in_words(settings, run_id)}")
    tried(partial(notices.tell, settings, *told, level=notices.ATTENTION, link=link))
    return said


def _fitted(decision: Mapping[str, Any], *, method: str, since: str) -> dict[str, Challenger]:
    """What a decision compared, by method; `method` is the one in use, `since` the last day of the
    data."""
    compared = decision["comparison"]
    streams = compared.get("streams") or {}
    stops = {
        one["challenger"]: [guard["name"] for guard in one["guards"] if guard["stops"]]
        for one in compared.get("comparisons", ())
    }
    cases = compared.get("comparisons", ())
    behind = {one["challenger"] for one in cases if one.get("failed")}
    answer = decision.get("answer") or {}
    kept_out = bool(answer.get("by")) and not answer["promote"]
    fitted = {}
    for name, version in decision["challengers"].items():
        barred = None
        if decision.get("promotion") == "never":
            barred = TOLD_SO
        elif version == decision["winner"] and kept_out:
            barred = KEPT_OUT
        elif decision.get("withheld"):
            barred = LOOK_FIRST
        elif name not in compared.get("exact", {}):
            barred = UNFIT
        elif not all(test["passes"] for test in compared.get("floor", {}).get(name, ())):
            barred = NOT_SHOWN
        elif stops.get(name):
            barred = f"it is worse by its {' and '.join(stops[name])}"
        elif name in behind:
            barred = BEHIND
        fitted[name] = Challenger(version, name == method, barred, since, streams.get(name))
    return fitted


def _since(outcome: Mapping[str, Any]) -> str:
    """The day as of which a run read its data."""
    return str(outcome["data"]["as_of"])[:10] if outcome["data"] else ""
