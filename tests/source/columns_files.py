"""Columns files in random shapes, over a small SQLite database whose tables and columns have random
names, with what is to be read by each.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from data_fixtures import AS_OF, Rows
from hypothesis import strategies as st

WORDS = {"seconds": 1 / 60, "minutes": 1.0, "hours": 60.0, "days": 1440.0}
UNITS = {"MIN": 1.0, "h": 60.0, "Sec.": 1 / 60, None: 1.0, "TAG": 1440.0, "분": 1.0}
ITEM_FIELDS = {"company": "INTEGER", "part": "TEXT", "size": "REAL", "unit": "TEXT", "note": "TEXT",
               "buyer": "TEXT", "created": "DATE"}  # fmt: skip
STEP_FIELDS = {
    "company": "INTEGER", "part": "TEXT", "rev": "INTEGER", "alt": "TEXT", "number": "INTEGER",
    "job": "TEXT", "title": "TEXT", "machine": "TEXT", "setup": "REAL", "run": "REAL",
    "run_unit": "TEXT", "setup_unit": "TEXT", "pieces": "REAL", "state": "TEXT", "since": "DATE",
    "until": "DATE", "entered": "DATE", "inside": "TEXT",
}  # fmt: skip
RESULT_FIELDS = {"company": "INTEGER", "part": "TEXT", "rev": "INTEGER", "number": "INTEGER",
                 "reported": "DATE", "hours": "REAL", "qty": "REAL"}  # fmt: skip
FIELDS = {"items": ITEM_FIELDS, "routings": STEP_FIELDS, "results": RESULT_FIELDS}
OPTIONAL = {"entered": "entered", "operation_name": "title", "alternative": "alt",
            "setup_minutes": "setup", "run_minutes": "run", "inside": "inside",
            "resource": "machine", "valid_from": "since", "valid_to": "until"}  # fmt: skip
MOMENTS = [None, datetime(2020, 10, 9), datetime(2026, 10, 31), AS_OF, datetime(2026, 11, 2)]

# What SQLite and TOML take for a name; one that is a unit's word would be taken for that.
names = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=9
).filter(
    lambda name: (
        name.strip()
        and name.strip().casefold() not in WORDS
        and not name.casefold().startswith("sqlite")  # its own
    )
)


@dataclass
class File:
    """A columns file as a dictionary, the database it is for, and the rows that it means."""

    given: dict[str, Any]
    tables: dict[str, Rows]
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def toml(given: Mapping[str, Any]) -> str:
    """`given` as TOML, whatever may be wrong with it."""
    plain = {k: v for k, v in given.items() if not isinstance(v, dict)}
    lines = [f"{_quoted(key)} = {_value(value)}" for key, value in plain.items()]
    for key, table in given.items():
        if isinstance(table, dict):
            # Sub-tables inline: in any order they mean the same.
            lines.append(f"[{_quoted(key)}]")
            lines += [f"{_quoted(k)} = {_value(v)}" for k, v in table.items()]
    return "\n".join(lines) + "\n"


def write(path: Path, tables: Mapping[str, Rows]) -> None:
    """A new SQLite database with `tables`, whatever their names."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        for name, table in tables.items():
            columns = ", ".join(
                f"{quoted(column)} {kind}" for column, kind in table.columns.items()
            )
            connection.execute(f"CREATE TABLE {quoted(name)} ({columns})")
            marks = ", ".join("?" * len(table.columns))
            rows = [[str(v) if isinstance(v, datetime) else v for v in row] for row in table.rows]
            connection.executemany(f"INSERT INTO {quoted(name)} VALUES ({marks})", rows)
        connection.commit()


def quoted(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'


@st.composite
def files(draw: st.DrawFn) -> File:
    """A columns file that is right."""
    title, spelled = {}, {}
    for role, fields in FIELDS.items():
        before, after = draw(names), draw(names)
        title[role] = f"{before}{role}{after}"
        spelled[role] = {of: f"{after}{of}{before}" for of in fields}
    number_type = draw(st.sampled_from(["INTEGER", "TEXT"]))
    shape = Shape(draw, title, spelled)
    contents = {role: draw(st.lists(_row(role), max_size=8)) for role in FIELDS}
    given = {"items": shape.items(), "routings": shape.routings()}
    if draw(st.booleans()):
        given["results"] = shape.results()
    if draw(st.booleans()):
        given["accept"] = draw(st.lists(names, max_size=2))
    file = File(given, {})
    for role, fields in FIELDS.items():
        rows = contents[role]
        types = {
            spelled[role][f]: number_type if f == "number" else kind for f, kind in fields.items()
        }
        if number_type == "TEXT" and "number" in fields:
            rows = [row | {"number": f"{row['number']:04}"} for row in rows]
        stored = [tuple(row[of] for of in fields) for row in rows]
        file.tables[title[role]] = Rows(types, stored)
    for role in given.keys() & FIELDS.keys():
        file.rows[role] = shape.expected(role, contents[role])
    return file


class Shape:
    """Draws what a columns file says, and remembers it to say what is to be read."""

    def __init__(
        self, draw: st.DrawFn, title: dict[str, str], spelled: dict[str, dict[str, str]]
    ) -> None:
        self.draw, self.title, self.spelled = draw, title, spelled
        self.keys: dict[str, dict[str, list[str]]] = {role: {} for role in FIELDS}
        self.key = draw(st.sampled_from([["part"], ["company", "part"], ["part", "company"]]))
        self.smallest: dict[str, float | None] = {}
        self.ignored: list[str] = []
        self.active: list[str] | None = None
        self.run_unit: float | str = 1.0
        self.setup_unit: float | str = 1.0
        self.per: float | str = 1.0

    def maybe(self) -> bool:
        return self.draw(st.booleans())

    def name(self, role: str, of: str) -> str:
        """A column's name, now and then in another case."""
        name = self.spelled[role][of]
        other = name.swapcase()
        return other if other.casefold() == name.casefold() and self.maybe() else name

    def table(self, role: str, number: str) -> dict[str, Any]:
        """A table or a query, narrowed by the query, by `where` or not at all."""
        source, column = quoted(self.title[role]), quoted(self.spelled[role][number])
        least = self.draw(st.sampled_from([None, 2.0]))
        self.smallest[role] = least
        condition = f"{column} IS NULL OR {column} >= 2 OR 'a; -- b' = '?'"
        if self.maybe():
            query = f"SELECT * FROM {source}" + self.draw(
                st.sampled_from(["", ";", "\n-- end", " "])
            )
            if least is None:
                return {"query": query}
            if self.maybe():
                return {"query": f"\nSELECT *\nFROM {source}\nWHERE {condition}\n"}
            return {"query": query, "where": condition}
        return {"table": self.title[role]} | ({} if least is None else {"where": condition})

    def put(self, role: str, into: dict[str, Any], key: str, *fields: str) -> None:
        """Say that a key is a column, or several joined."""
        listed = [self.name(role, of) for of in fields]
        into[key] = listed if len(listed) > 1 or (key == "item" and self.maybe()) else listed[0]
        self.keys[role][key] = list(fields)

    def items(self) -> dict[str, Any]:
        given = self.table("items", "size")
        self.put("items", given, "item", *self.key)
        if self.maybe():
            self.put("items", given, "entered", "created")
        if self.maybe():
            given["text"] = [self.name("items", "note")]
        if self.maybe():
            self.ignored = ["buyer"]
            given["ignore"] = [self.name("items", "buyer")]
        if self.maybe():
            given["units"] = {self.name("items", "size"): self.name("items", "unit")}
        return given

    def routings(self) -> dict[str, Any]:
        draw, given = self.draw, self.table("routings", "setup")
        self.put("routings", given, "item", *self.key)
        self.put("routings", given, "revision", *draw(st.sampled_from([["rev"], ["alt", "rev"]])))
        self.put("routings", given, "sequence", "number")
        self.put("routings", given, "operation", *draw(st.sampled_from([["job"], ["job", "alt"]])))
        for key, of in OPTIONAL.items():
            if self.maybe():
                self.put("routings", given, key, of)
        if self.maybe():
            self.put("routings", given, "status", "state")
            self.active = draw(st.lists(st.sampled_from(["rel", "OK"]), min_size=1, unique=True))
            given["active"] = self.active
        self.run_unit = self.unit(given, "run_time_unit", "run_unit", 1.0)
        self.setup_unit = self.unit(given, "setup_time_unit", "setup_unit", self.run_unit)
        if self.maybe():
            self.per = draw(st.sampled_from(["pieces", 10, 2.5]))
            is_column = self.per == "pieces"
            given["per_quantity"] = self.name("routings", "pieces") if is_column else self.per
        return given

    def unit(self, given: dict[str, Any], key: str, of: str, default: float | str) -> float | str:
        """Minutes in one of a drawn unit, or the field that says so."""
        chosen = self.draw(st.sampled_from([None, of, *WORDS]))
        if chosen is None:
            return default
        if chosen == of:
            given[key] = self.name("routings", of)
            return of
        given[key] = self.draw(st.sampled_from([chosen, chosen.upper(), f" {chosen.title()} "]))
        return WORDS[chosen]

    def results(self) -> dict[str, Any]:
        given = self.table("results", "hours")
        self.put("results", given, "item", *self.key)
        self.put("results", given, "revision", "rev")
        self.put("results", given, "sequence", "number")
        self.put("results", given, "entered", "reported")
        for key, of in (("machine_hours", "hours"), ("quantity", "qty")):
            if self.maybe():
                self.put("results", given, key, of)
        return given

    def expected(self, role: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows of a role under the keys of the columns file; attributes under their names."""
        number = {"items": "size", "routings": "setup", "results": "hours"}[role]
        found = []
        for row in rows:
            if self.smallest[role] and row[number] is not None and row[number] < 2:
                continue
            new = {key: _joined(row, fields) for key, fields in self.keys[role].items()}
            if role == "routings":
                if not self.holds(new):
                    continue
                self.in_minutes(new, row)
            if (new.get("entered") or datetime.min) > AS_OF:
                continue
            new = {k: v for k, v in new.items() if k not in ("status", "valid_from", "valid_to")}
            if role == "items":
                used = {of for fields in self.keys[role].values() for of in fields}
                rest = {of: value for of, value in row.items() if of not in {*used, *self.ignored}}
                new |= {self.spelled[role][of]: value for of, value in rest.items()}
            found.append(new)
        return found

    def holds(self, new: dict[str, Any]) -> bool:
        """Whether a row of a routing counts at the as-of."""
        if self.active is not None:
            written = (new["status"] or "").strip().casefold()
            if written not in {value.casefold() for value in self.active}:
                return False
        since, until = new.get("valid_from"), new.get("valid_to")
        return not (since and since > AS_OF) and not (until and until.date() < AS_OF.date())

    def in_minutes(self, new: dict[str, Any], row: dict[str, Any]) -> None:
        per = (row["pieces"] or 1) if self.per == "pieces" else float(self.per)
        for key, unit, pieces in (
            ("setup_minutes", self.setup_unit, 1.0),
            ("run_minutes", self.run_unit, per),
        ):
            if new.get(key) is not None:
                factor = UNITS[row[unit]] if isinstance(unit, str) else unit
                new[key] = new[key] * factor / pieces


def _joined(row: Mapping[str, Any], fields: list[str]) -> Any:
    values = [row[of] for of in fields]
    if len(values) == 1:
        return values[0]
    missing = any(value is None or not str(value).strip() for value in values)
    return None if missing else "/".join(str(value).strip() for value in values)


def _row(role: str) -> st.SearchStrategy[dict[str, Any]]:
    text = st.sampled_from(["A", "b 1", "Ö'", None])
    values: dict[str, st.SearchStrategy[Any]] = {
        "company": st.sampled_from([1, 2, None]), "rev": st.integers(1, 12),
        "number": st.integers(1, 120), "size": st.sampled_from([None, 0.5, 2.0, 3.25]),
        "setup": st.sampled_from([None, 0.0, 2.0, 15.5]), "run": st.sampled_from([None, 0.1, 7.0]),
        "hours": st.sampled_from([None, 1.5, 2.0]), "qty": st.sampled_from([1.0, 20.0]),
        "run_unit": st.sampled_from(list(UNITS)), "setup_unit": st.sampled_from(list(UNITS)),
        "pieces": st.sampled_from([None, 1.0, 100.0]),
        "state": st.sampled_from(["REL", " rel ", "ok", "NEW", None]),
    }  # fmt: skip
    moments = st.sampled_from(MOMENTS)
    kinds = FIELDS[role]
    return st.fixed_dictionaries(
        {of: moments if kind == "DATE" else values.get(of, text) for of, kind in kinds.items()}
    )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_quoted(k)} = {_value(v)}" for k, v in value.items()) + " }"
    return repr(value)
