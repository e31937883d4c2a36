"""What was proposed and what became of it, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from postgresql import PostgreSQL

from routing_ml.settings import default_url
from routing_ml.store.evidence import Judged, Proposed, Worked
from routing_ml.store.store import Store

DAY = 86_400.0
JUDGED = Judged(
    "A", "m1", "forest", 1, 100.0, 200.0, "2026-11-02", "2026-W45", "F", 1, 0, "RING", 0.9, 0.0,
    1, 1, 3, 0, 0, 0.1, 0.2, 2, 3, 3,
)  # fmt: skip


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store that nothing was recorded in yet."""
    if request.param == "sqlite":
        url = default_url(tmp_path)
    else:
        server: PostgreSQL = request.getfixturevalue("postgresql")
        url = server.fresh("evidence")
    opened = Store(url)
    yield opened
    opened.close()


def proposed(item: str = "A", model: str = "m1", at: float = 100.0, text: str = "[]") -> Proposed:
    return Proposed(item, model, "forest", 1, at, 0.9, 0.0, text, at)


def test_the_first_proposal_of_a_version_for_an_item_stays(store: Store) -> None:
    store.keep_proposals([proposed(text="[1]"), proposed("B", at=150.0)])
    store.keep_proposals([proposed(text="[2]", at=300.0), proposed(model="m2", at=50.0)])
    assert [
        (one.item_cd, one.model, one.operations) for one in store.to_judge(["A", "B", "C"])
    ] == [
        ("A", "m2", "[]"),
        ("A", "m1", "[1]"),
        ("B", "m1", "[]"),
    ]
    assert store.proposed_by("m1", ["A", "B", "C"]) == {"A", "B"}
    assert store.proposed_by("m2", ["B"]) == set()


def test_more_items_are_looked_for_than_fit_into_one_statement(store: Store) -> None:
    items = [f"I{k}" for k in range(1_201)]
    store.keep_proposals([proposed(item) for item in items])
    assert {one.item_cd for one in store.to_judge(items)} == set(items)


def test_a_proposal_is_judged_once(store: Store) -> None:
    store.keep_proposals([proposed()])
    store.record_judged([JUDGED])
    store.record_judged([JUDGED._replace(exact=0)])
    assert store.to_judge(["A"]) == []
    (tally,) = store.judged_by("all", since="2026-11-01", seen=False)
    assert (tally.items, tally.sums["exact"], tally.sums["tp"]) == (1, 1, 3)
    assert store.known_families(["F", "G"]) == {"F"}


def test_the_first_time_that_a_proposal_was_seen_counts(store: Store) -> None:
    store.record_seen(["A", "B"], how="predict", at=10.0)
    store.record_seen(["B", "C"], how="explain", at=20.0)
    assert store.seen(["A", "B", "C", "D"]) == {"A": 10.0, "B": 10.0, "C": 20.0}


def test_families_are_counted_by_all_of_their_items(store: Store) -> None:
    rows = [JUDGED._replace(item_cd=item) for item in "ABC"]
    rows[1] = rows[1]._replace(exact=0)
    rows.append(JUDGED._replace(item_cd="D", family="G", day="2026-11-20", week="2026-W47"))
    rows.append(JUDGED._replace(item_cd="E", first=0, exact=0))
    rows.append(JUDGED._replace(item_cd="F", family="H", seen=1))
    rows.append(JUDGED._replace(item_cd="G", family="I", in_use=0))
    rows.append(JUDGED._replace(item_cd="H", family="J", day="2026-10-31"))
    store.record_judged(rows)
    (tally,) = store.judged_by("all", since="2026-11-01", seen=False)
    assert (tally.items, tally.sums["exact"]) == (5, 3)
    assert tally.sizes == {4: 1, 1: 1}
    assert [one.items for one in store.judged_by("all", since="", seen=True)] == [1]
    weeks = store.judged_by("week", since="2026-11-01", seen=False)
    assert [(one.value, one.items) for one in weeks] == [("2026-W45", 4), ("2026-W47", 1)]


def test_figures_are_told_apart_by_kind_confidence_and_model(store: Store) -> None:
    store.record_judged(
        [
            JUDGED,
            JUDGED._replace(item_cd="B", family="B", kind=None, confidence=0.5, exact=0),
            JUDGED._replace(item_cd="C", family="C", confidence=None, run_ape=7.0, model="m2"),
        ]
    )
    assert {one.value: one.items for one in store.judged_by("kind", since="", seen=False)} == {
        "": 1,
        "RING": 2,
    }
    bands = {one.value: one.items for one in store.judged_by("confidence", since="", seen=False)}
    assert bands == {"high": 1, "medium": 1, "low": 1}
    (tally,) = store.judged_by("model", since="", seen=False, model="m2")
    assert (tally.value, tally.items, tally.sums["run_ape"]) == ("m2", 1, 1.0)
    assert (tally.sums["stated"], tally.sums["timed"]) == (0, 1)


def test_two_versions_are_compared_on_what_both_proposed_unseen(store: Store) -> None:
    both = [JUDGED._replace(item_cd=item, family=item) for item in "ABCD"]
    other = [one._replace(model="m2", method="boosted", in_use=0, exact=0) for one in both[:3]]
    other[1] = other[1]._replace(proposed_at=50.0)
    again = other[1]._replace(model="m3", proposed_at=60.0, exact=1)
    both[0] = both[0]._replace(seen=1)
    both[2] = both[2]._replace(first=0)
    store.record_judged([*both, *other, again])
    assert store.judged_pairs("m1", ["m2", "m3"], list("ABCD")) == [("B", "B", "m2", 1, 0)]
    assert store.judged_pairs("m1", ["m3"], list("ABCD")) == [("B", "B", "m3", 1, 1)]
    assert store.judged_pairs("m1", ["m4"], list("ABCD")) == []
    late = again._replace(model="m5", proposed_at=JUDGED.proposed_at + 86_400)
    store.record_judged([late])
    assert store.judged_pairs("m1", ["m5"], list("ABCD")) == []


def test_proposals_are_forgotten_after_half_a_year_and_judgements_after_two(store: Store) -> None:
    now = 1_000 * DAY
    store.keep_proposals([proposed(at=now - 181 * DAY), proposed("B", at=now - 179 * DAY)])
    store.record_seen(["A"], how="predict", at=now - 731 * DAY)
    store.record_seen(["B"], how="predict", at=now - 181 * DAY)
    store.record_judged(
        [
            JUDGED._replace(judged_at=now - 731 * DAY),
            JUDGED._replace(item_cd="B", judged_at=now - 729 * DAY),
        ]
    )
    assert store.prune(now=now) == 3
    assert store.proposed_by("m1", ["A", "B"]) == {"B"}
    assert store.seen(["A", "B"]) == {"B": now - 181 * DAY}  # it may still wait
    assert [one.items for one in store.judged_by("all", since="", seen=False)] == [1]


def test_a_version_that_came_into_use_is_known_to_have_proposed_before(store: Store) -> None:
    shadow = proposed(text="[1]")._replace(in_use=0, used_at=None)
    store.keep_proposals([shadow, proposed(model="m0", at=50.0)])
    store.keep_proposals([proposed(text="[2]", at=300.0)])
    kept = {one.model: one for one in store.to_judge(["A"])}
    assert kept["m1"] == shadow._replace(in_use=1, used_at=300.0)
    assert [one.model for one in store.proposed_in_use(["A"])] == ["m1"]
    store.keep_proposals([shadow._replace(at=400.0)])
    assert store.to_judge(["A"])[1].in_use == 1  # what was in use was


def test_a_report_counts_once_and_two_of_a_day_both(store: Store) -> None:
    one = Worked("A", "1", 10, 0, "m1", "2026-11-02", "2026-W45", "SAW", "L1", 0.5, None, 1.0)
    assert store.record_worked([one, one._replace(number=1, run_log=-3.0, within=0.0)]) == 2
    assert store.record_worked([one._replace(run_log=9.0)]) == 0
    (all_of_them,) = store.worked_by("all", since="2026-11-01")
    assert all_of_them == {
        "value": "all", "reports": 2, "run_error": 0.75, "setup_error": None,
        "run_bias": -1.25, "within_band": 0.5,
    }  # fmt: skip
    assert store.worked_by("machine", since="2026-11-03") == []


def test_the_watch_over_later_routings_can_begin_anew(store: Store) -> None:
    store.save_concept("m1", "2026-11-02", {"told": None})
    store.set_fact("concept", {"alarm": True})
    assert store.concept("m1") == ("2026-11-02", {"told": None})
    store.reset_concept()
    assert store.concept("m1") == (None, None) and store.fact("concept") is None


@pytest.mark.parametrize("kept_as, now", [("p7-é", "P7-É"), ("P7-É", "p7-é")])
def test_what_is_kept_goes_by_the_letter_case_that_the_erp_has_now(store, kept_as, now):
    store.keep_proposals([proposed(kept_as), proposed("OTHER")])
    store.record_seen([kept_as], how="predict", at=10.0)
    store.spell([now, "UNKNOWN"])
    assert [one.item_cd for one in store.to_judge([now])] == [now]
    assert store.seen([now]) == {now: 10.0}
    assert len(store.to_judge(["OTHER"])) == 1


def test_another_code_is_not_taken_for_the_same_in_other_letter_case(store):
    assert "ı1".upper() == "I1" and "ı1".casefold() != "I1".casefold()
    store.keep_proposals([proposed("I1")])
    store.spell(["ı1"])
    assert [one.item_cd for one in store.to_judge(["ı1", "I1"])] == ["I1"]


def test_of_two_letter_cases_that_were_kept_the_one_of_now_stays(store):
    store.keep_proposals([proposed("a1", at=1.0), proposed("A1", at=2.0)])
    store.spell(["A1"])
    assert [(one.item_cd, one.at) for one in store.to_judge(["A1", "a1"])] == [
        ("a1", 1.0), ("A1", 2.0),
    ]  # fmt: skip
