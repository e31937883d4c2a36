"""script/monitor as it is typed, on other ports: a real Prometheus, Alertmanager and exporter."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
sys.path.insert(0, str(ROOT / "script"))

import alerts
import install
import places
import watchers
from instance import Instance

# What main() of script/monitor does, with a deploy/ and a pause of one's own.
HASTENED = (
    "import pathlib, sys; sys.path.insert(0, 'script'); import monitoring, watchers;"
    "watchers.DEPLOY = pathlib.Path(sys.argv[1]); monitoring.AGAIN_SECONDS = 0.2;"
    "sys.exit(monitoring.main(sys.argv[2:]))"
)
SPEED = 30
PATIENCE_SECONDS = 60


@dataclass
class Monitor:
    """A script/monitor that was started: its process, its ports and what it has printed."""

    process: subprocess.Popen
    ports: dict[str, int]
    home: Path
    output: Path

    def printed(self) -> str:
        return self.output.read_text()

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while text not in self.printed():
            assert self.process.poll() is None, self.printed()
            assert time.monotonic() < end, self.printed()
            time.sleep(0.1)

    def ask(self, service: str, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[service]}{path}") as reply:
            text = reply.read().decode()
        return json.loads(text) if path.startswith("/api") else text

    def own(self, name: str) -> psutil.Process:
        """The process of that name that it started."""
        (found,) = [
            child
            for child in psutil.Process(self.process.pid).children(recursive=True)
            if any(name in part for part in child.cmdline()[:4])
        ]
        return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Monitor]]:
    """Starts script/monitor; nothing that it started may be alive once it has ended."""
    started: list[Monitor] = []

    def run(*options: str, deploy: Path | None = None, **env: str) -> Monitor:
        names = ("exporter", "prometheus", "alertmanager")
        ports = dict(zip(names, alerts.free_ports(3), strict=True))
        chosen = [part for name in names for part in (f"--{name}-port", str(ports[name]))]
        home, output = tmp_path / "상태 é: 😀", tmp_path / f"printed{len(started)}.txt"
        command = [str(ROOT / "script" / "monitor")]
        if deploy is not None:
            command = [sys.executable, "-P", "-c", HASTENED, str(deploy)]
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ROUTING_ML_", "SLACK_"))}
        with output.open("w") as file:
            process = subprocess.Popen(
                [*command, *chosen, *options],
                cwd=ROOT,
                env=kept | {"ROUTING_ML_HOME": str(home)} | env,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        started.append(Monitor(process, ports, home, output))
        return started[-1]

    yield run
    for each in started:
        begun = psutil.Process(each.process.pid).children(recursive=True) if alive(each) else []
        each.process.send_signal(signal.SIGTERM)
        each.process.wait(PATIENCE_SECONDS)
        assert [child for child in begun if child.is_running()] == []


def alive(monitor: Monitor) -> bool:
    return monitor.process.poll() is None


@pytest.fixture
def hastened(tmp_path: Path) -> Path:
    """A deploy/ in which everything takes a thirtieth of its time."""
    for service in ("prometheus", "alertmanager"):
        shutil.copytree(ROOT / "deploy" / service, tmp_path / "deploy" / service)
    for path in (tmp_path / "deploy").rglob("*.yml"):
        path.write_text(alerts.hastened(path.read_text(), SPEED))
    return tmp_path / "deploy"


def test_one_command_watches_and_ctrl_c_ends_it(start: Callable[..., Monitor]) -> None:
    slack = "http://127.0.0.1:9/services/T/B/very-secret"
    monitor = start(SLACK_WEBHOOK_URL=slack)
    monitor.wait_for("Ctrl-C ends")
    for name, port in monitor.ports.items():
        assert f"{name.capitalize()} " in monitor.printed().replace("exporter ", "Exporter ")
        assert f"http://127.0.0.1:{port}" in monitor.printed()
    assert "tells Slack" in monitor.printed()

    # Three programs, on loopback and nowhere else; what is secret is on no command line.
    everyone = psutil.Process(monitor.process.pid).children(recursive=True)
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for process in everyone
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", port) for port in monitor.ports.values()}
    shown = [" ".join(process.cmdline()) + str(process.environ()) for process in everyone]
    assert ["very-secret" in text for text in shown if "--web.listen" in text] == [False, False]
    assert "very-secret" not in " ".join(" ".join(p.cmdline()) for p in everyone)
    secret = monitor.home / "monitoring" / "slack_webhook_url"
    assert secret.read_text() == slack
    written = [*(monitor.home / "monitoring").glob("*.*"), secret]
    modes = {path.name: path.stat().st_mode & 0o777 for path in written if path.suffix != ".lock"}
    assert set(modes.values()) == {0o600}, modes
    assert (monitor.home / "monitoring").stat().st_mode & 0o777 == 0o700

    addresses = {f"http://127.0.0.1:{port}/metrics" for port in monitor.ports.values()}

    def watched() -> bool:
        found = monitor.ask("prometheus", "/api/v1/targets")["data"]["activeTargets"]
        return {target["scrapeUrl"] for target in found} == addresses

    alerts.until(watched, "the targets")
    managers = monitor.ask("prometheus", "/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
    assert [m["url"] for m in managers] == [
        f"http://127.0.0.1:{monitor.ports['alertmanager']}/api/v2/alerts"
    ]
    rules = [g["name"] for g in monitor.ask("prometheus", "/api/v1/rules")["data"]["groups"]]
    files = (ROOT / "deploy" / "prometheus" / "rules").glob("*.yml")
    expected = [g["name"] for f in files for g in yaml.safe_load(f.read_text())["groups"]]
    assert sorted(rules) == sorted(expected)

    # Who starts Airflow beside it uses this exporter, and starts none at its port.
    for port, there in ((monitor.ports["exporter"], True), (1, False)):
        assert Instance(monitor.home, "", 0, port).exporter_is_there() is there
    second = start()
    assert second.process.wait(PATIENCE_SECONDS) == 1
    assert second.printed().count("\n") == 1
    assert "script/monitor already runs on" in second.printed()

    monitor.process.send_signal(signal.SIGINT)
    assert monitor.process.wait(PATIENCE_SECONDS) == 0
    assert not secret.exists()
    assert not any(process.is_running() for process in everyone)
    assert not Instance(monitor.home, "", 0, monitor.ports["exporter"]).exporter_is_there()


def test_a_killed_exporter_is_told_with_advice_for_this_machine(
    start: Callable[..., Monitor], hastened: Path, tmp_path: Path
) -> None:
    slack = alerts.Slack()
    (stack := alerts.Stack(tmp_path / "apart")).folder.mkdir()
    with alerts.exporter(stack) as exporter:
        port = str(stack.ports["exporter"])
        monitor = start("--exporter-port", port, deploy=hastened, SLACK_WEBHOOK_URL=slack.url)
        monitor.wait_for("Ctrl-C ends")
        assert "which was there" in monitor.printed()
        assert not Instance(monitor.home, "", 0, int(port)).exporter_is_there()

        def up() -> bool:
            found = monitor.ask("prometheus", "/api/v1/targets")["data"]["activeTargets"]
            return [target["health"] for target in found] == ["up"] * 3

        alerts.until(up, "three targets that are up")
        exporter.kill()
        exporter.wait()
        alerts.until(lambda: slack.messages, "a message")
    assert slack.titles() == ["Critical: exporter is down"]
    assert slack.texts() == [
        f"• 127.0.0.1:{port} has answered no scrape for over a minute. See the terminals of "
        f"script/run and script/monitor, and {monitor.home}/log/exporter.log.\n"
    ]
    (alert,) = monitor.ask("alertmanager", "/api/v2/alerts")
    assert set(alert["labels"]) == {"alertname", "instance", "job", "severity"}
    assert alert["generatorURL"].startswith(f"http://127.0.0.1:{monitor.ports['prometheus']}/")
    assert alive(monitor)


def test_without_an_address_alerts_are_shown_and_nothing_fails(
    start: Callable[..., Monitor], hastened: Path
) -> None:
    monitor = start(deploy=hastened)
    monitor.wait_for("Ctrl-C ends")
    assert "tells nobody: set SLACK_WEBHOOK_URL" in monitor.printed()
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sent = [{"labels": {"alertname": "A"}, "startsAt": now}]
    request = urllib.request.Request(
        f"http://127.0.0.1:{monitor.ports['alertmanager']}/api/v2/alerts",
        data=json.dumps(sent).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10):
        pass
    (alert,) = monitor.ask("alertmanager", "/api/v2/alerts")
    assert [to["name"] for to in alert["receivers"]] == ["slack"]

    def flushed() -> bool:
        counts = monitor.ask("alertmanager", "/metrics")
        return "alertmanager_notifications_total" in counts and not re.search(
            r"^alertmanager_notifications\w*_total\{.*\} [1-9]", counts, re.MULTILINE
        )

    time.sleep(3)  # the group's wait is over: an attempt would have been made
    assert flushed()
    assert not (monitor.home / "monitoring" / "slack_webhook_url").exists()

    # Its own exporter is started again, and it goes on watching.
    killed = monitor.own("exporter")
    killed.kill()
    monitor.wait_for("the exporter ended with code -9")
    ready = f"http://127.0.0.1:{monitor.ports['exporter']}/api/health"
    alerts.until(lambda: alerts._answers(ready), "the exporter")
    assert monitor.own("exporter").pid != killed.pid
    monitor.own("prometheus-alertmanager").kill()
    assert monitor.process.wait(PATIENCE_SECONDS) == 1
    assert "script/monitor: alertmanager ended with code -9" in monitor.printed()


def test_a_busy_port_is_named_with_what_to_do(start: Callable[..., Monitor]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for option, advice in (
            ("--prometheus-port", "systemctl disable --now prometheus'"),
            ("--alertmanager-port", "systemctl disable --now prometheus-alertmanager'"),
        ):
            refused = start(option, port)
            assert refused.process.wait(PATIENCE_SECONDS) == 1
            (line,) = refused.printed().splitlines()
            assert line.startswith(f"script/monitor: port {port} cannot be used (")
            assert advice in line and line.endswith(f"choose another with {option}")


@pytest.mark.parametrize(
    ("options", "env", "named"),
    [
        (["--prometheus-port", "0"], {}, "'0' is no port"),
        (["--prometheus-port", "9", "--exporter-port", "9"], {}, "must all be different"),
        ([], {"SLACK_WEBHOOK_URL": "hooks.example/very-secret"}, "SLACK_WEBHOOK_URL is no address"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(
    start: Callable[..., Monitor], options: list[str], env: dict[str, str], named: str
) -> None:
    refused = start(*options, **env)
    assert refused.process.wait(PATIENCE_SECONDS) != 0
    assert named in refused.printed().splitlines()[-1]
    assert "very-secret" not in refused.printed()
    assert not refused.home.exists()


def test_a_port_with_something_else_than_an_exporter_is_refused(
    start: Callable[..., Monitor],
) -> None:
    slack = alerts.Slack()  # a server that knows no /api/health
    port = slack.url.split(":")[2].split("/")[0]
    refused = start("--exporter-port", port)
    assert refused.process.wait(PATIENCE_SECONDS) == 1
    (line,) = refused.printed().splitlines()
    assert f"port {port} is taken" in line and "TLS or passwords" in line


def test_an_exporter_that_cannot_start_ends_all_with_its_reason(
    start: Callable[..., Monitor],
) -> None:
    refused = start(ROUTING_ML_STORE_URL="mysql://x")
    assert refused.process.wait(PATIENCE_SECONDS) == 1
    assert "script/monitor: exporter ended with code 1" in refused.printed()
    assert refused.printed().endswith("must begin with sqlite:/// or postgresql://; correct it\n")


def test_a_program_that_is_not_there_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert watchers.missing() == ["prometheus", "prometheus-alertmanager"]
    with pytest.raises(places.StartError, match="apt-get install prometheus-alertmanager"):
        watchers.program("prometheus-alertmanager")
    (tmp_path / "alertmanager").touch(0o755)
    assert watchers.missing() == ["prometheus"]
    assert watchers.program("prometheus-alertmanager") == str(tmp_path / "alertmanager")


def test_what_debian_starts_by_itself_is_stopped_where_it_was_just_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(install, "_is_installed", lambda package: package == "unixodbc")
    monkeypatch.setattr(install, "_apt", lambda missing: ["sudo", "apt-get"])
    monkeypatch.setattr(install, "_call", lambda command, *rest: ran.append(list(command)))
    monkeypatch.setattr(install, "SYSTEMD", tmp_path)
    install._install_system_packages(["unixodbc", "prometheus", "wget"], print, tmp_path / "log")
    assert ran[-1] == ["sudo", "systemctl", "disable", "--now", "prometheus"]
    assert [command[-1] for command in ran[:-1]] == ["update", "wget"]
    ran.clear()
    monkeypatch.setattr(install, "SYSTEMD", tmp_path / "none")
    install._install_system_packages(["prometheus"], print, tmp_path / "log")
    assert "systemctl" not in str(ran)


def test_series_are_kept_as_long_as_with_containers() -> None:
    compose = (ROOT / "docker-compose.yaml").read_text()
    assert f"--storage.tsdb.retention.time={watchers.RETENTION}" in compose
