"""Of an item of which little is given: what the past items say that are alike in it."""

import numpy as np
import pandas as pd
import pytest
from models_factory import Attributes

from routing_ml import models
from routing_ml.models import RoutingModel
from routing_ml.models.parts.alike import LEAST_ALIKE, Past, ways
from routing_ml.proposals import explain

WAYS = {"S": ["CUT", "X", "Y", "Z"], "M": ["CUT", "X"], "L": ["CUT", "Y"]}
"""Two of the three kinds are made with X, two with Y: the likeliest operations together are CUT, X
and Y, as nothing is made."""


def factory(count=600, seed=0):
    random = np.random.default_rng(seed)
    part = random.choice(["SHAFT", "PIN"], count)
    size = random.choice(list(WAYS), count, p=[0.44, 0.28, 0.28])
    items = pd.DataFrame({
        "ITEM_CD": [f"A{k:04d}" for k in range(count)],
        "INSRT_DT": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(count), unit="D"),
        "PART": part,
        "SIZE": size,
        "FINISH": random.choice(["RAW", "PAINTED"], count),
        "NOTES": [
            f"{'hollow' if s == 'S' else 'full'} body, drawing {k}" if k % 3 else None
            for k, s in enumerate(size)
        ],
        "LENGTH": np.where(size == "S", 10.0, 50.0) + random.uniform(0, 5, count).round(1),
    })  # fmt: skip
    rows = [
        (code, k, job)
        for code, kind, s, painted in zip(
            items["ITEM_CD"], part, size, items["FINISH"] == "PAINTED", strict=True
        )
        for k, job in enumerate([
            *(["FORGE"] if kind == "SHAFT" else []), *WAYS[s], *(["PAINT"] if painted else [])
        ])
    ]  # fmt: skip
    routings = pd.DataFrame(rows, columns=["ITEM_CD", "PROC_SEQ", "JOB_CD"])
    return items, routings.assign(RUN_TIME=5.0, SETUP_TIME=1.0, RES_CD="R1")


ITEMS, ROUTINGS = factory()
ASKED = pd.DataFrame({"ITEM_CD": ["N1"], "PART": ["PIN"], "FINISH": ["RAW"]})


@pytest.fixture(scope="module")
def model():
    return models.fit("boosted", ITEMS, ROUTINGS, attributes=Attributes(text=("NOTES",), units={}))


def made(proposals, rank=None):
    rows = proposals if rank is None else proposals[proposals["RANK"] == rank]
    return rows["JOB_CD"].tolist()


def test_a_routing_that_was_made_is_proposed_as_often_right_as_it_was_made(model):
    found = model.predict(ASKED)
    assert made(found) == ["CUT", "X", "Y", "Z"]
    alike = ITEMS[(ITEMS["PART"] == "PIN") & (ITEMS["FINISH"] == "RAW")]
    share = (alike["SIZE"] == "S").mean()
    assert found["CONFIDENCE"].iloc[0] == pytest.approx(share, abs=0.01)
    assert model.decided([model.encoder_.transform(ASKED)])[0][1][0] == found["CONFIDENCE"].iloc[0]


def test_the_next_ways_are_ranked_by_how_often_they_were_made(model):
    found = model.predict(ASKED, alternatives=3)
    assert {tuple(made(found, rank)) for rank in (2, 3)} == {("CUT", "X"), ("CUT", "Y")}
    said = found.groupby("RANK")["CONFIDENCE"].first()
    assert said.is_monotonic_decreasing
    assert 0.9 < said.sum() < 1


def test_each_of_many_items_gets_what_it_gets_alone(model):
    many = pd.concat([ITEMS.head(5), ASKED, ASKED.assign(ITEM_CD="N2", PART="SHAFT")])
    together = model.predict(many, alternatives=3)
    for code, mine in together.groupby("ITEM_CD", sort=False):
        alone = model.predict(many[many["ITEM_CD"] == code], alternatives=3)
        pd.testing.assert_frame_equal(mine.reset_index(drop=True), alone)
    codes = together["ITEM_CD"]
    assert codes[codes != codes.shift()].tolist() == many["ITEM_CD"].tolist()


def test_the_reason_is_told(model):
    why = explain(model, ASKED, "N1")
    alike = ITEMS[(ITEMS["PART"] == "PIN") & (ITEMS["FINISH"] == "RAW")]
    assert why.alike.past_items == len(alike)
    assert why.alike.with_this_routing == (alike["SIZE"] == "S").sum()
    assert f"of the {len(alike)} past items alike" in why.as_text()
    assert [o.job for o in why.operations if o.proposed] == ["CUT", "X", "Y", "Z"]
    assert explain(model, ITEMS, "A0001").alike is None


def test_of_a_value_that_is_new_no_past_item_says_anything(model):
    for unheard in ({"PART": "BOLT"}, {"NOTES": "welded"}, {"LENGTH": 900.0}):
        asked = ASKED.drop(columns=["FINISH"]).assign(**unheard)
        assert model.alike(model.encoder_.transform(asked)) == {}


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ({"LENGTH": 12.0}, ITEMS["SIZE"] == "S"),
        ({"NOTES": "drawing 7: full body"}, ITEMS["NOTES"].fillna("").str.startswith("full")),
        ({"FINISH": None}, ITEMS["SIZE"] != ""),
    ],
)
def test_alike_is_what_is_so_in_all_that_is_given(model, given, same):
    asked = ASKED.drop(columns=["FINISH"]).assign(**given)
    (way,) = model.alike(model.encoder_.transform(asked))[0]
    assert way.of == (same & (ITEMS["PART"] == "PIN")).sum()


def test_a_model_that_was_saved_says_the_same(model, tmp_path):
    model.save(tmp_path)
    again = type(model).load(tmp_path)
    assert isinstance(again, RoutingModel)
    pd.testing.assert_frame_equal(again.predict(ASKED), model.predict(ASKED))


def past(routings, *, whole=None, family=None):
    count = len(routings)
    return Past(
        np.cumsum([0, *map(len, routings)]),
        np.array([k for routing in routings for k in routing]),
        np.ones(count, bool) if whole is None else np.array(whole),
        np.arange(count) if family is None else np.array(family),
    )


def found(model, kept, most=3, said=0.0, **columns):
    items = model.encoder_.transform(ASKED.drop(columns=["FINISH"]).assign(**columns))
    return ways(model.gower_, kept, items, most, np.array([said])).get(0, [])


def routings_of(model, pins):
    """Routings that every pin has from `pins` in turn, and other parts have none of."""
    column = [c.column for c in model.encoder_.categories].index("PART")
    code = model.encoder_.categories[column].values.index("PIN")
    own = np.flatnonzero(model.gower_.codes[:, column] == code)
    routings = [[9]] * len(model.items_)
    for k, row in enumerate(own.tolist()):
        routings[row] = pins[k % len(pins)]
    return routings, own


def test_what_lacks_an_operation_counts_as_another_routing(model):
    routings, own = routings_of(model, [[1, 2]])
    whole = np.ones(len(routings), bool)
    whole[own[::2]] = False
    (way,) = found(model, past(routings, whole=whole))
    assert way.operations == (1, 2)
    assert way.items == len(own) // 2
    assert way.likely == pytest.approx(0.5, abs=0.02)


def test_a_family_that_is_made_alike_says_little_of_another_one(model):
    routings, own = routings_of(model, [[1]])
    for k, row in enumerate(own.tolist()):
        routings[row] = [k // 10]  # ten items each have a routing of their own
    alone = found(model, past(routings))[0]
    family = np.arange(len(routings))
    family[own] = len(routings) + np.arange(len(own)) // 10
    together = found(model, past(routings, family=family))[0]
    assert alone.likely == pytest.approx(10 / (len(own) + 1), rel=0.1)
    families = len(own) // 10 + 1
    assert together.likely == pytest.approx(1 / (families + 1), rel=0.1)


def test_what_one_family_has_ten_times_is_not_what_ten_families_have(model):
    routings, own = routings_of(model, [[1], [1], [2], [3]])
    family = np.arange(len(routings))
    ones = [row for row in own.tolist() if routings[row] == [1]]
    family[ones] = family[ones[0]]  # the commonest routing is that of one family
    ranked = found(model, past(routings, family=family))
    assert [way.operations for way in ranked] == [(2,), (3,), (1,)]
    assert ranked[-1].items > ranked[0].items
    assert 0 < ranked[-1].likely < ranked[0].likely


def test_a_few_items_say_nothing(model):
    routings, own = routings_of(model, [[1]])
    assert found(model, past(routings))
    small = model.gower_.only(own[: LEAST_ALIKE - 1])
    items = model.encoder_.transform(ASKED.drop(columns=["FINISH"]))
    kept = past([[1]] * (LEAST_ALIKE - 1))
    assert ways(small, kept, items, 1, np.zeros(1)) == {}


def test_beside_a_number_the_models_own_word_stands_where_it_is_surer(model):
    routings, _ = routings_of(model, [[1], [1], [2]])
    kept = past(routings)
    assert found(model, kept, said=0.9)
    assert found(model, kept, said=0.3, LENGTH=52.0)
    assert not found(model, kept, said=0.9, LENGTH=52.0)
