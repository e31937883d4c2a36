"""How long until people are told, and whether every scrape succeeds.

    python benchmarks/alerts.py [--speed 1]

Runs the exporter, Prometheus and Alertmanager as deploy/ configures them, but for the addresses,
and a Slack on loopback. Drift comes into the store; then the exporter is killed and started again.
Takes 8 minutes; `--speed 10` divides every interval and every `for:` by ten. Ends with exit code 1
when a message does not come, one comes that nobody expects, or a scrape fails while the exporter
lives.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routing_ml.drift import Baseline, evaluate
from routing_ml.judging import figures
from routing_ml.settings import default_url
from routing_ml.store import Judged, Store

ROOT = Path(__file__).resolve().parent.parent
MODEL = "model_20260101_020000"
DRIFT, DOWN, UP = (
    "Critical: Severe drift of new items",
    "Critical: exporter is down",
    "Resolved: exporter is down",
)
PATIENCE_SECONDS = 900
# From the last message on, at the repository's speed: a group's interval and its wait.
QUIET_SECONDS = 150
# A scrape that was under way when the exporter was killed is not counted.
UNDER_WAY_SECONDS = 0.5
DURATION = re.compile(r"\b(for|\w*interval|scrape_timeout|group_wait): (\d+)([smhd])\b")
UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@dataclass(frozen=True)
class Stack:
    """Where everything is: a folder, and a port of loopback each."""

    folder: Path
    ports: dict[str, int] = field(
        default_factory=lambda: dict(
            zip(("exporter", "prometheus", "alertmanager"), free_ports(3), strict=True)
        )
    )

    def address(self, service: str) -> str:
        return f"127.0.0.1:{self.ports[service]}"

    @property
    def store_url(self) -> str:
        return default_url(self.folder)


class Slack:
    """Takes an incoming webhook's messages on loopback and keeps them."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        slack = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                slack.messages.append(json.loads(self.rfile.read(length)))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_address[1]}/services/T/B/x"
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def titles(self) -> list[str]:
        """The title of each message, in their order."""
        return [message["attachments"][0]["title"] for message in self.messages]

    def texts(self) -> list[str]:
        """The text of each message, in their order."""
        return [message["attachments"][0]["text"] for message in self.messages]


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on now, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def configure(stack: Stack, slack_url: str, speed: float) -> None:
    """Copy deploy's configuration into the stack's folder, its addresses replaced by the stack's
    and its durations divided by `speed`."""
    secret = stack.folder / "slack_webhook_url"
    secret.write_text(slack_url)
    replaced = {
        "exporter:9877": stack.address("exporter"),
        "prometheus:9090": stack.address("prometheus"),
        "alertmanager:9093": stack.address("alertmanager"),
        "/run/secrets/slack_webhook_url": str(secret),
    }
    missing = set(replaced)
    for service in ("prometheus", "alertmanager"):
        shutil.copytree(ROOT / "deploy" / service, stack.folder / service)
        for path in (stack.folder / service).rglob("*.yml"):
            text = path.read_text()
            missing -= {old for old in missing if old in text}
            for old, new in replaced.items():
                text = text.replace(old, new)
            path.write_text(hastened(text, speed))
    if missing:
        raise SystemExit(f"deploy/ no longer speaks of {', '.join(sorted(missing))}")


def hastened(text: str, speed: float) -> str:
    """A configuration with each of its durations divided."""
    return DURATION.sub(lambda found: _divided(found, speed), text)


def _divided(found: re.Match[str], speed: float) -> str:
    return f"{found[1]}: {int(int(found[2]) * UNIT_MS[found[3]] / speed)}ms"


@contextmanager
def running(
    command: Sequence[str], ready: str, log: Path, **env: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A program from the moment that `ready` answers; it ends with the block, or with us."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("ROUTING_ML_")}
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command],
            cwd=ROOT,
            env={**kept, **env},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + 60
        while not _answers(ready):
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{command[0]} does not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


@contextmanager
def exporter(stack: Stack) -> Iterator[subprocess.Popen[bytes]]:
    """The exporter over the stack's store."""
    command = [sys.executable, "-m", "exporter", "--port", str(stack.ports["exporter"])]
    ready = f"http://{stack.address('exporter')}/api/health"
    home = {"ROUTING_ML_HOME": str(stack.folder), "ROUTING_ML_STORE_URL": stack.store_url}
    with running(command, ready, stack.folder / "exporter.log", **home) as process:
        yield process


@contextmanager
def prometheus(stack: Stack) -> Iterator[None]:
    """Prometheus with the configuration in the stack's folder."""
    command = [
        "prometheus",
        f"--config.file={stack.folder}/prometheus/prometheus.yml",
        f"--storage.tsdb.path={stack.folder}/series",
        f"--web.listen-address={stack.address('prometheus')}",
    ]
    ready = f"http://{stack.address('prometheus')}/-/ready"
    with running(command, ready, stack.folder / "prometheus.log"):
        yield


@contextmanager
def alertmanager(stack: Stack) -> Iterator[None]:
    """Alertmanager with the configuration in the stack's folder."""
    command = [
        "prometheus-alertmanager",
        f"--config.file={stack.folder}/alertmanager/alertmanager.yml",
        f"--storage.path={stack.folder}/notifications",
        f"--web.listen-address={stack.address('alertmanager')}",
        "--cluster.listen-address=",
    ]
    ready = f"http://{stack.address('alertmanager')}/-/ready"
    with running(command, ready, stack.folder / "alertmanager.log"):
        yield


def query(stack: Stack, expr: str) -> list[dict[str, Any]]:
    """What Prometheus answers to an expression now. ValueError when it cannot be evaluated."""
    asked = urllib.parse.urlencode({"query": expr})
    url = f"http://{stack.address('prometheus')}/api/v1/query?{asked}"
    try:
        with urllib.request.urlopen(url, timeout=30) as reply:
            return json.load(reply)["data"]["result"]
    except urllib.error.HTTPError as error:
        raise ValueError(f"{expr}: {error.read().decode()}") from error


def fill(url: str) -> None:
    """A store in which all is well: proposals that resemble the past, a model that is good by what
    was held out and by what planners wrote, a good audit."""
    rng = np.random.default_rng(1)
    now = time.time()
    with closing(Store(url)) as store:
        propose(store, "known", rng.beta(8, 2, 400))
        with store.transaction():  # an alarm that was answered within three hours
            store.note_alarm(watch="m0", on=True, advised=True, day=date.today(), at=now - 10_000)
            store.record_run(
                "monthly", succeeded=True, seconds=42.0, ended_at=now, started_by="schedule"
            )
            store.judge_alarm("monthly", better=True, promoted=True, as_of=now, at=now)
        store.record_model(MODEL, created_at=now, metrics={"exact_match": 0.935, "items": 356})
        store.record_judged(judged(now))
        live = figures(store, model=MODEL, today=date.today())
        store.set_fact("live", live | {"at": now}, now)
        store.set_fact("concept", {"alarm": False, "cause": None, "e_value": 1.0}, now)
        required = {"ITEM_CD": 0.0, "ROUT_NO": 0.0, "RUN_TIME": 0.01}
        store.record_quality({"duplicates": 3, "units": 1}, worse=1)
        store.record_source_read("default", as_of=time.time())
        store.record_audit(
            {"items": {"ITEM_CD": 0.0, "GROUP2": 0.145, "GROUP3": 0.993}, "routings": required},
            outliers={"routings.RUN_TIME": 403},
            rows={"items": 2400, "routings": 19786},
        )
        store.add({("backups", "success"): 1})
        kept = {"backup": "backup_20260101_150000", "bytes": 9e7, "new_bytes": 1e6, "seconds": 9.0}
        store.set_fact("backup", {"at": now, **kept})


def judged(now: float) -> list[Judged]:
    """Routings that planners have written today: 95 of 100 as proposed; of 4 more the proposals
    had been seen."""
    today = date.today()
    right = Judged(
        "", MODEL, "boosted", 1, now - 86_400, now, today.isoformat(), today.strftime("%G-W%V"), "",
        1, 0, "RING", 0.92, 0.0, 1, 1, 7, 0, 0, 0.1, 0.06, 6, 7, 7,
    )  # fmt: skip
    wrong = right._replace(exact=0, tp=6, fp=1)
    return [
        (wrong if number < 5 else right)._replace(
            item_cd=f"judged-{number}", family=f"judged-{number}", seen=int(number >= 100)
        )
        for number in range(104)
    ]


def propose(store: Store, kind: str, scores: NDArray[np.float64]) -> dict[str, Any]:
    """Record a proposal an item with these scores, and evaluate drift; returns its status."""
    items = [f"{kind}-{number}" for number in range(len(scores))]
    store.record_predictions(items, scores.tolist(), scores.tolist(), model=MODEL, seconds=3.0)
    baseline = Baseline.fit(np.random.default_rng(0).beta(8, 2, 2000))
    return evaluate(store, MODEL, baseline, day=date.today())


def until(condition: Callable[[], object], what: str) -> float:
    """Wait until it holds; returns the seconds that took. SystemExit when patience ends."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > PATIENCE_SECONDS:
            raise SystemExit(f"{what}: not within {PATIENCE_SECONDS} s")
        time.sleep(0.05)
    return time.monotonic() - start


def hear(slack: Slack, title: str) -> None:
    """Wait for the message with this title, and print how long that took."""
    seconds = until(lambda: title in slack.titles(), title)
    print(f"{title:40}{seconds:8.1f} s", flush=True)


def scrapes(stack: Stack, lives: Sequence[tuple[float, float]]) -> tuple[int, int]:
    """(made, succeeded) of the exporter's scrapes while it lived; `lives` in seconds since 1970."""
    values = query(stack, 'up{job="exporter"}[1h]')[0]["values"]
    lived = [
        value
        for at, value in values
        if any(start <= at <= end - UNDER_WAY_SECONDS for start, end in lives)
    ]
    return len(lived), lived.count("1")


def measure(folder: Path, speed: float) -> bool:
    """The whole course; prints what it sees and returns whether all of it is as it should be."""
    stack, slack = Stack(folder), Slack()
    fill(stack.store_url)
    configure(stack, slack.url, speed)
    with alertmanager(stack), prometheus(stack):
        with exporter(stack) as process:
            first = time.time()
            until(lambda: query(stack, 'up{job="exporter"} == 1'), "a scrape")
            with closing(Store(stack.store_url)) as store:
                status = propose(store, "unlike", np.random.default_rng(2).beta(2, 8, 1000))
            print(f"drift of KL {status['kl_divergence']:.2f} comes into the store", flush=True)
            hear(slack, DRIFT)
            killed = time.time()
            process.kill()
            process.wait()
            hear(slack, DOWN)
        with exporter(stack):
            again = time.time()
            hear(slack, UP)
            time.sleep(QUIET_SECONDS / speed)
            made, succeeded = scrapes(stack, [(first, killed), (again, time.time())])
    print(f"scrapes while the exporter lived: {made} made, {succeeded} succeeded")
    print("messages:", "; ".join(slack.titles()))
    return slack.titles() == [DRIFT, DOWN, UP] and made == succeeded > 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--speed", type=float, default=1.0, help="divide all durations by this")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="routing-ml-alerts-") as folder:
        good = measure(Path(folder), options.speed)
    raise SystemExit(not good)


if __name__ == "__main__":
    main()
