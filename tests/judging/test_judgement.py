"""Proposals against what planners wrote."""

import math

import pandas as pd
import pytest

from routing_ml.judging.judgement import Written, judge, week_of
from routing_ml.judging.keeping import kept

OPERATION = {
    "RES_CD": "L1", "SETUP_TIME": 5.0, "RUN_TIME": 2.0, "RUN_TIME_LOW": 1.0, "RUN_TIME_HIGH": 3.0,
    "RES_LIKELIHOOD": 0.9, "CONFIDENCE": 0.8, "NOVELTY": 0.0,
}  # fmt: skip


def rows(**routings):
    """Operations of items, `A=["SAW", "TURN"]`, as a frame of a model or of planners."""
    made = [
        {"ITEM_CD": item, "PROC_SEQ": 10 * place, "JOB_CD": job} | OPERATION
        for item, jobs in routings.items()
        for place, job in enumerate(jobs, start=1)
    ]
    return pd.DataFrame(made).astype({"JOB_CD": "str", "RES_CD": "str"})


def proposed(frame, *, model="m1", method="forest", in_use=True, at=100.0):
    return list(kept(frame, model=model, method=method, in_use=in_use, at=at))


def written(frame, *, entered=200.0, family=None):
    items = frame["ITEM_CD"].unique().tolist()
    return Written(
        routings=frame,
        entered=dict.fromkeys(items, entered),
        day=dict.fromkeys(items, "2026-11-02"),
        family=family or {item: f"of {item}" for item in items},
        kind=dict.fromkeys(items, "RING"),
    )


def judged(proposals, truth, **about):
    given = {"in_use": "m1", "seen": {}, "known_families": frozenset(), "at": 300.0} | about
    return judge(proposals, truth, **given)


def test_each_proposal_is_judged_by_its_operations_their_order_and_machines():
    truth = rows(A=["SAW", "TURN"], B=["SAW", "TURN"], C=["SAW"])
    truth.loc[truth["ITEM_CD"] == "C", "RES_CD"] = "L9"
    found = judged(
        proposed(rows(A=["SAW", "TURN"], B=["TURN", "SAW", "WASH"], C=["SAW"])), written(truth)
    )
    by_item = {one.item_cd: one for one in found.judged}
    assert [by_item[item].exact for item in "ABC"] == [1, 0, 1]
    assert [by_item[item].ordered for item in "ABC"] == [1, 0, 1]
    assert (by_item["B"].tp, by_item["B"].fp, by_item["B"].fn) == (2, 1, 0)
    assert (by_item["C"].resource_hits, by_item["C"].resource_known) == (0, 1)
    one = by_item["A"]
    assert (one.model, one.method, one.proposed_at, one.judged_at) == ("m1", "forest", 100.0, 300.0)
    assert (one.day, one.week, one.kind, one.confidence) == ("2026-11-02", "2026-W45", "RING", 0.8)
    assert found.items["exact"].tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("seen", "entered", "apart"),
    [
        (150.0, 200.0, True),
        (250.0, 200.0, False),
        (150.0, math.nan, True),
        (None, 200.0, False),
    ],
)
def test_what_a_planner_had_seen_before_writing_is_counted_apart(seen, entered, apart):
    truth = rows(A=["SAW"])
    found = judged(
        proposed(truth), written(truth, entered=entered), seen={} if seen is None else {"A": seen}
    )
    assert found.judged[0].seen == apart
    assert len(found.items) == len(found.operations) == (0 if apart else 1)


def test_of_several_versions_the_last_one_in_use_counts_as_what_was_in_use():
    truth = rows(A=["SAW"])
    found = judged(
        [
            *proposed(truth, model="m1", at=100.0),
            *proposed(truth, model="m2", at=150.0),
            *proposed(truth, model="m3", at=180.0, in_use=False, method="boosted"),
        ],
        written(truth),
        in_use="m2",
    )
    assert {one.model: one.in_use for one in found.judged} == {"m1": 0, "m2": 1, "m3": 0}


def test_what_comes_later_of_a_family_is_no_new_evidence():
    truth = rows(A=["SAW"], B=["SAW"])
    family = {"A": "2026-10-01", "B": "B"}
    found = judged(
        proposed(truth), written(truth, family=family), known_families=frozenset({"2026-10-01"})
    )
    assert {one.item_cd: one.first for one in found.judged} == {"A": 0, "B": 1}


def test_operations_are_told_one_by_one_with_their_times_as_ratios():
    truth = rows(A=["SAW", "WASH", "WASH"])
    truth["RUN_TIME"] = [4.0, 2.0, 0.0]
    truth.loc[0, "RES_CD"] = "L9"
    truth.loc[1, "RES_CD"] = None
    found = judged(proposed(rows(A=["SAW", "WASH", "TURN"])), written(truth))
    told = found.operations.set_index(["JOB_CD", "outcome"])
    assert told.index.tolist() == [
        ("SAW", "hit"), ("TURN", "extra"), ("WASH", "hit"), ("WASH", "missing"),
    ]  # fmt: skip
    assert told["run_log"].tolist()[0] == pytest.approx(math.log(2))
    assert told["run_log"].isna().tolist() == [False, True, False, True]
    assert told["machine_right"].isna().tolist() == [False, True, True, True]
    assert not told["machine_right"].iloc[0]
    assert told["RES_CD"].tolist()[:2] == ["L9", "L1"]


def test_nothing_to_judge_is_nothing_found():
    found = judged([], written(rows(A=["SAW"])[:0], family={}))
    assert not found.judged and not len(found.items) and not len(found.operations)


def test_a_week_begins_on_monday():
    assert [week_of(f"2026-11-{day:02}") for day in (1, 2)] == ["2026-W44", "2026-W45"]
