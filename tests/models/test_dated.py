"""What is learned from the time at which items were entered, where it is shown to matter."""

import models_factory as valves
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing_ml import models
from routing_ml.models.parts.dated import MIN_ITEMS, shown, steps

FACTORY = valves.make(1000, noise=0.02)
HISTORY = 900
NEW = FACTORY.items[HISTORY:].reset_index(drop=True)


def ruled(since: int) -> pd.DataFrame:
    """The routings where painted items are engraved, not stamped, from item number `since` on."""
    routings = FACTORY.routings
    painted = FACTORY.items["Oberflaeche"] == "LACKIERT"
    late = FACTORY.items["ITEM_CD"][painted & (np.arange(len(painted)) >= since)]
    other = routings["ITEM_CD"].isin(late) & (routings["JOB_CD"] == "STEMPELN")
    return routings.assign(
        JOB_CD=routings["JOB_CD"].mask(other, "GRAVIEREN"),
        JOB_NM=routings["JOB_NM"].mask(other, "Gravieren"),
    )


def learned(routings: pd.DataFrame) -> models.Ground:
    known = routings["ITEM_CD"].isin(FACTORY.items["ITEM_CD"][:HISTORY])
    return models.Ground.fit(
        FACTORY.items[:HISTORY], routings[known], attributes=valves.Attributes()
    )


def engraved(proposed: pd.DataFrame) -> pd.Series:
    """How many of the new items of each surface are engraved, a fraction."""
    with_it = NEW["ITEM_CD"].isin(proposed["ITEM_CD"][proposed["JOB_CD"] == "GRAVIEREN"])
    return with_it.groupby(NEW["Oberflaeche"]).mean()


@pytest.fixture(scope="module")
def ground() -> models.Ground:
    return learned(ruled(810))


@given(st.lists(st.one_of(st.just(float("nan")), st.integers(0, 300).map(float)), max_size=300))
def test_steps_follow_the_days_and_the_newest_is_never_of_few(entered):
    days = np.array(entered, float)
    found = steps(days)
    dated = ~np.isnan(days)
    assert ((found == 0) == ~dated).all()
    order = np.argsort(days[dated], kind="stable")
    assert (np.diff(found[dated][order].astype(int)) >= 0).all()
    for day in np.unique(days[dated]):
        assert len(np.unique(found[days == day])) == 1
    if found.max(initial=0) > 1:
        assert (found == found.max()).sum() >= MIN_ITEMS


def test_a_gain_of_one_family_shows_nothing():
    gain = np.full(40, 1.0)
    assert shown(gain, np.arange(40))
    assert not shown(gain, np.zeros(40, int))
    assert not shown(-gain, np.arange(40))
    assert not shown(np.zeros(40), np.arange(40))


@pytest.mark.parametrize("name", ["boosted", "forest"])
def test_after_a_change_of_rule_what_is_new_is_made_by_the_new_one(ground, name):
    model = models.learn(name, ground)
    found = engraved(model.predict(NEW, similarity=False))
    assert found["LACKIERT"] >= 0.95
    assert found["BLANK"] == 0 == found["VERZINKT"]


def test_it_is_said_since_when_and_what_has_changed(ground):
    found = ground.recent
    entered = FACTORY.items["INSRT_DT"]
    assert abs(pd.Timestamp(found["since"]) - entered[810]) <= pd.Timedelta(days=30)
    assert set(found["operations"]) == {"Gravieren", "Stempeln"}


def test_a_changed_rule_is_no_doubt_of_what_it_did_not_touch(ground):
    model = models.learn("boosted", ground)
    said = model.predict(NEW, similarity=False).drop_duplicates("ITEM_CD")
    other = said["ITEM_CD"].isin(NEW["ITEM_CD"][NEW["Oberflaeche"] != "LACKIERT"])
    assert said["CONFIDENCE"][other].mean() > 0.85
    assert said["CONFIDENCE"][~other].mean() > 0.85


def test_where_nothing_has_changed_or_nothing_is_dated_time_teaches_nothing():
    assert learned(FACTORY.routings).recent["since"] is None
    undated = ruled(810).assign(INSRT_DT=FACTORY.items["INSRT_DT"][0])
    assert learned(undated).recent == {
        "since": None, "operations": [], "times": False, "machines_half_life_days": None,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["boosted", "forest"])
def test_a_saved_model_knows_no_dates_and_proposes_the_same(ground, name, tmp_path):
    model = models.learn(name, ground)
    model.save(tmp_path)
    proposed = models.load(tmp_path).predict(NEW)
    pd.testing.assert_frame_equal(proposed, model.predict(NEW))
    redated = NEW.assign(INSRT_DT=pd.Timestamp("2001-01-01"))
    pd.testing.assert_frame_equal(model.predict(redated), proposed)


def test_what_a_model_of_now_says_can_be_explained(ground):
    model = models.learn("boosted", ground)
    items = model.encoder_.transform(NEW[:1])
    matrix = model.design_.transform(items)
    start, found = model.contributions(matrix)
    odds = np.log(model.likely(items) / (1 - model.likely(items)))
    assert found.shape == (matrix.shape[1], len(model.operations_))
    assert start + found.sum(axis=0) == pytest.approx(odds[0], abs=1e-3)


def test_a_machine_that_became_slower_is_slower_in_what_is_new():
    slow = FACTORY.routings["RES_CD"].isin(["DRE-2", "WAS-2"])
    late = FACTORY.routings["ITEM_CD"] >= "V00720"
    minutes = FACTORY.routings["RUN_TIME"]
    ground = learned(FACTORY.routings.assign(RUN_TIME=minutes.mask(slow & late, 1.3 * minutes)))
    assert ground.recent["times"]
    found = models.learn("nearest", ground).predict(NEW, similarity=False)
    true = FACTORY.routings.assign(true=FACTORY.true_run.mask(slow, 1.3 * FACTORY.true_run))
    true["k"] = true.groupby(["ITEM_CD", "JOB_CD"]).cumcount()
    found["k"] = found.groupby(["ITEM_CD", "JOB_CD"]).cumcount()
    both = true.merge(found, on=["ITEM_CD", "JOB_CD", "k"], suffixes=("", "_said"))
    off = np.log(both["RUN_TIME_said"] / both["true"]).groupby(both["RES_CD"]).median()
    assert off[["DRE-2", "WAS-2"]].abs().max() < 0.08
    assert off[["DRE-1", "WAS-1", "SAE-2"]].abs().max() < 0.08
