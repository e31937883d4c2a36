"""Of what Slack delivers only what is whole is a request."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_bot_fixtures import TEAM, FakeSlackApp

from routing_ml.slackbot.requests import Command, Press, read


@pytest.fixture(scope="module")
def slack():
    with FakeSlackApp() as slack:
        yield slack


def test_a_command_says_who_asks_what_and_where_to_answer(slack):
    found = read("slash_commands", "e1", slack.command("explain A-1", name="kim"))
    assert isinstance(found, Command)
    assert (found.text, found.person.who) == ("explain A-1", "Slack: kim (U0KIM)")
    assert found.person.team == TEAM
    assert found.response_url.startswith(slack.url)


def test_a_redelivered_command_has_the_same_key_in_another_envelope(slack):
    payload = slack.command("retrain")
    keys = {read("slash_commands", envelope, payload).key for envelope in ("e1", "e2")}
    assert len(keys) == 1
    assert read("slash_commands", "e1", slack.command("retrain")).key not in keys


def test_each_press_of_a_button_by_one_person_has_one_key(slack):
    def key(**about):
        asked = {"action": "a", "value": {"run": "r"}} | about
        return read("interactive", "e", slack.press(**asked)).key

    assert key() == key()
    others = [{"user": "U2"}, {"message": "2.0"}, {"action": "b"}, {"value": {"run": "s"}}]
    assert len({key(), *(key(**other) for other in others)}) == 5


def test_a_press_has_the_message_it_was_made_in(slack):
    found = read("interactive", "e", slack.press("a", {"run": "r"}, blocks=[{"type": "header"}]))
    assert isinstance(found, Press)
    assert (found.value, found.blocks) == ({"run": "r"}, [{"type": "header"}])


def test_a_name_is_one_line_and_no_longer_than_it_may_be(slack):
    found = read("slash_commands", "e", slack.command("status", name="k\nim " * 100))
    assert "\n" not in found.person.name
    assert len(found.person.name) == 80


@pytest.mark.parametrize("value", ["", "no JSON", "[1]", "null", "9" * 5_000, "[" * 9_000])
def test_a_button_that_carries_no_object_is_none_of_ours(slack, value):
    assert read("interactive", "e", slack.press("a", value)) is None


@pytest.mark.parametrize("kind", ["events_api", "hello", ""])
def test_another_kind_of_envelope_is_none_of_ours(slack, kind):
    assert read(kind, "e", slack.command("status")) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=9,
)


@given(field=st.integers(0, 8), value=JSON, kind=st.sampled_from(["slash_commands", "interactive"]))
def test_a_payload_of_any_form_is_a_request_or_none(slack, field, value, kind):
    whole = slack.command("status") if kind == "slash_commands" else slack.press("a", {"run": "r"})
    payload = json.loads(json.dumps(whole))
    payload[sorted(payload)[field % len(payload)]] = value
    found = read(kind, "e", payload)
    assert found is None or isinstance(found, Command | Press)
