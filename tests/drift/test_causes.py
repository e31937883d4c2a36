"""Causes, places and words of what was told."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from judged_items import trained

from routing_ml.drift import Place, Verdict
from routing_ml.drift.causes import Told, tell
from routing_ml.drift.tally import Counts, Tally

DAY = date(2025, 11, 3)
ITEMS = {"": [41.0, 18.0, 37.2, 23.0, 1.0]}


def told(
    measure: str = "routing", scope: str = "all", place: str = "", **tables: Counts
) -> Verdict:
    tally = Tally()
    for name, counts in ({"items": ITEMS} | tables).items():
        tally.put(DAY, name.replace("_", " "), counts)
    return tell(Told(measure, scope, place, DAY, DAY), tally, trained(100), 8000.0)


def test_a_rule_is_told_with_its_figures() -> None:
    verdict = told(
        scope="kind",
        place="SEAL RING",
        jobs={"LAPPING": [20.0, 15.0, 0.0, 0.0, 0.0], "TURN": [41.0, 1.0, 1.0, 40.0, 1.0]},
        kinds={"SEAL RING": [15.0, 1.0, 14.0, 14.0, 0.0]},
    )
    assert verdict.words == (
        "Items look as before, but planners make them otherwise: of 41 items since 3 November, 18 "
        "have the planner's routing where 37 were to be expected; worst: operation LAPPING missing "
        "in 15 of 20 proposals; kind SEAL RING 1 of 15 right where 14 were to be expected."
    )
    assert verdict.where == (
        Place("operation", "LAPPING", "missing in 15 of 20 proposals"),
        Place("kind", "SEAL RING", "1 of 15 right where 14 were to be expected"),
    )
    assert (verdict.cause, verdict.since) == ("same items, other routings", DAY)


def test_another_order_has_no_place() -> None:
    verdict = told(jobs={"TURN": [41.0, 0.0, 0.0, 40.0, 1.0]})
    assert verdict.where == () and verdict.words.endswith("were to be expected.")


@pytest.mark.parametrize(("count", "named"), [(15.0, True), (38.0, False)])
def test_a_kind_that_is_most_of_the_items_is_no_place(count: float, named: bool) -> None:
    verdict = told(kinds={"GEAR": [count, 0.0, 14.0, count, 0.0]}, jobs={})
    assert [place.value for place in verdict.where] == (["GEAR"] if named else [])


def test_figures_are_of_the_days_that_are_kept() -> None:
    tally = Tally()
    tally.put(DAY, "items", ITEMS)
    tally.put(DAY - timedelta(days=1), "items", ITEMS)
    said = Told("routing", "all", "", DAY - timedelta(days=90), DAY)
    assert tell(said, tally, trained(100), 8000.0).since == DAY - timedelta(days=1)
    late = Told("routing", "all", "", DAY, DAY)
    assert "of 41 items" in tell(late, tally, trained(100), 8000.0).words


def test_setup_times_of_an_operation_are_told_with_their_ratio() -> None:
    verdict = told("setup falling", "job", "J05", setup_job={"J05": [50.0, -5.0, 1.0, 1.0]})
    (place,) = verdict.where
    assert (place.what, place.value) == ("operation", "J05")
    assert place.figures.startswith(
        "0.90 times the proposed ones in 50 operations since 3 November"
    )
    assert verdict.words.startswith("Setup times of operation J05 have moved")
