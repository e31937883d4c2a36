"""A crowd of wrong passwords costs little, and keeps nobody out who has the right one."""

from __future__ import annotations

import asyncio
import base64
import socket
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from exporter_process import serving
from test_exporter_web import basic

from exporter.app import App
from exporter.link import Link
from exporter.passwords import (
    PASSWORD_BYTES,
    RETURNING_SLOTS,
    WAITING_MOST,
    WRONG_MOST,
    BusyError,
    Passwords,
)
from exporter.webconfig import WebConfig

RIGHT = b"pass word"


class Checks:
    """Instead of bcrypt: counts the checks, and holds them up while `held`."""

    def __init__(self) -> None:
        self.count = 0
        self.free = threading.Event()
        self.free.set()

    def __call__(self, password: bytes, stored: str) -> bool:
        self.count += 1
        assert self.free.wait(60)
        return password == RIGHT


def header(password: bytes, user: bytes = b"a") -> str:
    return "Basic " + base64.b64encode(user + b":" + password).decode()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


async def asked(passwords: Passwords, *given: bytes) -> list[Any]:
    """True, False or a BusyError for each, asked all at once."""
    tasks = (passwords.accept(header(each)) for each in given)
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_a_thousand_wrong_passwords_at_once_are_a_few_checks() -> None:
    async def test() -> None:
        checks = Checks()
        passwords = Passwords({"a": "hash"}, matches=checks)
        told = await asked(passwords, *(b"%d" % i for i in range(1000)))
        busy = [each for each in told if isinstance(each, BusyError)]
        assert checks.count <= 2 * WAITING_MOST + 1
        assert len(busy) == 1000 - checks.count and told.count(False) == checks.count

    run(test)


def test_a_right_password_that_is_known_waits_for_no_check() -> None:
    async def test() -> None:
        checks = Checks()
        passwords = Passwords({"a": "hash"}, matches=checks)
        assert await passwords.accept(header(RIGHT))
        checks.free.clear()
        crowd = asyncio.gather(asked(passwords, *(b"%d" % i for i in range(1000))))
        await asyncio.sleep(0)
        before = checks.count
        assert all([await passwords.accept(header(RIGHT)) for _ in range(100)])
        assert checks.count - before <= 1  # a crowd's, not its own
        checks.free.set()
        await crowd

    run(test)


def test_who_comes_back_is_checked_though_the_crowd_never_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The right password is told to come back once, and is let in when it does."""
    # With another key one in twenty would be forgotten meanwhile, and told so once more.
    monkeypatch.setattr("secrets.token_bytes", lambda count: bytes(count))

    async def test() -> None:
        checks = Checks()
        checks.free.clear()
        passwords = Passwords({"a": "hash"}, matches=checks)
        guesses = (b"%d" % i for i in range(10**9))
        crowd = [asyncio.create_task(asked(passwords, *(next(guesses) for _ in range(50))))]
        await asyncio.sleep(0)
        (told,) = await asked(passwords, RIGHT)
        assert isinstance(told, BusyError)
        crowd += [asyncio.create_task(asked(passwords, *(next(guesses) for _ in range(15_000))))]
        await asyncio.sleep(0)
        coming_back = asyncio.create_task(passwords.accept(header(RIGHT)))
        await asyncio.sleep(0)
        checks.free.set()
        assert await coming_back
        assert checks.count <= 2 * WAITING_MOST + 1
        await asyncio.gather(*crowd)

    run(test)


async def crowded(app: App) -> list[asyncio.Task[bool]]:
    """Have the app's places for unknown passwords taken."""
    tasks = [
        asyncio.create_task(app._passwords.accept(header(b"%d" % i)))
        for i in range(WAITING_MOST + 1)
    ]
    await asyncio.sleep(0)  # the first begins
    await asyncio.sleep(0)  # and leaves its place
    tasks.append(asyncio.create_task(app._passwords.accept(header(b"last"))))
    await asyncio.sleep(0)
    assert app._passwords.crowded
    return tasks


def test_who_is_turned_away_at_a_glance_is_who_would_be_told_so_anyway() -> None:
    async def test() -> None:
        checks = Checks()
        app = App(Link("sqlite:////nowhere"), api_token="t0ken", web=WebConfig(users={"a": "hash"}))
        app._passwords = Passwords({"a": "hash"}, matches=checks)
        assert await app._passwords.accept(header(RIGHT))
        checks.free.clear()

        def head(*values: str, name: str = "Authorization") -> bytes:
            lines = "".join(f"{name}: {value}\r\n" for value in values)
            return f"GET / HTTP/1.1\r\n{lines}Host: x\r\n\r\n".encode()

        assert app.turn_away(head(header(b"x"))) is None  # there is room
        tasks = await crowded(app)
        for known in (header(RIGHT), header(b"0"), "Bearer t0ken", "Basic !", ""):
            assert app.turn_away(head(known)) is None, known
        assert app.turn_away(head()) is None
        assert app.turn_away(head(header(b"x"), header(b"y"))) is None
        for name in ("Authorization", "AUTHORIZATION"):
            told = app.turn_away(head(header(b"new" + name.encode()), name=name))
            assert told is not None and told.status == 429
        assert app.turn_away(head(header(b"newAuthorization"))) is None  # it has come again
        assert (app.process.requests, app.process.logins_busy) == (2, 2)
        checks.free.set()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(test)


def test_a_crowd_over_real_connections_is_told_to_come_back_and_a_right_one_is_answered(
    tmp_path: Path,
) -> None:
    stored = bcrypt.hashpw(RIGHT, bcrypt.gensalt(10)).decode()
    (tmp_path / "web.yml").write_text(f"basic_auth_users:\n  a: {stored}\n")
    good = basic("a", RIGHT.decode())
    with serving(tmp_path, "--web.config.file", str(tmp_path / "web.yml")) as exporter:
        assert exporter.ask("/metrics", headers=good).status == 200
        clients = []
        for i in range(300):
            ask = f"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: {header(b'%d' % i)}\r\n\r\n"
            clients.append(socket.create_connection((exporter.host, exporter.port), timeout=60))
            clients[-1].sendall(ask.encode())
        assert exporter.ask("/metrics", headers=good).status == 200
        told = [client.recv(1000) for client in clients]
        busy = [each for each in told if each.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")]
        assert len(busy) > 200 and {each[9:12] for each in told} <= {b"401", b"429"}
        assert all(b"\r\nretry-after: 1\r\n" in each for each in busy)
        at_a_glance = [each for each in busy if b"\r\nconnection: close\r\n" in each]
        assert len(at_a_glance) > 100
        text = exporter.ask("/metrics", headers=good).text
        assert f'routing_ml_logins_refused_total{{reason="busy"}} {len(busy)}.0' in text
        for client in clients:
            client.close()


def test_the_same_password_many_times_at_once_is_one_check() -> None:
    async def test() -> None:
        checks = Checks()
        passwords = Passwords({"a": "hash"}, matches=checks)
        assert await asked(passwords, *[RIGHT] * 200) == [True] * 200
        assert await asked(passwords, *[b"wrong"] * 200) == [False] * 200
        assert await asked(passwords, *[b"wrong"] * 200) == [False] * 200
        assert checks.count == 2

    run(test)


def test_who_leaves_while_waiting_ends_it_for_nobody_else() -> None:
    async def test() -> None:
        checks = Checks()
        checks.free.clear()
        passwords = Passwords({"a": "hash"}, matches=checks)
        leaving, staying = (asyncio.create_task(passwords.accept(header(RIGHT))) for _ in "ab")
        await asyncio.sleep(0)
        leaving.cancel()
        checks.free.set()
        assert await staying

    run(test)


def test_what_is_remembered_is_bounded() -> None:
    async def test() -> None:
        passwords = Passwords({"a": "hash"}, matches=lambda password, stored: False)
        size = passwords._returning.itemsize * len(passwords._returning)
        for i in range(WRONG_MOST + 500):
            await passwords.accept(header(b"%d" % i))
        assert len(passwords._wrong) == WRONG_MOST and not passwords._checks
        assert size == 4 * RETURNING_SLOTS == 2**20

    run(test)


def test_after_a_reload_only_who_has_the_same_hash_is_still_known() -> None:
    async def test() -> None:
        checks = Checks()
        before = Passwords({"a": "1", "b": "1", "c": "1"}, matches=checks)
        for user in (b"a", b"b", b"c"):
            assert await before.accept(header(RIGHT, user))
        after = Passwords({"a": "1", "b": "2"}, before=before, matches=checks)
        checks.count = 0
        assert await after.accept(header(RIGHT, b"a")) and checks.count == 0
        assert await after.accept(header(RIGHT, b"b")) and checks.count == 1
        assert not await after.accept(header(RIGHT, b"c"))

    run(test)


def test_a_check_that_fails_is_told_and_the_next_one_is_made() -> None:
    async def test() -> None:
        def fails(password: bytes, stored: str) -> bool:
            if password == RIGHT:
                return True
            raise RuntimeError("out of memory")

        passwords = Passwords({"a": "hash"}, matches=fails)
        told = await asked(passwords, b"wrong", RIGHT)
        assert isinstance(told[0], RuntimeError) and told[1] is True

    run(test)


@pytest.mark.parametrize(
    "given",
    ["", "Basic", "Basic !", "Basic é", "Bearer x", "Basic YQ==", "Basic " + "A" * 9999, "a b c"],
)
def test_what_is_no_password_is_wrong_without_a_check(given: str) -> None:
    async def test() -> None:
        checks = Checks()
        assert not await Passwords({"a": "hash"}, matches=checks).accept(given)
        assert checks.count == 0

    run(test)


def test_a_name_that_nobody_has_takes_a_check_too() -> None:
    async def test() -> None:
        checks = Checks()
        passwords = Passwords({"a": "hash"}, matches=checks)
        assert not await passwords.accept(header(RIGHT, b"nobody"))
        assert not await passwords.accept(header(RIGHT, b"\xff"))
        assert checks.count == 2

    run(test)


def test_bcrypt_sees_the_first_72_bytes_as_in_the_toolkit() -> None:
    async def test() -> None:
        stored = bcrypt.hashpw(b"x" * PASSWORD_BYTES, bcrypt.gensalt(4)).decode()
        passwords = Passwords({"a": stored})
        for password in (b"x" * 72, b"x" * 73, b"x" * 5000):
            assert await passwords.accept(header(password))
        assert not await passwords.accept(header(b"x" * 71))
        assert not await passwords.accept(header(b"a\0b"))

    run(test)


def test_a_refused_login_is_counted_by_its_reason(tmp_path: Path) -> None:
    stored = bcrypt.hashpw(RIGHT, bcrypt.gensalt(4)).decode()
    (tmp_path / "web.yml").write_text(f"basic_auth_users:\n  a: {stored}\n")
    with serving(tmp_path, "--web.config.file", str(tmp_path / "web.yml")) as exporter:
        for _ in range(3):
            assert exporter.ask("/metrics", headers=basic("a", "wrong")).status == 401
        text = exporter.ask("/metrics", headers=basic("a", RIGHT.decode())).text
    assert 'routing_ml_logins_refused_total{reason="wrong"} 3.0' in text
    assert 'routing_ml_logins_refused_total{reason="busy"} 0.0' in text
