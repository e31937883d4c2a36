"""How good the candidates are on the newest 15 % of the items, beside a plain baseline.

    python benchmarks/accuracy.py --source FILE.accdb [FILE.accdb ...] [--subsets 3000 6000]

Prints a Markdown table per source: the metrics, the calibration error of CONFIDENCE (ten equal-mass
bins), the share of run times inside their band, and the seconds a fit takes. `boosted without
results` shows what the reported hours are worth. `--subsets` adds the mean of five random draws of
that many items.
"""

import argparse
import tempfile
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from routing_ml import dataset, models
from routing_ml.comparison import metrics
from routing_ml.source import Columns, extract

EVERYTHING = 1_000_000_000
DRAWS = 5
NEIGHBOURS = 10
VOTED = ("PROC_SEQ", "JOB_CD", "RES_CD", "SETUP_TIME", "RUN_TIME")
FIGURES = {
    "exact_match": "exact", "operation_f1": "F1", "edit_similarity": "edit",
    "run_time_mdape": "run error", "setup_time_mdape": "setup error",
    "resource_accuracy": "machine", "calibration": "calibration", "coverage": "in band",
    "seconds": "fit s",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", required=True, nargs="+", help="Access files or ODBC strings")
    parser.add_argument("--columns", type=Path, help="the columns file, where it is another ERP")
    parser.add_argument("--subsets", type=int, nargs="*", default=[], help="items to draw")
    parser.add_argument("--candidates", default=",".join(models.CANDIDATES))
    options = parser.parse_args()
    names = [*options.candidates.split(",")]
    for source in options.source:
        with tempfile.TemporaryDirectory() as folder:
            columns = Columns.load(options.columns)
            extract(source, Path(folder), columns=columns, as_of=datetime.max, limit=EVERYTHING)
            data = dataset.load(Path(folder))
        rows = {"plain baseline": score_baseline(data)}
        rows |= {name: score(name, data) for name in names}
        if data.results is not None:
            rows["boosted without results"] = score("boosted", data, results=False)
        print_table(f"{Path(source).name}, {data.routings.ITEM_CD.nunique()} items", rows)
        for size in options.subsets:
            rows = {name: mean_of_draws(name, data, size) for name in names}
            print_table(f"{Path(source).name}, mean of {DRAWS} draws of {size} items", rows)


def score(
    name: str, data: dataset.Dataset, only: set[str] | None = None, *, results: bool = True
) -> dict[str, float]:
    """The figures of one candidate on the holdout of `data`, or of the items `only`."""
    fitted, items, truth = parts(data, only)
    started = time.perf_counter()
    model = models.fit(
        name, data.items, fitted, data.results if results else None, attributes=data.attributes
    )
    seconds = time.perf_counter() - started
    proposals = model.predict(items, similarity=False)
    figures = metrics.evaluate(proposals, truth)
    return {
        **{name: float(value) for name, value in figures.items() if value is not None},
        "calibration": calibration_error(proposals, truth),
        "coverage": coverage(proposals, truth),
        "seconds": seconds,
    }


def parts(
    data: dataset.Dataset, only: set[str] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Newest routings to fit on, items held out, and their routings."""
    newest = dataset.newest_routings(data.routings)
    if only is not None:
        newest = newest[newest["ITEM_CD"].isin(only)]
    _, held = dataset.split(data.items, newest)
    out = newest["ITEM_CD"].isin(held)
    return newest[~out], data.items[data.items["ITEM_CD"].isin(held)], newest[out]


def mean_of_draws(name: str, data: dataset.Dataset, size: int) -> dict[str, float]:
    """Mean figures over random subsets of `size` items with a routing."""
    codes = np.sort(data.routings["ITEM_CD"].unique().astype(object))
    draws = [
        score(name, data, set(np.random.default_rng(seed).choice(codes, size, replace=False)))
        for seed in range(DRAWS)
    ]
    return {figure: float(np.mean([draw[figure] for draw in draws])) for figure in draws[0]}


def calibration_error(proposals: pd.DataFrame, truth: pd.DataFrame) -> float:
    """Mean distance of confidence from the share that is right, over ten equal-mass bins."""
    right = metrics.per_item(proposals, truth)["exact"].astype(float)
    said = proposals.drop_duplicates("ITEM_CD").set_index("ITEM_CD")["CONFIDENCE"]
    said = said.reindex(right.index)
    order = np.argsort(said.to_numpy(), kind="stable")
    bins = np.array_split(order, 10)
    apart = [abs(said.to_numpy()[b].mean() - right.to_numpy()[b].mean()) for b in bins]
    return float(np.average(apart, weights=[len(b) for b in bins]))


def coverage(proposals: pd.DataFrame, truth: pd.DataFrame) -> float:
    """Share of the true run times of matched operations inside the proposed band."""
    keys = ["ITEM_CD", "JOB_CD", "k"]
    one, two = (f.assign(k=f.groupby(["ITEM_CD", "JOB_CD"]).cumcount()) for f in (truth, proposals))
    both = one.merge(two, on=keys, suffixes=("", "_proposed"))
    return float(both["RUN_TIME"].between(both["RUN_TIME_LOW"], both["RUN_TIME_HIGH"]).mean())


def score_baseline(data: dataset.Dataset) -> dict[str, float]:
    """What a plain system gets: columns as ordinal codes, scaled to unit variance, the ten nearest
    items by cosine, and for every PROC_SEQ the job most of them have there."""
    fitted, items, truth = parts(data)
    started = time.perf_counter()
    past = data.items[data.items["ITEM_CD"].isin(fitted["ITEM_CD"])]
    matrix = ordinal(pd.concat([past, items]))
    known, asked = matrix[: len(past)], matrix[len(past) :]
    near = np.argsort(-(asked @ known.T), axis=1, kind="stable")[:, :NEIGHBOURS]
    routings = {
        code: list(zip(*(rows[name] for name in VOTED), strict=True))
        for code, rows in fitted.groupby("ITEM_CD", sort=False)
    }
    codes = past["ITEM_CD"].to_numpy(object)
    rows = [
        (code, *operation)
        for code, row in zip(items["ITEM_CD"], near, strict=True)
        for operation in vote([routings[codes[k]] for k in row])
    ]
    seconds = time.perf_counter() - started
    figures = metrics.evaluate(pd.DataFrame(rows, columns=["ITEM_CD", *VOTED]), truth)
    return {name: float(value) for name, value in figures.items() if value is not None} | {
        "seconds": seconds
    }


def ordinal(items: pd.DataFrame) -> np.ndarray:
    """One unit-length row an item."""
    columns = []
    for name in items.columns.drop("ITEM_CD"):
        values = items[name]
        if pd.api.types.is_numeric_dtype(values):
            columns.append(values.fillna(0).to_numpy(float))
        else:
            columns.append(pd.factorize(values.astype("str"), sort=True)[0].astype(float))
    matrix = np.stack(columns, axis=1)
    matrix = (matrix - matrix.mean(axis=0)) / np.maximum(matrix.std(axis=0), 1e-9)
    return matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-9)


def vote(routings: list[list[tuple]]) -> list[tuple]:
    """For every PROC_SEQ that most neighbours have: the commonest job, its machine and times."""
    there: dict[int, list[tuple]] = {}
    for routing in routings:
        for row in routing:
            there.setdefault(row[0], []).append(row)
    found = []
    for sequence, rows in sorted(there.items()):
        if len(rows) * 2 >= len(routings):
            job = Counter(row[1] for row in rows).most_common(1)[0][0]
            same = [row for row in rows if row[1] == job]
            machine = Counter(row[2] for row in same).most_common(1)[0][0]
            times = np.mean([row[3:] for row in same], axis=0)
            found.append((sequence, job, machine, *times))
    return found


def print_table(title: str, rows: dict[str, dict[str, float]]) -> None:
    """A Markdown table."""
    print(f"\n{title}\n")
    print(f"| model | {' | '.join(FIGURES.values())} |")
    print(f"|---|{'---|' * len(FIGURES)}")
    for name, figures in rows.items():
        cells = []
        for figure in FIGURES:
            digits = 1 if figure == "seconds" else 4
            cells.append(f"{figures[figure]:.{digits}f}" if figure in figures else "")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
