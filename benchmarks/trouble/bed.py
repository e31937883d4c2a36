"""One trial: a state folder in use, commands in processes of their own, what must hold after."""

import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))

from slack_fixtures import FakeSlack as FakeSlack
from slack_fixtures import FakeTeams as FakeTeams

from routing_ml import cli, dataset, pipeline
from routing_ml.errors import RoutingError
from routing_ml.pipeline.steps import run_folder
from routing_ml.registry import Registry
from routing_ml.settings import Settings
from routing_ml.source import opening
from routing_ml.store import Store, StoreError
from trouble import factory

EARLIER = "2025-06-01"
RETRAIN = ("retrain", "--candidates", "forest", "--as-of", factory.AS_OF)
# Every command a `fork` away with everything imported, so that trouble meets the work itself.
fork = multiprocessing.get_context("fork")


@dataclass
class Row:
    """What was seen of one kind of trouble: how often, and what should not have been."""

    trouble: str
    trials: int = 0
    went_on: int = 0
    models: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """All that should not have been."""
        return [*self.models, *self.lost, *self.notices, *self.lines]


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (negative: the signal), what it printed."""

    code: int
    out: str
    err: str

    def line(self) -> str:
        """The last line for people."""
        return (self.err.strip().splitlines() or [""])[-1]


class Bed:
    """A state folder with a model in use, its source, and a Slack."""

    def __init__(self, folder: Path, slack: FakeSlack, **env: str) -> None:
        self.folder, self.home, self.slack = folder, folder / "home", slack
        self.env = {
            "ROUTING_ML_HOME": str(self.home),
            "ROUTING_ML_SOURCE": str(folder / "erp.accdb"),
            "ROUTING_ML_COLUMNS": str(folder / "columns.toml"),
            "SLACK_WEBHOOK_URL": slack.url,
            **env,
        }
        self.settings = Settings.from_env(self.env)
        self.registry = Registry(self.home / "models")
        self.retrained = 0

    def command(
        self,
        *arguments: str,
        inside: Callable[[], None] = lambda: None,
        meanwhile: Callable[[], None] | None = None,
    ) -> Ended:
        """Run `routing-ml`, `inside` first in its process and `meanwhile` here."""
        process, files = self.start(*arguments, inside=inside)
        if meanwhile:
            meanwhile()
        return self.end(process, files)

    def start(self, *arguments: str, inside: Callable[[], None] = lambda: None) -> Any:
        """Begin a command: its process and where it prints."""
        said = tempfile.mkdtemp()
        process = fork.Process(
            target=_run, args=(self.env, arguments, said, inside), name=arguments[0]
        )
        process.start()
        return process, Path(said)

    def end(self, process: Any, said: Path) -> Ended:
        """Wait for a command."""
        process.join()
        self.retrained += process.name == RETRAIN[0] and process.exitcode >= 0
        out, err = ((said / name).read_text(errors="replace") for name in ("out", "err"))
        shutil.rmtree(said)
        return Ended(process.exitcode, out, err)

    def known(self) -> "Known":
        """What has been committed by now."""
        runs, predictions = set[str](), 0.0
        with suppress(StoreError), closing(Store(self.settings.store_url, write=False)) as store:
            runs = {run["run"] for run in store.runs(1000)}
            predictions = store.snapshot().count("predictions")
        outcomes = {path: path.read_text() for path in self.home.glob("runs/*/outcome.json")}
        ended = {path.parent.name for path, text in outcomes.items() if '"candidates"' in text}
        versions = {version.name for version in self.registry.versions()}
        return Known(self.registry.history(), runs, predictions, versions, ended)

    def told(self) -> Counter[str]:
        """How often people were told of each run."""
        runs = [line for text in self.slack.texts() for line in text.splitlines()]
        return Counter(line.split()[1] for line in runs if line.startswith("Run: "))

    def judge(self, row: Row, before: "Known") -> None:
        """Note in `row` what should not be so, now that all is well again."""
        pipeline.catch_up(self.settings)  # as the drift watch does each hour
        row.models += self._wrong_models(before)
        now = self.known()
        row.lost += [f"run {run} is no longer counted" for run in before.runs - now.runs]
        row.lost += [f"{name} is lost" for name in before.versions - now.versions]
        if now.predictions < before.predictions:
            row.lost.append(f"{before.predictions - now.predictions:.0f} proposals are lost")
        row.lost += self._unusable_datasets()
        told = self.told()
        row.notices += [f"{run} was told {n} times" for run, n in told.items() if n > 1]
        if missing := self.retrained - len(told):
            row.notices.append(f"{missing} of {self.retrained} ends were not told")
        uncounted = now.ended - before.ended - now.runs
        row.lost += [f"{run} ended and is not counted" for run in uncounted]

    def _wrong_models(self, before: "Known") -> Iterator[str]:
        try:
            active, history = self.registry.active(), self.registry.history()
            if active is None:
                yield "no model is in use"
                return
            active.verify()
        except RoutingError as error:
            yield f"the model in use cannot be used: {error}"
            return
        if history[: len(before.history)] != before.history:
            yield "the history has changed"
        for one, other in pairwise(history):
            if one["to"] != other["from"]:
                yield f"the history breaks at {other['at']}"
        if history[-1]["to"] != active.name:
            yield f"{active.name} is in use, decided was {history[-1]['to']}"
        for entry in history[len(before.history) :]:
            run = entry["who"].removeprefix("run ")
            if run == entry["who"]:
                continue
            decision = self._decided(run)
            if not decision["promote"] or decision["winner"] != entry["to"]:
                yield f"{entry['to']} went in, which {run} had not chosen"

    def _decided(self, run: str) -> dict[str, Any]:
        """What a run has decided: a retraining by its held-out items, or later routings."""
        decided = run_folder(self.settings, run) / "decision.json"
        if decided.is_file():
            return json.loads(decided.read_text())
        judged = self.folder / "passed" / run / "judge.json"
        by_routings = json.loads(judged.read_text())["decision"] if judged.is_file() else None
        return by_routings or {"promote": False}

    def _unusable_datasets(self) -> Iterator[str]:
        for path in (self.home / "datasets").glob("training_dataset_??????.json"):
            try:
                dataset.load(path)
            except RoutingError as error:
                yield f"a dataset cannot be used: {error}"


@dataclass(frozen=True)
class Known:
    """What has been committed: switches, runs and proposals recorded, versions."""

    history: list[dict[str, Any]]
    runs: set[str]
    predictions: float
    versions: set[str]
    ended: set[str]

    def without_store(self) -> "Known":
        """The same where the store is known to be lost."""
        return replace(self, runs=set(), predictions=0.0)


def one_line(ended: Ended) -> list[str]:
    """What is wrong with how a failure was told."""
    if "Traceback" in ended.err:
        return [f"a traceback: {ended.line()}"]
    if ended.code > 0 and not ended.line().startswith("routing-ml: "):
        return [f"exit code {ended.code} without a line: {ended.line()!r}"]
    if ended.code > 0 and "defect of Routing ML" in ended.err:
        return [f"not foreseen: {ended.line()}"]
    return []


@contextmanager
def beds() -> Iterator[Callable[..., Any]]:
    """Makes beds, all of one state folder with a version in use; the factory has become larger
    since."""
    opening.SETTLED_S = 0.05
    with tempfile.TemporaryDirectory(prefix="routing-ml-faults-") as name, FakeSlack() as slack:
        template = Path(name) / "template"
        template.mkdir()
        factory.write(template)
        first = Bed(template, slack)
        for arguments in ((*RETRAIN[:-1], EARLIER), ("predict",)):
            ended = first.command(*arguments)
            if ended.code:
                raise SystemExit(f"{arguments[0]} failed without any trouble: {ended.err}")

        @contextmanager
        def bed(folder: Path | None = None, **env: str) -> Iterator[Bed]:
            at = Path(tempfile.mkdtemp(dir=name)) if folder is None else folder
            shutil.copytree(template, at, symlinks=True, dirs_exist_ok=True)
            with FakeSlack() as own:
                yield Bed(at, own, **env)
            if folder is None:
                shutil.rmtree(at, ignore_errors=True)

        yield bed


def _run(
    env: dict[str, str], arguments: Sequence[str], said: str, inside: Callable[[], None]
) -> None:
    for number, name in ((1, "out"), (2, "err")):
        handle = os.open(Path(said) / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, number)
    os.environ.update(env)
    sys.argv[1:] = arguments
    code = 70
    try:
        inside()
        code = cli.main(list(arguments))
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def after(seconds: float, do: Callable[[], None]) -> Callable[[], None]:
    """Does it so much later."""

    def later() -> None:
        time.sleep(seconds)
        do()

    return later
