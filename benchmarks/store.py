"""What the monitoring store takes: writing, and reading it with a long history.

    python benchmarks/store.py [--predictions 10000000] [--url postgresql://...]

A scrape of a store with that many recorded predictions is held against one of an empty store, in
turns in one run, through `Store.snapshot` and through the exporter's own text.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from routing_ml.settings import default_url
from routing_ml.store import Store, StoreError

BATCH = 10_000
READINGS = 200


def writing(url: str, seconds: float = 4.0) -> None:
    """Four writers at once, batches of 1 and of 100."""
    for size in (1, 100):
        counts, failures = [0] * 4, [0] * 4
        threads = [
            threading.Thread(target=write, args=(url, number, size, seconds, counts, failures))
            for number in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rate = sum(counts) / seconds
        print(f"4 writers, batches of {size:3}: {rate:9,.0f} predictions a second, "
              f"{sum(failures)} failed")  # fmt: skip


def write(
    url: str, number: int, size: int, seconds: float, counts: list[int], failures: list[int]
) -> None:
    store, end = Store(url), time.perf_counter() + seconds
    items, scores = [f"I{i}" for i in range(size)], [0.9] * size
    while time.perf_counter() < end:
        try:
            store.record_predictions(items, scores, scores, model="m1", seconds=0.1)
            counts[number] += size
        except StoreError:
            failures[number] += 1
    store.close()


def reading(read: Callable[[str], object], full: str, empty: str) -> tuple[float, float]:
    """Median milliseconds of a reading of either store, taken in turns."""
    seconds: dict[str, list[float]] = {full: [], empty: []}
    for _ in range(READINGS):
        for url, taken in seconds.items():
            start = time.perf_counter()
            own = read(url)
            taken.append(own if isinstance(own, float) else time.perf_counter() - start)
    return statistics.median(seconds[full]) * 1000, statistics.median(seconds[empty]) * 1000


def snapshot(url: str) -> object:
    """A reading as the exporter does it, its connection included where that is per reading."""
    store = Store(url, write=False)
    try:
        return store.snapshot()
    finally:
        store.close()


@contextmanager
def exporter(url: str) -> Iterator[str]:
    """An exporter of that store on a free port; gives the address of its metrics."""
    process = subprocess.Popen(
        [sys.executable, "-m", "exporter", "--port", "0"],
        cwd=Path(__file__).resolve().parent.parent,
        env={**os.environ, "ROUTING_ML_STORE_URL": url},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        yield process.stderr.readline().split(" on ")[1].strip()
    finally:
        process.terminate()
        process.wait()
        process.stderr.close()


def scrape(address: str) -> object:
    time.sleep(0.12)  # past the exporter's memory of the last scrape
    start = time.perf_counter()
    with urllib.request.urlopen(address) as reply:
        assert b"\nrouting_ml_up 1.0\n" in reply.read()
    return time.perf_counter() - start


def fill(url: str, predictions: int) -> None:
    store = Store(url)
    start = time.perf_counter()
    scores = [0.9] * BATCH
    for at in range(0, predictions, BATCH):
        items = [f"I{i}" for i in range(at, at + BATCH)]
        store.record_predictions(items, scores, scores, model="m1", seconds=1.0)
    store.record_run("r", succeeded=True, seconds=1)
    store.close()
    rate = predictions / (time.perf_counter() - start)
    print(f"1 writer,  batches of {BATCH:,}: {rate:9,.0f} predictions a second")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--predictions", type=int, default=10_000_000)
    parser.add_argument("--url", help="an empty PostgreSQL database; SQLite where not given")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        empty, full = default_url(f"{folder}/empty"), options.url or default_url(f"{folder}/full")
        if options.url is None:
            writing(default_url(f"{folder}/writing"))
        fill(empty if options.url is None else full, BATCH)
        few = reading(snapshot, full, full)[0] if options.url else 0.0
        fill(full, options.predictions)
        if options.url:
            many = reading(snapshot, full, full)[0]
            print(f"reading after {BATCH:,}: {few:.2f} ms, after {options.predictions:,}: "
                  f"{many:.2f} ms, ratio {many / few:.2f} (at most 1.5)")  # fmt: skip
            return
        size = sum(file.stat().st_size for file in Path(folder, "full").iterdir()) / 2**20
        print(f"{options.predictions:,} predictions recorded, {size:,.0f} MiB")
        told("reading", *reading(snapshot, full, empty))
        with exporter(full) as one, exporter(empty) as other:
            told("scrape", *reading(scrape, one, other))


def told(name: str, many: float, none: float) -> None:
    print(
        f"{name}: {many:.2f} ms, of an all but empty store {none:.2f} ms, "
        f"ratio {many / none:.2f} (at most 1.5)"
    )


if __name__ == "__main__":
    main()
