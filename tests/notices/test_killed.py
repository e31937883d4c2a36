"""A sender that is killed at any moment loses no notice: it is kept until Slack took it."""

import multiprocessing
import os
import signal
import sys
import threading
from pathlib import Path

import pytest
from slack_fixtures import FakeSlack

from routing_ml.errors import RoutingError
from routing_ml.notices import notify, sending
from routing_ml.notices.outbox import Outbox
from routing_ml.settings import Settings

EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "fcntl.flock", "subprocess.Popen"}
"""What a sender does that others can see, by Python's audit events."""


def given(home: Path, slack: FakeSlack) -> Settings:
    return Settings.from_env({"ROUTING_ML_HOME": str(home), "SLACK_WEBHOOK_URL": slack.url})


def tell_and_die(settings: Settings, moment: int) -> None:
    """Tell, but be killed at the `moment`th thing that is done for it."""
    done = 0

    def count(event: str, arguments: tuple) -> None:
        nonlocal done
        if event in EVENTS and os.getpid() == me:
            if done == moment:
                os.kill(me, signal.SIGKILL)
            done += 1

    me = os.getpid()
    sending.sleep = lambda seconds: None
    sys.addaudithook(count)
    try:
        notify.tell(settings, "a", "t", "x")
    except RoutingError:
        sys.exit(1)


def killed(settings: Settings, moment: int) -> bool:
    """Whether a sender was killed at that moment; False when it had ended before."""
    fork = multiprocessing.get_context("fork")
    sender = fork.Process(target=tell_and_die, args=(settings, moment))
    sender.start()
    sender.join()
    return sender.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("answer", [200, 500, 404], ids=["accepted", "away", "refused"])
def test_a_notice_is_in_the_outbox_whenever_its_sender_is_killed(tmp_path, answer):
    survived = before = 0
    for moment in range(1_000):
        home = tmp_path / str(moment)
        with FakeSlack(*[answer] * sending.ATTEMPTS) as slack:
            settings = given(home, slack)
            if not killed(settings, moment):
                break
            slack.script.clear()
            box = Outbox(home / "outbox")
            found = box._read(box.path("a"))
            if found is None:
                before += 1
                assert not slack.requests, "it was sent without being noted"
            elif found.state == "sent":
                assert slack.messages, "it counts as sent, and Slack has not taken it"
            else:
                survived += 1
                assert notify.tell(settings, "a", "t", "x")
                assert slack.messages
    assert moment > before > 0
    assert survived > 5


def kill_once_asked(settings, slack):
    """Have a process tell of the subject a, and kill it when Slack has its request."""
    fork = multiprocessing.get_context("fork")
    sender = fork.Process(target=notify.tell, args=(settings, "a", "t", "x"))
    sender.start()
    slack.wait_for_request()
    assert sender.pid is not None
    os.kill(sender.pid, signal.SIGKILL)
    sender.join()


@pytest.mark.parametrize("news", ["t", "other news"])
def test_a_notice_that_slack_takes_after_its_sender_was_killed_is_not_sent_again(tmp_path, news):
    with FakeSlack("late") as slack:
        settings = given(tmp_path, slack)
        kill_once_asked(settings, slack)
        threading.Timer(0.5, slack.holds.set).start()
        assert notify.tell(settings, "a", news, "x") is (news != "t")
        notify.catch_up(settings)
    assert [message["text"] for message in slack.messages] == ["t", "other news"][: slack.requests]
    assert slack.requests == (1 if news == "t" else 2)
    assert Outbox(tmp_path / "outbox").waiting("slack") == []


def test_a_notice_that_is_with_slack_when_its_sender_is_killed_is_sent_again(tmp_path, monkeypatch):
    monkeypatch.setattr(sending, "REQUEST_S", 1.0)
    with FakeSlack("silent") as slack:
        settings = given(tmp_path, slack)
        kill_once_asked(settings, slack)
        assert [notice.subject for notice in Outbox(tmp_path / "outbox").waiting("slack")] == ["a"]
        assert notify.tell(settings, "a", "t", "x")
    assert len(slack.messages) == 1
    assert Outbox(tmp_path / "outbox").waiting("slack") == []


def test_who_is_killed_while_it_waits_for_slack_leaves_its_notice(tmp_path):
    """Slack had refused it and asked to wait: 2.1.0 lost such a notice."""
    with FakeSlack((429, "20")) as slack:
        settings = given(tmp_path, slack)
        kill_once_asked(settings, slack)
        assert notify.tell(settings, "a", "t", "x")
    assert len(slack.messages) == 1
