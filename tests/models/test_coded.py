"""Codes made of digits are categories, however the ERP keeps them; sizes stay numbers."""

import models_factory as valves
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing_ml import models
from routing_ml.models.features.attributes import NEW, Encoder, Made

COUNT = 480
GROUPS = np.random.default_rng(5).permutation(90)[:20] * 11 + 7
KEPT_AS = {
    "zeros before it": "{:05d}".format,
    "one width": lambda group: str(1000 + group),
    "any width": str,
    "whole number": int,
}


def items_of(values: list, count: int = COUNT) -> pd.DataFrame:
    """Items of these groups in turn, one a day, with a weight that says nothing."""
    random = np.random.default_rng(1)
    return pd.DataFrame({
        "ITEM_CD": [f"I{k:04d}" for k in range(count)],
        "INSRT_DT": pd.date_range("2020-01-01", periods=count).astype("datetime64[us]"),
        "GROUP": [values[k % len(values)] for k in range(count)],
        "WEIGHT": np.round(random.lognormal(1, 0.5, count), 2),
    })  # fmt: skip


def chains(count: int) -> np.ndarray:
    """Which of twelve operations each of so many groups needs: the first always."""
    needed = np.random.default_rng(2).random((count, 12)) < 0.4
    needed[:, 0] = True
    return needed


def routings_of(items: pd.DataFrame, present: np.ndarray) -> pd.DataFrame:
    item, job = np.nonzero(present)
    return pd.DataFrame({
        "ITEM_CD": items["ITEM_CD"].to_numpy()[item], "ROUT_NO": "R1", "PROC_SEQ": 10 * (job + 1),
        "INSRT_DT": items["INSRT_DT"].to_numpy()[item], "JOB_CD": [f"{k:02d}" for k in job],
        "RES_CD": "M1", "SETUP_TIME": 10.0, "RUN_TIME": 5.0 + job,
    })  # fmt: skip


def kinds(items: pd.DataFrame, present=None, families=None, attributes=None):
    """The columns that are categories, and those that are numbers."""
    families = np.arange(len(items)) if families is None else families
    made = None if present is None else Made(present.astype(np.uint8), families)
    encoder = Encoder.fit(items, attributes or valves.Attributes(), made)
    return [c.column for c in encoder.categories], [n.column for n in encoder.numbers]


@pytest.mark.parametrize(
    ("name", "kept_as"),
    [
        ("boosted", "zeros before it"),
        ("nearest", "one width"),
        ("nearest", "any width"),
        ("boosted", "whole number"),
    ],
)
def test_an_unknown_code_is_new_and_less_certain(name, kept_as):
    spelled = [KEPT_AS[kept_as](int(group)) for group in GROUPS]
    known, unknown = spelled[:15], spelled[15:]
    items = items_of(known)
    routings = routings_of(items, chains(15)[np.arange(COUNT) % 15])
    model = models.fit(name, items, routings, attributes=valves.Attributes())
    usual = model.predict(items[:60]).drop_duplicates("ITEM_CD")
    found = model.predict(items_of(unknown, 60)).drop_duplicates("ITEM_CD")
    assert (usual["NOVELTY"] == 0).all()
    assert (found["NOVELTY"] > 0.3).all() and (found["NEW_TO_MODEL"] == "GROUP").all()
    assert usual["CONFIDENCE"].min() > 0.6 and found["CONFIDENCE"].max() < 0.4


@settings(max_examples=50, deadline=None)
@given(
    st.sets(st.from_regex(r"0?[0-9]{1,9}", fullmatch=True), min_size=13, max_size=40),
    st.sets(st.from_regex(r"00[0-9]{1,9}", fullmatch=True), min_size=2, max_size=9),
)
def test_codes_of_digits_some_with_zeros_before_them_are_categories(codes, padded):
    *known, unknown = sorted(codes | padded, reverse=True)  # the least is left out
    items = items_of(known, 5 * len(known))
    assert kinds(items) == (["GROUP"], ["WEIGHT"])
    encoder = Encoder.fit(items, valves.Attributes())
    asked = encoder.transform(items[:2].assign(GROUP=[known[0], unknown]))
    assert asked.states[0, 0] != NEW == asked.states[1, 0]


@pytest.mark.parametrize(
    "values",
    [
        [f"{k / 2:g}" for k in range(1, 40)],  # some with decimals
        [f"{k / 8:06.3f}" for k in range(1, 40)],  # all as long
        [f"{k} mm" for k in range(100, 140)],
        [str(k) for k in range(90, 130)],
    ],
)
def test_sizes_in_a_text_stay_numbers(values):
    items = items_of(values)
    size = np.arange(COUNT) % len(values)
    present = size[:, None] > [-1, 8, 17, 22, 30]
    assert kinds(items, present) == ([], ["GROUP", "WEIGHT"])


def test_days_in_a_text_are_no_codes():
    days = pd.date_range("2021-01-04", periods=40).strftime("%Y%m%d").tolist()
    assert kinds(items_of([*days, *["00000000"] * 60]))[1] == ["GROUP", "WEIGHT"]
    months = pd.date_range("2019-01-01", periods=30, freq="MS").strftime("%Y%m").tolist()
    assert kinds(items_of(months))[1] == ["GROUP", "WEIGHT"]


def test_a_code_that_is_a_misprint_among_sizes_changes_nothing():
    items = items_of([str(k) for k in range(90, 130)])
    assert kinds(items.assign(GROUP=items["GROUP"].mask(items.index < 3, "099")))[0] == []


def test_a_column_with_a_unit_holds_sizes():
    items = items_of([f"{group:05d}" for group in GROUPS]).assign(UNIT="mm")
    attributes = valves.Attributes(units={"GROUP": "UNIT"})
    assert kinds(items, attributes=attributes)[1] == ["GROUP", "WEIGHT"]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(15, 80), st.sampled_from([1, 4, 10]))
def test_sizes_in_whole_millimetres_are_no_codes(seed, count, family):
    random = np.random.default_rng(seed)
    sizes = random.choice(np.arange(10.0, 400.0), count, replace=False)
    families = np.arange(2000) // family
    size = random.choice(sizes, families[-1] + 1)[families]
    present = size[:, None] > random.choice(sizes, 6)
    changed = (random.random((families[-1] + 1, 6)) < 0.1)[families]  # what is made alike
    items = items_of([0], 2000).assign(GROUP=size)
    assert "GROUP" not in kinds(items, present ^ changed, families)[0]


def test_whole_numbers_that_say_nothing_are_no_codes():
    random = np.random.default_rng(3)
    items = items_of([int(group) for group in GROUPS])
    assert kinds(items, random.random((COUNT, 8)) < 0.4)[0] == []
