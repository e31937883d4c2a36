"""What the exporter takes, and how soon it answers while clients misbehave.

    python benchmarks/exporter.py [--part clients] [--seconds 8] [--store-url URL]
    python benchmarks/exporter.py --part http2 --part passwords [--seconds 20]
    python benchmarks/exporter.py --part fuzz --seconds 1800

Starts `python -m exporter` over a filled store and asks for its health all the while: idle, with 64
clients that scrape without pause, with 300 that never finish their request, with bodies of 10 MB,
and, over TLS, with clients that never shake hands.

The other parts are attacks on an exporter with a password, a row of a Markdown table each: nothing
(to compare with), HTTP/2 by prior knowledge, rapid reset, 1,000 wrong passwords at once, the same
while the right one is not known yet (cold), 1,500 connections at 1,024 files, slow readers, fuzz.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from attackers import ATTACKS
from hostile import HEADER, attacked

from routing_ml.settings import default_url
from routing_ml.store import Store

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = 64
HALF_OPEN = 300
BODY_BYTES = 10_000_000


@dataclass
class Exporter:
    """The process measured."""

    process: subprocess.Popen[str]
    port: int
    started_in: float
    tls: ssl.SSLContext | None = None

    def memory(self) -> str:
        """Resident memory now and at its peak, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        kib = [int(status.split(f"{key}:")[1].split()[0]) for key in ("VmRSS", "VmHWM")]
        return f"{kib[0] / 1024:.0f} MiB, at its peak {kib[1] / 1024:.0f}"

    def cpu_seconds(self) -> float:
        """Processor time used so far; unlike a latency it does not depend on who else is busy."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(
    home: str, *arguments: str, tls: ssl.SSLContext | None = None, url: str | None = None
) -> Iterator[Exporter]:
    """The exporter on a free port, from its start to its first answer."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("ROUTING_ML_")}
    env |= {"ROUTING_ML_HOME": home} | ({"ROUTING_ML_STORE_URL": url} if url else {})
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "exporter", "--port", "0", *arguments],
        cwd=ROOT,
        env=env,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    found = re.search(r":(\d+)/metrics", line)
    if not found:
        raise SystemExit(line)
    exporter = Exporter(process, int(found[1]), 0.0, tls)
    try:
        asyncio.run(ask(exporter, "/api/health"))
        exporter.started_in = time.perf_counter() - start
        yield exporter
    finally:
        process.terminate()
        process.wait()
        process.stderr.close()


async def connect(exporter: Exporter) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", exporter.port, ssl=exporter.tls)


async def ask(
    exporter: Exporter,
    path: str,
    link: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None,
) -> float:
    """One request, over `link` where given; the seconds it took. A 200 is required."""
    start = time.perf_counter()
    reader, writer = link or await connect(exporter)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    assert b" 200 " in head.split(b"\r\n")[0], head
    length = re.search(rb"content-length: (\d+)", head)
    assert length
    await reader.readexactly(int(length[1]))
    if link is None:
        writer.close()
    return time.perf_counter() - start


def probe(exporter: Exporter, seconds: float) -> subprocess.Popen[str]:
    """Health on a new connection 20 times a second, by a process that does nothing else."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import exporter; exporter.probing()"
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(exporter.port)]
    secure = "tls" if exporter.tls else "plain"
    return subprocess.Popen([*command, secure, str(seconds)], stdout=subprocess.PIPE, text=True)


def probing() -> None:
    """What that process does: prints the seconds each answer took."""
    port, secure, seconds = int(sys.argv[2]), sys.argv[3] == "tls", float(sys.argv[4])
    context = ssl._create_unverified_context() if secure else None
    end, taken = time.perf_counter() + seconds, []
    while time.perf_counter() < end:
        start = time.perf_counter()
        with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
            client = context.wrap_socket(plain) if context else plain
            client.sendall(b"GET /api/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = b""
            while part := client.recv(65536):
                answer += part
            client.close()
        assert answer.startswith(b"HTTP/1.1 200"), answer
        taken.append(time.perf_counter() - start)
        time.sleep(0.05)
    print(json.dumps(taken))


async def scrape(exporter: Exporter, end: float) -> list[float]:
    """Scrape without pause over one connection at a time."""
    seconds = []
    while time.perf_counter() < end:
        link = await connect(exporter)
        with suppress(asyncio.IncompleteReadError, ConnectionError):  # closed after 1,000 requests
            while time.perf_counter() < end:
                seconds.append(await ask(exporter, "/metrics", link))
        link[1].close()
    return seconds


async def hold(exporter: Exporter, end: float, sent: bytes) -> tuple[int, int]:
    """Keep HALF_OPEN unfinished connections; returns (dropped, opened)."""
    dropped = opened = 0

    async def one() -> None:
        nonlocal dropped, opened
        while time.perf_counter() < end:
            with suppress(ConnectionError):
                reader, writer = await asyncio.open_connection("127.0.0.1", exporter.port)
                opened += 1
                writer.write(sent)
                with suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(), max(end - time.perf_counter(), 0.01))
                    dropped += 1
                writer.close()

    await asyncio.gather(*(one() for _ in range(HALF_OPEN)))
    return dropped, opened


async def push(exporter: Exporter, end: float) -> int:
    """Send bodies of 10 MB, four at a time; returns how many."""
    sent = 0

    async def one() -> None:
        nonlocal sent
        while time.perf_counter() < end:
            _, writer = await connect(exporter)
            head = (
                f"POST /api/drift/reset HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY_BYTES}\r\n\r\n"
            )
            with suppress(ConnectionError):
                writer.write(head.encode())
                for _ in range(100):
                    writer.write(b"x" * (BODY_BYTES // 100))
                    await writer.drain()
            sent += 1
            writer.close()

    await asyncio.gather(*(one() for _ in range(4)))
    return sent


def shown(name: str, seconds: list[float], more: str = "") -> None:
    ordered = sorted(seconds)
    p99 = ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)] * 1000
    middle = statistics.median(ordered) * 1000
    print(
        f"{name:34}{len(seconds):8}{middle:10.1f}{p99:9.1f}{ordered[-1] * 1000:9.1f}  {more}",
        flush=True,
    )


async def trouble(exporter: Exporter, seconds: float, name: str) -> None:
    """One kind of trouble for so long, with the health asked all the while."""
    end = time.perf_counter() + seconds
    watch = probe(exporter, seconds)
    more, scrapes, used = "", [], exporter.cpu_seconds()
    if "clients" in name:
        tasks = [asyncio.create_task(scrape(exporter, end)) for _ in range(CLIENTS)]
        scrapes = [each for task in tasks for each in await task]
        used = (exporter.cpu_seconds() - used) / len(scrapes) * 1000
    elif "half-open" in name or "silent" in name:
        sent = b"" if "silent" in name else b"GET /metrics HTTP/1.1\r\nHost:"
        dropped, opened = await hold(exporter, end, sent)
        more = f"{dropped} of {opened} dropped within {seconds:.0f} s"
    elif "bodies" in name:
        more = f"{await push(exporter, end)} sent"
    while watch.poll() is None:
        await asyncio.sleep(0.1)
    shown(f"health, {name}", json.loads(watch.communicate()[0]), more)
    if scrapes:
        shown(
            "  their scrapes",
            scrapes,
            f"{len(scrapes) / seconds:.0f} a second, {used:.2f} ms of CPU each",
        )


def fill(url: str) -> None:
    """A store as a month of work leaves it."""
    store = Store(url)
    store.record_predictions(["A"] * 500, [0.9] * 500, [0.9] * 500, model="m1", seconds=5)
    store.record_run("r1", succeeded=True, seconds=60)
    store.record_model("m1", created_at=1.7e9, metrics={"exact_match": 0.9})
    store.record_audit({"items": {f"C{i}": i / 42 for i in range(42)}})
    store.close()


def self_signed(folder: str) -> ssl.SSLContext:
    """A key, a certificate and a web configuration that names them."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=x", "-keyout", "key.pem", "-out", "cert.pem"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    (Path(folder) / "web.yml").write_text(
        "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"
    )
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parts = ("clients", *ATTACKS, "cold")
    parser.add_argument("--part", choices=parts, action="append", help="default: all of them")
    parser.add_argument("--seconds", type=float, default=8, help="of each trouble and attack")
    parser.add_argument("--store-url", help="clients: a PostgreSQL instead of a SQLite of its own")
    parser.add_argument("--seed", type=int, default=1, help="of fuzz")
    parser.add_argument(
        "--checkout", type=Path, default=ROOT, help="attacks: whose exporter, such as an older one"
    )
    options = parser.parse_args()
    chosen = options.part or parts
    if "clients" in chosen:
        clients(options)
    attacks = [part for part in chosen if part != "clients"]
    if attacks:
        print(HEADER)
    for part in attacks:
        name = "passwords" if part == "cold" else part
        where = (name, options.seconds, options.checkout, fill)
        print(attacked(*where, seed=options.seed, cold=part == "cold"), flush=True)


def clients(options: argparse.Namespace) -> None:
    """Start, then clients that are many, or slow, or silent."""
    with tempfile.TemporaryDirectory() as home:
        url = options.store_url or default_url(home)
        fill(url)
        starts = []
        for _ in range(5):
            with serving(home, url=url) as exporter:
                starts.append(exporter.started_in)
        print(f"start to first answer: {statistics.median(starts):.2f} s (at most .5)")
        print(f"{'milliseconds':34}{'asked':>8}{'median':>10}{'p99':>9}{'worst':>9}")
        with serving(home, url=url) as exporter:
            asyncio.run(ask(exporter, "/metrics"))
            idle = exporter.memory()
            for name in (
                "idle",
                f"{CLIENTS} clients scrape",
                f"{HALF_OPEN} half-open",
                "10 MB bodies",
            ):
                asyncio.run(trouble(exporter, options.seconds, name))
            loaded = exporter.memory()
        context = self_signed(home)
        with serving(
            home, "--web.config.file", f"{home}/web.yml", tls=context, url=url
        ) as exporter:
            asyncio.run(trouble(exporter, options.seconds, f"TLS, {HALF_OPEN} silent"))
            secure = exporter.memory()
        print(f"memory: idle {idle} (at most 40); after all that {loaded}; with TLS {secure}")


if __name__ == "__main__":
    main()
