"""Two routings beside each other: what one has more, and what is another."""

from types import SimpleNamespace

import pages_site  # noqa: F401 - it knows where the pages are
from routing_ml_pages.beside import Effect, beside, effects


def row(job, *, machine="M1", setup=10.0, run=5.0):
    return {
        "JOB_CD": job, "JOB_NM": None, "RES_CD": machine, "SETUP_TIME": setup, "RUN_TIME": run,
    }  # fmt: skip


def told(before, after, confidences=(0.9, 0.9)):
    return effects(
        SimpleNamespace(proposal=before, confidence=confidences[0]),
        SimpleNamespace(proposal=after, confidence=confidences[1]),
    )


def test_nothing_is_told_of_what_is_as_it_was():
    rows = [row("SAW"), row("TURN"), row("SAW")]
    assert told(rows, [row("SAW", run=5.001), row("TURN"), row("SAW")]) == []


def test_each_thing_that_became_another_is_told():
    found = told(
        [row("SAW"), row("TURN")],
        [row("SAW", machine="M2", setup=20.0, run=None), row("SAW"), row("WASH")],
        (0.9, 0.5),
    )
    assert found == [
        Effect("added", "SAW", None, None),
        Effect("added", "WASH", None, None),
        Effect("removed", "TURN", None, None),
        Effect("machine", "SAW", "M1", "M2"),
        Effect("setup", "SAW", 10.0, 20.0),
        Effect("run", "SAW", 5.0, None),
        Effect("confidence", "", 0.9, 0.5),
    ]


def test_another_order_is_told_as_such():
    found = told([row("SAW"), row("TURN")], [row("TURN"), row("SAW")])
    assert found == [Effect("order", "", "SAW TURN", "TURN SAW")]


def test_equal_operations_stand_in_one_row():
    rows = beside([row("SAW"), row("TURN")], [row("SAW"), row("WASH"), row("TURN")])
    pairs = [(r.proposed and r.proposed.job, r.own and r.own.job) for r in rows]
    assert pairs == [("SAW", "SAW"), (None, "WASH"), ("TURN", "TURN")]


def test_without_an_own_routing_there_is_nothing_beside():
    assert beside([row("SAW")], []) == []
