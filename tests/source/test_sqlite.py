import sqlite3
from pathlib import Path

import pytest
from data_fixtures import Rows, sqlite_source
from hypothesis import given
from hypothesis import strategies as st
from source_fixtures import opened, rows, table

from routing_ml.errors import InputError, SourceError
from routing_ml.source.sql import SqlRelation

# Every kind of type name that SQLite's documents list, what it is read as, and a value.
TYPES = {
    "INT": ("number", 3_000_000_000),
    "BIGINT": ("number", -(2**63)),
    "UNSIGNED BIG INT": ("number", 2**63 - 1),
    "BOOLEAN": ("number", 1),
    "DOUBLE PRECISION": ("number", 0.1 + 0.2),
    "FLOAT": ("number", 1e300),
    "DECIMAL(10,5)": ("number", 12.5),
    "NUMERIC": ("number", 7),
    "VARCHAR(255)": ("text", "가나다 😀"),
    "NATIVE CHARACTER(70)": ("text", "x" * 20_000),
    "CLOB": ("text", "a\0b"),
    "TEXT": ("text", "'"),
    "DATE": ("date", "2026-11-01"),
    "DATETIME": ("date", "2026-11-01 02:03:04"),
    "TIMESTAMP": ("date", "9999-12-31 00:00:00"),
    "BLOB": (None, b"\xff"),
    "VARBINARY(9)": (None, b"\xff"),
    "TIME": (None, "02:00"),
    "": ("text", "untyped"),
}


def test_each_declared_type_is_read_as_it_is_stored_or_left_out_by_name(tmp_path: Path) -> None:
    columns = {f"c{i}": kind for i, kind in enumerate(TYPES)}
    values = tuple(value for _, value in TYPES.values())
    source = sqlite_source(tmp_path / "f.sqlite", {"t": Rows(columns, [values])})
    with opened(source) as it:
        relation = it.relation(table("t"))
        kinds = {c.type_name: c.kind for c in relation.columns()}
        assert kinds == {name: kind for name, (kind, _) in TYPES.items()}
        assert all(bool(c.why) == (c.kind is None) for c in relation.columns())
        [row] = rows(relation)
    assert list(row) == [value for kind, value in TYPES.values() if kind]


def test_names_of_tables_and_columns_are_found_in_any_case(tmp_path: Path) -> None:
    rows_ = Rows({"größe ø": "REAL", "Z": "TEXT"}, [])
    source = sqlite_source(tmp_path / "f.sqlite", {"Teile Ü": rows_, "TWO": rows_})
    with opened(source) as it:
        relation = it.relation(table("TEILE Ü"))
        assert [c.name for c in relation.columns()] == ["größe ø", "Z"]
        with pytest.raises(SourceError, match=r"has no table 'three' \(it has: TWO, Teile Ü\)"):
            it.relation(table("three"))


def test_quotes_in_names_are_kept_apart_from_sql(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "f.sqlite") as connection:
        connection.execute('CREATE TABLE "a""b; DROP TABLE x" ("c""d" TEXT)')
        connection.execute("""INSERT INTO "a""b; DROP TABLE x" VALUES ('here')""")
    with opened(str(tmp_path / "f.sqlite")) as it:
        assert rows(it.relation(table('a"b; DROP TABLE x')), ['c"d']) == [("here",)]


def test_a_query_and_a_condition_take_a_tables_place(tmp_path: Path) -> None:
    source = sqlite_source(
        tmp_path / "f.sqlite", {"t": Rows({"a": "INTEGER", "b": "TEXT"}, [(1, "x"), (2, "y")])}
    )
    with opened(source) as it:
        asked = table(query="SELECT a * 10 AS ten, b FROM t")
        assert rows(it.relation(asked)) == [(10, "x"), (20, "y")]
        narrowed = table("t", where="b = 'y' OR b = 'z'")
        assert rows(it.relation(narrowed)) == [(2, "y")]
        commented = table(query="SELECT a, b FROM t -- all", where="b = 'y' -- but one")
        assert rows(it.relation(commented)) == [(2, "y")]
        with pytest.raises(InputError, match="no such column: c"):
            it.relation(table("t", where="c = 1")).columns()


@pytest.mark.parametrize(("counts", "accepted"), [((5, 7), True), ((7, 5), True), ((5, 5), False)])
def test_rows_that_come_and_go_while_a_live_source_is_read_are_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counts: tuple[int, int], accepted: bool
) -> None:
    source = sqlite_source(tmp_path / "f.sqlite", {"t": Rows({"A": "TEXT"}, [("x",)] * 6)})
    with opened(source) as it:
        relation = it.relation(table("t"))
        given_ = iter(counts)
        monkeypatch.setattr(SqlRelation, "count", lambda *_: next(given_))
        if accepted:
            assert len(rows(relation)) == 6
        else:
            with pytest.raises(InputError, match="has 6 rows where its header says 5"):
                rows(relation)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20))
def test_any_name_can_be_a_tables_and_a_columns(tmp_path_factory, name: str) -> None:
    path = tmp_path_factory.mktemp("names") / "f.sqlite"
    quoted = '"' + name.replace('"', '""') + '"'
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE {quoted} ({quoted} TEXT)")
        connection.execute(f"INSERT INTO {quoted} VALUES ('here')")
    connection.close()
    with opened(str(path)) as it:
        assert rows(it.relation(table(name)), [name]) == [("here",)]


def test_a_locked_file_and_a_damaged_one_are_told_apart(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("routing_ml.source.sqlite.WAIT_S", 0.05)
    path = tmp_path / "f.sqlite"
    sqlite_source(path, {"t": Rows({"A": "TEXT"}, [("x",)] * 5000)})
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA locking_mode = EXCLUSIVE")
    writer.execute("BEGIN EXCLUSIVE")
    with opened(str(path)) as it, pytest.raises(InputError, match="when its writer has ended") as e:
        it.relation(table("t"))
    assert not isinstance(e.value, SourceError)
    writer.close()
    path.write_bytes(path.read_bytes()[:5000])
    with opened(str(path)) as it, pytest.raises(SourceError, match="restore the file from a copy"):
        it.relation(table("t"))
