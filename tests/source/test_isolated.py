"""A driver that crashes takes only its own process with it."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from data_fixtures import AS_OF, SMALL_COLUMNS, odbc, postgres_tables, small_factory
from postgresql import PostgreSQL

from routing_ml.errors import InputError, SourceError
from routing_ml.source import isolated
from routing_ml.source.columns import Columns
from routing_ml.source.extraction import extract


@pytest.fixture
def small_columns(tmp_path: Path) -> Columns:
    (tmp_path / "c.toml").write_text(SMALL_COLUMNS)
    return Columns.load(tmp_path / "c.toml")


@pytest.mark.parametrize(
    ("last", "shown"),
    [
        ("kill -SEGV $$", "SIGSEGV"),
        ("kill -ABRT $$", "SIGABRT"),
        ("exit 7", "code 7"),
    ],
)
def test_a_crash_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_columns: Columns, last: str, shown: str
) -> None:
    out = tmp_path / "out"
    child = tmp_path / "child"
    work = f'"{out}/.extract-$$"'
    child.write_text(f"#!/bin/sh\nmkdir -p {work}\necho half > {work}/a\n{last}\n")
    child.chmod(0o755)
    monkeypatch.setattr(isolated.sys, "executable", str(child))
    with pytest.raises(SourceError) as failed:
        extract("DSN=erp;PWD=secret", out, columns=small_columns, as_of=AS_OF)
    assert shown in str(failed.value) and "driver crashed" in str(failed.value)
    assert "secret" not in str(failed.value)
    assert list(out.iterdir()) == []


def test_what_goes_wrong_in_the_child_is_told_as_what_it_is(
    tmp_path: Path, small_columns: Columns, postgresql: PostgreSQL
) -> None:
    url = postgresql.fresh("isolated")
    with pytest.raises(SourceError, match="has no table 'items'"):
        extract(odbc(url), tmp_path / "out", columns=small_columns, as_of=AS_OF)
    with pytest.raises(InputError, match="it cannot be opened through ODBC") as failed:
        extract("DRIVER={nothing};PWD=x", tmp_path / "out", columns=small_columns, as_of=AS_OF)
    assert not isinstance(failed.value, SourceError)


def test_no_module_of_the_folder_that_a_person_is_in_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_columns: Columns
) -> None:
    (tmp_path / "json.py").write_text("open('run', 'w')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="it cannot be opened through ODBC"):
        extract("DRIVER={nothing};PWD=x", tmp_path / "out", columns=small_columns, as_of=AS_OF)
    assert not (tmp_path / "run").exists()


def test_progress_and_the_whole_columns_file_reach_the_other_process(
    tmp_path: Path, postgresql: PostgreSQL
) -> None:
    text = (
        SMALL_COLUMNS.replace("[items]\n", 'accept = ["x"]\n[items]\n')
        .replace("[items.units]", 'text = ["UNIT"]\nignore = ["SIZE"]\n[items.units]')
        .replace('SIZE = "UNIT"\n', "")
    )
    (tmp_path / "c.toml").write_text(text + 'run_time_unit = "hours"\nper_quantity = 2\n')
    url = postgresql.fresh("isolated")
    postgres_tables(url, small_factory())
    columns = Columns.load(tmp_path / "c.toml")
    order = json.loads(json.dumps(asdict(columns)))
    assert isolated._columns(order) == columns
    seen: list[tuple[str, int]] = []
    taken = extract(
        odbc(url),
        tmp_path / "out",
        columns=columns,
        as_of=AS_OF,
        progress=lambda table, rows: seen.append((table, rows)),
    )
    assert ("items", taken.rows["items"]) in seen or ("items", 60) in seen
