import json
import logging
import multiprocessing
import os
import signal
import socket
import time

import pytest
from slack_fixtures import SECRET, FakeSlack

from routing_ml.errors import RoutingError
from routing_ml.notices import notify
from routing_ml.settings import Settings


def settings(home, url):
    return Settings.from_env({"ROUTING_ML_HOME": str(home), "SLACK_WEBHOOK_URL": url})


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    """slack_sdk waits half a second and more between its own attempts."""
    from slack_sdk.http_retry.builtin_interval_calculators import BackoffRetryIntervalCalculator

    monkeypatch.setattr(
        BackoffRetryIntervalCalculator, "calculate_sleep_duration", lambda self, attempt: 0.01
    )


@pytest.fixture(autouse=True)
def everything_logged(caplog):
    """The most talkative log: what it shows must still not hold the secret."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("slack_sdk").setLevel(logging.DEBUG)
    yield
    said = "\n".join(record.getMessage() for record in caplog.get_records("call"))
    assert SECRET not in said
    assert "services" not in said


def outbox(home):
    return {
        note["subject"]: note["state"]
        for note in map(json.loads, (p.read_text() for p in (home / "outbox").glob("*.json")))
    }


def refusing_url():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{closed.getsockname()[1]}/services/{SECRET}"


def test_a_notice_arrives_as_slack_wants_it(tmp_path):
    with FakeSlack() as slack:
        assert notify.tell(settings(tmp_path, slack.url), "retrain/a", "A title", "text")
    (message,) = slack.messages
    assert message["text"] == "A title"
    assert message["blocks"][0]["type"] == "header"
    assert message["blocks"][1]["text"] == {"type": "mrkdwn", "text": "text"}


def test_a_subject_is_told_once(tmp_path):
    with FakeSlack() as slack:
        told = [notify.tell(settings(tmp_path, slack.url), "a", "t", f"{n}") for n in range(3)]
    assert (told, slack.texts()) == ([True, False, False], ["0"])


def test_subjects_of_like_or_long_names_are_told_apart(tmp_path):
    names = ["run a:b", "run a_b", "x" * 300, "x" * 301, "가" * 250, "..", "a/../b"]
    with FakeSlack() as slack:
        assert all(notify.tell(settings(tmp_path, slack.url), name, "t", name) for name in names)
    assert slack.texts() == names
    assert sorted(outbox(tmp_path)) == sorted(names)
    assert [p.name for p in tmp_path.iterdir()] == ["outbox"]


def test_other_news_of_a_run_is_told_again(tmp_path):
    with FakeSlack() as slack:
        told = [notify.tell(settings(tmp_path, slack.url), "a", t, "") for t in ("bad", "good")]
    assert told == [True, True]


def test_a_fallback_is_silent_where_something_was_told(tmp_path):
    with FakeSlack() as slack:
        given = settings(tmp_path, slack.url)
        notify.tell(given, "a", "by the report", "")
        assert not notify.tell(given, "a", "by the listener", "", fallback=True)
        assert notify.tell(given, "b", "by the listener", "", fallback=True)
    assert [m["text"] for m in slack.messages] == ["by the report", "by the listener"]


def test_a_fallback_sends_the_notice_that_waits_and_not_its_own(tmp_path):
    with FakeSlack(404) as slack:
        given = settings(tmp_path, slack.url)
        with pytest.raises(RoutingError):
            notify.tell(given, "a", "by the report", "")
        assert notify.tell(given, "a", "by the listener", "", fallback=True)
    assert [m["text"] for m in slack.messages] == ["by the report"]


def test_a_rate_limit_is_waited_for(tmp_path):
    with FakeSlack((429, "1")) as slack:
        began = time.monotonic()
        assert notify.tell(settings(tmp_path, slack.url), "a", "t", "")
        assert time.monotonic() - began >= 1
    assert (slack.requests, len(slack.messages)) == (2, 1)


def test_a_server_error_is_tried_again(tmp_path):
    with FakeSlack(500) as slack:
        assert notify.tell(settings(tmp_path, slack.url), "a", "t", "")
    assert (slack.requests, len(slack.messages)) == (2, 1)


@pytest.mark.parametrize("answer", [404, 500, 503, (429, "0"), "garbage"])
def test_a_refused_notice_is_sent_by_the_next_call(tmp_path, answer):
    with FakeSlack(*[answer] * 3) as slack:
        given = settings(tmp_path, slack.url)
        with pytest.raises(RoutingError, match="check SLACK_WEBHOOK_URL") as error:
            notify.tell(given, "a", "t", "")
        assert "services" not in str(error.value)
        assert outbox(tmp_path) == {"a": "waiting"}
        slack.script.clear()
        assert notify.tell(given, "a", "t", "")
    assert len(slack.messages) == 1
    assert outbox(tmp_path) == {"a": "sent"}


def test_a_slack_that_refuses_connections_is_named_without_its_address(tmp_path):
    url = refusing_url()
    with pytest.raises(RoutingError, match=r"Slack cannot be reached \(URLError\)") as error:
        notify.tell(settings(tmp_path, url), "a", "t", "")
    assert error.value.__cause__ is None  # a traceback would show it
    assert error.value.__suppress_context__
    assert "127.0.0.1" not in str(error.value)


def test_a_silent_slack_ends_in_an_error_and_the_notice_waits(tmp_path, monkeypatch):
    monkeypatch.setattr(notify, "TIMEOUT_S", 0.3)
    with FakeSlack("silent") as slack:
        with pytest.raises(RoutingError, match="cannot be reached"):
            notify.tell(settings(tmp_path, slack.url), "a", "t", "")
        assert outbox(tmp_path) == {"a": "waiting"}


@pytest.mark.parametrize("url", ["hooks.slack.com/x", "http://[::1/x", "http://a b/x", "ftp://x/y"])
def test_an_address_that_is_none_is_an_error_without_it(tmp_path, url):
    with pytest.raises(RoutingError, match="check SLACK_WEBHOOK_URL") as error:
        notify.tell(settings(tmp_path, url), "a", "t", "")
    assert url not in str(error.value)


def test_what_waits_goes_out_with_the_next_notice_on_anything(tmp_path):
    with pytest.raises(RoutingError):
        notify.tell(settings(tmp_path, refusing_url()), "october", "t", "of october")
    with FakeSlack() as slack:
        notify.tell(settings(tmp_path, slack.url), "november", "t", "of november")
    assert slack.texts()[0] == "of november"
    assert slack.texts()[1].startswith("of october\n(written 20")
    assert outbox(tmp_path) == {"october": "sent", "november": "sent"}


def test_no_file_holds_the_address(tmp_path):
    with FakeSlack(404) as slack:
        given = settings(tmp_path, slack.url)
        with pytest.raises(RoutingError):
            notify.tell(given, "a", "t", "")
        notify.tell(given, "a", "t", "")
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()


def test_markup_in_a_text_stays_text(tmp_path):
    with FakeSlack() as slack:
        text = "<!channel> a & b > c"
        notify.tell(settings(tmp_path, slack.url), "a", "<!here>", text)
    (message,) = slack.messages
    assert message["text"] == "&lt;!here&gt;"
    assert slack.texts() == ["&lt;!channel&gt; a &amp; b &gt; c"]


@pytest.mark.parametrize("text", ["x" * 5000, "&" * 5000, "y" + "&" * 5000, "yy<" * 2000])
def test_a_long_text_is_cut_to_what_slack_takes_and_not_within_an_escape(tmp_path, text):
    with FakeSlack() as slack:
        notify.tell(settings(tmp_path, slack.url), "a", "t" * 400, text)
    (sent,) = slack.texts()
    assert 2_990 < len(sent) <= 3_000
    assert sent.endswith("…")
    assert sent[:-1].rsplit("&", 1)[-1] in ("x" * 2999, "amp;", "lt;", "lt;y", "lt;yy")
    assert len(slack.messages[0]["blocks"][0]["text"]["text"]) == 150


def test_without_a_webhook_nobody_is_told_and_the_log_says_so(tmp_path, caplog):
    assert not notify.tell(Settings.from_env({"ROUTING_ML_HOME": str(tmp_path)}), "a", "t", "")
    assert "SLACK_WEBHOOK_URL is not set: nobody is told of a" in caplog.text
    assert not list(tmp_path.iterdir())


def test_a_sender_that_was_killed_while_it_sent_is_not_repeated(tmp_path, caplog):
    with FakeSlack("silent") as slack:
        given = settings(tmp_path, slack.url)
        sender = multiprocessing.get_context("fork").Process(
            target=notify.tell, args=(given, "a", "t", "")
        )
        sender.start()
        while not slack.requests:
            time.sleep(0.01)
        os.kill(sender.pid, signal.SIGKILL)
        sender.join()
        assert not notify.tell(given, "a", "t", "")
    assert slack.requests == 1
    assert "a sender of the notice on a was killed: not repeated" in caplog.text


def test_several_processes_tell_a_subject_once(tmp_path):
    with FakeSlack() as slack:
        given = settings(tmp_path, slack.url)
        fork = multiprocessing.get_context("fork")
        tellers = [fork.Process(target=notify.tell, args=(given, "a", "t", "")) for _ in range(6)]
        for teller in tellers:
            teller.start()
        for teller in tellers:
            teller.join()
    assert [teller.exitcode for teller in tellers] == [0] * 6
    assert len(slack.messages) == 1


def test_a_notice_that_cannot_be_noted_is_not_sent(tmp_path):
    (tmp_path / "outbox").write_text("")
    with FakeSlack() as slack, pytest.raises(RoutingError, match="outbox cannot be written"):
        notify.tell(settings(tmp_path, slack.url), "a", "t", "")
    assert slack.requests == 0


def test_a_damaged_note_is_written_anew(tmp_path):
    with FakeSlack() as slack:
        given = settings(tmp_path, slack.url)
        notify.tell(given, "a", "t", "first")
        (path,) = (tmp_path / "outbox").glob("*.json")
        path.write_text("{")
        assert notify.tell(given, "a", "t", "second")
    assert outbox(tmp_path) == {"a": "sent"}
