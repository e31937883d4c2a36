"""What the key figures are counted from: each once, over tries, clears and kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from postgresql import PostgreSQL

from routing_ml.drift import Baseline, evaluate
from routing_ml.settings import default_url
from routing_ml.store.keyfigures import CAUSES, HANDS
from routing_ml.store.store import Store

DAY = 86400.0
FIRST = date(2026, 11, 2)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        url = default_url(tmp_path)
    else:
        server: PostgreSQL = request.getfixturevalue("postgresql")
        url = server.fresh("monitoring")
    with closing(Store(url)) as opened:
        yield opened


def ran(store: Store, run: str, at: float = 0.0, well: bool = True, **about: object) -> None:
    store.record_run(run, succeeded=well, seconds=1, ended_at=at, **about)  # type: ignore[arg-type]


def totals(store: Store, name: str) -> dict[str, float]:
    """A counter by its labels, without those that are 0."""
    return {label: n for label, n in store.snapshot().labelled(name).items() if n}


def alarm(
    store: Store, day: int, *, on: bool = True, advised: bool = False, watch: str = "m1"
) -> None:
    """An evaluation at noon of the day of that number."""
    store.note_alarm(
        watch=watch, on=on, advised=advised, day=FIRST + timedelta(day), at=(day + 0.5) * DAY
    )


def judge(
    store: Store, run: str, day: float, *, better: bool, promoted: bool | None = None
) -> None:
    """A retraining that read the data of that day and ended an hour later."""
    put_in = better if promoted is None else promoted
    at = day * DAY
    store.judge_alarm(run, better=better, promoted=put_in, as_of=at, at=at + 3600)


# Retrainings --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", CAUSES)
def test_a_run_is_counted_by_what_started_it(store: Store, cause: str) -> None:
    ran(store, "r1", started_by=cause)
    assert totals(store, "retrain_ended") == {f"{cause}/success": 1}
    by_hand = cause == "hand"
    assert totals(store, "retrain_unattended") == ({} if by_hand else {"": 1})
    assert totals(store, "hands") == ({"trigger": 1} if by_hand else {})


def test_a_run_whose_report_was_tried_again_counts_once(store: Store) -> None:
    for _ in range(3):
        ran(store, "r1", started_by="schedule")
    assert totals(store, "retrain_ended") == {"schedule/success": 1}
    assert totals(store, "retrain_unattended") == {"": 1}


def test_a_run_that_was_cleared_ends_as_it_did_at_last_and_needed_a_hand(store: Store) -> None:
    ran(store, "r1", started_by="drift", well=False)
    assert totals(store, "retrain_ended") == {"drift/failure": 1}
    for _ in range(2):
        ran(store, "r1", started_by="drift", hands=["clear"])
    assert totals(store, "retrain_ended") == {"drift/success": 1}
    assert totals(store, "retrain_unattended") == {}
    assert totals(store, "hands") == {"clear": 1}
    ran(store, "r1", started_by="drift")  # what was done for a run stays
    assert totals(store, "retrain_unattended") == {}


def test_a_run_that_failed_is_none_without_a_hand(store: Store) -> None:
    ran(store, "r1", started_by="schedule", well=False)
    assert totals(store, "retrain_unattended") == {}


def test_a_run_of_long_ago_that_is_cleared_counts_once(store: Store) -> None:
    ran(store, "r1", at=0.0, started_by="schedule", well=False)
    store.prune(now=400 * DAY)
    assert store.runs() == []
    ran(store, "r1", at=400 * DAY, started_by="schedule", hands=["clear"])
    assert totals(store, "retrain_ended") == {"schedule/success": 1}
    assert totals(store, "runs") == {"success": 1}
    ran(store, "r1", well=False, unless_known=True)  # as the listener tells of it
    assert totals(store, "retrain_ended") == {"schedule/success": 1}


def test_a_run_that_an_earlier_release_recorded_is_not_counted_twice(store: Store) -> None:
    ran(store, "r1", well=False)
    for table in ("retrainings", "alarms"):
        store.database.run(f"DROP TABLE {table}")
    with closing(Store(store.url)) as newer:
        assert totals(newer, "runs") == {"failure": 1}
        ran(newer, "r1", started_by="schedule", hands=["clear"])
        assert totals(newer, "runs") == {"success": 1}


def test_a_switch_by_hand_is_counted_once_and_the_run_before_it_needed_it(store: Store) -> None:
    ran(store, "r1", at=1.0, started_by="schedule")
    ran(store, "r2", at=2.0, started_by="schedule")
    ran(store, "r3", at=9.0, started_by="schedule")
    for _ in range(2):
        store.count_switch("s1", action="rollback", at=5.0)
    assert totals(store, "hands") == {"rollback": 1}
    assert totals(store, "retrain_unattended") == {"": 2}
    store.count_switch("s2", action="promote", at=6.0)
    assert totals(store, "hands") == {"rollback": 1, "promote": 1}
    assert totals(store, "retrain_unattended") == {"": 2}
    ran(store, "r2", at=10.0, started_by="schedule")
    assert totals(store, "retrain_unattended") == {"": 2}


def test_a_switch_before_any_run_is_counted(store: Store) -> None:
    store.count_switch("s1", action="promote", at=5.0)
    assert totals(store, "hands") == {"promote": 1}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["r1", "r2", "r3"]),
            st.sampled_from(CAUSES),
            st.booleans(),
            st.sets(st.sampled_from(HANDS)),
        ),
        max_size=12,
    )
)
def test_whatever_is_recorded_the_totals_are_of_what_each_run_came_to(
    tmp_path_factory: pytest.TempPathFactory, recorded: list
) -> None:
    """However often and in whichever order; what a person did stays."""
    last: dict = {}
    with closing(Store(default_url(tmp_path_factory.mktemp("totals")))) as store:
        for run, cause, well, hands in recorded:
            ran(store, run, well=well, started_by=cause, hands=hands)
            before = last[run][2] if run in last else set()
            last[run] = (cause, well, before | hands | ({"trigger"} if cause == "hand" else set()))
        counted = totals(store, "retrain_ended")
        alone, hands_of = totals(store, "retrain_unattended"), totals(store, "hands")
    assert sum(counted.values()) == len(last)
    for cause, well, _ in last.values():
        same = [one for one in last.values() if one[:2] == (cause, well)]
        assert counted[f"{cause}/{'success' if well else 'failure'}"] == len(same)
    assert sum(alone.values()) == sum(well and not hands for _, well, hands in last.values())
    assert sum(hands_of.values()) == sum(len(hands) for _, _, hands in last.values())


def test_a_process_killed_while_it_counts_leaves_all_of_a_run_or_nothing(tmp_path: Path) -> None:
    """Killed at random moments: each run that is there is there with all of its totals."""
    script = (
        "import sys, itertools; from routing_ml.store.store import Store\n"
        "store = Store(sys.argv[1])\n"
        "for n in itertools.count():\n"
        "    run = f'{sys.argv[2]}-{n}'\n"
        "    store.record_run(run, succeeded=True, seconds=1, started_by='schedule')\n"
        "    store.count_switch(run, action='rollback', at=9e9)\n"
        "    print(n, flush=True)\n"
    )
    url = default_url(tmp_path)
    for life in range(3):
        command = [sys.executable, "-P", "-c", script, url, str(life)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(5 + life):
                process.stdout.readline()
            os.kill(process.pid, signal.SIGKILL)
    with closing(Store(url)) as store:
        runs = store.database.rows("SELECT run, hands FROM retrainings")
        switched = store.database.rows("SELECT key FROM claims WHERE name = 'switch'")
        ended, hands = totals(store, "retrain_ended"), totals(store, "hands")
        alone = totals(store, "retrain_unattended").get("", 0)
    assert len(runs) >= 15
    assert ended == {"schedule/success": len(runs)}
    assert hands == {"rollback": len(switched)}
    assert alone == sum(not of for _, of in runs) == len(runs) - len(switched)


# Alarms -------------------------------------------------------------------------------------------


def test_an_alarm_that_a_better_model_answers_is_confirmed_with_its_times(store: Store) -> None:
    alarm(store, 0)
    alarm(store, 2, advised=True)
    alarm(store, 2, advised=True)
    assert store.fact("drift_alarm") == {"began_at": 0.5 * DAY, "advised_at": 2.5 * DAY}
    for _ in range(2):
        judge(store, "r1", 3, better=True)
    assert totals(store, "drift_alarms") == {"confirmed": 1}
    assert totals(store, "drift_response_seconds") == {
        "alarm": 2.5 * DAY + 3600,
        "advice": 0.5 * DAY + 3600,
    }
    assert totals(store, "drift_response_bucket") == {"alarm/3": 1, "advice/2": 1}
    assert store.fact("drift_alarm") is None


def test_an_alarm_after_which_nothing_better_was_found_was_false_once(store: Store) -> None:
    alarm(store, 0, advised=True)
    for _ in range(2):
        judge(store, "r1", 1, better=False)
    alarm(store, 1, advised=True)  # the model in use is the same, and so are the scores
    alarm(store, 6)
    assert totals(store, "drift_alarms") == {"false": 1}
    assert totals(store, "drift_response_bucket") == {}
    assert store.fact("drift_alarm") is None


def test_an_alarm_that_went_on_may_be_confirmed_by_a_later_run(store: Store) -> None:
    alarm(store, 0)
    judge(store, "r1", 1, better=False)
    judge(store, "r2", 2, better=True)  # it had not gone on: this run had another reason
    assert totals(store, "drift_alarms") == {"false": 1}
    alarm(store, 3)
    judge(store, "r3", 4, better=True)
    assert totals(store, "drift_alarms") == {"confirmed": 1}
    judge(store, "r1", 1, better=False)
    assert totals(store, "drift_alarms") == {"confirmed": 1}


def test_a_run_that_is_cleared_may_judge_otherwise(store: Store) -> None:
    alarm(store, 0)
    judge(store, "r1", 1, better=False)
    judge(store, "r1", 1, better=True)
    assert totals(store, "drift_alarms") == {"confirmed": 1}
    assert sum(totals(store, "drift_response_bucket").values()) == 1


def test_an_alarm_that_passes_by_itself_was_false(store: Store) -> None:
    alarm(store, 0)
    for day in range(7):
        alarm(store, day, on=day == 3)  # a day of quiet in between is no end
    assert totals(store, "drift_alarms") == {}
    alarm(store, 9, on=False)
    assert totals(store, "drift_alarms") == {}
    for _ in range(2):
        alarm(store, 10, on=False)
    assert totals(store, "drift_alarms") == {"false": 1}


def test_an_alarm_a_week_later_is_another(store: Store) -> None:
    alarm(store, 0)
    alarm(store, 7)
    assert totals(store, "drift_alarms") == {"false": 1}
    assert store.fact("drift_alarm")["began_at"] == 7.5 * DAY


def test_a_run_judges_no_alarm_that_began_after_the_moment_it_read(store: Store) -> None:
    alarm(store, 1)
    judge(store, "r1", 1, better=False)
    assert totals(store, "drift_alarms") == {}


def test_a_model_that_waits_for_a_person_confirms_and_its_promotion_answers(store: Store) -> None:
    alarm(store, 0, advised=True)
    judge(store, "r1", 1, better=True, promoted=False)
    assert totals(store, "drift_alarms") == {"confirmed": 1}
    store.count_switch("s0", action="rollback", at=1.5 * DAY)
    assert totals(store, "drift_response_bucket") == {}
    for switch in ("s1", "s1", "s2"):
        store.count_switch(switch, action="promote", at=2 * DAY)
    assert totals(store, "drift_response_seconds")["advice"] == 1.5 * DAY
    assert totals(store, "drift_response_bucket") == {"alarm/3": 1, "advice/3": 1}


def test_a_later_run_that_puts_the_better_model_into_use_answers(store: Store) -> None:
    alarm(store, 0, advised=True)
    judge(store, "r1", 1, better=True, promoted=False)
    judge(store, "r2", 2, better=True)
    assert totals(store, "drift_alarms") == {"confirmed": 1}
    assert totals(store, "drift_response_seconds")["advice"] == 1.5 * DAY + 3600


@pytest.mark.parametrize("action", ["promote", "rollback"])
def test_a_switch_by_hand_dismisses_an_alarm_that_nobody_judged(store: Store, action: str) -> None:
    alarm(store, 1)
    store.count_switch("s0", action=action, at=0.0)  # it was before the alarm
    assert totals(store, "drift_alarms") == {}
    store.count_switch("s1", action=action, at=2 * DAY)
    assert totals(store, "drift_alarms") == {"dismissed": 1}
    judge(store, "r1", 3, better=False)
    judge(store, "r2", 4, better=True)
    assert totals(store, "drift_alarms") == {"dismissed": 1}
    assert totals(store, "drift_response_bucket") == {}


def test_a_reset_dismisses_the_alarm_once(store: Store) -> None:
    store.reset_drift()
    alarm(store, 0)
    store.reset_drift()
    store.reset_drift()
    assert totals(store, "drift_alarms") == {"dismissed": 1}


def test_an_alarm_of_another_model_is_another(store: Store) -> None:
    alarm(store, 0, watch="m1")
    alarm(store, 1, watch="m2")
    assert totals(store, "drift_alarms") == {"dismissed": 1}
    alarm(store, 9, on=False, watch="m2")
    assert totals(store, "drift_alarms") == {"dismissed": 1, "false": 1}


def test_an_evaluation_that_calls_for_a_retraining_begins_the_alarm(store: Store) -> None:
    baseline = Baseline.fit(np.random.default_rng(0).beta(8, 2, 2000))

    def seen(scores: list[float], day: int, model: str = "m1") -> None:
        items = [f"{day}-{len(scores)}-{n}" for n in range(len(scores))]
        store.record_predictions(items, scores, scores, model=model, seconds=1)
        evaluate(store, model, baseline, day=FIRST + timedelta(day))

    seen(np.random.default_rng(1).beta(8, 2, 300).tolist(), 0)
    assert store.fact("drift_alarm") is None
    seen(np.random.default_rng(2).beta(2, 8, 1000).tolist(), 1)
    began = store.fact("drift_alarm")
    assert began["began_at"] == began["advised_at"] == store.drift_status()["evaluated_at"]
    seen([0.05] * 10, 2)
    assert store.fact("drift_alarm") == began
    seen(np.random.default_rng(3).beta(2, 8, 900).tolist(), 2, "m2")
    assert totals(store, "drift_alarms") == {"dismissed": 1}
    assert store.fact("drift_alarm")["began_at"] > began["began_at"]
    store.reset_drift()
    assert totals(store, "drift_alarms") == {"dismissed": 2}
