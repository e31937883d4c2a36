"""Seconds and memory of a fit from 5,000 to 200,000 items: copies of a source with noise.

    python benchmarks/models.py --source FILE.accdb [--candidates A,B] [--sizes 5000 20000 ...]

Each fit runs in a process of its own; `growth` is the time against the row before, divided by what
n log n would make of it: at most about 1.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from routing_ml import dataset, models
from routing_ml.source import Columns, extract

SIZES = (5_000, 10_000, 20_000, 50_000, 100_000, 200_000)
EVERYTHING = 1_000_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", required=True)
    parser.add_argument("--candidates", default=",".join(models.CANDIDATES))
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # candidate, items: one fit
    options = parser.parse_args()
    if options.one:
        print(json.dumps(fit_one(Path(options.source), options.one[0], int(options.one[1]))))
        return
    print("| candidate | items | routing rows | fit s | s growth / n log n | peak MiB | data MiB |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        columns = Columns.load()
        extract(options.source, Path(folder), columns=columns, as_of=datetime.max, limit=EVERYTHING)
        for name in options.candidates.split(","):
            before: tuple[int, float] | None = None
            for size in options.sizes:
                command = [sys.executable, __file__, "--source", folder, "--one", name, str(size)]
                done = subprocess.run(
                    command,
                    check=True,
                    capture_output=True,
                    env=os.environ | {"OMP_NUM_THREADS": "1"},
                )
                one = json.loads(done.stdout)
                growth = ""
                if before:
                    fair = size * math.log(size) / (before[0] * math.log(before[0]))
                    growth = f"{one['seconds'] / before[1] / fair:.2f}"
                before = size, one["seconds"]
                print(
                    f"| {name} | {size} | {one['rows']} | {one['seconds']:.1f} | {growth} "
                    f"| {one['peak']:.0f} | {one['data']:.0f} |",
                    flush=True,
                )


def fit_one(folder: Path, name: str, size: int) -> dict[str, float]:
    """CPU seconds of one fit, and the process's peak memory after it and before it, in MiB."""
    data = dataset.load(folder)
    items, routings = enlarge(data, size)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.process_time()
    models.fit(name, items, routings, attributes=data.attributes)
    return {
        "seconds": time.process_time() - started,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "data": held,
        "rows": len(routings),
    }


def enlarge(data: dataset.Dataset, size: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`size` items: the data's, then copies whose numbers and times vary by a few percent."""
    random = np.random.default_rng(0)
    newest = dataset.newest_routings(data.routings)
    known = data.items[data.items["ITEM_CD"].isin(newest["ITEM_CD"])].reset_index(drop=True)
    items, routings = [], []
    for copy in range(-(-size // len(known))):
        some = known.iloc[: min(len(known), size - copy * len(known))].copy()
        rows = newest[newest["ITEM_CD"].isin(some["ITEM_CD"])].copy()
        if copy:
            for column in some.select_dtypes("float64"):
                if some[column].nunique() > 20:
                    some[column] = np.round(some[column] * random.normal(1, 0.03, len(some)), 2)
            for column in ("SETUP_TIME", "RUN_TIME"):
                rows[column] = np.round(rows[column] * random.normal(1, 0.03, len(rows)), 2)
        for frame in (some, rows):
            frame["ITEM_CD"] = frame["ITEM_CD"] + f"-{copy}"
        items.append(some)
        routings.append(rows)
    return pd.concat(items, ignore_index=True), pd.concat(routings, ignore_index=True)


if __name__ == "__main__":
    main()
