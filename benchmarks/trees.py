"""The project's own boosted trees against XGBoost's, on the same features and the same rows.

    python benchmarks/trees.py [--source FILE.accdb] [--part quality] [--learners own shared]

Prints a Markdown table per part. `quality`: the candidate `boosted` with the trees of each, on the
newest 15 % of the items of the source, or of a draw of `--items` of them. `cost`: the trees alone,
on the rows that the candidate learns from (items, and copies with columns left out), each learner
in a process of its own, one thread each. `large`: 100,000 items of 500 operations made by random
rules, fewer trees. `shared` is XGBoost with one multi-output tree a step, `each` with a tree per
operation; they need `pip install xgboost-cpu==3.2.0`, which the product does not.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import parts
from honesty import TWELVE, judged, print_table, read, views
from learners import LEARNERS, TITLES, Own, Trees, learning_by, xgboost

from routing_ml.dataset import Dataset
from routing_ml.models import Ground
from routing_ml.models.boosted import PLAN, Boosted
from routing_ml.models.trees.boosting import Plan, boost_flags
from routing_ml.models.trees.ensemble import Ensemble

SINGLE = 500
BATCH = 10_000
EXPLAINED = 100
ASKED = argparse.Namespace(keep=[], drop=[], leave_out="")  # of `views`, besides a planner's
LARGE = (100_000, 500)
FLAGS, SCALES, BINS = 60, 20, 32  # features of the large factory
GIVEN = ("matrix", "bins", "flags", "weight")  # features, their bins, operations, what rows weigh
Rows = dict[str, np.ndarray]
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", default="sample", help="sample, an Access file or ODBC string")
    parser.add_argument("--columns", type=Path, help="the columns file, where it is another ERP")
    parser.add_argument("--items", type=int, help="draw so many of its items")
    parser.add_argument("--draws", type=int, default=1, help="the mean of so many draws")
    parser.add_argument("--part", action="append", choices=PARTS, help="this part alone")
    parser.add_argument("--learners", nargs="+", default=list(LEARNERS), choices=LEARNERS)
    parser.add_argument("--large", type=int, nargs=2, default=LARGE, metavar=("N", "L"))
    parser.add_argument("--trees", type=int, default=4, help="of PLAN, in the part large")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)  # learner, file: one fit
    options = parser.parse_args()
    if options.measure:
        name, file = options.measure
        print(json.dumps(measure(name, Path(file), options.trees)))
        return
    if set(options.learners) - {"own"}:
        xgboost()
    for part in options.part or PARTS:
        print_table(part, PARTS[part](options.learners, options))


def quality(names: list[str], options: argparse.Namespace) -> list[Row]:
    """The candidate with each learner's trees: exact matches of held-out items, given whole and
    with a planner's columns, beside how sure it is of them."""
    data = read(options.source, options.columns)
    rows: dict[tuple[str, str], list[Row]] = {}
    for draw in range(options.draws):
        fitted, items, truth = parts(data, drawn(data, options.items, draw))
        ground = Ground.fit(data.items, fitted, data.results, attributes=data.attributes)
        for name in names:
            with learning_by(LEARNERS[name]):
                model = Boosted().fit(ground)
            for asked, given in views(items, ASKED):
                if asked in ("all columns", TWELVE):
                    found = judged(model.predict(given, similarity=False), truth)
                    rows.setdefault((name, asked), []).append(found)
    return [
        {"of": TITLES[name], "asked with": asked, "items": sum(row.pop("items") for row in found),
         **{figure: float(np.mean([row[figure] for row in found])) for figure in found[0]}}
        for (name, asked), found in rows.items()
    ]  # fmt: skip


def drawn(data: Dataset, count: int | None, draw: int) -> set[str] | None:
    """The codes of `count` items with a routing; None for all."""
    codes = np.sort(data.routings["ITEM_CD"].unique().astype(object))
    if count is None or count >= len(codes):
        return None
    return set(np.random.default_rng(draw).choice(codes, count, replace=False))


def cost(names: list[str], options: argparse.Namespace) -> list[Row]:
    """What the trees take: to fit, to keep, to ask, to explain; and whether a second fit, and one
    with two threads, give the same."""
    data = read(options.source, options.columns)
    fitted, _, _ = parts(data, drawn(data, options.items, 0))
    ground = Ground.fit(data.items, fitted, data.results, attributes=data.attributes)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.npz"
        np.savez(file, **learned_from(ground))  # type: ignore[arg-type]
        rows = []
        for name in names:
            one, again, two = (apart(name, file, PLAN.trees, threads) for threads in (1, 1, 2))
            rows.append({
                "of": TITLES[name],
                **{figure: one[figure] for figure in one if figure != "hash"},
                "a second fit is equal": again["hash"] == one["hash"],
                "with two threads too": two["hash"] == one["hash"],
            })  # fmt: skip
    return turned(rows)


def learned_from(ground: Ground) -> Rows:
    """What the candidate's trees are fitted on."""
    asked: list[np.ndarray] = []

    class Noting(Own):
        @staticmethod
        def fit(
            matrix: np.ndarray, bins: np.ndarray, flags: np.ndarray, plan: Plan, weight: np.ndarray
        ) -> tuple[np.ndarray, Ensemble]:
            asked[:] = matrix, bins, flags, weight
            return boost_flags(matrix, bins, flags, plan, weight)

    with learning_by(Noting()):
        Boosted().fit(ground)  # the last time on all rows
    return dict(zip(GIVEN, asked, strict=True))


def large(names: list[str], options: argparse.Namespace) -> list[Row]:
    """A factory that is larger than most, made by rules: what a tree takes."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.npz"
        np.savez(file, **by_rules(*options.large))  # type: ignore[arg-type]
        for name in names:
            one = apart(name, file, options.trees)
            each = {"CPU s a tree": one["fit, CPU s"] / one["trees"]}
            rows.append({"of": TITLES[name], **each, "memory, MiB": one["memory, MiB"]})
    return rows


def apart(name: str, file: Path, trees: int, threads: int = 1) -> Row:
    """What `measure` finds in a process of its own."""
    command = [sys.executable, __file__, "--measure", name, str(file), "--trees", str(trees)]
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=os.environ | limits)
    return json.loads(done.stdout)


def measure(name: str, file: Path, trees: int) -> Row:
    """One learner on the rows of a file; its memory is what it takes beyond the rows."""
    learner, plan = LEARNERS[name], replace(PLAN, trees=trees)
    with np.load(file) as rows:
        matrix, bins, flags, weight = (rows[key] for key in GIVEN)
    few = slice(100)
    learner.fit(matrix[few], bins, flags[few], replace(plan, trees=1), weight[few])
    Path("/proc/self/clear_refs").write_text("5")  # the most begins anew
    held, wall, cpu = resident("VmRSS"), time.perf_counter(), time.process_time()
    base, fitted = learner.fit(matrix, bins, flags, plan, weight)
    found: Row = {
        "trees": fitted.count if name == "own" else fitted.booster.num_boosted_rounds(),
        "fit, wall s": time.perf_counter() - wall,
        "fit, CPU s": time.process_time() - cpu,
        "memory, MiB": resident("VmHWM") - held,
    }
    with tempfile.TemporaryDirectory() as name_:
        folder = Path(name_)
        learner.save(folder, base, fitted)
        files = sorted(folder.iterdir())
        found["size, MB"] = sum(path.stat().st_size for path in files) / 1e6
        found["hash"] = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
        found["load, ms"], (_, loaded) = fastest(lambda: learner.load(folder))
    batch = matrix[:BATCH]
    if not np.array_equal(loaded.predict(batch), fitted.predict(batch)):
        raise RuntimeError(f"{name}: the loaded trees say something else than the fitted ones")
    singles = [
        fastest(partial(loaded.predict, batch[k % len(batch)][None]), 1)[0] for k in range(SINGLE)
    ]
    found["one item, median ms"] = float(np.median(singles))
    found["one item, p99 ms"] = float(np.quantile(singles, 0.99))
    found["batch, ms an item"] = fastest(lambda: loaded.predict(batch))[0] / len(batch)
    found["contributions"] = contributed(loaded, batch[:EXPLAINED])
    return found


def contributed(trees: Trees, matrix: np.ndarray) -> str:
    """By how much, at most, start and contributions miss the log-odds; or that there are none."""
    off = 0.0
    for row, odds in zip(matrix, trees.predict(matrix), strict=True):
        parts = trees.contributions(row)
        if parts is None:
            return "not implemented"
        start, found = parts
        off = max(off, float(np.abs(start + found.sum(axis=0) - odds).max()))
    return f"exact to {off:.0e}"


def fastest(work: Callable[[], Any], times: int = 3) -> tuple[float, Any]:
    """Milliseconds of the fastest of some `times`, and what the work gives."""
    took = []
    for _ in range(times):
        started = time.perf_counter()
        done = work()
        took.append((time.perf_counter() - started) * 1e3)
    return min(took), done


def resident(name: str) -> float:
    """MiB of this process's memory: VmRSS now, VmHWM at most. Not of `getrusage`, which begins with
    what the process had that started this one."""
    (line,) = (
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)
    )
    return int(line.split()[1]) / 1024


def turned(rows: list[Row]) -> list[Row]:
    """A row a figure, where there are more figures than learners."""
    titles = [row.pop("of") for row in rows]
    return [
        {"figure": figure, **{t: row[figure] for t, row in zip(titles, rows, strict=True)}}
        for figure in rows[0]
    ]


def by_rules(items: int, operations: int) -> Rows:
    """Features of `items`, and operations that each ask for one to three of them; in one of fifty
    cases planners decide otherwise."""
    random = np.random.default_rng(0)
    flags = (random.random((items, FLAGS)) < random.uniform(0.05, 0.5, FLAGS)).astype(np.uint8)
    scales = random.integers(0, BINS, (items, SCALES)).astype(np.uint8)
    matrix = np.c_[flags, scales]
    present = np.empty((items, operations), bool)
    for k in range(operations):
        asked = np.ones(items, bool)
        for column in random.choice(FLAGS + SCALES, random.integers(1, 4), replace=False).tolist():
            least = 0 if column < FLAGS else int(random.integers(BINS // 2))
            asked &= matrix[:, column] > least
        present[:, k] = asked ^ (random.random(items) < 0.02)
    bins = np.r_[np.full(FLAGS, 2), np.full(SCALES, BINS)]
    return dict(zip(GIVEN, (matrix, bins, present, np.ones(items, np.float32)), strict=True))


PARTS: dict[str, Callable[[list[str], argparse.Namespace], list[Row]]] = {
    "quality": quality, "cost": cost, "large": large,
}  # fmt: skip

if __name__ == "__main__":
    main()
