import json
import logging
import multiprocessing
import socket
import time
from datetime import UTC, datetime

import pytest
from slack_fixtures import SECRET, FakeSlack

from routing_ml.errors import RoutingError
from routing_ml.notices import notify, sending
from routing_ml.notices.card import Card
from routing_ml.notices.outbox import MOST_REFUSALS, Outbox
from routing_ml.notices.post import MAX_ANSWER_BYTES, Answer, post
from routing_ml.notices.record import Notice, written
from routing_ml.settings import Settings


def settings(home, url):
    return Settings.from_env({"ROUTING_ML_HOME": str(home), "SLACK_WEBHOOK_URL": url})


def of(subject: str, at: str, title: str, text: str) -> Notice:
    return written(Card(subject, title, text), at, ["slack"])


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """The waits between attempts, in seconds, none of which is slept."""
    waited = []
    monkeypatch.setattr(sending, "sleep", waited.append)
    return waited


@pytest.fixture(autouse=True)
def everything_logged(caplog):
    """The most talkative log: what it shows must still not hold the secret."""
    caplog.set_level(logging.DEBUG)
    yield
    said = "\n".join(record.getMessage() for record in caplog.get_records("call"))
    assert SECRET not in said
    assert "services" not in said


@pytest.fixture(autouse=True)
def temporary(tmp_path_factory, monkeypatch):
    """Where temporary files go."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(notify.tempfile, "gettempdir", lambda: str(folder))
    return folder


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
    assert message["blocks"][1]["text"] == {"type": "mrkdwn", "text": "text", "verbatim": True}


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


def test_a_rate_limit_is_waited_for(tmp_path, waits):
    with FakeSlack((429, "1")) as slack:
        assert notify.tell(settings(tmp_path, slack.url), "a", "t", "")
    assert (slack.requests, len(slack.messages), waits) == (2, 1, [1.0])


@pytest.mark.parametrize("asked", ["3600", "Fri, 01 Jan 2100 00:00:00 GMT", "soon", "9" * 400])
def test_a_wait_that_is_longer_than_a_run_is_left_to_the_next(tmp_path, waits, asked):
    with FakeSlack((429, asked)) as slack:
        given = settings(tmp_path, slack.url)
        with pytest.raises(RoutingError, match="it is tried again later"):
            notify.tell(given, "a", "t", "")
        assert (slack.requests, waits) == (1, [])
        assert outbox(tmp_path) == {"a": "waiting"}
        assert notify.tell(given, "a", "t", "")
    assert len(slack.messages) == 1


def test_all_waits_and_requests_of_a_call_have_one_deadline(tmp_path, waits, monkeypatch):
    """Twenty notices wait; the one who sends them does not take twenty times as long."""
    now = [0.0]
    monkeypatch.setattr(sending, "sleep", lambda s: now.__setitem__(0, now[0] + s))
    monkeypatch.setattr(sending.time, "monotonic", lambda: now[0])
    box = Outbox(tmp_path / "outbox")
    for number in range(20):
        at = datetime.now(UTC).isoformat()
        box.put(of(f"old {number}", at, "t", "x"), fallback=False)

    def slow(url, body, seconds, receipt, **given):
        now[0] += 9
        assert seconds <= sending.REQUEST_S
        return Answer(200, "ok", place="")

    monkeypatch.setattr(sending, "post", slow)
    assert notify.tell(settings(tmp_path, refusing_url()), "a", "t", "")
    assert now[0] <= notify.SENDING_S + sending.REQUEST_S
    assert list(outbox(tmp_path).values()).count("sent") == 4


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
    with pytest.raises(RoutingError, match=r"be reached \(ConnectionRefusedError\)") as error:
        notify.tell(settings(tmp_path, url), "a", "t", "")
    assert error.value.__cause__ is error.value.__context__ is None  # a traceback would show it
    assert "127.0.0.1" not in str(error.value)


def test_a_silent_slack_ends_in_an_error_and_the_notice_waits(tmp_path, monkeypatch):
    monkeypatch.setattr(sending, "REQUEST_S", 0.3)
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
    assert "TEAMS_WEBHOOK_URL: nobody is told of a" in caplog.text
    assert not list(tmp_path.iterdir())


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


def spoilt(home):
    home.mkdir()
    (home / "outbox").write_text("")
    return home


def test_a_notice_that_cannot_be_noted_in_the_state_folder_is_sent_once_all_the_same(
    tmp_path, temporary
):
    home = spoilt(tmp_path / "home")
    with FakeSlack() as slack:
        given = settings(home, slack.url)
        assert notify.tell(given, "a", "t", "first")
        assert not notify.tell(given, "a", "t", "a try")
        (home / "outbox").unlink()
        assert not notify.tell(given, "a", "t", "the disk is back")
        assert notify.tell(given, "a", "other news", "")
        assert notify.tell(given, "b", "t", "")
    assert len(slack.messages) == 3
    (spare,) = temporary.iterdir()
    assert spare.stat().st_mode & 0o777 == 0o700
    assert outbox(home) == {"a": "sent", "b": "sent"}


def test_a_notice_that_waits_in_the_spare_outbox_is_sent_when_slack_is_back(tmp_path, temporary):
    home = spoilt(tmp_path / "home")
    with pytest.raises(RoutingError):
        notify.tell(settings(home, refusing_url()), "a", "t", "first")
    with FakeSlack() as slack:
        notify.catch_up(settings(home, slack.url))
        assert not notify.tell(settings(home, slack.url), "a", "t", "a try")
    assert len(slack.messages) == 1


@pytest.mark.parametrize("kind", ["link", "file", "file for us alone", "open to others"])
def test_what_somebody_else_put_in_the_place_of_the_spare_outbox_is_not_used(
    tmp_path, temporary, kind
):
    given = settings(spoilt(tmp_path / "home"), refusing_url())
    spare, other = notify._spare(given).folder, tmp_path / "other"
    other.mkdir()
    if kind == "link":
        spare.symlink_to(other)
    elif kind.startswith("file"):
        spare.write_text("")
        spare.chmod(0o600 if kind.endswith("alone") else 0o644)
    else:
        spare.mkdir()
        spare.chmod(0o777)
    with pytest.raises(RoutingError, match="outbox cannot be written: it is not for this user"):
        notify.tell(given, "a", "t", "")
    assert not list(other.iterdir())


def test_a_damaged_note_is_written_anew(tmp_path):
    with FakeSlack() as slack:
        given = settings(tmp_path, slack.url)
        notify.tell(given, "a", "t", "first")
        (path,) = (tmp_path / "outbox").glob("*.json")
        path.write_text("{")
        assert notify.tell(given, "a", "t", "second")
    assert outbox(tmp_path) == {"a": "sent"}


PAGE = b"<html><title>Sign in</title>ok</html>"


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {"Content-Type": "text/html"}, PAGE),
        (200, {}, b""),
        (200, {}, b"okay"),
        (200, {}, b'{"ok": false, "error": "no_service"}'),
        (204, {}, b""),
        (202, {}, b"ok"),
        *[(code, {"Location": "/login"}, b"ok") for code in (300, 301, 302, 303, 307, 308)],
        (404, {}, b"no_service"),
    ],
)
def test_only_slacks_own_ok_counts_as_delivered(tmp_path, status, headers, body):
    with FakeSlack((status, headers, body)) as slack:
        given = settings(tmp_path, slack.url)
        with pytest.raises(RoutingError, match=f"HTTP {status}.*; check SLACK_WEBHOOK_URL") as said:
            notify.tell(given, "a", "t", "")
        assert outbox(tmp_path) == {"a": "waiting"}
        assert "Sign in" not in str(said.value)
        assert ("no_service" in str(said.value)) == (body == b"no_service")
        assert notify.tell(given, "a", "t", "")
    assert (slack.requests, slack.gets) == (2, 0), "a redirect was followed"


def test_an_answer_without_an_end_is_taken_to_its_first_bytes(tmp_path):
    with FakeSlack((404, {}, b"x" * 5_000_000)) as slack:
        assert len(post(slack.url, "{}", 10).body) == MAX_ANSWER_BYTES


def test_a_link_is_ours_and_a_text_holds_none(tmp_path):
    with FakeSlack() as slack:
        given = settings(tmp_path, slack.url)
        notify.tell(given, "a", "t", "see http://evil/x", link="http://factory:8080/dags/a")
    assert slack.texts() == ["see http:\u200b//evil/x"]
    assert slack.links() == ["<http://factory:8080/dags/a|Open in Airflow>"]


def test_a_link_waits_with_its_notice(tmp_path):
    with FakeSlack(404) as slack:
        given = settings(tmp_path, slack.url)
        with pytest.raises(RoutingError):
            notify.tell(given, "a", "t", "x", link="http://factory/dags/a")
        notify.tell(given, "b", "t", "y")
    assert slack.texts()[1].endswith("sent late)")
    assert slack.links()[1] == "<http://factory/dags/a|Open in Airflow>"


def test_a_notice_that_slack_will_not_take_does_not_hold_up_the_others(tmp_path):
    bad = (400, {}, b"invalid_blocks")
    with FakeSlack(bad) as slack:
        given = settings(tmp_path, slack.url)
        with pytest.raises(RoutingError, match="HTTP 400, invalid_blocks"):
            notify.tell(given, "bad", "t", "")
        slack.script.extend([200, bad])
        assert notify.tell(given, "good", "t", "")
    assert outbox(tmp_path) == {"bad": "waiting", "good": "sent"}


def test_a_notice_that_slack_will_never_take_is_thrown_away_and_the_log_says_so(tmp_path, caplog):
    with FakeSlack(*[(400, {}, b"invalid_blocks")] * MOST_REFUSALS) as slack:
        given = settings(tmp_path, slack.url)
        for _ in range(MOST_REFUSALS):
            assert "thrown away" not in caplog.text
            with pytest.raises(RoutingError, match="HTTP 400"):
                notify.tell(given, "bad", "t", "")
    assert outbox(tmp_path) == {}
    assert "the notice on 'bad' of 20" in caplog.text
    assert f"thrown away unsent: Slack refused it {MOST_REFUSALS} times" in caplog.text


def test_a_notice_that_waits_behind_a_busy_sender_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(notify, "SENDING_S", 0.1)
    box = Outbox(tmp_path / "outbox")
    box.folder.mkdir()
    with (
        FakeSlack() as slack,
        box.sending("slack", time.monotonic() + 1),
        pytest.raises(RoutingError, match="another process uses"),
    ):
        notify.tell(settings(tmp_path, slack.url), "a", "t", "")
    assert slack.requests == 0
    assert outbox(tmp_path) == {"a": "waiting"}


def test_other_news_that_comes_while_the_old_is_sent_is_not_taken_for_sent(tmp_path):
    box = Outbox(tmp_path / "outbox")
    old = box.put(of("a", "2026-11-01T00:00:00+00:00", "old", "x"), fallback=False)
    box.put(of("a", "2026-11-02T00:00:00+00:00", "new", "y"), fallback=False)
    box.accepted(old, "slack")
    assert [notice.title for notice in box.waiting("slack")] == ["new"]


def test_what_waits_is_caught_up_with(tmp_path):
    with FakeSlack(404, 404) as slack:
        given = settings(tmp_path, slack.url)
        for subject in ("a", "b"):
            with pytest.raises(RoutingError):
                notify.tell(given, subject, "t", subject)
        notify.catch_up(given)
        notify.catch_up(given)
    assert [text.split("\n")[0] for text in slack.texts()] == ["a", "b"]
    assert outbox(tmp_path) == {"a": "sent", "b": "sent"}


def test_there_is_nothing_to_catch_up_with_before_the_first_notice(tmp_path):
    notify.catch_up(settings(tmp_path, refusing_url()))
    assert not list(tmp_path.iterdir())
