"""The Slack bot against a Slack and an Airflow on loopback: how soon it acknowledges, and whether
anything is done twice.

    python benchmarks/slack_bot.py [--part acknowledge|twice|kills] [--envelopes 1000] [--rate 50]
                                   [--work 5] [--orders 200] [--kills 500] [--replications 1]

`acknowledge`: envelopes at a rate, each with work that takes 5 s, and bursts of 100 at once.
`twice`: every order is delivered three times, in mixed order and by several envelopes, and every
button pressed three times. `kills`: the bot is ended by SIGKILL, half of the times as soon as the
other end has done what it was asked, half at a random moment; it is started again, and the button
pressed again. Orders are runs of Airflow, answers of a run that asks, and switches of the model.

The exit code is 1 where the 99th percentile of the acknowledgements is a second or more, an
envelope was not acknowledged, or an order was done twice or not at all.
"""

import argparse
import logging
import math
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from slack_bot_fixtures import (
    FakeAirflow,
    FakeSlackApp,
    add_version,
    audited,
    config_of,
    settings_of,
    until,
)

from routing_ml.notices import APPROVE
from routing_ml.registry import Registry
from routing_ml.settings import Settings
from routing_ml.slackbot import Config, run
from routing_ml.slackbot.acting import RUN
from routing_ml.slackbot.claims import Claims
from routing_ml.slackbot.claims import Order as Claimed

MOST_S = 1.0
BURST = 100
# Every bot a process of its own, with everything imported but no thread of this one's.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["routing_ml.slackbot.loop", "routing_ml.pipeline.monitor", "slack_sdk.socket_mode"]
)


class Bench:
    """A state folder, both ends, and a bot that can be killed."""

    def __init__(self, home: Path, *, holds: float = 0.0) -> None:
        self.slack, self.airflow = FakeSlackApp(), FakeAirflow(holds)
        self.settings: Settings = settings_of(home, self.airflow)
        self.registry = Registry(self.settings.home / "models")
        self.bot: BaseProcess | None = None

    def start(self) -> None:
        before = len(self.slack.called)
        config = config_of(self.settings, self.slack)
        self.bot = PROCESSES.Process(target=serve, args=(self.settings, config))
        self.bot.start()
        until(
            lambda: len(self.slack.called) >= before + 2 and bool(self.slack.connections),
            what="a connection",
        )

    def kill(self) -> None:
        assert self.bot is not None and self.bot.pid is not None
        os.kill(self.bot.pid, signal.SIGKILL)
        self.bot.join()
        until(lambda: not self.slack.connections, what="the end of a connection")

    def begun(self) -> bool:
        """Whether something is claimed of which nobody knows what came."""
        return bool(Claims(self.settings.home / "slack_bot" / ".claims").begun())


def serve(settings: Settings, config: Config) -> None:
    logging.disable(logging.CRITICAL)  # it tells of everyone that is turned away
    run(settings, config)


@contextmanager
def bench(*, holds: float = 0.0) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="slack-bot-") as folder:
        made = Bench(Path(folder) / "home", holds=holds)
        try:
            made.start()
            yield made
        finally:
            if made.bot and made.bot.is_alive():
                made.kill()
            made.slack.close()
            made.airflow.close()


# How soon


def acknowledge(options: argparse.Namespace, chance: random.Random) -> list[str]:
    """Envelopes at a rate, then bursts; percentiles in milliseconds."""
    problems = []
    with bench(holds=options.work) as at:
        sent = []
        begin = time.monotonic()
        for number in range(options.envelopes):
            time.sleep(max(0.0, begin + number / options.rate - time.monotonic()))
            sent.append(deliver(at, number))
        problems += judged(at, sent, f"{options.envelopes} envelopes, {options.rate:g} a second")
        sent = [deliver(at, number) for number in range(BURST)]
        problems += judged(at, sent, f"{BURST} envelopes at once")
    return problems


def deliver(at: Bench, number: int) -> str:
    """Every other one a command, every other one a button, each with work to be done."""
    slack = at.slack
    if number % 2:
        return slack.send("slash_commands", slack.command("retrain"))
    run = f"run-{number}-{time.monotonic_ns()}"
    at.airflow.ask(run)
    asks = {"dag": "routing_ml_retrain", "run": run, "task": "approve"}
    return slack.send("interactive", slack.press(APPROVE, asks, message=f"{time.time():.6f}"))


def judged(at: Bench, sent: list[str], what: str) -> list[str]:
    """How long each took to be acknowledged; what is wrong with that."""
    end = time.monotonic() + 30
    while time.monotonic() < end and not all(one in at.slack.acks for one in sent):
        time.sleep(0.05)
    lost = [one for one in sent if one not in at.slack.acks]
    waits = sorted(at.slack.acks[one][0] - at.slack.sent[one] for one in sent if one not in lost)
    middle, late = percentile(waits, 0.5), percentile(waits, 0.99)
    turned = sum(at.slack.acks[one][1] is not None for one in sent if one not in lost)
    print(
        f"{what}: acknowledged after {middle * 1e3:.0f} ms (median), {late * 1e3:.0f} ms (99th "
        f"percentile), {waits[-1] * 1e3:.0f} ms (longest); {len(lost)} not acknowledged, "
        f"{turned} commands told to come back"
    )
    problems = [f"{what}: {len(lost)} were not acknowledged"] if lost else []
    if late >= MOST_S:
        problems.append(f"{what}: the 99th percentile is {late:.2f} s, not below {MOST_S:g} s")
    return problems


def percentile(waits: list[float], share: float) -> float:
    """The smallest of the sorted `waits` that so large a share does not exceed."""
    return waits[max(0, math.ceil(share * len(waits)) - 1)]


# Twice


def twice(options: argparse.Namespace, chance: random.Random) -> list[str]:
    """Each order three times; how often each was done."""
    problems = []
    with bench() as at:
        orders = [order(at, number) for number in range(options.orders)]
        deliveries = orders * 3
        chance.shuffle(deliveries)
        for number, (_, send, _) in enumerate(deliveries):
            send(f"again-{number}" if number % 2 else None)
            time.sleep(0.02)
        for _ in range(24):  # who was told to come back does
            time.sleep(5.0)
            for _, send, done in orders:
                if not done():
                    send(None)
            if all(done() for *_, done in orders):
                break
        time.sleep(1.0)  # what would be done twice is done by then
        counts = Counter(done() for *_, done in orders)
        problems += [f"{name}: done {done()} times" for name, _, done in orders if done() != 1]
    asked = sum(count for done, count in counts.items())
    print(f"{asked} orders, each delivered or pressed 3 times: {counts[1]} done exactly once")
    return problems


Order = tuple[str, Callable[[str | None], str], Callable[[], int]]
"""What it is, what delivers it (in an envelope of that id), how often it has been done."""


def order(at: Bench, number: int) -> Order:
    return (_retrain, _answer)[number % 2](at, number)


def _retrain(at: Bench, number: int) -> Order:
    payload = at.slack.command("retrain")
    run = RUN + Claimed(f"command/{payload['trigger_id']}", "retrain", {}, "", "", 0.0).id

    def send(id: str | None) -> str:
        return at.slack.send("slash_commands", payload, id)

    return f"retrain {number}", send, lambda: at.airflow.asked_for[run]


def _answer(at: Bench, number: int) -> Order:
    run = f"run-{number}"
    at.airflow.ask(run)
    asks = {"dag": "routing_ml_retrain", "run": run, "task": "approve"}
    message = f"{number}.000100"

    def send(id: str | None) -> str:
        return at.slack.send("interactive", at.slack.press(APPROVE, asks, message=message), id)

    return (
        f"answer {number}",
        send,
        lambda: sum(answered == run for answered, _ in at.airflow.answered),
    )


def _switch(at: Bench, number: int) -> Order:
    """The one of two versions that is not in use is put into use."""
    versions = [version.name for version in at.registry.versions()]
    active = at.registry.active()
    assert active is not None
    target = next(name for name in versions if name != active.name)
    place = at.registry.place()
    value = {"to": target, "from": active.name, "place": place, "why": f"order {number}"}
    message = f"{number}.000200"

    def send(id: str | None) -> str:
        press = at.slack.press("routing_ml_promote", value, message=message, ephemeral=True)
        return at.slack.send("interactive", press, id)

    def done() -> int:
        return sum(e["why"].startswith(f"order {number} ") for e in at.registry.history())

    return f"switch {number}", send, done


# Killed


def kills(options: argparse.Namespace, chance: random.Random) -> list[str]:
    """The bot is killed in each order; what was done, by then and in the end."""
    problems: list[str] = []
    between = before = after = 0
    with bench(holds=0.05) as at:
        for key in ("a", "b"):
            add_version(at.settings, key)
        at.registry.promote(at.registry.versions()[0].name, who="benchmark", why="first")
        for number in range(options.kills):
            name, send, done = (_retrain, _answer, _switch)[number % 3](at, number)
            send(None)
            if number % 2:
                wait_for(done)
            else:
                time.sleep(chance.uniform(0, 0.12))
            at.kill()
            acted, recorded = done() > 0, ended(at, number)
            between += acted and not recorded
            before += not acted
            after += recorded
            at.start()
            until(lambda: not at.begun(), what=f"what came of {name}")
            send(None)  # nobody has answered, so it is pressed or delivered again
            until(lambda done=done: done() > 0, what=name)  # type: ignore[misc]
            until(lambda: not at.begun(), what=f"the end of {name}")
        time.sleep(1.0)
        made = made_of(at)
    problems += [f"{name}: done {count} times" for name, count in made.items() if count != 1]
    if len(made) != options.kills:
        problems.append(f"{options.kills} were ordered and {len(made)} were done")
    print(
        f"{options.kills} bots killed, {before} before the act, {between} between act and record, "
        f"{after} after: {sum(count == 1 for count in made.values())} orders done exactly once"
    )
    return problems


def wait_for(done: Callable[[], int]) -> None:
    """Return the moment it is done."""
    end = time.monotonic() + 20
    while not done() and time.monotonic() < end:
        time.sleep(0.0005)


def ended(at: Bench, number: int) -> bool:
    """Whether the last line of the record says that it was done."""
    lines = audited(at.settings)
    return bool(lines) and lines[-1]["outcome"].startswith("done") and len(
        [line for line in lines if line["outcome"].startswith("done")]
    ) > number  # fmt: skip


def made_of(at: Bench) -> Counter[str]:
    """How often each thing was done that could be: runs made, answers given, switches."""
    made: Counter[str] = Counter({f"run {run}": 1 for run in at.airflow.runs})
    made.update(f"answer {run}" for run, _ in at.airflow.answered)
    made.update(f"switch {entry['why'].split(' [')[0]}" for entry in at.registry.history()[1:])
    return made


PARTS: dict[str, Any] = {"acknowledge": acknowledge, "twice": twice, "kills": kills}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--part", choices=PARTS, action="append", help="default: all")
    parser.add_argument("--envelopes", type=int, default=1_000)
    parser.add_argument("--rate", type=float, default=50.0, help="envelopes a second")
    parser.add_argument("--work", type=float, default=5.0, help="seconds that each takes")
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--replications", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    problems = []
    for replication in range(options.replications):
        for name in options.part or PARTS:
            problems += PARTS[name](options, random.Random(options.seed + replication))
    for problem in problems[:20]:
        print(f"NOT MET: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
