"""Which items models are judged by."""

from dataclasses import replace
from pathlib import Path

import models_factory
import pandas as pd
import pytest

from routing_ml import dataset
from routing_ml.comparison import LEAST_ITEMS
from routing_ml.models.parts.dated import Dated
from routing_ml.pipeline import Material, fit_and_register
from routing_ml.pipeline.unseen import FEW_ITEMS
from routing_ml.registry import Registry

FACTORY = models_factory.make(300)
DATA = dataset.Dataset(
    Path(), {"as_of": "2100-01-01T00:00:00", "tables": {}}, FACTORY.items, FACTORY.routings, None,
    models_factory.Attributes(),
)  # fmt: skip


def day(number: int) -> str:
    return f"{FACTORY.items['INSRT_DT'][number]:%Y-%m-%d}"


def test_of_a_small_factory_all_judge_or_those_since_planners_make_them_otherwise():
    material, codes = Material(DATA), FACTORY.items["ITEM_CD"].tolist()
    assert material.judged(None) == codes
    assert material.judged(day(250)) == codes[250:]
    assert material.judged(day(300 - LEAST_ITEMS)) == codes[-LEAST_ITEMS:]
    assert material.judged(day(301 - LEAST_ITEMS)) == codes  # too few say nothing


def test_of_a_large_factory_the_newest_judge_whatever_has_changed():
    every = models_factory.make(FEW_ITEMS)
    material = Material(replace(DATA, items=every.items, routings=every.routings))
    late = f"{every.items['INSRT_DT'][FEW_ITEMS - 100]:%Y-%m-%d}"
    assert len(material.judged(late)) == len(material.judged(None)) == 300


@pytest.mark.parametrize("since", [None, 200])
def test_a_version_says_what_it_learned_from_the_time_of_entry(since, tmp_path):
    painted = FACTORY.items["ITEM_CD"][FACTORY.items["Oberflaeche"] != "BLANK"]
    rows = FACTORY.routings
    of = rows["ITEM_CD"].isin(painted[painted.index >= since]) if since else rows["ITEM_CD"] == ""
    jobs = rows["JOB_CD"].mask(of & (rows["JOB_CD"] == "STEMPELN"), "GRAVIEREN")
    material = Material(replace(DATA, routings=rows.assign(JOB_CD=jobs)))
    version = fit_and_register(Registry(tmp_path), material, "nearest", key="k")
    found, judged = version.manifest["recent"], version.manifest["metrics"]["items"]
    if since is None:
        assert found["since"] is None and judged == 300
    else:
        assert abs(pd.Timestamp(found["since"]) - pd.Timestamp(day(since))).days <= 15
        assert judged == len(material.judged(found["since"])) < 150


@pytest.mark.parametrize("items, tried", [(300, 1), (FEW_ITEMS, 2)])
def test_whether_anything_has_changed_is_tried_once_where_it_is_fitted_without_each_fold(
    items, tried, monkeypatch
):
    asked: list[int] = []
    monkeypatch.setattr(Dated, "learn", lambda matrix, *_: asked.append(len(matrix)))
    every = models_factory.make(items)
    material = Material(replace(DATA, items=every.items, routings=every.routings))
    without = [code for code in material.codes if material.folds.fold_of.get(code) != 0]
    first = material.fit("nearest", without)
    whole = material.fit("nearest", material.codes, like=first)
    assert asked == [len(without), len(material.codes)][:tried]  # the newest of many may differ
    assert whole.items_ == sorted(material.codes)
