import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from data_fixtures import AS_OF, SMALL_COLUMNS, small_factory, sqlite_source

from routing_ml.dataset import frames as dataset
from routing_ml.errors import InputError
from routing_ml.source.columns import Columns
from routing_ml.source.extraction import extract

DAY = timedelta(days=1)


def loaded(folder: Path, *, items: list[tuple] | None = None, routings: list[tuple] | None = None,
           columns: str = SMALL_COLUMNS) -> dataset.Dataset:  # fmt: skip
    """A dataset extracted from a small factory, with these rows in place of its own."""
    factory = small_factory()
    given = {"items": items, "routings": routings}
    factory |= {name: factory[name].changed(rows) for name, rows in given.items() if rows}
    (folder / "columns.toml").write_text(columns)
    source = sqlite_source(folder / "f.sqlite", factory)
    columns_read = Columns.load(folder / "columns.toml")
    extract(source, folder / "out", columns=columns_read, as_of=AS_OF)
    return dataset.load(folder / "out")


def row(item: Any = "A", revision: Any = "1", sequence: Any = 10, entered: Any = AS_OF,
        operation: Any = "J1", run: Any = 1.0, setup: Any = 1.0) -> tuple:  # fmt: skip
    return item, revision, sequence, entered, operation, run, setup


def test_codes_are_stripped_and_spelled_as_most_rows_spell_them(tmp_path: Path) -> None:
    rows = [row("AB 1", operation="lathe"), row(" ab 1 ", sequence=20, operation="LATHE")]
    rows += [row("AB 1", sequence=30, operation="LATHE"), row("AB 1", sequence=40, operation=" ")]
    data = loaded(tmp_path, items=[("ab 1", AS_OF, 1.0, "MM")], routings=rows)
    assert data.routings["ITEM_CD"].tolist() == ["AB 1"] * 3
    assert data.routings["JOB_CD"].tolist() == ["LATHE"] * 3
    assert data.items["ITEM_CD"].tolist() == ["AB 1"]


def test_rows_without_a_key_and_repeated_rows_are_dropped(tmp_path: Path) -> None:
    rows = [row(), row(), row(run=2.0), row(None), row("  "), row(sequence=None), row("B")]
    data = loaded(tmp_path, routings=rows)
    assert data.routings["ITEM_CD"].tolist() == ["A", "B"]
    assert data.routings["PROC_SEQ"].dtype == np.int64


def test_of_an_items_rows_the_one_entered_last_stays(tmp_path: Path) -> None:
    items = [("A", AS_OF - DAY, 1.0, "MM"), ("a", AS_OF - 2 * DAY, 2.0, "MM"), ("A", None, 3.0, "")]
    data = loaded(tmp_path, items=items)
    assert data.items["SIZE"].tolist() == [1.0]


def test_numbers_that_are_not_finite_are_missing(tmp_path: Path) -> None:
    data = loaded(
        tmp_path,
        items=[("A", AS_OF, float("inf"), "MM"), ("B", AS_OF, 2.0, "MM")],
        routings=[row(run=float("-inf"))],
    )
    assert data.items["SIZE"].isna().tolist() == [True, False]
    assert data.routings["RUN_TIME"].isna().all()


def test_columns_that_the_factory_has_not_are_there_and_missing(tmp_path: Path) -> None:
    columns = SMALL_COLUMNS.replace('run_minutes = "RUN_TIME"\n', "")
    data = loaded(tmp_path, columns=columns)
    assert data.routings[["RES_CD", "JOB_NM", "RUN_TIME"]].isna().all().all()
    assert data.routings["RES_CD"].dtype == "str"
    assert data.routings["RUN_TIME"].dtype == np.float64
    assert data.results is None


def frame(*rows: tuple) -> pd.DataFrame:
    names = ["ITEM_CD", "ROUT_NO", "PROC_SEQ", "INSRT_DT"]
    made = pd.DataFrame([row[:4] for row in rows], columns=names)
    return made.astype({"ROUT_NO": "str", "INSRT_DT": "datetime64[us]"})


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (row(revision="2", entered=AS_OF - DAY), row(revision="1")),
        (row(revision="9"), row(revision="10")),
        (row(revision="R9"), row(revision="R10")),
        (row(revision="A"), row(revision="B")),
        (row(revision=None), row(revision="1")),
        (row(revision="2", entered=None), row(revision="1", entered=datetime(1, 1, 1))),
        (row(revision="1", entered=None), row(revision="2", entered=None)),
    ],
)
def test_the_newest_revision_is_the_one_entered_last_then_the_higher_number(
    older: tuple, newer: tuple
) -> None:
    for rows in ((older, newer), (newer, older)):
        newest = dataset.newest_routings(frame(*rows))
        assert newest["ROUT_NO"].tolist() == [newer[1]]


def test_a_revision_is_as_new_as_its_newest_row_and_comes_whole_in_order() -> None:
    rows = [row(revision="1", sequence=20), row(revision="1", sequence=10, entered=AS_OF - 9 * DAY)]
    rows += [row(revision="2", entered=AS_OF - DAY), row("B", None)]
    newest = dataset.newest_routings(frame(*rows))
    assert newest["ITEM_CD"].tolist() == ["A", "A", "B"]
    assert newest["PROC_SEQ"].tolist() == [10, 20, 10]


def test_the_newest_of_no_routings_is_none() -> None:
    assert dataset.newest_routings(frame()).empty


def test_the_holdout_is_the_newest_items_by_their_own_date_then_their_revisions() -> None:
    routings = frame(*(row(f"I{n:02}", entered=AS_OF - n * DAY) for n in range(20)))
    newest = dataset.newest_routings(routings)
    undated = pd.DataFrame({"ITEM_CD": [f"I{n:02}" for n in range(20)]})
    fitted, held_out = dataset.split(undated, newest)
    assert held_out == ["I02", "I01", "I00"]
    assert fitted == [f"I{n:02}" for n in range(19, 2, -1)]
    dates = [None] * 20
    dates[19] = AS_OF + DAY
    dated = undated.assign(INSRT_DT=pd.Series(dates, dtype="datetime64[us]"))
    assert dataset.split(dated, newest)[1] == ["I01", "I00", "I19"]
    same = undated.assign(INSRT_DT=pd.Series([AS_OF] * 20, dtype="datetime64[us]"))
    assert dataset.split(same, newest)[1] == ["I17", "I18", "I19"]


@pytest.mark.parametrize("items", [0, 1, 6, 7, 20, 100, 340, 1_820])
def test_the_holdout_is_fifteen_percent_rounded_down(items: int) -> None:
    newest = frame(*(row(f"{n}") for n in range(items)))
    fitted, held_out = dataset.split(pd.DataFrame({"ITEM_CD": newest["ITEM_CD"]}), newest)
    assert len(held_out) == items * 15 // 100
    assert len(fitted) + len(held_out) == items


def test_items_without_a_routing_are_those_to_predict() -> None:
    items = pd.DataFrame({"ITEM_CD": ["A", "B", "C"]})
    assert dataset.without_routing(items, frame(row("B")))["ITEM_CD"].tolist() == ["A", "C"]


def test_the_newest_month_of_a_folder_is_loaded_and_one_hash_names_all_rows(
    tmp_path: Path,
) -> None:
    data = loaded(tmp_path)
    path = data.path
    older = path.with_name("training_dataset_202601.json")
    older.write_bytes(path.read_bytes())
    assert dataset.load(tmp_path / "out").path == path
    assert dataset.load(older).sha256 == data.sha256
    manifest = json.loads(path.read_text())
    manifest["tables"]["items"]["sha256"] = "0" * 64
    assert dataset.data_hash(manifest) != data.sha256


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 9}', '{"tables": 3, "format": 1}'])
def test_a_file_that_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "training_dataset_202601.json"
    path.write_text(text)
    with pytest.raises(InputError, match="is no manifest of a dataset; make it again"):
        dataset.load(path)


def test_a_manifest_cannot_name_a_file_elsewhere(tmp_path: Path) -> None:
    data = loaded(tmp_path)
    manifest = json.loads(data.path.read_text())
    file = data.path.parent / manifest["tables"]["items"]["file"]
    file.rename(tmp_path / file.name)
    manifest["tables"]["items"]["file"] = f"../{file.name}"
    data.path.write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="lacks its file"):
        dataset.load(data.path)


def test_work_order_columns_that_the_erp_lacks_are_there_and_empty(tmp_path):
    from dataclasses import replace
    from datetime import datetime

    from routing_ml.settings import SAMPLE
    from routing_ml.source.columns import Columns
    from routing_ml.source.extraction import extract

    columns = Columns.load()
    kept = {k: v for k, v in columns.results.parts.items() if k != "SETUP_HOURS"}
    columns = replace(columns, results=replace(columns.results, parts=kept))
    done = extract(str(SAMPLE), tmp_path, columns=columns, as_of=datetime(2026, 11, 1))
    assert dataset.load(done.path).results["SETUP_HOURS"].isna().all()
