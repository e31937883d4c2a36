"""The exporter under each attack of `attackers`: memory, how soon it answers, what it logs.

`benchmarks/exporter.py --part attacks` prints it as a table.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt
from attackers import PASSWORD, USER, authorization

ROOT = Path(__file__).resolve().parent.parent
AT_REST_SECONDS = 8.0
# Of the table: what is asked for.
RSS_MIB, HEALTH_MS, SCRAPE_MS, LOG_BYTES = 60, 100, 250, 10_000
FILES = 1024


@dataclass
class Asked:
    """What one path answered, asked on a new connection each time."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0

    def worst_ms(self, share: float = 1.0) -> float:
        """The slowest in milliseconds, or of that share; nan when nothing was answered."""
        ordered = sorted(self.seconds)
        if not ordered:
            return float("nan")
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000


def ask(port: int, path: str, *, patience: float = 10.0) -> int:
    """The status of one request with the right password, as Prometheus makes it."""
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization(PASSWORD)}\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as client:
        client.sendall(head.encode() + b"Connection: close\r\n\r\n")
        answer = b""
        while part := client.recv(65536):
            answer += part
    return int(answer[9:12] or b"0")


def watch(port: int, path: str, seconds: float, pause: float) -> Asked:
    """Ask for a path until the end."""
    asked, end = Asked(), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        with suppress(OSError, ValueError):
            if ask(port, path) == 200:
                asked.seconds.append(time.perf_counter() - start)
                time.sleep(pause)
                continue
        asked.failed += 1
        time.sleep(pause)
    return asked


def probe(port: int, path: str, seconds: float, pause: float) -> subprocess.Popen[str]:
    """`watch` in a process that does nothing else."""
    call = f"watch({port}, {path!r}, {seconds}, {pause})"
    code = f"import json, hostile; found = hostile.{call}; print(json.dumps(vars(found)))"
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True
    )


class Subject:
    """A running exporter with a password, its log in a file."""

    def __init__(self, home: Path, checkout: Path, *, files: int | None = None) -> None:
        """`checkout` is whose exporter it is; `files` its limit of open files."""
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()
        (home / "web.yml").write_text(f"basic_auth_users:\n  {USER}: {hashed}\n")
        self.log = home / "log.txt"
        limit = ["prlimit", f"--nofile={files}"] if files else []
        env = {k: v for k, v in os.environ.items() if not k.startswith(("ROUTING_ML", "PYTHONP"))}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [
                    *(*limit, sys.executable, "-m", "exporter", "--port", "0"),
                    *("--web.config.file", str(home / "web.yml")),
                ],
                cwd=checkout,
                env={**env, "ROUTING_ML_HOME": str(home), "PYTHONPATH": str(checkout)},
                stderr=log,
            )
        end = time.monotonic() + 20
        while not (found := re.search(r":(\d+)/metrics", self.log.read_text())):
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(self.log.read_text())
            time.sleep(0.05)
        self.port = int(found[1])

    def rss(self) -> float:
        """Resident memory in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def cpu_seconds(self) -> float:
        """Processor time used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def first_scrape(port: int, seconds: float) -> str:
    """How long, and how often, a right password that nobody knows yet must ask."""
    start, tries = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        tries += 1
        with suppress(OSError, ValueError):
            if ask(port, "/metrics") == 200:
                return f"first scrape after {time.perf_counter() - start:.2f} s, {tries} asked"
        time.sleep(0.25)
    return f"no first scrape within {seconds:.0f} s, {tries} asked"


def attacked(
    name: str,
    seconds: float,
    checkout: Path,
    fill: Callable[[str], None],
    *,
    seed: int,
    cold: bool = False,
) -> str:
    """One attack for so long: a row of the table. `fill` fills a store by its URL. When `cold`, the
    right password is not known to the exporter when the attack begins, and how soon it gets in is
    told besides."""
    with tempfile.TemporaryDirectory() as folder:
        fill(f"sqlite:///{folder}/store.db")
        subject = Subject(Path(folder), checkout, files=FILES if name == "files" else None)
        try:
            return _row(subject, name, seconds, seed=seed, cold=cold)
        finally:
            subject.process.kill()
            subject.process.wait()


def _row(subject: Subject, name: str, seconds: float, *, seed: int, cold: bool) -> str:
    port, more = subject.port, ""
    if not cold:
        for _ in range(5):
            ask(port, "/metrics")
    before, peak, stop = subject.rss(), [subject.rss()], threading.Event()

    def sample() -> None:
        while not stop.wait(0.05):
            peak[0] = max(peak[0], subject.rss())

    sampling = threading.Thread(target=sample)
    sampling.start()
    used, logged, start = subject.cpu_seconds(), subject.log.stat().st_size, time.monotonic()
    attack = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("attackers.py"))]
        + [name, str(port), str(seconds), str(seed)],
        stdout=subprocess.PIPE,
        text=True,
    )
    if cold:
        time.sleep(1)
        more = f"; {first_scrape(port, 60)}"
    left = max(seconds - (time.monotonic() - start), 1)
    probes = [probe(port, "/api/health", left, 0.05), probe(port, "/metrics", left, 0.2)]
    health, scrapes = (Asked(**json.loads(each.communicate()[0])) for each in probes)
    did = json.loads(attack.communicate()[0])
    took = time.monotonic() - start
    used = (subject.cpu_seconds() - used) / took
    written = (subject.log.stat().st_size - logged) / took
    time.sleep(AT_REST_SECONDS)
    after = subject.rss()
    stop.set()
    sampling.join()
    bad = [
        *(["memory"] if max(peak[0], after) > RSS_MIB else []),
        *(["health"] if health.failed or not health.worst_ms(0.99) < HEALTH_MS else []),
        *(["scrapes"] if scrapes.failed or not scrapes.worst_ms() < SCRAPE_MS else []),
        *(["log"] if written > LOG_BYTES else []),
    ]
    cells = [
        f"{name}{', password not known' if cold else ''}, {seconds:.0f} s",
        f"{before:.0f} / {peak[0]:.0f} / {after:.0f}",
        f"{health.worst_ms(0.99):.0f} ({health.failed} of {_asked(health)} failed)",
        f"{scrapes.worst_ms():.0f} ({scrapes.failed} of {_asked(scrapes)} failed)",
        f"{written:.0f}",
        f"{used * 100:.0f}",
        ", ".join(f"{key} {count}" for key, count in sorted(did.items())) + more,
        "holds" if not bad else "MISSED: " + ", ".join(bad),
    ]
    return "| " + " | ".join(cells) + " |"


def _asked(asked: Asked) -> int:
    return len(asked.seconds) + asked.failed


HEADER = (
    "| attack | RSS before / peak / after, MiB (at most 60) | health p99, ms (100) "
    "| slowest scrape of a right password, ms (250) | log, bytes/s (10,000) | CPU % "
    "| it saw | |\n|---|---|---|---|---|---|---|---|"
)
