"""An Airflow as script/run starts one, but with PostgreSQL, three users and the DAG that asks at
once.
"""

import json
import os
import secrets
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import instance as instances
import psycopg
from airflow_api import Airflow as Administrator
from postgresql import running
from processes import Processes

from routing_ml.slackbot.airflow_api import Airflow

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
USERS = ("kim", "slack-bot")
ENDED = ("success", "failed")


@dataclass(frozen=True)
class Asking(instances.Instance):
    """Where Airflow's own state is, and how its programs are started."""

    database: str = ""
    passwords: dict[str, str] = field(default_factory=dict)

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        found = super().environment(env)
        users = [f"{instances.USER}:admin", *(f"{name}:user" for name in USERS)]
        passwords = self.airflow_home / "passwords.json"
        passwords.write_text(json.dumps(self.passwords))
        paths = [ROOT, ROOT / "dags", HERE / "warm"]
        return found | {
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "AIRFLOW__CORE__DAGS_FOLDER": str(HERE / "dags"),
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(users),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.database,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": self.database,
            "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "0.3",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            "AIRFLOW__SCHEDULER__MAX_DAGRUNS_PER_LOOP_TO_SCHEDULE": "60",
        }


class Bed:
    """A running Airflow: what it is asked, by whom; and its clock."""

    def __init__(self, place: Asking, api: Administrator, url: str) -> None:
        self.place, self.api = place, api
        self.over = threading.Event()
        self.connection = psycopg.connect(url, autocommit=True)
        # Airflow's API as each of them takes it.
        self.users = {
            name: Airflow(place.airflow_url, name, place.passwords[name]) for name in USERS
        }

    def ask(self, run: str, home: Path, decision: Mapping[str, Any], question: str) -> None:
        """Begin a run that asks."""
        path = f"/api/v2/dags/{instances.DAG}/dagRuns"
        self.api._call(
            "POST", path, {"dag_run_id": run, "logical_date": None, "conf": {"home": str(home)}}
        )
        for key, value in (("decision", decision), ("question", question)):
            of = f"{path}/{run}/taskInstances/compare/xcomEntries"
            self.api._call("POST", of, {"key": key, "value": value, "map_index": -1})

    def pause(self, paused: bool) -> None:
        """Have the scheduler leave the runs alone, or take them up."""
        self.api._call("PATCH", f"/api/v2/dags/{instances.DAG}", {"is_paused": paused})

    def clear(self, run: str, task: str) -> None:
        """Have a task of a run, and what comes after it, done again."""
        asked = {
            "dry_run": False, "dag_run_id": run, "task_ids": [task], "include_downstream": True,
            "only_failed": False, "reset_dag_runs": True,
        }  # fmt: skip
        self.api._call("POST", f"/api/v2/dags/{instances.DAG}/clearTaskInstances", asked)

    def states(self, runs: list[str]) -> dict[str, str]:
        """How each run stands."""
        return dict(self._rows("SELECT run_id, state FROM dag_run WHERE run_id = ANY(%s)", runs))

    def asking(self, runs: list[str]) -> set[str]:
        """The runs that wait for an answer."""
        sql = (
            "SELECT run_id, state FROM task_instance WHERE run_id = ANY(%s) "
            "AND task_id = 'approve' AND state = 'awaiting_input'"
        )
        return set(dict(self._rows(sql, runs)))

    def run_out(self, runs: list[str]) -> None:
        """Let the time be over in which those runs may be answered."""
        sql = (
            "UPDATE task_instance SET trigger_timeout = %s WHERE run_id = ANY(%s) "
            "AND task_id = 'approve' AND state = 'awaiting_input'"
        )
        self.connection.execute(sql, (datetime.now(UTC), runs))

    def tasks(self, run: str) -> dict[str, str]:
        """The state of each task of a run."""
        return {one["task_id"]: one["state"] for one in self.api.tasks(run)}

    def _rows(self, sql: str, runs: list[str]) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql.encode(), (runs,)).fetchall()


@contextmanager
def bed(home: Path, port: int) -> Iterator[Bed]:
    """All of it started, and ended afterwards."""
    vars(instances)["VENV"] = Path(sys.prefix)
    passwords = {name: secrets.token_hex(8) for name in (instances.USER, *USERS)}
    with running() as server:
        url = server.fresh("airflow")
        server.execute("ALTER SYSTEM SET max_connections = 200")
        server.stop()
        server.start()
        place = Asking(
            home=home, source="none", airflow_port=port, exporter_port=port + 1,
            database=url.replace("postgresql:", "postgresql+psycopg:"), passwords=passwords,
        )  # fmt: skip
        place.airflow_home.mkdir(parents=True)
        (home / "log").mkdir()
        processes = Processes(home / "log")
        try:
            yield Bed(place, place.start(processes, os.environ), url)
        finally:
            processes.stop()
