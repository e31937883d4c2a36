"""Promote, roll back, clear and prune by several people and runs at once: what is in use is what
the last of them decided, and the history tells who.
"""

import json
import multiprocessing
import random
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from routing_ml.errors import ModelError
from routing_ml.registry import MAX_AGE_DAYS, Registry
from trouble.bed import Row

ACTORS, VERSIONS, STEPS = 3, 5, 5
fork = multiprocessing.get_context("fork")


def rows(_: Callable, trials: int, chance: random.Random) -> Iterator[Row]:
    """One after the other, against what must come of it; and by three processes at once."""
    for together in (False, True):
        row = Row("decisions at once" if together else "decisions in turn")
        for _number in range(trials):
            with tempfile.TemporaryDirectory() as name:
                home = Path(name) / "models"
                registry = Registry(home)
                for k in range(VERSIONS):
                    _add(registry, f"first {k}", datetime(2026, 11, 1, tzinfo=UTC))
                (_together if together else _in_turn)(home, row, chance)
                row.trials += 1
        yield row


def _add(registry: Registry, key: str, now: datetime) -> str:
    def write(folder: Path) -> None:
        (folder / "arrays.npz").write_bytes(key.encode())

    return registry.register(write, key=key, facts={}, now=now).name


class Actor:
    """A person at the command line and in Airflow's UI: what a run has decided may be carried out
    late, and again, as when its task is cleared."""

    def __init__(self, home: Path, name: str, chance: random.Random) -> None:
        self.registry, self.name, self.chance = Registry(home), name, chance
        self.decisions: list[dict[str, Any]] = []
        self.done: list[dict[str, Any]] = []

    def step(self) -> None:
        """Do one thing; what came of it is in `done`."""
        kind = self.chance.choice(("command", "rollback", "decide", "carry out", "clear", "prune"))
        before = {entry["id"] for entry in self.registry.history()}
        result = None
        try:
            result = getattr(self, f"_{kind.replace(' ', '_')}")()
        except ModelError as error:
            if "\n" in str(error):
                result = "a line too many"
        if result is not None:
            self.done.append({"kind": kind, "to": result, "known": sorted(map(str, before))})

    def _command(self) -> str:
        name = self.chance.choice(self.registry.versions()).name
        self.registry.promote(name, who=self.name, why="by hand")
        return name

    def _rollback(self) -> str:
        return self.registry.rollback(who=self.name, why="by hand").name

    def _decide(self) -> None:
        place, active = self.registry.place(), self.registry.active()
        winner = self.chance.choice(self.registry.versions()).name
        self.decisions.append(
            {"name": winner, "instead_of": active.name if active else None, "after": place}
        )

    def _carry_out(self) -> str | None:
        if not self.decisions:
            return None
        decided = self.decisions[-1]
        self.registry.promote(**decided, who=f"run of {self.name}", why="compared")
        return decided["name"]

    def _clear(self) -> str | None:
        if not self.decisions:
            return None
        decided = self.chance.choice(self.decisions)
        self.registry.promote(**decided, who=f"run of {self.name}", why="cleared")
        return decided["name"]

    def _prune(self) -> None:
        old = datetime.now(UTC) - timedelta(days=2 * MAX_AGE_DAYS)
        _add(self.registry, f"{self.name} {self.chance.random()}", old)
        self.registry.prune()


def _in_turn(home: Path, row: Row, chance: random.Random) -> None:
    """A run's decision goes in only where nothing was switched since; all else as it was told."""
    actors = [Actor(home, f"actor {k}", chance) for k in range(ACTORS)]
    registry = Registry(home)
    for _ in range(ACTORS * STEPS):
        actor = chance.choice(actors)
        before, count = registry.history(), len(actor.done)
        actor.step()
        active, history = registry.active(), registry.history()
        new = history[len(before) :]
        if history[: len(before)] != before or len(new) > 1:
            row.models.append("the history is not the one before and one entry")
        if len(actor.done) > count:
            told = actor.done[-1]
            if active is None or active.name != told["to"]:
                row.models.append(f"{told['kind']} said {told['to']}, in use is {active}")
            made = next((d for d in actor.decisions if d["name"] == told["to"]), None)
            late = new and told["kind"] in ("carry out", "clear") and made is not None
            if late and all(d["after"] != _place(before) for d in actor.decisions
                            if d["name"] == told["to"]):  # fmt: skip
                row.models.append("a decision went in though something was switched since")
        elif new:
            row.models.append("a switch that nobody was told of")
        if new and actor.name not in new[0]["who"]:
            row.models.append(f"the history names {new[0]['who']} for {actor.name}")
    row.went_on += 1


def _place(history: list[dict[str, Any]]) -> Any:
    return history[-1]["id"] if history else None


def _together(home: Path, row: Row, chance: random.Random) -> None:
    seeds = [chance.random() for _ in range(ACTORS)]
    said = [home.parent / f"actor {k}.json" for k in range(ACTORS)]

    def act(number: int) -> None:
        actor = Actor(home, f"actor {number}", random.Random(seeds[number]))
        for _ in range(STEPS):
            actor.step()
        said[number].write_text(json.dumps([actor.done, actor.decisions]))

    processes = [fork.Process(target=act, args=(k,)) for k in range(ACTORS)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        row.lines.append("an actor ended with a traceback")
        return
    registry = Registry(home)
    active, history = registry.active(), registry.history()
    for one, other in pairwise(history):
        if one["to"] != other["from"]:
            row.models.append("the history breaks")
    if (active.name if active else None) != (history[-1]["to"] if history else None):
        row.models.append("in use is another than the last decision chose")
    for number, path in enumerate(said):
        done, decisions = json.loads(path.read_text())
        places = {(decided["name"], decided["after"]) for decided in decisions}
        for before, entry in zip([None, *history], history, strict=False):
            by_run = entry["who"] == f"run of actor {number}"
            if by_run and (entry["to"], before and before["id"]) not in places:
                row.models.append("a decision went in though something was switched since")
        mine = [e["to"] for e in history if e["who"].endswith(f"actor {number}")]
        told = [each["to"] for each in done]
        # What was in use already is told, and is no switch.
        for to in mine:
            if to not in told:
                row.models.append(f"a switch by actor {number} that it was not told of")
            else:
                told = told[told.index(to) + 1 :]
    row.went_on += 1
