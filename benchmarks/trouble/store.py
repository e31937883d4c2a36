"""Trouble with the monitoring store: it is locked, damaged, lost, or its server starts again."""

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import postgresql

from trouble.bed import RETRAIN, Bed, Row, after, one_line

LONGEST_SECONDS = 5.0
LOCKED_SECONDS = 60.0


def rows(make: Callable, trials: int, chance: random.Random) -> Iterator[Row]:
    """A row for each trouble."""
    yield from _locked(make, max(1, trials // 3))
    yield from _spoilt(make, trials, chance, "store is damaged in use", _damage)
    yield from _spoilt(make, trials, chance, "store is lost in use", _lose)
    yield from _restarted(make, trials, chance)


def _locked(make: Callable, trials: int) -> Iterator[Row]:
    """Another process writes for a minute: what waits is counted afterwards."""
    row = Row(f"store locked for {LOCKED_SECONDS:.0f} s")
    for _ in range(trials):
        with make() as bed:
            before = bed.known()
            holder = sqlite3.connect(bed.home / "store.db", check_same_thread=False)
            holder.execute("BEGIN IMMEDIATE")
            threading.Timer(LOCKED_SECONDS, holder.close).start()
            began = time.monotonic()
            ended = bed.command(*RETRAIN)
            row.trials += 1
            row.lines += one_line(ended)
            if len(bed.known().history) == len(before.history):
                row.lost.append("the promotion was lost")
            time.sleep(max(0.0, LOCKED_SECONDS + 1 - (time.monotonic() - began)))
            _goes_on(bed, row)
            bed.judge(row, before)
    yield row


def _spoilt(
    make: Callable, trials: int, chance: random.Random, name: str, spoil: Callable
) -> Iterator[Row]:
    """What the store knew is gone; a new one goes on, and no model is any other for it."""
    row = Row(name)
    for _ in range(trials):
        with make() as bed:
            before = bed.known()
            moment = chance.uniform(0, LONGEST_SECONDS)
            ended = bed.command(*RETRAIN, meanwhile=after(moment, lambda: spoil(bed, chance)))
            row.trials += 1
            row.lines += one_line(ended)
            if not _is_whole(bed.home / "store.db"):  # as it says, a damaged one is moved away
                for suffix in ("", "-wal", "-shm"):
                    with suppress(FileNotFoundError):
                        (bed.home / f"store.db{suffix}").rename(bed.folder / f"bad{suffix}")
            _goes_on(bed, row)
            bed.judge(row, before.without_store())
    yield row


def _is_whole(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(path)) as store:
            return bool(store.execute("PRAGMA integrity_check").fetchall() == [("ok",)])
    except (sqlite3.Error, UnicodeDecodeError):
        return False


def _damage(bed: Bed, chance: random.Random) -> None:
    with (bed.home / "store.db").open("r+b") as file:
        size = file.seek(0, 2)
        for _ in range(chance.randint(1, 20)):
            file.seek(chance.randrange(max(size - 200, 1)))
            file.write(chance.randbytes(200))


def _lose(bed: Bed, _: random.Random) -> None:
    for suffix in ("", "-wal", "-shm"):
        (bed.home / f"store.db{suffix}").unlink(missing_ok=True)


def _restarted(make: Callable, trials: int, chance: random.Random) -> Iterator[Row]:
    """The server crashes during a retraining and is there again two seconds later."""
    row = Row("PostgreSQL crashes and starts again")
    with postgresql.running() as server:
        for number in range(trials):
            with make(ROUTING_ML_STORE_URL=server.fresh(f"store_{number}")) as bed:
                first = bed.command("predict", "--out", str(bed.folder / "p.csv"))
                if first.code:
                    raise SystemExit(first.err)
                before = bed.known()

                def restart() -> None:
                    server.stop()
                    time.sleep(2)
                    server.start()

                moment = chance.uniform(0, LONGEST_SECONDS)
                ended = bed.command(*RETRAIN, meanwhile=after(moment, restart))
                row.trials += 1
                row.lines += one_line(ended)
                _goes_on(bed, row)
                bed.judge(row, before)
    yield row


def _goes_on(bed: Bed, row: Row) -> None:
    again = bed.command("predict", "--out", str(bed.folder / "p.csv"), "--json")
    row.went_on += again.code == 0
    if again.code:
        row.lost.append(f"it does not go on: {again.line()}")
