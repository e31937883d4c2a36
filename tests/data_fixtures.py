"""Factories for the tests of extraction: the sample's rows in other databases, and one of its own
making, each as an ODBC connection string.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyodbc

AS_OF = datetime(2026, 11, 1)
SQL_TYPES = {
    str: "TEXT",
    bool: "BOOLEAN",
    int: "INTEGER",
    float: "DOUBLE PRECISION",
    Decimal: "NUMERIC(18,4)",
    datetime: "TIMESTAMP",
}
ITEMS = "dbo_BI_ITEM_INFO_VIEW"
ROUTINGS = "dbo_BI_ROUTING_VIEW"
RESULTS = "dbo_BI_WORK_ORDER_RESULTS"


@dataclass(frozen=True)
class Rows:
    """A table: its columns with their SQL types, and its rows."""

    columns: Mapping[str, str]
    rows: Sequence[tuple[Any, ...]]

    def changed(self, rows: Iterable[Sequence[Any]]) -> "Rows":
        return Rows(self.columns, [tuple(row) for row in rows])

    def index(self, name: str) -> int:
        return list(self.columns).index(name)


def access_rows(path: Path) -> dict[str, Rows]:
    """The three tables of the sample, read through MDBTools."""
    connection = pyodbc.connect(f"DRIVER={{MDBTools}};DBQ={path}", autocommit=True)
    # Read as the product reads it, but by the plainest of calls.
    connection.setdecoding(pyodbc.SQL_WCHAR, encoding="utf-8", ctype=pyodbc.SQL_CHAR)
    tables = {}
    for name in (ITEMS, ROUTINGS, RESULTS):
        cursor = connection.cursor().execute(f'SELECT * FROM "{name}"')
        columns = {column[0]: SQL_TYPES[column[1]] for column in cursor.description}
        tables[name] = Rows(columns, [tuple(row) for row in cursor.fetchall()])
    connection.close()
    return tables


def sqlite_source(path: Path, tables: Mapping[str, Rows]) -> str:
    """A new SQLite database with `tables`."""
    connection = sqlite3.connect(path)
    for name, table in tables.items():
        columns = ", ".join(f'"{column}" {kind}' for column, kind in table.columns.items())
        connection.execute(f'CREATE TABLE "{name}" ({columns})')
        marks = ", ".join("?" * len(table.columns))
        rows = ([_plain(value) for value in row] for row in table.rows)
        connection.executemany(f'INSERT INTO "{name}" VALUES ({marks})', rows)
    connection.commit()
    connection.close()
    return f"DRIVER={{SQLite3}};Database={path}"


def postgres_tables(url: str, tables: Mapping[str, Rows], schema: str = "public") -> None:
    """`tables` in a schema of a PostgreSQL database."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
        for name, table in tables.items():
            columns = ", ".join(f'"{column}" {kind}' for column, kind in table.columns.items())
            connection.execute(f'CREATE TABLE "{schema}"."{name}" ({columns})')
            copy = f'COPY "{schema}"."{name}" FROM STDIN'
            with connection.cursor() as cursor, cursor.copy(copy) as rows:
                for row in table.rows:
                    rows.write_row(row)


def odbc(url: str) -> str:
    """The ODBC connection string of a PostgreSQL database, given its URL."""
    at = urlsplit(url)
    # Debian's driver takes the password URL-encoded, as it stands in the URL.
    return (
        f"DRIVER={{PostgreSQL Unicode}};SERVER={at.hostname};PORT={at.port};"
        f"DATABASE={at.path[1:]};UID={at.username};PWD={at.password}"
    )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return float(value) if isinstance(value, Decimal) else value


def small_factory(seed: int = 0, items: int = 60) -> dict[str, Rows]:
    """Few items with all that makes picking the newest revisions hard: undated rows, revisions
    entered bit by bit, ties, other spellings, repeated rows, missing codes, later rows.
    """
    random = np.random.default_rng(seed)
    days = [AS_OF - timedelta(days=int(day)) for day in random.integers(-20, 60, size=40)]
    masters, routings = [], []
    for number in range(items):
        code = f"IT-{number:03}"
        masters.append((code, _pick(random, [*days, None]), float(random.integers(10, 90)), "MM"))
        for revision in range(1, int(random.integers(1, 4)) + 1):
            entered = _pick(random, [*days, None])
            for sequence in range(10, 10 * int(random.integers(2, 9)), 10):
                if random.random() < 0.1:
                    entered = _pick(random, [*days, None])
                chance = random.random()
                written = f" {code.lower()} " if chance < 0.1 else code
                written = None if chance > 0.97 else "  " if chance > 0.95 else written
                operation = f"J{int(random.integers(1, 9))}"
                minutes = round(float(random.random() * 90), 2)
                row = (written, str(revision), sequence, entered, operation, minutes, minutes / 4)
                routings += [row] * (2 if random.random() < 0.03 else 1)
    order = random.permutation(len(routings))
    return {
        "items": Rows(
            {
                "ITEM_CD": "TEXT",
                "INSRT_DT": "TIMESTAMP",
                "SIZE": "DOUBLE PRECISION",
                "UNIT": "TEXT",
            },
            masters,
        ),
        "routings": Rows(
            {
                "ITEM_CD": "TEXT",
                "ROUT_NO": "TEXT",
                "PROC_SEQ": "INTEGER",
                "INSRT_DT": "TIMESTAMP",
                "JOB_CD": "TEXT",
                "RUN_TIME": "DOUBLE PRECISION",
                "SETUP_TIME": "DOUBLE PRECISION",
            },
            [routings[index] for index in order],
        ),
    }


SMALL_COLUMNS = """
[items]
table = "items"
item = "ITEM_CD"
entered = "INSRT_DT"
[items.units]
SIZE = "UNIT"
[routings]
table = "routings"
item = "ITEM_CD"
revision = "ROUT_NO"
sequence = "PROC_SEQ"
entered = "INSRT_DT"
operation = "JOB_CD"
run_minutes = "RUN_TIME"
setup_minutes = "SETUP_TIME"
"""


def expected_routings(table: Rows, as_of: datetime, limit: int) -> list[tuple[Any, ...]]:
    """The rows that are to be extracted, by the plainest of means: whole revisions, the newest
    (by their newest row, ties by key) as long as they fit.
    """
    oldest = datetime.min
    revisions: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for row in table.rows:
        if row[3] is None or row[3] <= as_of:
            key = ((row[0] or "").strip().upper(), row[1].strip().upper())
            revisions.setdefault(key, []).append(row)
    if sum(map(len, revisions.values())) > limit:
        newest = {key: max(row[3] or oldest for row in rows) for key, rows in revisions.items()}
        kept: list[tuple[Any, ...]] = []
        order = sorted(revisions, key=lambda key: key)
        for key in sorted(order, key=lambda key: newest[key], reverse=True):
            if len(kept) + len(revisions[key]) > limit:
                return kept
            kept += revisions[key]
    return [row for rows in revisions.values() for row in rows]


def _pick(random: np.random.Generator, choices: Sequence[Any]) -> Any:
    return choices[int(random.integers(len(choices)))]
