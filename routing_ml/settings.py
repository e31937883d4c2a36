"""Reads the environment once, at the edge, into one frozen object that is passed down."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from os import PathLike, fspath
from pathlib import Path
from typing import Literal
from urllib.parse import quote, unquote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from routing_ml import clock, modes
from routing_ml.errors import SettingError
from routing_ml.redaction import POSTGRESQL, named

DEFAULT_SOURCE = "default"
DEFAULT_ZONE = "Asia/Seoul"
CHECKOUT = Path(__file__).resolve().parent.parent
SAMPLE = CHECKOUT / "sample" / "factory_sample.accdb"
BASE = CHECKOUT if (CHECKOUT / "pyproject.toml").is_file() else Path.home() / "routing-ml"
"""What a relative path of the environment is relative to, whatever folder a command is run in."""
CONNECTION_STRING = re.compile(r"\s*[A-Za-z][\w -]*=")
OURS = re.compile(r"ROUTING_ML_|SLACK_|TEAMS_|AIRFLOW__API__BASE_URL$")
OF_ALL_SOURCES = ("ROUTING_ML_SOURCE_AWAY", "ROUTING_ML_SOURCE_WAIT")
"""What else begins like the name of a source."""
SPAN = re.compile(r"([0-9]{1,5})\s*(m|h|d)")
LEAST_WAIT, MOST_WAIT = timedelta(minutes=1), timedelta(days=7)
FILES = (".accdb", ".mdb", ".sqlite", ".db")


@dataclass(frozen=True, repr=False)
class Origin:
    """A source: its path or connection string, the setting that gave it, and the time zone of the
    moments in it that have one of their own."""

    source: str
    given_by: str = "ROUTING_ML_SOURCE or --source"
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo(DEFAULT_ZONE))

    def __repr__(self) -> str:
        return f"Origin({named(self.source)!r}, {self.given_by!r}, {self.zone.key!r})"


@dataclass(frozen=True, repr=False)
class Settings:
    """Where things are and whom to tell; see the README's table of settings."""

    home: Path
    store_url: str
    sources: Mapping[str, str]
    columns: Mapping[str, Path] = field(default_factory=dict)
    timezone: ZoneInfo = field(default_factory=lambda: ZoneInfo(DEFAULT_ZONE))
    null_gate: Literal["warning", "error"] = "warning"
    slack_webhook_url: str | None = None
    slack_bot_token: str | None = None
    slack_channel: str | None = None
    teams_webhook_url: str | None = None
    ui_url: str | None = None
    group_readable: bool = False
    daily_files_seen: bool = False
    backups: Path | None = None
    given: Mapping[str, str] = field(default_factory=dict)
    """The variables that were set, as they were: there are secrets among them."""
    source_away: Literal["fail", "wait", "last"] = "fail"
    source_wait: timedelta = timedelta(hours=6)
    promotion: Literal["automatic", "approve", "never"] = "automatic"
    approval_wait: timedelta = timedelta(days=3)
    configured: bool = True
    """Whether the sources are the environment's: one that a command was given is no concern of the
    monitoring store's."""

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> "Settings":
        """Settings from `env` (the process's environment by default); empty values count as unset.

        `ROUTING_ML_SOURCE` is the source named `default`; `ROUTING_ML_SOURCE_PLANT2` one named
        `plant2`, and `ROUTING_ML_COLUMNS`, `ROUTING_ML_COLUMNS_PLANT2` their columns files.

        >>> Settings.from_env({"ROUTING_ML_SOURCE_PLANT2": "DSN=plant2"}).sources["plant2"]
        'DSN=plant2'
        """
        env = os.environ if env is None else env
        given = {key: value.strip() for key, value in env.items() if value.strip()}
        zone = given.get("ROUTING_ML_TIMEZONE", DEFAULT_ZONE)
        try:
            timezone = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise SettingError(
                f"ROUTING_ML_TIMEZONE is {zone!r}, which is no IANA time zone; "
                "set one such as Asia/Seoul or Europe/Berlin"
            ) from error
        gate = given.get("ROUTING_ML_NULL_GATE", "warning")
        if gate not in ("warning", "error"):
            raise SettingError(f"ROUTING_ML_NULL_GATE is {gate!r}; set it to warning or error")
        away = given.get("ROUTING_ML_SOURCE_AWAY", "fail").lower()
        if away not in ("fail", "wait", "last"):
            raise SettingError(
                f"ROUTING_ML_SOURCE_AWAY is {away!r}; set it to fail, wait or last (the last good "
                "dataset)"
            )
        wait = _span("ROUTING_ML_SOURCE_WAIT", given.get("ROUTING_ML_SOURCE_WAIT", "6h"))
        promotion = given.get("ROUTING_ML_PROMOTION", "automatic").lower()
        if promotion not in ("automatic", "approve", "never"):
            raise SettingError(
                f"ROUTING_ML_PROMOTION is {promotion!r}; set it to automatic, approve (a person is "
                "asked) or never"
            )
        columns = _named(given, "ROUTING_ML_COLUMNS")
        home = _path(given.get("ROUTING_ML_HOME", "var"))
        sources = _named(given, "ROUTING_ML_SOURCE")
        return cls(
            home=home,
            store_url=_store_url(given.get("ROUTING_ML_STORE_URL") or default_url(home)),
            sources={DEFAULT_SOURCE: str(SAMPLE)}
            | {name: _source(source) for name, source in sources.items()},
            columns={name: _path(path) for name, path in columns.items()},
            timezone=timezone,
            null_gate="error" if gate == "error" else "warning",
            slack_webhook_url=given.get("SLACK_WEBHOOK_URL"),
            slack_bot_token=given.get("SLACK_BOT_TOKEN"),
            slack_channel=given.get("SLACK_CHANNEL"),
            teams_webhook_url=given.get("TEAMS_WEBHOOK_URL"),
            ui_url=given.get("AIRFLOW__API__BASE_URL"),
            group_readable=_flag(given, "ROUTING_ML_GROUP_READABLE"),
            daily_files_seen=_flag(given, "ROUTING_ML_DAILY_FILES_SEEN"),
            backups=_path(given["ROUTING_ML_BACKUPS"]) if "ROUTING_ML_BACKUPS" in given else None,
            given={name: value for name, value in given.items() if OURS.match(name)},
            source_away="wait" if away == "wait" else "last" if away == "last" else "fail",
            source_wait=wait,
            promotion=promotion,  # type: ignore[arg-type]  # one of them, as was seen above
            approval_wait=_span(
                "ROUTING_ML_APPROVAL_WAIT", given.get("ROUTING_ML_APPROVAL_WAIT", "3d")
            ),
        )

    def __repr__(self) -> str:
        """What may be logged of them: no secret, and of what may hold one its place."""
        shown = {
            "home": str(self.home),
            "store": named(self.store_url),
            "sources": {name: named(source) for name, source in self.sources.items()},
            "columns": {name: str(path) for name, path in self.columns.items()},
            "timezone": self.timezone.key,
            "null_gate": self.null_gate,
            "source_away": self.source_away,
            "slack": "told" if self.slack_webhook_url or self.has_slack_bot else "not told",
            "teams": "told" if self.teams_webhook_url else "not told",
        }
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def has_slack_bot(self) -> bool:
        """Whether notices go to Slack by its Web API, which wants a token and a channel."""
        return bool(self.slack_bot_token and self.slack_channel)

    @property
    def backup_folder(self) -> Path:
        """Where backups are: in the state folder, or where ROUTING_ML_BACKUPS says."""
        return self.backups or self.home / "backups"

    def source(self, name: str = DEFAULT_SOURCE) -> str:
        """The path or connection string of a configured source."""
        if name not in self.sources:
            known = ", ".join(sorted(self.sources))
            if not name.isidentifier():  # a connection string would show its password
                raise SettingError(f"a source is given by its name (there are: {known})")
            raise SettingError(
                f"no source is named {name!r} (there are: {known}); "
                f"set ROUTING_ML_SOURCE_{name.upper()} to a path or an ODBC connection string"
            )
        return self.sources[name]

    def origin(self, name: str = DEFAULT_SOURCE) -> Origin:
        """A configured source, with the setting that an error about it is to name.

        >>> Settings.from_env({"ROUTING_ML_SOURCE_PLANT2": "DSN=p2"}).origin("plant2").given_by
        'ROUTING_ML_SOURCE_PLANT2'
        """
        source = self.source(name)
        if name == DEFAULT_SOURCE:
            return Origin(source, zone=self.timezone)
        return Origin(source, f"ROUTING_ML_SOURCE_{name.upper()}", self.timezone)

    def opened(self) -> Path:
        """The state folder, to write to: made where there is none, and closed to others.

        Raises SettingError where it cannot be made.
        """
        try:
            modes.open_state(self.home, group=self.group_readable)
        except OSError as error:
            raise SettingError(
                f"state folder {self.home} cannot be used: {error.strerror}; choose another with "
                "ROUTING_ML_HOME"
            ) from error
        return self.home

    def run_address(self, dag_id: str, run_id: str) -> str | None:
        """The address of a run in Airflow's UI, None where AIRFLOW__API__BASE_URL is not set.

        A user and password in that are left out: whoever reads a notice has their own.
        """
        if not self.ui_url:
            return None
        scheme, found, rest = self.ui_url.rstrip("/").partition("://")
        base = f"{scheme}{found}{rest.rpartition('@')[2]}"
        return f"{base}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe=':+')}"

    def moment(self, text: str | datetime | None) -> datetime:
        """A naive moment in the factory's time zone; now when `text` is None.

        `text` is ISO 8601; without an offset it is in the factory's zone already, and a date
        alone is its midnight.

        >>> Settings.from_env({}).moment("2026-11-01T00:00:00Z").isoformat()
        '2026-11-01T09:00:00'
        """
        if text is None:
            return clock.utc().astimezone(self.timezone).replace(tzinfo=None)
        if isinstance(text, str):
            try:
                text = datetime.fromisoformat(text.strip())
            except ValueError as error:
                raise SettingError(
                    f"as-of {text!r} is no ISO 8601 date or time; "
                    "write it like 2026-11-01 or 2026-11-01T02:00:00+09:00"
                ) from error
        if text.tzinfo is None:
            return text
        try:
            return text.astimezone(self.timezone).replace(tzinfo=None)
        except OverflowError as error:  # at either end of the calendar
            raise SettingError(
                f"as-of {text.isoformat()} is no moment in {self.timezone.key}; "
                "write it like 2026-11-01 or 2026-11-01T02:00:00+09:00"
            ) from error

    def seconds(self, moment: datetime) -> float:
        """A naive moment in the factory's time zone in seconds since 1970."""
        return moment.replace(tzinfo=self.timezone).timestamp()

    def past_moment(self, text: str | datetime | None) -> datetime:
        """`moment`, of a run: SettingError where it is more than a day ahead. What was learned as
        of then would keep every model out that is learned from now on."""
        moment, now = self.moment(text), self.moment(None)
        if moment > now + timedelta(days=1):
            raise SettingError(
                f"as-of {moment.isoformat()} lies ahead of the clock of this machine "
                f"({now:%Y-%m-%d %H:%M}): give a moment that has passed, or none for now"
            )
        return moment


def is_connection_string(source: str) -> bool:
    """Whether `source` is an ODBC connection string, and no path.

    >>> is_connection_string("DSN=erp"), is_connection_string("/data/공장 a;b={c}")
    (True, False)
    """
    if source.lower().endswith(FILES) and ";" not in source:
        return False
    return CONNECTION_STRING.match(source) is not None


def expanded(text: str) -> Path:
    """`text` as a path, a leading `~` as a home folder; SettingError where that is nobody's."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise SettingError(
            f"path {named(text)!r} begins with the home folder of no user; write the whole path"
        ) from None


def _path(text: str) -> Path:
    return BASE / expanded(text)


def _flag(given: Mapping[str, str], name: str) -> bool:
    text = given.get(name, "false").lower()
    if text not in ("true", "false"):
        raise SettingError(f"{name} is {text!r}; set it to true or false")
    return text == "true"


def _span(name: str, text: str) -> timedelta:
    """`30m`, `6h` or `2d` as a time."""
    found = SPAN.fullmatch(text.strip().lower())
    unit = {"m": "minutes", "h": "hours", "d": "days"}
    span = timedelta(**{unit[found[2]]: int(found[1])}) if found else timedelta(0)
    if not LEAST_WAIT <= span <= MOST_WAIT:
        raise SettingError(
            f"{name} is {text!r}; set it to a time from 1m to 7d, such as 30m, 6h or 2d"
        )
    return span


def _source(text: str) -> str:
    return text if "://" in text or is_connection_string(text) else str(_path(text))


def _store_url(url: str) -> str:
    """The URL, a relative file of it below BASE."""
    if not checked(url).startswith("sqlite:"):
        return url
    return "sqlite:///" + quote(str(_path(sqlite_path(url))))


def _named(given: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The values of PREFIX (named `default`) and of every PREFIX_NAME (named in lower case)."""
    named = {
        key[len(prefix) + 1 :].lower(): value
        for key, value in given.items()
        if key.startswith(prefix + "_") and key not in OF_ALL_SOURCES
    }
    return named | ({DEFAULT_SOURCE: given[prefix]} if prefix in given else {})


def default_url(home: str | PathLike[str]) -> str:
    """The URL of the store in a state folder, where `ROUTING_ML_STORE_URL` does not say another.

    >>> default_url("/srv/routing")
    'sqlite:////srv/routing/store.db'
    """
    return "sqlite:///" + quote(f"{fspath(home)}/store.db")


def checked(url: str) -> str:
    """The URL, when it can name a store; SettingError, without what may be secret in it, when it
    cannot."""
    if url.startswith("sqlite:"):
        sqlite_path(url)
    elif not url.startswith(("postgresql://", "postgres://")):
        raise SettingError(
            f"ROUTING_ML_STORE_URL is {named(url)}: it must begin with sqlite:/// or "
            "postgresql://; correct it"
        )
    elif not POSTGRESQL.fullmatch(url):
        raise SettingError(
            "ROUTING_ML_STORE_URL is not postgresql://USER:PASSWORD@HOST:PORT/DATABASE; in a "
            "password write / as %2F, @ as %40, & as %26, = as %3D, % as %25, a space as %20"
        )
    return url


def sqlite_path(url: str) -> str:
    """The file of a `sqlite:///` URL; SettingError when it names none.

    >>> sqlite_path("sqlite:///var/store.db"), sqlite_path("sqlite:////srv/store.db")
    ('var/store.db', '/srv/store.db')
    """
    path = unquote(url.removeprefix("sqlite:///"))
    if not url.startswith("sqlite:///") or not path or path == ":memory:":
        raise SettingError(
            "ROUTING_ML_STORE_URL must name a file, as in sqlite:////srv/store.db; correct it"
        )
    return path
