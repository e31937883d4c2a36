"""Everything that can be wrong in a factory's data is found by name, and nothing in one that is
right.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from quality_fixtures import ITEMS, Spoil, add, dataset

from routing_ml.quality import sizes
from routing_ml.quality.looking import look
from routing_ml.quality.measures import KINDS, MEASURES


def found(folder: Path, spoil: Spoil | None = None, **options: object) -> set[tuple[str, ...]]:
    """(kind, column, item) of each finding."""
    findings = look(dataset(folder, spoil, **options)).findings  # type: ignore[arg-type]
    return set(findings[["gate", "column", "item"]].itertuples(index=False, name=None))


def set_to(table: int, rows: list[int], column: str, value: object) -> Spoil:
    def spoil(*tables: pd.DataFrame) -> None:
        tables[table].loc[rows, column] = value

    return spoil


def test_nothing_is_found_where_all_is_right(tmp_path: Path) -> None:
    seen = look(dataset(tmp_path))
    assert len(seen.findings) == 0 and seen.whole
    assert seen.by_measure == dict.fromkeys(MEASURES, 0) and seen.counts == {}
    assert seen.rows == {"items": ITEMS, "routings": 3 * ITEMS, "results": 90}
    assert seen.names["it-0003"].startswith("Sleeve ")


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (set_to(1, [4], "JOB_CD", None), {("required values", "JOB_CD", "IT-0001")}),
        (set_to(1, [4], "SETUP_TIME", -3.0), {("impossible times", "SETUP_TIME", "IT-0001")}),
        (set_to(0, [7], "KIND", "ring "), {("spellings", "KIND", "IT-0007")}),
        (set_to(0, [7], "UNIT", " "), {("missing units", "UNIT", "IT-0007")}),
        (set_to(0, [7], "UNIT", "FURLONG"), {("unknown units", "UNIT", "IT-0007")}),
        (set_to(0, [7], "OUTER", 1.574), {("another unit", "OUTER", "IT-0007")}),
        (
            set_to(1, [9, 10, 11], "ITEM_CD", "GHOST"),
            {("routings without item", "ITEM_CD", "GHOST"),
             ("items without routing", "INSRT_DT", "IT-0003"),
             ("results without routing", "PROC_SEQ", "IT-0003")},
        ),
        (
            set_to(2, [4], "PROC_SEQ", 99),
            {("results without routing", "PROC_SEQ", "IT-0001")},
        ),
        (set_to(1, [4], "RES_CD", "T1O"), {("used once", "RES_CD", "IT-0001")}),
    ],
)  # fmt: skip
def test_one_thing_that_is_wrong_is_found_and_nothing_else(
    tmp_path: Path, spoil: Spoil, expected: set[tuple[str, ...]]
) -> None:
    assert found(tmp_path, spoil) == expected


def test_a_time_that_slipped_a_point_is_far_from_the_usual_of_its_operation(tmp_path: Path) -> None:
    def spoil(items: pd.DataFrame, routings: pd.DataFrame, results: pd.DataFrame) -> None:
        routings.loc[4, "RUN_TIME"] *= 10
        routings.loc[0, "RUN_TIME"] = 20.0  # usual of another operation

    findings = look(dataset(tmp_path, spoil)).findings
    assert findings["item"].tolist() == ["IT-0001", "IT-0000"]
    assert findings["why"].str.replace(r"\.\d+", "", regex=True).tolist() == [
        "usual is about 19 for TURN",
        "usual is about 6 for SAW",
    ]


def test_what_is_a_little_off_where_all_are_alike_is_nobodys_concern(tmp_path: Path) -> None:
    def spoil(items: pd.DataFrame, routings: pd.DataFrame, results: pd.DataFrame) -> None:
        routings["SETUP_TIME"] = 5.0
        routings.loc[[4, 7], "SETUP_TIME"] = [8.0, 11.0]

    assert found(tmp_path, spoil) == {("outliers", "SETUP_TIME", "IT-0002")}


def test_the_same_item_twice_is_found_under_one_code_and_under_two(tmp_path: Path) -> None:
    def spoil(items: pd.DataFrame, routings: pd.DataFrame, results: pd.DataFrame) -> None:
        add(items, 5, ITEM_CD=" it-0005", KIND="PIN", OUTER=31.0)
        add(items, 6, ITEM_CD="NEW-1", INSRT_DT=pd.Timestamp("2026-10-30"))

    assert found(tmp_path, spoil) == {
        ("duplicates", "ITEM_CD", " it-0005"),
        ("items alike", "ITEM_CD", "NEW-1"),
    }


def test_items_are_not_said_to_be_alike_where_no_column_tells_them_apart(tmp_path: Path) -> None:
    def spoil(*tables: pd.DataFrame) -> object:
        coarse = tables[0].drop(columns=["ITEM_NM", "OUTER", "INNER"])
        return coarse.assign(COLOUR="RED"), *tables[1:]

    assert found(tmp_path, spoil) == set()


def test_a_revision_that_says_what_another_says_is_found_once(tmp_path: Path) -> None:
    def spoil(items: pd.DataFrame, routings: pd.DataFrame, results: pd.DataFrame) -> None:
        for row in (9, 10, 11):
            add(routings, row, ROUT_NO="R2")
        for row in (12, 13, 14):
            add(routings, row, ROUT_NO="R2", RUN_TIME=routings["RUN_TIME"][row] + 0.1)
        add(routings, 15)  # the same row twice

    assert found(tmp_path, spoil) == {
        ("revision twice", "ROUT_NO", "IT-0003"),
        ("duplicates", "PROC_SEQ", "IT-0005"),
    }


def test_a_unit_that_hardly_any_item_has_is_told_and_one_that_some_have_is_not(
    tmp_path: Path,
) -> None:
    def inches(count: int) -> Spoil:
        def spoil(items: pd.DataFrame, routings: pd.DataFrame, results: pd.DataFrame) -> None:
            rows = items.index[:count]
            items.loc[rows, "UNIT"] = "INCH"
            items.loc[rows, ["OUTER", "INNER"]] /= 25.4

        return spoil

    told = found(tmp_path / "few", inches(2))
    assert told == {("unusual units", "UNIT", f"IT-000{k}") for k in (0, 1)}
    assert found(tmp_path / "some", inches(20)) == set()


def test_an_inch_that_is_stated_in_millimetres_is_told_by_the_sizes_beside_it(
    tmp_path: Path,
) -> None:
    def spoil(items: pd.DataFrame, routings: pd.DataFrame, results: pd.DataFrame) -> None:
        items.loc[3, "OUTER"] /= 25.4
        items.loc[4, "INNER"] /= 25.4
        items.loc[5, ["OUTER", "INNER"]] /= 25.4  # both: they go together, and stand out
        items.loc[6, "OUTER"] /= 10
        items.loc[7, "OUTER"] *= 10  # no unit makes that

    findings = look(dataset(tmp_path, spoil)).findings
    told = findings[["item", "column", "why"]].itertuples(index=False, name=None)
    assert set(told) == {
        ("IT-0003", "OUTER", "it is stated in MM, and looks like INCH"),
        ("IT-0004", "INNER", "it is stated in MM, and looks like INCH"),
        ("IT-0005", "OUTER", "it is stated in MM, and looks like INCH"),
        ("IT-0005", "INNER", "it is stated in MM, and looks like INCH"),
        ("IT-0006", "OUTER", "it is stated in MM, and looks like CM"),
        ("IT-0007", "OUTER", next(why for why in findings["why"] if why.startswith("usual is"))),
    }


def test_of_several_sizes_the_one_is_told_that_goes_with_no_other(tmp_path: Path) -> None:
    """By itself none stands out, for sizes differ widely."""
    random = np.random.default_rng(3)
    wide = np.exp(random.normal(4, 1, 300))
    items = pd.DataFrame(
        {name: wide * share * random.uniform(0.95, 1.05, 300)
         for name, share in (("A", 1.0), ("B", 0.6), ("C", 0.3))}
    )  # fmt: skip
    items = items.assign(ITEM_CD=[f"I{k}" for k in range(300)], UNIT="MM")
    big = items["A"].sort_values().index[-30:]
    items.loc[big, "A"] /= 25.4
    (told,) = sizes.another(items, dict.fromkeys("ABC", "UNIT"))
    assert set(told["column"]) == {"A"} and sorted(told.index) == sorted(big)


def test_work_that_was_reported_often_on_what_is_not_there_is_one_finding(tmp_path: Path) -> None:
    def spoil(items: pd.DataFrame, routings: pd.DataFrame, results: pd.DataFrame) -> object:
        strange = results.iloc[[0, 0, 0]].assign(PROC_SEQ=77)
        return items, routings, pd.concat([results, strange], ignore_index=True)

    findings = look(dataset(tmp_path, spoil)).findings
    assert findings["gate"].tolist() == ["results without routing"]


def test_an_item_may_wait_for_its_routing_and_a_new_machine_be_used_once(tmp_path: Path) -> None:
    def spoil(items: pd.DataFrame, routings: pd.DataFrame, results: pd.DataFrame) -> None:
        new = pd.Timestamp("2026-10-20")
        add(items, 5, ITEM_CD="NEW-1", KIND="PIN", ITEM_NM="Pin", INSRT_DT=new)
        routings.loc[4, ["RES_CD", "INSRT_DT"]] = ["NEW-T", new]

    assert found(tmp_path, spoil) == set()


def test_what_a_limit_cut_off_is_not_missed(tmp_path: Path) -> None:
    def spoil(items: pd.DataFrame, routings: pd.DataFrame, results: pd.DataFrame) -> object:
        return items, routings.iloc[30:], results

    path = dataset(tmp_path, spoil, limit=3 * ITEMS - 30)
    seen = look(path)
    assert not seen.whole and len(seen.findings) == 0
    whole = {kind for kind, _, _ in found(tmp_path, spoil)}
    assert whole == {"items without routing", "results without routing"}


@pytest.mark.parametrize("empty", [("routings",), ("results",), ("routings", "results"),
                                   ("items", "routings", "results")])  # fmt: skip
def test_tables_without_a_row_are_looked_at(tmp_path: Path, empty: tuple[str, ...]) -> None:
    def spoil(*tables: pd.DataFrame) -> object:
        named = zip(("items", "routings", "results"), tables, strict=True)
        return tuple(table.iloc[:0] if role in empty else table for role, table in named)

    seen = look(dataset(tmp_path, spoil))
    assert seen.rows[empty[0]] == 0
    kinds = set(seen.findings["gate"])
    assert kinds == ({"routings without item"} if empty == ("items",) else set())


def test_a_finding_is_known_again_when_its_value_or_place_changes(tmp_path: Path) -> None:
    def keys(name: str, value: float, *, moved: bool = False) -> list[str]:
        def spoil(items: pd.DataFrame, routings: pd.DataFrame, results: pd.DataFrame) -> None:
            routings.loc[4, "RUN_TIME"] = value
            if moved:
                add(routings, 0, ITEM_CD="IT-0000", ROUT_NO="R9", RUN_TIME=6.1)

        return look(dataset(tmp_path / name, spoil)).findings["key"].tolist()

    first = keys("a", 500.0)
    assert len(first) == 1 and keys("b", 700.0) == first == keys("c", 500.0, moved=True)


def test_every_gate_of_the_audit_that_finds_rows_is_a_kind_with_something_to_do() -> None:
    code = (Path(__file__).parents[2] / "routing_ml" / "dataset").glob("*.py")
    found = (re.findall(r'listed\(\s*"([^"]+)"', path.read_text()) for path in code)
    listed = {name for names in found for name in names}
    assert len(listed) > 5
    assert listed <= KINDS.keys()
    assert {kind.measure for kind in KINDS.values()} == set(MEASURES)
    assert all(kind.mend.endswith(".") for kind in KINDS.values())
