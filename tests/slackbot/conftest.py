"""A Slack, an Airflow, and a bot between them."""

import pytest
from slack_bot_fixtures import FakeAirflow, FakeSlackApp, bot_of, settings_of


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
