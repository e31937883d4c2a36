"""What is learned from the time at which items were entered, where it is shown to matter."""

import models_factory as valves
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing_ml import models
from routing_ml.errors import ModelError
from routing_ml.models.parts.dated import MIN_ITEMS, Dated, shown, steps

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


@pytest.mark.parametrize("families", [60, 1])
def test_what_one_family_is_made_by_is_no_rule(families):
    random = np.random.default_rng(0)
    matrix = random.integers(0, 2, (600, 3)).astype(np.uint8)
    present, late = matrix[:, :2].copy(), np.arange(600) >= 540
    present[late] ^= 1
    family = np.where(late, 600 + np.arange(600) % families, np.arange(600))
    found = Dated.learn(matrix, np.full(3, 2), present, np.arange(600.0), family)
    if families == 1:
        assert found is None
    else:
        assert found is not None
        old = matrix[:480, :2]
        assert (found.now(present)[:480] == 1 - old).all()


@pytest.mark.parametrize("name", models.CANDIDATES)
def test_after_a_change_of_rule_what_is_new_is_made_by_the_new_one(ground, name):
    model = models.learn(name, ground)
    found = engraved(model.predict(NEW, similarity=False))
    assert found["LACKIERT"] >= 0.95
    assert max(found["BLANK"], found["VERZINKT"]) <= 0.05


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


@pytest.mark.parametrize("name", models.CANDIDATES)
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


def slower(of: list[str], since: int) -> models.Ground:
    """What is learned where these machines need 30 % more minutes from item number `since` on."""
    late = FACTORY.routings["ITEM_CD"] >= FACTORY.items["ITEM_CD"][since]
    minutes = FACTORY.routings["RUN_TIME"]
    slow = FACTORY.routings["RES_CD"].isin(of) & late
    return learned(FACTORY.routings.assign(RUN_TIME=minutes.mask(slow, 1.3 * minutes)))


def test_a_machine_that_became_slower_is_slower_in_what_is_new(tmp_path):
    slow = ["DRE-2", "SAE-2"]
    ground = slower(slow, 720)
    assert ground.recent["times"]
    model = models.learn("nearest", ground)
    found = model.predict(NEW, similarity=False)
    true = FACTORY.true_run.mask(FACTORY.routings["RES_CD"].isin(slow), 1.3 * FACTORY.true_run)
    keys = ["ITEM_CD", "JOB_CD", "k"]
    both = [
        rows.assign(k=rows.groupby(["ITEM_CD", "JOB_CD"]).cumcount()).set_index(keys)
        for rows in (FACTORY.routings.assign(true=true), found)
    ]
    off = np.log(both[1]["RUN_TIME"] / both[0]["true"].reindex(both[1].index))
    off = off.groupby(both[1]["RES_CD"]).median()
    assert off[slow].abs().max() < np.log(1.3) / 2  # of what 240 items each show of late
    assert off[["DRE-1", "SAE-1", "WAS-2"]].abs().max() < 0.08
    model.save(tmp_path)
    pd.testing.assert_frame_equal(models.load(tmp_path).predict(NEW, similarity=False), found)


def test_a_model_with_levels_of_other_machines_is_refused(tmp_path):
    models.learn("nearest", slower(["DRE-2"], 720)).save(tmp_path)
    with np.load(tmp_path / "arrays.npz") as archive:
        arrays = dict(archive)
    level = arrays.pop("times.level")
    assert level[1].max() > 0.1
    np.savez(tmp_path / "arrays.npz", **arrays, **{"times.level": np.c_[level, level]})
    with pytest.raises(ModelError, match=r"times\.level"):
        models.load(tmp_path)
