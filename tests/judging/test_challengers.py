"""What judged items say of the versions that may replace the one in use."""

from contextlib import closing
from dataclasses import replace
from datetime import date

import pytest

from routing_ml.comparison import PairedSequence
from routing_ml.judging.challengers import (
    Challenger,
    Challengers,
    after_retraining,
    follow,
    take_in,
)
from routing_ml.settings import default_url
from routing_ml.store.evidence import Judged
from routing_ml.store.store import Store

TODAY = date(2026, 11, 20)
CHAMPION, BOOSTED, FRESH = "model_20260901_000000", "model_20261001_000001", "model_20261001_000002"
JUDGED = Judged(
    "A", CHAMPION, "forest", 1, 100.0, 200.0, "2026-11-02", "2026-W45", "F", 1, 0, "RING", 0.9,
    0.0, 0, 1, 3, 0, 0, 0.1, 0.2, 2, 3, 3,
)  # fmt: skip
FITTED = {
    "boosted": Challenger(BOOSTED, False, None, "2026-10-01", take_in(
        PairedSequence(), ["a", "b", "b"], [1, 1, 0], [0, 1, 1]).state()),
    "forest": Challenger(FRESH, True, None, "2026-10-01"),
}  # fmt: skip


@pytest.fixture
def store(tmp_path):
    with closing(Store(default_url(tmp_path))) as opened:
        yield opened


def known(store):
    found = Challengers.known(store)
    assert found is not None
    return found


def judge(store, count, *, better, start=0, model=BOOSTED, method="boosted", **about):
    """Judge items of which the champion has none right and the other version all, or none."""
    codes = [f"I{start + k}" for k in range(count)]
    rows = [JUDGED._replace(item_cd=code, family=code, **about) for code in codes]
    right = int(better)
    rows += [row._replace(model=model, method=method, in_use=0, exact=right) for row in rows]
    store.record_judged(rows)
    return rows


def followed(store, judged, champion=CHAMPION, place="p1"):
    follow(store, champion=champion, place=place, method="forest", judged=judged, today=TODAY)
    return known(store)


def test_nothing_is_followed_before_the_first_retraining(store):
    assert Challengers.known(store) is None
    follow(store, champion=CHAMPION, place="p1", method="forest", judged=[JUDGED], today=TODAY)
    assert Challengers.known(store) is None


def test_a_family_is_one_that_differs_by_its_mean():
    sequence = take_in(PairedSequence(), ["a", "b", "b", "c"], [1, 1, 0, 0], [0, 0, 0, 1])
    standing = sequence.standing()
    assert (standing.families, standing.items, standing.differing) == (3, 4, 3)
    assert standing.difference == pytest.approx(0.5 / 3) and standing.by_item == 0.25


def test_a_challenger_begins_with_the_held_out_items(store):
    after_retraining(store, place="p1", champion=CHAMPION, promoted=False, fitted=FITTED)
    standings = known(store).standings()
    assert (standings["boosted"].families, standings["boosted"].items) == (2, 3)
    assert standings["forest"].families == 0
    assert known(store).versions == [BOOSTED, FRESH]
    assert "as no item was judged" in known(store).words()["forest"]


def test_what_is_known_of_a_method_goes_on_when_it_is_fitted_afresh(store):
    after_retraining(store, place="p1", champion=CHAMPION, promoted=False, fitted=FITTED)
    before = followed(store, judge(store, 20, better=True)).by_method["boosted"]
    newer = {"boosted": replace(FITTED["boosted"], version="model_20261101_000000")}
    for _ in range(2):
        after_retraining(store, place="p1", champion=CHAMPION, promoted=False, fitted=newer)
        now = known(store).by_method["boosted"]
        assert (now.version, now.state, now.since) == (
            "model_20261101_000000", before.state, "2026-10-01",
        )  # fmt: skip
        assert now.versions == (BOOSTED,)
    assert known(store).by_method["forest"].version == FRESH
    after_retraining(
        store, place="p1", champion=CHAMPION, promoted=False, fitted=FITTED
    )  # an older run
    assert known(store).by_method["boosted"].version == "model_20261101_000000"


def test_a_promotion_begins_anew(store):
    after_retraining(store, place="p1", champion=CHAMPION, promoted=False, fitted=FITTED)
    after_retraining(store, place="p1", champion=BOOSTED, promoted=True, fitted=FITTED)
    assert known(store).champion == BOOSTED
    assert known(store).by_method == {"forest": FITTED["forest"]}


def test_judged_items_show_the_better_version_and_name_it(store):
    after_retraining(store, place="p1", champion=CHAMPION, promoted=False, fitted=FITTED)
    assert followed(store, judge(store, 3, better=True)).winner() is None
    found = followed(store, judge(store, 40, better=True, start=3))
    assert found.winner() == "boosted"
    assert "is shown to be better than the model in use" in found.words()["boosted"]
    barred = replace(FITTED["boosted"], barred="it is worse by its run time error")
    after_retraining(
        store, place="p1", champion=CHAMPION, promoted=False, fitted={"boosted": barred}
    )
    assert known(store).winner() is None and known(store).versions == [FRESH]
    assert (
        known(store)
        .words()["boosted"]
        .endswith("it does not go in: it is worse by its run time error")
    )


def test_one_that_is_no_better_does_not_go_in(store):
    after_retraining(store, place="p1", champion=CHAMPION, promoted=False, fitted=FITTED)
    found = followed(store, judge(store, 400, better=False))
    assert found.winner() is None
    assert found.standings()["boosted"].families == 402


def test_a_fresh_fit_goes_in_when_it_is_shown_to_be_hardly_worse(store):
    fresh = {"forest": FITTED["forest"]}
    after_retraining(store, place="p1", champion=CHAMPION, promoted=False, fitted=fresh)
    codes = judge(store, 900, better=False, model=FRESH, method="forest")
    assert followed(store, codes).winner() == "forest"


def test_what_is_no_evidence_is_not_taken_in(store):
    after_retraining(store, place="p1", champion=CHAMPION, promoted=False, fitted=FITTED)
    codes = judge(store, 5, better=True, day="2026-10-01")  # among the held-out ones
    codes += judge(store, 5, better=True, start=5, seen=1)
    codes += judge(store, 5, better=True, start=10, first=0)
    found = followed(store, codes).by_method["boosted"]
    assert (found.state, found.judged) == (FITTED["boosted"].state, 0)


def test_a_switch_by_hand_makes_an_end_of_what_was_known(store):
    after_retraining(store, place="p1", champion=CHAMPION, promoted=False, fitted=FITTED)
    followed(store, judge(store, 40, better=True))
    assert followed(store, []).winner() == "boosted"
    found = followed(store, [], champion=FRESH)
    assert found.champion == FRESH and found.winner() is None
    assert {name: (one.version, one.since) for name, one in found.by_method.items()} == {
        "boosted": (BOOSTED, "2026-11-20")
    }
    assert found.standings()["boosted"].families == 0


def test_going_back_to_the_same_version_makes_an_end_of_it_too(store):
    after_retraining(store, place="p1", champion=CHAMPION, promoted=False, fitted=FITTED)
    assert followed(store, judge(store, 40, better=True)).winner() == "boosted"
    found = followed(store, [], place="p3")  # another went in, and somebody went back
    assert found.winner() is None and found.standings()["boosted"].families == 0
    after_retraining(store, place="p5", champion=CHAMPION, promoted=False, fitted=FITTED)
    assert known(store).by_method["boosted"].state == FITTED["boosted"].state


def test_held_out_items_alone_decide_nothing_again(store):
    sure = take_in(PairedSequence(), [str(k) for k in range(99)], [1] * 99, [0] * 99).state()
    fitted = {"boosted": replace(FITTED["boosted"], state=sure)}
    after_retraining(store, place="p1", champion=CHAMPION, promoted=False, fitted=fitted)
    assert known(store).standings()["boosted"].better
    assert known(store).winner() is None
    assert followed(store, judge(store, 1, better=True)).winner() == "boosted"


def test_a_method_of_which_nothing_is_known_takes_the_next_held_out_items(store):
    empty = {"boosted": replace(FITTED["boosted"], state=None)}
    after_retraining(store, place="p1", champion=CHAMPION, promoted=True, fitted=empty)
    followed(store, [])
    later = {"boosted": replace(FITTED["boosted"], version=FRESH, since="2026-11-01")}
    after_retraining(store, place="p1", champion=CHAMPION, promoted=False, fitted=later)
    found = known(store).by_method["boosted"]
    assert (found.state, found.since) == (FITTED["boosted"].state, "2026-11-01")


def test_an_item_is_taken_in_once_whichever_version_of_the_method_comes_later(store):
    after_retraining(store, place="p1", champion=CHAMPION, promoted=False, fitted=FITTED)
    rows = judge(store, 10, better=True)
    assert followed(store, rows).standings()["boosted"].items == 13
    again = [row._replace(model=FRESH, proposed_at=150.0) for row in rows if row.model == BOOSTED]
    store.record_judged(again)
    assert followed(store, again).standings()["boosted"].items == 13


def test_a_version_that_is_gone_is_not_among_them(store):
    after_retraining(store, place="p1", champion=CHAMPION, promoted=False, fitted=FITTED)
    found = followed(store, judge(store, 40, better=True))
    assert found.among({BOOSTED}).winner() == "boosted"
    assert found.among({FRESH}).winner() is None


def test_what_a_version_proposed_before_the_champion_came_into_use_is_no_evidence(store):
    after_retraining(store, place="p1", champion=CHAMPION, promoted=False, fitted=FITTED)
    old = judge(store, 20, better=True, model="model_20250101_000000")
    assert followed(store, old).by_method["boosted"].judged == 0
    judged = old + judge(store, 20, better=False, start=20)
    found = followed(store, judged)
    assert found.by_method["boosted"].judged == 20 and found.winner() is None
    newer = {"boosted": replace(FITTED["boosted"], version="model_20261101_000000")}
    after_retraining(store, place="p1", champion=CHAMPION, promoted=False, fitted=newer)
    later = judge(store, 5, better=False, start=40)  # of the version before, since the champion
    assert followed(store, later).by_method["boosted"].judged == 25
    after_retraining(
        store, place="p2", champion="model_20261102_000000", promoted=True, fitted=newer
    )
    assert known(store).by_method["boosted"].versions == ()
