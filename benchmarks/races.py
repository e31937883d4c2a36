"""Races on the approval of a promotion, in a real Airflow (PostgreSQL, API server, scheduler) on
loopback.

    python benchmarks/races.py [--races 1000] [--batch 25] [--seed 1] [--port 8890] [--show]

Each race is a run of its own that asks, on a state folder of its own, by the operator and the steps
of the retraining (`racing/dags/asking.py`). At one instant one to five of these, at random, set
upon it: an answer as the UI sends it, once or twice; a button of the Slack bot, delivered once or
twice; `routing-ml promote` of the same version; the end of the time in which it may be answered; a
task that is cleared; SIGKILL for the process that goes on with the answer, writes it down or
promotes. What nobody answers ends by its time.

The exit code is 1 where any race came to one of `racing/judge.py`'s WRONGS, or did not end.
"""

import argparse
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "script"), str(ROOT / "tests")]

from processes import stop_on_signals  # noqa: E402
from racing import judge  # noqa: E402
from racing.bed import ENDED, Bed, bed  # noqa: E402
from racing.request import STAGES, Request, by_killing, laid, racers  # noqa: E402
from slack_bot_fixtures import FakeSlackApp  # noqa: E402

PATIENCE_S = 1_200
THREADS = 200
RATE = 4.0  # races a second, so that those of one race meet each other and not a queue


def raced(requests: list[Request], at: Bed, slack: FakeSlackApp, chance: random.Random) -> None:
    """Have every request asked, set upon, and ended."""
    names = [one.run for one in requests]
    at.pause(True)
    for one in requests:
        at.ask(one.run, one.home, one.decision, one.question)
    at.pause(False)
    wait(lambda: at.asking(names) == set(names), f"{len(names)} runs do not ask")
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            _set_upon(requests, at, slack, chance, pool)
        except BaseException:
            at.over.set()  # those that wait for a process to kill wait no longer
            raise


def _set_upon(
    requests: list[Request],
    at: Bed,
    slack: FakeSlackApp,
    chance: random.Random,
    pool: ThreadPoolExecutor,
) -> None:
    names = [one.run for one in requests]
    begin, planned = time.monotonic() + 0.5, []
    for one in requests:
        instant = begin + len(requests) / RATE * chance.random()
        planned += [(instant + late, act) for late, act in racers(one, at, slack, chance)]
    # The latest last: those that wait take up no thread that another one needs.
    planned.sort(key=lambda each: each[0])
    killing = [pool.submit(act_at, *each) for each in planned if kills(each[1])]
    for each in [pool.submit(act_at, *each) for each in planned if not kills(each[1])]:
        each.result()

    def over() -> bool:
        states = at.states(names)
        at.run_out([name for name, state in states.items() if state not in ENDED])
        return all(state in ENDED for state in states.values())

    time.sleep(1)
    wait(over, "not every run ends", every=1.0)
    for each in killing:
        each.result()


def kills(act: object) -> bool:
    """Whether it waits for what comes of the others."""
    return getattr(act, "func", None) is by_killing


def act_at(when: float, act: object) -> None:
    time.sleep(max(0.0, when - time.monotonic()))
    assert callable(act)
    act()


def wait(until: object, problem: str, every: float = 0.2) -> None:
    assert callable(until)
    end = time.monotonic() + PATIENCE_S
    while not until():
        if time.monotonic() > end:
            raise SystemExit(f"{problem} after {PATIENCE_S} s")
        time.sleep(every)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--races", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=25, help="so many at a time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=8890, help="Airflow's; the next one as well")
    parser.add_argument("--show", action="store_true", help="what was done in each that went wrong")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    stop_on_signals()
    chance, wrong, seen = random.Random(options.seed), Counter[str](), Counter[str]()
    with (
        tempfile.TemporaryDirectory(prefix="routing-ml-races-") as name,
        FakeSlackApp() as slack,
        bed(Path(name), options.port) as at,
    ):
        begun = time.monotonic()
        for first in range(0, options.races, options.batch):
            numbers = range(first, min(first + options.batch, options.races))
            requests = [laid(number, Path(name), at) for number in numbers]
            raced(requests, at, slack, chance)
            states = at.states([one.run for one in requests])
            for one in requests:
                found = sorted(set(judge.wrongs(one, at)))
                wrong.update(found)
                seen.update(facts(one, states[one.run]))
                if found and options.show:
                    print(f"{one.run} ({states[one.run]}): {found}\n  {one.done}\n  {one.given}\n"
                          f"  {one.stages()}\n  {at.tasks(one.run)}", flush=True)  # fmt: skip
            print(f"{numbers[-1] + 1:5} races after {time.monotonic() - begun:.0f} s", flush=True)
    for what, count in sorted(seen.items()):
        print(f"{count:5} {what}")
    for what in judge.WRONGS:
        print(f"{wrong[what]:5} {what}")
    return int(bool(wrong))


def facts(one: Request, state: str) -> list[str]:
    """What a race had in it and came to, to be counted."""
    found = [f"with {kind}" for kind in set(one.kinds)]
    found += [
        f"in which {stage} was killed" for stage in STAGES if f"{stage} is killed" in one.done
    ]
    found += ["of which Airflow told too late whether it took an answer"] * bool(one.unsure)
    found += [f"answered, {one.given[-1][0]}"] if one.given else ["answered by nobody"]
    return [*found, f"run ended: {state}"]


if __name__ == "__main__":
    sys.exit(main())
