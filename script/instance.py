"""One Airflow instance and the exporter, on loopback, with a state folder of their own."""

import json
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from airflow_api import Airflow, answers
from install import ROOT, VENV
from places import HOST, StartError, holder
from processes import Processes

DAG = "routing_ml_retrain"
USER = "admin"
START_SECONDS = 240
MONITOR_LOCK = Path("monitoring") / "monitor.lock"
"""In the state folder; script/monitor holds it and says in it which exporter is its own."""


@dataclass(frozen=True)
class Instance:
    """What was asked for, checked: the state folder, the source and the two ports."""

    home: Path
    source: str
    airflow_port: int
    exporter_port: int

    @property
    def airflow_home(self) -> Path:
        """Airflow's own state: its database, its logs, the administrator's password."""
        return self.home / "airflow"

    def model_in_use(self) -> str | None:
        """The name of the version in use, None before the first."""
        link = self.home / "models" / "active"
        return link.readlink().name if link.is_symlink() else None

    @property
    def airflow_url(self) -> str:
        """Where Airflow's pages and API are."""
        return f"http://{HOST}:{self.airflow_port}"

    @property
    def exporter_url(self) -> str:
        """Where the exporter is."""
        return f"http://{HOST}:{self.exporter_port}"

    def exporter_is_there(self) -> bool:
        """Whether script/monitor has started the exporter of this state folder already."""
        said = holder(self.home / MONITOR_LOCK) or ""
        mine = said.endswith(f", exporter {self.exporter_port}")
        return mine and answers(f"{self.exporter_url}/api/health")

    @property
    def _passwords(self) -> Path:
        return self.airflow_home / "passwords.json"

    def password(self) -> str:
        """The administrator's, generated at the first start: Airflow would hide its own in a log.

        Raises `StartError` when the file that holds it is damaged.
        """
        if not self._passwords.exists():
            with os.fdopen(os.open(self._passwords, os.O_WRONLY | os.O_CREAT, 0o600), "w") as out:
                json.dump({USER: secrets.token_urlsafe(12)}, out)
        try:
            return json.loads(self._passwords.read_text())[USER]
        except (ValueError, KeyError) as error:
            raise StartError(
                f"{self._passwords} holds no password of {USER}; delete it to get a new one"
            ) from error

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """The caller's settings, and over them those that make this instance its own.

        Airflow 3.3.2 generates its keys into AIRFLOW_HOME/airflow.cfg; it sends no telemetry.
        """
        unproxied = [env.get("NO_PROXY") or env.get("no_proxy") or "", HOST, "localhost"]
        no_proxy = ",".join(filter(None, unproxied))
        return dict(env) | {
            "PATH": f"{VENV / 'bin'}{os.pathsep}{env.get('PATH', os.defpath)}",
            "NO_PROXY": no_proxy,
            "no_proxy": no_proxy,
            "ROUTING_ML_HOME": str(self.home),
            "ROUTING_ML_SOURCE": self.source,
            "ROUTING_ML_EXPORTER_PORT": str(self.exporter_port),
            "AIRFLOW_HOME": str(self.airflow_home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.airflow_url}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
                filter(None, [f"{USER}:admin", env.get("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS")])
            ),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self._passwords),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": (
                f"sqlite:///{self.airflow_home / 'airflow.db'}?timeout=30"
            ),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.airflow_home / "logs"),
            "AIRFLOW__API__HOST": HOST,
            "AIRFLOW__API__PORT": str(self.airflow_port),
            "AIRFLOW__API__BASE_URL": self.airflow_url,
            "AIRFLOW__API__WORKERS": "1",
            # A task that starts while the API server is busy would otherwise fail for good.
            "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "12",
            "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "10",
        }

    def start(self, processes: Processes, env: Mapping[str, str]) -> Airflow:
        """Start every program; returns when the DAG is read and the scheduler takes runs."""
        environment = self.environment(env)
        airflow = Airflow(self.airflow_url, USER, self.password(), DAG)
        command = str(VENV / "bin" / "airflow")
        processes.start("migrate", [command, "db", "migrate"], environment)
        processes.finish("migrate")
        processes.start("api-server", [command, "api-server"], environment)
        if not self.exporter_is_there():
            exporter = exporter_command(self.exporter_port)
            processes.start("exporter", exporter, environment)
        processes.start("dag-processor", [command, "dag-processor"], environment)

        api = f"{self.airflow_url}/api/v2/version"
        wait(processes, lambda: answers(api), "Airflow's API server does not answer")
        airflow.sign_in()
        # Before the scheduler starts: a run cut off would hold the next one back for minutes.
        airflow.fail_unfinished_runs("cut off when script/run was stopped")
        # Their log servers would listen on every address; the API server reads the files itself.
        for name in ("scheduler", "triggerer"):
            processes.start(name, [command, name, "--skip-serve-logs"], environment)
        try:
            wait(processes, airflow.has_dag, f"Airflow has not read the DAG {DAG}")
        except StartError as error:
            raise StartError("\n  ".join([str(error), *airflow.import_errors()])) from error
        health = f"{self.exporter_url}/api/health"
        wait(processes, lambda: answers(health), "the exporter does not answer")
        wait(processes, airflow.schedules, "Airflow's scheduler does not run")
        return airflow


def exporter_command(port: int) -> list[str]:
    """Starts the exporter on loopback."""
    python = str(VENV / "bin" / "python")
    return [python, "-P", "-m", "exporter", "--host", HOST, "--port", str(port)]


def wait(processes: Processes, until: Callable[[], bool], problem: str) -> None:
    end = time.monotonic() + START_SECONDS
    while not until():
        processes.check()
        if time.monotonic() > end:
            raise StartError(f"{problem} after {START_SECONDS} s; see the logs in {processes.logs}")
        time.sleep(0.25)
