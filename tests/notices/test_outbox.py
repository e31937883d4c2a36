"""The outbox stays small, and whatever lies in it does not keep others from being told."""

import hashlib
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slack_fixtures import FakeSlack

from routing_ml.notices import notify, outbox
from routing_ml.notices.card import Card, Fact, Link, Plot
from routing_ml.notices.outbox import MOST, SENT_DAYS, WAITING_DAYS, Outbox
from routing_ml.notices.record import SENT, Delivery, Notice, written
from routing_ml.settings import Settings


def days_ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="seconds")


def of(subject: str, at: str, state: str = "waiting") -> Notice:
    return Notice(Card(subject, "t", "x"), at, {"slack": Delivery(state)})


def noted(box: Outbox, subject: str, days: float, state: str = "waiting") -> Notice:
    notice = of(subject, days_ago(days), state)
    box.folder.mkdir(exist_ok=True)
    box._write(notice)
    return notice


def held(box: Outbox) -> set[str]:
    return {json.loads(path.read_text())["subject"] for path in box.folder.glob("*.json")}


def test_old_notices_leave_and_what_nobody_heard_is_logged(tmp_path, caplog):
    caplog.set_level("INFO")
    box = Outbox(tmp_path / "outbox")
    noted(box, "waits", WAITING_DAYS - 1)
    noted(box, "waited", WAITING_DAYS + 1)
    noted(box, "told", SENT_DAYS - 1, SENT)
    noted(box, "told long ago", SENT_DAYS + 1, SENT)
    box.put(of("new", days_ago(0)), fallback=False)
    assert held(box) == {"waits", "told", "new"}
    [line] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert line.startswith("the notice on 'waited' of 20")
    assert line.endswith("is thrown away unsent: nobody could be told for 30 days")
    assert "1 notices that were delivered long ago left" in caplog.text


def test_a_clock_that_is_ahead_has_nothing_thrown_away_that_is_not_old_by_the_others(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(outbox, "LONGEST_PAUSE", timedelta(days=2))
    box = Outbox(tmp_path / "outbox")
    noted(box, "waits", WAITING_DAYS + 3)
    noted(box, "told", 5, SENT)
    box.put(of("new", days_ago(0)), fallback=False)
    assert held(box) == {"waits", "told", "new"}
    noted(box, "later", 1, SENT)
    box.put(of("newer", days_ago(0)), fallback=False)
    assert "waits" not in held(box)


def test_an_outbox_holds_so_many_and_those_that_were_sent_leave_first(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(outbox, "MOST", 4)
    box = Outbox(tmp_path / "outbox")
    for number in range(3):
        noted(box, f"told {number}", 9 - number, SENT)
    for number in range(3):
        noted(box, f"waits {number}", 19 - number)
    box.put(of("new", days_ago(0)), fallback=False)
    assert held(box) == {"waits 0", "waits 1", "waits 2", "new"}
    assert "unsent" not in caplog.text
    box.put(of("newer", days_ago(0)), fallback=False)
    assert held(box) == {"waits 1", "waits 2", "new", "newer"}
    assert "'waits 0'" in caplog.text and "unsent: over 4 wait" in caplog.text


def test_a_webhook_that_was_wrong_for_a_year_has_left_few_notices(tmp_path, monkeypatch):
    """Nobody was told of anything, every hour."""
    monkeypatch.setattr(outbox, "MOST", 50)
    box = Outbox(tmp_path / "outbox")
    at = days_ago(1)  # all of one second, in which the newest is the first by name
    for hour in range(200):
        box.put(of(f"run {999 - hour}", at), fallback=False)
    assert len(held(box)) == 50
    assert MOST == 500


CORRUPT = [
    *(b"", b"{", b"[]", b"null", b"3", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"state": "sent"}'),
    b'{"state": "waiting", "subject": 1, "at": 2, "title": 3, "text": 4}',
    b'{"state": "waiting", "subject": "a", "at": "yesterday", "title": "", "text": ""}',
    b'{"state": "waiting", "subject": "another", "at": "2026-01-01", "title": "", "text": ""}',
    b'{"state": "waiting", "subject": "a", "at": "2026-01-01", "title": "", "text": "", "link": 1}',
    *(
        b'{"subject": "damaged", "at": "2026-01-01", "title": "", "text": "", "deliveries": %s}'
        % rest
        for rest in (
            *(b"1", b'{"slack": 1}', b'{"slack": {"state": "lost"}}', b'{"slack": {"other": 1}}'),
            *(b'{"slack": {"place": 1}}', b'{"slack": {"refusals": ""}}', b'{}, "facts": [1]'),
            *(b'{}, "level": "worse"', b'{}, "plot": {"name": "x", "values": ["1"]}'),
            *(b'{}, "links": [{"label": "x", "address": 1}]', b'{}, "facts": [{"name": "x"}]'),
        )
    ),
]


@given(content=st.sampled_from(CORRUPT) | st.binary(max_size=60))
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_corrupt_file_does_not_hide_the_others_and_is_gone(tmp_path, caplog, content):
    caplog.clear()
    box = Outbox(tmp_path / "outbox")
    good = noted(box, "good", 1)
    damaged = box.path("damaged")
    damaged.write_bytes(content)
    assert box.waiting("slack") == [good]
    assert not damaged.exists()
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"{damaged} holds no notice and is thrown away: ")


def test_folders_links_and_pipes_in_the_outbox_keep_nobody_from_being_told(tmp_path):
    with FakeSlack() as slack:
        box = Outbox(tmp_path / "outbox")
        noted(box, "waits", 1)
        (tmp_path / "secret").write_text("not for Slack")
        (box.folder / "folder.json").mkdir()
        (box.folder / "link.json").symlink_to(tmp_path / "secret")
        os.mkfifo(box.folder / "pipe.json")
        given = {"ROUTING_ML_HOME": str(tmp_path), "SLACK_WEBHOOK_URL": slack.url}
        assert notify.tell(Settings.from_env(given), "new", "t", "x")
    assert len(slack.messages) == 2
    assert (tmp_path / "secret").read_text() == "not for Slack"


def test_a_notice_that_an_earlier_release_was_sending_when_it_was_killed_is_sent(tmp_path):
    box = Outbox(tmp_path / "outbox")
    box.folder.mkdir()
    kept = {"subject": "a", "at": days_ago(1), "title": "t", "text": "x", "state": "sending"}
    box.path("a").write_text(json.dumps(kept))
    assert [notice.subject for notice in box.waiting("slack")] == ["a"]


OLD = """{
 "subject": "retrain/manual__1",
 "at": "%s",
 "title": "Routing ML: a new model is in use",
 "text": "it is better\\nRun: manual__1 (by hand)",
 "state": "waiting",
 "link": "http://factory:8080/dags/a",
 "refusals": 2
}
"""


def test_a_file_of_an_earlier_release_is_read_and_sent(tmp_path):
    box = Outbox(tmp_path / "outbox")
    box.folder.mkdir()
    box.path("retrain/manual__1").write_text(OLD % days_ago(1))
    (kept,) = box.waiting("slack")
    assert kept.deliveries == {"slack": Delivery("waiting", 2)}
    with FakeSlack() as slack:
        given = {"ROUTING_ML_HOME": str(tmp_path), "SLACK_WEBHOOK_URL": slack.url}
        notify.catch_up(Settings.from_env(given))
        assert not notify.tell(Settings.from_env(given), kept.subject, kept.title, "again")
    assert [message["text"] for message in slack.messages] == [kept.title]
    assert slack.texts()[0].startswith("it is better\nRun: manual__1 (by hand)\n(written 20")
    assert slack.links() == ["<http://factory:8080/dags/a|Open in Airflow>"]


def test_what_an_earlier_release_has_sent_is_not_sent_again(tmp_path):
    box = Outbox(tmp_path / "outbox")
    box.folder.mkdir()
    box.path("retrain/manual__1").write_text((OLD % days_ago(1)).replace("waiting", "sent"))
    assert box.waiting("slack") == [] and box.waiting("teams") == []


def test_the_receipt_of_an_earlier_release_counts(tmp_path):
    box = Outbox(tmp_path / "outbox")
    box.folder.mkdir()
    path, at = box.path("retrain/manual__1"), days_ago(1)
    path.write_text(OLD % at)
    said = [at, "Routing ML: a new model is in use", "it is better\nRun: manual__1 (by hand)"]
    digest = hashlib.sha256(json.dumps(["retrain/manual__1", *said]).encode()).hexdigest()
    path.with_name(f".{path.stem}.receipt").write_text(digest)
    assert box.waiting("slack") == []


def test_a_card_is_kept_whole(tmp_path):
    facts = [Fact("right", "93 %", "+1 since 2026-10-01")]
    card = Card(
        "a", "t", "x", "good", facts, Plot("of runs", [0.5, None, 1]), [Link("The run", "http://x")]
    )
    box = Outbox(tmp_path / "outbox")
    deliveries = {"slack": Delivery("sent", 0, "C1/1.2"), "teams": Delivery("waiting", 3)}
    box.put(Notice(card, days_ago(0), deliveries), fallback=False)
    (kept,) = box.waiting("teams")
    assert (kept.card, kept.deliveries) == (card, deliveries)
    assert box.waiting("slack") == []


def test_other_news_waits_for_all_and_is_to_be_shown_where_the_old_was(tmp_path):
    box = Outbox(tmp_path / "outbox")
    deliveries = {"slack": Delivery("sent", 0, "C1/1.2"), "teams": Delivery("waiting")}
    box.put(Notice(Card("a", "old"), days_ago(1), deliveries), fallback=False)
    box.put(written(Card("a", "new"), days_ago(0), ["slack", "teams"]), fallback=False)
    (kept,) = box.waiting("slack")
    assert kept.deliveries == {"slack": Delivery("waiting", 0, "C1/1.2"), "teams": Delivery()}


def test_a_message_that_is_noted_while_other_news_waits_is_the_one_to_be_edited(tmp_path):
    box = Outbox(tmp_path / "outbox")
    old = box.put(written(Card("a", "old"), days_ago(1), ["slack"]), fallback=False)
    receipt = box.receipt(old, "slack", 0)
    box.put(written(Card("a", "new"), days_ago(0), ["slack"]), fallback=False)
    receipt.path.write_text(f"{receipt.text}\nC1/1.2")
    (kept,) = box.waiting("slack")
    assert kept.deliveries["slack"] == Delivery("waiting", 0, "C1/1.2")
    receipt.path.unlink()
    box.accepted(old, "slack", "C1/3.4")
    (kept,) = box.waiting("slack")
    assert kept.deliveries["slack"] == Delivery("waiting", 0, "C1/3.4")


def test_what_one_was_told_and_the_other_not_for_a_month_is_known_as_told(tmp_path, caplog):
    box = Outbox(tmp_path / "outbox")
    box.folder.mkdir()
    deliveries = {"slack": Delivery("sent"), "teams": Delivery("waiting")}
    box._write(Notice(Card("a", "t"), days_ago(WAITING_DAYS + 1), deliveries))
    noted(box, "newer", 1)
    box.put(of("new", days_ago(0)), fallback=False)
    assert "is not told to teams: nobody could be told for 30 days" in caplog.text
    assert box.waiting("teams") == []
    assert box.put(Notice(Card("a", "t"), days_ago(0), deliveries), fallback=False) is None


@pytest.mark.parametrize("subject", ["a", "가" * 300, "../../x", "\ud800", "", ".lock"])
def test_a_subject_of_any_name_has_a_file_in_the_outbox(tmp_path: Path, subject: str) -> None:
    box = Outbox(tmp_path / "outbox")
    assert box.path(subject).parent == box.folder
    assert box.put(of(subject, days_ago(0)), fallback=False)
    assert [notice.subject for notice in box.waiting("slack")] == [subject]
