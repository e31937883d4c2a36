"""Counts notices that are lost or told twice while those who are told answer badly, or senders die.

    python benchmarks/notices.py [--replications 100] [--kills 500] [--seed N]

A Slack (webhook and Web API) and a Teams on loopback, which speak the real protocols, are told by
each way that there is. *Answers*: they say 429, 500, 404, redirect, show a page, send no HTTP, or
nothing at all, a random number of times; what waits is sent again as at 0, 1 and 5 minutes and on
until they are well. Two waits are cut short for it: no backoff is slept, a silent end is given up
after 3 s. *Messages deleted*: a subject has three pieces of news by the Web API, and people delete
its message at random. *Kills*: a sender is killed (SIGKILL) at a random moment, every other time in
the milliseconds between what it posts and what it records. The process that posts for it is not
killed: where both are, a notice is told twice rather than never. The exit code is 1 when anything
is lost or doubled.
"""

import argparse
import logging
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from slack_fixtures import CHANNEL, TOKEN, Fake, FakeSlack, FakeTeams

from routing_ml import notices
from routing_ml.errors import RoutingError
from routing_ml.notices import destinations, sending
from routing_ml.settings import Settings

WAYS = ("Slack's webhook", "Slack's Web API", "Teams", "Slack's webhook and Teams")
PAGE = b"<html><body>ok: please sign in</body></html>"
BAD = [
    *((429, "0"), (429, "1"), (429, "3600"), 500, 503, 404, "garbage", "silent"),
    *((302, {"Location": "/login"}, b""), (307, {"Location": "/services/x"}, b"ok")),
    *((200, {"Content-Type": "text/html"}, PAGE), (204, {}, b"")),
]
MOST_BAD = 6
HOURS = 3
SILENT_S = 3.0
AFTER_REQUEST_S = 0.02
# Every sender a `fork` away with everything imported, so that its life is spent in sending.
fork = multiprocessing.get_context("fork")


@dataclass
class Row:
    """What was seen of one way under one trouble."""

    way: str
    trouble: str
    trials: int = 0
    lost: int = 0
    doubled: int = 0


@dataclass
class Bed:
    """The fakes of one way and a new state folder for each trial."""

    way: str
    folder: Path
    fakes: list[Fake]
    env: dict[str, str]
    numbers: Iterator[int] = field(default_factory=count)

    def settings(self) -> Settings:
        home = self.folder / str(next(self.numbers))
        return Settings.from_env({"ROUTING_ML_HOME": str(home), **self.env})

    def clear(self) -> None:
        """Forget what was told."""
        for fake in self.fakes:
            fake.requests = 0
            fake.script.clear()
            fake.messages.clear()
            if isinstance(fake, FakeSlack):
                fake.shown.clear()

    def judge(self, row: Row, settings: Settings, subject: str, title: str) -> None:
        """Say it again, as a task that is tried again does, and count what people see of it."""
        with suppress(RoutingError):
            notices.tell(settings, subject, title, "a try")
        for _hour in range(HOURS):  # what a machine has no time for is no loss while it waits
            with suppress(RoutingError):
                notices.catch_up(settings)
        row.trials += 1
        for fake in self.fakes:
            seen = len(fake.messages)
            row.lost += seen == 0
            row.doubled += max(0, seen - 1)
            if seen != 1:
                kept = [path.read_text() for path in settings.home.glob("outbox/*.json")]
                print(f"{self.way}: {type(fake).__name__} saw {seen}: {kept}", file=sys.stderr)


def main() -> int:
    options = _options()
    chance = random.Random(options.seed)
    logging.disable()
    sending.sleep = lambda seconds: None
    ways, rows = options.way or WAYS, list[Row]()
    print(f"seed {options.seed}\n\n| told by | trouble | trials | lost | doubled |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="routing-ml-notices-") as name, ExitStack() as stack:
        for number, way in enumerate(ways):
            bed = _bed(way, Path(name) / str(number), stack)
            for row in _rows(bed, options.replications, -(-options.kills // len(ways)), chance):
                rows.append(row)
                figures = f"{row.trials:,} | {row.lost} | {row.doubled}"
                print(f"| {row.way} | {row.trouble} | {figures} |", flush=True)
    return int(any(row.lost or row.doubled for row in rows))


def _rows(bed: Bed, trials: int, kills: int, chance: random.Random) -> Iterator[Row]:
    yield _answers(bed, trials, chance)
    if bed.way == "Slack's Web API":
        yield _deleted(bed, trials, chance)
    yield _kills(bed, kills, chance)


def _bed(way: str, folder: Path, stack: ExitStack) -> Bed:
    """The fakes of a way, and the settings that name them."""
    fakes, env = list[Fake](), dict[str, str]()
    if "Slack" in way:
        slack = stack.enter_context(FakeSlack())
        fakes.append(slack)
        env |= {"SLACK_WEBHOOK_URL": slack.url}
        if "API" in way:
            env |= {"SLACK_BOT_TOKEN": TOKEN, "SLACK_CHANNEL": CHANNEL}
            destinations.SLACK_API = slack.api
    if "Teams" in way:
        teams = stack.enter_context(FakeTeams())
        fakes.append(teams)
        env |= {"TEAMS_WEBHOOK_URL": teams.url}
    return Bed(way, folder, fakes, env)


def _answers(bed: Bed, trials: int, chance: random.Random) -> Row:
    """Random bad answers, and retries until all is well."""
    row, usual = Row(bed.way, "answers"), sending.REQUEST_S
    sending.REQUEST_S = SILENT_S
    for _ in range(trials):
        bed.clear()
        settings = bed.settings()
        for fake in bed.fakes:
            fake.script.extend(chance.choices(BAD, k=chance.randint(1, MOST_BAD)))
        with suppress(RoutingError):
            notices.tell(settings, "a", "t", "x")
        for _minute in (0, 1, 5, *range(10, 10 + MOST_BAD)):
            with suppress(RoutingError):
                notices.catch_up(settings)
        bed.judge(row, settings, "a", "t")
    sending.REQUEST_S = usual
    return row


def _deleted(bed: Bed, trials: int, chance: random.Random) -> Row:
    """News of a subject whose message people delete: what is said last is shown, and once."""
    row = Row(bed.way, "messages deleted")
    (slack,) = bed.fakes
    assert isinstance(slack, FakeSlack)
    for _ in range(trials):
        bed.clear()
        settings = bed.settings()
        for title in ("waits", "kept", "promoted"):
            slack.script.extend(chance.choices([200, 500, (429, "1")], k=chance.randint(0, 2)))
            with suppress(RoutingError):
                notices.tell(settings, "a", title, "x")
            notices.catch_up(settings)
            if title != "promoted" and chance.random() < 0.5:
                slack.shown.clear()
        row.trials += 1
        titles = Counter(message["text"] for message in slack.shown.values())
        row.lost += titles["promoted"] == 0
        row.doubled += titles.total() - min(1, titles["promoted"])
    return row


def _kills(bed: Bed, kills: int, chance: random.Random) -> Row:
    """Senders that are killed; who never was is not counted."""
    row = Row(bed.way, "kills")
    lasts = _lasts(bed)
    while row.trials < kills:
        bed.clear()
        settings = bed.settings()
        sender = fork.Process(target=_tell, args=(settings,))
        sender.start()
        if row.trials % 2:
            _wait_for_request(bed, chance.choice(bed.fakes), sender)
            time.sleep(chance.uniform(0, AFTER_REQUEST_S))
        else:
            time.sleep(chance.uniform(0, lasts))
        os.kill(sender.pid or 0, signal.SIGKILL) if sender.is_alive() else None
        sender.join()
        if sender.exitcode == -signal.SIGKILL:
            bed.judge(row, settings, "a", "t")
    return row


def _lasts(bed: Bed) -> float:
    """How long a sender takes that is not killed, in seconds."""
    bed.clear()
    began = time.monotonic()
    sender = fork.Process(target=_tell, args=(bed.settings(),))
    sender.start()
    sender.join()
    return time.monotonic() - began


def _tell(settings: Settings) -> None:
    with suppress(RoutingError):
        notices.tell(settings, "a", "t", "x")


def _wait_for_request(bed: Bed, fake: Fake, sender: "multiprocessing.process.BaseProcess") -> None:
    while not fake.requests and sender.is_alive():
        time.sleep(0.0005)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    add: Callable = parser.add_argument
    add("--replications", type=int, default=100, metavar="N", help="trials of each trouble")
    add("--kills", type=int, default=500, metavar="N", help="of all ways to tell")
    add("--seed", type=int, default=1)
    add("--way", choices=WAYS, action="append", help="one way alone; may be given several times")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
