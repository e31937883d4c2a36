"""One approval and all who race for it: a state folder with the model in use and the one that is
asked about, and what each of those did who answered, cleared, killed or promoted by hand.
"""

import json
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from airflow_api import ApiError
from slack_bot_fixtures import FakeSlackApp, add_version, bot_of, settings_of

from racing.bed import ENDED, Bed
from routing_ml.cli import main
from routing_ml.errors import RoutingError
from routing_ml.notices import ANSWERS, APPROVE, ASKING_DAG, ASKING_TASK, KEEP
from routing_ml.pipeline import approval, steps
from routing_ml.registry import Registry
from routing_ml.settings import Settings
from routing_ml.slackbot.requests import read

STAGES = ("ask", "answered", "decide", "promote", "keep")
WHY = "as said on Monday"
# Everything is imported before they are asked for.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["routing_ml.cli", "routing_ml.pipeline.monitor", "routing_ml.pipeline.steps"]
)
KINDS = ("UI", "Slack", "command", "time-out", "clear", "kill")


@dataclass
class Request:
    """`given` are the answers that Airflow took, (option, user), `unsure` those of which it did not
    tell in time whether it did; `done` says what was done, in words."""

    number: int
    settings: Settings
    old: str
    new: str
    decision: Any
    question: str
    kinds: list[str] = field(default_factory=list)
    given: list[tuple[str, str]] = field(default_factory=list)
    unsure: list[tuple[str, str]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    @property
    def run(self) -> str:
        return f"race-{self.number}"

    @property
    def home(self) -> Path:
        return self.settings.home

    def stages(self) -> list[tuple[str, int]]:
        """What has been begun so far, and by which process."""
        try:
            lines = (self.home / "stages").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [(stage, int(pid)) for stage, pid in (line.split() for line in lines)]


def laid(number: int, folder: Path, bed: Bed) -> Request:
    """A state folder as `compare` leaves it when it asks."""
    home = folder / f"home-{number}"
    settings = settings_of(
        home,
        ROUTING_ML_AIRFLOW_URL=bed.place.airflow_url,
        ROUTING_ML_AIRFLOW_USER="slack-bot",
        ROUTING_ML_AIRFLOW_PASSWORD=bed.place.passwords["slack-bot"],
    )
    settings.opened()
    old, new = (add_version(settings, f"{number} {which}", 0.8) for which in ("old", "new"))
    registry = Registry(home / "models")
    registry.promote(old, who="run first", why="the first model")
    path = steps.run_folder(settings, f"race-{number}") / steps.DECISION
    facts = {
        "winner": new, "promote": False, "promotion": "approve", "asks": True, "champion": old,
        "place": registry.place(), "withheld": [], "reason": "boosted is better", "metrics": {},
        "challengers": {"boosted": new}, "comparison": {"exact": {"boosted": 0.9}},
    }  # fmt: skip
    steps.write_json(settings, path, facts)
    # Airflow's API server has one state folder.
    (folder / "runs").mkdir(exist_ok=True)
    (folder / "runs" / path.parent.name).symlink_to(path.parent)
    decision = steps.decision_of(settings, path)
    question = approval.question(settings, f"race-{number}")
    return Request(number, settings, old, new, decision, question)


def racers(one: Request, bed: Bed, slack: FakeSlackApp, chance: random.Random) -> list[Any]:
    """Who races for it: one to five, of a random mix; how many seconds after the instant."""
    one.kinds = chance.choices(KINDS, weights=(4, 4, 2, 2, 1, 2), k=chance.choice((1, 2, 3, 4, 5)))
    found: list[tuple[float, Callable[[], None]]] = []
    for number, kind in enumerate(one.kinds):
        option = chance.choice((APPROVE, APPROVE, KEEP))
        twice = chance.random() < 0.3
        if kind == "UI":
            act = partial(by_ui, one, bed, option)
        elif kind == "Slack":
            act = partial(by_slack, one, bed, slack, option, f"U{number}", twice)
        elif kind == "command":
            act = partial(by_command, one)
        elif kind == "time-out":
            act = partial(by_time, one, bed)
        elif kind == "clear":
            act = partial(by_clearing, one, bed, chance.choice((ASKING_TASK, "decide")))
        else:
            act = partial(by_killing, one, bed, chance.choice(STAGES[1:]), chance.uniform(0, 0.03))
        late = chance.uniform(0, 2) if kind in ("clear", "command") and chance.random() < 0.5 else 0
        found.append((late + chance.uniform(0, 0.03), act))
        if kind == "UI" and twice:
            found.append((late + chance.uniform(0, 0.03), act))
    return found


def by_ui(one: Request, bed: Bed, option: str) -> None:
    """What the UI sends when somebody answers there."""
    words = ANSWERS[option]
    try:
        taken = bed.users["kim"].answer(ASKING_DAG, one.run, ASKING_TASK, option=words, why=WHY)
    except RoutingError as error:
        one.done.append(f"UI {words}: {error}")
        one.unsure.append((words, "kim"))  # Airflow may have taken it, and told so too late
        return
    one.done.append(f"UI {words}: {taken}")
    if taken:
        one.given.append((words, "kim"))


def by_slack(
    one: Request, bed: Bed, slack: FakeSlackApp, option: str, person: str, twice: bool
) -> None:
    """A button is pressed, and the press delivered once or twice."""
    asks = {"dag": ASKING_DAG, "run": one.run, "task": ASKING_TASK, "model": one.new}
    press = slack.press(option, asks, name=person.lower(), message=f"{one.number}.{person}")
    bot = bot_of(one.settings, slack)
    bot.airflow = bed.users["slack-bot"]
    for _ in range(1 + twice):
        bot.handle(read("interactive", "", press))
    lines = (one.home / "slack_bot" / "audit.jsonl").read_text().splitlines()
    told = [json.loads(line)["outcome"] for line in lines]
    one.done.append(f"Slack {person} {ANSWERS[option]}: {told}")
    mine = f"done: {ANSWERS[option]}: answered by {person.lower()} ("
    if any(line.startswith(mine) for line in told):
        one.given.append((ANSWERS[option], "slack-bot"))
    elif any("Airflow does not answer" in line for line in told):
        one.unsure.append((ANSWERS[option], "slack-bot"))


def by_command(one: Request) -> None:
    """`routing-ml promote` of the version that is asked about."""
    process = PROCESSES.Process(target=command, args=(str(one.home), one.new))
    process.start()
    process.join()
    one.done.append(f"command: {process.exitcode}")


def command(home: str, model: str) -> None:
    """The command, in a process of its own."""
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        os.environ["ROUTING_ML_HOME"] = home
        sys.exit(main(["promote", model, "--why", "by hand meanwhile"]))


def by_time(one: Request, bed: Bed) -> None:
    bed.run_out([one.run])
    one.done.append("the time is over")


def by_clearing(one: Request, bed: Bed, task: str) -> None:
    try:
        bed.clear(one.run, task)
    except ApiError:  # as where the task is tried again in that moment
        one.done.append(f"Airflow does not clear {task}")
        return
    one.done.append(f"{task} is cleared")


def by_killing(one: Request, bed: Bed, stage: str, after: float) -> None:
    """SIGKILL for the process that does a stage, so many seconds after it has begun; none where the
    run ends without it."""
    while bed.states([one.run])[one.run] not in ENDED and not bed.over.is_set():
        for _ in range(50):
            pids = [pid for begun, pid in one.stages() if begun == stage]
            if pids:
                time.sleep(after)
                with suppress(ProcessLookupError):
                    os.kill(pids[0], signal.SIGKILL)
                    one.done.append(f"{stage} is killed")
                return
            time.sleep(0.02)
