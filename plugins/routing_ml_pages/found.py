"""What the check and the audit of the newest extract, and the last look at the data, found."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from routing_ml.dataset import in_words
from routing_ml.settings import Settings
from routing_ml_pages import reading

MOST = 40
LISTS = {"audit": "offenders.csv", "quality": ""}
"""The lists of items that can be downloaded."""


@dataclass(frozen=True)
class Gate:
    """What a gate found: `level` is ok, note, warning or error."""

    name: str
    level: str
    found: str


@dataclass(frozen=True)
class Null:
    """The share of a column that is empty."""

    table: str
    column: str
    share: float


@dataclass(frozen=True)
class Behind:
    """The rows behind a gate: how many, and the worst in words with their items."""

    gate: str
    column: str
    count: int
    worst: list[tuple[str, str, str]]


@dataclass(frozen=True)
class Finding:
    """One finding: where it is, what stands there, what is wrong, how it is mended."""

    kind: str | None
    words: str | None
    where: str | None
    value: str | None
    why: str | None
    mend: str | None
    new: bool | None


@dataclass(frozen=True)
class Item:
    """An item with findings of the last look at the data."""

    code: str
    name: str
    count: int
    new: int
    findings: list[Finding]


@dataclass(frozen=True)
class Operation:
    """A row of a routing as it is learned, its times in minutes."""

    sequence: int | None
    operation: str | None
    name: str | None
    machine: str | None
    setup: float | None
    run: float | None


@dataclass(frozen=True)
class Routing:
    """A typical routing as `check` read it; `kind` is the item's commonest attribute's value."""

    item: str
    kind: str | float | None
    revision: str | float | None
    entered: str | None
    operations: list[Operation]


@dataclass(frozen=True)
class Data:
    """All of it; `run` and `look` name where it comes from, '' where there is none yet."""

    run: str = ""
    read_as_of: str = ""
    gates: list[Gate] = field(default_factory=list)
    nulls: list[Null] = field(default_factory=list)
    behind: list[Behind] = field(default_factory=list)
    checks: list[Gate] = field(default_factory=list)
    routings: list[Routing] = field(default_factory=list)
    look: str = ""
    look_as_of: str = ""
    headline: str = ""
    total: int = 0
    measures: dict[str, int] = field(default_factory=dict)
    worse: list[str] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)


def found(settings: Settings) -> Data:
    """What is known of the data."""
    folder, looked = _newest_run(settings), _newest_look(settings)
    audit = reading.read_json(folder / "audit.json") if folder else {}
    check = reading.read_json(folder / "check.json") if folder else {}
    nulls = [
        Null(table, column, share)
        for table, columns in (audit.get("null_ratios") or {}).items()
        for column, share in columns.items()
        if share > 0
    ]
    told = (reading.read_json(looked).get("told") or {}) if looked else {}
    return Data(
        run=folder.name if folder else "",
        read_as_of=_shown(settings, check.get("as_of")),
        gates=[_gate(one) for one in audit.get("checks", ()) if one["level"] != "ok"],
        nulls=sorted(nulls, key=lambda one: -one.share)[:MOST],
        behind=[_behind(one) for one in audit.get("offenders", ())],
        checks=[_gate(one) for one in check.get("findings", ())],
        routings=[_routing(one) for one in check.get("routings_shown", ())],
        look=looked.stem if looked else "",
        look_as_of=_shown(settings, told.get("as_of")),
        headline=str(told.get("headline", "")),
        total=int(told.get("total", 0)),
        measures=dict(told.get("findings") or {}),
        worse=list(told.get("worse") or ()),
        items=[
            Item(one["code"], one["name"], one["count"], one["new"],
                 [reading.taken(Finding, each) for each in one["findings"]])
            for one in told.get("worst") or ()
        ],
    )  # fmt: skip


def list_of(settings: Settings, which: str) -> Path | None:
    """The CSV of all items behind the audit, or behind the last look; None where there is none."""
    if which == "audit":
        folder = _newest_run(settings)
        path = folder / LISTS["audit"] if folder else None
    else:
        looked = _newest_look(settings)
        path = looked.with_suffix(".csv") if looked else None
    return path if path and path.is_file() else None


def _newest_run(settings: Settings) -> Path | None:
    return _newest(list((settings.home / "runs").glob("*/audit.json")), folder=True)


def _newest_look(settings: Settings) -> Path | None:
    return _newest(list((settings.home / "quality").glob("*.json")))


def _newest(paths: list[Path], *, folder: bool = False) -> Path | None:
    dated = [(path.stat().st_mtime_ns, path) for path in paths]
    if not dated:
        return None
    path = max(dated)[1]
    return path.parent if folder else path


def _gate(one: dict[str, Any]) -> Gate:
    level = "note" if one.get("accepted") else one["level"]
    return Gate(one["name"], level, one["found"])


def _routing(one: dict[str, Any]) -> Routing:
    operations = [reading.taken(Operation, each) for each in one["operations"]]
    return Routing(
        one["item"], one.get("kind"), one.get("revision"), one.get("entered"), operations
    )


def _behind(of: dict[str, Any]) -> Behind:
    worst = [(str(one["item"] or ""), in_words(one), str(one["why"] or "")) for one in of["worst"]]
    return Behind(of["gate"], f"{of['table']}.{of['column']}", of["count"], worst)


def _shown(settings: Settings, at: str | None) -> str:
    return reading.moment(settings, at) if at else ""
