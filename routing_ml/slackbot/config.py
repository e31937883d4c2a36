"""What the bot needs to be told: its tokens, who may act, and where Airflow is."""

import re
from dataclasses import dataclass

from routing_ml.errors import SettingError
from routing_ml.settings import Settings

MANIFEST = "deploy/slack_app_manifest.yaml"
USER = re.compile(r"[UW][A-Z0-9]{2,20}")
GROUP = re.compile(r"S[A-Z0-9]{2,20}")


@dataclass(frozen=True, repr=False)
class Config:
    """Two tokens of one Slack app; the ids of `users` and user `groups` that may act (nobody where
    both are empty); Airflow's address and the bot's own user there, None where it is not set."""

    bot_token: str
    app_token: str
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    airflow_url: str | None = None
    airflow_user: str | None = None
    airflow_password: str | None = None
    slack_api: str = "https://slack.com/api/"

    @classmethod
    def of(cls, settings: Settings) -> "Config":
        """The bot's part of the settings. SettingError, without a token, for what cannot be used.

        >>> given = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"}
        >>> given |= {"ROUTING_ML_SLACK_ADMINS": "U012ABC, S0PLAN"}
        >>> sorted(Config.of(Settings.from_env(given)).groups)
        ['S0PLAN']
        """
        given = settings.given
        users, groups = _admins(given.get("ROUTING_ML_SLACK_ADMINS", ""))
        url = given.get("ROUTING_ML_AIRFLOW_URL") or settings.ui_url
        if url is not None and not re.match(r"https?://[^\s/]", url):
            raise SettingError(
                "ROUTING_ML_AIRFLOW_URL is no address that begins with http:// or https://; "
                "set it to Airflow's, such as http://localhost:8080"
            )
        return cls(
            bot_token=_token("SLACK_BOT_TOKEN", "xoxb-", given.get("SLACK_BOT_TOKEN")),
            app_token=_token("SLACK_APP_TOKEN", "xapp-", given.get("SLACK_APP_TOKEN")),
            users=users,
            groups=groups,
            airflow_url=url,
            airflow_user=given.get("ROUTING_ML_AIRFLOW_USER"),
            airflow_password=given.get("ROUTING_ML_AIRFLOW_PASSWORD"),
        )

    def __repr__(self) -> str:
        """No secret, and how many may act."""
        return f"Config({len(self.users)} users and {len(self.groups)} groups may act)"


def _token(name: str, prefix: str, value: str | None) -> str:
    if value is None:
        raise SettingError(
            f"{name} is not set: make a Slack app of {MANIFEST}, then set it to the token that "
            f"begins with {prefix}"
        )
    if not re.fullmatch(rf"{prefix}[\w-]+", value, re.ASCII):
        raise SettingError(f"{name} is no token that begins with {prefix}; copy it from Slack")
    return value


def _admins(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """The ids of users and of groups; SettingError names what is neither."""
    names = [name for name in re.split(r"[\s,]+", text) if name]
    for name in names:
        if not USER.fullmatch(name) and not GROUP.fullmatch(name):
            raise SettingError(
                f"ROUTING_ML_SLACK_ADMINS has {name!r}, which is no Slack id: give ids of users "
                "(U...) and user groups (S...), from 'Copy member ID' and 'Copy group ID'"
            )
    users = frozenset(name for name in names if USER.fullmatch(name))
    return users, frozenset(names) - users
