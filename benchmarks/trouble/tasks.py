"""Every task of every DAG as a function, each in a process of its own, as Airflow's workers run
them: what one returns reaches the next by a file, as XCom does.
"""

import json
import os
import signal
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from routing_ml import backup, drift, pipeline
from routing_ml.settings import Settings
from trouble.bed import Bed, fork

CANDIDATE = "forest"
Task = Callable[[Settings, str, Callable[[str], Any], datetime], Any]
"""Takes the settings, the run, what gives the result of an earlier task, and the run's moment."""


def _end(settings: Settings, run: str, of: Callable[[str], Any], _: datetime) -> Any:
    return pipeline.end(
        settings, run, data=of("extract"), trained=[of("train")], decision=of("compare"),
        failed={}, cause="by the benchmark", seconds=0.0,
    )  # fmt: skip


def _promote(settings: Settings, run: str, of: Callable[[str], Any], _: datetime) -> Any:
    decision = of("compare")
    return pipeline.promote(settings, run, decision) if decision["promote"] else None


def _replace(settings: Settings, run: str, of: Callable[[str], Any], _: datetime) -> Any:
    decision = of("judge")["decision"]
    return pipeline.replace_model(settings, run, decision) if decision else None


def _announce(settings: Settings, run: str, of: Callable[[str], Any], at: datetime) -> Any:
    return pipeline.advise(settings, of("evaluate"), moment=at, by=run).retrain


def _copy(settings: Settings, run: str, of: Callable[[str], Any], at: datetime) -> Any:
    made = backup.copy(settings)
    return {"backup": made.name, "missing": sorted(made.missing)}


def _verify(settings: Settings, run: str, of: Callable[[str], Any], at: datetime) -> Any:
    return bool(backup.verify(settings, of("copy")["backup"]).verified)


def _end_backup(settings: Settings, run: str, of: Callable[[str], Any], at: datetime) -> Any:
    return backup.end(
        settings, run, name=of("copy")["backup"], failed={}, forgotten=of("forget"), seconds=0.0
    )


def _end_look(settings: Settings, run: str, of: Callable[[str], Any], at: datetime) -> Any:
    return pipeline.end_look(
        settings, run, source="default", found=of("look"), failed={}, cause="by the benchmark"
    )


DAGS: dict[str, dict[str, Task]] = {
    "retrain": {
        "extract": lambda s, run, of, at: pipeline.extract(s, run, as_of=at),
        "check": lambda s, run, of, at: pipeline.check(s, run, of("extract")),
        "audit": lambda s, run, of, at: pipeline.audit(s, run, of("extract")),
        "train": lambda s, run, of, at: pipeline.train(s, run, of("extract"), CANDIDATE),
        "compare": lambda s, run, of, at: pipeline.compare(s, run, of("extract"), [of("train")]),
        "promote": _promote,
        "prune": lambda s, run, of, at: pipeline.prune(s),
        "report": _end,
    },
    "predict": {
        "predict": lambda s, run, of, at: pipeline.predict(s, run, as_of=at),
        "judge": lambda s, run, of, at: pipeline.judge(s, as_of=at),
        "replace": _replace,
    },
    "drift_watch": {
        "evaluate": lambda s, run, of, at: drift.look(s, moment=at),
        "announce": _announce,
        "catch_up": lambda s, run, of, at: pipeline.catch_up(s),
    },
    "backup": {
        "copy": _copy,
        "verify": _verify,
        "forget": lambda s, run, of, at: backup.forget(s),
        "report": _end_backup,
    },
    "quality": {
        "look": lambda s, run, of, at: pipeline.look(
            s, run, source="default", as_of=at, asked=None
        ),
        "report": _end_look,
    },
}


class Worker:
    """Runs the tasks of a bed."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self.seconds: dict[tuple[str, str], float] = defaultdict(lambda: 1.0)
        self.killed = 0
        self.problems: list[str] = []

    def run(self, dag: str, run: str, at: datetime, life: Callable[[str], float | None]) -> None:
        """Every task of a DAG, each killed after `life(task)` of its usual seconds, if any, and
        tried again."""
        for task in DAGS[dag]:
            usual = self.seconds[dag, task]
            share = life(task)
            if share is not None and self._perform(dag, task, run, at, share * usual) is None:
                self.killed += 1
            began = time.monotonic()
            if code := self._perform(dag, task, run, at, None):
                said = (self.bed.folder / "worker.err").read_text(errors="replace").splitlines()
                self.problems.append(f"{dag}.{task} failed ({code}): {said[-1:]}")
                return
            self.seconds[dag, task] = time.monotonic() - began

    def result(self, run: str, task: str) -> Any:
        """What a task returned."""
        return json.loads((self.bed.folder / "passed" / run / f"{task}.json").read_text())

    def _perform(
        self, dag: str, task: str, run: str, at: datetime, life: float | None
    ) -> int | None:
        """The exit code, None where it was killed."""
        process = fork.Process(target=self._do, args=(dag, task, run, at))
        process.start()
        process.join(life)
        if process.is_alive():
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
            return None
        return process.exitcode

    def _do(self, dag: str, task: str, run: str, at: datetime) -> None:
        handle = os.open(self.bed.folder / "worker.err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 2)
        os.environ.update(self.bed.env)
        found = DAGS[dag][task](Settings.from_env(), run, lambda name: self.result(run, name), at)
        passed = self.bed.folder / "passed" / run
        passed.mkdir(parents=True, exist_ok=True)
        _write(passed / f"{task}.json", json.dumps(found, default=str))


def _write(path: Path, text: str) -> None:
    other = path.with_suffix(".new")
    other.write_text(text)
    other.replace(path)
