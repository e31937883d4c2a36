"""Factories that follow one rule without noise: what is proposed is what the rule says."""

import models_factory as valves
import numpy as np
import pandas as pd
import pytest

from routing_ml import models
from routing_ml.source import Attributes

LIKE = ["nearest", "forest", "boosted"]


def master(count, seed=0, **columns):
    """Items with a TYPE of three and a METAL of three, and what `columns` (of a generator) add."""
    random = np.random.default_rng(seed)
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(count), unit="D")
    return pd.DataFrame({
        "ITEM_CD": [f"P{k:04d}" for k in range(count)],
        "INSRT_DT": pd.Series(days).astype("datetime64[us]"),
        "TYPE": random.choice(["AA", "BB", "CC"], count),
        "METAL": random.choice(["STEEL", "BRASS", "PLASTIC"], count),
        **{name: make(random, count) for name, make in columns.items()},
    })  # fmt: skip


def routed(items, made):
    """Routings of all items; `made` says of one item its operations: (job, setup, run, ...)."""
    rows = [
        {"ITEM_CD": item.ITEM_CD, "INSRT_DT": item.INSRT_DT, "ROUT_NO": "R1", "PROC_SEQ": 10 * k,
         "JOB_CD": job, "SETUP_TIME": setup, "RUN_TIME": run, **dict(*more)}
        for item in items.itertuples()
        for k, (job, setup, run, *more) in enumerate(made(item), 1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def proposed(items, made, *, asked=None, candidate="nearest", **options):
    """Proposals for the items themselves, or those `asked`, beside the item's columns."""
    routings = routed(items, made)
    model = models.fit(candidate, items, routings, attributes=Attributes())
    new = (items if asked is None else asked).copy()
    new["ITEM_CD"] = "N" + new["ITEM_CD"].astype(str)
    return model.predict(new, **options).merge(new, on="ITEM_CD")


def of(found, job):
    return found[found["JOB_CD"] == job]


@pytest.mark.parametrize("candidate", LIKE)
def test_an_order_that_one_column_decides_is_that_order(candidate):
    items = master(300)
    turn = {"AA": ["CUT", "MARK", "TEST"], "BB": ["CUT", "TEST", "MARK"], "CC": ["MARK", "CUT"]}
    found = proposed(items, lambda i: [(j, 5.0, 5.0) for j in turn[i.TYPE]], candidate=candidate)
    made = found.groupby("ITEM_CD")["JOB_CD"].agg(list)
    assert (made == items.set_index("N" + items["ITEM_CD"])["TYPE"].map(turn)).all()


@pytest.mark.parametrize("count", [60, 200])
def test_times_of_a_kind_are_those_of_the_kind(count):
    minutes = {"AA": 1.0, "BB": 10.0, "CC": 100.0}
    items = master(count)
    found = proposed(
        items, lambda i: [("CUT", 5.0, minutes[i.TYPE]), ("PACK", 100 / minutes[i.TYPE], 5.0)]
    )
    truth = found["TYPE"].map(minutes)
    cut, pack = found["JOB_CD"] == "CUT", found["JOB_CD"] == "PACK"
    assert found["RUN_TIME"][cut].to_numpy() == pytest.approx(truth[cut].to_numpy(), rel=0.02)
    assert found["SETUP_TIME"][pack].to_numpy() == pytest.approx(100 / truth[pack], rel=0.02)


def test_times_that_two_columns_decide_together_are_those():
    items = master(300)
    table = {
        (t, m): 2.0 ** (a * b) for a, t in enumerate(["AA", "BB", "CC"])
        for b, m in enumerate(["STEEL", "BRASS", "PLASTIC"], 1)
    }  # fmt: skip
    found = proposed(items, lambda i: [("CUT", 5.0, table[i.TYPE, i.METAL])])
    truth = [table[key] for key in zip(found["TYPE"], found["METAL"], strict=True)]
    assert found["RUN_TIME"].to_numpy() == pytest.approx(truth, rel=0.1)


@pytest.mark.parametrize(("every", "minutes"), [(40, 1000.0), (20, 30.0), (10, 0.1)])
def test_a_kind_of_few_items_is_no_misprint(every, minutes):
    items = master(400)
    items.loc[np.arange(400) % every == 3, "TYPE"] = "RARE"

    def made(item):
        run = minutes if item.TYPE == "RARE" else 10.0
        return [("TURN", 5.0, run), *((f"OP{k}", 5.0, 10.0) for k in range(8))]

    found = of(proposed(items, made), "TURN").set_index("TYPE")
    assert found.loc["RARE", "RUN_TIME"].to_numpy() == pytest.approx(minutes, rel=0.05)
    assert found.loc["AA", "RUN_TIME"].to_numpy() == pytest.approx(10.0, rel=0.01)


def test_a_misprint_is_no_kind():
    items = master(400)
    wrong = {items["ITEM_CD"][5]: 10_000.0, items["ITEM_CD"][50]: 0.01}
    random = np.random.default_rng(1)
    noise = dict(zip(items["ITEM_CD"], np.exp(random.normal(0, 0.1, 400)), strict=True))
    found = proposed(items, lambda i: [("TURN", 5.0, wrong.get(i.ITEM_CD, 10 * noise[i.ITEM_CD]))])
    assert found["RUN_TIME"].between(9, 11).all()
    assert (found["RUN_TIME_HIGH"] < 15).all()


@pytest.mark.parametrize("imported", [True, False])
def test_a_slow_kind_that_came_late_makes_nothing_else_slower(imported):
    items = master(360)
    items.loc[300:, "TYPE"] = "LATE"
    items.loc[:299, "TYPE"] = np.where(np.arange(300) % 2, "AA", "BB")
    if imported:
        items.loc[:299, "INSRT_DT"] = items["INSRT_DT"][0]

    def made(item):
        slow = 50.0 if item.TYPE == "LATE" else 10.0
        return [("CUT", 5.0, slow), ("TURN", 5.0, slow), ("PACK", 5.0, 10.0)]

    found = proposed(items, made)
    truth = np.where((found["TYPE"] == "LATE") & (found["JOB_CD"] != "PACK"), 50.0, 10.0)
    assert found["RUN_TIME"].to_numpy() == pytest.approx(truth, rel=0.03)


def test_no_time_by_rule_is_no_time_and_some_is_some():
    items = master(300)

    def made(item):
        steel = item.METAL == "STEEL"
        return [
            ("CUT", 30.0 if steel else 0.0, 4.0),
            ("BURR", 2.0, 25.0 if steel else 0.0),
            ("PACK", 2.0, 0.0 if steel else 25.0),
        ]

    found = proposed(items, made, candidate="boosted", quantity=2)
    truth = pd.DataFrame([
        {"ITEM_CD": f"N{i.ITEM_CD}", "JOB_CD": job, "setup": s, "run": r}
        for i in items.itertuples() for job, s, r in made(i)
    ])  # fmt: skip
    both = found.merge(truth, on=["ITEM_CD", "JOB_CD"])
    assert both["SETUP_TIME"].to_numpy() == pytest.approx(both["setup"].to_numpy(), rel=0.01)
    assert both["RUN_TIME"].to_numpy() == pytest.approx(both["run"].to_numpy(), rel=0.01)
    total = both["setup"] + 2 * both["run"]
    assert both["TOTAL_MINUTES"].to_numpy() == pytest.approx(total.to_numpy(), rel=0.01)
    none = both["run"] == 0
    assert (both["RUN_TIME_HIGH"][none] == 0).all() and (both["RUN_TIME_LOW"][~none] > 0).all()


def test_where_it_is_open_whether_there_is_a_time_the_band_holds_both():
    random = np.random.default_rng(0)
    items = master(300)
    free = dict(zip(items["ITEM_CD"], random.random(300) < 0.3, strict=True))
    found = proposed(items, lambda i: [("BURR", 2.0, 0.0 if free[i.ITEM_CD] else 25.0)])
    some = found[found["RUN_TIME"] > 0]
    assert some["RUN_TIME"].to_numpy() == pytest.approx(25.0, rel=0.02)
    assert (some["RUN_TIME_LOW"] == 0).mean() > 0.9


def test_placeholders_of_a_dimension_change_no_time():
    items = master(400, DIAMETER=lambda random, count: random.uniform(10, 300, count).round(1))
    true = dict(zip(items["ITEM_CD"], items["DIAMETER"] / 10, strict=True))
    items.loc[0, "DIAMETER"], items.loc[1, "DIAMETER"] = 0.0, 9_999_999.0
    asked = pd.DataFrame({"ITEM_CD": list("abcd"), "TYPE": "AA", "METAL": "STEEL"})
    asked["DIAMETER"] = [12.0, 50.0, 150.0, 290.0]
    found = proposed(items, lambda i: [("CUT", 5.0, true[i.ITEM_CD])], asked=asked)
    assert found["RUN_TIME"].to_numpy() == pytest.approx([1.2, 5.0, 15.0, 29.0], rel=0.02)


def test_the_time_of_a_fast_press_is_not_rounded_away():
    minutes = {"AA": 0.004, "BB": 0.0123, "CC": 1.5}
    items = master(200)
    found = proposed(items, lambda i: [("PRESS", 10.0, minutes[i.TYPE])], quantity=100_000)
    truth = found["TYPE"].map(minutes).to_numpy()
    assert found["RUN_TIME"].to_numpy() == pytest.approx(truth, rel=0.01)
    assert found["TOTAL_MINUTES"].to_numpy() == pytest.approx(10 + 100_000 * truth, rel=0.01)


def test_what_is_done_outside_and_what_is_for_a_lot_is_told_item_by_item():
    items = master(300)

    def made(item):
        out = item.TYPE == "AA"
        said = {"PER_LOT": "Y" if out else "N", "INSIDE_FLAG": "사외" if out else "사내"}
        return [("COAT", 5.0, 60.0 if out else 4.0, {"RES_CD": "X1", **said})]

    found = proposed(items, made, candidate="boosted", quantity=20)
    out = found["TYPE"] == "AA"
    assert (found["OUTSIDE"] == out).all()
    assert found["TOTAL_MINUTES"].to_numpy() == pytest.approx(np.where(out, 65.0, 85.0), rel=0.02)
    lots = found["NOTE"].fillna("").str.contains("run time is for a lot")
    assert (lots == out).all()


def test_no_two_ranked_routings_are_the_same():
    factory = valves.make(450, seed=3)
    model = models.fit("boosted", factory.items, factory.routings, attributes=valves.Attributes())
    asked = factory.items[["ITEM_CD", "Teil", "Werkstoff", "Nennweite"]].head(150)
    found = model.predict(asked, similarity=False, alternatives=3)
    ranked = found.groupby(["ITEM_CD", "RANK"])["JOB_CD"].agg(tuple).reset_index()
    assert not ranked.duplicated(["ITEM_CD", "JOB_CD"]).any()
    assert (ranked.groupby("ITEM_CD").size() == 3).mean() > 0.9


@pytest.mark.parametrize("candidate", LIKE)
def test_nobody_asked_is_no_proposal(candidate):
    items = master(60)
    for options in ({}, {"alternatives": 3}, {"quantity": 5}):
        found = proposed(
            items, lambda i: [("CUT", 5.0, 5.0)], asked=items.head(0), candidate=candidate,
            **options,
        )  # fmt: skip
        assert not len(found)


def test_a_value_is_read_alike_whatever_it_stands_beside():
    items = master(100)
    items["TYPE"] = np.array([1 if t == "AA" else "B" for t in items["TYPE"]], dtype=object)
    routings = routed(items, lambda i: [("X" if i.TYPE == 1 else "Y", 5.0, 5.0)])
    model = models.fit("boosted", items, routings, attributes=Attributes())
    asked = pd.DataFrame({"ITEM_CD": ["a", "b", "c"], "TYPE": [True, 1, "B"]}, dtype=object)
    for order in ([0, 1, 2], [1, 0, 2], [1], [2, 1]):
        found = model.predict(asked.iloc[order]).set_index("ITEM_CD")
        assert found.loc["b", "JOB_CD"] == "X"
        assert pd.isna(found.loc["b", "NEW_TO_MODEL"])
