"""Prometheus and Alertmanager on loopback: deploy/'s configuration, as it fits one machine."""

import json
import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from airflow_api import answers
from install import ROOT, VENV
from instance import MONITOR_LOCK, exporter_command, wait
from places import HOST, StartError
from processes import Processes

DEPLOY = ROOT / "deploy"
OURS = ("ROUTING_ML_", "SLACK_", "TEAMS_")
"""How settings begin, which are nothing to others and may hold secrets."""
# A year of the key figures, and some days to compare with.
RETENTION = "400d"
# Each by what Debian calls it first, then by its own name.
PROGRAMS = {
    "prometheus": ("prometheus",),
    "prometheus-alertmanager": ("prometheus-alertmanager", "alertmanager"),
}


@dataclass(frozen=True)
class Watchers:
    """What was asked for, checked: the state folder, the ports, and Slack's address, if any."""

    home: Path
    prometheus_port: int
    alertmanager_port: int
    exporter_port: int
    slack: str

    @property
    def folder(self) -> Path:
        """Configuration, series and silences."""
        return self.home / MONITOR_LOCK.parent

    @property
    def secret(self) -> Path:
        """Slack's address, for Alertmanager alone: anyone sees a command line."""
        return self.folder / "slack_webhook_url"

    def url(self, port: int) -> str:
        """An address on this machine."""
        return f"http://{HOST}:{port}"

    def configure(self) -> None:
        """Write the configuration of both, and Slack's address beside it, for nobody else."""
        for name in ("series", "alerts"):
            (self.folder / name).mkdir(mode=0o700, exist_ok=True)
        for name, text in (
            ("prometheus.yml", self._prometheus()),
            ("alertmanager.yml", self._alertmanager()),
        ):
            _write(self.folder / name, text)
        self.forget()
        if self.slack:
            _write(self.secret, self.slack)

    def forget(self) -> None:
        """Remove Slack's address."""
        self.secret.unlink(missing_ok=True)

    def start_exporter(self, processes: Processes, env: Mapping[str, str]) -> None:
        """Start an exporter over this state folder."""
        given = dict(env) | {"ROUTING_ML_HOME": str(self.home)}
        processes.start("exporter", exporter_command(self.exporter_port), given)

    def start(self, processes: Processes, env: Mapping[str, str]) -> None:
        """Start both; returns when they, and the exporter, answer."""
        others = {k: v for k, v in env.items() if not k.startswith(OURS)}
        alertmanager = [
            program("prometheus-alertmanager"),
            f"--config.file={self.folder / 'alertmanager.yml'}",
            f"--storage.path={self.folder / 'alerts'}",
            "--cluster.listen-address=",  # there is one, which needs no port to gossip
            *_addresses(self.alertmanager_port),
        ]
        prometheus = [
            program("prometheus"),
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'series'}",
            f"--storage.tsdb.retention.time={RETENTION}",
            *_addresses(self.prometheus_port),
        ]
        processes.start("alertmanager", alertmanager, others)
        processes.start("prometheus", prometheus, others)
        for name, address in (
            ("the exporter", f"{self.url(self.exporter_port)}/api/health"),
            ("Alertmanager", f"{self.url(self.alertmanager_port)}/-/ready"),
            ("Prometheus", f"{self.url(self.prometheus_port)}/-/ready"),
        ):
            wait(processes, partial(answers, address), f"{name} does not answer")

    def _prometheus(self) -> str:
        command = str(VENV / "bin" / "routing-ml")
        if self.home != ROOT / "var":
            command = f"ROUTING_ML_HOME={shlex.quote(str(self.home))} {shlex.quote(command)}"
        return _adapted(
            DEPLOY / "prometheus" / "prometheus.yml",
            {
                "exporter:9877": f"{HOST}:{self.exporter_port}",
                "prometheus:9090": f"{HOST}:{self.prometheus_port}",
                "[alertmanager:9093]": f'["{HOST}:{self.alertmanager_port}"]',
                "rules/*.yml": _quoted(str(DEPLOY / "prometheus" / "rules" / "*.yml")),
                "started_by: compose": "started_by: script",
                "logs: docker compose logs": f"logs: {_quoted(str(self.home / 'log'))}",
                "command: docker compose exec airflow-scheduler routing-ml": (
                    f"command: {_quoted(command)}"
                ),
            },
        )

    def _alertmanager(self) -> str:
        path = DEPLOY / "alertmanager" / "alertmanager.yml"
        text = _adapted(
            path,
            {
                "slack.tmpl": _quoted(str(path.with_name("slack.tmpl"))),
                "/run/secrets/slack_webhook_url": _quoted(str(self.secret)),
            },
        )
        # Without an address each attempt would fail; a receiver that tells nobody does not.
        return text if self.slack else text.partition("    slack_configs:\n")[0]


def program(package: str) -> str:
    """The program that a package brings, wherever it came from; StartError where it is not there.

    Where it is there already, nothing needs to be installed.
    """
    names = PROGRAMS[package]
    for name in names:
        if (found := shutil.which(name)) is not None:
            return found
    raise StartError(
        f"{' or '.join(names)} is not in PATH; install it (Debian: apt-get install {package})"
    )


def missing() -> list[str]:
    """The packages whose programs are not there."""
    return [package for package, names in PROGRAMS.items() if not any(map(shutil.which, names))]


def _addresses(port: int) -> list[str]:
    # The second is what the links in alerts begin with, otherwise the machine's name.
    return [f"--web.listen-address={HOST}:{port}", f"--web.external-url=http://{HOST}:{port}"]


def _adapted(path: Path, replaced: Mapping[str, str]) -> str:
    """A file of deploy/ with what is another on one machine in its place."""
    text = path.read_text(encoding="utf-8")
    for old, new in replaced.items():
        if old not in text:
            raise StartError(f"{path} no longer has {old!r}; put the file of this release back")
        text = text.replace(old, new)
    return text


def _quoted(text: str) -> str:
    """A text as YAML takes it, whatever is in it."""
    return json.dumps(text, ensure_ascii=False)


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)  # one that was there may be readable by others
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
