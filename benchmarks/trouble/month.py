"""A month in minutes: a backup, proposals, what planners wrote and the drift watch each day, a look
at the data each week, a retraining on the first and another one, with tasks killed at random all
the while. In its second week planners' routings show that another version is better.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta

from routing_ml.backup import Vault
from routing_ml.store import Store
from trouble import evidence, factory
from trouble.bed import Bed, Row
from trouble.tasks import Worker

DAYS, WATCHES, LOOKS = 30, 4, 4
RETRAININGS, PROPOSED, ROUTED = (0, 17), 5, 7
KILLED = 0.55
FIRST = datetime(2026, 10, 1, 2)


def rows(make: Callable, trials: int, chance: random.Random) -> Iterator[Row]:
    """One month, whatever the trials: some 220 kills of its 500 tasks."""
    with make() as bed:
        row, worker, before = Row("a month with kills"), Worker(bed), bed.known()

        def life(_: str) -> float | None:
            return chance.random() if chance.random() < KILLED else None

        for day, at in enumerate(_days()):
            name = f"{at:%Y-%m-%d}"
            worker.run("backup", f"backup__{name}", at, life)
            if day in RETRAININGS:
                worker.run("retrain", f"retrain__{name}", at, life)
            if day == PROPOSED:
                later = evidence.propose(bed, at)
            if day == ROUTED:
                factory.write(bed.folder, later=later)
            worker.run("predict", f"predict__{name}", at, life)
            if day % 7 == 4:
                worker.run("quality", f"quality__{name}", at, life)
            for hour in range(WATCHES):
                moment = at + timedelta(hours=hour)
                worker.run("drift_watch", f"watch__{name}T{hour}", moment, life)
        row.trials, row.went_on = worker.killed, worker.killed - len(worker.problems)
        row.lost += worker.problems
        with closing(Store(bed.settings.store_url, write=False)) as store:
            seen = store.snapshot()
        proposed = seen.count("predictions") - before.predictions
        if proposed != DAYS * factory.MISSING:
            row.lost.append(f"{proposed:.0f} proposals are counted of {DAYS * factory.MISSING}")
        row.lost += _backups(bed, worker)
        row.models += _promotions(bed, worker)
        row.models += evidence.switched(bed, [f"predict__{at:%Y-%m-%d}" for at in _days()])
        row.notices += _notices(bed)
        bed.retrained = len(RETRAININGS) + 1
        bed.judge(row, before)
    yield row


def _days() -> list[datetime]:
    return [FIRST + timedelta(days=day) for day in range(DAYS)]


def _promotions(bed: Bed, worker: Worker) -> Iterator[str]:
    """A switch for each decision to promote, and no other."""
    switches = Counter(entry["who"] for entry in bed.registry.history())
    for run in (f"retrain__{_days()[day]:%Y-%m-%d}" for day in RETRAININGS):
        decided = int(worker.result(run, "compare")["promote"])
        if switches[f"run {run}"] != decided:
            yield f"{run} decided on {decided} promotions, {switches[f'run {run}']} were made"


def _backups(bed: Bed, worker: Worker) -> Iterator[str]:
    """One for each night, verified."""
    made = {worker.result(f"backup__{at:%Y-%m-%d}", "copy")["backup"] for at in _days()}
    if len(made) != DAYS:
        yield f"{len(made)} backups for {DAYS} nights"
    vault = Vault(bed.settings.backup_folder)
    kept = {one.name for one in vault.backups() if one.is_good}
    if made - kept:
        yield f"{len(made - kept)} backups are not verified, or gone"


def _notices(bed: Bed) -> Iterator[str]:
    """Of what ended people hear once."""
    titles = Counter(message["text"] for message in bed.slack.messages)
    looks = sum("data quality" in title for title in titles.elements())
    if looks != LOOKS:
        yield f"{looks} looks of {LOOKS} were told"
    bodies = Counter(bed.slack.texts())
    yield from (f"told {n} times: {text[:80]}" for text, n in bodies.items() if n > 1)
    for title in titles:
        if "failed" in title:
            yield f"an alarm for nothing: {title}"
