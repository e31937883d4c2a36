"""The record of acts has a line for each, whatever is in it and whoever writes at once."""

import json
import threading
from dataclasses import replace

from routing_ml.slackbot.audit import Audit
from routing_ml.slackbot.claims import Order

ORDER = Order(
    "press/a", "promote", {"to": "m", "why": "a\nb"}, "Slack: \u202e<!here> (U1)", "U1", 1.0
)


def lines(audit):
    return [json.loads(line) for line in audit.path.read_text().splitlines()]


def test_a_line_says_when_who_what_and_what_came_of_it(tmp_path):
    audit = Audit(tmp_path / "slack_bot")
    audit.write(ORDER, "begun")
    audit.write(ORDER, "done")
    first, second = lines(audit)
    assert (first["who"], first["user"], first["what"]) == (ORDER.who, "U1", "promote")
    assert first["arguments"] == ORDER.arguments
    assert first["id"] == second["id"] == ORDER.id
    assert [first["outcome"], second["outcome"]] == ["begun", "done"]
    assert first["at"].endswith("+00:00")


def test_of_many_who_write_at_once_each_has_a_line(tmp_path):
    audit = Audit(tmp_path)
    orders = [replace(ORDER, key=str(number)) for number in range(20)]
    threads = [threading.Thread(target=audit.write, args=(order, "begun")) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {line["id"] for line in lines(audit)} == {order.id for order in orders}


def test_a_line_that_was_cut_short_does_not_spoil_the_next(tmp_path):
    audit = Audit(tmp_path)
    audit.path.write_text('{"at": "2026')
    audit.write(ORDER, "begun")
    assert json.loads(audit.path.read_text().splitlines()[1])["outcome"] == "begun"


def test_nobody_else_may_read_it(tmp_path):
    tmp_path.chmod(0o700)
    audit = Audit(tmp_path / "slack_bot")
    audit.write(ORDER, "begun")
    assert audit.path.stat().st_mode & 0o777 == 0o600
