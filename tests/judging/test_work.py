"""Proposed times against what the shop reported."""

import math

import numpy as np
import pandas as pd
import pytest

from routing_ml.judging.keeping import kept
from routing_ml.judging.work import judge_work

OPERATION = {
    "RES_CD": "L1", "SETUP_TIME": 30.0, "RUN_TIME": 2.0, "RUN_TIME_LOW": 1.5, "RUN_TIME_HIGH": 3.0,
    "RES_LIKELIHOOD": 0.9, "CONFIDENCE": 0.8, "NOVELTY": 0.0,
}  # fmt: skip


def routing(*jobs, item="A", revision="1", machine="L2"):
    """The operations of a revision, as planners wrote them."""
    return pd.DataFrame(
        {
            "ITEM_CD": item, "ROUT_NO": revision, "JOB_CD": list(jobs), "RES_CD": machine,
            "PROC_SEQ": [10 * place for place in range(1, len(jobs) + 1)],
        }
    ).astype({"JOB_CD": "str", "RES_CD": "str"})  # fmt: skip


def proposed(*jobs, item="A"):
    frame = routing(*jobs, item=item).assign(**OPERATION)
    return list(kept(frame, model="m1", method="forest", in_use=True, at=1.0))


def report(sequence, *, hours=1.0, setup=0.5, quantity=10.0, item="A", revision="1"):
    return {
        "ITEM_CD": item, "ROUT_NO": revision, "PROC_SEQ": sequence, "MACH_WORKED_HOURS": hours,
        "SETUP_HOURS": setup, "ORDER_QTY": quantity, "REPORT_DT": pd.Timestamp("2026-11-02 14:00"),
    }  # fmt: skip


def by_piece(jobs, occurrences, pieces):
    return pieces


def worked(proposals, routings, *reports, run_times=by_piece):
    return judge_work(proposals, routings, pd.DataFrame(reports), run_times)


def test_minutes_a_piece_are_compared_with_what_was_proposed():
    (one,) = worked(proposed("SAW", "TURN"), routing("SAW", "TURN"), report(20, hours=0.5))
    assert (one.item_cd, one.model, one.job_cd, one.res_cd) == ("A", "m1", "TURN", "L2")
    assert (one.day, one.week) == ("2026-11-02", "2026-W45")
    assert one.run_log == pytest.approx(math.log(3.0 / 2.0))
    assert one.setup_log == pytest.approx(0)
    assert one.within == 1


def test_reports_of_one_operation_and_day_are_told_apart_the_same_way_each_time():
    reports = [report(10, hours=hours) for hours in (0.4, 0.6, 0.4)]
    found = worked(proposed("SAW"), routing("SAW"), *reports)
    assert sorted((one.rout_no, one.proc_seq, one.number) for one in found) == [
        ("1", 10, 0), ("1", 10, 1), ("1", 10, 2),
    ]  # fmt: skip
    turned = worked(proposed("SAW"), routing("SAW"), *reversed(reports))
    assert sorted(found) == sorted(turned)


def test_the_time_of_a_lot_is_compared_with_that_of_the_lot():
    def by_lot(jobs, occurrences, pieces):
        assert (jobs, occurrences) == (["TEMPER"], [0])
        return np.ones(len(pieces))

    given = proposed("TEMPER"), routing("TEMPER"), report(10, hours=2.0 / 60)
    (one,) = worked(*given, run_times=by_lot)
    assert (one.run_log, one.within) == (pytest.approx(0), 1)
    (other,) = worked(*given)
    assert other.run_log == pytest.approx(math.log(1 / 10))


def test_a_report_keeps_its_number_when_later_ones_of_its_day_come():
    first, *later = (
        report(10, hours=hours) | {"REPORT_DT": pd.Timestamp(f"2026-11-02 {hour}:00")}
        for hour, hours in (("06", 1.0), ("14", 0.5), ("22", 2.0))
    )
    alone = worked(proposed("SAW"), routing("SAW"), first)
    assert alone[0] in worked(proposed("SAW"), routing("SAW"), *later, first)


def test_a_time_outside_its_band_is_told():
    found = worked(proposed("SAW"), routing("SAW"), report(10, hours=0.6), report(10, hours=0.4))
    assert {one.run_log > 0.5: one.within for one in found} == {True: 0, False: 1}


def test_a_repeated_operation_is_compared_with_its_own_occurrence():
    routings = routing("WASH", "TURN", "WASH")
    found = worked(proposed("WASH"), routings, report(10), report(30))
    assert len(found) == 1 and found[0].job_cd == "WASH"


def test_a_report_of_an_older_revision_is_of_its_operations():
    routings = pd.concat([routing("TURN", revision="1"), routing("SAW", revision="2")])
    (one,) = worked(proposed("SAW"), routings, report(10), report(10, revision="2"))
    assert one.job_cd == "SAW"


@pytest.mark.parametrize(
    "about",
    [{"hours": 0.0, "setup": 0.0}, {"hours": math.nan, "setup": math.nan},
     {"quantity": 0.0, "setup": 0.0}, {"item": "B"}, {"sequence": 70}],
)  # fmt: skip
def test_what_says_nothing_is_left_out(about):
    given = {"sequence": 10} | about
    assert worked(proposed("SAW"), routing("SAW"), report(**given)) == []


def test_a_setup_alone_is_compared_too():
    (one,) = worked(proposed("SAW"), routing("SAW"), report(10, quantity=math.nan, setup=1.0))
    assert (one.run_log, one.within) == (None, None)
    assert one.setup_log == pytest.approx(math.log(2))


def test_nothing_reported_is_nothing_found():
    none = pd.DataFrame([report(10)])[:0]
    assert judge_work(proposed("SAW"), routing("SAW"), none, by_piece) == []
    assert judge_work([], routing("SAW"), pd.DataFrame([report(10)]), by_piece) == []
