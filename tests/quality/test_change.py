"""What changed since an earlier look, and which one that is."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from quality_fixtures import AS_OF, dataset

from routing_ml.quality.change import Change, compare
from routing_ml.quality.kept import before, keep
from routing_ml.quality.looking import Look, look
from routing_ml.quality.worst import by_item


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Look:
    return look(dataset(tmp_path_factory.mktemp("clean")))


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> Look:
    def spoil(items: pd.DataFrame, routings: pd.DataFrame, results: pd.DataFrame) -> None:
        routings.loc[[3, 4], "RUN_TIME"] = -1.0
        routings.loc[4, "SETUP_TIME"] = -1.0
        items.loc[7, "KIND"] = "ring "
        items.loc[items.index[:4], "ITEM_NM"] = None
        results.loc[5, "REPORT_DT"] = pd.NaT
        routings.loc[8, "RES_CD"] = None  # one of 600, of what may be empty

    return look(dataset(tmp_path_factory.mktemp("spoilt"), spoil))


def kept(tmp_path: Path, seen: Look) -> dict:
    return json.loads(keep(tmp_path / "looks", "r", seen, {}).read_text())


def test_a_first_look_says_so_and_calls_nothing_new(spoilt: Look) -> None:
    change = compare(spoilt, None)
    assert change.headline.startswith("The first look")
    assert (change.since, change.worse, change.new, change.mended) == (None, [], frozenset(), 0)


def test_what_got_worse_stands_first_the_gravest_before_the_others(
    clean: Look, spoilt: Look, tmp_path: Path
) -> None:
    change = compare(spoilt, kept(tmp_path, clean))
    assert change.since == AS_OF
    assert change.headline == "5 things got worse"
    assert [one.words for one in change.worse] == [
        "a time that cannot be, in routings.RUN_TIME: 2 (before: 0)",
        "a time that cannot be, in routings.SETUP_TIME: 1 (before: 0)",
        "a required value is missing, in results.REPORT_DT: 1 (before: 0)",
        "another spelling of what is usual, in items.KIND: 1 (before: 0)",
        "rows with nothing in items.ITEM_NM: 2.0% (before: 0.0%)",
    ]
    assert len(change.new) == len(spoilt.findings) == 5


def test_what_was_mended_is_counted_and_nothing_got_worse(
    clean: Look, spoilt: Look, tmp_path: Path
) -> None:
    change = compare(clean, kept(tmp_path, spoilt))
    assert (change.headline, change.mended, change.new) == ("Nothing got worse", 5, frozenset())
    assert len(change.better) == 4
    assert {line.now for line in change.better} == {0}


def test_the_same_data_are_no_change(spoilt: Look, tmp_path: Path) -> None:
    change = compare(spoilt, kept(tmp_path, spoilt))
    assert (change.headline, change.mended, len(change.new)) == ("Nothing got worse", 0, 0)


def test_one_thing_is_one_thing(clean: Look, spoilt: Look, tmp_path: Path) -> None:
    only = spoilt.findings[spoilt.findings["gate"] == "spellings"]
    one = replace(spoilt, findings=only, nulls=clean.nulls)
    assert compare(one, kept(tmp_path, clean)).headline == "1 thing got worse"


def test_items_with_the_most_findings_come_first_then_new_then_graver_ones(
    clean: Look, spoilt: Look, tmp_path: Path
) -> None:
    change = compare(spoilt, kept(tmp_path, clean))
    worst = by_item(spoilt, change, 50)
    assert [(item.code, item.count, item.new) for item in worst[:2]] == [
        ("IT-0001", 4, 4),
        ("IT-0007", 1, 1),
    ]
    one_each = replace(
        spoilt, findings=spoilt.findings.assign(item=[f"I{k}" for k in range(len(spoilt.findings))])
    )
    old = replace(change, new=frozenset(spoilt.findings["key"][3:]))
    assert [item.new for item in by_item(one_each, old, 50)] == [1, 1, 0, 0, 0]
    graver = by_item(one_each, replace(change, new=frozenset()), 50)
    assert [item.findings[0].kind for item in graver][:3] == ["impossible times"] * 3
    assert graver[-1].findings[0].kind == "spellings"
    assert (worst[0].name, worst[1].name[:7]) == ("", "Sleeve ")  # one has lost its name
    assert [one.kind for one in worst[0].findings][-1] == "required values"
    assert {one.where for one in worst[0].findings} >= {
        "routings.SETUP_TIME, revision R1, operation 20",
        "results.REPORT_DT, revision R1, operation 30",
    }
    assert all(one.new and one.mend for one in worst[0].findings)
    assert len(by_item(spoilt, change, 1)) == 1


def at(seen: Look, days: float) -> Look:
    return replace(seen, as_of=AS_OF + timedelta(days=days))


def run_before(folder: Path, seen: Look, days: float = 0, run: str = "now") -> str | None:
    found = before(folder, run, at(seen, days))
    return found and found["run"]


def test_a_look_is_compared_with_last_weeks_not_with_one_in_between(
    clean: Look, tmp_path: Path
) -> None:
    for days in (-14, -7, -3, -0.01, 1):
        keep(tmp_path, f"d{days}", at(clean, days), {})
    assert run_before(tmp_path, clean) == "d-7"
    assert run_before(tmp_path, clean, days=-7, run="d-7") == "d-14"
    assert run_before(tmp_path, clean, days=-10) == "d-14"  # not a week, but there is no other


def test_without_a_look_of_last_week_it_is_the_newest_before(clean: Look, tmp_path: Path) -> None:
    assert run_before(tmp_path, clean) is None
    keep(tmp_path, "a", at(clean, -3), {})
    keep(tmp_path, "b", at(clean, -1), {})
    keep(tmp_path, "now", clean, {})
    assert run_before(tmp_path, clean) == "b"


def test_a_look_at_another_source_or_by_other_columns_is_not_compared_with(
    clean: Look, tmp_path: Path
) -> None:
    keep(tmp_path, "a", replace(at(clean, -7), source="another"), {})
    keep(tmp_path, "b", replace(at(clean, -7), asked="otherwise"), {})
    assert run_before(tmp_path, clean) is None


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"format": 1}', "\ud800".encode("utf-8", "surrogatepass")],
)
def test_a_damaged_look_is_passed_over(
    clean: Look, tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str | bytes
) -> None:
    keep(tmp_path, "a", at(clean, -14), {})
    (tmp_path / "b.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert run_before(tmp_path, clean) == "a"
    assert "look b.json is passed over" in caplog.text


@pytest.mark.parametrize(
    ("key", "value"),
    [("keys", [1]), ("keys", None), ("counts", [["a", "b", "c", -1]]), ("counts", [[1, 2]]),
     ("nulls", {"items": {"A": 7}}), ("nulls", {"items": {"A": "x"}}), ("as_of", "soon")],
)  # fmt: skip
def test_a_look_whose_parts_are_not_what_they_should_be_is_passed_over(
    clean: Look, tmp_path: Path, key: str, value: object
) -> None:
    path = keep(tmp_path, "a", at(clean, -7), {})
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    assert run_before(tmp_path, clean) is None


def test_a_column_that_is_new_is_no_change(clean: Look, tmp_path: Path) -> None:
    earlier = kept(tmp_path, clean)
    del earlier["nulls"]["items"]["ITEM_NM"]
    change: Change = compare(clean, earlier)
    (gap,) = [gap for gap in change.gaps if gap.column == "ITEM_NM"]
    assert (gap.before, gap.worse) == (None, False)
