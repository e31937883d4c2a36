"""A log of many part numbers, each with a few orders: a value's own past says more than splits."""

import numpy as np
import pandas as pd
import pytest

from routing_ml import models
from routing_ml.comparison import metrics
from routing_ml.errors import ModelError
from routing_ml.models.baselines import Commonest
from routing_ml.models.parts.rates import Rates
from routing_ml.proposals import explain
from routing_ml.source import Attributes

PARTS, ORDERS, JOBS = 60, 550, 20


def a_log(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Orders of parts; each part has a recipe of its own, of which an order leaves out a tenth."""
    random = np.random.default_rng(seed)
    recipes = [np.sort(random.choice(JOBS, random.integers(3, 8), False)) for _ in range(PARTS)]
    part = random.integers(0, PARTS, ORDERS)
    codes = [f"W{k:04d}" for k in range(ORDERS)]
    items = pd.DataFrame({
        "ITEM_CD": codes,
        "INSRT_DT": pd.Timestamp("2025-01-01") + pd.to_timedelta(np.arange(ORDERS), unit="D"),
        "PART": [f"P{p:02d}" for p in part],
        "QUANTITY": np.round(random.lognormal(3, 1, ORDERS)),
    }).astype({"INSRT_DT": "datetime64[us]"})  # fmt: skip
    rows = [
        (code, 10 * (place + 1), f"JOB-{job:02d}", "M-1", 1.0, 2.0)
        for code, p in zip(codes, part, strict=True)
        for place, job in enumerate(recipes[p][random.random(len(recipes[p])) > 0.1])
    ]
    columns = ["ITEM_CD", "PROC_SEQ", "JOB_CD", "RES_CD", "SETUP_TIME", "RUN_TIME"]
    return items, pd.DataFrame(rows, columns=columns)


ITEMS, ROUTINGS = a_log(3)
OLD, NEW = ITEMS[:250], ITEMS[250:].reset_index(drop=True)
PAST, TRUTH = (
    ROUTINGS[ROUTINGS["ITEM_CD"].isin(part["ITEM_CD"])].reset_index(drop=True)
    for part in (OLD, NEW)
)


@pytest.mark.parametrize("name", models.CANDIDATES)
def test_every_candidate_is_better_than_the_commonest_routing_of_the_part(name, tmp_path):
    model = models.fit(name, OLD, PAST, attributes=Attributes())
    rule = Commonest().fit(OLD, PAST, attributes=Attributes())
    found, ruled = model.predict(NEW), rule.predict(NEW)
    mine, theirs = (metrics.evaluate(p, TRUTH)["operation_f1"] for p in (found, ruled))
    assert mine > theirs
    model.save(tmp_path)
    assert models.load(tmp_path).predict(NEW).equals(found)
    reasons = explain(model, NEW, "W0300").operations[0].reasons
    assert "PART" in {reason.attribute for reason in reasons}


def test_nothing_is_blended_in_where_the_candidate_knows_all_that_a_value_says():
    random = np.random.default_rng(1)
    codes = random.integers(0, 30, (600, 1))
    rates = random.random((30, 8))
    present = (random.random((600, 8)) < rates[codes[:, 0]]).astype(np.uint8)
    held = np.array_split(np.arange(600), 3)
    knowing = [rates[codes[at, 0]] for at in held]
    ignorant = [np.full((len(at), 8), 0.5) for at in held]
    assert Rates.learn([0], codes, present, held, knowing) is None
    found = Rates.learn([0], codes, present, held, ignorant)
    assert found is not None
    assert found.blend(ignorant[0], codes[held[0]]) == pytest.approx(knowing[0], abs=0.3)


def test_an_unknown_value_leaves_the_candidate_its_word():
    codes, present = np.array([[0], [0], [1]]), np.array([[1, 0], [1, 0], [0, 1]])
    likely = np.array([[0.2, 0.7], [0.2, 0.7]])
    found = Rates.of(0, 1.0, codes, present, np.ones(4)).blend(likely, np.array([[-1], [5]]))
    assert (found == likely).all()


def test_a_model_like_one_that_had_another_column_does_without_its_rates():
    known = models.fit("nearest", OLD, PAST, attributes=Attributes())
    assert known.rates_ is not None
    bare = OLD.drop(columns="PART")
    model = models.fit("nearest", bare, PAST, attributes=Attributes(), like=known)
    assert model.rates_ is None
    assert model.predict(NEW)["CONFIDENCE"].between(0, 1).all()


@pytest.mark.parametrize(
    ("name", "wrong"), [("table", np.nan), ("table", 2.0), ("mix", -1.0), ("prior", -1.0)]
)
def test_damaged_rates_are_refused_by_name(name, wrong, tmp_path):
    models.fit("nearest", OLD, PAST, attributes=Attributes()).save(tmp_path)
    with np.load(tmp_path / "arrays.npz") as archive:
        arrays = dict(archive)
    damaged = arrays[f"rates.{name}"].copy()
    damaged[-1] = wrong
    np.savez(tmp_path / "arrays.npz", **{**arrays, f"rates.{name}": damaged})
    with pytest.raises(ModelError, match=rf"rates\.{name}"):
        models.load(tmp_path)
