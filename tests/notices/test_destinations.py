"""What each destination is asked, what counts as taken, and that none holds up another."""

import json
import logging
import multiprocessing
import os
import signal
import threading
from dataclasses import replace

import pytest
from slack_fixtures import CHANNEL, SECRET, TOKEN, FakeSlack, FakeTeams

from routing_ml.errors import RoutingError
from routing_ml.notices import answers, notify, sending
from routing_ml.notices import destinations as destinations_module
from routing_ml.notices.card import Card
from routing_ml.notices.destinations import destinations
from routing_ml.notices.outbox import MOST_REFUSALS, Outbox
from routing_ml.notices.record import WAITING
from routing_ml.settings import Settings


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """The waits between attempts, in seconds, none of which is slept."""
    waited = []
    monkeypatch.setattr(sending, "sleep", waited.append)
    return waited


@pytest.fixture(autouse=True)
def everything_logged(caplog):
    """The most talkative log: what it shows must still not hold a secret."""
    caplog.set_level(logging.DEBUG)
    yield
    said = "\n".join(record.getMessage() for record in caplog.get_records("call"))
    assert "s3cret" not in said and "services" not in said and "sig=" not in said


@pytest.fixture
def slack():
    with FakeSlack() as slack:
        yield slack


@pytest.fixture
def teams():
    with FakeTeams() as teams:
        yield teams


@pytest.fixture
def bot(tmp_path, slack, monkeypatch):
    monkeypatch.setattr(destinations_module, "SLACK_API", slack.api)
    return settings(tmp_path, SLACK_BOT_TOKEN=TOKEN, SLACK_CHANNEL="#routing")


def settings(home, **env):
    return Settings.from_env({"ROUTING_ML_HOME": str(home), **env})


def both(home, slack, teams):
    return settings(home, SLACK_WEBHOOK_URL=slack.url, TEAMS_WEBHOOK_URL=teams.url)


def states(home):
    return {
        kept["subject"]: {name: one["state"] for name, one in kept["deliveries"].items()}
        for kept in map(json.loads, (p.read_text() for p in (home / "outbox").glob("*.json")))
    }


def test_with_a_token_and_a_channel_the_webhook_is_not_used(tmp_path):
    given = {"SLACK_WEBHOOK_URL": "https://w", "SLACK_BOT_TOKEN": "xoxb-1", "SLACK_CHANNEL": "#c"}
    (slack,) = destinations(settings(tmp_path, **given))
    assert (slack.says, slack.url) == (answers.API, "https://slack.com/api")
    assert "xoxb" not in repr(slack) and "https" not in repr(slack)


def test_a_token_without_a_channel_is_not_used_and_the_log_says_so(tmp_path, caplog):
    given = {"SLACK_WEBHOOK_URL": "https://w", "SLACK_BOT_TOKEN": "xoxb-1"}
    (slack,) = destinations(settings(tmp_path, **given))
    assert slack.says == answers.WEBHOOK
    assert "SLACK_CHANNEL is not set: Slack is told by SLACK_WEBHOOK_URL" in caplog.text
    assert destinations(settings(tmp_path, SLACK_BOT_TOKEN="xoxb-1")) == []


def test_a_subject_has_one_message_that_is_edited(bot, slack):
    for title in ("waits", "waits", "promoted"):
        notify.tell_card(bot, Card("retrain/a", title, "@here <b>"))
    (posted,), (edited,) = slack.messages, slack.edits
    assert (posted["channel"], edited["channel"]) == ("#routing", CHANNEL)
    assert (posted["text"], edited["text"]) == ("waits", "promoted")
    assert edited["parse"] == "none" and edited["link_names"] is False
    assert [message["text"] for message in slack.shown.values()] == ["promoted"]


def test_subjects_have_messages_of_their_own(bot, slack):
    for subject in ("a", "b"):
        notify.tell(bot, subject, "t", subject)
    assert (slack.texts(), slack.edits) == (["a", "b"], [])


def test_in_the_place_of_a_message_that_was_deleted_there_is_a_new_one(bot, slack):
    notify.tell(bot, "a", "waits", "x")
    slack.shown.clear()
    assert notify.tell(bot, "a", "kept", "x")
    assert notify.tell(bot, "a", "promoted", "x")
    assert [message["text"] for message in slack.messages] == ["waits", "kept"]
    assert [message["text"] for message in slack.edits] == ["promoted"]
    assert len(slack.shown) == 1


@pytest.mark.parametrize("error", sorted(sending.GONE))
def test_a_message_that_cannot_be_edited_is_followed_by_another(bot, slack, error):
    notify.tell(bot, "a", "waits", "x")
    slack.script.append(error)
    assert notify.tell(bot, "a", "kept", "x")
    assert [message["text"] for message in slack.messages] == ["waits", "kept"]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("invalid_auth", "invalid_auth; check SLACK_BOT_TOKEN and SLACK_CHANNEL"),
        ("not_in_channel", "not_in_channel; check SLACK_BOT_TOKEN and SLACK_CHANNEL"),
        ("s3cret https://x", "and says nothing that Slack would"),
    ],
)
def test_what_slack_says_against_it_is_told_and_the_notice_waits(bot, slack, error, line):
    slack.script.append(error)
    with pytest.raises(RoutingError, match="Slack refused the notice: HTTP 200, ") as failed:
        notify.tell(bot, "a", "t", "x")
    assert line in str(failed.value)
    assert states(bot.home) == {"a": {"slack": WAITING}}
    notify.catch_up(bot)
    assert len(slack.messages) == 1


def test_a_wrong_token_is_refused_and_not_shown(bot, slack):
    with pytest.raises(RoutingError, match="invalid_auth"):
        notify.tell(replace(bot, slack_bot_token="xoxb-other-s3cret"), "a", "t", "x")
    assert notify.tell(bot, "a", "t", "x")
    for path in bot.home.rglob("*"):
        assert path.is_dir() or b"xoxb" not in path.read_bytes()


@pytest.mark.parametrize("answer", [(429, "1"), 500, "ratelimited", "service_unavailable"])
def test_slack_is_asked_again_where_it_wants_that(bot, slack, waits, answer):
    slack.script.append(answer)
    assert notify.tell(bot, "a", "t", "x")
    assert (slack.requests, len(slack.messages), len(waits)) == (2, 1, 1)


@pytest.mark.parametrize("answer", ["internal_error", "fatal_error"])
def test_where_a_part_may_have_succeeded_it_is_not_said_twice_at_once(bot, slack, answer):
    slack.script.append(answer)
    with pytest.raises(RoutingError, match=answer):
        notify.tell(bot, "a", "t", "x")
    assert slack.requests == 1


def test_a_notice_that_slack_will_never_take_by_its_api_does_not_hold_up_the_others(bot, slack):
    slack.script.append("invalid_blocks")
    with pytest.raises(sending.RefusedError):
        notify.tell(bot, "bad", "t", "x")
    slack.script.extend([200, "msg_too_long"])
    assert notify.tell(bot, "good", "t", "x")
    assert states(bot.home) == {"bad": {"slack": WAITING}, "good": {"slack": "sent"}}


def test_the_token_is_not_taken_along_where_slack_is_said_to_be_elsewhere(bot, slack):
    slack.script.append((307, {"Location": f"{slack.api}/chat.postMessage"}, b""))
    with pytest.raises(RoutingError, match="HTTP 307"):
        notify.tell(bot, "a", "t", "x")
    assert (slack.requests, slack.messages) == (1, [])


def test_an_answer_as_long_as_a_message_can_make_it_is_read_to_its_end(bot, slack):
    assert notify.tell_card(bot, Card("a", "가" * 500, "가" * 10_000))
    assert notify.tell_card(bot, Card("a", "나", "x"))
    assert (len(slack.messages), len(slack.edits)) == (1, 1)


def kill_once_asked(given, slack, *said):
    fork = multiprocessing.get_context("fork")
    sender = fork.Process(target=notify.tell, args=(given, *said))
    sender.start()
    slack.wait_for_request()
    os.kill(sender.pid, signal.SIGKILL)
    sender.join()


@pytest.mark.parametrize("news", ["t", "other news"])
def test_a_message_that_slack_takes_after_its_sender_was_killed_is_the_subjects(bot, slack, news):
    slack.script.append("late")
    kill_once_asked(bot, slack, "a", "t", "x")
    threading.Timer(0.5, slack.holds.set).start()
    assert notify.tell(bot, "a", news, "x") is (news != "t")
    assert [message["text"] for message in slack.messages] == ["t"]
    assert [message["text"] for message in slack.edits] == ["other news"][: news != "t"]


def test_slack_and_teams_are_both_told_once(tmp_path, slack, teams):
    given = both(tmp_path, slack, teams)
    assert notify.tell(given, "a", "t", "x")
    assert not notify.tell(given, "a", "t", "x")
    assert (len(slack.messages), teams.titles()) == (1, ["t"])
    assert states(tmp_path) == {"a": {"slack": "sent", "teams": "sent"}}


@pytest.mark.parametrize("answer", [500, 404, (429, "3600"), "garbage"])
@pytest.mark.parametrize("away", ["slack", "teams"])
def test_one_that_is_away_neither_holds_up_nor_doubles_the_other(
    tmp_path, slack, teams, away, answer
):
    gone, there = (slack, teams) if away == "slack" else (teams, slack)
    gone.script.extend([answer] * 3)
    given = both(tmp_path, slack, teams)
    with pytest.raises(RoutingError, match=f"{away.title()} "):
        notify.tell(given, "a", "t", "x")
    assert (len(there.messages), len(gone.messages)) == (1, 0)
    gone.script.clear()
    notify.catch_up(given)
    notify.catch_up(given)
    assert (len(there.messages), len(gone.messages)) == (1, 1)


def test_where_both_are_away_both_are_named(tmp_path, slack, teams):
    slack.script.append(404)
    teams.script.append(404)
    with pytest.raises(RoutingError, match=r"check SLACK_WEBHOOK_URL; Teams .*TEAMS_WEBHOOK_URL"):
        notify.tell(both(tmp_path, slack, teams), "a", "t", "x")


def test_who_sends_to_one_does_not_hold_up_who_sends_to_the_other(tmp_path, slack, teams):
    box = Outbox(tmp_path / "outbox")
    box.folder.mkdir()
    with box.sending("slack", 0.0), pytest.MonkeyPatch.context() as patch:
        patch.setattr(notify, "SENDING_S", 4.0)
        with pytest.raises(RoutingError, match="another process uses"):
            notify.tell(both(tmp_path, slack, teams), "a", "t", "x")
    assert (slack.requests, len(teams.messages)) == (0, 1)


PAGE = b" <!DOCTYPE html><title>Sign in</title>"


@pytest.mark.parametrize(
    ("status", "headers", "body", "is_taken"),
    [
        (202, {}, b"", True),
        (200, {}, b"", True),
        (200, {"Content-Type": "application/json"}, b'{"id": 1}', True),
        (200, {"Content-Type": "text/html; charset=utf-8"}, b"ok", False),
        (200, {}, PAGE, False),
        (202, {}, PAGE, False),
        (204, {}, b"", False),
        (201, {}, b"", False),
        *[(code, {"Location": "/login"}, b"", False) for code in (301, 302, 303, 307, 308)],
        (400, {}, b"", False),
        (401, {}, b"", False),
    ],
)
def test_what_teams_must_say_to_have_taken_it(tmp_path, teams, status, headers, body, is_taken):
    given = settings(tmp_path, TEAMS_WEBHOOK_URL=teams.url)
    teams.script.append((status, headers, body))
    if is_taken:
        assert notify.tell(given, "a", "t", "x")
    else:
        with pytest.raises(RoutingError, match=f"HTTP {status}.*check TEAMS_WEBHOOK_URL") as said:
            notify.tell(given, "a", "t", "x")
        assert "Sign in" not in str(said.value)
        assert notify.tell(given, "a", "t", "x")
    assert teams.gets == 0
    assert states(tmp_path) == {"a": {"teams": "sent"}}


def test_a_workflow_that_is_switched_off_loses_no_notice(tmp_path, teams):
    """It says 400 to any."""
    given = settings(tmp_path, TEAMS_WEBHOOK_URL=teams.url)
    teams.script.extend([400] * (MOST_REFUSALS + 1))
    for _ in range(MOST_REFUSALS + 1):
        with pytest.raises(RoutingError, match="HTTP 400"):
            notify.tell(given, "a", "t", "x")
    assert notify.tell(given, "a", "t", "x")


def test_a_notice_that_one_refuses_for_good_is_known_as_told_to_the_other(
    tmp_path, slack, teams, caplog
):
    given = both(tmp_path, slack, teams)
    teams.script.extend([413] * MOST_REFUSALS)
    for _ in range(MOST_REFUSALS):
        with pytest.raises(RoutingError, match="HTTP 413"):
            notify.tell(given, "a", "t", "x")
    assert f"not told to teams: Teams refused it {MOST_REFUSALS} times" in caplog.text
    assert not notify.tell(given, "a", "t", "x")
    assert (len(slack.messages), teams.messages) == (1, [])


def test_no_file_holds_an_address_or_a_token(tmp_path, slack, teams):
    slack.script.append(404)
    teams.script.append(404)
    given = both(tmp_path, slack, teams)
    with pytest.raises(RoutingError) as failed:
        notify.tell(given, "a", f"at {teams.url}", f"see {teams.url} and {slack.url} and {TOKEN}")
    assert "s3cret" not in str(failed.value)
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"s3cret" not in path.read_bytes()
    assert SECRET in slack.url
