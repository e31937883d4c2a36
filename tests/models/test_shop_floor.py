"""What a proposal says of the shop floor: machines, what is done outside, and the quantity."""

import copy

import numpy as np
import pandas as pd
import pytest
import workshop
from hypothesis import given
from hypothesis import strategies as st

from routing_ml import models
from routing_ml.models.base import RoutingModel
from routing_ml.models.parts.quantities import Quantities
from routing_ml.models.parts.recent import ages, risen, trend

SHOP = workshop.make()
OLD = SHOP.items["ITEM_CD"][:320]
NEW = SHOP.items[320:].reset_index(drop=True)


# Without dates of the items, from which the machine of a time could be told.
UNDATED = SHOP.items.drop(columns="INSRT_DT")


def fit(
    routings: pd.DataFrame,
    results: pd.DataFrame | None = SHOP.results,
    items: pd.DataFrame = UNDATED,
) -> RoutingModel:
    return models.fit(
        "nearest", items, routings[routings["ITEM_CD"].isin(OLD)], results,
        attributes=workshop.ATTRIBUTES,
    )  # fmt: skip


@pytest.fixture(scope="module")
def model() -> RoutingModel:
    return fit(SHOP.first)


def of(proposals: pd.DataFrame, job: str) -> pd.DataFrame:
    return proposals[proposals["JOB_CD"] == job]


def test_machines_come_with_likelihoods_that_are_right_as_often_as_they_say(model):
    turned = of(model.predict(NEW), "TURN").set_index("ITEM_CD")
    assert turned["RES_LIKELIHOOD"].between(0, 1).all()
    truth = of(SHOP.first, "TURN").set_index("ITEM_CD")["RES_CD"].reindex(turned.index)
    right = (turned["RES_CD"] == truth).mean()
    assert turned["RES_LIKELIHOOD"].mean() == pytest.approx(right, abs=0.15)
    assert turned["RES_OTHERS"].dropna().str.fullmatch(r"L\d \.\d\d(; L\d \.\d\d)*").all()
    assert (of(model.predict(NEW), "WASH")["RES_LIKELIHOOD"] == 1).all()


def test_a_machine_bought_late_is_proposed_for_what_is_new(model):
    turned = of(model.predict(NEW), "TURN")
    assert (turned["RES_CD"] == "L2").mean() >= 0.8


def test_a_machine_that_nobody_uses_is_proposed_only_where_there_is_no_other(model):
    other = copy.copy(model)
    other.machines_ = copy.copy(model.machines_)
    other.machines_.unused = np.array([name in ("L2", "WASH-1") for name in model.machines_.names])
    assert of(model.predict(NEW), "TURN")["RES_CD"].eq("L2").any()
    found = other.predict(NEW)
    assert not of(found, "TURN")["RES_CD"].eq("L2").any()
    assert of(found, "WASH")["RES_CD"].eq("WASH-1").all()
    assert of(found, "WASH")["NOTE"].str.contains("WASH-1 not used since").all()


def test_a_machine_that_nobody_uses_any_more_is_never_named_without_a_note():
    only = SHOP.first.copy()
    old = only["INSRT_DT"] < workshop.GIVEN_UP
    only.loc[only["JOB_CD"].eq("TURN") & ~old, ["JOB_CD", "RES_CD"]] = ["MILL", "M1"]
    only.loc[only["JOB_CD"].eq("TURN"), "RES_CD"] = "L0"
    # of a steel that nobody orders any more: else it would be a change of rule, and they be milled
    given_up = SHOP.items["INSRT_DT"] < workshop.GIVEN_UP
    items = UNDATED.assign(STEEL=UNDATED["STEEL"].mask(given_up, "ST37"))
    model = fit(only, items=items)
    found = model.predict(items[given_up])
    named = found["RES_CD"].eq("L0") | found["RES_OTHERS"].fillna("").str.contains("L0")
    assert named.any()
    assert found.loc[named, "NOTE"].str.contains("L0 not used since 2022-02").all()
    assert not found.loc[~named, "NOTE"].fillna("").str.contains("not used").any()


def test_what_was_reported_of_a_machine_counts_as_its_use():
    only = SHOP.first.copy()
    only.loc[only["JOB_CD"].eq("TURN"), "RES_CD"] = np.where(
        of(only, "TURN")["INSRT_DT"] < workshop.GIVEN_UP, "L0", "L1"
    )
    late = SHOP.results.assign(REPORT_DT=pd.Timestamp("2025-12-01"))
    used = fit(only, late).machines_
    assert not used.unused.any()
    assert fit(only, None).machines_.unused.tolist() == [name == "L0" for name in used.names]


def test_what_is_done_outside_is_marked_and_noted(model):
    found = model.predict(NEW)
    assert found["OUTSIDE"].dtype == "boolean"
    assert found.loc[found["OUTSIDE"], "JOB_CD"].unique().tolist() == ["COAT"]
    assert of(found, "COAT")["NOTE"].eq("done outside").all()
    unsaid = fit(SHOP.first.drop(columns="INSIDE_FLAG")).predict(NEW)
    assert unsaid["OUTSIDE"].isna().all()


def test_minutes_of_a_quantity_are_setup_and_run_of_each_piece_or_lot(model):
    found = model.predict(NEW, quantity=90)
    setup, run = found["SETUP_TIME"], found["RUN_TIME"]
    times = found["JOB_CD"].map({"WASH": 3, "TEMPER": 1}).fillna(90)
    assert found["TOTAL_MINUTES"].to_numpy() == pytest.approx(
        (setup + run * times).to_numpy(), 0.06
    )
    lots, furnace = of(found, "WASH")["NOTE"], of(found, "TEMPER")["NOTE"]
    assert lots.eq("run time is for a lot of up to 40 pieces, by the ERP").all()
    assert furnace.eq("run time is for a lot, whatever its quantity, by its work orders").all()
    assert "TOTAL_MINUTES" not in model.predict(NEW)


def test_work_orders_are_believed_over_a_flag_of_the_erp():
    flagged = SHOP.first.assign(PER_LOT=SHOP.first["JOB_CD"].map({"TURN": "B"}))
    found = fit(flagged.drop(columns="LOT_SIZE")).predict(NEW, quantity=10)
    turned = of(found, "TURN")
    minutes = (turned["SETUP_TIME"] + 10 * turned["RUN_TIME"]).to_numpy()
    assert turned["TOTAL_MINUTES"].to_numpy() == pytest.approx(minutes, rel=1e-3)
    believed = of(fit(flagged.drop(columns="LOT_SIZE"), None).predict(NEW, quantity=10), "TURN")
    minutes = (believed["SETUP_TIME"] + believed["RUN_TIME"]).to_numpy()
    assert believed["TOTAL_MINUTES"].to_numpy() == pytest.approx(minutes, rel=1e-3)


@given(power=st.floats(0.25, 0.8), level=st.floats(-1, 1))
def test_minutes_that_grow_less_than_the_quantity_are_learned_from_work_orders(power, level):
    random = np.random.default_rng(2)
    x = random.uniform(1, 6, 300)
    found = Quantities.usual(1)
    found._reported(0, x, level + power * x + random.normal(0, 0.02, 300))
    one, unsaid = np.zeros(1, np.int64), np.array([np.nan])
    for quantity in (3, 50, 400):
        due = 4 * np.exp(level) * quantity**power
        minutes = found.minutes(one, np.array([4.0]), quantity, unsaid)
        assert minutes[0] == pytest.approx(due, rel=0.1)
    assert f"power {power:.1f}"[:-1] in found.notes(one, unsaid)[0]


@given(st.lists(st.one_of(st.just(float("nan")), st.floats(0, 1e5)), min_size=1, max_size=40))
def test_ages_are_shares_of_the_time_that_all_items_span(entered):
    age = ages(np.array(entered))
    assert ((age >= 0) & (age <= 1)).all()
    assert not age.any() or {0, 1} <= set(age)


def test_what_became_commoner_counts_more_and_what_was_always_as_common_does_not():
    age = np.linspace(1, 0, 100)
    late = np.arange(100) >= 80
    target = np.stack([~late, late, np.ones(100)], axis=1).astype(np.float32)
    found = trend(target, np.array([0, 0, 1]), age, 1 / 12)
    assert found[1] > 2 and found[0] < 0.6
    assert found[2] == pytest.approx(1)


def level(late, *, seed=0, of=(0, 1)):
    """What is found of 1,200 times of two operations that are higher by `late`, in log minutes, in
    the newest fifth, in the operations `of`."""
    random = np.random.default_rng(seed)
    age, operation = np.linspace(1, 0, 1200), np.tile([0, 1], 600)
    higher = np.where((age < 0.2) & np.isin(operation, of), late, 0.0)
    residual = random.normal(higher, 0.15)
    return risen(residual - residual.mean(), operation, age, 2)


def test_times_that_have_risen_are_proposed_as_they_are_of_late():
    assert level(0.3) == pytest.approx([0.24, 0.24], abs=0.05)  # over their mean
    assert level(-0.3) == pytest.approx([-0.24, -0.24], abs=0.05)
    one = level(0.3, of=(1,))
    assert one[1] > 0.15 > 0.05 > one[0]


def test_times_that_go_on_rising_are_proposed_as_they_are_now_and_not_as_of_some_time_ago():
    found = []
    for seed in range(10):
        random = np.random.default_rng(seed)
        age, operation = np.linspace(1, 0, 2400), np.tile([0, 1], 1200)
        residual = random.normal(0.3 * (0.5 - age), 0.1)
        found.append(risen(residual, operation, age, 2))
    assert np.mean(found) == pytest.approx(0.15, abs=0.01)
    assert np.std(found) < 0.03


def test_times_that_are_as_ever_stay_as_they_are():
    found = [np.abs(level(0.0, seed=seed)).max() for seed in range(100)]
    assert np.mean(np.array(found) > 0) < 0.1
    assert max(found) < 0.06
    assert (risen(np.ones(50), np.zeros(50, int), np.zeros(50), 1) == 0).all()  # nothing is dated


@pytest.mark.parametrize("minutes", [5.0, 0.01, 90_000.0])
def test_a_time_that_is_the_same_for_all_items_is_proposed_as_it_is(minutes):
    jobs = ["SAW", "TURN", "WASH"]
    codes = [f"C{k:03d}" for k in range(60)]
    items = pd.DataFrame({"ITEM_CD": codes, "KIND": ["A", "B", "C"] * 20})
    routings = pd.DataFrame({
        "ITEM_CD": np.repeat(codes, 3), "PROC_SEQ": [10, 20, 30] * 60, "JOB_CD": jobs * 60,
        "SETUP_TIME": [minutes, 2 * minutes, 3 * minutes] * 60, "RUN_TIME": 7.0,
    })  # fmt: skip
    model = models.fit("nearest", items, routings, attributes=workshop.ATTRIBUTES)
    found = model.predict(items.head(1))
    truth = np.array([minutes, 2 * minutes, 3 * minutes])
    assert found["SETUP_TIME"].to_numpy() == pytest.approx(truth, rel=1e-3)
    assert found["RUN_TIME"].to_numpy() == pytest.approx(7.0)


def test_a_model_proposes_the_level_of_late():
    days = pd.Series(pd.date_range("2020-01-01", periods=400), dtype="datetime64[us]")
    items = pd.DataFrame({
        "ITEM_CD": [f"T{k:03d}" for k in range(400)],
        "INSRT_DT": days,
        "KIND": np.where(np.arange(400) % 2, "A", "B"),
    })  # fmt: skip
    minutes = 10 * np.where(np.arange(400) < 300, 1.0, 1.3)
    minutes = minutes * np.exp(np.random.default_rng(0).normal(0, 0.1, 400))
    routings = items[["ITEM_CD", "INSRT_DT"]].assign(
        PROC_SEQ=10, JOB_CD="TURN", SETUP_TIME=5.0, RUN_TIME=minutes
    )
    attributes = workshop.ATTRIBUTES
    new = pd.DataFrame({"ITEM_CD": ["N"], "KIND": ["A"]})
    found = models.fit("nearest", items, routings, attributes=attributes).predict(new)
    assert found["RUN_TIME"][0] == pytest.approx(13, rel=0.05)
    assert found["SETUP_TIME"][0] == pytest.approx(5, rel=0.02)
    same_day = routings.assign(INSRT_DT=days[0])
    usual = models.fit(
        "nearest", items.drop(columns="INSRT_DT"), same_day, attributes=attributes
    ).predict(new)
    assert usual["RUN_TIME"][0] == pytest.approx(10.7, rel=0.05)
