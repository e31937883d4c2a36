"""The connection: acknowledged first, worked on by a few, found again when it is lost."""

import logging
import threading

import pytest
from slack_bot_fixtures import (
    FakeAirflow,
    FakeSlackApp,
    config_of,
    settings_of,
    shown,
    until,
)

from routing_ml.cli import main
from routing_ml.errors import RoutingError, SettingError
from routing_ml.slackbot import connection, is_connected, loop, run
from routing_ml.slackbot.room import Room


@pytest.fixture
def slack():
    with FakeSlackApp() as slack:
        yield slack


@pytest.fixture
def airflow():
    with FakeAirflow() as airflow:
        yield airflow


class Running:
    """A bot in a thread, until the block ends."""

    def __init__(self, settings, slack):
        self.stop, self.error = threading.Event(), None
        self.thread = threading.Thread(target=self.work, args=(settings, slack))
        self.thread.start()

    def work(self, settings, slack):
        try:
            run(settings, config_of(settings, slack), stop=self.stop)
        except RoutingError as error:
            self.error = error

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop.set()
        self.thread.join(30)
        assert not self.thread.is_alive()


def test_a_command_is_acknowledged_and_answered(tmp_path, slack, airflow):
    settings = settings_of(tmp_path / "home", airflow)
    with Running(settings, slack):
        until(lambda: slack.connections)
        sent = slack.send("slash_commands", slack.command("models"))
        until(lambda: sent in slack.acks and slack.answers)
    assert slack.acks[sent][1] is None
    assert "No model yet" in shown(slack.answers[0])


def test_what_is_delivered_again_is_acknowledged_again_and_done_once(tmp_path, slack, airflow):
    settings = settings_of(tmp_path / "home", airflow)
    payload = slack.command("retrain")
    with Running(settings, slack):
        until(lambda: slack.connections)
        for _ in range(3):
            slack.send("slash_commands", payload, "e-again")
        until(lambda: slack.acks_of["e-again"] == 3 and slack.answers)
    assert sum(airflow.asked_for.values()) == 1
    assert len(slack.answers) == 1


def test_an_envelope_of_no_kind_of_ours_is_acknowledged_and_the_next_answered(
    tmp_path, slack, airflow
):
    settings = settings_of(tmp_path / "home", airflow)
    with Running(settings, slack):
        until(lambda: slack.connections)
        odd = slack.send("interactive", {"type": "view_closed"})
        slack.send("slash_commands", slack.command("x" * 100_000))
        until(lambda: odd in slack.acks and slack.answers)
    assert "What can be asked" in shown(slack.answers[0])


@pytest.mark.parametrize("how", ["asked", "dropped"])
def test_a_connection_that_is_lost_is_made_again(tmp_path, slack, airflow, how):
    settings = settings_of(tmp_path / "home", airflow)
    with Running(settings, slack):
        until(lambda: slack.connections)
        first = slack.connections[0]
        if how == "asked":
            first.send({"type": "disconnect", "reason": "refresh_requested"})
        else:
            first.end()
        until(lambda: slack.connections and slack.connections[-1] is not first)
        sent = slack.send("slash_commands", slack.command("models"))
        until(lambda: sent in slack.acks)


def test_a_second_bot_of_a_state_folder_is_refused(tmp_path, slack, airflow):
    settings = settings_of(tmp_path / "home", airflow)
    with Running(settings, slack):
        until(lambda: slack.connections)
        with pytest.raises(RoutingError, match="another slack-bot uses"):
            run(settings, config_of(settings, slack), stop=threading.Event())


@pytest.mark.parametrize(
    ("method", "setting"),
    [("auth.test", "SLACK_BOT_TOKEN"), ("apps.connections.open", "SLACK_APP_TOKEN")],
)
def test_a_token_that_slack_refuses_ends_the_bot_with_its_name(tmp_path, slack, method, setting):
    settings = settings_of(tmp_path / "home")
    slack.refusals[method] = "account_inactive"
    with pytest.raises(SettingError, match=rf"{setting} \(account_inactive\)"):
        run(settings, config_of(settings, slack), stop=threading.Event())


def test_a_slack_that_is_away_is_asked_again(tmp_path, slack, monkeypatch):
    settings = settings_of(tmp_path / "home")
    slack.refusals["auth.test"] = "internal_error"
    with Running(settings, slack):
        until(lambda: slack.called)
        del slack.refusals["auth.test"]
        until(lambda: slack.connections)


def test_a_bot_that_waits_for_slack_can_be_ended(tmp_path, slack):
    slack.refusals["auth.test"] = "internal_error"
    with Running(settings_of(tmp_path / "home"), slack) as bot:
        until(lambda: slack.called)
    assert bot.error is None


def envelope(slack, text="status"):
    payload = slack.command(text)
    return {
        "envelope_id": "e",
        "type": "slash_commands",
        "payload": payload,
        "accepts_response_payload": True,
    }


def test_a_request_is_acknowledged_before_it_is_looked_at(slack):
    room, order = Room(1, 1), []
    listen = loop.listener(room, lambda request: order.append("handled"))
    listen(lambda body: order.append("acknowledged"), envelope(slack))
    room.close()
    assert order[0] == "acknowledged"


def test_what_could_not_be_acknowledged_is_not_done_and_takes_no_place(slack):
    room, handled, said = Room(1, 0), [], []

    def fails(body):
        raise OSError("gone")

    listen = loop.listener(room, handled.append)
    for _ in range(3):
        with pytest.raises(OSError, match="gone"):
            listen(fails, envelope(slack))
    listen(said.append, envelope(slack))
    until(lambda: handled)
    room.close()
    assert said == [{"envelope_id": "e"}]
    assert len(handled) == 1


def test_more_than_can_wait_is_told_to_come_back(slack):
    room, go, said = Room(1, 2), threading.Event(), []
    listen = loop.listener(room, lambda request: go.wait(30))
    for _ in range(4):
        listen(said.append, envelope(slack))
    assert [body.get("payload", {}).get("text") for body in said] == [None, None, None, loop.BUSY]
    go.set()
    room.close()


def test_a_job_that_fails_gives_its_place_back(caplog):
    room = Room(1, 0)
    assert room.reserve()
    with caplog.at_level(logging.CRITICAL):
        room.fill(lambda: 1 / 0)
        until(room.reserve)
    room.close()


def test_the_health_check_tells_a_connected_bot_from_none(
    tmp_path, slack, airflow, monkeypatch, capsys
):
    monkeypatch.setattr(connection, "ALIVE_S", 0.05)
    settings = settings_of(tmp_path / "home", airflow)
    monkeypatch.setenv("ROUTING_ML_HOME", str(settings.home))
    settings.opened()
    assert main(["slack-bot", "--healthy"]) == 1
    assert not is_connected(settings)
    with Running(settings, slack):
        until(lambda: is_connected(settings))
        assert main(["slack-bot", "--healthy"]) == 0
    assert "connected to Slack" in capsys.readouterr().out


def test_the_command_names_the_token_that_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ROUTING_ML_HOME", str(tmp_path / "home"))
    assert main(["slack-bot"]) == 1
    assert "SLACK_BOT_TOKEN is not set" in capsys.readouterr().err
