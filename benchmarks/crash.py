"""Kills processes at random moments of register, promote, rollback and prune, two at a time.

    python benchmarks/crash.py [--kills 200] [--seed N]

After every kill, and all the while from a third process, the active version must be there with all
its hashes right. At the end every registration and every switch that a process saw finished must
still be there (or have been due for pruning), the history an unbroken chain that ends at the
active version, and no temporary file, claim or half-written version left.
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from multiprocessing.context import ForkProcess
from multiprocessing.synchronize import Event
from pathlib import Path

from routing_ml.errors import ModelError
from routing_ml.registry import MAX_AGE_DAYS, Registry, time_of

OPERATIONS = ("register", "promote", "rollback", "prune")
LONGEST_LIFE_SECONDS = 0.25
# Every process a `fork` away with everything imported, so that its life is spent in the registry.
fork = multiprocessing.get_context("fork")


def write_model(folder: Path) -> None:
    for name in ("model", "twin"):
        (folder / name).mkdir()
        for part in range(3):
            (folder / name / f"{part}.npz").write_bytes(os.urandom(20_000))
    (folder / "validation_scores.npy").write_bytes(os.urandom(2_000))


def work(home: Path, journal: Path, seed: int) -> None:
    """Operate at random until killed, writing down what has begun and what has finished."""
    rng, registry = random.Random(seed), Registry(home)
    with journal.open("a", buffering=1) as log:
        for number in range(10_000):
            operation = rng.choices(OPERATIONS, weights=(4, 4, 2, 2))[0]
            began = now()
            log.write(json.dumps({"began": operation}) + "\n")
            result: object = None
            try:
                if operation == "register":
                    past = datetime.now(UTC) - timedelta(days=rng.uniform(0, 2 * MAX_AGE_DAYS))
                    key = f"{seed}-{number}"
                    result = registry.register(write_model, key=key, facts={}, now=past).name
                elif operation == "promote":
                    name = rng.choice(registry.versions()).name
                    result = registry.promote(name, who=f"process {seed}", why="benchmark").name
                elif operation == "rollback":
                    result = registry.rollback(who=f"process {seed}", why="benchmark").name
                else:
                    registry.prune()
            except ModelError as error:
                # The other process may have pruned the version, or there is none before.
                if "no version" not in str(error) and "no earlier" not in str(error):
                    log.write(json.dumps({"failed": operation, "error": str(error)}) + "\n")
                continue
            line = {"did": operation, "result": result, "between": [began, now()]}
            log.write(json.dumps(line) + "\n")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def watch(home: Path, stop: Event, out: Path) -> None:
    """Verify the active version over and over, as whoever predicts does."""
    checks, errors = 0, []
    while not stop.is_set():
        checks += 1
        if error := broken(home):
            errors.append(error)
    out.write_text(json.dumps({"checks": checks, "errors": errors}))


def broken(home: Path) -> str:
    """What is wrong with the active version, "" when nothing is.

    A version that is switched away from and pruned within one check is not in use any more: look
    again.
    """
    for _ in range(3):
        error = ""
        try:
            active = Registry(home).active()
            if active is None:
                return "no active version"
            active.verify()
        except ModelError as caught:
            error = str(caught)
        if not error:
            return ""
    return error


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="routing-ml-crash-") as scratch:
        problems, counts = run(Path(scratch), arguments.kills, rng)
    print(f"seed {arguments.seed}: " + ", ".join(f"{n} {k}" for k, n in counts.items()))
    for problem in problems[:20]:
        print(f"PROBLEM: {problem}")
    print("a valid active model every time, nothing lost" if not problems else "FAILED")
    return int(bool(problems))


def run(scratch: Path, kills: int, rng: random.Random) -> tuple[list[str], dict[str, int]]:
    home, problems = scratch / "models", []
    home_registry = Registry(home)
    for number in range(2):
        version = home_registry.register(write_model, key=f"first {number}", facts={})
        home_registry.promote(version.name, who="benchmark", why=f"first {number}")
    stop = fork.Event()
    watcher = fork.Process(target=watch, args=(home, stop, scratch / "watch.json"))
    watcher.start()

    running: list[tuple[float, ForkProcess]] = []
    began, killed = time.monotonic(), 0
    while killed < kills:
        while len(running) < 2:
            seed = rng.randrange(1 << 40)
            process = fork.Process(target=work, args=(home, scratch / f"{seed}.jsonl", seed))
            process.start()
            running.append((time.monotonic() + rng.uniform(0, LONGEST_LIFE_SECONDS), process))
        running.sort(key=lambda pair: pair[0])
        until, process = running.pop(0)
        time.sleep(max(0.0, until - time.monotonic()))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        killed += 1
        if error := broken(home):
            problems.append(f"after kill {killed}: {error}")
    for _, process in running:
        process.kill()
        process.join()
    seconds = time.monotonic() - began
    stop.set()
    watcher.join()
    watched = json.loads((scratch / "watch.json").read_text())
    problems += [f"seen by a reader: {e}" for e in watched["errors"]]

    home_registry.prune()  # the next command after the crashes puts everything right
    lost, done = audit(scratch, home_registry)
    problems += lost
    counts = {"kills": killed, "seconds": round(seconds), "checks by a reader": watched["checks"]}
    return problems, counts | done


def audit(scratch: Path, registry: Registry) -> tuple[list[str], dict[str, int]]:
    """What was lost or left behind, and how much was done."""
    problems, done = [], Counter[str]()
    versions = {v.name for v in registry.versions()}
    history = registry.history()
    in_use = [
        (e["to"], e["at"], after["at"])
        for e, after in zip(history, [*history[1:], {"at": "9"}], strict=True)
    ]
    oldest = datetime.now(UTC) - timedelta(days=MAX_AGE_DAYS)
    interrupted = Counter[str]()
    for journal in scratch.glob("*.jsonl"):
        lines = [json.loads(line) for line in journal.read_text().splitlines()]
        if lines and "began" in lines[-1]:
            interrupted[lines[-1]["began"]] += 1
        for line in lines:
            if "failed" in line:
                problems.append(f"{line['failed']}: {line['error']}")
            if "did" not in line:
                continue
            done[line["did"]] += 1
            gone = line["did"] == "register" and line["result"] not in versions
            if gone and time_of(line["result"]) > oldest:
                problems.append(f"{line['result']} was registered and is gone")
            if line["did"] in ("promote", "rollback"):
                began, ended = line["between"]
                if not any(
                    name == line["result"] and since <= ended and until >= began
                    for name, since, until in in_use
                ):
                    problems.append(f"{line} is not in the history")
    for before, after in pairwise(history):
        if before["to"] != after["from"] or before["at"] > after["at"]:
            problems.append(f"the history breaks between {before} and {after}")
    if any(e["action"] == "outside" for e in history):
        problems.append("a switch went unrecorded")
    active = registry.active()
    if active is None or history[-1]["to"] != active.name:
        problems.append("the history does not end at the active version")
    for version in registry.versions():
        version.verify()
    if registry.damaged():
        problems.append(f"left behind: {registry.damaged()}")
    for leftover in [*registry.folder.rglob("*.tmp"), *registry.folder.glob(".[ct]*/*")]:
        problems.append(f"left behind: {leftover}")
    if (registry.folder / ".pending.json").exists():
        problems.append("left behind: .pending.json")
    counts = {f"{o}s done": done[o] for o in OPERATIONS}
    counts |= {f"{o}s cut short": interrupted[o] for o in OPERATIONS}
    return problems, counts | {"switches in the history": len(history)}


if __name__ == "__main__":
    sys.exit(main())
