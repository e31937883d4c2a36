import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from routing_ml.dataset.gates import Audit, audit
from routing_ml.errors import AuditError

Tables = dict[str, pd.DataFrame]


def healthy() -> Tables:
    """A dataset that no gate finds anything in: 250 items of four operations."""
    codes = [f"I{n:03}" for n in range(250)]
    day = datetime(2026, 1, 1)
    items = pd.DataFrame({"ITEM_CD": codes, "INSRT_DT": day, "SIZE": 10.0, "UNIT": "MM"})
    routings = pd.DataFrame(
        {
            "ITEM_CD": np.repeat(codes, 4),
            "ROUT_NO": "1",
            "PROC_SEQ": np.tile([10, 20, 30, 40], 250),
            "INSRT_DT": day,
            "JOB_CD": "J1",
            "SETUP_TIME": 5.0,
            "RUN_TIME": np.tile([1.0, 2.0], 500),
        }
    )
    results = routings[["ITEM_CD", "ROUT_NO", "PROC_SEQ"]].assign(REPORT_DT=day, ORDER_QTY=1.0)
    return {"items": items, "routings": routings, "results": results}


def audited(folder: Path, tables: Tables, **options: Any) -> Audit:
    facts: dict[str, Any] = {}
    for role, table in tables.items():
        path = folder / f"{role}.parquet"
        table.to_parquet(path)
        facts[role] = {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    attributes = {"text": [], "units": {"SIZE": "UNIT"}}
    manifest = {"format": 1, "tables": facts, "attributes": attributes}
    (folder / "training_dataset_202601.json").write_text(json.dumps(manifest))
    return audit(folder, **options)


def found(report: Audit) -> dict[str, str]:
    """What is not as it should be: each check's name and level."""
    return {check.name: check.level for check in report.checks if check.level != "ok"}


def test_nothing_is_found_in_a_healthy_dataset(tmp_path: Path) -> None:
    report = audited(tmp_path, healthy())
    assert found(report) == {}
    assert report.as_dict()["passed"] is True
    assert json.dumps(report.as_dict())
    report.require()


def spoil(role: str, column: str, rows: Any, value: Any) -> Callable[[Tables], None]:
    def change(tables: Tables) -> None:
        table = tables[role]
        if table[column].dtype == np.int64 and value is None:
            table[column] = table[column].astype("float64").astype("Int64")
        table.loc[table.index[rows], column] = value

    return change


def repeat(role: str) -> Callable[[Tables], None]:
    def change(tables: Tables) -> None:
        first = tables[role].head(1).copy()
        first["ITEM_CD"] = " " + first["ITEM_CD"].str.lower() + " "
        tables[role] = pd.concat([tables[role], first], ignore_index=True)

    return change


def keep(role: str, rows: int) -> Callable[[Tables], None]:
    def change(tables: Tables) -> None:
        tables[role] = tables[role].head(rows)

    return change


EVERY = slice(None)
OTHERS = [f"X{n}" for n in range(250)]
SIX_PERCENT, FIVE_PERCENT = slice(60), slice(50)


@pytest.mark.parametrize(
    ("change", "name", "level", "shown"),
    [
        (keep("routings", 4 * 29), "items", "error", "29 items have a routing, at least 30"),
        (keep("routings", 4 * 199), "items", "warning", "199 items have a routing, from 200 on"),
        (spoil("routings", "RUN_TIME", SIX_PERCENT, None), "required values", "warning",
         "routings.RUN_TIME is 6.0% NULL, at most 5% is expected"),
        (spoil("routings", "JOB_CD", SIX_PERCENT, "  "), "required values", "warning",
         "routings.JOB_CD is 6.0% NULL"),
        (spoil("routings", "INSRT_DT", EVERY, None), "required values", "warning",
         "routings.INSRT_DT is 100.0% NULL"),
        (spoil("routings", "JOB_CD", EVERY, None), "required values", "error",
         "routings.JOB_CD is 100.0% NULL"),
        (spoil("routings", "PROC_SEQ", EVERY, None), "required values", "error",
         "routings.PROC_SEQ is 100.0% NULL"),
        (spoil("items", "ITEM_CD", EVERY, " "), "required values", "error",
         "items.ITEM_CD is 100.0% NULL"),
        (keep("items", 0), "required values", "error", "items.ITEM_CD is 100.0% NULL"),
        (spoil("results", "ROUT_NO", EVERY, None), "required values", "warning",
         "results.ROUT_NO is 100.0% NULL"),
        (repeat("items"), "duplicates", "warning", "1 rows of items repeat ITEM_CD"),
        (repeat("routings"), "duplicates", "warning",
         "1 rows of routings repeat ITEM_CD, ROUT_NO, PROC_SEQ"),
        (keep("items", 249), "routings without item", "warning", "1 items have a routing"),
        (spoil("items", "ITEM_CD", EVERY, OTHERS), "routings without item", "error",
         "no item of the routings is in the item table"),
        (spoil("routings", "RUN_TIME", 7, -1.0), "impossible times", "warning",
         "1 values of RUN_TIME are negative or over 43,200 minutes, such as -1"),
        (spoil("routings", "SETUP_TIME", FIVE_PERCENT, 50_000.0), "impossible times", "warning",
         "50 values of SETUP_TIME"),
        (spoil("routings", "SETUP_TIME", SIX_PERCENT, -3.0), "impossible times", "error",
         "60 values of SETUP_TIME"),
        (spoil("items", "UNIT", 3, "FURLONG"), "unknown units", "warning", "'FURLONG'"),
        (spoil("items", "SIZE", 3, np.inf), "infinite values", "warning",
         "1 values of items.SIZE are not finite"),
        (spoil("items", "SIZE", 3, 99.0), "outliers", "warning", "items.SIZE 1"),
    ],
)  # fmt: skip
def test_each_gate_finds_what_it_is_for_and_nothing_else_does(
    tmp_path: Path, change: Callable[[Tables], None], name: str, level: str, shown: str
) -> None:
    tables = healthy()
    change(tables)
    report = audited(tmp_path, tables)
    assert found(report)[name] == level
    assert any(shown in check.found for check in report.checks if check.name == name), report
    others = set(found(report)) - {name}
    assert others <= {"outliers", "routings without item", "items"}, report
    assert bool(report.errors) == (level == "error") or others
    if report.errors:
        with pytest.raises(AuditError, match=r"the dataset fails its audit: .*; correct the ERP"):
            report.require()
    else:
        report.require()


def test_exactly_five_percent_missing_and_two_hundred_items_are_enough(tmp_path: Path) -> None:
    tables = healthy()
    keep("routings", 4 * 200)(tables)
    spoil("routings", "RUN_TIME", slice(40), None)(tables)
    assert found(audited(tmp_path, tables)) == {}


def test_many_rows_of_few_items_are_too_few(tmp_path: Path) -> None:
    tables = healthy()
    routings = tables["routings"].head(4 * 12)
    revisions = [routings.assign(ROUT_NO=str(number)) for number in range(100)]
    tables["routings"] = pd.concat(revisions, ignore_index=True)
    assert len(tables["routings"]) == 4_800
    report = audited(tmp_path, tables)
    assert [check.found for check in report.errors] == [
        "12 items have a routing, at least 30 are needed"
    ]


def test_the_offenders_are_named_the_worst_first_and_all_of_them_in_a_csv(tmp_path: Path) -> None:
    tables = healthy()
    spoil("routings", "RUN_TIME", 41, -1.0)(tables)
    spoil("routings", "RUN_TIME", 85, 90_000.0)(tables)
    spoil("items", "UNIT", 3, "FURLONG")(tables)
    report = audited(tmp_path, tables)
    told = {one["gate"]: one for one in report.as_dict()["offenders"]}
    assert [(one["item"], one["value"]) for one in told["impossible times"]["worst"]] == [
        ("I021", 90_000.0),
        ("I010", -1.0),
    ]
    assert told["unknown units"]["worst"][0]["item"] == "I003"
    lines = report.offenders_csv().splitlines()
    assert lines[0] == "\ufeffgate,table,column,item,revision,sequence,value,why"
    assert len(lines) - 1 == len(report.offenders)
    rule = "negative or over 43,200 minutes"
    assert f'impossible times,routings,RUN_TIME,I021,1,20,90000,"{rule}"' in lines


@pytest.mark.parametrize(
    ("change", "gate", "named"),
    [
        (spoil("routings", "RUN_TIME", SIX_PERCENT, None), "required values", "I000"),
        (repeat("items"), "duplicates", " i000 "),
        (keep("items", 249), "routings without item", "I249"),
        (spoil("items", "SIZE", 3, np.inf), "infinite values", "I003"),
        (spoil("items", "SIZE", 3, 99.0), "outliers", "I003"),
    ],
)
def test_every_gate_has_its_items(
    tmp_path: Path, change: Callable[[Tables], None], gate: str, named: str
) -> None:
    tables = healthy()
    change(tables)
    listed = audited(tmp_path, tables).offenders
    assert named in listed.loc[listed["gate"] == gate, "item"].tolist()


def test_a_gross_error_does_not_hide_the_others(tmp_path: Path) -> None:
    tables = healthy()
    tables["routings"]["RUN_TIME"] = np.random.default_rng(0).lognormal(2.0, 0.3, 1_000)
    spoil("routings", "RUN_TIME", [4, 8, 12], 300.0)(tables)
    spoil("routings", "RUN_TIME", 16, 1e9)(tables)
    report = audited(tmp_path, tables)
    assert report.outliers["routings"] == {"RUN_TIME": 1}
    (listed,) = (one for one in report.as_dict()["offenders"] if one["gate"] == "outliers")
    assert [row["item"] for row in listed["worst"][:4]] == ["I004", "I001", "I002", "I003"]


def test_sizes_are_compared_in_one_unit(tmp_path: Path) -> None:
    tables = healthy()
    inch = np.arange(250) % 2 == 0
    tables["items"]["SIZE"] = np.where(inch, 1.0, 25.4) * np.linspace(0.8, 1.2, 250)
    tables["items"]["UNIT"] = np.where(inch, "INCH", "MM")
    assert "outliers" not in found(audited(tmp_path, tables))
    spoil("items", "SIZE", 4, 25.4)(tables)
    (listed,) = audited(tmp_path, tables).as_dict()["offenders"]
    assert listed["worst"][0]["item"] == "I004"
    assert "INCH" in listed["worst"][0]["why"]


def test_other_spellings_and_values_out_of_step_are_listed_by_column(tmp_path: Path) -> None:
    tables = healthy()
    kinds = np.tile(["RING", "SLEEVE", "GLAND", "NUT", "BOLT"], 50)
    tables["items"]["KIND"] = kinds
    tables["items"]["GROUP"] = pd.Series(kinds).str[:2]
    spoil("items", "KIND", 5, " ring")(tables)
    spoil("items", "GROUP", 10, "NU")(tables)
    told = {one["gate"]: one for one in audited(tmp_path, tables).as_dict()["offenders"]}
    assert (told["spellings"]["column"], told["spellings"]["count"]) == ("KIND", 1)
    assert told["spellings"]["worst"][0] == {
        "item": "I005", "revision": None, "sequence": None, "value": " ring",
        "why": "usually written 'RING'",
    }  # fmt: skip
    assert [one["item"] for one in told["dependencies"]["worst"]] == ["I010"]


def test_missing_required_values_stop_a_run_where_that_is_wanted(tmp_path: Path) -> None:
    tables = healthy()
    spoil("routings", "SETUP_TIME", SIX_PERCENT, None)(tables)
    assert found(audited(tmp_path, tables)) == {"required values": "warning"}
    strict = audited(tmp_path, tables, null_level="error")
    assert found(strict) == {"required values": "error"}
    assert strict.as_dict()["passed"] is False


def test_items_and_routings_that_share_only_missing_codes_share_nothing(tmp_path: Path) -> None:
    tables = healthy()
    tables["items"]["ITEM_CD"] = [None, *(f"other {n}" for n in range(249))]
    spoil("routings", "ITEM_CD", 3, None)(tables)
    assert found(audited(tmp_path, tables))["routings without item"] == "error"


def test_a_factory_without_times_machines_and_results_is_audited(tmp_path: Path) -> None:
    tables = healthy()
    del tables["results"]
    tables["routings"] = tables["routings"].drop(columns=["SETUP_TIME", "RUN_TIME"])
    assert found(audited(tmp_path, tables)) == {}


def test_units_are_known_in_any_case_and_padding(tmp_path: Path) -> None:
    tables = healthy()
    tables["items"]["UNIT"] = np.resize([" mm", "Inch ", "MM", "", None], 250)
    assert found(audited(tmp_path, tables)) == {}


def test_null_ratios_and_outliers_are_counted_by_column(tmp_path: Path) -> None:
    tables = healthy()
    spoil("items", "UNIT", slice(50), " ")(tables)
    spoil("items", "SIZE", 3, 1e308)(tables)
    report = audited(tmp_path, tables)
    assert report.null_ratios["items"] == {"ITEM_CD": 0, "INSRT_DT": 0, "SIZE": 0, "UNIT": 0.2}
    assert report.null_ratios["routings"]["RUN_TIME"] == 0
    assert report.outliers == {"items": {"SIZE": 1}, "routings": {}, "results": {}}
