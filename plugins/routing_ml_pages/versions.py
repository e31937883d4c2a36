"""The model versions, their figures over time, who put which into use and why, and two of them
beside each other.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from routing_ml import dataset, pipeline
from routing_ml.errors import InputError, ModelError, RoutingError, tried
from routing_ml.pipeline import monitor
from routing_ml.proposals import predict
from routing_ml.registry import Version
from routing_ml.settings import Settings
from routing_ml_pages import reading

FIGURES = (
    "exact_match", "operation_f1", "resource_accuracy", "run_time_mdape", "setup_time_mdape",
    "items",
)  # fmt: skip
FACTS = ("candidate", "as_of", "data_sha256", "items_fitted", "code_version")
ASKED_ITEMS = 200
"""Items that two versions are asked about: those that wait for a routing, else the newest."""
LISTED_ITEMS = 20

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Figure:
    """A figure of a version, its interval where it is known; fractions, but for the items."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Row:
    """A version."""

    name: str
    created: str
    candidate: str
    as_of: str
    in_use: bool
    figures: dict[str, Figure]


@dataclass(frozen=True)
class Switch:
    """Who put which version into use, and why."""

    at: str
    action: str
    before: str | None
    after: str | None
    who: str
    why: str


@dataclass(frozen=True)
class Models:
    """The versions and the history, both newest first. `trouble` is what is wrong with the
    registry."""

    in_use: str | None
    since: Switch | None
    previous: str | None
    versions: list[Row]
    history: list[Switch]
    damaged: dict[str, str]
    trouble: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Pair:
    """What two versions have that is not the same; None of a figure that one lacks."""

    name: str
    one: Figure
    other: Figure


@dataclass(frozen=True)
class Differing:
    """An item on which two versions differ: of each whether it is right, how many operations are
    wrong, and the error of its run times, a fraction. The challenger is the newer one."""

    item: str | None
    champion_exact: bool | None
    challenger_exact: bool | None
    champion_wrong_operations: int | None
    challenger_wrong_operations: int | None
    champion_run_time_error: float | None
    challenger_run_time_error: float | None


@dataclass(frozen=True)
class Test:
    """The paired test of a retraining that compared the two, the first being the newer: exact
    matches on the same items, and the difference with its 90 % interval."""

    run: str
    items: int
    exact: float
    exact_other: float
    difference: float
    low: float
    high: float
    p_value: float
    differing: list[Differing]


@dataclass(frozen=True)
class Another:
    """An item for which two versions propose other operations."""

    item: str
    only_one: list[str]
    only_other: list[str]


@dataclass(frozen=True)
class Compared:
    """Two versions: what differs between them and nothing else."""

    one: str
    other: str
    figures: list[Pair]
    facts: dict[str, tuple[str, str]]
    test: Test | None
    asked: int
    others: list[Another]
    trouble: str | None = None


def models(settings: Settings) -> Models:
    """All that is known of the versions."""
    registry, trouble = pipeline.registry(settings), []
    active = previous = None
    switches: list[dict[str, Any]] = []
    try:
        active = registry.active()
        previous = registry.previous()
    except ModelError as error:  # the list is what helps out of it
        trouble.append(str(error))
    try:
        switches = registry.history()
    except ModelError as error:
        trouble.append(str(error))
    found, damaged = reading.versions(settings)
    history = [_switch(settings, one) for one in reversed(switches)]
    name = active.name if active else None
    return Models(
        in_use=name,
        since=next((one for one in history if one.after == name), None) if name else None,
        previous=previous.name if previous else None,
        versions=[_row(settings, version, name) for version in found],
        history=history,
        damaged=damaged,
        trouble=list(dict.fromkeys(trouble)),
    )


def promote(settings: Settings, name: str, *, who: str, why: str, instead_of: str | None) -> str:
    """Put a version into use for a person, where the one that they saw in use still is;
    `instead_of` is as of `Registry.promote`."""
    version = pipeline.registry(settings).promote(
        name, who=_named(who), why=_required(why), instead_of=instead_of
    )
    _record(settings)
    return version.name


def rollback(settings: Settings, *, who: str, why: str, instead_of: str | None) -> str:
    """Go back to the version before, where the one that the person saw in use still is."""
    registry, reason = pipeline.registry(settings), _required(why)
    seen, active = registry.place(), registry.active()
    if active is None or active.name != instead_of:
        now = active.name if active else "no model"
        raise ModelError(f"{now} is in use by now, not {instead_of or 'none'}: look again")
    version = registry.rollback(who=_named(who), why=reason, after=seen)
    _record(settings)
    return version.name


def _record(settings: Settings) -> None:
    """Have the monitoring store know of a switch that is made, if it can be reached."""
    if trouble := tried(partial(monitor.record_model, settings)):
        log.warning("the switch is not recorded yet: %s", trouble)


def place(settings: Settings) -> str | None:
    """Where the history of switches ends; None where it cannot be read, which ends no switch."""
    with suppress(ModelError):
        return pipeline.registry(settings).place()
    return None


def tell(settings: Settings, since: str | None) -> None:
    """Tell people of what was switched since that `place`; whom nobody can tell now is told
    later."""
    if trouble := tried(partial(pipeline.tell_switches, settings, since)):
        log.warning("nobody could be told of a switch yet: %s", trouble)


def compare(settings: Settings, one: str, other: str) -> Compared:
    """Two versions beside each other; ModelError where there is no such version."""
    first, second = reading.version_of(settings, one), reading.version_of(settings, other)
    pairs = [Pair(n, _figure(first, n), _figure(second, n)) for n in FIGURES]
    facts = {}
    for fact in FACTS:
        values = (_fact(settings, first, fact), _fact(settings, second, fact))
        if values[0] != values[1]:
            facts[fact] = values
    asked, others, trouble = 0, list[Another](), None
    try:
        asked, others = _others(settings, first, second)
    except RoutingError as error:
        trouble = str(error)
    return Compared(
        one=one,
        other=other,
        figures=[pair for pair in pairs if pair.one.value != pair.other.value],
        facts=facts,
        test=_test(settings, one, other),
        asked=asked,
        others=others,
        trouble=trouble,
    )


def _others(settings: Settings, one: Version, other: Version) -> tuple[int, list[Another]]:
    known = reading.known(settings)
    key = ("others", one.folder, other.folder, known.data.sha256)
    return reading.EXPLANATIONS.get(key, lambda: _asked_both(known, one, other))


def _asked_both(known: reading.Known, one: Version, other: Version) -> tuple[int, list[Another]]:
    items = dataset.without_routing(known.data.items, known.data.routings)
    if items.empty:
        items = known.data.items
        if "INSRT_DT" in items:
            items = items.sort_values("INSRT_DT", na_position="first", kind="stable")
    items = items.tail(ASKED_ITEMS)
    jobs = []
    for version in (one, other):
        proposed = predict.loaded(version).predict(items, similarity=False)
        jobs.append(proposed.groupby("ITEM_CD", sort=False)["JOB_CD"].agg(list))
    found = []
    for code in items["ITEM_CD"].tolist():
        mine, theirs = jobs[0].get(code, []), jobs[1].get(code, [])
        if mine != theirs:
            found.append(Another(code, _surplus(mine, theirs), _surplus(theirs, mine)))
    if not jobs[0].size:
        raise InputError("there is no item to ask both versions about")
    return len(items), found


def _surplus(mine: list[str], theirs: list[str]) -> list[str]:
    rest, found = list(theirs), []
    for job in mine:
        if job in rest:
            rest.remove(job)
        else:
            found.append(job)
    return found


def _test(settings: Settings, one: str, other: str) -> Test | None:
    """The newest decision that held one of the two against the other."""
    paths = (settings.home / "runs").glob("*/decision.json")
    for path in sorted(paths, key=lambda path: -path.stat().st_mtime):
        decision = reading.read_json(path)
        champion, challengers = decision.get("champion"), decision.get("challengers") or {}
        names = {version: name for name, version in challengers.items()}
        if {champion, *names} >= {one, other} and champion in (one, other):
            newer = other if champion == one else one
            for case in (decision.get("comparison") or {}).get("comparisons", ()):
                if case["challenger"] == names[newer]:
                    return _test_of(path.parent.name, case, newer == one)
    return None


def _test_of(run: str, case: Mapping[str, Any], forward: bool) -> Test:
    test, sign = case["test"], 1 if forward else -1
    exact, other = (test["exact"], test["exact_against"])[::sign]
    low, high = sorted((sign * test["low"], sign * test["high"]))
    return Test(
        run=run,
        items=test["items"],
        exact=exact,
        exact_other=other,
        difference=sign * test["difference"],
        low=low,
        high=high,
        p_value=test["p_value"],
        differing=[reading.taken(Differing, each) for each in case.get("differing_items", ())],
    )


def _row(settings: Settings, version: Version, in_use: str | None) -> Row:
    return Row(
        name=version.name,
        created=reading.moment(settings, version.created_at.timestamp()),
        candidate=str(version.manifest.get("candidate", "")),
        as_of=str(version.manifest.get("as_of", ""))[:10],
        in_use=version.name == in_use,
        figures={name: _figure(version, name) for name in FIGURES},
    )


def _fact(settings: Settings, version: Version, name: str) -> str:
    value = version.manifest.get(name) or ""
    return reading.moment(settings, value) if name == "as_of" and value else str(value)


def _figure(version: Version, name: str) -> Figure:
    bounds = (version.manifest.get("intervals") or {}).get(name) or (None, None)
    return Figure(name, (version.manifest.get("metrics") or {}).get(name), *bounds)


def _switch(settings: Settings, entry: Mapping[str, Any]) -> Switch:
    return Switch(
        reading.moment(settings, entry["at"]), entry["action"], entry["from"], entry["to"],
        entry["who"], entry["why"],
    )  # fmt: skip


def _named(who: str) -> str:
    """A person as the history says it; a name that looks like a run's is none."""
    return f"Airflow user {who}"


def _required(why: str) -> str:
    reason = " ".join(why.split())[:2_000]
    if not reason:
        raise InputError("no reason was given: say why, for those who come after")
    return reason
