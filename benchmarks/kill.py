"""Kills every step of a retraining at random moments, retries it, and checks what is left.

    python benchmarks/kill.py [--rounds 3] [--kills 3] [--seed N]
    python benchmarks/kill.py --airflow [--rounds 1] [--port 8790]

The steps run in processes of their own, as Airflow's workers run them, and die by SIGKILL. With
`--airflow` a real Airflow runs the DAG, the process of every task is killed at its first try, and
Airflow's own retries do the rest. In both, another process verifies the model in use all the while.
After every retry the dataset must have the hash of an undisturbed run, the model its metrics, and
nothing half-done may be left; of every run people are told at most once. The exit code is 1 when
anything of that does not hold.
"""

import argparse
import json
import logging
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from routing_ml import pipeline
from routing_ml.errors import RoutingError
from routing_ml.registry import Registry
from routing_ml.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
AS_OF = datetime(2026, 11, 1, 2)
CANDIDATE = "nearest"
STEPS = ("extract", "check", "audit", "train", "compare", "promote", "prune", "report")
OLD = timedelta(days=200)
SLACK_SECONDS = 0.1
# Every step a `fork` away with everything imported, so that its life is spent in the step.
fork = multiprocessing.get_context("fork")


@dataclass
class Tally:
    """What was seen of one step."""

    kills: int = 0
    ended_before: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


class Slack:
    """Takes webhook posts on loopback, each after a moment, as the real one does."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        slack = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                slack.texts.append(body["blocks"][1]["text"]["text"])
                time.sleep(SLACK_SECONDS)
                with suppress(OSError):  # a sender that was killed does not listen
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.write(b"ok")

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/services/T/B/x"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def messages_on(self, run: str) -> int:
        """How often people were told of a run."""
        return sum(run in text for text in self.texts)


# The steps, each in a process of its own


def do(step: str, settings: Settings, run: str) -> None:
    """One step as its task does it: references come from the steps before, here by file."""
    passed = settings.home / "passed" / run

    def of(name: str) -> Any:
        return json.loads((passed / f"{name}.json").read_text())

    if step == "extract":
        result = pipeline.extract(settings, run, as_of=AS_OF)
    elif step == "check":
        result = pipeline.check(settings, run, of("extract"))
    elif step == "audit":
        result = pipeline.audit(settings, run, of("extract"))
    elif step == "train":
        result = pipeline.train(settings, run, of("extract"), CANDIDATE)
    elif step == "compare":
        result = pipeline.compare(settings, run, of("extract"), [of("train")])
    elif step == "promote":
        result = pipeline.promote(settings, run, of("compare"))
    elif step == "prune":
        result = pipeline.prune(settings)
    else:
        pipeline.end(
            settings,
            run,
            data=of("extract"),
            trained=[of("train")],
            decision=of("compare"),
            failed={},
            cause="by the benchmark",
            seconds=0.0,
        )
        result = {}
    passed.mkdir(parents=True, exist_ok=True)
    (passed / f"{step}.json").write_text(json.dumps(result))


def perform(step: str, settings: Settings, run: str, life: float | None = None) -> bool:
    """Do a step in a new process, killed after `life` seconds; whether the kill met it alive."""
    process = fork.Process(target=do, args=(step, settings, run))
    process.start()
    process.join(life)
    killed = process.is_alive()
    if killed:
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
    elif process.exitcode:
        raise SystemExit(f"{step} of {run} ended with code {process.exitcode}")
    return killed


# What must hold


def leftovers(home: Path, among: tuple[str, ...] = ("runs", "datasets", "models", "outbox")) -> str:
    """What a finished run may not leave in the state folder, '' when there is nothing."""
    found = []
    for path in (p for name in among for p in (home / name).rglob("*")):
        half = path.name.startswith("model_") and not (path / "manifest.json").is_file()
        temporary = path.name.endswith((".tmp", ".arrow")) or path.name.startswith(".extract-")
        claim = path.parent.name in (".claims", ".trash") or path.name == ".pending.json"
        if temporary or claim or (half and path.is_dir()):
            found.append(str(path.relative_to(home)))
    return ", ".join(sorted(found)[:3])


def watch(models: Path, stop: Event, out: Path) -> None:
    """Verify the model in use over and over, as whoever predicts does."""
    registry, looks, problems, seen = Registry(models), 0, Counter[str](), set()
    while not stop.is_set():
        try:
            active = registry.active()
            if active is None:
                raise RoutingError("no model is in use")
            seen.add(active.verify().name)
        except (RoutingError, OSError) as error:
            problems[str(error)] += 1
        looks += 1
    out.write_text(json.dumps({"looks": looks, "models": len(seen), "problems": problems}))


@contextmanager
def watched(home: Path) -> Iterator[Callable[[], dict[str, Any]]]:
    """Watch the model in use during the block; yields what ends the watch and says what it saw."""
    stop, out = fork.Event(), home / "watch.json"
    process = fork.Process(target=watch, args=(home / "models", stop, out))
    process.start()

    def ended() -> dict[str, Any]:
        stop.set()
        process.join()
        return json.loads(out.read_text())

    try:
        yield ended
    finally:
        stop.set()
        process.join()


def problems_of(home: Path, run: str, reference: dict[str, Any]) -> list[str]:
    """What differs, in a finished run, from the undisturbed one."""
    outcome = json.loads((home / "runs" / run / "outcome.json").read_text())
    found = []
    if outcome["data"]["sha256"] != reference["data"]["sha256"]:
        found.append("another dataset hash")
    trained, expected = (o["candidates"][CANDIDATE]["metrics"] for o in (outcome, reference))
    if trained != expected:
        found.append("other metrics")
    if not outcome["succeeded"]:
        found.append(f"it failed: {outcome['reason']}")
    own = [v for v in Registry(home / "models").versions() if v.manifest["key"].startswith(run)]
    if len(own) != 1:
        found.append(f"{len(own)} versions instead of one")
    return found


def add_old_things(home: Path) -> tuple[Path, Path]:
    """A version and a run folder that are due for pruning."""
    registry = Registry(home / "models")
    active = registry.active()
    assert active is not None
    source = active.folder

    def write(folder: Path) -> None:
        for name in ("model", "twin"):
            shutil.copytree(source / name, folder / name)

    now = datetime.now(UTC) - OLD
    facts = {"candidate": "old", "metrics": {}, "as_of": now.isoformat(), "agreement": 1.0}
    old = registry.register(write, key=f"old {now}", facts=facts, now=now)
    run = home / "runs" / f"old_{now:%H%M%S%f}"
    run.mkdir()
    (run / "audit.json").write_text("{}")
    os.utime(run, (now.timestamp(), now.timestamp()))
    return old.folder, run


# The two ways to run it


def steps(rounds: int, kills: int, settings: Settings, slack: Slack) -> dict[str, Tally]:
    """Kill the steps of `rounds` runs, each `kills` times, and retry them."""
    tallies = {step: Tally() for step in STEPS}
    for step in STEPS:
        began = time.monotonic()
        perform(step, settings, "undisturbed")
        tallies[step].seconds = time.monotonic() - began
    reference = json.loads((settings.home / "runs/undisturbed/outcome.json").read_text())
    with watched(settings.home) as end:
        for number in range(rounds):
            run = f"killed__{number}"
            for step in STEPS:
                tally = tallies[step]
                old = add_old_things(settings.home) if step == "prune" else ()
                for _ in range(kills):
                    alive = perform(step, settings, run, random.uniform(0, tally.seconds))
                    tally.kills += alive
                    tally.ended_before += not alive
                perform(step, settings, run)
                if left := leftovers(settings.home):
                    tally.problems.append(f"{run} left {left}")
                tally.problems += [f"{path} was not pruned" for path in old if path.exists()]
            tallies["report"].problems += problems_of(settings.home, run, reference)
            if (told := slack.messages_on(run)) > 1:
                tallies["report"].problems.append(f"{run} was told {told} times")
        seen = end()
    print_watch(seen, [slack.messages_on(f"killed__{n}") for n in range(rounds)])
    tallies["promote"].problems += [f"{n} x {p}" for p, n in seen["problems"].items()]
    return tallies


def airflow(rounds: int, port: int, settings: Settings, slack: Slack) -> dict[str, Tally]:
    """Kill the process of every task of a real Airflow's runs at its first try."""
    sys.path.insert(0, str(ROOT / "script"))
    import instance as instances
    from processes import Processes, stop_on_signals

    vars(instances)["VENV"] = Path(sys.prefix)  # whichever runs this
    stop_on_signals()
    home = settings.home
    conf = {"candidates": [CANDIDATE], "as_of": f"{AS_OF.isoformat()}+09:00"}
    instance = instances.Instance(
        home=home, source=settings.source(), airflow_port=port, exporter_port=port + 1
    )
    instance.airflow_home.mkdir(parents=True)
    (home / "log").mkdir()
    tallies: dict[str, Tally] = {}
    processes = Processes(home / "log")
    environment = dict(os.environ) | {
        "SLACK_WEBHOOK_URL": slack.url,
        "PYTHONPATH": str(ROOT),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(port + 2),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(port + 3),
    }
    try:
        api = instance.start(processes, environment)
        follow(api, "undisturbed", conf, lambda task: False)
        reference = json.loads((home / "runs/undisturbed/outcome.json").read_text())
        with watched(home) as end:
            for number in range(rounds):
                run, killed = f"killed__{number}", set[str]()

                def kill(task: dict[str, Any], killed: set[str] = killed) -> bool:
                    name = task["task_id"]
                    if name in killed or task["state"] != "running" or not task["pid"]:
                        return False
                    time.sleep(random.uniform(0, 1.0))
                    killed.add(name)
                    tally = tallies.setdefault(name, Tally())
                    try:
                        os.kill(task["pid"], signal.SIGKILL)
                    except ProcessLookupError:
                        tally.ended_before += 1
                        return False
                    tally.kills += 1
                    return True

                state = follow(api, run, conf, kill)
                for task in api.tasks(run):
                    tally = tallies.setdefault(task["task_id"], Tally())
                    tally.seconds = task["duration"] or 0.0
                    if task["state"] not in ("success", "skipped"):
                        tally.problems.append(f"{run}: {task['state']}")
                told = tallies["report"].problems
                told += problems_of(home, run, reference)
                told += [f"{run} is {state}"] * (state != "success")
                told += [f"{run} left {left}"] if (left := leftovers(home)) else []
                if (count := slack.messages_on(run)) > 1:
                    told.append(f"{run} was told {count} times")
            seen = end()
    finally:
        processes.stop()
    print_watch(seen, [slack.messages_on(f"killed__{n}") for n in range(rounds)])
    tallies["report"].problems += [f"{n} x {p}" for p, n in seen["problems"].items()]
    return tallies


def follow(api: Any, run: str, conf: dict[str, Any], kill: Callable[[dict[str, Any]], bool]) -> str:
    """Trigger a run and offer its tasks to `kill` until it has ended; its state."""
    body = {"dag_run_id": run, "logical_date": None, "conf": conf}
    api._call("POST", f"/api/v2/dags/{api.dag}/dagRuns", body)
    while (state := api.state(run)) not in ("success", "failed"):
        for task in api.tasks(run):
            if kill(task):
                print(f"  killed {task['task_id']} of {run}", flush=True)
        time.sleep(0.1)
    return state


def print_watch(seen: dict[str, Any], told: list[int]) -> None:
    print(
        f"the model in use was verified {seen['looks']:,} times and changed to {seen['models']} "
        f"versions; problems: {sum(seen['problems'].values())}\n"
        f"messages per run: {', '.join(map(str, told))}\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, help="runs to kill (default: 3, with --airflow 1)")
    parser.add_argument("--kills", type=int, default=3, help="of each step of a run")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10_000)
    parser.add_argument("--airflow", action="store_true", help="in a real Airflow")
    parser.add_argument("--port", type=int, default=8790, help="Airflow's; the next three as well")
    asked = parser.parse_args()
    random.seed(asked.seed)
    logging.disable(logging.WARNING)
    rounds = asked.rounds or (1 if asked.airflow else 3)
    with tempfile.TemporaryDirectory(prefix="routing-ml-kill-") as folder:
        slack = Slack()
        settings = replace(
            Settings.from_env(), home=Path(folder), slack_webhook_url=slack.url, ui_url=None
        )
        began = time.monotonic()
        if asked.airflow:
            tallies = airflow(rounds, asked.port, settings, slack)
        else:
            tallies = steps(rounds, asked.kills, settings, slack)
        print(f"{'step':12}{'killed':>8}{'too late':>10}{'seconds':>9}   after the retry")
        for step, tally in tallies.items():
            said = "; ".join(tally.problems) or "as if nothing had been"
            print(f"{step:12}{tally.kills:8}{tally.ended_before:10}{tally.seconds:9.2f}   {said}")
        print(f"seed {asked.seed}, {rounds} runs, {time.monotonic() - began:.0f} s")
    return int(any(tally.problems for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
