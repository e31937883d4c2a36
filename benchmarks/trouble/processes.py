"""Trouble with processes: each task of each DAG is killed, two run at once, the clock is wrong, the
exporter is killed.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from trouble import evidence, factory
from trouble.bed import RETRAIN, Bed, Ended, Row, one_line
from trouble.tasks import DAGS, Worker

ROOT = Path(__file__).resolve().parents[2]
LONGEST_RUN_SECONDS, PATIENCE_SECONDS = 30.0, 600.0
QUICK_TO_NOTICE = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": "8792",
    "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": "8793",
}
"""Airflow's own take five minutes."""
AT = datetime.fromisoformat(factory.AS_OF)


def rows(make: Callable, trials: int, chance: random.Random) -> Iterator[Row]:
    """A row for each DAG and each other trouble."""
    for dag in DAGS:
        yield _killed(make, dag, trials, chance)
    yield _at_once(make, trials)
    for name, offset in (("a year ahead", "+365d"), ("a year back", "-365d")):
        yield _clock(make, max(1, trials // 3), name, offset)
    yield _exporter(make, trials)
    yield _scheduler(make, max(1, trials // 3), chance)


def _killed(make: Callable, dag: str, trials: int, chance: random.Random) -> Row:
    """In every run each task is killed once at a random moment, and tried again."""
    row = Row(f"SIGKILL in every task of {dag}")
    with make() as bed:
        _judgeable(bed, dag)
        worker = Worker(bed)
        worker.run(dag, f"{dag}__undisturbed", AT, lambda task: None)
        usual = worker.seconds
    for number in range(trials):
        with make() as bed:
            _judgeable(bed, dag)
            before, worker, run = bed.known(), Worker(bed), f"{dag}__{number}"
            worker.seconds.update(usual)
            worker.run(dag, run, AT, lambda task: chance.random())
            row.trials += worker.killed
            row.went_on += worker.killed - len(worker.problems)
            row.lost += worker.problems
            if dag == "predict":
                row.models += evidence.switched(bed, [run])
            bed.retrained = int(dag in ("retrain", "predict"))
            bed.judge(row, before)
    return row


def _judgeable(bed: Bed, dag: str) -> None:
    """Where the DAG judges, let planners' routings show that another version is better."""
    if dag == "predict":
        later = evidence.propose(bed, AT - timedelta(days=3))
        factory.write(bed.folder, later=later)


def _at_once(make: Callable, trials: int) -> Row:
    row = Row("two retrainings at once")
    for _ in range(trials):
        with make() as bed:
            before = bed.known()
            begun = [bed.start(*RETRAIN) for _ in range(2)]
            for process, said in begun:
                ended = bed.end(process, said)
                row.lines += one_line(ended)
                if ended.code and "since then" not in ended.err:
                    row.lost.append(f"a retraining failed: {ended.line()}")
            row.trials += 1
            again = bed.command("predict", "--out", str(bed.folder / "p.csv"))
            row.went_on += again.code == 0
            bed.judge(row, before)
    return row


def _clock(make: Callable, trials: int, name: str, offset: str) -> Row:
    """A retraining while the clock is wrong, and one when it is right again, which must count."""
    if not shutil.which("faketime"):
        raise SystemExit("the clock is changed by faketime: apt-get install faketime")
    row = Row(f"the clock {name} for a retraining")
    for _ in range(trials):
        with make() as bed:
            before = bed.known()
            command = ["faketime", "-f", offset, sys.executable, "-m", "routing_ml", "retrain"]
            environment = dict(os.environ) | bed.env | {"PYTHONPATH": str(ROOT)}
            done = subprocess.run(
                [*command, "--candidates", "forest"], env=environment, cwd=ROOT,
                capture_output=True, text=True,
            )  # fmt: skip
            bed.retrained += 1
            row.trials += 1
            row.lines += one_line(Ended(done.returncode, done.stdout, done.stderr))
            right = bed.command("retrain", "--candidates", "forest")
            row.lines += one_line(right)
            if right.code or "later data" in right.out:
                row.lost.append(
                    f"the next retraining is kept out: {right.out[-200:]}{right.line()}"
                )
            again = bed.command("predict", "--out", str(bed.folder / "p.csv"))
            row.went_on += again.code == 0
            bed.judge(row, before)
    return row


def _exporter(make: Callable, trials: int) -> Row:
    """Killed and started again it says the same."""
    row = Row("the exporter is killed and started again")
    with make() as bed:
        said = set()
        for _ in range(trials):
            process, text = _scraped(bed.env)
            process.send_signal(signal.SIGKILL)
            process.wait()
            said.add(text)
            row.trials += 1
        row.went_on = row.trials
        if len(said) != 1:
            row.lost.append(f"{len(said)} different answers")
    return row


def _scheduler(make: Callable, trials: int, chance: random.Random) -> Row:
    """A real Airflow whose scheduler dies with its tasks in the middle of a retraining."""
    sys.path.insert(0, str(ROOT / "script"))
    import instance as instances
    from processes import Processes

    vars(instances)["VENV"] = Path(sys.prefix)  # whichever runs this
    row = Row("Airflow's scheduler is killed, with its tasks")
    with make() as bed:
        airflow = instances.Instance(
            home=bed.home, source=bed.env["ROUTING_ML_SOURCE"], airflow_port=8790,
            exporter_port=8791,
        )  # fmt: skip
        airflow.airflow_home.mkdir(parents=True)
        (bed.home / "log").mkdir()
        processes = Processes(bed.home / "log")
        environment = dict(os.environ) | bed.env | QUICK_TO_NOTICE | {"PYTHONPATH": str(ROOT)}
        before = bed.known()
        try:
            api = airflow.start(processes, environment)
            for number in range(trials):
                run = f"restarted__{number}"
                conf = {"candidates": ["forest"], "as_of": f"{factory.AS_OF}T00:00:00+09:00"}
                body = {"dag_run_id": run, "logical_date": None, "conf": conf}
                api._call("POST", f"/api/v2/dags/{api.dag}/dagRuns", body)
                time.sleep(chance.uniform(1, LONGEST_RUN_SECONDS))
                scheduler = processes._running["scheduler"]
                os.killpg(scheduler.pid, signal.SIGKILL)
                scheduler.wait()
                command = [str(Path(sys.prefix) / "bin/airflow"), "scheduler", "--skip-serve-logs"]
                processes.start("scheduler", command, airflow.environment(environment))
                end = time.monotonic() + PATIENCE_SECONDS
                while (state := api.state(run)) not in ("success", "failed"):
                    if time.monotonic() > end:
                        break
                    time.sleep(1)
                row.trials += 1
                row.went_on += state == "success"
                row.lost += [] if state == "success" else [f"the run is {state}"]
                bed.retrained += 1
        finally:
            processes.stop()
        bed.judge(row, before)
    return row


def _scraped(env: dict[str, str]) -> tuple[subprocess.Popen[bytes], str]:
    """A new exporter, and what it says of the store."""
    port = 20_000 + random.randrange(20_000)
    command = [sys.executable, "-m", "exporter", "--port", str(port)]
    environment = dict(os.environ) | env | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
            changing = ("uptime", "requests", "model_age", "exporter", "store_read")
            own = (*(f"routing_ml_{name}" for name in changing), "process_", "python_")
            kept = [line for line in lines if line[:1] != "#" and not line.startswith(own)]
            return process, "\n".join(kept)
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the exporter does not start")
