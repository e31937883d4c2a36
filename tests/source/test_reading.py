"""What a columns file says of a real ERP is what is read: queries, keys, units, validity."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import SAMPLE
from data_fixtures import AS_OF, Rows, access_rows, sqlite_source
from data_fixtures import ITEMS as ITEMS_TABLE

from routing_ml.dataset import frames as dataset
from routing_ml.errors import InputError, SourceError
from routing_ml.source.columns import Columns
from routing_ml.source.extraction import extract

ITEMS = Rows(
    {"COMPANY": "INTEGER", "PART": "TEXT", "_SIZE": "REAL", "CREATED": "TEXT", "PHOTO": "BLOB"},
    [
        (1, "A", 1.5, "2020/10/9", b"\xff\xfe"),
        (2, "A", 2.5, "20201009", None),
        (1, "B", None, "00000000", None),
        (None, "C", 1.0, None, None),
    ],
)
STEPS = {
    "COMPANY": "INTEGER", "PART": "TEXT", "REV": "INTEGER", "ALT": "TEXT", "OPNO": "TEXT",
    "JOB": "TEXT", "SETUP": "REAL", "RUN": "REAL", "UNIT": "TEXT", "PIECES": "REAL",
    "STATUS": "TEXT", "FROM_DT": "DATE", "TO_DT": "DATE", "ENTERED": "DATE", "OUTSIDE": "TEXT",
}  # fmt: skip


def step(**given: Any) -> tuple[Any, ...]:
    usual = {
        "COMPANY": 1, "PART": "A", "REV": 1, "ALT": "1", "OPNO": "0010", "JOB": "CUT",
        "SETUP": 1.0, "RUN": 2.0, "UNIT": "H", "PIECES": 4.0, "STATUS": "REL",
        "FROM_DT": "2000-01-01", "TO_DT": "9999-12-31", "ENTERED": "2026-01-02", "OUTSIDE": "N",
    }  # fmt: skip
    return tuple((usual | given)[name] for name in STEPS)


COLUMNS = """
[items]
table = "parts"
item = ["COMPANY", "PART"]
entered = "CREATED"
[routings]
table = "steps"
item = ["COMPANY", "PART"]
revision = "REV"
sequence = "OPNO"
operation = "JOB"
entered = "ENTERED"
setup_minutes = "SETUP"
run_minutes = "RUN"
run_time_unit = "UNIT"
per_quantity = "PIECES"
status = "STATUS"
active = ["rel", "APPROVED"]
valid_from = "FROM_DT"
valid_to = "TO_DT"
alternative = "ALT"
inside = "OUTSIDE"
"""


def read(folder: Path, steps: list[tuple[Any, ...]], text: str = COLUMNS) -> dataset.Dataset:
    (folder / "c.toml").write_text(text, encoding="utf-8")
    (folder / "f.sqlite").unlink(missing_ok=True)
    source = sqlite_source(folder / "f.sqlite", {"parts": ITEMS, "steps": Rows(STEPS, steps)})
    columns = Columns.load(folder / "c.toml")
    return dataset.load(extract(source, folder / "out", columns=columns, as_of=AS_OF).path)


def facts(data: dataset.Dataset) -> dict[str, Any]:
    return json.loads(data.path.read_text(encoding="utf-8"))


def test_keys_of_several_columns_are_joined_and_missing_where_a_part_is(tmp_path: Path) -> None:
    data = read(tmp_path, [step(), step(COMPANY=2), step(COMPANY=None)])
    assert data.items["ITEM_CD"].tolist() == ["1/A", "1/B", "2/A"]
    assert data.routings["ITEM_CD"].tolist() == ["1/A", "2/A"]
    assert facts(data)["columns"]["routings"]["ITEM_CD"] == "COMPANY / PART"


def test_dates_as_erps_write_them_are_dates(tmp_path: Path) -> None:
    dates = read(tmp_path, [step()]).items["INSRT_DT"]
    assert dates[[0, 2]].tolist() == [datetime(2020, 10, 9)] * 2
    assert dates.isna().tolist() == [False, True, False]


def test_what_cannot_be_read_is_left_out_by_name(tmp_path: Path) -> None:
    data = read(tmp_path, [step()])
    assert "PHOTO" not in data.items
    assert "_SIZE" in data.items
    assert list(facts(data)["tables"]["items"]["left_out"]) == ["PHOTO"]
    with pytest.raises(SourceError, match="column 'PHOTO' of table parts cannot be read"):
        read(tmp_path, [step()], COLUMNS.replace('entered = "CREATED"', 'text = ["PHOTO"]'))
    ignored = read(
        tmp_path, [step()], COLUMNS.replace("[routings]", 'ignore = ["PHOTO"]\n[routings]', 1)
    )
    assert facts(ignored)["tables"]["items"]["left_out"] == {}


@pytest.mark.parametrize(
    ("unit", "pieces", "setup", "run"),
    [("H", 4.0, 60, 30), ("min.", 1.0, 1, 2), ("Sec", 2.0, 1 / 60, 1 / 60), (None, None, 1, 2),
     ("시간", 1.0, 60, 120), ("STD", 2.0, 60, 60), ("", 1.0, 1, 2)],
)  # fmt: skip
def test_times_are_minutes_for_one_piece(
    tmp_path: Path, unit: str | None, pieces: float | None, setup: float, run: float
) -> None:
    row = read(tmp_path, [step(UNIT=unit, PIECES=pieces)]).routings.iloc[0]
    assert (row["SETUP_TIME"], row["RUN_TIME"]) == pytest.approx((setup, run))


def test_units_can_be_the_same_for_all_and_differ_between_setup_and_run(tmp_path: Path) -> None:
    text = COLUMNS.replace('"UNIT"\n', '"seconds"\nsetup_time_unit = "hours"\n')
    row = read(tmp_path, [step()], text.replace('"PIECES"', "10")).routings.iloc[0]
    assert (row["SETUP_TIME"], row["RUN_TIME"]) == pytest.approx((60, 2 / 600))


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"UNIT": "FURLONG"}, "UNIT is 'FURLONG', where a unit of time (such as MIN or H) is due"),
        ({"PIECES": 0.0}, "PIECES is 0.0, where a quantity above 0 is due"),
        ({"OPNO": "X1"}, "OPNO is 'X1', where a sequence number is due"),
        ({"FROM_DT": "soon"}, "FROM_DT is 'soon', where a date is due"),
    ],
)
def test_what_a_unit_or_quantity_cannot_be_is_named(
    tmp_path: Path, given: dict[str, Any], shown: str
) -> None:
    with pytest.raises(SourceError) as failed:
        read(tmp_path, [step(), step(PART="B", **given)])
    assert shown in str(failed.value)
    assert "item 1/B" in str(failed.value)


def test_rows_that_do_not_hold_at_the_as_of_are_dropped_and_counted(tmp_path: Path) -> None:
    data = read(
        tmp_path,
        [
            step(),
            step(PART="B", STATUS="NEW"),
            step(PART="B", STATUS=None),
            step(PART="C", FROM_DT="2026-11-02"),
            step(PART="D", TO_DT="2026-10-31"),
            step(PART="E", TO_DT="2026-11-01", FROM_DT=None),
            step(PART="F", ENTERED="2026-11-03"),
            step(PART="G", TO_DT=None, STATUS="approved "),
        ],
    )
    assert data.routings["ITEM_CD"].tolist() == ["1/A", "1/E", "1/G"]
    assert facts(data)["tables"]["routings"]["dropped"] == {
        "not active": 2,
        "not yet valid at the as-of": 1,
        "no longer valid at the as-of": 1,
        "entered after the as-of": 1,
    }


def test_of_several_alternatives_the_first_ones_newest_revision_counts(tmp_path: Path) -> None:
    steps = [
        step(ALT="10", REV=9, JOB="LATHE"),
        step(ALT="2", REV=1, JOB="SAW"),
        step(ALT="2", REV=2, JOB="MILL", OUTSIDE="Y"),
        step(ALT="10", REV=2, JOB="DRILL"),
    ]
    data = read(tmp_path, steps)
    assert len(data.routings) == 4
    newest = dataset.newest_routings(data.routings)
    assert newest[["ALT_NO", "ROUT_NO", "JOB_CD"]].values.tolist() == [["2", "2", "MILL"]]
    assert newest["INSIDE_FLAG"].tolist() == ["Y"]


def test_letters_behind_sequence_numbers_keep_the_order(tmp_path: Path) -> None:
    steps = [step(OPNO=number, JOB=f"J{number}") for number in ("20", "10B", "0010", "10A", "11")]
    steps += [step(PART="B", OPNO=number, JOB=f"J{number}") for number in ("20", "10A", "0010")]
    steps += [step(PART="C", OPNO=number, JOB=f"J{number}") for number in ("0030", "0020")]
    newest = dataset.newest_routings(read(tmp_path, steps).routings)
    found = {
        code: list(zip(rows["PROC_SEQ"], rows["JOB_CD"], strict=True))
        for code, rows in newest.groupby("ITEM_CD")
    }
    assert found["1/A"] == [(10, "J0010"), (20, "J10A"), (30, "J10B"), (40, "J11"), (50, "J20")]
    assert found["1/B"] == [(10, "J0010"), (15, "J10A"), (20, "J20")]
    assert found["1/C"] == [(20, "J0020"), (30, "J0030")]


def test_without_dates_the_order_of_revisions_counts_and_the_holdout_is_drawn(
    tmp_path: Path,
) -> None:
    text = COLUMNS.replace('entered = "ENTERED"\n', "").replace('entered = "CREATED"\n', "")
    text = text.replace('valid_from = "FROM_DT"\nvalid_to = "TO_DT"\n', "")
    steps = [step(REV=n, JOB=f"J{n}") for n in (2, 10, 9)]
    steps += [step(PART=f"P{n}") for n in range(40)]
    (tmp_path / "f.toml").write_text(text)
    data = read(tmp_path, steps, text)
    assert not facts(data)["dated"]
    newest = dataset.newest_routings(data.routings)
    assert newest.loc[newest["ITEM_CD"] == "1/A", "JOB_CD"].tolist() == ["J10"]
    fitted, held_out = dataset.split(data.items, newest)
    assert len(held_out) == 6 and held_out != sorted(newest["ITEM_CD"])[-6:]
    assert (fitted, held_out) == dataset.split(data.items, newest.sample(frac=1, random_state=1))
    with pytest.raises(SourceError, match="has no 'entered'"):
        Columns.load(tmp_path / "f.toml").require_dates("2026-01-01")


def test_every_missing_key_is_told_at_once(tmp_path: Path) -> None:
    text = '[items]\nentered = "CREATED"\n[routings]\ntable = "steps"\nitem = "PART"\n'
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(InputError) as failed:
        Columns.load(tmp_path / "c.toml")
    assert "[items] has no 'table', 'item'; " in str(failed.value)
    assert "[routings] has no 'revision', 'sequence', 'operation'; add each" in str(failed.value)


QUERY = """
[items]
table = "dbo_BI_ITEM_INFO_VIEW"
where = "OUTDIAMETER > 50 OR OUTDIAMETER IS NULL"
item = "ITEM_CD"
entered = "INSRT_DT"
[routings]
query = '''
SELECT r.*, i.PART_TYPE AS KIND FROM dbo_BI_ROUTING_VIEW r
JOIN dbo_BI_ITEM_INFO_VIEW i ON i.ITEM_CD = r.ITEM_CD WHERE r.PROC_SEQ > 0
'''
item = "ITEM_CD"
revision = "ROUT_NO"
sequence = "PROC_SEQ"
operation = "JOB_CD"
entered = "INSRT_DT"
run_minutes = "RUN_TIME"
setup_minutes = "SETUP_TIME"
"""


def test_a_query_on_access_gives_what_it_gives_on_sqlite(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(QUERY)
    columns = Columns.load(tmp_path / "c.toml")
    rows = access_rows(SAMPLE)
    sources = {"access": str(SAMPLE), "sqlite": sqlite_source(tmp_path / "f.sqlite", rows)}
    hashes = []
    for name, source in sources.items():
        taken = extract(source, tmp_path / name, columns=columns, as_of=AS_OF)
        manifest = json.loads(taken.path.read_text())
        hashes.append({role: table["sha256"] for role, table in manifest["tables"].items()})
    assert hashes[0] == hashes[1]
    place = rows[ITEMS_TABLE].index("OUTDIAMETER")
    sizes = [row[place] for row in rows[ITEMS_TABLE].rows]
    assert taken.rows["items"] == sum(size is None or size > 50 for size in sizes) < 2_400


def test_a_query_that_access_cannot_be_asked_is_told(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(QUERY.replace("r.PROC_SEQ > 0", "r.NIX > 0"))
    with pytest.raises(
        SourceError, match="not understood by SQLite, which reads it: no such column"
    ):
        extract(str(SAMPLE), tmp_path / "a", columns=Columns.load(tmp_path / "c.toml"), as_of=AS_OF)
    (tmp_path / "c.toml").write_text(QUERY.replace("FROM dbo_BI_ROUTING_VIEW r", "FROM NOWHERE r"))
    with pytest.raises(SourceError, match="has no table 'NOWHERE'"):
        extract(str(SAMPLE), tmp_path / "a", columns=Columns.load(tmp_path / "c.toml"), as_of=AS_OF)
