"""What `check` says of a factory that is right, and of the same with its columns mapped wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest
from check_fixtures import JOBS, Tables, checked, factory, named
from hypothesis import given, settings
from hypothesis import strategies as st

from routing_ml.dataset.written import written_out
from routing_ml.errors import AuditError

Change = Callable[[Tables], None]


def test_nothing_is_found_in_a_factory_that_is_right(tmp_path: Path) -> None:
    found = checked(tmp_path, factory())
    assert found.findings == ()
    assert (found.line, found.withheld) == ("nothing found", [])
    assert found.as_dict()["passed"] is True
    assert json.dumps(found.as_dict())
    found.require()


def routed(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Change:
    def apply(tables: Tables) -> None:
        tables["routings"] = change(tables["routings"])

    return apply


def swapped(routings: pd.DataFrame) -> pd.DataFrame:
    numbers = routings["ROUT_NO"].str[1:].astype(int)
    return routings.assign(ROUT_NO=routings["PROC_SEQ"].astype(str), PROC_SEQ=numbers)


def of_some(routings: pd.DataFrame, every: int) -> pd.Series:
    return routings["ITEM_CD"].str[1:].astype(int) % every == 0


def plants(every: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A second plant in a part of the items: other operations at the same numbers."""

    def change(routings: pd.DataFrame) -> pd.DataFrame:
        other = routings[of_some(routings, every)]
        other = other.assign(JOB_CD="P2-" + other["JOB_CD"], RES_CD="P2")
        return pd.concat([routings, other], ignore_index=True)

    return change


def alternatives(routings: pd.DataFrame) -> pd.DataFrame:
    other = routings[of_some(routings, 3) & (routings["PROC_SEQ"] != 20)]
    other = other.assign(ROUT_NO=other["ROUT_NO"] + "-ALT")
    return pd.concat([routings, other], ignore_index=True)


def timed(factor: float, *, results: bool) -> Change:
    def apply(tables: Tables) -> None:
        tables["routings"][["SETUP_TIME", "RUN_TIME"]] *= factor
        if not results:
            del tables["results"]

    return apply


def dated(*roles: str) -> Change:
    def apply(tables: Tables) -> None:
        for role in roles:
            tables[role]["INSRT_DT"] = pd.Timestamp("2026-01-01")

    return apply


def few(count: int) -> Change:
    def apply(tables: Tables) -> None:
        tables["items"] = tables["items"].head(count)

    return apply


def tied(every: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda routings: routings.assign(
        PROC_SEQ=routings["PROC_SEQ"].mask(of_some(routings, every), 100)
    )


def doubled(role: str) -> Change:
    def apply(tables: Tables) -> None:
        tables[role] = pd.concat([tables[role]] * 2, ignore_index=True)

    return apply


def reported_under_other_codes(tables: Tables) -> None:
    tables["results"]["ROUT_NO"] = "X"


@pytest.mark.parametrize(
    ("change", "name", "level"),
    [
        (routed(swapped), "revision and sequence swapped", "error"),
        (routed(lambda r: r.assign(ROUT_NO=[f"{n}" for n in range(len(r))])),
         "one operation each", "error"),
        (routed(lambda r: r[r["PROC_SEQ"] == 10]), "one operation each", "warning"),
        (routed(tied(1)), "ties of sequence", "error"),
        (routed(tied(10)), "ties of sequence", "warning"),
        (routed(plants(1)), "several operations at one number", "error"),
        (routed(plants(4)), "several operations at one number", "warning"),
        (doubled("routings"), "repeated routings", "warning"),
        (doubled("items"), "repeated items", "warning"),
        (timed(1 / 60, results=True), "unit of time", "error"),
        (timed(60, results=True), "unit of time", "error"),
        (timed(1 / 1440, results=True), "unit of time", "error"),
        (timed(7, results=True), "unit of time", "warning"),
        (timed(1 / 60, results=False), "unit of time", "warning"),
        (timed(60, results=False), "unit of time", "warning"),
        (timed(1e-6, results=False), "unit of time", "error"),
        (timed(1e6, results=False), "unit of time", "error"),
        (routed(alternatives), "alternatives as revisions", "warning"),
        (dated("items", "routings"), "one entry date", "warning"),
        (dated("items"), "one entry date", "warning"),
        (dated("routings"), "one entry date", "warning"),
        (routed(lambda r: r.assign(JOB_CD=r["JOB_CD"].where(r["JOB_CD"] == "SAW", "WORK"))),
         "few operations", "warning"),
        (routed(lambda r: r.assign(JOB_CD=r["ITEM_CD"] + r["JOB_CD"])),
         "operations all different", "error"),
        (reported_under_other_codes, "results without routing", "warning"),
        (few(29), "few items", "error"),
        (few(0), "few items", "error"),
    ],
)  # fmt: skip
def test_a_wrong_mapping_is_named_and_keeps_its_model_out(
    tmp_path: Path, change: Change, name: str, level: str
) -> None:
    tables = factory()
    change(tables)
    found = checked(tmp_path, tables)
    assert named(found)[name] == level, found.line
    lines = [finding.found for finding in found.findings]
    assert all("\n" not in line and len(line) < 500 for line in lines)
    assert written_out(found)
    if level == "error":
        with pytest.raises(AuditError, match=f"^this cannot be right: .*{name}: "):
            found.require()
    else:
        found.require()
        assert name in found.withheld


def test_one_wrong_thing_is_said_once(tmp_path: Path) -> None:
    for number, (change, name) in enumerate(
        [
            (routed(swapped), "revision and sequence swapped"),
            (routed(tied(1)), "ties of sequence"),
            (routed(plants(1)), "several operations at one number"),
            (routed(alternatives), "alternatives as revisions"),
            (dated("items"), "one entry date"),
        ]
    ):
        tables = factory()
        change(tables)
        (folder := tmp_path / str(number)).mkdir()
        assert list(named(checked(folder, tables))) == [name]


def test_between_thirty_and_two_hundred_items_are_noted_and_withhold_nothing(
    tmp_path: Path,
) -> None:
    found = checked(tmp_path, factory(100))
    assert [(f.name, f.level) for f in found.findings] == [("few items", "note")]
    assert found.withheld == []


def test_a_warning_that_a_person_has_accepted_withholds_nothing_more(tmp_path: Path) -> None:
    tables = factory()
    dated("items", "routings")(tables)
    found = checked(tmp_path, tables, accept=["one entry date", "alternatives as revisions"])
    assert [f.accepted for f in found.findings if f.level == "warning"]
    assert (found.withheld, found.line[:9]) == ([], "accepted ")


def test_an_error_cannot_be_accepted(tmp_path: Path) -> None:
    tables = factory()
    routed(tied(1))(tables)
    found = checked(tmp_path, tables, accept=["ties of sequence"])
    assert [f.accepted for f in found.errors] == [False]
    with pytest.raises(AuditError):
        found.require()


def test_alternatives_that_the_columns_file_tells_apart_are_none_as_revisions(
    tmp_path: Path,
) -> None:
    tables = factory()
    routed(alternatives)(tables)
    routings = tables["routings"]
    is_other = routings["ROUT_NO"].str.endswith("-ALT")
    tables["routings"] = routings.assign(
        ALT_NO=np.where(is_other, "2", "1"), ROUT_NO=routings["ROUT_NO"].str[:2]
    )
    found = checked(tmp_path, tables)
    assert found.findings == ()
    assert found.facts["items_with_alternatives"] == 80


def test_plants_are_looked_for_among_the_unused_columns(tmp_path: Path) -> None:
    tables = factory()
    routed(plants(1))(tables)
    found = checked(tmp_path, tables, routings={"unused": ["REMARK", "WERKS", "PLNAL"]})
    assert ("unused keys", "note") in [(f.name, f.level) for f in found.findings]
    (error,) = found.errors
    assert "unused so far: WERKS, PLNAL; make it part of" in error.found


def test_without_any_date_the_check_says_how_the_newest_are_told(tmp_path: Path) -> None:
    tables = factory()
    for role in ("items", "routings"):
        tables[role] = tables[role].drop(columns="INSRT_DT")
    found = checked(tmp_path, tables, dated=False)
    assert [(f.name, f.level) for f in found.findings] == [("no entry date", "note")]
    assert "by a hash of their codes" in found.line
    assert "without entry date" in written_out(found)


def test_the_newest_rows_of_a_large_factory_may_be_of_one_day(tmp_path: Path) -> None:
    tables = factory()
    routed(lambda r: r[r["ROUT_NO"] == "R1"])(tables)
    dated("routings")(tables)
    assert named(checked(tmp_path, tables, limit=len(tables["routings"]))) == {}


def test_times_of_a_whole_order_are_told_from_another_unit(tmp_path: Path) -> None:
    tables = factory()
    quantity = np.random.default_rng(0).choice([5.0, 20.0, 80.0], len(tables["results"]))
    results = tables["results"].assign(ORDER_QTY=quantity)
    tables["results"] = results.assign(
        MACH_WORKED_HOURS=tables["routings"]["RUN_TIME"].to_numpy() / 60
    )
    found = checked(tmp_path, tables)
    assert named(found) == {"times of an order": "warning"}
    assert "per_quantity" in found.line


def test_rows_used_and_dropped_add_up_to_those_read(tmp_path: Path) -> None:
    tables = factory()
    routings = tables["routings"]
    extra = pd.concat([routings.head(3), routings.head(2).assign(JOB_CD=None)])
    tables["routings"] = pd.concat([routings, extra], ignore_index=True)
    rows = len(tables["routings"])
    facts = {"read": rows + 19, "dropped": {"entered after the as-of": 12, "not active": 7}}
    told = checked(tmp_path, tables, routings=facts).facts["rows"]["routings"]
    assert told["used"] == len(routings)
    assert told["dropped"] == {
        "entered after the as-of": 12, "not active": 7, "without a key": 2, "repeated": 3
    }  # fmt: skip
    assert told["read"] == told["used"] + sum(told["dropped"].values())


def test_five_kinds_of_items_are_written_out_by_their_newest_typical_routing(
    tmp_path: Path,
) -> None:
    tables = factory()
    found = checked(tmp_path, tables)
    shown = found.facts["routings_shown"]
    assert len({one["kind"] for one in shown}) == 4
    assert len(shown) == 5
    (gland,) = (one for one in shown if one["kind"] == "GLAND")
    assert [one["operation"] for one in gland["operations"]] in (JOBS, JOBS[:5])
    text = written_out(found)
    assert "PartNo" in text
    assert all(one["item"] in text for one in shown)


def test_letters_of_double_width_keep_the_columns_straight(tmp_path: Path) -> None:
    tables = factory()
    tables["routings"]["JOB_NM"] = tables["routings"]["JOB_CD"].map(
        dict(zip(JOBS, ["절단", "CNC선삭 1차", "밀링", "연삭", "세척", "시험"], strict=True))
    )
    found = checked(tmp_path, tables)
    for block in written_out(found).split("\n\n"):
        lines = [line for line in block.splitlines() if "  M-" in line]
        wide = [sum("가" <= letter <= "힣" for letter in line) for line in lines]
        starts = [line.index("  M-") for line in lines]
        assert len({start + extra for start, extra in zip(starts, wide, strict=True)}) <= 1


cells = st.one_of(st.none(), st.sampled_from(["A", "b ", "10", "", "가"]))
times = st.one_of(st.none(), st.floats(allow_nan=False))
moments = st.one_of(st.none(), st.datetimes())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(cells, moments, cells, times), max_size=8),
    st.lists(
        st.tuples(cells, cells, st.integers(-5, 200), moments, cells, times, times), max_size=30
    ),
    st.sampled_from([True, False]),
)
def test_any_tables_are_judged_and_written_out(
    items: list[tuple], routings: list[tuple], is_dated: bool
) -> None:
    tables = {
        "items": typed(items, ["ITEM_CD", "INSRT_DT", "KIND", "SIZE"]),
        "routings": typed(
            routings,
            ["ITEM_CD", "ROUT_NO", "PROC_SEQ", "INSRT_DT", "JOB_CD", "SETUP_TIME", "RUN_TIME"],
        ),
    }
    with TemporaryDirectory() as folder:
        found = checked(Path(folder), tables, dated=is_dated)
    assert "few items" in {finding.name for finding in found.errors}
    assert written_out(found)
    assert json.dumps(found.as_dict())


def typed(rows: list[tuple], names: list[str]) -> pd.DataFrame:
    """A table with the types that an extract gives its columns."""
    table = pd.DataFrame(rows, columns=names, dtype=object)
    kinds: dict[str, Any] = {
        "INSRT_DT": "M8[us]", "SIZE": float, "SETUP_TIME": float, "RUN_TIME": float,
        "PROC_SEQ": "int64",
    }  # fmt: skip
    return table.astype({name: kinds.get(name, "str") for name in names})
