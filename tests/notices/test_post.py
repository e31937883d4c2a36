"""However a server behaves, a request ends: each of these goes on for ever by itself."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from slack_fixtures import FakeSlack

from routing_ml.errors import RoutingError
from routing_ml.notices import post as post_module
from routing_ml.notices import sending
from routing_ml.notices.answers import WEBHOOK
from routing_ml.notices.card import Card
from routing_ml.notices.destinations import Destination
from routing_ml.notices.post import Receipt, post
from routing_ml.notices.sending import send

OK = b"HTTP/1.1 200 OK\r\n"
STARTS = {
    "nothing": b"",
    "a status line": b"HTTP/1.1 2",
    "a header": OK + b"X-Slow: ",
    "headers": None,
    "an interim answer": None,
    "a body of known length": OK + b"Content-Length: 1000000\r\n\r\n",
    "a body that ends with the connection": OK + b"\r\n",
    "a chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nfffff\r\n",
    "a chunk's length": OK + b"Transfer-Encoding: chunked\r\n\r\n",
    "a redirect": b"HTTP/1.1 307 Elsewhere\r\nLocation: /x\r\nContent-Length: 99999\r\n\r\n",
}
REPEATED = {"headers": b"X: y\r\n", "an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n"}


@contextmanager
def serving(answer: Callable[[socket.socket, threading.Event], None]) -> Iterator[int]:
    """A server on loopback that gives each connection to `answer` until the block ends."""
    ended = threading.Event()

    def serve(link: socket.socket) -> None:
        with link, suppress(OSError):
            answer(link, ended)

    def accept() -> None:
        with suppress(OSError):
            while True:
                link, _ = listener.accept()
                threading.Thread(target=serve, args=(link,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)


def drip(link: socket.socket, ended: threading.Event, part: bytes = b"0") -> None:
    """A byte or so every 20 ms, so that no single wait for one is long."""
    while not ended.wait(0.02):
        link.sendall(part)


@pytest.mark.parametrize("what", STARTS)
def test_an_answer_that_drips_is_no_answer(what: str) -> None:
    def answer(link: socket.socket, ended: threading.Event) -> None:
        link.recv(65_536)
        link.sendall(STARTS[what] or (OK if what == "headers" else b""))
        drip(link, ended, REPEATED.get(what, b"0"))

    with serving(answer) as port:
        found = post(f"http://127.0.0.1:{port}/services/x", "{}", 0.6)
    if what == "a body that ends with the connection" and not found.failure:
        assert found.body.strip("0") == ""
    else:
        assert found.failure == "no whole answer in time"


def test_a_handshake_that_drips_is_no_answer() -> None:
    with serving(drip) as port:
        found = post(f"https://127.0.0.1:{port}/services/x", "{}", 0.6)
    assert found.failure in ("no whole answer in time", "SSLError")


def test_a_handshake_that_never_comes_is_no_answer() -> None:
    with serving(lambda link, ended: ended.wait() and None) as port:
        found = post(f"https://127.0.0.1:{port}/services/x", "{}", 0.6)
    assert found.failure == "no whole answer in time"


def test_a_handshake_record_that_drips_is_no_answer() -> None:
    def answer(link: socket.socket, ended: threading.Event) -> None:
        link.recv(65_536)
        link.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")  # a ServerHello of 16 KiB begins
        drip(link, ended)

    with serving(answer) as port:
        found = post(f"https://127.0.0.1:{port}/services/x", "{}", 0.6)
    assert found.failure == "no whole answer in time"


def test_a_server_that_takes_no_connection_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as first:
        first.connect(full.getsockname())  # fills the queue that nobody empties
        with socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(full.getsockname())
            found = post(f"http://127.0.0.1:{full.getsockname()[1]}/services/x", "{}", 0.6)
    assert found.failure == "no whole answer in time"


def test_a_proxy_that_drips_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(link: socket.socket, ended: threading.Event) -> None:
        link.recv(65_536)
        link.sendall(OK)
        drip(link, ended, b"X: y\r\n")

    with serving(answer) as port:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        found = post("https://hooks.slack.invalid/services/x", "{}", 0.6)
    assert found.failure == "no whole answer in time"


def test_a_server_whose_certificate_nobody_vouches_for_is_not_told_anything(tmp_path) -> None:
    """The deadline has not cost the check of who is at the other end."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    openssl = shutil.which("openssl")
    assert openssl, "openssl is missing"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    heard: list[bytes] = []

    def answer(link: socket.socket, ended: threading.Event) -> None:
        with context.wrap_socket(link, server_side=True) as secured:
            heard.append(secured.recv(65_536))

    with serving(answer) as port:
        found = post(f"https://127.0.0.1:{port}/services/x", "{}", 10)
    assert found.failure == "SSLCertVerificationError"
    assert heard == []


def test_who_was_silent_is_not_told_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "REQUEST_S", 0.4)
    came: list[bytes] = []

    def answer(link: socket.socket, ended: threading.Event) -> None:
        came.append(link.recv(65_536))
        ended.wait()

    with serving(answer) as port, pytest.raises(RoutingError, match="no whole answer in time"):
        url = f"http://127.0.0.1:{port}/services/x"
        to = Destination("slack", "Slack", "x", WEBHOOK, url)
        send(to, Card("a", "t", "x"), until=sending.time.monotonic() + 30)
    assert len(came) == 1


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,ok", ""])
def test_nothing_but_http_is_spoken(url: str) -> None:
    assert post(url, "{}", 10).failure == "its address does not begin with https://"


def test_a_request_whose_sender_was_killed_ends_by_itself() -> None:
    """Nobody waits for it any more: the kernel ends it."""
    with serving(lambda link, ended: ended.wait() and None) as port:
        order = {"url": f"http://127.0.0.1:{port}/services/x", "body": "{}", "seconds": 0.3}
        order |= {"says": WEBHOOK, "token": ""}
        done = subprocess.run(
            [sys.executable, "-P", "-m", post_module.__name__],
            input=json.dumps(order),
            text=True,
            check=False,
            preexec_fn=lambda: signal.signal(signal.SIGALRM, signal.SIG_IGN) and None,
        )
    assert done.returncode == -signal.SIGALRM


@pytest.mark.parametrize(
    ("script", "seconds", "failure"),
    [
        ("exec sleep 600", 0.1, "no whole answer in time"),
        ('echo \'{"status": 200, "bo\'; exit 3', 5, "its sender ended with code 3"),
    ],
    ids=["does not end by itself", "crashes"],
)
def test_a_request_whose_process_goes_wrong_is_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, seconds: float, failure: str
) -> None:
    child = tmp_path / "child"
    child.write_text(f"#!/bin/sh\n{script}\n")
    child.chmod(0o755)
    monkeypatch.setattr(post_module.sys, "executable", str(child))
    assert post("http://127.0.0.1/services/x", "{}", seconds).failure == failure


def test_a_receipt_is_its_users_alone_whatever_the_umask(tmp_path):
    path = tmp_path / "receipt"
    before = os.umask(0)
    try:
        with FakeSlack() as slack, (tmp_path / "lock").open("w") as lock:
            assert post(slack.url, "{}", 5.0, Receipt(path, "taken", lock.fileno())).place == ""
    finally:
        os.umask(before)
    assert path.read_text() == "taken\n" and path.stat().st_mode & 0o777 == 0o600
