import json
from functools import cache
from pathlib import Path

import models_factory
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing_ml import dataset, models
from routing_ml.errors import ModelError
from routing_ml.pipeline import unseen
from routing_ml.pipeline.unseen import FEW_ITEMS, FOLDS, Folds, Unseen

DAY = pd.Timedelta(days=1)
START = pd.Timestamp("2024-01-01")


def entered(days):
    """Entry dates by item code: `days` after the start, None for no date."""
    dates = [pd.NaT if day is None else START + day * DAY + pd.Timedelta(hours=7) for day in days]
    return pd.Series(
        pd.to_datetime(dates), index=pd.Index([f"I{k:04d}" for k in range(len(days))]),
        dtype="datetime64[us]",
    )  # fmt: skip


def folds_of(days):
    dates = entered(days)
    return Folds.of(list(dates.index), [], dataset.families_of(dates))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(0, 60)), min_size=30, max_size=300))
def test_each_item_is_in_one_fold_with_its_family_and_the_folds_are_of_about_one_size(days):
    folds, families = folds_of(days), dataset.families_of(entered(days))
    assert folds.cross and list(folds.judged(families.index)) == list(families.index)
    of_family = pd.Series(folds.fold_of).groupby(families).nunique()
    assert (of_family == 1).all()
    sizes = pd.Series(folds.fold_of).value_counts().reindex(range(FOLDS), fill_value=0)
    assert sizes.max() - sizes.min() <= families.value_counts().max()
    assert folds == folds_of(days)


def test_items_of_one_day_are_a_family_unless_they_are_an_import():
    families = dataset.families_of(entered([0, 0, *range(1, 99), None, None]))
    assert families.nunique() == 101 and families["I0000"] == families["I0001"]
    imported = dataset.families_of(entered([0] * 21 + list(range(1, 80))))
    assert imported.nunique() == 100
    few = dataset.families_of(entered([day // 4 for day in range(40)]))  # each a tenth of the items
    assert few.nunique() == 10
    many = dataset.families_of(entered([0] * 50 + list(range(1, 951))))
    assert many.nunique() == 951


def test_from_two_thousand_items_on_the_newest_are_left_out_once():
    codes = [f"I{k:04d}" for k in range(FEW_ITEMS)]
    families = pd.Series(codes, index=codes)
    many = Folds.of(codes[:-300], codes[-300:], families)
    assert not many.cross and many.judged(codes) == codes[-300:]
    few = Folds.of(codes[:-301], codes[-301:-1], families)
    assert few.cross and few.judged(codes[:-1]) == codes[:-1]


@cache
def factory():
    return models_factory.make(120)


def fitted(count=120):
    """The folds and the cross-fitted model of the first `count` items."""
    made = factory()
    items = made.items[:count]
    dates = items.set_index("ITEM_CD")["INSRT_DT"]
    folds = Folds.of(list(dates.index), [], dataset.families_of(dates))

    def fit(codes, like):
        wanted = items[items["ITEM_CD"].isin(codes)]
        rows = made.routings[made.routings["ITEM_CD"].isin(codes)]
        return models.fit(
            "nearest", wanted, rows, attributes=models_factory.Attributes(), like=like
        )

    return folds, Unseen.fit(fit, list(dates.index), folds)


@pytest.fixture(scope="module")
def cross():
    return fitted()


def test_every_item_is_proposed_by_a_model_that_was_fitted_without_it(cross):
    folds, one = cross
    assert len(one.models) == FOLDS and one.seen == set()
    for code, fold in folds.fold_of.items():
        assert code not in one.models[fold].items_
        assert all(code in m.items_ for k, m in enumerate(one.models) if k != fold)
    items = factory().items
    found = one.predict(items)
    fold = folds.fold_of["V00007"]
    alone = one.models[fold].predict(items[items["ITEM_CD"] == "V00007"], similarity=False)
    pd.testing.assert_frame_equal(found[found["ITEM_CD"] == "V00007"].reset_index(drop=True), alone)
    assert set(found["ITEM_CD"]) == set(items["ITEM_CD"])


def test_an_item_that_is_new_to_all_is_proposed_by_the_first(cross):
    one = cross[1]
    new = factory().items[:3].assign(ITEM_CD=["N1", "N2", "N3"])
    pd.testing.assert_frame_equal(one.predict(new), one.models[0].predict(new, similarity=False))
    assert len(one.predict(new[:0])) == 0


def test_what_is_saved_is_loaded_and_one_holdout_lies_in_the_folder_itself(cross, tmp_path):
    one, items = cross[1], factory().items
    one.save(tmp_path / "cross")
    again = Unseen.load(tmp_path / "cross")
    assert again.fold_of == one.fold_of
    pd.testing.assert_frame_equal(again.predict(items), one.predict(items))
    holdout = Unseen(one.models[:1], {})
    holdout.save(tmp_path / "one")
    models.load(tmp_path / "one")  # as versions of 2.1.0 have it
    again = Unseen.load(tmp_path / "one")
    assert again.fold_of == {} and again.seen == set(one.models[0].items_)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "[1]", "holds no folds"),
        (lambda text: text[:-5], "holds no folds"),
        (lambda text: json.dumps(dict.fromkeys(json.loads(text), 0)), "was left out of model 0"),
    ],
)
def test_damaged_folds_are_refused_in_one_line(cross, tmp_path: Path, change, message):
    cross[1].save(tmp_path)
    path = tmp_path / unseen.FOLDS_FILE
    path.write_text(change(path.read_text()))
    with pytest.raises(ModelError, match=message) as error:
        Unseen.load(tmp_path)
    assert "\n" not in str(error.value)
