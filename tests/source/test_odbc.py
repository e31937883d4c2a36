import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyodbc
import pytest
from conftest import SAMPLE
from data_fixtures import ROUTINGS, Rows, odbc, postgres_tables, sqlite_source
from postgresql import PostgreSQL

from routing_ml.errors import InputError
from routing_ml.source import odbc as module
from routing_ml.source.odbc import Selection, Source, connection_string, label

PAGE_BYTES = 4096
ROWS_OF_SAMPLE = 19_786
ROWS_OF_TRUNCATED = 9_366
TRUNCATED_BYTES = 1_000 * PAGE_BYTES
CODES = Selection(ROUTINGS, ("ITEM_CD", "ROUT_NO", "PROC_SEQ"))


def codes(path: Path) -> list[tuple[Any, ...]]:
    with Source(str(path)) as source:
        return [tuple(row) for rows in source.batches(CODES) for row in rows]


@pytest.mark.parametrize("divisor", [1, 2, 13, 761])
def test_a_table_whose_rows_fill_the_last_batch_is_read_once(
    monkeypatch: pytest.MonkeyPatch, divisor: int
) -> None:
    whole = codes(SAMPLE)
    assert ROWS_OF_SAMPLE % divisor == 0
    monkeypatch.setattr(module, "BATCH_ROWS", ROWS_OF_SAMPLE // divisor)
    assert codes(SAMPLE) == whole
    assert len(set(whole)) == len(whole) == ROWS_OF_SAMPLE


@pytest.mark.parametrize("batch_rows", [ROWS_OF_TRUNCATED, ROWS_OF_TRUNCATED // 2, 4_000])
def test_a_file_truncated_at_the_end_of_a_batch_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_rows: int
) -> None:
    path = tmp_path / "f.accdb"
    path.write_bytes(SAMPLE.read_bytes()[:TRUNCATED_BYTES])
    monkeypatch.setattr(module, "BATCH_ROWS", batch_rows)
    with pytest.raises(InputError, match=f"{ROWS_OF_TRUNCATED} rows where its header says"):
        codes(path)


class Cursor:
    """MDBTools as it was measured: past the end it says so once, then repeats the last page."""

    def __init__(self, rows: int, count: int) -> None:
        self.left, self.count, self.ended = list(range(rows)), count, False

    def execute(self, sql: str, *parameters: Any) -> "Cursor":
        return self

    def fetchone(self) -> tuple[str]:
        return (str(self.count),)

    def fetchmany(self, size: int) -> list[tuple[int]]:
        assert not self.ended, "a fetch past the end"
        taken, self.left = self.left[:size], self.left[size:]
        self.ended = len(taken) < size
        return [(row,) for row in taken]

    def close(self) -> None:
        pass


@pytest.mark.parametrize("rows", [0, 1, 9, 10, 11, 20, 25])
def test_nothing_is_fetched_after_the_end(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(module, "BATCH_ROWS", 10)
    source = Source(str(SAMPLE))
    monkeypatch.setattr(source, "_execute", Cursor(rows, rows).execute)
    assert [row[0] for batch in source.batches(CODES) for row in batch] == list(range(rows))
    if rows:
        short: Callable[..., Cursor] = Cursor(rows - 1, rows).execute
        monkeypatch.setattr(source, "_execute", short)
        with pytest.raises(InputError, match=f"{rows - 1} rows where its header says {rows}"):
            list(source.batches(CODES))


@pytest.mark.parametrize(("counts", "accepted"), [((5, 7), True), ((7, 5), True), ((5, 5), False)])
def test_rows_that_come_and_go_while_a_live_source_is_read_are_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counts: tuple[int, int], accepted: bool
) -> None:
    rows = Rows({"A": "TEXT"}, [("x",)] * 6)
    with Source(sqlite_source(tmp_path / "f.sqlite", {"t": rows})) as source:
        given = iter(counts)
        monkeypatch.setattr(source, "count", lambda selection: next(given))
        batches = source.batches(Selection("t", ("A",)))
        if accepted:
            assert sum(map(len, batches)) == 6
        else:
            with pytest.raises(InputError, match="has 6 rows where its header says 5"):
                list(batches)


def test_a_damaged_file_makes_the_driver_print_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for pages in (10, 60, 1_000):
        path = tmp_path / f"{pages}.accdb"
        path.write_bytes(SAMPLE.read_bytes()[: pages * PAGE_BYTES])
        with pytest.raises(InputError), Source(str(path)) as source:
            source.types(source.table(ROUTINGS))
            list(source.batches(CODES))
    print("still there")
    assert capfd.readouterr() == ("still there\n", "")


def test_names_of_tables_and_columns_are_found_in_any_case(tmp_path: Path) -> None:
    rows = Rows({"größe ø": "REAL", "Z": "TEXT"}, [])
    with Source(sqlite_source(tmp_path / "f.sqlite", {"Teile Ü": rows, "TWO": rows})) as source:
        assert source.table("TEILE Ü") == "Teile Ü"
        assert source.types("Teile Ü") == {"größe ø": float, "Z": str}
    assert module.spelled("ab", ["AB", "Ab"]) is None
    assert module.spelled("Ab", ["AB", "Ab"]) == "Ab"


def test_quotes_in_names_are_kept_apart_from_sql(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "f.sqlite") as connection:
        connection.execute('CREATE TABLE "a""b; DROP TABLE x" ("c""d" TEXT)')
        connection.execute("""INSERT INTO "a""b; DROP TABLE x" VALUES ('here')""")
    with Source(f"DRIVER={{SQLite3}};Database={tmp_path / 'f.sqlite'}") as source:
        [rows] = source.batches(Selection('a"b; DROP TABLE x', ('c"d',)))
    assert rows[0][0] == "here"


def test_postgresql_does_not_hold_a_whole_result_in_memory(postgresql: PostgreSQL) -> None:
    url = postgresql.fresh("cursors")
    postgres_tables(url, {"t": Rows({"a": "INTEGER", "ok": "BOOLEAN"}, [(1, True)] * 9_000)})
    with Source(odbc(url)) as source:
        assert source.types("t") == {"a": int, "ok": float}
        batches = source.batches(Selection("t", ("a",)))
        assert len(next(batches)) == module.BATCH_ROWS
        statement = "SELECT count(*) FROM pg_cursors"
        [[cursors]] = source.rows(statement)
        assert cursors >= 1
        assert sum(map(len, batches)) == 9_000 - module.BATCH_ROWS


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("DRIVER={X};UID=me;PWD=secret", "DRIVER={X};UID=me;PWD=***"),
        ("driver=X;pwd = secret ;uid=me", "driver=X;pwd =***;uid=me"),
        ("DSN=x;Password={se;cr}}et};A=b", "DSN=x;Password=***;A=b"),
        ("DSN=x;AccessToken=secret=;A=b", "DSN=x;AccessToken=***;A=b"),
        ("DSN=x;PWD=a=secret;A=b", "DSN=x;PWD=***;A=b"),
        ("postgresql://ml:secret@erp/x", "postgresql://ml:***@erp/x"),
        ("/data/factory.accdb", "/data/factory.accdb"),
    ],
)
def test_a_label_shows_no_secret(source: str, shown: str) -> None:
    assert label(source) == shown


def test_a_secret_in_a_drivers_error_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(text: str, **_: Any) -> None:
        raise pyodbc.Error("08001", f"cannot connect with a;b}}c and {text}")

    monkeypatch.setattr(pyodbc, "connect", connect)
    with pytest.raises(InputError) as failed:
        Source("DRIVER={X};PWD={a;b}}c}")
    assert "a;b" not in str(failed.value)
    assert "cannot connect with *** and" in str(failed.value)


def test_a_path_becomes_a_connection_string_for_the_driver_that_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(SAMPLE.parent)
    assert connection_string(SAMPLE.name) == f"DRIVER={{MDBTools}};DBQ={SAMPLE}"
    assert connection_string("DSN=erp") == "DSN=erp"
    monkeypatch.setattr(pyodbc, "drivers", lambda: [module.ACCESS_DRIVERS[0], "MDBTools"])
    assert connection_string(str(SAMPLE)).startswith("DRIVER={Microsoft Access Driver (*.mdb")
    monkeypatch.setattr(pyodbc, "drivers", lambda: ["SQLite3"])
    with pytest.raises(InputError, match="no ODBC driver for Microsoft Access is installed"):
        connection_string(str(SAMPLE))


def test_a_path_with_an_equals_sign_is_a_path_and_one_with_a_semicolon_is_refused(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match=r"a=b\.accdb is not there"):
        connection_string(str(tmp_path / "a=b.accdb"))
    path = tmp_path / "a;b.accdb"
    path.symlink_to(SAMPLE)
    with pytest.raises(InputError, match="which ends a path in ODBC; rename it"):
        connection_string(str(path))
