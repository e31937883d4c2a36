"""Latency of a proposal, time of a batch, and what a model weighs.

    python benchmarks/predict.py --source FILE.accdb [--candidate boosted]

Fits one candidate on the whole source, saves and loads it, and prints JSON: one item with its
similar item (p50 and p99 of 500, milliseconds), 10,000 items without and with similarity
(milliseconds an item), load (seconds, in a fresh process with the imports apart), size (MB).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from routing_ml import dataset, models
from routing_ml.models import RoutingModel
from routing_ml.source import Columns, extract

BATCH = 10_000
SINGLE = 500
EVERYTHING = 1_000_000_000
LOAD = """
import sys, time
from pathlib import Path
from routing_ml import models
started = time.perf_counter()
models.load(Path(sys.argv[1]))
print(time.perf_counter() - started)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", required=True)
    parser.add_argument("--candidate", default="boosted", choices=list(models.CANDIDATES))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        columns = Columns.load()
        extract(options.source, Path(folder), columns=columns, as_of=datetime.max, limit=EVERYTHING)
        data = dataset.load(Path(folder))
        newest = dataset.newest_routings(data.routings)
        fitted = models.fit(
            options.candidate, data.items, newest, data.results, attributes=data.attributes
        )
        saved = Path(folder) / "model"
        fitted.save(saved)
        size = sum(path.stat().st_size for path in saved.iterdir())
        loads = [
            float(subprocess.check_output([sys.executable, "-c", LOAD, str(saved)]))
            for _ in range(3)
        ]
        model = models.load(saved)
    batch = pd.concat([data.items] * -(-BATCH // len(data.items)), ignore_index=True)[:BATCH]
    model.predict(batch[:100])
    milliseconds = []
    for k in range(SINGLE):
        item = batch.iloc[k : k + 1]
        started = time.perf_counter()
        model.predict(item)
        milliseconds.append((time.perf_counter() - started) * 1e3)
    figures = {
        "candidate": options.candidate,
        "fitted_items": newest["ITEM_CD"].nunique(),
        "one_item_p50_ms": round(float(np.median(milliseconds)), 2),
        "one_item_p99_ms": round(float(np.quantile(milliseconds, 0.99)), 2),
        "batch_ms_per_item": round(_batch(model, batch, similarity=False), 4),
        "batch_with_similarity_ms_per_item": round(_batch(model, batch, similarity=True), 4),
        "load_seconds": round(min(loads), 3),
        "size_mb": round(size / 1e6, 2),
    }
    print(json.dumps(figures, indent=1))


def _batch(model: RoutingModel, batch: pd.DataFrame, *, similarity: bool) -> float:
    """Milliseconds an item, the best of three."""
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        model.predict(batch, similarity=similarity)
        seconds.append(time.perf_counter() - started)
    return min(seconds) / len(batch) * 1e3


if __name__ == "__main__":
    main()
