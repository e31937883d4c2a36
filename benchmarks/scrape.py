"""How soon a scrape is answered, and what `routing_ml_up` says, while the store is in trouble.

    python benchmarks/scrape.py [--scrapes 30]

Starts `python -m exporter` over a SQLite store that is missing, corrupt, locked or on a full disk,
and over a PostgreSQL of its own that is stopped (it answers nothing) and down; but for the full
disk, with the store well again afterwards and without a restart. The exit code is 1 when an answer
is no 200, comes later than 250 ms, or says the wrong thing.
"""

from __future__ import annotations

import argparse
import signal
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from exporter_process import Exporter, serving
from postgresql import running

from routing_ml.settings import default_url
from routing_ml.store import Store

MOST_MS = 250


class Scrapes:
    """Scrapes an exporter in one state after the other and keeps what was wrong."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.wrong = 0

    def of(self, exporter: Exporter, state: str, up: int) -> None:
        """So many scrapes, each past the exporter's memory of the one before."""
        taken, said = [], set()
        for _ in range(self.count):
            time.sleep(0.12)
            reply = exporter.ask("/metrics")
            taken.append(reply.seconds * 1000)
            told = reply.text.split("\nrouting_ml_up ")[1].split("\n")[0]
            said.add((reply.status, float(told)))
        holds = said == {(200, float(up))} and max(taken) <= MOST_MS
        self.wrong += not holds
        print(
            f"{state:40}{up:4}{statistics.median(taken):10.1f}{max(taken):9.1f}"
            f"{'' if holds else f'  WRONG: {sorted(said)}'}",
            flush=True,
        )

    def again(self, exporter: Exporter) -> None:
        """The store is well again: seconds until a scrape says so."""
        start = time.perf_counter()
        exporter.wait_for("routing_ml_up", 1)
        print(f"{'  well again: seen after':40}{'':4}{time.perf_counter() - start:10.2f} s")


def fill(url: str) -> None:
    store = Store(url)
    store.record_predictions(["A"] * 500, [0.9] * 500, [0.9] * 500, model="m1", seconds=5)
    store.close()


def sqlite_troubles(scrapes: Scrapes) -> None:
    """Missing, corrupt, locked, full disk."""
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "store.db"
        with serving(home) as exporter:
            scrapes.of(exporter, "SQLite, missing", 0)
            fill(default_url(home))
            scrapes.again(exporter)
            good = path.read_bytes()
            path.write_bytes(good[:4096] + b"\xff" * 20_000)
            scrapes.of(exporter, "SQLite, corrupt", 0)
            path.write_bytes(good)
            scrapes.again(exporter)
            writer = sqlite3.connect(path, isolation_level=None)
            writer.execute("PRAGMA locking_mode = EXCLUSIVE")
            writer.execute("INSERT INTO counters VALUES ('predictions', 'x', 1)")
            scrapes.of(exporter, "SQLite, locked", 0)
            writer.close()
            scrapes.again(exporter)
        with serving(home, limit_files=True) as exporter:
            scrapes.of(exporter, "SQLite, full disk: it can be read", 1)


def postgresql_troubles(scrapes: Scrapes) -> None:
    """Silent and down."""
    with (
        running() as server,
        tempfile.TemporaryDirectory() as home,
    ):
        fill(server.url)
        with serving(home, ROUTING_ML_STORE_URL=server.url) as exporter:
            scrapes.again(exporter)
            scrapes.of(exporter, "PostgreSQL, well", 1)
            troubles: tuple[tuple[str, Callable[[], None], Callable[[], None]], ...] = (
                (
                    "silent",
                    lambda: server.signal_all(signal.SIGSTOP),
                    lambda: server.signal_all(signal.SIGCONT),
                ),
                ("down", server.stop, server.start),
            )
            for name, begin, end in troubles:
                begin()
                try:
                    scrapes.of(exporter, f"PostgreSQL, {name}", 0)
                finally:
                    end()
                scrapes.again(exporter)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scrapes", type=int, default=30, help="in each state")
    scrapes = Scrapes(parser.parse_args().scrapes)
    print(f"{'milliseconds (at most 250)':40}{'up':>4}{'median':>10}{'worst':>9}")
    sqlite_troubles(scrapes)
    postgresql_troubles(scrapes)
    return int(scrapes.wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
