from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pyodbc
import pytest
from data_fixtures import Rows, odbc, postgres_tables
from postgresql import PostgreSQL
from source_fixtures import opened, rows, table

from routing_ml.errors import InputError, SourceError
from routing_ml.source import sql, typed, types

OPEN_END = datetime(9999, 12, 31, 23, 59, 59, 999999)
# Each type of the list: a literal, and what it means.
LITERALS: dict[str, list[tuple[str, Any]]] = {
    "smallint": [("-32768", -32768)],
    "integer": [("-2147483648", -(2**31))],
    "bigint": [("9007199254740991", 2**53 - 1), ("-9007199254740991", -(2**53) + 1)],
    "real": [("0.15", 0.15), ("'NaN'", None), ("3e38", 3e38)],
    "double precision": [("0.1::float8 + 0.2::float8", 0.1 + 0.2), ("5e-324", 5e-324)],
    "numeric": [("12345.678901", 12345.678901), ("'NaN'", None)],
    "boolean": [("true", 1.0), ("false", 0.0)],
    "text": [("repeat('가', 20000)", "가" * 20000), ("''", ""), ("'a😀''b'", "a😀'b")],
    "character varying": [("repeat('x', 10000)", "x" * 10000)],
    "character": [("'x'", "x")],
    '"char"': [("'x'", "x")],
    "name": [("'n'", "n")],
    "uuid": [("'{6f9619ff-8b86-d011-b42d-00c04fc964ff}'", "6f9619ff-8b86-d011-b42d-00c04fc964ff")],
    "date": [
        ("'2026-11-01'", datetime(2026, 11, 1)),
        ("'infinity'", OPEN_END),
        ("'-infinity'", datetime.min),
    ],
    "timestamp without time zone": [
        ("'2026-11-01 02:03:04.123456'", datetime(2026, 11, 1, 2, 3, 4, 123456)),
        ("'0001-01-01'", datetime.min),
        ("'infinity'", OPEN_END),
    ],
    "timestamp with time zone": [
        ("'2026-11-01 00:00:00Z'", datetime(2026, 11, 1, 9)),
        ("'2026-11-01 00:00:00-05'", datetime(2026, 11, 1, 14)),
        ("'infinity'", OPEN_END),
    ],
}
OTHERS = ("bytea", "json", "jsonb", "integer[]", "interval", "time", "timetz", "inet", "int4range",
          "money", "point", "xml", "bit(3)", "tsvector")  # fmt: skip


@pytest.mark.parametrize("kind", [*LITERALS])
def test_each_type_of_the_list_is_read_right(postgresql: PostgreSQL, kind: str) -> None:
    url = postgresql.fresh("types")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE t (n serial, v {kind})")
        for literal, _ in [*LITERALS[kind], ("NULL", None)]:
            connection.execute(f"INSERT INTO t (v) VALUES ({literal})")
    with opened(odbc(url)) as it:
        relation = it.relation(table("t"))
        column = next(c for c in relation.columns() if c.name == "v")
        assert column.type_name == kind
        found = [value for _, value in sorted(rows(relation, ["n", "v"]))]
    got = typed.array(found, column.kind or "").to_pylist()
    assert got == [value for _, value in [*LITERALS[kind], ("NULL", None)]]


def test_every_type_of_the_list_is_tried() -> None:
    assert {*LITERALS, "citext"} == set(types.POSTGRESQL)


@pytest.mark.parametrize("kind", OTHERS)
def test_any_other_type_is_left_out_by_name(postgresql: PostgreSQL, kind: str) -> None:
    url = postgresql.fresh("others")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE t (v {kind})")
    with opened(odbc(url)) as it:
        [column] = it.relation(table("t")).columns()
    assert column.kind is None
    assert "are not read" in column.why


@pytest.mark.parametrize("literal", ["'0044-03-15 BC'", "'12000-01-01'"])
@pytest.mark.parametrize("kind", ["date", "timestamp", "timestamptz"])
def test_a_moment_outside_the_calendar_is_an_error(
    postgresql: PostgreSQL, kind: str, literal: str
) -> None:
    url = postgresql.fresh("calendar")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE t AS SELECT {literal}::{kind} AS v")
    with opened(odbc(url)) as it:
        [(found,)] = rows(it.relation(table("t")))
    with pytest.raises(typed.ConversionError):
        typed.array([found], "date")


def test_moments_with_a_zone_are_read_in_the_factorys_whatever_the_servers(
    postgresql: PostgreSQL,
) -> None:
    url = postgresql.fresh("zones")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE t AS SELECT '2026-07-01 12:00Z'::timestamptz AS v")
        connection.execute("ALTER DATABASE zones SET timezone TO 'America/New_York'")
    for zone, hour in (("Asia/Seoul", 21), ("Europe/Berlin", 14)):
        with opened(odbc(url), ZoneInfo(zone)) as it:
            [(found,)] = rows(it.relation(table("t")))
        assert typed.array([found], "date").to_pylist() == [datetime(2026, 7, 1, hour)]


def test_a_query_has_the_types_of_its_columns(postgresql: PostgreSQL) -> None:
    url = postgresql.fresh("query")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (a real, b timestamptz, c jsonb)")
    with opened(odbc(url)) as it:
        relation = it.relation(table(query="SELECT a, b, c, c->>'x' AS d FROM t;".rstrip(";")))
        kinds = {c.name: (c.type_name, c.kind) for c in relation.columns()}
    assert kinds == {
        "a": ("real", "number"),
        "b": ("timestamp with time zone", "date"),
        "c": ("jsonb", None),
        "d": ("text", "text"),
    }


def test_what_it_cannot_be_asked_is_a_fault_of_the_columns_file(postgresql: PostgreSQL) -> None:
    with (
        opened(odbc(postgresql.url)) as source,
        pytest.raises(
            InputError, match=r"syntax error .*; check what the columns file asks it for"
        ),
    ):
        source.relation(table(query="DELETE FROM t")).columns()


def test_a_table_outside_the_search_path_is_told_with_its_schema(postgresql: PostgreSQL) -> None:
    url = postgresql.fresh("schemas")
    postgres_tables(url, {"Größe 가": Rows({"a": "INTEGER"}, [(1,)])}, schema="erp")
    with opened(odbc(url)) as it:
        with pytest.raises(
            SourceError, match=r'outside the search path; write table = "erp\.Größe'
        ):
            it.relation(table("Größe 가"))
        assert rows(it.relation(table("erp.größe 가"))) == [(1,)]
        with pytest.raises(SourceError, match=r"has no table 'other\.Größe 가'"):
            it.relation(table("other.Größe 가"))


def test_postgresql_does_not_hold_a_whole_result_in_memory(postgresql: PostgreSQL) -> None:
    url = postgresql.fresh("cursors")
    postgres_tables(url, {"t": Rows({"a": "INTEGER", "ok": "BOOLEAN"}, [(1, True)] * 9_000)})
    with opened(odbc(url)) as it:
        relation = it.relation(table("t"))
        batches = relation.batches(["a"])
        assert len(next(batches)[0]) == sql.BATCH_ROWS
        [[cursors]] = it.fetch(it.execute("SELECT count(*) FROM pg_cursors"), "")
        assert cursors >= 1
        assert sum(len(values[0]) for values in batches) == 9_000 - sql.BATCH_ROWS


def test_a_secret_in_a_drivers_error_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(text: str, **_: Any) -> None:
        raise pyodbc.Error("08001", f"cannot connect with a;b}}c and {text}")

    monkeypatch.setattr(pyodbc, "connect", connect)
    with pytest.raises(InputError) as failed, opened("DRIVER={X};PWD={a;b}}c}"):
        pass
    assert "a;b" not in str(failed.value)
    assert "cannot connect with *** and" in str(failed.value)


def test_a_data_source_name_of_sqlites_driver_is_read_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver cuts whole numbers to 32 bits."""
    from data_fixtures import sqlite_source

    sqlite_source(tmp_path / "f.sqlite", {"t": Rows({"a": "INTEGER"}, [(3_000_000_000,)])})
    ini = tmp_path / "odbc.ini"
    ini.write_text(f"[factory]\nDriver=SQLite3\nDatabase={tmp_path / 'f.sqlite'}\n")
    monkeypatch.setenv("ODBCINI", str(ini))
    with opened("DSN=factory") as it:
        assert rows(it.relation(table("t"))) == [(3_000_000_000,)]
