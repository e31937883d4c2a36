"""What a hostile client does to the exporter, each as a process of its own.

    python benchmarks/attackers.py NAME PORT SECONDS SEED

`benchmarks/exporter.py` starts these; none of them needs anything of the exporter but its port.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

USER, PASSWORD = "prometheus", "the right one"
HTTP2_BYTES = 67 * 1024
RESET_BYTES = 511 * 1024
WRONG = 1000
HELD = 1500
SLOW = 300
FUZZERS = 8

Attack = Callable[[int, float], Coroutine[Any, Any, Counter[str]]]


def authorization(password: str) -> str:
    """The value of the header."""
    return "Basic " + base64.b64encode(f"{USER}:{password}".encode()).decode()


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """An HTTP/2 frame."""
    return (
        struct.pack(">I", len(payload))[1:]
        + bytes([kind, flags])
        + struct.pack(">I", stream)
        + payload
    )


def asked_by_http2(stream: int) -> bytes:
    """GET /metrics with the right password, as an HTTP/2 HEADERS frame of plain literals."""
    value = authorization(PASSWORD).encode()
    block = b"\x82\x86\x04\x08/metrics\x41\x01x"  # method, scheme, path, authority
    block += b"\x00\x0dauthorization" + bytes([len(value)]) + value
    return frame(1, 5, stream, block)


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")


def streams(most: int, *, reset: bool) -> bytes:
    """So many bytes of requests, each taken back at once where `reset`."""
    sent = bytearray(PREFACE)
    stream = 1
    while len(sent) < most:
        sent += asked_by_http2(stream)
        if reset:
            sent += frame(3, 0, stream, struct.pack(">I", 8))
        stream += 2
    return bytes(sent)


async def http2(port: int, end: float) -> Counter[str]:
    """67 KiB of requests by prior knowledge over ten connections, whose clients leave; again."""
    part = streams(HTTP2_BYTES // 10, reset=False)
    did: Counter[str] = Counter()
    while time.monotonic() < end:
        for _ in range(10):
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(part)
                await writer.drain()
                writer.close()
                did["connections"] += 1
        await asyncio.sleep(0.1)
    return did


async def reset(port: int, end: float) -> Counter[str]:
    """511 KiB of requests that are taken back at once, on one connection; again."""
    whole = streams(RESET_BYTES, reset=True)
    did: Counter[str] = Counter()
    while time.monotonic() < end:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(whole)
            with suppress(TimeoutError):
                await asyncio.wait_for(reader.read(), 2)
            writer.close()
            did["connections"] += 1
        await asyncio.sleep(0.1)
    return did


async def passwords(port: int, end: float) -> Counter[str]:
    """1,000 wrong passwords as fast as they can be sent, no two the same; again after a second."""
    did: Counter[str] = Counter()
    while time.monotonic() < end:
        start, clients = time.monotonic(), []
        for _ in range(WRONG):
            value = authorization(f"{random.getrandbits(64):x}")
            ask = f"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: {value}\r\n\r\n"
            with suppress(OSError):
                clients.append(socket.create_connection(("127.0.0.1", port), timeout=90))
                clients[-1].sendall(ask.encode())
        did["ms to send 1,000, at most"] = max(
            did["ms to send 1,000, at most"], round((time.monotonic() - start) * 1000)
        )
        for client in clients:
            answer = b""
            with suppress(OSError):
                answer = client.recv(100)
            did[answer[9:12].decode() or "closed"] += 1
            client.close()
        await asyncio.sleep(max(0.0, 1 - (time.monotonic() - start)))
    return did


async def files(port: int, end: float) -> Counter[str]:
    """1,500 connections that send nothing, or half a head, each opened again when it is lost."""
    did: Counter[str] = Counter()

    async def one(sent: bytes) -> None:
        while (left := end - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(left):
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    did["opened"] += 1
                    writer.write(sent)
                    with suppress(OSError):
                        await reader.read()
                    writer.close()
                    did["dropped"] += 1
                    await asyncio.sleep(1)
            except (OSError, TimeoutError):
                await asyncio.sleep(0.1)

    halves = (b"", b"GET /metrics HTTP/1.1\r\nHost:")
    await asyncio.gather(*(one(halves[i % 2]) for i in range(HELD)))
    return did


async def slow(port: int, end: float) -> Counter[str]:
    """300 clients that ask for 500 scrapes each and take in some bytes a second."""
    did: Counter[str] = Counter()
    ask = f"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization(PASSWORD)}\r\n\r\n"
    loop = asyncio.get_running_loop()

    async def one() -> None:
        while time.monotonic() < end:
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            try:
                async with asyncio.timeout(end - time.monotonic()):
                    await loop.sock_connect(client, ("127.0.0.1", port))
                    did["opened"] += 1
                    sending = asyncio.create_task(loop.sock_sendall(client, ask.encode() * 500))
                    sending.add_done_callback(lambda done: done.cancelled() or done.exception())
                    while await loop.sock_recv(client, 10):
                        await asyncio.sleep(0.2)
                    did["dropped"] += 1
            except (OSError, TimeoutError, ValueError):
                did["dropped"] += 1
            finally:
                client.close()
            await asyncio.sleep(0.1)

    await asyncio.gather(*(one() for _ in range(SLOW)))
    return did


def odd(draw: random.Random) -> bytes:
    """Something that is nearly a request, or several, or none."""
    method = draw.choice(["GET", "HEAD", "POST", "DELETE", "CONNECT", "get", "", "PRI", "A" * 50])
    path = draw.choice(
        ["/metrics", "/api/health", "/api/drift/summary?days=", "/api/drift/reset", "*", "/%", "//"]
        + ["http://[x/", "/\x7f", "/" + "a" * 9000, "/api/metrics/json", "/openapi.json"]
    )
    accept = draw.choice(
        ["application/openmetrics-text; version=", "text/plain;q=", "*/*;", ",;=", "\x80"]
    ) + draw.choice(["abc", "1.0.0", "9" * 400, "", '"', ";;,", "0.0.4;escaping=x"])
    headers = [
        "Host: x",
        f"Authorization: {authorization(PASSWORD)}",
        f"Accept: {accept}",
        *draw.sample(
            [
                *("Content-Length: 5", "Content-Length: -1", "Transfer-Encoding: chunked"),
                *("Upgrade: h2c", "Upgrade: websocket", "Connection: upgrade", "Expect: x"),
                *("Expect: 100-continue", "X: " + "y" * 20_000, "Host: y", ": z", "A\x00: b"),
                *("Connection: close", "Authorization: Basic !", "Sec-WebSocket-Key: a"),
            ],
            draw.randint(0, 4),
        ),
    ]
    version = draw.choice(["HTTP/1.1"] * 8 + ["HTTP/1.0", "HTTP/2.0", "HTTP/x", ""])
    text = f"{method} {path} {version}\r\n" + "\r\n".join(headers) + "\r\n\r\n"
    sent = bytearray(
        text.encode("latin-1") + draw.choice([b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n"])
    )
    for _ in range(draw.choice([0, 0, 0, 1, 3, 30])):
        sent[draw.randrange(len(sent))] = draw.randrange(256)
    if draw.random() < 0.1:
        sent = bytearray(
            draw.choice([PREFACE * 20, b"\x16\x03\x01\x02\x00" * 40, draw.randbytes(999)])
        )
    return bytes(sent) * draw.choice([1, 1, 1, 2, 50])


async def fuzz(port: int, end: float) -> Counter[str]:
    """Requests that are nearly right, in pieces, by clients that leave; statuses are counted."""
    did: Counter[str] = Counter()

    async def one(seed: int) -> None:
        draw = random.Random(seed)
        while time.monotonic() < end:
            sent = odd(draw)
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                cut = draw.randrange(len(sent) + 1)
                writer.write(sent[:cut])
                await asyncio.sleep(draw.choice([0, 0, 0, 0.01]))
                writer.write(sent[cut:])
                if draw.random() < 0.8:
                    answer = b""
                    with suppress(TimeoutError):
                        answer = await asyncio.wait_for(reader.read(100), 0.3)
                    valid = answer.startswith((b"HTTP/1.1 ", b"HTTP/1.0 "))
                    did[answer[9:12].decode() if valid else "nothing" if not answer else "odd"] += 1
                else:
                    did["left"] += 1
                writer.close()

    seed = int(sys.argv[4])
    await asyncio.gather(*(one(seed * FUZZERS + i) for i in range(FUZZERS)))
    return did


async def nothing(port: int, end: float) -> Counter[str]:
    """Nobody does anything: what the others are to be compared with."""
    await asyncio.sleep(end - time.monotonic())
    return Counter()


ATTACKS: dict[str, Attack] = {
    "nothing": nothing,
    "http2": http2,
    "reset": reset,
    "passwords": passwords,
    "files": files,
    "slow": slow,
    "fuzz": fuzz,
}


def main() -> None:
    """Attack, and print as JSON what was done."""
    did = asyncio.run(ATTACKS[sys.argv[1]](int(sys.argv[2]), time.monotonic() + float(sys.argv[3])))
    print(json.dumps(did))


if __name__ == "__main__":
    main()
