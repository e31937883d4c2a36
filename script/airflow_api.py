"""The few calls of Airflow's REST API that script/run makes, on loopback, without a library."""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

# A proxy of the environment must not be asked for 127.0.0.1.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))

TRIES = 5
TRY_AGAIN_SECONDS = 0.5
# Longer than the 30 s that Airflow waits for SQLite, so that it is heard how that went.
ANSWER_SECONDS = 45
CONFLICT = 409


class ApiError(Exception):
    """An answer of Airflow that is an error, or none."""


class Airflow:
    """One Airflow instance and one of its DAGs."""

    def __init__(self, url: str, user: str, password: str, dag: str) -> None:
        self.url = url
        self.dag = dag
        self._credentials = {"username": user, "password": password}
        self._token = ""

    def sign_in(self) -> None:
        """Get the token that the calls below carry."""
        self._token = self._call("POST", "/auth/token", self._credentials)["access_token"]

    def has_dag(self) -> bool:
        """Whether the DAG has been read yet."""
        listed = self._call("GET", f"/api/v2/dags?dag_id_pattern={self.dag}")
        return any(dag["dag_id"] == self.dag for dag in listed["dags"])

    def schedules(self) -> bool:
        """Whether the scheduler is at work."""
        return self._call("GET", "/api/v2/monitor/health")["scheduler"]["status"] == "healthy"

    def import_errors(self) -> list[str]:
        """What kept DAG files from being read: the last line of each traceback."""
        errors = self._call("GET", "/api/v2/importErrors")["import_errors"]
        return [f"{each['filename']}: {each['stack_trace'].strip()[-300:]}" for each in errors]

    def fail_unfinished_runs(self, note: str) -> None:
        """Mark the runs of every DAG that an earlier start left unfinished as failed."""
        query = "state=running&state=queued&limit=100"
        runs = self._call("GET", f"/api/v2/dags/~/dagRuns?{query}")["dag_runs"]
        for run in runs:
            path = f"/api/v2/dags/{run['dag_id']}/dagRuns/{_quoted(run['dag_run_id'])}"
            self._call("PATCH", path, {"state": "failed", "note": note})

    def trigger(self, run: str) -> None:
        """Start a run now, also of a DAG that someone paused."""
        self._call("PATCH", f"/api/v2/dags/{self.dag}", {"is_paused": False})
        body = {"dag_run_id": run, "logical_date": None}
        self._call("POST", f"/api/v2/dags/{self.dag}/dagRuns", body)

    def state(self, run: str) -> str:
        """`queued`, `running`, `success` or `failed`."""
        return self._call("GET", f"/api/v2/dags/{self.dag}/dagRuns/{_quoted(run)}")["state"]

    def tasks(self, run: str) -> list[dict[str, Any]]:
        """The run's task instances."""
        path = f"/api/v2/dags/{self.dag}/dagRuns/{_quoted(run)}/taskInstances?limit=500"
        return self._call("GET", path)["task_instances"]

    def last_error(self, run: str, task: dict[str, Any]) -> str:
        """The last error in a task's log, in one line; empty when there is none."""
        path = (
            f"/api/v2/dags/{self.dag}/dagRuns/{_quoted(run)}/taskInstances/{task['task_id']}"
            f"/logs/{task['try_number']}?map_index={task['map_index']}&full_content=true"
        )
        found = ""
        for event in self._call("GET", path)["content"]:
            for raised in (event.get("error_detail") or []) if isinstance(event, dict) else []:
                found = f"{raised['exc_type']}: {raised['exc_value']}"
        return " ".join(found.split())

    def _call(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        # The address is our own instance's.
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310
        for tries_left in reversed(range(TRIES)):
            try:
                with _OPENER.open(request, timeout=ANSWER_SECONDS) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                text = error.read().decode(errors="replace")[:300]
                # A run of that name is there: an earlier try has made it, whatever was answered.
                if error.code == CONFLICT and tries_left < TRIES - 1:
                    return {}
                # SQLite refuses a transaction that read before another one wrote, or lets it wait
                # for others too long, as at a first start, when every DAG begins.
                if error.code < 500 or not tries_left:
                    said = f"Airflow answered {method} {path} with {error.code}: {text}"
                    raise ApiError(said) from error
            except TimeoutError as error:
                if not tries_left:
                    raise ApiError(f"Airflow did not answer {method} {path}: {error}") from error
            except (OSError, ValueError) as error:
                raise ApiError(f"Airflow did not answer {method} {path}: {error}") from error
            time.sleep(TRY_AGAIN_SECONDS)
        raise AssertionError("the last try returns or raises")


def answers(url: str) -> bool:
    """Whether a GET of the address is answered well."""
    try:
        with _OPENER.open(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")
