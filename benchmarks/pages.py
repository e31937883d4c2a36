"""How long the pages in Airflow take to answer, with many versions and items.

    python benchmarks/pages.py [--source FILE.accdb | --home DIR] [--candidate boosted]
                               [--versions 200] [--items 15000] [--replications 100] [--busy]

Retrains on the source (the sample), or takes a copy of a state folder in which that was done,
copies its items and versions until there are as many as that, and asks each page so many times,
each time of another item where it is of one; with `--busy` while another retraining runs in a
process of its own. Prints the milliseconds of each page, without Airflow's own part (median, 95th
percentile, the first, which reads everything; of processors alone too, for a machine that is busy
otherwise), and exits with 1 where a 95th percentile is over 300 ms.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fastapi.testclient import TestClient

from routing_ml import dataset, files
from routing_ml.pipeline import retrain
from routing_ml.registry import Registry
from routing_ml.settings import SAMPLE, Settings

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "plugins"))

from routing_ml_pages.access import Access  # noqa: E402 - as Airflow finds it
from routing_ml_pages.app import make  # noqa: E402

MOST_MS = 300.0
AS_OF = datetime(2026, 11, 1)
OF_THE_REGISTRY = (
    "name", "key", "created_at", "code_version", "library_versions", "files", "digest",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--source", default=str(SAMPLE))
    parser.add_argument("--home", type=Path, help="a state folder that was retrained")
    parser.add_argument("--candidate", default="boosted")
    parser.add_argument("--versions", type=int, default=200)
    parser.add_argument("--items", type=int, default=15_000)
    parser.add_argument("--replications", type=int, default=100)
    parser.add_argument("--busy", action="store_true", help="while another retraining runs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="routing-ml-") as folder:
        home = Path(folder) / "home"
        env = {"ROUTING_ML_HOME": str(home), "ROUTING_ML_SOURCE": options.source}
        os.environ |= env
        settings = Settings.from_env(env)
        if options.home:
            shutil.copytree(options.home, home, symlinks=True)
        else:
            retrain(settings, as_of=AS_OF, candidates=[options.candidate])
        items = _more_items(settings, options.items)
        _more_versions(settings, options.versions)
        other = _retraining(Path(folder) / "busy", options) if options.busy else None
        try:
            figures = _measured(items, Registry(home / "models"), options.replications)
        finally:
            if other is not None:
                was_busy = other.poll() is None
                other.terminate()
                other.wait()
    if other is not None:
        print(json.dumps({"busy to the end": was_busy}))
    print(json.dumps(figures, indent=1))
    return int(any(page["p95_ms"] > MOST_MS for page in figures.values()))


def _more_items(settings: Settings, count: int) -> list[str]:
    """Have the newest dataset hold so many items, copies under other codes; the codes of all."""
    path, manifest = dataset.read_manifest(settings.home / "datasets")
    file = path.parent / manifest["tables"]["items"]["file"]
    table = pq.read_table(file)
    codes = table["ITEM_CD"].to_pylist()
    parts, at = [table], table.schema.get_field_index("ITEM_CD")
    for number in range(1, -(-count // len(codes))):
        copied = pa.array([code and f"{code}-{number}" for code in codes], table.schema[at].type)
        parts.append(table.set_column(at, table.schema[at], copied))
    table = pa.concat_tables(parts).slice(0, max(count, len(codes)))
    pq.write_table(table, file)
    about = {"rows": len(table), "sha256": files.sha256(file), "bytes": file.stat().st_size}
    manifest["tables"]["items"] |= about
    path.write_text(json.dumps(manifest), encoding="utf-8")
    return dataset.load(path).items["ITEM_CD"].tolist()


def _more_versions(settings: Settings, count: int) -> None:
    registry = Registry(settings.home / "models")
    first = registry.versions()[0]
    facts = {n: v for n, v in first.manifest.items() if n not in OF_THE_REGISTRY}

    def write(folder: Path) -> None:
        for path in first.folder.iterdir():
            if path.is_dir():
                shutil.copytree(path, folder / path.name)
            elif path.name != "manifest.json":
                shutil.copy(path, folder)

    for number in range(1, count):
        registry.register(write, key=f"copy {number}", facts=facts)


def _retraining(home: Path, options: argparse.Namespace) -> subprocess.Popen:
    command = [sys.executable, "-P", "-m", "routing_ml", "retrain", "--as-of", AS_OF.isoformat()]
    env = os.environ | {"ROUTING_ML_HOME": str(home), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _measured(items: list[str], registry: Registry, replications: int) -> dict[str, Any]:
    free = Access(read=_nothing, act=_nothing, may_act=_true, who=_who)
    browser = TestClient(make(free))
    asked = [items[k * 7_919 % len(items)] for k in range(replications)]
    names = [version.name for version in registry.versions()]
    form = browser.get("/api/why", params={"item": asked[0]}).json()
    choices = [one for one in form["attributes"] if one["choices"]]
    pages: dict[str, Callable[[int], tuple[str, dict[str, Any]]]] = {
        "start": lambda k: ("/", {}),
        "search": lambda k: ("/why", {"q": asked[k][1:6]}),
        "why": lambda k: ("/why", {"item": asked[k]}),
        "what if": lambda k: (
            "/why",
            {"item": asked[k], "attribute": choices[k % len(choices)]["name"],
             "value": choices[k % len(choices)]["choices"][-1]},
        ),
        "typed in": lambda k: (
            "/why",
            {"new": 1} | {f"set.{one['name']}": one["choices"][k % len(one["choices"])]
                          for one in choices[:8]},
        ),
        "models": lambda k: ("/models", {}),
        "all models": lambda k: ("/models", {"everything": 1}),
        "compare": lambda k: ("/models/compare", {"one": names[-1], "other": names[0]}),
        "drift": lambda k: ("/drift", {}),
        "data": lambda k: ("/data", {}),
        "api": lambda k: ("/api/why", {"item": asked[k], "quantity": 40}),
    }  # fmt: skip
    figures = {}
    for name, of in pages.items():
        taken, worked = [], []
        for k in range(replications):
            path, query = of(k)
            started, before = time.perf_counter(), time.process_time()
            answer = browser.get(path, params=query)
            taken.append((time.perf_counter() - started) * 1e3)
            worked.append((time.process_time() - before) * 1e3)
            if answer.status_code != 200:
                raise SystemExit(f"{name} answered {answer.status_code}: {answer.text[:500]}")
        figures[name] = {
            "p50_ms": round(float(np.median(taken)), 1),
            "p95_ms": round(float(np.quantile(taken, 0.95)), 1),
            "first_ms": round(taken[0], 1),
            "p95_processor_ms": round(float(np.quantile(worked, 0.95)), 1),
        }
    return figures


def _nothing() -> None:
    """Everybody may."""


def _true() -> bool:
    return True


def _who() -> str:
    return "benchmark"


if __name__ == "__main__":
    sys.exit(main())
