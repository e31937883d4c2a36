"""A columns file (TOML) into the names of an ERP; docs/columns.md says what may stand in one."""

import difflib
import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from routing_ml.errors import InputError, SourceError
from routing_ml.source.named import (
    ITEM_COLUMNS,
    RESULT_COLUMNS,
    ROUTING_COLUMNS,
    Table,
    Times,
)
from routing_ml.source.named import (
    Attributes as Attributes,
)

DEFAULT_FILE = Path(__file__).with_name("columns.toml")

Standard = Mapping[str, tuple[str, str, bool]]

STANDARD: Mapping[str, Standard] = {
    "items": ITEM_COLUMNS,
    "routings": ROUTING_COLUMNS,
    "results": RESULT_COLUMNS,
}
ANY_TABLE = ("table", "query", "where")
MINUTES = {"second": 1 / 60, "minute": 1.0, "hour": 60.0, "day": 24 * 60.0}  # in one of each
UNITS = MINUTES | {f"{unit}s": minutes for unit, minutes in MINUTES.items()}
MORE = {
    "items": ("text", "ignore", "units"),
    "routings": ("active", "run_time_unit", "setup_time_unit", "per_quantity"),
    "results": (),
}


@dataclass(frozen=True)
class Columns:
    """The three tables and the attributes of items; `accept` names what a person found right of
    what `check` warns of.
    """

    items: Table
    routings: Table
    results: Table | None
    attributes: Attributes
    accept: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """A hash of what is asked of a source: tables, columns, conditions, meanings."""
        asked = [self.items, self.routings, self.results, self.attributes]
        text = json.dumps([of and asdict(of) for of in asked], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def require_dates(self, as_of: object) -> None:
        """Raise SourceError where a person gave an `as_of` and no routing says when it was entered:
        such a source is always read as it is now."""
        if as_of is not None and self.routings.entered is None:
            raise SourceError(
                f"as-of {as_of} cannot be had: [routings] of the columns file has no 'entered', so "
                "that nothing says what was there at that moment; leave the as-of out"
            )

    @classmethod
    def load(cls, path: Path | None = None) -> "Columns":
        """The columns file at `path`, or the shipped factory's.

        Raises InputError where keys are missing, unknown or of another type than is due.
        """
        path = DEFAULT_FILE if path is None else Path(path)
        return _Reader(path).columns(_read(path))


def _read(path: Path) -> dict[str, Any]:
    """What the TOML file at `path` says."""
    again = "correct ROUTING_ML_COLUMNS or --columns"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise InputError(f"columns file {path} is not there; {again}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"columns file {path} cannot be read as TOML: {reason}") from error


class _Reader:
    """Checks one columns file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def columns(self, given: dict[str, Any]) -> Columns:
        self.known(given, [*STANDARD, "accept"], "the file")
        for role in STANDARD:
            if role in given or role != "results":
                if not isinstance(given.get(role), dict):
                    raise self.error(f"it has no table [{role}]", f"add [{role}] with its columns")
                self.known(given[role], [*ANY_TABLE, *STANDARD[role], *MORE[role]], f"[{role}]")
        self.complete({role: given[role] for role in STANDARD if role in given})
        items = given["items"]
        text, ignore = (self.names(items, "items", key) for key in ("text", "ignore"))
        units = items.get("units", {})
        if not isinstance(units, dict) or not all(map(_is_name, [*units, *units.values()])):
            raise self.error("[items.units] is no table of names", 'write SIZE = "SIZE_UNIT"')
        table = self.table(items, "items", ignore=ignore)
        keys = {name for of in table.parts.values() for name in of}
        both = sorted(set(ignore) & {*keys, *text, *units, *units.values()})
        if both:
            raise self.error(f"[items] ignores {both[0]!r} and uses it", "take it out of one")
        return Columns(
            items=table,
            routings=self.routings(given["routings"]),
            results=self.table(given["results"], "results") if "results" in given else None,
            attributes=Attributes(text=text, units=units),
            accept=self.names(given, "", "accept"),
        )

    def complete(self, tables: Mapping[str, dict[str, Any]]) -> None:
        """Raise an error that names every key that is missing, of all tables at once."""
        missing = []
        for role, given in tables.items():
            lacks = [key for key, (_, _, must) in STANDARD[role].items() if must]
            lacks = [key for key in lacks if key not in given]
            if "table" not in given and "query" not in given:
                lacks = ["table", *lacks]
            if lacks:
                missing.append(f"[{role}] has no {', '.join(map(repr, lacks))}")
        if missing:
            raise self.error("; ".join(missing), 'add each as key = "..."')

    def routings(self, given: dict[str, Any]) -> Table:
        active = self.names(given, "routings", "active")
        if bool(active) != ("status" in given):
            raise self.error(
                "[routings] has one of 'status' and 'active' alone",
                'write both, such as status = "STATUS" and active = ["REL"]',
            )
        run = self.unit(given, "run_time_unit", 1.0)
        quantity = given.get("per_quantity", 1.0)
        is_number = isinstance(quantity, (int, float)) and not isinstance(quantity, bool)
        if not _is_name(quantity) and not (is_number and 0 < quantity < float("inf")):
            raise self.error(
                f"[routings] per_quantity is {quantity!r}, neither a column nor a number above 0",
                'write per_quantity = "RUN_QTY"',
            )
        times = Times(
            run_unit=run,
            setup_unit=self.unit(given, "setup_time_unit", run),
            per_quantity=float(quantity) if is_number else quantity,
            assumed=", ".join(k for k in ("run_time_unit", "per_quantity") if k not in given),
        )
        return self.table(given, "routings", active=active, times=times)

    def unit(self, given: dict[str, Any], key: str, default: float | str) -> float | str:
        """Minutes in one of a unit, or the name of the column that has it."""
        if key not in given:
            return default
        value = given[key]
        if not _is_name(value):
            raise self.error(
                f"[routings] {key} is {value!r}, no unit and no column",
                'write "seconds", "minutes", "hours", "days" or a column\'s name',
            )
        return UNITS.get(value.strip().casefold(), value)

    def table(
        self,
        given: dict[str, Any],
        role: str,
        *,
        ignore: tuple[str, ...] = (),
        active: tuple[str, ...] = (),
        times: Times | None = None,
    ) -> Table:
        standard = STANDARD[role]
        if "table" in given and "query" in given:
            raise self.error(f"[{role}] has both 'table' and 'query'", "keep one of them")
        for key in ANY_TABLE:
            if key in given and not _is_name(given[key]):
                raise self.error(f"[{role}] {key} is {given[key]!r}, not a text", "quote it")
        parts: dict[str, tuple[str, ...]] = {}
        taken: dict[str, str] = {}
        for key, (name, kind, _) in standard.items():
            if key not in given:
                continue
            parts[name] = self.parts(given[key], role, key, several=kind == "code")
            for column in parts[name] if len(parts[name]) == 1 else ():
                if taken.setdefault(column, key) != key:
                    raise self.error(
                        f"[{role}] uses column {column!r} as {taken[column]!r} and as {key!r}",
                        "give each its own column",
                    )
        return Table(
            role=role,
            name=given.get("table", ""),
            parts=parts,
            kinds={name: kind for name, kind, _ in standard.values()},
            required=tuple(name for name, _, must in standard.values() if must),
            query=given.get("query", "").strip().rstrip(";"),
            where=given.get("where", "").strip().rstrip(";"),
            ignore=ignore,
            active=active,
            times=times or Times(),
        )

    def parts(self, value: Any, role: str, key: str, *, several: bool) -> tuple[str, ...]:
        if _is_name(value):
            return (value,)
        if several and isinstance(value, list) and value and all(map(_is_name, value)):
            if len(set(value)) == len(value):
                return tuple(value)
            raise self.error(f"[{role}] {key} names a column twice", "name each once")
        step = 'write a quoted name, or ["A", "B"]' if several else "write a quoted name"
        raise self.error(f"[{role}] {key} is {value!r}, not a name", step)

    def names(self, given: dict[str, Any], role: str, key: str) -> tuple[str, ...]:
        value = given.get(key, [])
        if not isinstance(value, list) or not all(map(_is_name, value)):
            where = f"[{role}] " if role else ""
            raise self.error(f"{where}{key} is {value!r}, not a list of names", 'write ["A", "B"]')
        return tuple(value)

    def known(self, given: dict[str, Any], keys: Iterable[str], where: str) -> None:
        keys = list(keys)
        for key in given:
            if key not in keys:
                near = difflib.get_close_matches(key, keys, n=1)
                step = f"write {near[0]!r}" if near else f"use one of {', '.join(sorted(keys))}"
                raise self.error(f"{where} has {key!r}, which means nothing", step)

    def error(self, what: str, then: str) -> InputError:
        return InputError(f"columns file {self.path}: {' '.join(what.split())}; {then}")


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
