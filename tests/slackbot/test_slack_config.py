"""Settings of the bot: what cannot be used is named, and no token is shown."""

import pytest

from routing_ml.errors import SettingError
from routing_ml.redaction import redact
from routing_ml.settings import Settings
from routing_ml.slackbot import Config

GIVEN = {"SLACK_BOT_TOKEN": "xoxb-12-secret", "SLACK_APP_TOKEN": "xapp-1-secret"}


def config(**more: str) -> Config:
    return Config.of(Settings.from_env(GIVEN | more))


def test_users_and_groups_are_told_apart_by_their_ids():
    found = config(ROUTING_ML_SLACK_ADMINS="U012ABC, W9XYZ\nS0PLAN")
    assert found.users == {"U012ABC", "W9XYZ"}
    assert found.groups == {"S0PLAN"}


def test_nobody_may_act_where_nobody_is_named():
    assert (config().users, config().groups) == (frozenset(), frozenset())


@pytest.mark.parametrize("name", ["kim", "@kim", "u012abc", "C0PLAN", "U0<!here>"])
def test_what_is_no_id_is_refused_by_name(name):
    with pytest.raises(SettingError, match="ROUTING_ML_SLACK_ADMINS has"):
        config(ROUTING_ML_SLACK_ADMINS=name)


@pytest.mark.parametrize("name", GIVEN)
def test_a_token_that_is_missing_or_of_another_kind_is_named_and_never_shown(name):
    with pytest.raises(SettingError, match=f"{name} is not set"):
        config(**{name: ""})
    other = GIVEN["SLACK_APP_TOKEN" if name == "SLACK_BOT_TOKEN" else "SLACK_BOT_TOKEN"]
    with pytest.raises(SettingError, match=f"{name} is no token") as refused:
        config(**{name: other})
    assert "secret" not in str(refused.value)
    assert "secret" not in repr(config())


def test_airflow_is_where_its_own_setting_says_or_the_bots():
    assert config().airflow_url is None
    base = {"AIRFLOW__API__BASE_URL": "http://a:8080"}
    assert config(**base).airflow_url == "http://a:8080"
    assert config(**base, ROUTING_ML_AIRFLOW_URL="https://b").airflow_url == "https://b"
    with pytest.raises(SettingError, match="ROUTING_ML_AIRFLOW_URL"):
        config(ROUTING_ML_AIRFLOW_URL="file:///etc/passwd")


def test_neither_kind_of_token_is_shown_of_what_others_say():
    said = redact(f"refused {GIVEN['SLACK_BOT_TOKEN']} and {GIVEN['SLACK_APP_TOKEN']}")
    assert "secret" not in said
