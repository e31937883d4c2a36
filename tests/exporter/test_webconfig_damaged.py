"""A web configuration that is damaged in any way: the exporter answers by it, or refuses it when it
starts, in one line and with an exit code that says so.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import yaml
from exporter_process import ROOT, command, environment, serving
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_exporter_web import basic, write_certificate

from exporter.app import App
from exporter.link import Link
from exporter.server import Server
from exporter.webconfig import WebConfig
from routing_ml.errors import SettingError

# Of "pass word"; a new salt each time would give the tests other names in each process.
HASH = bcrypt.hashpw(b"pass word", b"$2b$04$WR3YI/c.4LwOkEP.p.qFX.").decode()
GOOD: dict[str, Any] = {
    "tls_server_config": {
        "cert_file": "cert.pem",
        "key_file": "key.pem",
        "client_auth_type": "VerifyClientCertIfGiven",
        "client_ca_file": "cert.pem",
        "min_version": "TLS12",
        "max_version": "TLS13",
    },
    "http_server_config": {
        "http2": True,
        "headers": {"X-Frame-Options": "deny", "Strict-Transport-Security": "max-age=1"},
    },
    "basic_auth_users": {"a": HASH},
}
PATHS = [
    *((section,) for section in GOOD),
    *((section, key) for section, inside in GOOD.items() for key in [*inside, "x"]),
    *(("http_server_config", "headers", name) for name in GOOD["http_server_config"]["headers"]),
]
FIT = {
    "cert_file": ["cert.pem"],
    "key_file": ["key.pem"],
    "client_ca_file": ["cert.pem", ...],
    "client_auth_type": ["NoClientCert", "VerifyClientCertIfGiven", ...],
    "min_version": ["TLS12", "TLS13", ...],
    "max_version": ["TLS12", "TLS13", ...],
    "http2": [True, False, ...],
    "X-Frame-Options": ["sameorigin", ...],
    "Strict-Transport-Security": ["max-age=2; includeSubDomains", ...],
    "a": [HASH, ...],
    "headers": [{}, None, ...],
    "tls_server_config": [None, ...],
    "http_server_config": [None, ...],
    "basic_auth_users": [None, {}, ...],
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=30),
    st.sampled_from(["TLS13", "TLS12", "TLS10", "key.pem", "cert.pem", ".", "NoClientCert"]),
    st.sampled_from([HASH[:-1], HASH + "a", HASH.replace("$04$", "$31$"), "$2y$10$"]),
    st.sampled_from(["a\r\nb: c", "한", "\ud800", "a\0b", " ", "a" * 2000]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=5) | st.integers(), st.text(max_size=5), max_size=2),
)


def put(config: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A copy with one value replaced, or its key taken out where the value is `...`."""
    copied = {key: dict(v) if isinstance(v, dict) else v for key, v in config.items()}
    inside: Any = copied
    for key in path[:-1]:
        inside[key] = dict(inside[key]) if isinstance(inside.get(key), dict) else {}
        inside = inside[key]
    if value is ...:
        inside.pop(path[-1], None)
    else:
        inside[path[-1]] = value
    return copied


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good file, some values replaced by others that fit, then by any, then bytes of it."""
    config = GOOD
    for name in draw(st.lists(st.sampled_from(sorted(FIT)), max_size=4)):
        for path in PATHS:
            if path[-1] == name:
                config = put(config, path, draw(st.sampled_from(FIT[name])))
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        config = put(config, draw(st.sampled_from(PATHS)), draw(ODD | st.just(...)))
    text = yaml.dump(config, allow_unicode=draw(st.booleans()))
    content = bytearray(text.encode("utf-8", "surrogatepass"))
    if draw(st.integers(0, 7)) == 7:
        at = draw(st.integers(0, len(content) - 1))
        content[at : at + draw(st.integers(0, 5))] = draw(st.binary(max_size=5))
    return bytes(content)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("damaged")
    write_certificate(made)
    return made


async def answers(web: WebConfig) -> bytes:
    """What an exporter with this configuration tells somebody with a wrong password."""
    app = App(Link("sqlite:////nowhere"), api_token=None, web=web)
    app.link.start()
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(app, listener, tls=lambda: app.tls)
    server.start()
    context = None
    if web.tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(60):
            port = listener.getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            ask = basic("b", "x")["Authorization"]
            ask = f"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: {ask}\r\n"
            writer.write(ask.encode() + b"Connection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
    finally:
        await server.stop(1)
        listener.close()
    return answer


def refusal(line: str) -> bool:
    """Whether it names the file, a rule, and what to do."""
    return len(line.splitlines()) == 1 and "web.yml" in line and line.isprintable()


@given(content=damaged())
@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_damaged_file_is_answered_by_or_refused_in_one_line(folder: Path, content: bytes) -> None:
    file = folder / "web.yml"
    file.write_bytes(content)
    try:
        web = WebConfig.load(file)
    except SettingError as error:
        assert refusal(str(error)) and str(error).endswith("correct it")
        return
    answer = asyncio.run(answers(web))
    assert re.match(rb"HTTP/1.1 (401 Unauthorized|200 OK)\r\n", answer)


@given(content=damaged())
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_so_does_the_process(folder: Path, content: bytes) -> None:
    file = folder / "web.yml"
    file.write_bytes(content)
    try:
        web = WebConfig.load(file)
    except SettingError:
        start = command("--port", "0", "--web.config.file", str(file))
        done = subprocess.run(
            start,
            cwd=ROOT,
            env=environment(folder),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1 and refusal(done.stderr.rstrip("\n"))
        return
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with serving(folder, "--web.config.file", str(file)) as exporter:
        tls = context if web.tls else None
        reply = exporter.ask("/metrics", headers=basic("a", "pass word"), tls=tls)
        assert reply.status == (401 if web.users and "a" not in web.users else 200)
        assert exporter.stop() == (0, "")


def test_the_good_file_that_is_damaged_here_is_good(folder: Path) -> None:
    file = folder / "web.yml"
    file.write_text(yaml.dump(GOOD))
    web = WebConfig.load(file)
    assert web.tls and web.users == {"a": HASH} and len(web.headers) == 2
