"""What has to hold while the services of docker-compose.yaml run. `test_compose.py` runs this file
inside a sandbox, which has a loopback of its own with an address for each service.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from compose_stack import ROOT, Stack, environment_file
from slack_fixtures import FakeSlack

sys.path.insert(0, str(ROOT / "script"))
from airflow_api import Airflow, ApiError

AIRFLOW = "http://airflow-api-server:8080"
DAG = "routing_ml_retrain"
RUN = "of_the_test"
LEFT_OUT = {"grafana", "slack-bot"}
"""What is not started: the bot would need a Slack that speaks TLS."""


@pytest.fixture(scope="session")
def slack() -> Iterator[FakeSlack]:
    """Where Airflow and Alertmanager are told to send their notices."""
    with FakeSlack() as slack:
        yield slack


@pytest.fixture(scope="session")
def stack(slack: FakeSlack) -> Stack:
    """All services but Grafana, healthy; the sandbox ends them."""
    state = Path(os.environ["COMPOSE_STATE"])
    env = environment_file((state / ".env").read_text())
    stack = Stack(env | {"SLACK_WEBHOOK_URL": slack.url}, state)
    stack.start(stack.services.keys() - LEFT_OUT)
    return stack


@pytest.fixture(scope="session")
def airflow(stack: Stack) -> Airflow:
    """The administrator's session."""
    airflow = Airflow(AIRFLOW, "admin", stack.env["AIRFLOW_ADMIN_PASSWORD"], DAG)
    airflow.sign_in()
    return airflow


def test_each_published_port_is_one_that_its_service_serves_to_others(stack: Stack) -> None:
    for name in stack.services.keys() - LEFT_OUT:
        for published in stack.services[name].get("ports", ()):
            _, outer, inner = published.split(":")
            assert outer == inner
            assert int(inner) in served_ports(stack.process(name)), name


def test_airflow_lets_the_two_users_in_and_nobody_else(stack: Stack) -> None:
    for user, password in (("admin", "admin"), ("planner", stack.env["AIRFLOW_ADMIN_PASSWORD"])):
        with pytest.raises(ApiError, match="401"):
            Airflow(AIRFLOW, user, password, DAG).sign_in()
    planner = Airflow(AIRFLOW, "planner", stack.env["AIRFLOW_PLANNER_PASSWORD"], DAG)
    planner.sign_in()
    eventually(planner.has_dag)
    with pytest.raises(ApiError, match="403"):
        planner.trigger("of_a_viewer")


def test_every_dag_file_is_read_without_an_error(airflow: Airflow) -> None:
    files = {path.name for path in ROOT.glob("dags/*.py") if "\n@dag" in path.read_text()}

    def read() -> bool:
        assert airflow.import_errors() == []
        listed = airflow._call("GET", "/api/v2/dags?limit=100")["dags"]
        return {Path(dag["fileloc"]).name for dag in listed} == files

    eventually(read)


def test_every_plugin_is_loaded(airflow: Airflow) -> None:
    assert airflow._call("GET", "/api/v2/plugins/importErrors")["import_errors"] == []
    loaded = json.dumps(airflow._call("GET", "/api/v2/plugins"))
    for path in ROOT.glob("plugins/*.py"):
        if "AirflowPlugin)" in path.read_text():
            assert path.stem in loaded


@pytest.fixture(scope="session")
def retrained(stack: Stack, airflow: Airflow) -> None:
    """A run of the retraining that ended well, its first task's log having been read meanwhile."""
    path = f"/api/v2/dags/{DAG}/dagRuns"
    body = {"dag_run_id": RUN, "logical_date": None, "conf": {"candidates": ["nearest"]}}
    airflow._call("POST", path, body)

    def ended() -> bool:
        tasks = {task["task_id"]: task["state"] for task in airflow.tasks(RUN)}
        for task, state in tasks.items():
            assert state not in ("failed", "up_for_retry"), log(airflow, task)
        if tasks.get("extract") == "running":
            log(airflow, "extract")
        return airflow.state(RUN) == "success"

    eventually(ended, otherwise=lambda: stack.words("airflow-scheduler"), seconds=400)


def test_a_retraining_reads_the_source_and_tells_slack(retrained: None, slack: FakeSlack) -> None:
    # Alertmanager's messages, which may be among them, are built otherwise.
    assert any("model" in json.dumps(each["blocks"]) for each in slack.messages if "blocks" in each)


def test_each_service_has_room_for_as_much_again_as_it_takes(stack: Stack, retrained: None) -> None:
    units = {"m": 1 << 20, "g": 1 << 30}
    for name in stack.services.keys() - LEFT_OUT - {"airflow-init"}:
        service, taken, running = stack.services[name], 0, 0
        for process in below(stack.process(name)):
            with suppress(OSError):  # it has ended
                taken, running = taken + memory(process), running + threads(process)
        print(f"{name}: {taken >> 20} MiB, {running} threads")
        limit = int(service["mem_limit"][:-1]) * units[service["mem_limit"][-1]]
        assert 0 < taken < limit / 2, name
        assert 0 < running < service["pids_limit"] / 2, name


def test_the_log_of_a_task_can_be_read_also_while_it_runs(
    stack: Stack, airflow: Airflow, retrained: None
) -> None:
    assert "Done. Returned value was" in log(airflow, "extract")
    assert "Could not read" not in (stack.state / "airflow-api-server.log").read_text()


def test_the_exporter_shows_what_the_tasks_left_in_postgresql(
    stack: Stack, retrained: None
) -> None:
    samples = ask("http://exporter:9877/metrics").splitlines()
    assert "routing_ml_up 1.0" in samples
    assert 'routing_ml_retrain_runs_total{outcome="success"} 1.0' in samples
    reset = "http://exporter:9877/api/drift/reset"
    with pytest.raises(AnswerError, match="401"):
        ask(reset, method="POST")
    assert "begins anew" in ask(reset, method="POST", token=stack.env["ROUTING_ML_API_TOKEN"])


def test_prometheus_reaches_every_target_and_has_its_rules(stack: Stack) -> None:
    def unreachable() -> list[str]:
        targets = json.loads(ask("http://prometheus:9090/api/v1/targets"))["data"]["activeTargets"]
        return [f"{t['scrapeUrl']} {t['lastError']}" for t in targets if t["health"] != "up"]

    eventually(lambda: not unreachable(), otherwise=unreachable)
    targets = json.loads(ask("http://prometheus:9090/api/v1/targets"))["data"]["activeTargets"]
    assert {"exporter", "alertmanager"} <= {target["labels"]["job"] for target in targets}
    groups = json.loads(ask("http://prometheus:9090/api/v1/rules"))["data"]["groups"]
    assert any(group["rules"] for group in groups)
    managers = json.loads(ask("http://prometheus:9090/api/v1/alertmanagers"))["data"]
    assert [each["url"] for each in managers["activeAlertmanagers"]] == [
        "http://alertmanager:9093/api/v2/alerts"
    ]


def test_alertmanager_tells_slack(stack: Stack, slack: FakeSlack) -> None:
    alert = {"labels": {"alertname": "OfTheTest", "severity": "critical"}}
    ask("http://alertmanager:9093/api/v2/alerts", body=[alert])
    eventually(
        lambda: "OfTheTest" in json.dumps(slack.messages),
        otherwise=lambda: stack.words("alertmanager"),
    )


# What the tests ask


class AnswerError(Exception):
    """An answer that is an error."""


def ask(url: str, *, method: str = "GET", body: object = None, token: str = "") -> str:
    """The text of an answer."""
    request = urllib.request.Request(url, method=method)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
        request.method = "POST"
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        raise AnswerError(f"{error.code} from {url}: {error.read().decode()}") from None


def log(airflow: Airflow, task: str) -> str:
    """The log of a task of the test's run, as JSON."""
    path = f"/api/v2/dags/{DAG}/dagRuns/{RUN}/taskInstances/{task}/logs/1?full_content=true"
    return json.dumps(airflow._call("GET", path)["content"])


def eventually(
    holds: Callable[[], bool], *, otherwise: Callable[[], Any] = str, seconds: float = 150
) -> None:
    """Wait until it holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, otherwise()
        time.sleep(0.5)


def memory(process: int) -> int:
    """What a process has of the machine's memory, in bytes, what it shares with others in parts."""
    found = re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{process}/smaps_rollup").read_text(), re.M)
    return int(found[1]) * 1024 if found else 0


def threads(process: int) -> int:
    """The threads of a process, which count as a container's processes."""
    return len(list(Path(f"/proc/{process}/task").iterdir()))


def served_ports(process: int) -> set[int]:
    """The ports that this process, or one below it, serves on every address."""
    every = ("00000000", "0" * 32)
    sockets = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            host, _, port = columns[1].partition(":")
            if columns[3] == "0A" and host in every:
                sockets[f"socket:[{columns[9]}]"] = int(port, 16)
    found = set()
    for pid in below(process):
        with suppress(OSError):  # it has ended
            for file in Path(f"/proc/{pid}/fd").iterdir():
                found |= {sockets.get(str(file.readlink()))} - {None}
    return found


def below(process: int) -> set[int]:
    """The process and all that came of it."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            # "pid (name) state parent ...", where the name may hold spaces and brackets
            stat = (entry / "stat").read_text().rpartition(")")[2].split()
            parents[int(entry.name)] = int(stat[1])
    found = {process}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found
