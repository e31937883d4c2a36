"""Faults in the data of new items are named by column, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing_ml.drift import PROFILE_FILE, Fault, Place, Profile, Verdict, blame, faults_of
from routing_ml.drift.profile import rate, spelling, texts
from routing_ml.errors import ModelError

TODAY = date(2025, 11, 3)


def made(count: int, seed: int, *, family: int = 1) -> pd.DataFrame:
    """Items of a shop in order, three rows in a hundred without FINISH."""
    random = np.random.default_rng(seed)
    of = np.arange(count) // family
    n = int(of[-1]) + 1
    finish = random.choice(["NONE", "PLATED", "BLACK"], n).astype(object)
    finish[random.random(n) < 0.03] = None
    frame = pd.DataFrame({
        "PART_TYPE": random.choice(["SHAFT", "SLEEVE", "GEAR"], n),
        "FINISH": finish,
        "OUTER": np.round(random.lognormal(4, 0.5, n), 1),
        "PIECES": random.integers(1, 4, n).astype(float),
        "DRAWING": [f"D{seed}-{k}" for k in range(n)],
        "NOTE": np.where(random.random(n) < 0.5, "see drawing", None),
        "INSRT_DT": pd.Timestamp("2025-01-01"),
    })  # fmt: skip
    frame = frame.loc[of].reset_index(drop=True)
    frame.insert(0, "ITEM_CD", [f"I{k}" for k in range(count)])
    frame["family"] = of
    return frame


@pytest.fixture(scope="module")
def profile() -> Profile:
    rows = made(1000, 1, family=2)
    return Profile.fit(rows.drop(columns="family"), rows["family"], kind="PART_TYPE")


def found(
    profile: Profile, rows: pd.DataFrame, *, days: list[date] | None = None
) -> tuple[Fault, ...]:
    """The faults of rows that were entered on the last seven days, as many a day."""
    entered = days or [TODAY - timedelta(days=6 - k * 7 // len(rows)) for k in range(len(rows))]
    return faults_of(
        profile, rows.drop(columns="family"), days=entered, families=rows["family"], today=TODAY
    )


@pytest.mark.parametrize("seed", range(5))
def test_items_as_before_have_no_fault(profile: Profile, seed: int) -> None:
    assert found(profile, made(140, 10 + seed, family=2)) == ()


@pytest.mark.parametrize(
    ("column", "what", "spoil"),
    [
        ("OUTER", "missing", lambda of: np.nan),
        ("OUTER", "missing", lambda of: "12,5"),
        ("FINISH", "missing", lambda of: None),
        ("FINISH", "missing", lambda of: "  "),
        ("NOTE", "missing", lambda of: None),
        ("PIECES", "missing", lambda of: np.nan),
        ("OUTER", "unit", lambda of: of / 25.4),
        ("OUTER", "unit", lambda of: of * 1000),
        ("OUTER", "unit", lambda of: of * 10),
        ("FINISH", "spelling", lambda of: of.str.lower()),
        ("PART_TYPE", "spelling", lambda of: of.str[:2] + "-" + of.str[2:]),
        ("FINISH", "values", lambda of: "F" + of.str.len().astype(str)),
    ],
)
def test_a_spoiled_column_is_named_with_its_fault(
    profile: Profile, column: str, what: str, spoil: Callable[[pd.Series], Any]
) -> None:
    rows = made(140, 20, family=2)
    rows[column] = spoil(rows[column])
    faults = found(profile, rows)
    assert [(fault.column, fault.what) for fault in faults] == [(column, what)]
    assert column in faults[0].words


@pytest.mark.parametrize(("factor", "unit"), [(1 / 25.4, "inches"), (10.0, "centimetres")])
def test_the_factor_of_a_unit_is_said(profile: Profile, factor: float, unit: str) -> None:
    rows = made(140, 21, family=2)
    rows["OUTER"] *= factor
    (fault,) = found(profile, rows)
    assert fault.factor == pytest.approx(factor) and unit in fault.words
    assert ("too high" if factor > 1 else "too low") in fault.words


def test_a_unit_that_changed_for_a_third_is_told(profile: Profile) -> None:
    rows = made(140, 22, family=2)
    rows["OUTER"] = rows["OUTER"].where(rows["family"] % 3 > 0, rows["OUTER"] / 25.4)
    (fault,) = found(profile, rows)
    assert fault.what == "unit" and fault.factor == pytest.approx(1 / 25.4)


def test_a_unit_of_numbers_that_vary_widely_is_told_of_few_families() -> None:
    """Half of them stay in range, so that the small ones must tell."""
    rows = made(100, 3)
    rows["OUTER"] = np.random.default_rng(1).lognormal(4, 1, 100)
    profile = Profile.fit(rows.drop(columns="family"), rows["family"], kind="PART_TYPE")
    later = made(28, 30)
    later["OUTER"] = np.random.default_rng(2).lognormal(4, 1, 28) / 10
    assert [(fault.column, fault.what) for fault in found(profile, later)] == [("OUTER", "unit")]


def test_small_items_are_no_fault(profile: Profile) -> None:
    rows = made(140, 31, family=2)
    rows["OUTER"] = np.random.default_rng(1).lognormal(3.25, 0.2, len(rows))
    assert found(profile, rows) == ()


def test_where_two_factors_are_as_likely_both_are_said(profile: Profile) -> None:
    rows = made(70, 32, family=2)
    rows["OUTER"] *= 11
    (fault,) = found(profile, rows)
    assert "factor of 1" in fault.words and " or 1" in fault.words


def test_numbers_no_unit_explains_are_no_fault(profile: Profile) -> None:
    rows = made(140, 23, family=2)
    rows["OUTER"] = np.random.default_rng(1).lognormal(8, 4, len(rows))
    assert [fault.what for fault in found(profile, rows)] == []


def test_a_fault_is_told_of_its_last_days(profile: Profile) -> None:
    rows = made(140, 24)
    rows.loc[120:, "FINISH"] = None
    (fault,) = found(profile, rows)
    assert (fault.days, fault.hit, fault.of) == (1, 20, 20)
    assert fault.words == "FINISH is empty in 20 of 20 families of items of the last day"


def test_one_family_however_large_is_one(profile: Profile) -> None:
    rows = made(140, 25)
    rows["family"] = np.where(rows.index < 100, 0, rows["family"])
    rows.loc[:99, "OUTER"] = np.nan
    assert found(profile, rows) == ()


def test_a_new_kind_fills_in_other_columns(profile: Profile) -> None:
    rows = made(140, 26, family=2)
    rows["PART_TYPE"] = "DRIVE COLLAR"
    rows["OUTER"] *= 10
    rows["FINISH"] = None
    assert found(profile, rows) == ()


def test_items_of_other_days_are_not_looked_at(profile: Profile) -> None:
    rows = made(140, 27)
    rows["OUTER"] = np.nan
    assert found(profile, rows, days=[TODAY - timedelta(days=7)] * 140) == ()
    assert found(profile, rows, days=[TODAY + timedelta(days=1)] * 140) == ()
    assert found(profile, rows, days=[TODAY - timedelta(days=6)] * 140) != ()
    assert found(profile, rows[:0]) == ()


def test_a_column_that_is_gone_is_missing_and_a_new_one_is_no_fault(profile: Profile) -> None:
    rows = made(140, 28).drop(columns="OUTER").assign(COLOUR="RED")
    assert [(fault.column, fault.what) for fault in found(profile, rows)] == [("OUTER", "missing")]


def test_a_column_that_newer_items_leave_empty_is_not_at_fault() -> None:
    """Nearly nothing is missing of all, but all of the newest fifth."""
    rows = made(1000, 2)
    rows.loc[850:, "FINISH"] = None
    profile = Profile.fit(rows.drop(columns="family"), rows["family"], kind="PART_TYPE")
    later = made(140, 29)
    later["FINISH"] = later["FINISH"].where(later.index % 4 == 0, None)
    assert found(profile, later) == ()


def test_a_column_of_names_is_no_list_of_categories(profile: Profile) -> None:
    assert profile.columns["DRAWING"].categories is None
    assert profile.columns["FINISH"].categories == ("BLACK", "NONE", "PLATED")
    assert profile.columns["PIECES"].outside is None
    assert "INSRT_DT" not in profile.columns and "ITEM_CD" not in profile.columns


def test_a_fault_is_named_before_what_else_is_seen() -> None:
    fault = Fault("OUTER", "missing", 2, 9, 9, "OUTER is empty in 9 of 9 families")
    verdict = Verdict(
        "same items, other routings", (Place("operation", "J", "missing"),), TODAY, 9000.0,
        words="Planners make them otherwise.",
    )  # fmt: skip
    told = blame(verdict, [fault])
    assert told.cause == "data fault" and told.alarm
    assert [place.value for place in told.where] == ["OUTER", "J"]
    assert told.words.index("OUTER is empty") < told.words.index("Planners make them otherwise.")
    assert (told.since, told.e_value) == (TODAY, 9000.0)
    alone = blame(Verdict(), [fault])
    assert alone.cause == "data fault" and "as before" not in alone.words
    assert blame(verdict, []) == verdict


def test_one_profile_serves_models_with_other_most_telling_columns(profile: Profile) -> None:
    other = profile.told_by("FINISH")
    assert (other.kind, profile.kind) == ("FINISH", "PART_TYPE")
    assert other.told_by("PART_TYPE") == profile
    assert profile.told_by("NOBODY") == profile.told_by(None)


def test_a_profile_is_kept_beside_the_model(profile: Profile, tmp_path: Path) -> None:
    path = profile.save(tmp_path)
    assert path == tmp_path / PROFILE_FILE
    assert Profile.load(tmp_path) == profile


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"columns": {"A": {}}, "kind": null}', '{"columns": {}, "kind": "B"}'],
)
def test_what_is_no_profile_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / PROFILE_FILE).write_text(text)
    with pytest.raises(ModelError, match="train the model again"):
        Profile.load(tmp_path)


def test_a_rate_that_cannot_be_is_refused(profile: Profile, tmp_path: Path) -> None:
    plain = json.loads(profile.save(tmp_path).read_text())
    plain["columns"]["OUTER"]["missing"] = [5, 3]
    (tmp_path / PROFILE_FILE).write_text(json.dumps(plain))
    with pytest.raises(ModelError, match="5 of 3 families"):
        Profile.load(tmp_path)


def test_no_items_are_refused() -> None:
    with pytest.raises(ModelError, match="no items for the profile"):
        Profile.fit(pd.DataFrame({"A": []}), [])


def test_families_are_counted_in_whole_ones() -> None:
    hit = np.array([True, False, True, True, False])
    family = np.array([0, 0, 1, 1, 2])
    assert rate(hit, family, np.ones(5, bool)) == ((1, 3), pytest.approx(0.5))
    assert rate(hit, family, np.zeros(5, bool)) == ((0, 0), 0.0)


def test_whole_numbers_and_blanks_are_read_as_a_person_would() -> None:
    values = pd.Series([1.0, 1.5, "x ", " ", None, np.nan, pd.NA], dtype=object)
    assert texts(values) == ["1", "1.5", "x ", None, None, None, None]


@given(st.text(max_size=20))
def test_a_spelling_is_its_own_spelling(text: str) -> None:
    assert spelling(text) == spelling(text.upper().lower().upper()) or not text.isascii()
    assert spelling(f" {text} ") == spelling(text)
