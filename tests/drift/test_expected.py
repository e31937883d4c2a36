"""What a model showed at training, as what is to be expected: allowances, and that it is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from judged_items import judged, trained

from routing_ml.drift import REFERENCE_FILE, Reference
from routing_ml.errors import InputError, ModelError


def test_a_well_calibrated_model_is_allowed_five_points() -> None:
    reference = trained(2000)
    assert reference.allowance == 0.05
    assert (reference.size, reference.families) == (2000, 2000)
    assert set(reference.kinds.values()) == {0.05} and set(reference.kinds) >= {"K0", "K7"}


def test_a_model_that_promised_too_much_at_training_is_allowed_that() -> None:
    reference = Reference.fit(*judged(1000, 1, right=0.7))
    assert 0.2 < reference.allowance < 0.25
    assert all(allowed > 0.1 for allowed in reference.kinds.values())


def test_what_chance_makes_of_few_items_is_not_allowed_for() -> None:
    allowed = [Reference.fit(*judged(60, n)).allowance for n in range(40)]
    assert np.mean([each == 0.05 for each in allowed]) >= 0.85


def test_families_count_as_fewer_items() -> None:
    """What 300 items of 30 families show may be chance, what as many alone show is not."""
    one, ten = (
        [Reference.fit(*judged(300, n, family=size, right=0.82)).allowance for n in range(20)]
        for size in (1, 10)
    )
    assert np.mean([each > 0.05 for each in one]) > 0.9
    assert np.mean([each > 0.05 for each in ten]) < 0.8
    assert trained(300, family=10).families == 30


def test_a_kind_that_is_known_to_be_worse_is_allowed_more() -> None:
    items, operations = judged(2000, 1)
    items.loc[items["kind"] == "K2", "exact"] = False
    reference = Reference.fit(items, operations)
    assert reference.kinds["K2"] > 0.7 > 0.2 > reference.kinds["K3"]
    assert reference.other_kinds > reference.kinds["K3"]


def test_operations_are_counted_by_job() -> None:
    items, operations = judged(500, 1)
    reference = Reference.fit(items, operations)
    rows = operations[operations["JOB_CD"] == "J05"]
    known = rows["machine_right"].notna()
    assert reference.jobs["J05"] == (
        len(rows),
        (rows["outcome"] == "missing").sum(),
        (rows["outcome"] == "extra").sum(),
        known.sum(),
        (rows["machine_right"][known] == False).sum(),  # noqa: E712
    )
    assert 0.03 < reference.machine_jobs["J05"] < 0.2


def test_minutes_are_known_by_machine_and_job() -> None:
    reference = trained(600, slow={"M04": 0.3}, noise=0.1)
    minutes = reference.minutes["run"]
    assert minutes.scopes["machine"].places["M04"][0] == pytest.approx(0.3, abs=0.03)
    assert minutes.scopes["machine"].places["M05"][0] == pytest.approx(0.0, abs=0.03)
    spread = minutes.scopes["job"]
    assert np.sqrt(spread.own + spread.shared) == pytest.approx(0.1, rel=0.1)
    assert minutes.scopes["all"].places[""][0] == pytest.approx(0.0, abs=0.01)


def test_without_times_or_machines_the_rest_is_known() -> None:
    items, operations = judged(100, 1)
    operations = operations.assign(run_log=np.nan, setup_log=np.nan, machine_right=None)
    reference = Reference.fit(items, operations)
    assert reference.minutes == {} and reference.machine == 1.0
    assert reference.allowance >= 0.05


def test_one_item_is_enough() -> None:
    reference = Reference.fit(*judged(1, 1, right=1.0))
    assert (reference.size, reference.families, reference.allowance) == (1, 1, 0.05)
    assert reference.minutes == {}


def test_no_item_is_refused() -> None:
    items, operations = judged(1, 1)
    with pytest.raises(ModelError, match="no held-out item"):
        Reference.fit(items[:0], operations[:0])


@pytest.mark.parametrize("share", [-0.1, 1.1, np.nan])
@pytest.mark.parametrize("name", ["confidence", "novelty"])
def test_what_is_no_share_is_refused_with_its_item(name: str, share: float) -> None:
    items, operations = judged(3, 1)
    items.loc[1, name] = share
    with pytest.raises(InputError, match=f"{name} of item I1-1 is {share}: it must lie in"):
        Reference.fit(items, operations)


def test_frames_that_lack_a_column_or_hold_another_outcome_are_refused() -> None:
    items, operations = judged(3, 1)
    with pytest.raises(InputError, match="items lacks kind, exact"):
        Reference.fit(items.drop(columns=["kind", "exact"]), operations)
    with pytest.raises(InputError, match="operations lacks run_log"):
        Reference.fit(items, operations.drop(columns="run_log"))
    with pytest.raises(InputError, match="outcome 'wrong' of item I1-0: it must be one of hit"):
        Reference.fit(items, operations.assign(outcome="wrong"))
    with pytest.raises(InputError, match="judged twice"):
        Reference.fit(pd.concat([items, items]), operations)


def test_a_reference_is_kept_beside_the_model(tmp_path: Path) -> None:
    reference = trained(100, family=2)
    path = reference.save(tmp_path)
    assert path == tmp_path / REFERENCE_FILE
    assert Reference.load(tmp_path) == Reference.load(path) == reference


@pytest.mark.parametrize(
    "change",
    [
        {"size": 0},
        {"allowance": 1.5},
        {"kinds": {"K0": -1}},
        {"jobs": {"J00": [1, 2]}},
        {"machine": None},
        {"minutes": {"run": {"low": 0}}},
        {"minutes": 7},
    ],
)
def test_a_damaged_reference_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = trained(50).save(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match="reference of concept drift"):
        Reference.load(path)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000])
def test_what_is_no_reference_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / REFERENCE_FILE).write_text(text)
    with pytest.raises(ModelError, match="train the model again"):
        Reference.load(tmp_path)
    with pytest.raises(ModelError, match="train the model again"):
        Reference.load(tmp_path / "none.json")
