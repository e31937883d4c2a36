"""The exporter as a process of its own, for the tests of it."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Reply:
    """What came back, and how long it took."""

    status: int
    text: str
    headers: Mapping[str, str]
    seconds: float  # for the benchmarks


@dataclass
class Exporter:
    """A running exporter."""

    process: subprocess.Popen[str]
    host: str
    port: int
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> Reply:
        """One request, whatever its status."""
        request = urllib.request.Request(
            self.url + path, data=body, method=method, headers=dict(headers or {})
        )
        start = time.perf_counter()
        try:
            with urllib.request.urlopen(request, timeout=60, context=tls) as reply:
                text = reply.read().decode()
                return Reply(reply.status, text, reply.headers, time.perf_counter() - start)
        except urllib.error.HTTPError as error:
            text = error.read().decode()
            return Reply(error.code, text, error.headers, time.perf_counter() - start)

    def value(self, name: str) -> float | None:
        """A metric's value in a scrape, None when it is not there."""
        reply = self.ask("/metrics")
        assert reply.status == 200
        found = re.search(rf"^{re.escape(name)} (\S+)$", reply.text, re.MULTILINE)
        return float(found[1]) if found else None

    def wait_for(self, name: str, value: float, seconds: float = 60) -> None:
        """Scrape until the metric has this value."""
        end = time.monotonic() + seconds
        while (seen := self.value(name)) != value:
            assert time.monotonic() < end, f"{name} is {seen}, not {value}"
            time.sleep(0.05)

    def memory_mib(self) -> float:
        """Resident memory, in MiB."""
        return memory_mib(Path(f"/proc/{self.process.pid}/status").read_text())

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """End it; returns its exit code and what it wrote to standard error."""
        self.process.send_signal(number)
        _, text = self.process.communicate(timeout=60)
        return self.process.returncode, text


def memory_mib(status: str) -> float:
    """Resident memory by the text of a process's /proc/PID/status, in MiB."""
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def command(*arguments: str) -> list[str]:
    """The command line that starts an exporter."""
    return [sys.executable, "-P", "-m", "exporter", *arguments]


def environment(home: Path | str, **more: str) -> dict[str, str]:
    """This process's environment, the project's settings replaced."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("ROUTING_ML_")}
    return {**kept, "ROUTING_ML_HOME": str(home), **more}


@contextmanager
def serving(
    home: Path | str, *arguments: str, limit_files: bool = False, **env: str
) -> Iterator[Exporter]:
    """An exporter on a free port; with `limit_files` it can write to no file, as on a full disk."""
    start = command("--port", "0", *arguments)
    if limit_files:
        start = ["prlimit", "--fsize=0", *start]
    process = subprocess.Popen(
        start,
        cwd=ROOT,
        env=environment(home, PYTHONDONTWRITEBYTECODE="1", **env),
        stderr=subprocess.PIPE,
        text=True,
    )
    stream: IO[str] | None = process.stderr
    assert stream is not None
    try:
        line = stream.readline()
        found = re.search(r"on (https?)://([\d.]+):(\d+)/", line)
        assert found, line + stream.read()
        yield Exporter(process, found[2], int(found[3]), found[1])
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        stream.close()
