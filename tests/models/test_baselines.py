import models_factory
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing_ml.comparison import metrics
from routing_ml.models.baselines import BASELINES, COLUMNS, Commonest, Copy, Usual

ATTRIBUTES = models_factory.Attributes(text=(), units={})


def frames(kinds, routings, **columns):
    """Items of a kind each, and the routing that each has, a string of one-letter jobs."""
    codes = [f"I{k:03d}" for k in range(len(kinds))]
    items = pd.DataFrame({"ITEM_CD": codes, "KIND": kinds, **columns})
    rows = [
        (code, 10 * (place + 1), job, f"{job}-M", 1.0 + k, 2.0 + k)
        for k, (code, jobs) in enumerate(zip(codes, routings, strict=True))
        for place, job in enumerate(jobs)
    ]
    return items, pd.DataFrame(rows, columns=COLUMNS)


def proposed(rule, items):
    return {code: "".join(jobs) for code, jobs in metrics.sequences(rule.predict(items)).items()}


def test_the_commonest_routing_is_that_of_the_column_which_tells_most():
    kinds = ["A", "B", "C"] * 20
    items, routings = frames(
        kinds, ["xy", "xz", "z"] * 20, SHUFFLED=list("PQ" * 30), SAME=["s"] * 60
    )
    rule = Commonest().fit(items, routings, attributes=ATTRIBUTES)
    assert rule.words == "taking the commonest routing of the items with the same KIND"
    asked = pd.DataFrame({"ITEM_CD": ["n1", "n2"], "KIND": [" c ", "B"]})
    assert proposed(rule, asked) == {"n1": "z", "n2": "xz"}


def test_a_value_that_is_missing_or_new_gets_the_commonest_routing_of_all():
    items, routings = frames(
        ["B"] * 20 + ["A"] * 30 + [None] * 5, ["z"] * 20 + ["xy"] * 30 + ["z"] * 5
    )
    rule = Commonest().fit(items, routings, attributes=ATTRIBUTES)
    asked = pd.DataFrame({"ITEM_CD": ["n1", "n2", "n3"], "KIND": [None, "NEW", "B"]})
    assert rule.column_ == "KIND"
    assert proposed(rule, asked) == {"n1": "xy", "n2": "xy", "n3": "z"}
    assert proposed(rule, asked[["ITEM_CD"]]) == dict.fromkeys(("n1", "n2", "n3"), "xy")


def test_a_column_that_is_different_for_each_item_tells_nothing():
    items, routings = frames([f"D-{k}" for k in range(40)], ["xy", "xz"] * 20)
    rule = Commonest().fit(items, routings, attributes=ATTRIBUTES)
    assert (rule.column_, rule.words) == (None, "taking the commonest routing of all")


def test_its_times_are_medians_and_its_machines_the_commonest_of_that_value_and_routing():
    items, routings = frames(["A"] * 5 + ["B"] * 20, ["x"] * 4 + ["y"] + ["z"] * 20)
    routings.loc[routings["ITEM_CD"] == "I000", "RES_CD"] = "other"
    found = Commonest().fit(items, routings, attributes=ATTRIBUTES).predict(items[:1])
    # Of the four items of kind A with x: 1, 2, 3 and 4 minutes to set up.
    assert found[["JOB_CD", "RES_CD", "SETUP_TIME", "RUN_TIME"]].to_numpy().tolist() == [
        ["x", "x-M", 2.5, 3.5]
    ]


def test_a_copy_is_the_routing_of_the_most_alike_item_with_its_times_and_machines():
    items, routings = frames(["A"] * 40, ["xxy"] * 20 + ["z"] * 20, SIZE=np.arange(40.0))
    rule = Copy().fit(items, routings, attributes=ATTRIBUTES)
    asked = pd.DataFrame({"ITEM_CD": ["n"], "SIZE": [10.2]})
    expected = routings[routings["ITEM_CD"] == "I010"].assign(ITEM_CD="n")
    pd.testing.assert_frame_equal(
        rule.predict(asked), expected.reset_index(drop=True), check_dtype=False
    )


def test_both_are_well_above_nothing_on_a_factory_of_rules_and_the_same_each_time():
    factory = models_factory.make(600)
    past, new, truth = models_factory.split(factory)
    for kind in BASELINES:
        rules = [
            kind().fit(factory.items, past, attributes=models_factory.Attributes())
            for _ in range(2)
        ]
        one, other = (rule.predict(new) for rule in rules)
        pd.testing.assert_frame_equal(one, other)
        assert metrics.evaluate(one, truth)["operation_f1"] > 0.75


def test_the_usual_operations_are_those_with_the_best_f1_in_their_usual_order():
    made = ["abz"] * 40 + ["acz"] * 30 + ["bz"] * 20 + ["zz"] * 10
    items, routings = frames(["A"] * 100, made)
    rule = Usual().fit(items, routings, attributes=ATTRIBUTES)
    # z is in all, a in 70, b in 60, c in 30, a second z in 10: F1 .54, .71, .83, .79, .74
    assert proposed(rule, items[:2]) == {"I000": "abz", "I001": "abz"}


@pytest.mark.parametrize("seed", range(3))
def test_of_pure_noise_the_usual_operations_get_more_f1_than_any_other_rule(seed):
    random = np.random.default_rng(seed)
    made = ["".join(job for job in "abcdefgh" if random.random() < 0.5) or "a" for _ in range(400)]
    items, routings = frames(random.choice(list("ABC"), 400), made)
    past, new = routings["ITEM_CD"] < "I200", items[200:]
    f1 = {
        kind.name: metrics.evaluate(
            kind().fit(items, routings[past], attributes=ATTRIBUTES).predict(new), routings[~past]
        )["operation_f1"]
        for kind in BASELINES
    }
    assert f1["usual"] == max(f1.values()) > 0.6


@pytest.mark.parametrize("kind", BASELINES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_item_master_gets_a_routing_for_every_item(kind, data):
    count = data.draw(st.integers(2, 12))
    routings = data.draw(st.lists(st.sampled_from(["x", "xy", "xx", "yx"]), min_size=count,
                                  max_size=count))  # fmt: skip
    value = data.draw(
        st.sampled_from([
            st.none(), st.sampled_from(["A", "b ", "", None]), st.text(max_size=4),
            st.floats(allow_infinity=False), st.booleans(),
        ])
    )  # fmt: skip
    items, rows = frames(["A"] * count, routings)
    columns = data.draw(st.integers(0, 2))
    items = items[["ITEM_CD"]].assign(
        **{f"C{c}": data.draw(st.lists(value, min_size=count, max_size=count))
           for c in range(columns)}
    )  # fmt: skip
    rule = kind().fit(items, rows, attributes=ATTRIBUTES)
    asked = items.assign(ITEM_CD=[f"N{k}" for k in range(count)])
    found = proposed(rule, asked)
    assert found.keys() == set(asked["ITEM_CD"])
    assert kind is Usual or set(found.values()) <= set(routings)
