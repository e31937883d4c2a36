"""The bot's calls of Airflow's API: tokens are renewed, refusals are one line without a secret."""

import threading

import pytest
from slack_bot_fixtures import FakeAirflow

from routing_ml.errors import RoutingError, SettingError
from routing_ml.slackbot.airflow_api import Airflow

DAG = "routing_ml_retrain"


@pytest.fixture
def server():
    with FakeAirflow() as server:
        yield server


@pytest.fixture
def airflow(server):
    return Airflow(server.url, server.USER, server.PASSWORD)


def test_a_run_is_started_once_under_its_id(server, airflow):
    assert airflow.trigger(DAG, "r:1+a", note="by kim") is True
    assert airflow.trigger(DAG, "r:1+a", note="by kim") is False
    assert server.runs["r:1+a"]["note"] == "by kim"


def test_a_token_that_has_expired_is_renewed_and_one_that_holds_is_not(server, airflow):
    airflow.trigger(DAG, "r1", note="")
    airflow.trigger(DAG, "r2", note="")
    assert len(server.tokens) == 1
    server.expire()
    assert airflow.trigger(DAG, "r3", note="") is True


def test_of_many_that_want_a_token_one_asks(server, airflow):
    threads = [
        threading.Thread(target=airflow.trigger, args=(DAG, f"r{n}"), kwargs={"note": ""})
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(server.tokens), len(server.runs)) == (1, 8)


def test_what_is_asked_is_answered_once(server, airflow):
    server.ask("r/1")
    assert airflow.question(DAG, "r/1", "approve")["response_received"] is False
    answer = {"option": "Put it into use", "why": "kim by Slack"}
    assert airflow.answer(DAG, "r/1", "approve", **answer) is True
    assert airflow.answer(DAG, "r/1", "approve", **answer) is False
    assert airflow.question(DAG, "none", "approve") is None


def test_each_refusal_says_what_to_do_and_no_password(server, airflow):
    wrong = Airflow(server.url, server.USER, "s3cret-and-wrong")
    with pytest.raises(RoutingError, match="ROUTING_ML_AIRFLOW_PASSWORD") as refused:
        wrong.trigger(DAG, "r", note="")
    assert "s3cret" not in str(refused.value)
    server.forbids = True
    with pytest.raises(RoutingError, match="403: the bot's user"):
        airflow.trigger(DAG, "r", note="")
    server.forbids, server.down = False, True
    with pytest.raises(RoutingError, match="answered 503"):
        airflow.trigger(DAG, "r", note="")
    server.close()
    with pytest.raises(RoutingError, match="does not answer"):
        airflow.trigger(DAG, "r", note="")
    with pytest.raises(SettingError, match="ROUTING_ML_AIRFLOW_URL"):
        Airflow(None, None, None).trigger(DAG, "r", note="")
