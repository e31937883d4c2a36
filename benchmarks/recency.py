"""What a factory's change of rule or pace costs a model, and what learning from the time of entry
gives back.

    python benchmarks/recency.py [--part stable|rules|times|seconds] [--replications 2]
        [--source FILE.accdb] [--candidates A,B]

`stable`: factories in which nothing changes. `rules`: from a part of the history on, items of half
of the part types are made otherwise (an operation put in, one instead of another, one left out),
and the items that come next are asked for. `times`: run times that rise over the history, a jump
on a machine, one of a part type. `seconds`: what a fit takes. Each with the feature and without;
the history is all but the newest 15 % of the items. Exits with 1 where a bound is missed.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
from factories import RandomFactory, as_dataset, parts
from factories_by_rule import chains

from routing_ml import dataset, models
from routing_ml.comparison import metrics
from routing_ml.dataset import Dataset
from routing_ml.models.learning import Learning
from routing_ml.models.parts import dated, recent, times
from routing_ml.models.parts.confidence import Unknown
from routing_ml.source import Columns, extract

SAMPLE = Path(__file__).resolve().parent.parent / "sample" / "factory_sample.accdb"
EVERYTHING = 1_000_000_000
NEXT = 0.15
SINCE = (0.70, 0.85, 0.93)
HOW = ("put in", "instead", "left out")
LOST_EXACT, LOST_F1 = 0.002, 0.001
SLOWER = 1.10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=("stable", "rules", "times", "seconds"))
    parser.add_argument("--replications", type=int, default=2)
    parser.add_argument("--source", type=Path, default=SAMPLE)
    parser.add_argument("--candidates", default="boosted,forest")
    options = parser.parse_args()
    data, names = load(options.source), options.candidates.split(",")
    wrong = 0
    if options.part in (None, "stable"):
        wrong += stable(data, names, options.replications)
    if options.part in (None, "rules"):
        wrong += rules(data, names, options.replications)
    if options.part in (None, "times"):
        wrong += speeds(data, options.replications)
    if options.part in (None, "seconds"):
        wrong += seconds(data, options.replications)
    return 1 if wrong else 0


def load(source: Path) -> Dataset:
    with tempfile.TemporaryDirectory() as folder:
        extract(
            str(source), Path(folder), columns=Columns.load(), as_of=datetime.max, limit=EVERYTHING
        )
        data = dataset.load(Path(folder))
    return replace(data, routings=dataset.newest_routings(data.routings))


@contextmanager
def without() -> Iterator[None]:
    """As it was before: of times nothing but the level of operations is learned from the time of
    entry."""
    with (
        mock.patch.object(times, "_of_machines", _as_usual),
        mock.patch.object(recent, "_since", return_value=0.0),
    ):
        yield


def _as_usual(rows: object, names: list[str], *_: object) -> np.ndarray:
    return np.zeros(len(names) + 1)


def in_order(data: Dataset) -> list[str]:
    """The items, those first whose routing was entered first."""
    entered = data.routings.groupby("ITEM_CD")["INSRT_DT"].max().rename("entered").reset_index()
    return entered.sort_values(["entered", "ITEM_CD"])["ITEM_CD"].tolist()


class Asked:
    """A candidate fitted on the history of `data`, and what it proposes for the next items."""

    def __init__(self, name: str, data: Dataset, ground: models.Ground) -> None:
        # what is learned of kinds that are new concerns the confidence alone, and takes the longest
        with mock.patch.object(Learning, "_try", return_value=Unknown()):
            model = models.learn(name, ground)
        known = set(model.items_)
        self.truth = data.routings[~data.routings["ITEM_CD"].isin(known)]
        asked = data.items["ITEM_CD"].isin(self.truth["ITEM_CD"])
        self.proposed = model.predict(data.items[asked], similarity=False)

    def figures(self, only: set[str] | None = None) -> dict[str, float]:
        """Exact, F1, the median run-time error, and its bias in log minutes."""
        truth, proposed = self.truth, self.proposed
        if only is not None:
            truth, proposed = (f[f["ITEM_CD"].isin(only)] for f in (truth, proposed))
        found = metrics.evaluate(proposed, truth)
        one, two = (
            f.assign(k=f.groupby(["ITEM_CD", "JOB_CD"]).cumcount()) for f in (truth, proposed)
        )
        both = one.merge(two, on=["ITEM_CD", "JOB_CD", "k"], suffixes=("", "_said"))
        both = both[(both["RUN_TIME"] > 0) & (both["RUN_TIME_said"] > 0)]
        apart = np.log((both["RUN_TIME_said"] / both["RUN_TIME"]).to_numpy(float))
        return {
            "exact": float(found["exact_match"] or 0), "f1": float(found["operation_f1"] or 0),
            "run": float(found["run_time_mdape"] or 0), "bias": float(np.median(apart)),
        }  # fmt: skip


def history(data: Dataset) -> models.Ground:
    """What is learned of all but the newest items."""
    codes = in_order(data)
    known = only(data, set(codes[: len(codes) - int(NEXT * len(codes))]))
    return models.Ground.fit(known.items, known.routings, known.results, attributes=data.attributes)


def as_before(ground: models.Ground) -> models.Ground:
    """The same, as if no change of operations were shown."""
    before = replace(ground)
    before.__dict__["dated"] = None
    return before


def stable(data: Dataset, names: list[str], replications: int) -> int:
    """Where nothing is chosen the models are the same to the bit; where something is, they are
    asked for the next items."""
    codes = in_order(data)
    factories = {"the source": data, "chains without noise": chains()}
    for k in range(replications):
        some = np.random.default_rng(k).choice(codes, len(codes) // 2, replace=False)
        factories[f"half of it, draw {k}"] = only(data, set(some))
        factories[f"machine shop, draw {k}"] = as_dataset(*parts(1500, seed=k))
        factories[f"random rules, {k}"] = as_dataset(*RandomFactory(k).draw(1500))
    wrong = 0
    chosen = []
    for title, one in factories.items():
        ground = history(one)
        trees = ground.times.of_late
        with without():
            plain = ground if not trees else history(one)
        trees = trees and not np.array_equal(plain.times.weights, ground.times.weights)
        if ground.dated or trees:
            chosen.append((title, one, as_before(plain), ground))
    print(f"\n{len(factories)} factories in which nothing changes, one history each; chosen in "
          f"{len(chosen)}, in the others the models are the same.", flush=True)  # fmt: skip
    for title, one, plain, ground in chosen:
        for name in names:
            before, after = (Asked(name, one, of).figures() for of in (plain, ground))
            print(f"{title}, {name}: exact {before['exact']:.4f}, {after['exact']:.4f}; F1 "
                  f"{before['f1']:.4f}, {after['f1']:.4f}; run error {before['run']:.4f}, "
                  f"{after['run']:.4f}", flush=True)  # fmt: skip
            wrong += before["exact"] - after["exact"] > LOST_EXACT
            wrong += before["f1"] - after["f1"] > LOST_F1
    return wrong


def only(data: Dataset, codes: set[str]) -> Dataset:
    """The data of these items."""
    results = data.results
    return replace(
        data,
        items=data.items[data.items["ITEM_CD"].isin(codes)],
        routings=data.routings[data.routings["ITEM_CD"].isin(codes)],
        results=None if results is None else results[results["ITEM_CD"].isin(codes)],
    )


def changed(data: Dataset, since: float, how: str, seed: int) -> tuple[Dataset, set[str]]:
    """The data with another rule from that part of the history on, for half of the part types; and
    the items it is for."""
    random = np.random.default_rng(seed)
    kinds = data.items["PART_TYPE"].astype("str").str.strip().str.upper()
    named = kinds.dropna().value_counts().index[:12].to_numpy()
    some = random.choice(named, len(named) // 2, replace=False)
    codes = in_order(data)
    history = len(codes) - int(NEXT * len(codes))
    late = set(codes[int(since * history) :])
    of_kind = set(data.items["ITEM_CD"][kinds.isin(some)])
    rows = data.routings
    shares = rows.groupby("JOB_CD")["ITEM_CD"].nunique() / rows["ITEM_CD"].nunique()
    usual = shares[(shares > 0.3) & (shares < 0.9)].index.to_numpy()
    job, other = random.choice(usual, 2, replace=False)
    mine = rows["ITEM_CD"].isin(late & of_kind)
    of_job = mine & (rows["JOB_CD"] == job)
    if how == "put in":
        new = rows[of_job].drop_duplicates("ITEM_CD").assign(
            PROC_SEQ=lambda t: t["PROC_SEQ"] + 1, JOB_CD="NEW-JOB", JOB_NM="New job"
        )  # fmt: skip
        rows = pd.concat([rows, new], ignore_index=True)
    elif how == "instead":
        rows = rows.assign(JOB_CD=rows["JOB_CD"].mask(of_job, other))
    else:
        rows = rows[~of_job]
    touched = set(data.routings["ITEM_CD"][of_job])
    rows = rows.sort_values(["ITEM_CD", "PROC_SEQ"], kind="stable", ignore_index=True)
    return replace(data, routings=rows), touched


def rules(data: Dataset, names: list[str], replications: int) -> int:
    print("\n| another rule | since | candidate | touched | exact before | after | "
          "of the touched before | after | of the others before | after | F1 before | after "
          "| chosen |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    wrong = 0
    for how in HOW:
        for since in SINCE:
            drawn = [
                (one, touched, history(one))
                for one, touched in (changed(data, since, how, k) for k in range(replications))
            ]
            for name in names:
                rows, chosen, size = [], 0, 0.0
                for one, touched, ground in drawn:
                    before, after = (Asked(name, one, of) for of in (as_before(ground), ground))
                    late = set(before.truth["ITEM_CD"])
                    row = []
                    for which in (None, touched & late, late - touched):
                        row += [a.figures(which)["exact"] for a in (before, after)]
                    row += [a.figures()["f1"] for a in (before, after)]
                    rows.append(row)
                    chosen += ground.dated is not None
                    size += len(touched & late) / len(late) / len(drawn)
                mean = np.mean(rows, axis=0)
                cells = " | ".join(f"{value:.4f}" for value in mean)
                print(f"| {how} | {since:.0%} | {name} | {size:.0%} | {cells} "
                      f"| {chosen} of {len(drawn)} |", flush=True)  # fmt: skip
                wrong += mean[0] - mean[1] > LOST_EXACT
    return wrong


def faster(data: Dataset, how: str, seed: int) -> tuple[Dataset, set[int], str]:
    """The data with run times that rise by 20 % over the history, or jump by 15 % at 80 % of it on
    one of the busiest machines or of one of the commonest part types; and the name of that."""
    codes = in_order(data)
    history = len(codes) - int(NEXT * len(codes))
    place = data.routings["ITEM_CD"].map({code: k / history for k, code in enumerate(codes)})
    of = data.routings["RES_CD"]
    if how == "kind":
        kinds = data.items.set_index("ITEM_CD")["PART_TYPE"].astype("str").str.strip().str.upper()
        of = data.routings["ITEM_CD"].map(kinds)
    named = of.value_counts().index[seed]
    if how == "rising":
        factor = 1 + 0.2 * np.minimum(place, 1)
    else:
        factor = 1 + 0.15 * ((place >= 0.8) & (of == named))
    routings = data.routings.assign(RUN_TIME=data.routings["RUN_TIME"] * factor)
    return (
        replace(data, routings=routings, results=None),
        set(data.routings.index[of == named]),
        str(named),
    )


def speeds(data: Dataset, replications: int) -> int:
    print("\n| run times | before: error | bias | after: error | bias | of these alone, before: "
          "error | bias | after: error | bias |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|")
    wrong = 0
    drawn: list[tuple[str, Dataset, set[int] | None]] = [
        ("as they are", replace(data, results=None), None),
        ("rising by 20 %", faster(data, "rising", 0)[0], None),
    ]
    for how in ("machine", "kind"):
        for seed in range(replications):
            one, rows, named = faster(data, how, seed)
            drawn.append((f"15 % more of {named} since 80 %", one, rows))
    for title, one, some in drawn:
        with without():
            plain = as_before(history(one))
        every, mine = [], []
        for ground in (plain, as_before(history(one))):
            asked = Asked("nearest", one, ground)
            figures = asked.figures()
            every += [figures["run"], figures["bias"]]
            if some:
                asked.truth = asked.truth[asked.truth.index.isin(some)]
                figures = asked.figures()
                mine += [figures["run"], figures["bias"]]
        cells = " | ".join(f"{value:.4f}" for value in every + mine)
        print(f"| {title} | {cells} |", flush=True)
        wrong += every[2] > every[0] + 0.001
    return wrong


def seconds(data: Dataset, replications: int) -> int:
    """Processor seconds of what all candidates share and of a fit, the least of some, with the
    trials that are new and without."""
    took = {True: np.inf, False: np.inf}
    for _ in range(replications):
        for after in took:
            started = time.process_time()
            with ExitStack() as patched:
                if not after:
                    patched.enter_context(mock.patch.object(dated, "steps", _one_step))
                    patched.enter_context(without())
                models.learn("boosted", history(data))
            took[after] = min(took[after], time.process_time() - started)
    ratio = took[True] / took[False]
    print(
        f"\nA fit takes {took[False]:.2f} CPU s before, {took[True]:.2f} after: {ratio:.2f} times"
    )
    return int(ratio > SLOWER)


def _one_step(entered: np.ndarray) -> np.ndarray:
    return np.zeros(len(entered), np.uint8)


if __name__ == "__main__":
    sys.exit(main())
