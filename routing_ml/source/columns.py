"""Reads the columns file: how an ERP names its tables and columns, in the product's terms."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from routing_ml.errors import InputError

DEFAULT_FILE = Path(__file__).with_name("columns.toml")

# key in the columns file -> (standard name, what its values are, whether it must be given)
ROUTING_COLUMNS = {
    "item": ("ITEM_CD", "code", True),
    "revision": ("ROUT_NO", "code", True),
    "sequence": ("PROC_SEQ", "whole number", True),
    "entered": ("INSRT_DT", "date", True),
    "operation": ("JOB_CD", "code", True),
    "operation_name": ("JOB_NM", "text", False),
    "resource": ("RES_CD", "code", False),
    "setup_minutes": ("SETUP_TIME", "number", False),
    "run_minutes": ("RUN_TIME", "number", False),
}
RESULT_COLUMNS = {
    "item": ("ITEM_CD", "code", True),
    "revision": ("ROUT_NO", "code", True),
    "sequence": ("PROC_SEQ", "whole number", True),
    "entered": ("REPORT_DT", "date", True),
    "machine_hours": ("MACH_WORKED_HOURS", "number", False),
    "setup_hours": ("SETUP_HOURS", "number", False),
    "quantity": ("ORDER_QTY", "number", False),
}
ITEM_COLUMNS = {
    "item": ("ITEM_CD", "code", True),
    "entered": ("INSRT_DT", "date", False),
}


@dataclass(frozen=True)
class Attributes:
    """What cannot be told from an attribute's type: the free texts, and the units of numbers."""

    text: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """One table of the ERP: `columns` maps standard names to the ERP's, absent ones left out."""

    role: str
    name: str
    columns: Mapping[str, str]
    kinds: Mapping[str, str]
    required: tuple[str, ...]
    ignore: tuple[str, ...] = ()

    @property
    def entered(self) -> str | None:
        """The standard name of the column that says when a row was entered, if there is one."""
        dated = (name for name, kind in self.kinds.items() if kind == "date")
        return next((name for name in dated if name in self.columns), None)


@dataclass(frozen=True)
class Columns:
    """The three tables and the attributes of items, as the columns file names them."""

    items: Table
    routings: Table
    results: Table | None
    attributes: Attributes

    @classmethod
    def load(cls, path: Path | None = None) -> "Columns":
        """The columns file at `path`, or the shipped factory's.

        Raises InputError where a key is missing, unknown or of another type than is due.
        """
        path = DEFAULT_FILE if path is None else Path(path)
        try:
            given = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError as error:
            raise InputError(
                f"columns file {path} is not there; correct ROUTING_ML_COLUMNS or --columns"
            ) from error
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InputError(f"columns file {path} cannot be read as TOML: {error}") from error
        return _Reader(path).columns(given)


class _Reader:
    """Checks one columns file; its errors name the file, the table and the key."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def columns(self, given: dict[str, Any]) -> Columns:
        self.known(given, {"items", "routings", "results"}, "the file")
        tables = {}
        for role in ("items", "routings", "results"):
            if role not in given and role == "results":
                continue
            if not isinstance(given.get(role), dict):
                raise self.error(f"it has no table [{role}]", f"add [{role}] with its columns")
            tables[role] = given[role]
        items = tables["items"]
        text = self.names(items, "items", "text")
        units = items.get("units", {})
        if not isinstance(units, dict) or not all(isinstance(u, str) for u in units.values()):
            raise self.error("[items.units] is no table of names", 'write SIZE = "SIZE_UNIT"')
        ignore = self.names(items, "items", "ignore")
        both = sorted(set(ignore) & (set(text) | set(units) | set(units.values())))
        if both:
            raise self.error(f"[items] ignores {both[0]!r} and uses it", "take it out of one")
        return Columns(
            items=self.table(items, "items", ITEM_COLUMNS, {"text", "ignore", "units"}, ignore),
            routings=self.table(tables["routings"], "routings", ROUTING_COLUMNS),
            results=self.table(tables["results"], "results", RESULT_COLUMNS)
            if "results" in tables
            else None,
            attributes=Attributes(text=text, units=units),
        )

    def table(
        self,
        given: dict[str, Any],
        role: str,
        standard: Mapping[str, tuple[str, str, bool]],
        more: frozenset[str] | set[str] = frozenset(),
        ignore: tuple[str, ...] = (),
    ) -> Table:
        self.known(given, {"table", *standard, *more}, f"[{role}]")
        for key in ("table", *(key for key, (_, _, must) in standard.items() if must)):
            if key not in given:
                raise self.error(f"[{role}] has no {key!r}", f'add {key} = "..." to it')
        for key in ("table", *standard):
            if key in given and not (isinstance(given[key], str) and given[key].strip()):
                raise self.error(
                    f"[{role}] {key} is {given[key]!r}, not a name", "write a quoted name"
                )
        taken: dict[str, str] = {}
        for key in standard:
            if key in given and taken.setdefault(given[key], key) != key:
                raise self.error(
                    f"[{role}] uses column {given[key]!r} as {taken[given[key]]!r} and as {key!r}",
                    "give each its own column",
                )
        return Table(
            role=role,
            name=given["table"],
            columns={name: given[key] for key, (name, _, _) in standard.items() if key in given},
            kinds={name: kind for name, kind, _ in standard.values()},
            required=tuple(name for name, _, must in standard.values() if must),
            ignore=ignore,
        )

    def names(self, given: dict[str, Any], role: str, key: str) -> tuple[str, ...]:
        value = given.get(key, [])
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise self.error(
                f"[{role}] {key} is {value!r}, not a list of names", 'write ["A", "B"]'
            )
        return tuple(value)

    def known(self, given: dict[str, Any], keys: set[str], where: str) -> None:
        for key in given:
            if key not in keys:
                raise self.error(
                    f"{where} has {key!r}, which means nothing", f"use one of {sorted(keys)}"
                )

    def error(self, what: str, then: str) -> InputError:
        return InputError(f"columns file {self.path}: {what}; {then}")
