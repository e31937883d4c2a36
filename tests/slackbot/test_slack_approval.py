"""The buttons under a notice answer what a run asks: its own, once, and say who has answered."""

import json

import pytest
from slack_bot_fixtures import (
    FakeAirflow,
    FakeSlackApp,
    audited,
    bot_of,
    settings_of,
    shown,
)

from routing_ml.notices import APPROVE, KEEP, approval_buttons
from routing_ml.slackbot import airflow_api
from routing_ml.slackbot.requests import read

RUN = "manual__2026-11-26T10:00:00+00:00"
ASKS = {"dag": "routing_ml_retrain", "run": RUN, "task": "approve"}
TS = "1700000000.000100"


@pytest.fixture
def slack():
    with FakeSlackApp() as slack:
        yield slack


@pytest.fixture
def airflow():
    with FakeAirflow() as airflow:
        airflow.ask(RUN)
        yield airflow


@pytest.fixture
def settings(tmp_path, airflow):
    return settings_of(tmp_path / "home", airflow)


@pytest.fixture
def bot(settings, slack):
    return bot_of(settings, slack)


def notice(model=None):
    """The blocks of a notice that asks."""
    said = {"type": "section", "text": {"type": "mrkdwn", "text": "A better model is there"}}
    return [said, approval_buttons("routing_ml_retrain", RUN, "approve", model=model)]


def press(bot, slack, action, value=ASKS, **about):
    payload = slack.press(action, value, message=TS, blocks=notice(), **about)
    bot.handle(read("interactive", "e", payload))


def test_the_buttons_carry_the_run_and_keep_to_slacks_limits():
    block = approval_buttons("routing_ml_retrain", "r" * 250, "approve", model="model_1")
    assert [e["action_id"] for e in block["elements"]] == [APPROVE, KEEP]
    for element in block["elements"]:
        carried = json.loads(element["value"])
        assert carried == ASKS | {"run": "r" * 250, "model": "model_1"}
        assert len(element["value"]) <= 2_000
        assert len(element["text"]["text"]) <= 75


@pytest.mark.parametrize(
    ("action", "option"), [(APPROVE, "Put it into use"), (KEEP, "Keep what is in use")]
)
def test_an_answer_reaches_airflow_with_the_persons_name_and_takes_the_buttons_place(
    bot, slack, airflow, settings, action, option
):
    press(bot, slack, action)
    body = {"chosen_options": [option], "params_input": {"why": "kim (U0KIM) by Slack"}}
    assert airflow.answered == [(RUN, body)]
    method, edit = slack.called[-1]
    assert (method, edit["ts"], edit["channel"]) == ("chat.update", TS, "C0PLAN")
    assert [block["type"] for block in edit["blocks"]] == ["section", "section"]
    assert f"{option}: answered by kim (U0KIM)" in shown(edit)
    assert audited(settings)[-1]["outcome"] == f"done: {option}: answered by kim (U0KIM)"


def test_pressed_twice_it_is_answered_once_and_said_by_whom(bot, slack, airflow):
    press(bot, slack, APPROVE)
    press(bot, slack, APPROVE)
    assert len(airflow.answered) == 1
    assert "answered by kim (U0KIM)" in shown(slack.answers[-1])


def test_who_comes_second_is_told_who_has_answered_what(tmp_path, slack, airflow):
    settings = settings_of(tmp_path / "two", airflow, ROUTING_ML_SLACK_ADMINS="U0KIM,U0LEE")
    bot = bot_of(settings, slack)
    press(bot, slack, APPROVE)
    airflow.questions[RUN]["task_instance"]["state"] = "success"
    press(bot, slack, KEEP, user="U0LEE", name="lee")
    assert len(airflow.answered) == 1
    said = shown(slack.called[-1][1])
    assert "Put it into use: answered by slack-bot" in said
    assert "kim (U0KIM) by Slack" in said


def test_who_answers_between_the_question_and_the_answer_wins(bot, slack, airflow):
    asked = bot.airflow.question

    def raced(*place):
        found = asked(*place)
        if not found["response_received"]:
            answer = {"chosen_options": ["Keep what is in use"], "params_input": {"why": "by lee"}}
            airflow.respond(RUN, airflow.questions[RUN], answer)
        return found

    bot.airflow.question = raced
    press(bot, slack, APPROVE)
    assert [body["chosen_options"] for _, body in airflow.answered] == [["Keep what is in use"]]
    assert "Keep what is in use: answered by" in shown(slack.called[-1][1])


def test_a_run_that_is_cleared_between_the_question_and_the_answer_is_not_said_to_be_answered(
    bot, slack, airflow
):
    def cleared(*place, **answer):
        airflow.ask(RUN, state="scheduled")
        return False

    bot.airflow.answer = cleared
    press(bot, slack, APPROVE)
    assert "not waiting for an answer now; try again in a minute" in shown(slack.answers[-1])
    airflow.ask(RUN)
    bot.airflow.answer = lambda *place, **answer: False  # it asks again by now
    press(bot, slack, APPROVE)
    assert "not waiting for an answer now; try again in a minute" in shown(slack.answers[-1])


def test_a_time_out_is_not_said_to_be_a_persons(bot, slack, airflow):
    airflow.questions[RUN] |= {
        "response_received": True,
        "chosen_options": ["Keep what is in use"],
        "responded_at": "2026-11-26T10:00:00Z",
    }
    press(bot, slack, APPROVE)
    assert "Keep what is in use: nobody answered in time" in shown(slack.called[-1][1])


@pytest.mark.parametrize(
    "asks",
    [
        ASKS | {"dag": "somebody_elses"},
        ASKS | {"task": "delete_all"},
        ASKS | {"run": ""},
        ASKS | {"run": ["a"]},
        ASKS | {"run": "r" * 251},
        {"run": RUN},
        {},
    ],
)
def test_a_button_of_another_task_is_refused(bot, slack, airflow, settings, asks):
    press(bot, slack, APPROVE, asks)
    assert airflow.answered == []
    assert "That was not done" in shown(slack.answers[-1])
    assert audited(settings)[-1]["outcome"].startswith("not done: this button")


def test_a_run_that_asks_nothing_is_not_answered(bot, slack, airflow):
    press(bot, slack, APPROVE, ASKS | {"run": "another"})
    assert "asks nothing any more" in shown(slack.answers[-1])
    airflow.ask("failed", state="failed")
    press(bot, slack, APPROVE, ASKS | {"run": "failed"})
    assert "gone on without an answer" in shown(slack.answers[-1])
    airflow.ask("cleared", state="queued")
    press(bot, slack, APPROVE, ASKS | {"run": "cleared"})
    assert "not waiting for an answer now" in shown(slack.answers[-1])
    assert airflow.answered == []


def test_a_notice_about_another_model_than_the_run_asks_about_by_now_is_refused(
    bot, slack, airflow, settings
):
    from routing_ml.pipeline import run_folder

    asks = ASKS | {"model": "model_20261101_020000"}
    press(bot, slack, APPROVE, asks)
    assert "cannot be read" in shown(slack.answers[-1])
    folder = run_folder(settings, RUN)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "decision.json").write_text('{"winner": "model_20261102_020000"}')
    press(bot, slack, APPROVE, asks)
    assert "asks about model_20261102_020000 by now" in shown(slack.answers[-1])
    assert airflow.answered == []
    (folder / "decision.json").write_text('{"winner": "model_20261101_020000"}')
    press(bot, slack, APPROVE, asks)
    assert len(airflow.answered) == 1


def test_who_may_not_act_answers_nothing_and_the_buttons_stay(bot, slack, airflow):
    press(bot, slack, APPROVE, user="U0EVE", name="eve")
    assert airflow.answered == []
    assert "may not act" in shown(slack.answers[-1])
    assert slack.answers[-1]["replace_original"] is False


def test_a_message_that_was_deleted_is_answered_in_its_channel(bot, slack, airflow):
    slack.deleted.add(TS)
    press(bot, slack, APPROVE)
    assert len(airflow.answered) == 1
    method, body = slack.called[-1]
    assert (method, body["channel"]) == ("chat.postMessage", "C0PLAN")
    assert "Put it into use: answered by kim" in shown(body)


def test_airflow_that_is_away_leaves_the_buttons_to_be_pressed_again(bot, slack, airflow):
    airflow.down = True
    press(bot, slack, APPROVE)
    assert "503" in shown(slack.answers[-1])
    airflow.down = False
    press(bot, slack, APPROVE)
    assert len(airflow.answered) == 1


def test_a_hostile_name_is_shown_as_text(tmp_path, slack, airflow):
    settings = settings_of(tmp_path / "home", airflow)
    press(bot_of(settings, slack), slack, APPROVE, name="<!channel>*k*\u202e@here")
    said = slack.called[-1][1]["blocks"][-1]["text"]["text"]
    assert "&lt;!channel&gt;∗k∗" in said
    assert not set("<>*\u202e") & set(said)


def test_an_answer_that_airflow_took_and_told_too_late_is_said_to_be_taken(
    bot, slack, airflow, settings, monkeypatch
):
    respond = airflow.respond

    def late(*given):
        airflow.holds = 0.0 if airflow.answered else 1.0
        return respond(*given)

    monkeypatch.setattr(airflow, "respond", late)
    monkeypatch.setattr(airflow_api, "ANSWER_S", 0.3)
    press(bot, slack, APPROVE)
    assert len(airflow.answered) == 1
    said = shown(slack.called[-1][1])
    assert "Put it into use: answered by slack-bot" in said
    assert "kim (U0KIM) by Slack" in said
