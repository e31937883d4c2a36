"""A claim is made once, by whoever is first, and outlives whoever made it."""

import threading
from dataclasses import replace

import pytest

from routing_ml import clock
from routing_ml.errors import RoutingError
from routing_ml.slackbot.claims import KEPT_DAYS, Claims, Order

ORDER = Order("press/a", "retrain", {"a": 1}, "Slack: kim (U1)", "U1", 1_000.0)


@pytest.fixture
def claims(tmp_path):
    return Claims(tmp_path / "slack_bot" / ".claims")


def test_the_second_learns_what_came_of_the_first(claims):
    assert claims.claim(ORDER) is None
    assert claims.claim(ORDER).outcome is None
    claims.end(ORDER, "done")
    again = Claims(claims.folder).claim(replace(ORDER, who="somebody else"))
    assert (again.outcome, again.order.who) == ("done", ORDER.who)


def test_of_many_at_once_one_has_it(claims):
    start, won = threading.Barrier(16), []

    def race():
        start.wait()
        if claims.claim(ORDER) is None:
            won.append(1)

    threads = [threading.Thread(target=race) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_what_was_begun_and_not_ended_is_known_with_all_of_it(claims):
    for key, at in (("b", 3.0), ("a", 2.0), ("c", 1.0)):
        claims.claim(replace(ORDER, key=key, at=at))
    claims.end(replace(ORDER, key="c", at=1.0), "done")
    assert [order.key for order in claims.begun()] == ["a", "b"]
    assert claims.begun()[0] == replace(ORDER, key="a", at=2.0)


def test_what_was_given_up_can_be_claimed_again(claims):
    claims.claim(ORDER)
    claims.give_up(ORDER)
    assert claims.claim(ORDER) is None


def test_a_damaged_claim_stays_claimed(claims):
    claims.claim(ORDER)
    (path,) = claims.folder.glob("*.json")
    path.write_text("{")
    assert "damaged" in claims.claim(ORDER).outcome
    assert claims.begun() == []


def test_old_claims_are_forgotten_and_those_without_an_end_are_not(claims):
    old, new = clock.seconds() - (KEPT_DAYS + 1) * 86_400, clock.seconds()
    for key, at in (("old", old), ("new", new), ("open", old)):
        claims.claim(replace(ORDER, key=key, at=at))
        if key != "open":
            claims.end(replace(ORDER, key=key, at=at), "done")
    claims.tidy()
    assert claims.claim(replace(ORDER, key="old")) is None
    assert claims.claim(replace(ORDER, key="new")) is not None
    assert claims.claim(replace(ORDER, key="open")) is not None


def test_a_folder_that_cannot_be_used_is_one_clear_line(claims):
    claims.folder.parent.mkdir()
    claims.folder.write_text("a file")
    with pytest.raises(RoutingError, match="cannot be used"):
        claims.claim(ORDER)
