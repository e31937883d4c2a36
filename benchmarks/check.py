"""What `check` finds in factories whose columns were mapped wrong, and in ones that are right; and
whether a retraining on each puts its first model into use.

    python benchmarks/check.py [--factory FILE.accdb]

Every factory is a database (the sample's rows in SQLite, changed as its name says), read through
the real extract with a columns file. The exit code is 1 where a wrong one is not named or goes into
use, or where a right one is named.
"""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from routing_ml import source
from routing_ml.errors import RoutingError
from routing_ml.pipeline import retrain
from routing_ml.settings import SAMPLE, Settings

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from data_fixtures import ITEMS, RESULTS, ROUTINGS, Rows, access_rows, sqlite_source  # noqa: E402

AS_OF = datetime(2026, 11, 1)
COLUMNS = Path(source.__file__).with_name("columns.toml").read_text(encoding="utf-8")
Tables = dict[str, Rows]


@dataclass(frozen=True)
class Case:
    """A factory: what to do with the sample's tables and columns file, and what must be named;
    `wanted` None means that nothing may be, "refused" that the extract must not take it."""

    name: str
    wanted: str | None
    change: Callable[[Tables], None] = lambda tables: None
    columns: str = COLUMNS
    source: Path | None = None
    limit: int = 100_000
    as_of: datetime = AS_OF


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--factory", type=Path, help="another Access file of the sample's kind")
    parser.add_argument("--only", default="", metavar="TEXT", help="factories named so")
    options = parser.parse_args()
    given = access_rows(SAMPLE)
    good = True
    print("| factory | check names | the retraining |\n|---|---|---|")
    for case in cases(options.factory):
        if options.only not in case.name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            found, ended = outcome(case, given, Path(folder))
        named = ", ".join(found) or "nothing"
        if case.wanted is None:
            fine = not found and ended == "promoted"
        else:
            fine = (case.wanted == "refused" or case.wanted in found) and ended != "promoted"
        good = good and fine
        print(f"| {case.name} | {named} | {ended}{'' if fine else ' **WRONG**'} |", flush=True)
    sys.exit(0 if good else 1)


def outcome(case: Case, given: Tables, folder: Path) -> tuple[list[str], str]:
    """The names of what check found, notes aside, and how the retraining ended."""
    tables = dict(given)
    case.change(tables)
    columns = folder / "columns.toml"
    columns.write_text(case.columns, encoding="utf-8")
    database = case.source or sqlite_source(folder / "factory.sqlite", tables)
    home = folder / "home"
    settings = Settings.from_env({"ROUTING_ML_HOME": str(home), "ROUTING_ML_SOURCE": str(database)})
    try:
        ended = "promoted" if retrained(case, settings, columns)["promoted"] else "waits"
    except RoutingError as error:
        ended = "stopped by " + str(error).partition(":")[0]
    checks = list(home.glob("runs/*/check.json"))
    findings = json.loads(checks[0].read_text(encoding="utf-8"))["findings"] if checks else []
    named = [f"{one['name']} ({one['level']})" for one in findings if one["level"] != "note"]
    return list(dict.fromkeys(named)), ended


def retrained(case: Case, settings: Settings, columns: Path) -> dict[str, Any]:
    return retrain(
        settings,
        as_of=case.as_of,
        columns=columns,
        limit=case.limit,
        candidates=["nearest"],
    )


def cases(factory: Path | None) -> Sequence[Case]:
    no_results = COLUMNS[: COLUMNS.index("[results]")]
    undated_items = COLUMNS.replace('entered = "INSRT_DT"\n', "", 1)
    right = [
        Case("the sample, in SQLite", None),
        Case("the sample", None, source=SAMPLE),
        *(
            Case(f"the sample, newest {limit:,} rows", None, source=SAMPLE, limit=limit)
            for limit in (1_000, 1_500, 3_000, 10_000)
        ),
        *(
            Case(f"the sample as of {year}", None, source=SAMPLE, as_of=datetime(year, 7, 1))
            for year in (2020, 2022, 2024)
        ),
        Case("the sample without its results", None, columns=no_results),
        Case("the sample without items' dates", None, columns=undated_items),
        Case("a tenth of the sample's items", None, change=tenth),
    ]
    if factory:
        right.append(Case(factory.stem, None, source=factory))
        right += [
            Case(f"{factory.stem}, newest {limit:,} rows", None, source=factory, limit=limit)
            for limit in (2_000, 10_000)
        ]
    swapped = re.sub(
        "ROUT_NO|PROC_SEQ", lambda m: {"R": "PROC_SEQ", "P": "ROUT_NO"}[m[0][0]], COLUMNS
    )
    return [
        *right,
        Case("revision and sequence swapped", "refused", columns=swapped),
        Case(
            "the same, revisions numbered", "revision and sequence swapped (error)",
            numbered, swapped,
        ),
        Case(
            "a row's number as revision", "one operation each (error)", row_numbers,
            COLUMNS.replace("ROUT_NO", "ROW_ID", 1),
        ),
        Case("all operations at 100", "ties of sequence (error)", tied),
        Case("a tenth of them", "ties of sequence (warning)", tied_in_some),
        Case("two plants under one item", "several operations at one number (error)", plants),
        Case("in a third of the items", "several operations at one number (warning)", some_plants),
        Case("rows doubled by a join", "repeated routings (warning)", doubled),
        Case("hours as minutes", "unit of time (error)", times(1 / 60)),
        Case("hours as minutes, no results", "unit of time (warning)", times(1 / 60), no_results),
        Case("seconds as minutes", "unit of time (error)", times(60)),
        Case("seconds as minutes, no results", "unit of time (warning)", times(60), no_results),
        Case("days as minutes", "unit of time (error)", times(1 / 1440)),
        Case("days as minutes, no results", "unit of time (error)", times(1 / 1440), no_results),
        Case("alternatives as revisions", "alternatives as revisions (warning)", alternatives),
        Case("one date for all", "one entry date (warning)", dated(ITEMS, ROUTINGS)),
        Case("one date for all routings", "one entry date (warning)", dated(ROUTINGS)),
        Case("one date for all items", "one entry date (warning)", dated(ITEMS)),
        Case("a number for each operation as its code", "operations all different (error)", lonely),
        Case("twenty items", "few items (error)", twenty),
    ]  # fmt: skip


# What is done to the sample's tables


def each(name: str, column: str, value: Callable[[tuple], Any]) -> Callable[[Tables], None]:
    """A change of one column of one table."""

    def change(tables: Tables) -> None:
        at = tables[name].index(column)
        rows = tables[name].rows
        tables[name] = tables[name].changed((*r[:at], value(r), *r[at + 1 :]) for r in rows)

    return change


def code(row: tuple) -> str:
    """The item of a row of any of the three tables, as it compares."""
    return str(row[0] or "").strip().upper()


def some(row: tuple, share: int) -> bool:
    """Whether a row's item is one of every `share` items."""
    return sum(code(row).encode()) % share == 0


def numbered(tables: Tables) -> None:
    """Revisions as 1, 2, 3 of their item, also in the results."""
    at = tables[ROUTINGS].index("ROUT_NO")
    entered = tables[ROUTINGS].index("INSRT_DT")
    numbers: dict[tuple[str, str], str] = {}
    count: dict[str, int] = {}
    for row in sorted(tables[ROUTINGS].rows, key=lambda row: str(row[entered])):
        if (code(row), row[at]) not in numbers:
            count[code(row)] = count.get(code(row), 0) + 1
            numbers[code(row), row[at]] = str(count[code(row)])
    for name in (ROUTINGS, RESULTS):
        renumber(tables, name, numbers)


def renumber(tables: Tables, name: str, numbers: dict[tuple[str, str], str]) -> None:
    at = tables[name].index("ROUT_NO")
    each(name, "ROUT_NO", lambda row: numbers.get((code(row), row[at]), "1"))(tables)


def row_numbers(tables: Tables) -> None:
    table = tables[ROUTINGS]
    columns = {**table.columns, "ROW_ID": "INTEGER"}
    tables[ROUTINGS] = Rows(columns, [(*row, n) for n, row in enumerate(table.rows)])


tied = each(ROUTINGS, "PROC_SEQ", lambda row: 100)


def tied_in_some(tables: Tables) -> None:
    at = tables[ROUTINGS].index("PROC_SEQ")
    each(ROUTINGS, "PROC_SEQ", lambda row: 100 if some(row, 10) else row[at])(tables)


def plants(tables: Tables, share: int = 1) -> None:
    """A second plant's routing of each item: the same but for its first operation, so that its
    numbers are of other operations."""
    table = tables[ROUTINGS]
    at = table.index("PROC_SEQ")
    moved = [row for row in table.rows if row[at] > 10 and some(row, share)]
    tables[ROUTINGS] = table.changed(
        [*table.rows, *((*row[:at], row[at] - 10, *row[at + 1 :]) for row in moved)]
    )


def some_plants(tables: Tables) -> None:
    plants(tables, 3)


def doubled(tables: Tables) -> None:
    tables[ROUTINGS] = tables[ROUTINGS].changed([*tables[ROUTINGS].rows] * 2)


def times(factor: float) -> Callable[[Tables], None]:
    def scale(tables: Tables, name: str) -> None:
        at = tables[ROUTINGS].index(name)
        each(ROUTINGS, name, lambda row: row[at] and float(row[at]) * factor)(tables)

    def change(tables: Tables) -> None:
        scale(tables, "SETUP_TIME")
        scale(tables, "RUN_TIME")

    return change


def alternatives(tables: Tables) -> None:
    """Every fourth item with an alternative of each routing, entered with it: without its second
    operation."""
    table = tables[ROUTINGS]
    at, revision = table.index("PROC_SEQ"), table.index("ROUT_NO")
    others = [
        (*row[:revision], f"{row[revision]}-ALT", *row[revision + 1 :])
        for row in table.rows
        if row[at] != 20 and some(row, 4)
    ]
    tables[ROUTINGS] = table.changed([*table.rows, *others])


def dated(*names: str) -> Callable[[Tables], None]:
    def change(tables: Tables) -> None:
        for name in names:
            each(name, "INSRT_DT", lambda row: datetime(2026, 1, 1))(tables)

    return change


def lonely(tables: Tables) -> None:
    each(ROUTINGS, "JOB_CD", lambda row: "-".join(map(str, row[:3])))(tables)


def tenth(tables: Tables) -> None:
    for name in (ITEMS, ROUTINGS, RESULTS):
        tables[name] = tables[name].changed(row for row in tables[name].rows if some(row, 10))


def twenty(tables: Tables) -> None:
    kept = {code(row) for row in tables[ITEMS].rows[:20]}
    for name in (ITEMS, ROUTINGS, RESULTS):
        tables[name] = tables[name].changed(row for row in tables[name].rows if code(row) in kept)


if __name__ == "__main__":
    main()
