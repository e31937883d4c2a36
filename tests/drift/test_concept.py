"""The detector of concept drift: what it tells, what it does not, and that it can be put away.

How often and how soon is measured over many replications in benchmarks/concept.py.
"""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from judged_items import CONFIDENCE, day_of, judged, live, trained

from routing_ml.drift import ConceptDetector, Reference
from routing_ml.drift.concept import SHARES
from routing_ml.errors import InputError, ModelError

ROUTINGS = "same items, other routings"


@pytest.fixture(scope="module")
def reference() -> Reference:
    return trained()


@pytest.fixture(scope="module")
def quiet(reference: Reference) -> str:
    """The state after 20 quiet days."""
    detector = ConceptDetector(reference)
    assert live(detector, 0, 20) == 0
    return json.dumps(detector.state())


@pytest.fixture
def detector(reference: Reference, quiet: str) -> ConceptDetector:
    return ConceptDetector.restore(reference, json.loads(quiet))


def places(detector: ConceptDetector) -> set[tuple[str, str]]:
    return {(place.what, place.value) for place in detector.verdict.where}


def test_the_shares_of_the_level_sum_to_one() -> None:
    assert sum(sum(scopes.values()) for scopes in SHARES.values()) == pytest.approx(1)


@pytest.mark.parametrize("family", [1, 5])
def test_a_quiet_quarter_is_quiet(reference: Reference, family: int) -> None:
    detector = ConceptDetector(reference)
    assert live(detector, 0, 90, family=family) == 0
    assert detector.e_value < 1000
    verdict = detector.verdict
    assert (verdict.cause, verdict.where, verdict.since, verdict.alarm) == (None, (), None, False)
    assert verdict.words == "as before"


@pytest.mark.parametrize(("family", "within"), [(1, 7), (5, 20)])
def test_a_changed_rule_is_told_within_weeks(
    detector: ConceptDetector, family: int, within: int
) -> None:
    days = live(detector, 20, within, rule=0.5, family=family)
    verdict = detector.verdict
    assert days > 0 and verdict.cause == ROUTINGS
    assert places(detector) == {("operation", "J00"), ("operation", "NEW")}
    assert verdict.since is not None and abs((verdict.since - day_of(20)).days) <= 3
    assert verdict.e_value >= verdict.threshold == 7300


def test_a_verdict_gives_the_figures_since_its_day(detector: ConceptDetector) -> None:
    days = live(detector, 20, 14, rule=0.5)
    since = detector.verdict.since
    assert since is not None
    frames = [judged(20, 1000 + n, rule=0.5 if n >= 20 else 0.0) for n in range(20 + days)]
    items = pd.concat(
        [f[0] for number, f in enumerate(frames) if day_of(number) >= since], ignore_index=True
    )
    right = int(items["exact"].sum())
    expected = round(CONFIDENCE * len(items))
    assert (
        f"of {len(items)} items since {since.day} {since:%B}, {right} have the planner's routing "
        f"where {expected} were to be expected"
    ) in detector.verdict.words
    operations = pd.concat(
        [f[1] for number, f in enumerate(frames) if day_of(number) >= since], ignore_index=True
    )
    new = int((operations["JOB_CD"] == "NEW").sum())
    assert f"operation NEW missing in {new} of {new} proposals" in detector.verdict.words


def test_a_rule_of_one_kind_is_told_with_the_kind(detector: ConceptDetector) -> None:
    assert 0 < live(detector, 20, 30, rule=1.0, only="K3") <= 30
    assert detector.verdict.cause == ROUTINGS
    assert ("kind", "K3") in places(detector)
    assert {("operation", "J00"), ("operation", "NEW")} & places(detector)


def test_longer_run_times_are_told_with_their_machine(detector: ConceptDetector) -> None:
    assert 0 < live(detector, 20, 30, slow={"M04": np.log(1.15)}) <= 30
    assert detector.verdict.cause == "times have moved"
    assert places(detector) == {("machine", "M04")}
    assert "Run times on machine M04 have moved" in detector.verdict.words
    assert "1.1" in detector.verdict.where[0].figures


def test_shorter_run_times_everywhere_are_told_without_a_place(detector: ConceptDetector) -> None:
    assert 0 < live(detector, 20, 30, slow={"": np.log(0.87)}) <= 30
    assert detector.verdict.cause == "times have moved"
    assert detector.verdict.where == () and "Run times have moved" in detector.verdict.words


def test_one_wild_time_is_no_drift(detector: ConceptDetector) -> None:
    items, operations = judged(20, 77)
    operations.loc[operations["RES_CD"] == "M04", "run_log"] = 9.0
    detector.update(day_of(20), items, operations)
    assert not detector.verdict.alarm


def test_other_machines_for_a_job_are_told(detector: ConceptDetector) -> None:
    assert 0 < live(detector, 20, 30, other_machine=0.8) <= 30
    assert detector.verdict.cause == ROUTINGS
    assert ("operation", "J00") in places(detector)
    assert "on another machine than proposed" in detector.verdict.words


def test_where_the_wrong_ones_are_new_it_is_a_new_kind(detector: ConceptDetector) -> None:
    assert live(detector, 20, 30, right=0.3, novelty=0.6) > 0
    assert detector.verdict.cause == "new kind of item"


def test_an_honest_low_confidence_is_no_drift(detector: ConceptDetector) -> None:
    assert live(detector, 20, 90, right=0.3, confidence=0.3) == 0


def test_a_confidence_that_is_little_too_high_is_no_drift(detector: ConceptDetector) -> None:
    assert live(detector, 20, 90, right=CONFIDENCE - 0.04) == 0


def test_a_family_is_one_unit_of_evidence(reference: Reference) -> None:
    one, many = ConceptDetector(reference), ConceptDetector(reference)
    one.update(day_of(0), *judged(1, 5, right=0.0))
    items, operations = judged(50, 5, family=50, right=0.0)
    many.update(day_of(0), items, operations)
    assert many._streams["routing"].total == pytest.approx(one._streams["routing"].total)


def test_a_family_that_was_judged_adds_to_the_figures_only(reference: Reference) -> None:
    once, again = ConceptDetector(reference), ConceptDetector(reference)
    items, operations = judged(30, 6, right=0.2)
    for detector in (once, again):
        detector.update(day_of(0), items, operations)
    again.update(day_of(1), items, operations)
    assert again.e_value == once.e_value
    assert again._tally.since(day_of(0), "items")[""][0] == 60
    again.update(day_of(62), items, operations)
    assert again.e_value != once.e_value


def test_a_verdict_stays_on_for_14_days_after_its_evidence_is_gone(
    detector: ConceptDetector,
) -> None:
    days = live(detector, 20, 14, rule=0.7)
    told, number, last = detector.verdict, 20 + days, None
    while detector.verdict.alarm:
        if detector.e_value >= told.threshold:
            last = number - 1
        detector.update(day_of(number), *judged(20, 1000 + number))
        number += 1
    assert last is not None and number - 1 - last == 14
    assert detector.verdict.cause is None


def test_days_without_items_end_a_verdict_as_well(detector: ConceptDetector) -> None:
    days = live(detector, 20, 14, rule=0.7)
    items, operations = judged(1, 1)
    before = detector.e_value
    detector.update(day_of(20 + days + 10), items[:0], operations[:0])
    assert detector.verdict.alarm and detector.e_value == before
    detector.update(day_of(20 + days + 14), items[:0], operations[:0])
    assert not detector.verdict.alarm


def test_a_reset_begins_anew(detector: ConceptDetector, reference: Reference) -> None:
    live(detector, 20, 14, rule=0.7)
    detector.reset()
    assert not detector.verdict.alarm
    assert detector.state() == ConceptDetector(reference).state()
    detector.update(day_of(0), *judged(20, 1))


def test_a_restored_detector_goes_on_as_if_nothing_had_happened(reference: Reference) -> None:
    one, other = ConceptDetector(reference), ConceptDetector(reference)
    for number in range(70):
        frames = judged(10, 300 + number, family=2, rule=0.5 * (number > 63))
        one.update(day_of(number), *frames)
        other = ConceptDetector.restore(reference, json.loads(json.dumps(other.state())))
        other.update(day_of(number), *frames)
    assert other.state() == one.state()
    assert other.verdict == one.verdict and one.verdict.alarm


def test_the_state_does_not_grow_with_the_years(reference: Reference) -> None:
    detector, sizes = ConceptDetector(reference), []
    for number in range(190):
        detector.update(day_of(number), *judged(5, number))
        if number in (89, 189):
            sizes.append(len(json.dumps(detector.state())))
    assert sizes[1] < 1.1 * sizes[0]


def test_quiet_days_are_learned_after_two_months(reference: Reference) -> None:
    """A machine that was always 5 % off what 300 items said is known better by then."""
    detector = ConceptDetector(reference)
    table = "run machine"
    at_first = known(detector, table)
    for number in range(61):
        detector.update(day_of(number), *judged(20, 500 + number, slow={"M04": 0.03}))
        if number == 59:
            assert known(detector, table) == at_first
    for number in range(61, 130):
        detector.update(day_of(number), *judged(20, 500 + number, slow={"M04": 0.03}))
    mean, error = known(detector, table)
    assert error < 0.6 * at_first[1]
    assert abs(mean - 0.03) < abs(at_first[0] - 0.03) or abs(mean - 0.03) < 3 * error


def test_what_a_verdict_is_on_for_is_not_learned(reference: Reference) -> None:
    detector = ConceptDetector(reference)
    for number in range(80):
        detector.update(day_of(number), *judged(20, 700 + number, slow={"M04": 0.3}))
    assert detector.verdict.alarm
    assert known(detector, "run machine")[0] < 0.05


def known(detector: ConceptDetector, table: str) -> tuple[float, float]:
    """Mean and standard error of machine M04 by now."""
    precision, mean = detector.state()["centres"][table]["M04"]
    return mean, precision**-0.5


@pytest.mark.parametrize("later", [0, -1])
def test_a_day_that_is_not_after_the_last_is_refused(detector: ConceptDetector, later: int) -> None:
    before = detector.state()
    with pytest.raises(InputError, match="give each day once, in order"):
        detector.update(day_of(19 + later), *judged(3, 1))
    assert detector.state() == before


def test_operations_of_an_item_that_is_not_judged_are_refused(detector: ConceptDetector) -> None:
    items, operations = judged(3, 1)
    with pytest.raises(InputError, match="I1-2, which is no judged item of 2025-03-21"):
        detector.update(day_of(20), items[:2], operations)
    detector.update(day_of(20), items, operations)


@pytest.mark.parametrize("state", [{}, {"day": "never"}, {"day": None, "families": []}])
def test_a_state_that_is_none_is_refused(reference: Reference, state: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="begin anew without it"):
        ConceptDetector.restore(reference, state)


def test_a_state_of_another_reference_is_refused(detector: ConceptDetector) -> None:
    state = detector.state()
    state["centres"] = {table: {"M99": [1.0, 0.0]} for table in state["centres"]}
    with pytest.raises(ModelError, match="begin anew"):
        ConceptDetector.restore(detector.reference, state)


def test_items_without_kind_machine_or_times_are_judged_by_what_is_known(
    reference: Reference,
) -> None:
    detector = ConceptDetector(reference)
    for number in range(10):
        items, operations = judged(20, 40 + number, rule=0.6)
        items["kind"] = None
        operations = operations.assign(
            RES_CD=None, machine_right=pd.NA, run_log=np.nan, setup_log=np.nan
        )
        detector.update(day_of(0) + timedelta(days=number), items, operations)
    assert detector.verdict.cause == ROUTINGS
