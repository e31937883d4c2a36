"""What people ask for is answered, and done once by those who may; every act is written down."""

import json
import tarfile
from contextlib import closing
from pathlib import Path

import pytest
from slack_bot_fixtures import (
    FakeAirflow,
    FakeSlackApp,
    add_version,
    audited,
    bot_of,
    buttons,
    settings_of,
    shown,
)

from routing_ml import clock
from routing_ml.proposals import predict
from routing_ml.registry import Registry
from routing_ml.slackbot import acting, airflow_api
from routing_ml.slackbot.handling import RESUMED_S
from routing_ml.slackbot.requests import read
from routing_ml.source import Columns
from routing_ml.store import Store

KEPT = Path(__file__).resolve().parent.parent / "kept"


@pytest.fixture
def slack():
    with FakeSlackApp() as slack:
        yield slack


@pytest.fixture
def airflow():
    with FakeAirflow() as airflow:
        yield airflow


@pytest.fixture
def settings(tmp_path, airflow):
    return settings_of(tmp_path / "home", airflow)


@pytest.fixture
def bot(settings, slack):
    return bot_of(settings, slack)


def say(bot, slack, text, **about):
    """The answer to a command."""
    before = len(slack.answers)
    bot.handle(read("slash_commands", "e", slack.command(text, **about)))
    assert len(slack.answers) == before + 1
    return slack.answers[-1]


def press(bot, slack, action, value, **about):
    bot.handle(read("interactive", "e", slack.press(action, value, ephemeral=True, **about)))
    return slack.answers[-1]


def in_use(settings):
    active = Registry(settings.home / "models").active()
    return active.name if active else None


# Reading


def test_anyone_of_the_workspace_may_read_and_nobody_else(bot, slack):
    assert "No model is in use yet" in shown(say(bot, slack, "status", user="U0OTHER"))
    assert "Only members" in shown(say(bot, slack, "status", team="T0STRANGER"))


def test_status_names_the_model_since_when_and_who_and_why(bot, slack, settings):
    name = add_version(settings, "a")
    Registry(settings.home / "models").promote(name, who="maria", why="better on flanges")
    said = shown(say(bot, slack, "status"))
    assert f"{name} is in use" in said
    assert "by maria: better on flanges" in said
    assert "No retraining has ended yet." in said


def test_models_are_listed_newest_first_with_the_one_in_use(bot, slack, settings):
    old, new = add_version(settings, "a", 0.8), add_version(settings, "b", 0.9)
    Registry(settings.home / "models").promote(old, who="maria", why="x")
    lines = shown(say(bot, slack, "models")).splitlines()
    assert lines[0] == "2 versions"
    assert lines[1].startswith(new)
    assert "90.0% exactly right" in lines[1]
    assert lines[2].startswith(f"in use: {old}")


def test_drift_is_answered_before_there_was_any(bot, slack):
    assert shown(say(bot, slack, "drift")).startswith(("Drift was not", "That cannot"))


@pytest.mark.parametrize("text", ["", "help", "status?", "<!channel>", "x" * 10_000])
def test_anything_else_is_answered_with_what_can_be_asked(bot, slack, text):
    assert "explain ITEM: why this routing" in shown(say(bot, slack, text))


def test_hostile_text_of_a_command_is_shown_as_text(bot, slack, settings):
    answer = say(bot, slack, "promote <script>@here*x* why")
    assert "&lt;script&gt;@\u200bhere\u2217x\u2217" in shown(answer)
    assert "<" not in json.dumps(answer)


def test_an_answer_is_for_who_asked_alone(bot, slack):
    assert say(bot, slack, "status")["response_type"] == "ephemeral"


def test_an_address_that_holds_no_longer_is_replaced_by_the_channel_and_that_by_a_message(
    bot, slack
):
    slack.expired = True
    command = read("slash_commands", "e1", slack.command("models"))
    bot.handle(command)
    method, body = slack.called[-1]
    assert (method, body["user"], body["channel"]) == ("chat.postEphemeral", "U0KIM", "C0PLAN")
    slack.closed.add("C0PLAN")
    bot.handle(read("slash_commands", "e2", slack.command("models")))
    method, body = slack.called[-1]
    assert (method, body["channel"]) == ("chat.postMessage", "U0KIM")


def test_a_command_that_is_delivered_again_is_answered_once(bot, slack):
    payload = slack.command("models")
    for envelope in ("e1", "e2"):
        bot.handle(read("slash_commands", envelope, payload))
    assert len(slack.answers) == 1


# Acting


def test_who_is_not_named_may_not_act_and_it_is_written_down(bot, slack, settings, airflow):
    for text in ("retrain", "promote model_20261101_020000", "rollback"):
        assert "may not act" in shown(say(bot, slack, text, user="U0OTHER", name="eve"))
    value = {"to": "model_20261101_020000", "from": None, "place": None, "why": ""}
    answer = press(bot, slack, "routing_ml_promote", value, user="U0OTHER")
    assert "may not act" in shown(answer)
    assert airflow.runs == {}
    assert [line["outcome"][:8] for line in audited(settings)] == ["refused:"] * 4
    assert audited(settings)[0]["user"] == "U0OTHER"


def test_members_of_a_group_may_act_and_of_one_that_slack_does_not_tell_nobody(
    tmp_path, slack, airflow
):
    settings = settings_of(tmp_path / "home", airflow, ROUTING_ML_SLACK_ADMINS="S0PLAN, S0GONE")
    slack.groups["S0PLAN"] = ["U0LEE"]
    bot = bot_of(settings, slack)
    assert "has begun" in shown(say(bot, slack, "retrain", user="U0LEE"))
    assert "does not say now who may act" in shown(say(bot, slack, "retrain", user="U0KIM"))
    slack.groups["S0GONE"] = []
    assert "may not act" in shown(say(bot, slack, "retrain", user="U0KIM"))
    assert len(airflow.runs) == 1


def test_nobody_may_act_where_nobody_is_named(tmp_path, slack, airflow):
    settings = settings_of(tmp_path / "home", airflow, ROUTING_ML_SLACK_ADMINS="")
    assert "is not set" in shown(say(bot_of(settings, slack), slack, "retrain"))
    assert airflow.runs == {}


def test_a_run_that_airflow_has_begun_and_not_told_in_time_is_said_to_have_begun(
    bot, slack, airflow, monkeypatch
):
    trigger = airflow.trigger

    def late(body):
        airflow.holds = 0.0 if airflow.runs else 1.0
        return trigger(body)

    monkeypatch.setattr(airflow, "trigger", late)
    monkeypatch.setattr(airflow_api, "ANSWER_S", 0.3)
    assert "A retraining has begun" in shown(say(bot, slack, "retrain"))
    assert (len(airflow.runs), list(airflow.asked_for.values())) == (1, [2])


def test_retrain_starts_one_run_however_often_it_is_delivered(bot, slack, settings, airflow):
    payload = slack.command("retrain", name="kim")
    for envelope in ("e1", "e2", "e1"):
        bot.handle(read("slash_commands", envelope, payload))
    ((run, body),) = airflow.runs.items()
    assert body["note"] == "asked for by Slack: kim (U0KIM)"
    assert len(slack.answers) == 1
    assert f"/dags/routing_ml_retrain/runs/{run}>" in shown(slack.answers[0])
    begun, done = audited(settings)
    assert (begun["outcome"], done["outcome"]) == ("begun", "done: A retraining has begun")
    assert (done["who"], done["what"]) == ("Slack: kim (U0KIM)", "retrain")


def test_a_retraining_that_airflow_refuses_can_be_asked_for_again(bot, slack, settings, airflow):
    airflow.down = True
    payload = slack.command("retrain")
    bot.handle(read("slash_commands", "e1", payload))
    assert "Airflow answered 503" in shown(slack.answers[-1])
    airflow.down = False
    bot.handle(read("slash_commands", "e1", payload))
    assert len(airflow.runs) == 1
    assert [line["outcome"].split(":")[0] for line in audited(settings)] == [
        "begun", "not done", "begun", "done",
    ]  # fmt: skip


def test_promote_asks_first_and_is_done_once_with_who_and_why(bot, slack, settings):
    old, new = add_version(settings, "a"), add_version(settings, "b")
    registry = Registry(settings.home / "models")
    registry.promote(old, who="maria", why="x")
    answer = say(bot, slack, f"promote {new} better on flanges")
    assert f"Put {new} into use?" in shown(answer)
    assert in_use(settings) == old
    value = buttons(answer)["routing_ml_promote"]
    for _ in range(2):
        answer = press(bot, slack, "routing_ml_promote", value)
    assert in_use(settings) == new
    assert "pressed before" in shown(answer)
    last = registry.history()[-1]
    assert last["who"] == "Slack: kim (U0KIM)"
    assert last["why"].startswith("better on flanges [slack ")
    assert len(registry.history()) == 2


def test_people_are_told_of_a_switch_as_of_one_by_a_command(bot, slack, settings, monkeypatch):
    told = []
    monkeypatch.setattr(acting, "tell_switches", lambda *given: told.append(given))
    name = add_version(settings, "a")
    value = buttons(say(bot, slack, f"promote {name}"))["routing_ml_promote"]
    press(bot, slack, "routing_ml_promote", value)
    assert told == [(settings, None)]


def test_what_was_switched_since_the_question_is_not_switched_again(bot, slack, settings):
    names = [add_version(settings, key) for key in "abc"]
    registry = Registry(settings.home / "models")
    for name in names[:2]:
        registry.promote(name, who="maria", why="x")
    promote = buttons(say(bot, slack, f"promote {names[2]}"))["routing_ml_promote"]
    rollback = buttons(say(bot, slack, "rollback"))["routing_ml_rollback"]
    registry.rollback(who="maria", why="wrong machines")
    for action, value in (("routing_ml_promote", promote), ("routing_ml_rollback", rollback)):
        assert "maria" in shown(press(bot, slack, action, value))
        assert in_use(settings) == names[0]


def test_rollback_goes_back_one_however_often_it_is_pressed(bot, slack, settings):
    names = [add_version(settings, key) for key in "abc"]
    registry = Registry(settings.home / "models")
    for name in names:
        registry.promote(name, who="maria", why="x")
    answer = say(bot, slack, "rollback worse on castings")
    value = buttons(answer)["routing_ml_rollback"]
    for _ in range(3):
        press(bot, slack, "routing_ml_rollback", value)
    assert in_use(settings) == names[1]
    assert registry.history()[-1]["why"].startswith("worse on castings")
    # Another message that asks the same is answered by what has happened since.
    assert "in the meantime" in shown(
        press(bot, slack, "routing_ml_rollback", value, message="2.2")
    )
    assert in_use(settings) == names[1]


def test_a_question_may_be_left_unanswered(bot, slack, settings):
    answer = press(bot, slack, "routing_ml_cancel", {})
    assert "Nothing was changed" in shown(answer)
    assert answer["replace_original"] is True


def test_a_button_of_another_release_or_without_a_version_does_nothing(bot, slack, settings):
    add_version(settings, "a")
    assert "another release" in shown(press(bot, slack, "routing_ml_delete", {"to": "x"}))
    assert "names no version" in shown(press(bot, slack, "routing_ml_promote", {"to": ["x"]}))
    assert in_use(settings) is None


def test_who_cannot_be_written_down_does_nothing(bot, slack, settings, airflow):
    (settings.home / "slack_bot").mkdir(exist_ok=True)
    (settings.home / "slack_bot" / "audit.jsonl").mkdir()
    assert "cannot be written" in shown(say(bot, slack, "retrain"))
    assert airflow.runs == {}


# A bot that was killed


def test_what_a_killed_bot_had_begun_is_done_once_by_the_next(settings, slack, airflow):
    payload = slack.command("retrain")
    killed = bot_of(settings, slack)
    killed.claims.end = lambda *_: (_ for _ in ()).throw(SystemExit)
    with pytest.raises(SystemExit):
        killed.handle(read("slash_commands", "e", payload))
    assert len(airflow.runs) == 1
    bot = bot_of(settings, slack)
    bot.resume(bot.begun())
    assert len(airflow.runs) == 1
    assert "has begun" in shown(slack.answers[-1])
    assert bot.begun() == []


def test_a_switch_of_a_killed_bot_is_not_made_again_after_another_one(settings, slack):
    old, new = add_version(settings, "a"), add_version(settings, "b")
    registry = Registry(settings.home / "models")
    registry.promote(old, who="maria", why="x")
    killed = bot_of(settings, slack)
    value = buttons(say(killed, slack, f"promote {new}"))["routing_ml_promote"]
    killed.claims.end = lambda *_: (_ for _ in ()).throw(SystemExit)
    with pytest.raises(SystemExit):
        press(killed, slack, "routing_ml_promote", value)
    registry.rollback(who="maria", why="wrong machines")
    bot = bot_of(settings, slack)
    bot.resume(bot.begun())
    assert in_use(settings) == old
    assert bot.begun() == []
    # It was done, and is said to have been.
    assert audited(settings)[-1]["outcome"] == f"done: {new} is in use"


def test_what_was_begun_long_ago_is_not_done_by_the_next_and_said_to_be_unknown(
    settings, slack, airflow, monkeypatch
):
    killed = bot_of(settings, slack)
    killed.audit.write = lambda *_: (_ for _ in ()).throw(SystemExit)
    killed.claims.give_up = lambda *_: None
    with pytest.raises(SystemExit):
        killed.handle(read("slash_commands", "e", slack.command("retrain")))
    now = clock.seconds() + RESUMED_S + 1
    monkeypatch.setattr(clock, "seconds", lambda: now)
    bot = bot_of(settings, slack)
    bot.resume(bot.begun())
    assert airflow.runs == {}
    assert audited(settings)[-1]["outcome"].startswith("not known")
    assert bot.begun() == []


# The sample


@pytest.fixture
def learned(tmp_path) -> Path:
    """A state folder with a model of the sample in use."""
    home = tmp_path / "home"
    # Debian 12's Python 3.11.2 has no filters yet.
    filtered = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(KEPT / "state_2.1.0.tar.xz") as archive:
        archive.extractall(home, **filtered)  # noqa: S202 - our own
    return home


def test_explain_says_why_a_routing_of_the_source_and_counts_it_as_a_question(learned, slack):
    settings = settings_of(learned)
    bot = bot_of(settings, slack)
    data = predict.read_source(settings.source(), Columns.load(None), settings.moment(None))
    code = str(data.items["ITEM_CD"].iloc[0])

    def predicted():
        with closing(Store(settings.store_url, write=False)) as store:
            return store.last_prediction()

    before = predicted()
    said = shown(say(bot, slack, f"explain {code.lower()}"))
    assert said.startswith(f"{code}: ")
    assert "Of 100 proposals this certain" in said
    assert "Similar past items" in said
    assert predicted() == before
    assert "is not in the item table" in shown(say(bot, slack, "explain <!here>"))
    assert "needs the code" in shown(say(bot, slack, "explain"))


def test_status_and_drift_tell_what_the_store_knows(learned, slack):
    settings = settings_of(learned)
    bot = bot_of(settings, slack)
    Store(settings.store_url).close()  # makes what a store of that release lacks
    said = shown(say(bot, slack, "status"))
    assert f"{in_use(settings)} is in use" in said
    assert "The last retraining succeeded" in said
    assert "0 of 7 days" in said
    assert shown(say(bot, slack, "drift")).startswith("No drift: ")
