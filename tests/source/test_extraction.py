import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from conftest import SAMPLE
from data_fixtures import (
    AS_OF,
    SMALL_COLUMNS,
    Rows,
    access_rows,
    expected_routings,
    odbc,
    postgres_tables,
    small_factory,
    sqlite_source,
)
from postgresql import PostgreSQL

from routing_ml.dataset import frames as dataset
from routing_ml.errors import InputError
from routing_ml.source import pushdown
from routing_ml.source.columns import Columns
from routing_ml.source.extraction import Extract, extract


@pytest.fixture(scope="module")
def sample_rows() -> dict[str, Rows]:
    return access_rows(SAMPLE)


@pytest.fixture(scope="module")
def sample_sources(
    sample_rows: dict[str, Rows], tmp_path_factory: pytest.TempPathFactory, postgresql: PostgreSQL
) -> dict[str, str]:
    """The sample as Access, SQLite and PostgreSQL; SQLite's rows in another order."""
    order = np.random.default_rng(1)
    shuffled = {
        name: table.changed(table.rows[i] for i in order.permutation(len(table.rows)))
        for name, table in sample_rows.items()
    }
    folder = tmp_path_factory.mktemp("sample")
    url = postgresql.fresh("sample")
    postgres_tables(url, sample_rows)
    return {
        "access": str(SAMPLE),
        "sqlite": sqlite_source(folder / "sample.sqlite", shuffled),
        "postgresql": odbc(url),
    }


@pytest.fixture
def small_columns(tmp_path: Path) -> Columns:
    path = tmp_path / "columns.toml"
    path.write_text(SMALL_COLUMNS)
    return Columns.load(path)


def take(
    source: str,
    out: Path,
    columns: Columns | None = None,
    *,
    as_of: datetime = AS_OF,
    limit: int = 100_000,
) -> Extract:
    return extract(source, out, columns=columns or Columns.load(), as_of=as_of, limit=limit)


def hashes(extracted: Extract) -> dict[str, str]:
    manifest = json.loads(extracted.path.read_text(encoding="utf-8"))
    return {role: table["sha256"] for role, table in manifest["tables"].items()}


def table(extracted: Extract, role: str = "routings") -> pd.DataFrame:
    manifest = json.loads(extracted.path.read_text(encoding="utf-8"))
    return pq.read_table(extracted.path.parent / manifest["tables"][role]["file"]).to_pandas()


@pytest.mark.parametrize(
    ("limit", "as_of"),
    [
        (100_000, AS_OF),
        (100_000, datetime(2025, 3, 1, 12)),
        (5_000, AS_OF),
        (3_000, datetime(2025, 3, 1, 12)),
    ],
)
def test_access_sqlite_and_postgresql_give_equal_datasets(
    sample_sources: dict[str, str], tmp_path: Path, limit: int, as_of: datetime
) -> None:
    taken = {
        name: take(source, tmp_path / name, as_of=as_of, limit=limit)
        for name, source in sample_sources.items()
    }
    assert hashes(taken["sqlite"]) == hashes(taken["access"])
    assert hashes(taken["postgresql"]) == hashes(taken["access"])
    rows = table(taken["access"])
    assert limit * 0.99 < len(rows) <= limit or limit > 19_786 >= len(rows) > 1_000
    assert rows["INSRT_DT"].max() <= as_of


def test_the_sources_that_can_sort_read_few_more_rows_than_count(
    sample_sources: dict[str, str], tmp_path: Path
) -> None:
    read = {}
    for name, source in sample_sources.items():
        manifest = json.loads(take(source, tmp_path / name, limit=2_000).path.read_text())
        read[name] = manifest["tables"]["routings"]["read"]
        assert manifest["tables"]["routings"]["sorted_by_source"] == (name != "access")
    assert read["access"] == 19_786
    assert read["sqlite"] == read["postgresql"] < 6_000


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("sorts", [True, False], ids=["sorted by source", "after reading"])
def test_exactly_the_newest_whole_revisions_are_kept(
    tmp_path: Path,
    small_columns: Columns,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    sorts: bool,
) -> None:
    if not sorts:
        monkeypatch.setattr(pushdown, "can_compare", lambda *_: False)
    factory = small_factory(seed)
    source = sqlite_source(tmp_path / "small.sqlite", factory)
    total = len(factory["routings"].rows)
    for limit in (1, 20, 100, total // 2, total - 40, total):
        taken = take(source, tmp_path / "out", small_columns, limit=limit)
        expected = expected_routings(factory["routings"], AS_OF, limit)
        assert multiset(table(taken).itertuples(index=False)) == multiset(expected)


def test_postgresql_keeps_the_same_revisions_as_sqlite(
    tmp_path: Path, small_columns: Columns, postgresql: PostgreSQL
) -> None:
    factory = small_factory(7)
    url = postgresql.fresh("newest")
    postgres_tables(url, factory)
    for limit in (50, 300, 10_000):
        one = take(sqlite_path(tmp_path, factory), tmp_path / "a", small_columns, limit=limit)
        other = take(odbc(url), tmp_path / "b", small_columns, limit=limit)
        assert hashes(one) == hashes(other)


def test_the_order_of_the_rows_does_not_matter_with_many_ranges_and_missing_codes(
    tmp_path: Path, small_columns: Columns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routing_ml.source.spool.CHUNK_ROWS", 64)
    monkeypatch.setattr("routing_ml.source.spool.SAMPLED_EVERY", 3)
    factory = small_factory(3, items=150)
    rows = factory["routings"]
    taken = []
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(len(rows.rows))
        factory |= {"routings": rows.changed(rows.rows[i] for i in order)}
        source = sqlite_source(tmp_path / f"{seed}.sqlite", factory)
        taken.append(hashes(take(source, tmp_path / str(seed), small_columns)))
    assert taken == taken[:1] * 4


def test_a_revision_whose_older_rows_are_spelled_otherwise_is_not_cut(
    tmp_path: Path, small_columns: Columns
) -> None:
    long_ago = AS_OF - timedelta(days=900)
    rows = [("AB", "1", 10, AS_OF, "J1", 1.0, 1.0), (" ab", "1", 20, long_ago, "J2", 1.0, 1.0)]
    old = AS_OF - timedelta(days=500)
    rows += [(f"X{n}", "1", 10, old, "J1", 1.0, 1.0) for n in range(20)]
    factory = small_factory()
    factory |= {"routings": factory["routings"].changed(rows)}
    taken = take(sqlite_path(tmp_path, factory), tmp_path / "out", small_columns, limit=5)
    assert list(table(taken)["JOB_CD"]).count("J2") == 1
    assert len(table(taken)) == 5


def test_rows_without_an_item_are_read_as_far_back_as_their_revision_goes(
    tmp_path: Path, small_columns: Columns
) -> None:
    rows = [(None, "1", 10, AS_OF, "J1", 1.0, 1.0)]
    rows += [(None, "1", 20, AS_OF - timedelta(days=900), "J2", 1.0, 1.0)]
    old = AS_OF - timedelta(days=500)
    rows += [(f"X{n}", "1", 10, old, "J1", 1.0, 1.0) for n in range(20)]
    factory = small_factory()
    factory |= {"routings": factory["routings"].changed(rows)}
    taken = take(sqlite_path(tmp_path, factory), tmp_path / "out", small_columns, limit=5)
    assert list(table(taken)["JOB_CD"]).count("J2") == 1


def test_undated_revisions_fill_what_the_dated_ones_leave(
    tmp_path: Path, small_columns: Columns
) -> None:
    rows = [("A", "1", 10, AS_OF, "J1", 1.0, 1.0)]
    rows += [(f"N{n}", "1", 10, None, "J1", 1.0, 1.0) for n in range(9)]
    factory = small_factory()
    factory |= {"routings": factory["routings"].changed(rows)}
    taken = take(sqlite_path(tmp_path, factory), tmp_path / "out", small_columns, limit=4)
    assert list(table(taken)["ITEM_CD"]) == ["A", "N0", "N1", "N2"]


def test_a_limit_that_the_first_revision_exceeds_takes_nothing(
    tmp_path: Path, small_columns: Columns
) -> None:
    rows = [("A", "1", n, AS_OF, "J1", 1.0, 1.0) for n in range(5)]
    factory = small_factory()
    factory |= {"routings": factory["routings"].changed(rows)}
    taken = take(sqlite_path(tmp_path, factory), tmp_path / "out", small_columns, limit=4)
    assert len(table(taken)) == 0


def test_two_extracts_of_the_same_moment_are_equal_and_the_later_one_replaces_the_first(
    tmp_path: Path,
) -> None:
    first = hashes(take(str(SAMPLE), tmp_path / "out"))
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert hashes(take(str(SAMPLE), tmp_path / "out")) == first
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert names == [
        "training_dataset_202611.json",
        "training_dataset_202611.parquet",
        "training_dataset_202611_items.parquet",
        "training_dataset_202611_results.parquet",
    ]


@pytest.mark.parametrize("as_of", [datetime(1, 1, 1), datetime(9999, 12, 31, 23)])
def test_the_first_and_the_last_moment_of_the_calendar_can_be_asked_for(
    tmp_path: Path, small_columns: Columns, as_of: datetime
) -> None:
    source = sqlite_path(tmp_path, small_factory())
    taken = take(source, tmp_path / "out", small_columns, as_of=as_of, limit=50)
    assert taken.path.name == f"training_dataset_{as_of.year:04}{as_of.month:02}.json"
    assert dataset.load(tmp_path / "out").items["INSRT_DT"].dropna().le(as_of).all()


SECOND_COLUMNS = """
[items]
table = "teile stamm"
item = "Teile Nr"
entered = "angelegt am"
text = ["BESCHREIBUNG"]
ignore = ["einkäufer"]
[routings]
table = "V Arbeitsplan"
item = "teil"
revision = "version"
sequence = "folge"
operation = "arbeitsgang"
entered = "erfasst"
run_minutes = "stückzeit (min)"
resource = "maschine"
[items.units]
"größe ø" = "einheit"
"""
SECOND_TABLES = {
    "Teile Stamm": Rows(
        {
            "Teile Nr": "INTEGER",
            "angelegt am": "DATE",
            "Beschreibung": "TEXT",
            "Einkäufer": "TEXT",
            "Größe Ø": "DECIMAL(10,3)",
            "Einheit": "VARCHAR(5)",
            "aktiv": "BOOLEAN",
            "gültig bis": "DATE",
            "Bild": "BLOB",
            "select": "TEXT",
        },
        [
            (4711, "2026-01-02", "Flansch 😀 ü", "Maier", 12.5, "MM", 1, "2999-12-31", b"\0", "x"),
            (4712, "2026-01-03", None, "Huber", None, "inch", 0, "0001-01-01", None, None),
            (4713, "2026-11-20", "zu neu", None, 1, None, None, None, None, None),
        ],
    ),
    "arbeitsplan": Rows(
        {
            "teil": "INTEGER",
            "version": "INTEGER",
            "folge": "TEXT",
            "arbeitsgang": "INTEGER",
            "erfasst": "DATE",
            "stückzeit (min)": "TEXT",
            "maschine": "DOUBLE PRECISION",
        },
        [
            (4711, 9, "10", 100, "2026-01-02", "12,5", 7.0),
            (4711, 9, " 20 ", 200, "2026-01-02", "0,25", None),
            (4711, 10, "10.0", 100, "2026-01-02", "", 7.5),
            (4712, 1, "10", 300, "2026-01-03", "30", 8.0),
            (4712, 2, "10", 300, "2026-11-02", "99", 8.0),
        ],
    ),
}


@pytest.fixture
def second_columns(tmp_path: Path) -> Path:
    path = tmp_path / "second.toml"
    path.write_text(SECOND_COLUMNS, encoding="utf-8")
    return path


def second_source(folder: Path) -> str:
    import sqlite3

    source = sqlite_source(folder / "second.sqlite", SECOND_TABLES)
    with sqlite3.connect(folder / "second.sqlite") as connection:
        connection.execute('CREATE VIEW "v arbeitsplan" AS SELECT * FROM arbeitsplan')
    return source


@pytest.mark.parametrize("limit", [100, 3])
def test_a_factory_of_other_names_and_types_needs_only_a_columns_file(
    tmp_path: Path, second_columns: Path, limit: int
) -> None:
    columns = Columns.load(second_columns)
    take(second_source(tmp_path), tmp_path / "out", columns, limit=limit)
    data = dataset.load(tmp_path / "out")
    assert list(data.items) == [
        "ITEM_CD", "INSRT_DT", "Beschreibung", "Größe Ø", "Einheit", "aktiv", "gültig bis", "select"
    ]  # fmt: skip
    assert data.items["ITEM_CD"].tolist() == ["4711", "4712"]
    assert data.items["Größe Ø"].dtype == data.items["aktiv"].dtype == np.float64
    assert data.items["aktiv"].tolist() == [1.0, 0.0]
    assert data.items["Beschreibung"][0] == "Flansch 😀 ü"
    assert data.items["gültig bis"].tolist() == [datetime(2999, 12, 31), datetime(1, 1, 1)]
    assert data.attributes.text == ("Beschreibung",)
    assert data.attributes.units == {"Größe Ø": "Einheit"}
    assert data.results is None
    newest = dataset.newest_routings(data.routings)
    if limit == 100:
        # Version 10 of part 4711 was entered the same day as version 9.
        assert newest[["ITEM_CD", "ROUT_NO", "PROC_SEQ", "JOB_CD"]].values.tolist() == [
            ["4711", "10", 10, "100"],
            ["4712", "1", 10, "300"],
        ]
        assert data.routings["RUN_TIME"].tolist()[1:] == [12.5, 0.25, 30.0]
        assert np.isnan(data.routings["RUN_TIME"][0])
        assert data.routings["SETUP_TIME"].isna().all()
        assert data.routings["RES_CD"].dropna().tolist() == ["7.5", "7", "8"]


def test_tables_of_a_schema_are_read_in_postgresql_with_its_own_types(
    tmp_path: Path, second_columns: Path, postgresql: PostgreSQL
) -> None:
    url = postgresql.fresh("second")
    types = {"BLOB": "BYTEA", "BOOLEAN": "BOOLEAN"}
    tables = {}
    for name, rows in SECOND_TABLES.items():
        kinds = {column: types.get(kind, kind) for column, kind in rows.columns.items()}
        flag = rows.index("aktiv") if "aktiv" in kinds else None
        tables[name] = Rows(
            kinds,
            [
                tuple(bool(v) if i == flag and v is not None else v for i, v in enumerate(row))
                for row in rows.rows
            ],
        )
    postgres_tables(url, tables, "Werk 1")
    postgres_tables(url, {"arbeitsplan": Rows({"teil": "TEXT", "anderes": "TEXT"}, [])}, "werk2")
    text = SECOND_COLUMNS.replace("V Arbeitsplan", "Werk 1.arbeitsplan")
    second_columns.write_text(text.replace('"teile stamm"', '"Werk 1.teile stamm"'), "utf-8")
    columns = Columns.load(second_columns)
    one = take(odbc(url), tmp_path / "a", columns)
    text = SECOND_COLUMNS
    second_columns.write_text(text, encoding="utf-8")
    other = take(second_source(tmp_path), tmp_path / "b", Columns.load(second_columns))
    assert hashes(one) == hashes(other)


def test_a_name_with_an_underscore_does_not_take_the_columns_of_a_table_it_matches(
    tmp_path: Path, small_columns: Columns, postgresql: PostgreSQL
) -> None:
    factory = small_factory()
    named = {"part_items": factory["items"], "routings": factory["routings"]}
    other = {"partXitems": Rows({"ITEM_CD": "TEXT", "OTHER": "TEXT"}, [])}
    url = postgresql.fresh("underscore")
    postgres_tables(url, named | other)
    path = tmp_path / "columns.toml"
    path.write_text(SMALL_COLUMNS.replace('"items"', '"part_items"'))
    taken = take(odbc(url), tmp_path / "out", Columns.load(path))
    assert list(table(taken, "items")) == ["ITEM_CD", "INSRT_DT", "SIZE", "UNIT"]


def test_an_item_table_without_entry_dates_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "columns.toml"
    path.write_text(SMALL_COLUMNS.replace('entered = "INSRT_DT"\n[items.units]', "[items.units]"))
    columns = Columns.load(path)
    taken = take(sqlite_path(tmp_path, small_factory()), tmp_path / "out", columns)
    # What is then an attribute as any other would show the future to a model that is held to past.
    assert taken.rows["items"] == 60


def ruined(column: str, value: Any, kind: str = "TEXT") -> dict[str, Rows]:
    """A small factory whose tenth routing row has `value` in `column`, which is of type `kind`."""
    factory = small_factory()
    old = factory["routings"]
    rows = [list(row) for row in old.rows]
    rows[9][old.index(column)] = value
    rows[9][0] = "IT-007"
    factory["routings"] = Rows({**old.columns, column: kind}, [tuple(row) for row in rows])
    return factory


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("RUN_TIME", "ten", "RUN_TIME is 'ten', where a number is due"),
        ("RUN_TIME", "1,250", "RUN_TIME is '1,250', where a number is due"),
        ("PROC_SEQ", "10.5", "PROC_SEQ is '10.5', where a sequence number is due"),
        ("PROC_SEQ", "A10", "PROC_SEQ is 'A10', where a sequence number is due"),
        ("PROC_SEQ", "1e300", "PROC_SEQ is '1e300', where a sequence number is due"),
        ("INSRT_DT", "2026-02-30", "INSRT_DT is '2026-02-30', where a date is due"),
        ("INSRT_DT", "31.12.2025", "INSRT_DT is '31.12.2025', where a date is due"),
        ("RUN_TIME", "x" * 5_000, "... (5,002 characters), where a number is due"),
    ],
)
def test_a_value_of_another_kind_is_named_with_its_item(
    tmp_path: Path, small_columns: Columns, column: str, value: Any, shown: str
) -> None:
    source = sqlite_path(tmp_path, ruined(column, value))
    with pytest.raises(InputError) as failed:
        take(source, tmp_path / "out", small_columns)
    assert shown in str(failed.value)
    assert "table routings, item 'IT-007'" in str(failed.value)
    assert len(str(failed.value)) < 500
    assert list((tmp_path / "out").iterdir()) == []


def test_a_number_in_a_column_of_dates_is_named(tmp_path: Path, small_columns: Columns) -> None:
    factory = small_factory()
    rows = [(r[0], r[1], r[2], 46000, *r[4:]) for r in factory["routings"].rows]
    columns = {**factory["routings"].columns, "INSRT_DT": "INTEGER"}
    factory["routings"] = Rows(columns, rows)
    with pytest.raises(InputError, match=r"INSRT_DT is 46000 .*a date is due"):
        take(sqlite_path(tmp_path, factory), tmp_path / "out", small_columns)


def test_a_column_of_bytes_is_no_code(tmp_path: Path, small_columns: Columns) -> None:
    source = sqlite_path(tmp_path, ruined("JOB_CD", b"J1", "BLOB"))
    with pytest.raises(InputError, match="column 'JOB_CD' of table routings cannot be read"):
        take(source, tmp_path / "out", small_columns)


def test_dates_as_text_are_compared_as_dates(tmp_path: Path, small_columns: Columns) -> None:
    factory = small_factory()
    old = factory["routings"]
    texts = ["2026-10-31T23:59:59+09:00", "20261101", "2026-11-01T00:00:01", "", None, "2026-10-30"]
    rows = [(f"I{n}", "1", 10, text, "J1", 1.0, 1.0) for n, text in enumerate(texts)]
    factory["routings"] = Rows({**old.columns, "INSRT_DT": "TEXT"}, rows)
    source = sqlite_path(tmp_path, factory)
    taken = table(take(source, tmp_path / "out", small_columns))
    assert taken["ITEM_CD"].tolist() == ["I0", "I1", "I3", "I4", "I5"]
    assert taken["INSRT_DT"][0] == datetime(2026, 10, 31, 23, 59, 59)
    newest = table(take(source, tmp_path / "out", small_columns, limit=2))
    assert newest["ITEM_CD"].tolist() == ["I0", "I1"]


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ('table = "routings"', 'table = "routes"', "no table 'routes' (it has: items, routings)"),
        ('"RUN_TIME"', '"RUNTIME"', "routings has no column 'RUNTIME', which [routings]"),
        ('SIZE = "UNIT"', 'SIZE = "UOM"', "items has no column 'UOM', which [items]"),
        ("[items.units]", 'text = ["NOTES"]\n[items.units]', "has no column 'NOTES'"),
        ("[items.units]", 'ignore = ["BUYER"]\n[items.units]', "has no column 'BUYER'"),
    ],
)
def test_a_missing_table_or_column_is_named_with_those_that_are_there(
    tmp_path: Path, old: str, new: str, shown: str
) -> None:
    path = tmp_path / "columns.toml"
    path.write_text(SMALL_COLUMNS.replace(old, new))
    with pytest.raises(InputError) as failed:
        take(sqlite_path(tmp_path, small_factory()), tmp_path / "out", Columns.load(path))
    assert shown in str(failed.value)
    assert "columns file (ROUTING_ML_COLUMNS)" in str(failed.value)


def test_an_attribute_with_a_standard_name_must_be_ignored(tmp_path: Path) -> None:
    factory = small_factory()
    old = factory["items"]
    columns = {"PART": "TEXT", **old.columns}
    factory["items"] = Rows(columns, [(f"P{row[0]}", *row) for row in old.rows])
    path = tmp_path / "columns.toml"
    path.write_text(SMALL_COLUMNS.replace('item = "ITEM_CD"', 'item = "PART"', 1))
    source = sqlite_path(tmp_path, factory)
    with pytest.raises(InputError, match=r"attribute 'ITEM_CD' .* add it to .items. ignore"):
        take(source, tmp_path / "out", Columns.load(path))
    ignoring = path.read_text().replace("[items.units]", 'ignore = ["item_cd"]\n[items.units]')
    path.write_text(ignoring)
    taken = take(source, tmp_path / "out", Columns.load(path))
    assert table(taken, "items")["ITEM_CD"][0] == "PIT-000"


def test_what_a_killed_extract_left_is_cleared_and_a_running_ones_is_not(tmp_path: Path) -> None:
    out = tmp_path / "out"
    ended = subprocess.Popen(["true"])
    ended.wait()
    dead, odd = out / f".extract-{ended.pid}", out / ".extract-odd"
    alive = out / f".extract-{os.getppid()}"
    for folder in (dead, odd, alive):
        folder.mkdir(parents=True)
        (folder / "half").write_text("half")
    take(sqlite_path(tmp_path, small_factory()), out, small(tmp_path))
    assert not dead.exists()
    assert not odd.exists()
    assert alive.exists()


def test_a_disk_that_fills_at_the_last_moment_leaves_the_earlier_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, columns = tmp_path / "out", small(tmp_path)
    factory = small_factory()
    take(sqlite_path(tmp_path, factory), out, columns)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    factory |= {"routings": factory["routings"].changed(factory["routings"].rows[:50])}

    def full(path: Path, data: str) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("routing_ml.files.atomic_write", full)
    with pytest.raises(InputError, match="No space left on device"):
        take(sqlite_path(tmp_path, factory), out, columns)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(tmp_path: Path, limit: int) -> None:
    with pytest.raises(InputError, match=f"limit is {limit}"):
        take(str(SAMPLE), tmp_path / "out", limit=limit)
    assert not (tmp_path / "out").exists()


def test_extraction_imports_no_pandas(tmp_path: Path) -> None:
    code = (
        "import sys; from datetime import datetime; from pathlib import Path;"
        "from routing_ml.source import Columns, extract;"
        "extract(sys.argv[1], Path(sys.argv[2]), columns=Columns.load(),"
        " as_of=datetime(2026, 11, 1), limit=5000);"
        "sys.exit('pandas' in sys.modules)"
    )
    command = [sys.executable, "-P", "-c", code, str(SAMPLE), str(tmp_path / "out")]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2])


def multiset(rows: Any) -> list[str]:
    """Rows of any kind as sorted text, undated as such."""
    return sorted(
        repr(
            [
                None if pd.isna(v) else v.isoformat() if isinstance(v, datetime) else v
                for v in (row[0], row[1], row[2], row[3], row[4])
            ]
        )
        for row in rows
    )


def small(folder: Path) -> Columns:
    path = folder / "small.toml"
    path.write_text(SMALL_COLUMNS)
    return Columns.load(path)


def sqlite_path(folder: Path, factory: dict[str, Rows]) -> str:
    path = folder / "factory.sqlite"
    path.unlink(missing_ok=True)
    return sqlite_source(path, factory)
