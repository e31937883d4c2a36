"""No secret is shown anywhere, whatever it looks like and however it is given.

Secrets are made of Cyrillic letters among the signs that connection strings, URLs, JSON and shells
make something of: no part of one occurs by chance in what is shown, encoded or not.
"""

import argparse
import contextlib
import importlib.util
import json
import logging
import re
import sqlite3
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, unquote

import psycopg
import pyodbc
import pytest
from conftest import ROOT
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from slack_fixtures import FakeSlack

from routing_ml import notices, pipeline
from routing_ml.cli.command_line import _parser
from routing_ml.errors import RoutingError, SettingError
from routing_ml.pipeline import report
from routing_ml.redaction import attributes, named, redact
from routing_ml.settings import Origin, Settings
from routing_ml.source.opening import open_source
from routing_ml.store import Store

SIGNS = "/@:;{}%=?&#'\"\\+ ,.!$[]()<>|~^*-_0aZ"
secrets = st.lists(
    st.tuples(st.sampled_from("ЖЩЮЯЪ"), st.text(SIGNS, max_size=5)), min_size=3, max_size=5
).map(lambda parts: "".join(letter + signs for letter, signs in parts).strip())
KEYS = ["PWD", "pwd", "Password", "Passwd", "PASS", "Pass", "AccessToken", "Client Secret"]
KEYS += ["ApiKey", "api_key", "SSLKeyPassword", "Authentication Token", "secret"]
keys = st.sampled_from(KEYS)


def braced(secret: str) -> str:
    return "{" + secret.replace("}", "}}") + "}"


def bare(secret: str) -> str:
    assume(";" not in secret and not secret.startswith("{"))
    return secret


ODBC = [
    lambda key, secret: f"DRIVER={{No such}};SERVER=erp;UID=ml;{key}={braced(secret)}",
    lambda key, secret: f"{key}={braced(secret)};DRIVER={{No such}};SERVER=erp",
    lambda key, secret: f"Driver=No such; {key} = {braced(secret)} ; Database=x;",
    lambda key, secret: f"DSN=no_such;UID=ml;{key}={bare(secret)}",
    lambda key, secret: f"DRIVER={{No such}};{key}={bare(secret)};DATABASE=erp",
    lambda key, secret: f"DSN=no_such;{key}={quote(secret, safe='')}",
    lambda key, secret: f"DSN=no_such;{key}={{{quote(secret, safe='')}}}",
    # what no driver reads
    lambda key, secret: f"DSN=no_such;{key}={{{secret}",
    lambda key, secret: f"DSN=no_such;;{key}={{a}}{secret}",
]
URLS = [
    lambda key, secret: f"postgresql://ml:{secret}@127.0.0.1:9/store",
    lambda key, secret: f"postgresql://ml:{quote(secret, safe='')}@127.0.0.1:9/store",
    lambda key, secret: f"postgresql://ml:{quote(secret, safe='').replace('D0', 'd0')}@[::1]:9/x",
    lambda key, secret: f"postgres://127.0.0.1:9/store?user=ml&password={quote(secret, safe='')}",
    lambda key, secret: f"postgresql://127.0.0.1:9/store?password={secret}&connect_timeout=1",
    lambda key, secret: f"postgresql://127.0.0.1:9/store?{key}={secret}",
    lambda key, secret: f"mysql://ml:{secret}@erp/db",
    lambda key, secret: f"sqlite://ml:{secret}@erp/db",
    lambda key, secret: f"jdbc:sqlserver://erp;user=ml;{key}={secret}",
]
BARE = [
    lambda key, secret: f"ml:{secret}@erp",
    lambda key, secret: f"ml:{secret}@erp:5432/db",
    lambda key, secret: f"~ml:{secret}@erp",
    lambda key, secret: f"host=erp user=ml password={secret}",
]
sources = st.builds(
    lambda shape, *parts: shape(*parts), st.sampled_from(ODBC + URLS + BARE), keys, secrets
)
stores = st.builds(lambda shape, *parts: shape(*parts), st.sampled_from(URLS + BARE), keys, secrets)

often = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
rarely = settings(often, max_examples=12)


def clean(text: str) -> bool:
    """Whether nothing of a secret is in a text, encoded or not."""
    with warnings.catch_warnings():  # of escapes that are none
        warnings.simplefilter("ignore", DeprecationWarning)
        decoded = unquote(unquote(text)).encode().decode("unicode_escape", "replace")
    decoded += unquote(text)
    return not re.search("[ЖЩЮЯЪжщюяъ]|%D0|\\\\u04|Ð", text + decoded, re.IGNORECASE)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    """All that was logged so far in the test, with its tracebacks."""
    caplog.set_level(logging.DEBUG)
    caplog.handler.setFormatter(logging.Formatter("%(message)s"))
    yield lambda: caplog.text


def chain(error: BaseException | None) -> str:
    """What a traceback would show of an error and of those behind it."""
    shown = []
    while error is not None:
        shown.append(str(error))
        hidden = error.__suppress_context__ and error.__cause__ is None
        error = error.__cause__ or (None if hidden else error.__context__)
    return "\n".join(shown)


def text_of(path: Path) -> str:
    """What a file says; of a database the rows, whose bytes make letters by chance."""
    if path.name != "store.db":
        return path.read_text(errors="replace")
    with contextlib.closing(sqlite3.connect(path)) as database:
        return "\n".join(database.iterdump())


@given(secrets)
def test_the_check_finds_a_secret_in_any_way_it_is_written(secret: str) -> None:
    for written in (secret, quote(secret), quote(quote(secret)), json.dumps(secret), repr(secret)):
        assert not clean(f"a {written} b")


@given(sources)
@often
def test_a_source_is_named_without_its_secret(source: str) -> None:
    assert clean(named(source))
    assert clean(redact(f"cannot open {source}", source))


@given(sources, stores)
@often
def test_settings_show_no_secret(tmp_path: Path, source: str, store: str) -> None:
    given = {"ROUTING_ML_HOME": str(tmp_path), "ROUTING_ML_SOURCE": source}
    hook = "https://hooks.slack.com/services/T0/B0/" + "ЖЩЮ"
    given |= {"ROUTING_ML_SOURCE_P2": source, "SLACK_WEBHOOK_URL": hook}
    given |= {"SLACK_BOT_TOKEN": "xoxb-1-ЖЩЮ", "TEAMS_WEBHOOK_URL": "https://x/?sig=ЖЩЮ"}
    given |= {"AIRFLOW__API__BASE_URL": store}
    for env in (given, given | {"ROUTING_ML_STORE_URL": store}):
        try:
            made = Settings.from_env(env)
        except SettingError as error:
            assert clean(chain(error))
            continue
        assert clean(str(made)) and clean(repr(made)) and clean(f"{made}")
        assert clean(repr(made.origin()) + str(made.origin("p2")))
        assert clean(str(made.run_address("dag", "run")).partition("/dags/")[2])


@given(sources)
@often
def test_a_source_that_cannot_be_opened_is_told_without_its_secret(
    tmp_path: Path, logged: Callable[[], str], source: str
) -> None:
    with pytest.raises(RoutingError) as failed:
        open_source(Origin(source), tmp_path)
    assert clean(chain(failed.value)) and clean(logged())


ECHOES = [
    lambda source, secret: source,
    lambda source, secret: f"login failed for {secret!r}",
    lambda source, secret: f"login failed for\n{secret}",
    lambda source, secret: f"bad value {quote(secret, safe='')} {json.dumps(secret)}",
    lambda source, secret: f"unexpected {unquote(secret)}",
    lambda source, secret: f"near {braced(secret)}: syntax",
]


@given(st.sampled_from(ODBC[:7]), keys, secrets, st.sampled_from(ECHOES))
@often
def test_a_driver_that_repeats_what_it_was_given_is_not_repeated(
    tmp_path: Path, shape: Callable, key: str, secret: str, echo: Callable
) -> None:
    source = shape(key, secret)

    def connect(text: str, **_: Any) -> None:
        raise pyodbc.Error("08001", echo(text, secret))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pyodbc, "connect", connect)
        with pytest.raises(RoutingError, match="through ODBC") as failed:
            open_source(Origin(source), tmp_path)
    assert clean(chain(failed.value))


def test_a_secret_that_was_cut_off_is_not_repeated() -> None:
    source = "DSN=x;PWD=correct-horse-battery"
    assert redact("bad value 'rect-horse-b", source) == "bad value '***"
    assert redact("password authentication failed", source) == "password authentication failed"


@given(stores)
@often
def test_a_store_that_cannot_be_opened_is_told_without_its_secret(
    logged: Callable[[], str], url: str
) -> None:
    for write in (True, False):
        with pytest.raises(RoutingError) as failed:
            Store(url, write=write)
        assert clean(chain(failed.value)) and clean(logged())


@given(st.sampled_from(URLS[1:4]), secrets, st.sampled_from(ECHOES))
@often
def test_a_store_whose_driver_repeats_what_it_was_given_is_not_repeated(
    shape: Callable, secret: str, echo: Callable
) -> None:
    url = shape("password", secret)

    def connect(text: str, **_: Any) -> None:
        raise psycopg.OperationalError(echo(text, secret))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(psycopg, "connect", connect)
        with pytest.raises(RoutingError, match="cannot open the monitoring store") as failed:
            Store(url)
    assert clean(chain(failed.value))


@given(sources)
@rarely
def test_a_run_that_fails_leaves_no_secret_in_its_report(
    tmp_path: Path, logged: Callable[[], str], capfd: pytest.CaptureFixture[str], source: str
) -> None:
    home = tmp_path / str(abs(hash(source)))
    env = {"ROUTING_ML_HOME": str(home), "ROUTING_ML_SOURCE": source}
    try:
        given = Settings.from_env(env)
    except SettingError as error:
        assert clean(chain(error))
        return
    said: list[str] = []
    with pytest.raises(RoutingError) as failed:
        pipeline.retrain(given, as_of=given.moment("2026-11-01"), say=said.append)
    assert clean(chain(failed.value)) and clean("\n".join(said)) and clean(logged())
    assert clean("".join(capfd.readouterr()))
    written = [path for path in home.rglob("*") if path.is_file()]
    assert {"report.md", "outcome.json", "store.db"} <= {path.name for path in written}
    for path in written:
        assert clean(text_of(path)), path


@given(st.sampled_from(ODBC[:7] + URLS + BARE), keys, secrets)
@often
def test_a_connection_string_in_a_text_is_hidden_though_nobody_knows_of_it(
    shape: Callable, key: str, secret: str
) -> None:
    """Whoever raises it, reports and notices are the last place to see it."""
    if shape in URLS + BARE:
        secret = re.sub(r"[\s;]", "", secret)
    assert clean(redact(f"extract failed: {shape(key, secret)}"))


@given(sources)
@often
def test_a_command_that_is_written_wrong_is_not_repeated(
    capsys: pytest.CaptureFixture[str], source: str
) -> None:
    with pytest.raises(SystemExit), pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", ["routing-ml", "check", "--sauce=x", "--", source])
        _parser().parse_args(["check", "--sauce=x", "--", source])
    assert clean(capsys.readouterr().err)


@given(secrets, keys, st.sampled_from(["{}={}", '"{}": {}', "{}: {}", "'{}' = {}"]))
def test_a_secret_under_its_name_is_hidden_in_any_text(secret: str, key: str, form: str) -> None:
    for value in (json.dumps(secret), json.dumps(secret, ensure_ascii=False), braced(secret)):
        assert clean(redact("before " + form.format(key, value) + "; after"))
        assert redact(form.format(key, value) + "; after").endswith("; after")


@pytest.mark.parametrize(
    "text",
    [
        "https://hooks.slack.com/services/T024/B0/ЖЩЮ",
        "https://hooks.slack.com/workflows/T024/ЖЩЮ",
        "HTTPS://factory.webhook.office.com/webhookb2/ЖЩЮ",
        "http://127.0.0.1:80/services/T/B/ЖЩЮ is away",
        "Authorization: Bearer ЖЩЮ",
        "xoxb-12-ЖЩЮ",
        "xapp-1-A1-12-ЖЩЮ",
        "https://prod-1.westus.logic.azure.com:443/workflows/ЖЩЮ/triggers/manual/paths/invoke",
        "https://x.api.powerplatform.com/powerautomate/run?sp=%2Ftriggers&sig=ЖЩЮ is away",
    ],
)
def test_a_webhook_and_a_token_are_hidden_in_any_text(text: str) -> None:
    assert clean(redact(text)) and "***" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "password authentication failed for user ml",
        "column PROC_SEQ: 3 of 2,400 rows pass 1.0",
        "/data/factory.accdb is not there; set ROUTING_ML_SOURCE to an .accdb or .mdb file",
        "http://factory:8080/dags/routing_ml_retrain/runs/manual__2026-11-01T02:00:00+09:00",
        "boosted goes in with 93.3 % exact matches on 356 items",
        "the key column is all NULL",
    ],
)
def test_what_holds_no_secret_is_as_it_was(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("DRIVER={X};UID=me;PWD=secret", "DRIVER={X}"),
        ("driver=X;pwd = secret ;uid=me", "driver=X"),
        ("DSN=x;Password={se;cr}}et};Database=b", "DSN=x;Database=b"),
        ("DSN=x;PWD=a=secret;Server=tcp:erp,1433", "DSN=x;Server=tcp:erp,1433"),
        ("DSN=x;PWD={secret", "an ODBC connection string"),
        ("UID=me;PWD=secret", "an ODBC connection string"),
        ("DRIVER={X};SERVER=ml:secret@erp", "DRIVER={X}"),
        ("postgresql://ml:secret@erp/x", "postgresql://erp/x"),
        ("postgresql://ml:se/cret@erp/x", "postgresql://erp/x"),
        ("postgresql://h/db?password=se@cret", "postgresql://h/db"),
        ("mysql://h/db?password=se@cret", "mysql://***"),
        ("sqlite:////srv/store.db", "sqlite:////srv/store.db"),
        ("/data/factory.accdb", "/data/factory.accdb"),
        ("/data/공장 a;b={c}.accdb", "/data/공장 a;b={c}.accdb"),
    ],
)
def test_a_source_is_named_by_its_driver_server_and_database(source: str, shown: str) -> None:
    assert named(source) == shown


@given(st.lists(st.tuples(keys, secrets), min_size=1, max_size=4))
@example([("PWD", "}"), ("A", ";")])
def test_the_attributes_of_a_connection_string_are_read_as_odbc_does(
    given: list[tuple[str, str]],
) -> None:
    text = ";".join(f"{key}={braced(value)}" for key, value in given)
    assert attributes(text) == [(key, braced(value)) for key, value in given]


@pytest.mark.parametrize("password", ["a/b", "a@b", "100%", "a%zz", "a%00"])
def test_a_store_whose_password_libpq_would_misread_is_refused_with_what_to_do(
    password: str,
) -> None:
    with pytest.raises(SettingError, match="write / as %2F, @ as %40, ") as failed:
        Settings.from_env({"ROUTING_ML_STORE_URL": f"postgresql://ml:{password}@erp/store"})
    assert password not in str(failed.value)


def test_the_parser_is_ours_for_every_command() -> None:
    [commands] = [a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction)]
    assert {type(one) for one in commands.choices.values()} == {type(_parser())}
    assert report.redact is redact


REASON = "cannot open DRIVER={X};SERVER=erp;PWD={ЖЩ;Ю} at postgresql://ml:ЖЩЮ@erp/x"


def test_a_report_and_a_notice_hold_no_secret_that_an_error_let_through(tmp_path: Path) -> None:
    with FakeSlack() as slack:
        env = {"ROUTING_ML_HOME": str(tmp_path), "SLACK_WEBHOOK_URL": slack.url}
        given = Settings.from_env(env)
        outcome = report.outcome_of(
            given, "a", data=None, trained=[], decision=None, failed={"x": REASON}, cause="t",
            seconds=5.0,
        )  # fmt: skip
        report.write(given, outcome)
        assert clean(json.dumps(outcome, ensure_ascii=False))
        assert notices.tell(given, "direct", "t", REASON)
    assert clean(json.dumps(slack.messages, ensure_ascii=False))
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or clean(path.read_text())


def test_an_xcom_holds_no_secret_that_an_error_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("runs_of_dags", ROOT / "dags" / "runs.py")
    assert spec and spec.loader
    runs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(runs)
    pushed: list[str] = []
    task = SimpleNamespace(xcom_push=lambda key, value: pushed.append(value))
    monkeypatch.setattr(runs, "get_current_context", lambda: {"ti": task})
    with pytest.raises(runs.AirflowFailException) as failed, runs.told():
        raise SettingError(REASON)
    assert clean(str(failed.value)) and clean(pushed[0]) and len(pushed) == 1


def test_a_secret_in_braces_is_known_without_them() -> None:
    assert redact("login of a;b}c failed", "DRIVER={X};PWD={a;b}}c}") == "login of *** failed"
