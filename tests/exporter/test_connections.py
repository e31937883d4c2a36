"""What a connection may hold, and which protocols are spoken on it: HTTP/1.1 and 1.0 only."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from exporter import connection as connections
from exporter.app import App
from exporter.connection import BODY_BYTES_MOST, Connection
from exporter.link import Link
from exporter.log import Log
from exporter.request import Request
from exporter.server import AT_ONCE, CONNECTIONS_MOST, Server, connections_most
from exporter.webconfig import WebConfig

PATIENCE_SECONDS = 60
GET = b"GET /api/health HTTP/1.1\r\nHost: x\r\n\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


@asynccontextmanager
async def serving(
    *, most: int | None = None, web: WebConfig | None = None, lines: list[str] | None = None
) -> AsyncIterator[tuple[Server, int]]:
    """A server in this process, over a store that is missing, and its port."""
    log = Log(write=lambda line: lines.append(line) if lines is not None else None)
    app = App(Link("sqlite:////nowhere/store.db"), api_token=None, web=web, log=log)
    app.link.start()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    server = Server(app, listener, most=most, log=log)
    server.start()
    try:
        yield server, listener.getsockname()[1]
    finally:
        await server.stop(1)
        listener.close()


async def told(port: int, sent: bytes, *, until_closed: bool = False) -> bytes:
    """What comes back: one answer, or all until the end of the connection."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        try:
            if until_closed:
                return await reader.read()
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            return head + await reader.readexactly(length)
        finally:
            writer.close()


def run(test: Callable[[], Any]) -> None:
    asyncio.run(test())


# Protocols ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [b"2.0", b"3.0", b"0.9", b"9.9", b"1.2"])
def test_no_other_version_is_spoken_and_the_refusal_is_counted(version: bytes) -> None:
    async def test() -> None:
        async with serving() as (server, port):
            answer = await told(
                port, b"GET / HTTP/" + version + b"\r\nHost: x\r\n\r\n", until_closed=True
            )
            assert answer.startswith(b"HTTP/1.1 505 HTTP Version Not Supported\r\n")
            assert answer.count(b"\n") == answer.count(b"\r\n") and b"detail" in answer
            assert server.app.process.requests == 1

    run(test)


def test_http_2_by_prior_knowledge_is_refused_with_its_first_line() -> None:
    async def test() -> None:
        frame = struct.pack(">I", 4)[1:] + b"\x01\x05" + struct.pack(">I", 1) + b"\x82\x86\x84\x41"
        async with serving() as (server, port):
            answer = await told(port, PREFACE + frame * 1000, until_closed=True)
            assert answer.startswith(b"HTTP/1.1 505 ")
            assert answer.count(b"HTTP/1.1 5") == 1 and server.app.process.requests == 1

    run(test)


@pytest.mark.parametrize(
    "more",
    [
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        b"Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n",
    ],
    ids=["h2c", "websocket", "tls"],
)
def test_no_upgrade_is_taken_up(more: bytes) -> None:
    async def test() -> None:
        async with serving() as (_, port):
            sent = GET[:-2] + more + b"\r\n" + GET.replace(b"Host", b"Connection: close\r\nHost")
            answers = await told(port, sent, until_closed=True)
            assert answers.count(b"HTTP/1.1 200 OK\r\n") == 2 and b"101" not in answers[:12]

    run(test)


def test_requests_in_one_go_are_answered_one_after_the_other() -> None:
    async def test() -> None:
        async with serving() as (_, port):
            last = GET.replace(b"Host", b"Connection: close\r\nHost")
            answers = await told(port, GET * 50 + last, until_closed=True)
            assert answers.count(b"HTTP/1.1 200 OK\r\n") == 51

    run(test)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
        b"GET /metrics HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"b" * 100_000 + b"\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA\x00: b\r\n\r\n",
    ],
    ids=["tls", "head", "host", "length", "chunk", "name"],
)
def test_what_is_no_request_is_refused_in_words_and_counted(sent: bytes) -> None:
    async def test() -> None:
        async with serving() as (server, port):
            answer = await told(port, sent)
            assert (
                answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 431") and b"no HTTP request" in answer
            )
            assert server.app.process.requests == 1

    run(test)


@pytest.mark.parametrize(
    "sent",
    [
        b"HEAD / HTTP/2.0\r\nHost: x\r\n\r\n",
        b"HEAD / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["version", "chunk"],
)
def test_a_head_request_that_is_refused_is_told_so_without_a_body(sent: bytes) -> None:
    async def test() -> None:
        lines: list[str] = []
        async with serving(lines=lines) as (server, port):
            answer = await told(port, sent, until_closed=True)
            assert answer[:12] in (b"HTTP/1.1 505", b"HTTP/1.1 400") and answer.endswith(
                b"\r\n\r\n"
            )
            assert server.app.process.requests == 1 and not lines

    run(test)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/a%20b?days=3", "/a b"),
        (b"http://x:1/metrics?days=3", "/metrics"),
        (b"http://x", "/"),
        (b"http://[x/metrics", "*"),
        (b"*", "*"),
        (b"x:80", "x:80"),
        (b"/http://x/", "/http://x/"),
        (b"/%ff", "/�"),
    ],
)
def test_a_target_of_any_form_has_a_path(target: bytes, path: str) -> None:
    assert Request.of(b"GET", target).path == path


# What it holds ------------------------------------------------------------------------------------


def test_a_large_body_is_read_no_further_than_a_small_one() -> None:
    """Of what comes after the answer so much is read that the answer can arrive."""

    async def test() -> None:
        client, said = faked()
        arrive(client, b"POST /api/health HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n")
        while not any(name == "write" for name, *_ in said):
            await asyncio.sleep(0)
        (written,) = [args[0] for name, *args in said if name == "write"]
        assert written.startswith(b"HTTP/1.1 405 ") and b"connection: close" in written.lower()
        said.clear()
        taken = 0
        while ("pause_reading",) not in said:
            taken += arrive(client, b"x" * 16 * 1024)
        assert taken == BODY_BYTES_MOST

    run(test)


def test_a_connection_that_is_cut_before_its_last_answer_is_dropped() -> None:
    async def test() -> None:
        client, said = faked(write_eof=OSError(errno.ENOTCONN, "not connected"))
        arrive(client, b"POST /api/health HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        (task,) = asyncio.all_tasks() - {asyncio.current_task()}
        await task
        assert ("abort",) in said and client not in client._house.connections  # type: ignore[attr-defined]

    run(test)


def faked(**fails: OSError) -> tuple[Connection, list[Any]]:
    """A connection over a transport that only writes down what it is told."""
    said: list[Any] = []

    def telling(name: str) -> Callable[..., None]:
        def tell(*arguments: Any, **_: Any) -> None:
            said.append((name, *arguments))
            if name in fails:
                raise fails[name]

        return tell

    transport = SimpleNamespace(
        **{name: telling(name) for name in TRANSPORT},
        is_closing=lambda: False,
        can_write_eof=lambda: True,
    )
    house = Server(App(Link("sqlite:////nowhere"), api_token=None), SimpleNamespace())  # type: ignore[arg-type]
    client = Connection(house)
    client.connection_made(transport)  # type: ignore[arg-type]
    return client, said


TRANSPORT = ("write", "close", "abort", "pause_reading", "resume_reading", "write_eof") + (
    "set_write_buffer_limits",
)


def arrive(client: Connection, data: bytes) -> int:
    buffer = client.get_buffer(-1)
    buffer[: len(data)] = data
    client.buffer_updated(len(data))
    return len(data)


def test_who_does_not_take_an_answer_in_gets_no_second_one_and_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "CLIENT_SECONDS", 0.5)

    async def test() -> None:
        async with serving() as (server, port):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
            get = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
            sending = asyncio.create_task(
                asyncio.get_running_loop().sock_sendall(client, get * 1_000_000)
            )
            with pytest.raises(ConnectionError):
                await sending
            # Its answers filled the system's buffers, 4 MB at most, and no memory of ours.
            assert server.app.process.requests < 10_000
            assert not server.connections
            client.close()

    run(test)


def test_in_a_full_house_the_longest_waiting_makes_room_for_who_comes() -> None:
    async def test() -> None:
        async with serving(most=4) as (server, port):
            silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(12)]
            for _ in range(3):
                assert (await told(port, GET)).startswith(b"HTTP/1.1 200 ")
            assert len(server.connections) <= 4
            async with asyncio.timeout(PATIENCE_SECONDS):
                for reader, _ in silent[:8]:
                    try:
                        assert await reader.read() == b""
                    except ConnectionResetError:
                        continue
            for _, writer in silent:
                writer.close()

    run(test)


async def ask_without_pause(port: int) -> None:
    """Never be idle, and come again when dropped."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while True:
                writer.write(GET * 100)
                if not await reader.read(1 << 16):
                    break
        except ConnectionError:
            continue
        finally:
            writer.close()


def test_who_asks_without_pause_makes_room_for_who_asks_once() -> None:

    async def test() -> None:
        async with serving(most=8) as (server, port):
            greedy = [asyncio.create_task(ask_without_pause(port)) for _ in range(8)]
            while server.app.process.requests < 100:
                await asyncio.sleep(0)
            for _ in range(5):
                before = server.app.process.requests
                assert (await told(port, GET)).startswith(b"HTTP/1.1 200 ")
                # Otherwise the greedy ones are answered thousands of times first.
                assert server.app.process.requests - before < 400
                assert len(server.connections) <= 8
            for task in greedy:
                task.cancel()

    run(test)


def test_a_client_that_cuts_its_connection_leaves_nothing_behind() -> None:
    async def test() -> None:
        lines: list[str] = []
        async with serving(lines=lines) as (server, port):
            sent = [
                GET,
                b"GET / HTTP/2.0\r\n\r\n",
                b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9",
            ]
            for i in range(300):
                client = socket.create_connection(("127.0.0.1", port))
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.sendall(sent[i % 3] + b"\r\n\r\n")
                await asyncio.sleep(0 if i % 2 else 0.001)
                client.close()
            async with asyncio.timeout(PATIENCE_SECONDS):
                while server.connections:
                    await asyncio.sleep(0.01)
            assert not lines and not (server._idle or server._again or server._new)

    run(test)


def test_a_head_that_never_ends_is_dropped_however_slowly_it_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "CLIENT_SECONDS", 0.3)

    async def test() -> None:
        async with serving() as (server, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not reader.at_eof():
                    writer.write(b"G" if not server.connections else b"X")
                    try:
                        async with asyncio.timeout(0.05):
                            await reader.read(1)
                    except TimeoutError:
                        continue
                    except ConnectionResetError:
                        break
            assert not server.connections
            writer.close()

    run(test)


# Open files ---------------------------------------------------------------------------------------


class Exhausted:
    """A listener of a process that has no file left, until it has."""

    def __init__(self, real: socket.socket) -> None:
        self.real = real
        self.calls = 0
        self.left = False

    def accept(self) -> tuple[socket.socket, Any]:
        self.calls += 1
        if not self.left:
            raise OSError(errno.EMFILE, "Too many open files")
        return self.real.accept()

    def fileno(self) -> int:
        return self.real.fileno()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def test_without_a_file_left_it_rests_says_so_once_and_recovers() -> None:
    async def test() -> None:
        lines: list[str] = []
        async with serving(lines=lines) as (server, port):
            await server.stop(0)
            server._listener = exhausted = Exhausted(server._listener)  # type: ignore[assignment]
            server.start()
            clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
            await asyncio.sleep(0.5)
            assert 2 <= exhausted.calls <= 10
            (line,) = lines
            assert "Too many open files" in line and "ulimit -n" in line
            exhausted.left = True
            assert (await told(port, GET)).startswith(b"HTTP/1.1 200 ")
            for _, writer in clients:
                writer.close()

    run(test)


@pytest.mark.parametrize(
    ("files", "most"), [(8, 4), (64, 32), (1024, CONNECTIONS_MOST), (-1, CONNECTIONS_MOST)]
)
def test_there_are_never_more_connections_than_files(files: int, most: int) -> None:
    assert connections_most(files) == most


def test_a_crowd_is_let_in_a_few_at_a_time() -> None:
    """So that who is in already is answered in between."""

    async def test() -> None:
        async with serving() as (server, port):
            server._listener.setblocking(False)
            asyncio.get_running_loop().remove_reader(server._listener)
            clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
            server._accept()
            assert len(server.connections) == AT_ONCE
            server.start()
            assert (await told(port, GET)).startswith(b"HTTP/1.1 200 ")
            for client in clients:
                client.close()

    run(test)


# Failures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/metrics", "/api/health", "/api/drift/status", "/openapi.json"])
def test_a_handler_that_fails_is_a_counted_500_in_one_line(path: str) -> None:
    async def test() -> None:
        lines: list[str] = []
        async with serving(lines=lines) as (server, port):

            async def fail(request: Request) -> Any:
                raise KeyError("postgresql://u:s3cret@h/db")

            server.app._routes[path] = {"GET": fail}
            get = GET.replace(b"/api/health", path.encode())
            for _ in range(100):
                answer = await told(port, get)
            body = answer.partition(b"\r\n\r\n")[2]
            assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
            assert b"KeyError" in body and len(body.splitlines()) == 1 and b"s3cret" not in body
            assert (server.app.process.requests, server.app.process.errors) == (100, 100)
            (line,) = lines
            assert "KeyError at" in line and "test_connections.py" in line and "s3cret" not in line

    run(test)
