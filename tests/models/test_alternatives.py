"""Whole routings: which go together, how likely each is, and that nothing is proposed twice."""

import numpy as np
import pandas as pd
import pytest
import workshop
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from routing_ml import models
from routing_ml.models import CANDIDATES
from routing_ml.models.base import RoutingModel
from routing_ml.models.parts.choices import Choice, linked

SHOP = workshop.make()
OLD = SHOP.items["ITEM_CD"][:320]
NEW = SHOP.items[320:].reset_index(drop=True)


def fit(name: str = "boosted", shop: workshop.Workshop = SHOP) -> RoutingModel:
    first, others = (of[of["ITEM_CD"].isin(OLD)] for of in (shop.first, shop.others))
    return models.fit(
        name, shop.items, first, shop.results, attributes=workshop.ATTRIBUTES, alternatives=others
    )


@pytest.fixture(scope="module")
def boosted() -> RoutingModel:
    return fit()


def routings(proposals: pd.DataFrame) -> pd.DataFrame:
    """A row a routing: its operations and what is said of it."""
    ranked = proposals.groupby(["ITEM_CD", "RANK"], sort=False)
    return ranked.agg(jobs=("JOB_CD", tuple), said=("CONFIDENCE", "first"))


def planned(shop: workshop.Workshop, codes: pd.Series) -> dict[str, tuple[str, ...]]:
    rows = shop.first[shop.first["ITEM_CD"].isin(codes)]
    return rows.groupby("ITEM_CD")["JOB_CD"].agg(tuple).to_dict()


@pytest.mark.parametrize("name", CANDIDATES)
def test_up_to_three_different_routings_come_with_confidences_that_sum_to_one_at_most(name):
    model = fit(name)
    found = model.predict(NEW, similarity=False, alternatives=3)
    ranked = routings(found)
    assert set(found["RANK"]) <= {1, 2, 3}
    assert (ranked.groupby("ITEM_CD").size() > 1).any()
    assert (ranked.groupby("ITEM_CD")["said"].sum() <= 1 + 1e-9).all()
    assert not ranked.reset_index().duplicated(["ITEM_CD", "jobs"]).any()
    first = found[found["RANK"] == 1].drop(columns="RANK").reset_index(drop=True)
    pd.testing.assert_frame_equal(first, model.predict(NEW, similarity=False))
    for code in NEW["ITEM_CD"][:3]:
        alone = model.predict(NEW[NEW["ITEM_CD"] == code], similarity=False, alternatives=3)
        same = found[found["ITEM_CD"] == code].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, same, rtol=1e-5)


def test_operations_that_go_together_are_proposed_together_or_not_at_all(boosted):
    for jobs in routings(boosted.predict(NEW, alternatives=3))["jobs"]:
        for ways in (workshop.SAWN, workshop.FORGED):
            assert len(set(ways) & set(jobs)) in (0, len(ways))


def test_the_two_ways_of_a_wide_part_are_the_first_two_and_as_likely_as_they_are_chosen(boosted):
    ranked = routings(boosted.predict(NEW, alternatives=3))
    truth = planned(SHOP, NEW["ITEM_CD"])
    wide = NEW.loc[NEW["WIDTH"] > 60, "ITEM_CD"]
    assert np.mean([truth[code] in list(ranked.loc[code]["jobs"])[:2] for code in wide]) >= 0.95
    said = [ranked.loc[code]["said"].iloc[0] for code in wide]
    right = [ranked.loc[code]["jobs"].iloc[0] == truth[code] for code in wide]
    assert np.mean(said) == pytest.approx(np.mean(right), abs=0.15)
    narrow = NEW.loc[NEW["WIDTH"] < 40, "ITEM_CD"]
    assert np.mean([ranked.loc[code]["said"].iloc[0] for code in narrow]) >= 0.85


def test_the_likeliest_of_several_ways_is_proposed_whole():
    # of three ways at .4, .3 and .3 no operation of any is likely, and none would be proposed
    shop = workshop.make(forging=0.5, seed=8)
    ranked = routings(fit(shop=shop).predict(NEW.assign(WIDTH=80.0), alternatives=3))
    for code in NEW["ITEM_CD"]:
        jobs = set(ranked.loc[code]["jobs"].iloc[0])
        assert set(workshop.SAWN) <= jobs or set(workshop.FORGED) <= jobs


def test_routings_that_read_alike_are_one_whichever_time_of_a_job_they_lack():
    random = np.random.default_rng(1)
    edges = random.integers(0, 5, 400)
    codes = [f"B{k:03d}" for k in range(len(edges))]
    items = pd.DataFrame({"ITEM_CD": codes, "EDGES": edges, "SIZE": random.lognormal(3, 1, 400)})
    jobs = [["CUT", *["EDGE"] * of, "PACK"] for of in edges.tolist()]
    rows = pd.DataFrame(
        [(code, k, job, 1.0, 2.0) for code, of in zip(codes, jobs, strict=True)
         for k, job in enumerate(of) if job == "PACK" or random.random() > 0.1],
        columns=["ITEM_CD", "PROC_SEQ", "JOB_CD", "SETUP_TIME", "RUN_TIME"],
    )  # fmt: skip
    model = models.fit("boosted", items, rows, attributes=workshop.ATTRIBUTES)
    asked = items.assign(EDGES=items["EDGES"].where(random.random(400) < 0.5))
    ranked = routings(model.predict(asked, similarity=False, alternatives=3))
    assert ranked.groupby("ITEM_CD").size().max() == 3
    assert not ranked.reset_index().duplicated(["ITEM_CD", "jobs"]).any()


def test_a_loaded_model_ranks_the_same(boosted, tmp_path):
    boosted.save(tmp_path)
    found = models.load(tmp_path).predict(NEW, alternatives=3, quantity=7)
    pd.testing.assert_frame_equal(found, boosted.predict(NEW, alternatives=3, quantity=7))


def test_misjudgements_that_come_together_tell_a_choice():
    random = np.random.default_rng(3)
    one = random.normal(0, 0.5, 500)
    apart = np.c_[one, -one + random.normal(0, 0.1, 500), random.normal(0, 0.5, 500), one * 0]
    assert [of.tolist() for of in linked(apart)] == [[0, 1]]
    assert linked(apart[:0]) == []


@given(
    ways=arrays.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 5))),
    margins=arrays.arrays(float, 5, elements=st.floats(0, 1)),
    weights=arrays.arrays(float, 12, elements=st.floats(0.01, 1)),
)
def test_ways_of_a_choice_are_probabilities_whatever_is_said_of_its_operations(
    ways, margins, weights
):
    ways = np.unique(ways, axis=0)
    common = weights[: len(ways)] / weights[: len(ways)].sum()
    choice = Choice(np.arange(ways.shape[1]), ways, common)
    found = choice.likely(margins[None, : ways.shape[1]])
    assert found.shape == (1, len(ways)) and (found >= 0).all()
    assert found.sum() == pytest.approx(1)


def test_exclusive_ways_get_the_likelihood_of_their_operations():
    ways = np.array([[1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1]], bool)
    choice = Choice(np.arange(5), ways, np.full(3, 1 / 3))
    found = choice.likely(np.array([[0.6, 0.6, 0.25, 0.25, 0.15]]))
    assert found[0] == pytest.approx([0.6, 0.25, 0.15], abs=1e-6)


def test_what_was_learned_of_choices_is_taken_over_whatever_the_operations_numbers(boosted):
    theirs = boosted.operations_
    mine = [operation for operation in reversed(theirs) if operation.job != "NORMALISE"]
    found = boosted.alternatives_.known_to(theirs, mine, boosted.order_)

    def ways(of, known):
        return {
            frozenset(known[k].job for k in choice.operations[way]) - {"NORMALISE"}
            for choice in of.choices
            for way in choice.ways
        }

    assert ways(found, mine) == ways(boosted.alternatives_, theirs)
    assert all(choice.common.sum() == pytest.approx(1) for choice in found.choices)
