"""Whether what goes into use is better than doing without a model, in small factories.

    python benchmarks/floor.py [--factories 500] [--part random|parts|orders|quantity] [--seed 0]

`random`: small factories (40 to 400 items) from pure noise to rules; candidates are fitted and
compared as a retraining does, and what would go into use is then asked for 4,000 items of the same
factory that nobody has seen, and so are the simple rules. `parts`: a machine shop's 240
parts, three draws. `orders`: a log of 225 work orders. `quantity`: the error of its run times with
the quantity and without, 33 orders held out in each of six such logs. Exits with 1 when a model
that is worse than a simple rule went in, or the 240 parts have none that is shown to be better.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from factories import RandomFactory, as_dataset, parts, work_orders

from routing_ml import comparison, models
from routing_ml.comparison import metrics
from routing_ml.errors import ModelError
from routing_ml.models import RoutingModel
from routing_ml.pipeline import Material, Rule, Unseen, decide, fit_and_register
from routing_ml.registry import Registry, Version
from routing_ml.source import Attributes

FRESH = 4_000
LOGS, HELD_OUT = 6, 33


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=("random", "parts", "orders", "quantity"))
    parser.add_argument("--factories", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0, help="number of the first factory")
    options = parser.parse_args()
    wrong = 0
    if options.part in (None, "parts"):
        wrong += sum(not shown("240 parts", parts(240, seed=draw)) for draw in range(3))
    if options.part in (None, "orders"):
        shown("225 work orders", work_orders(225))
    if options.part in (None, "quantity"):
        with_and_without_quantity()
    if options.part in (None, "random"):
        wrong += random_factories(options.seed, options.factories)
    return 1 if wrong else 0


def decided(
    frames: tuple[pd.DataFrame, pd.DataFrame], candidates: list[str], folder: Path
) -> tuple[comparison.Decision, dict[str, Version]]:
    """The decision on candidates that were fitted as a retraining fits them, and their versions."""
    material, versions = Material(as_dataset(*frames)), Registry(folder)
    trained = {name: fit_and_register(versions, material, name, key=name) for name in candidates}
    return decide(versions, material, trained, None), trained


def shown(name: str, frames: tuple[pd.DataFrame, pd.DataFrame]) -> bool:
    """Print the candidates and the simple rules; whether one goes into use."""
    with tempfile.TemporaryDirectory() as folder:
        decision, trained = decided(frames, list(models.CANDIDATES), Path(folder))
    print(f"\n{name}: {decision.reason}")
    figures = {n: version.manifest for n, version in trained.items()} | decision.baselines
    for one, found in figures.items():
        exact, f1, run = (
            found["metrics"][key] for key in ("exact_match", "operation_f1", "run_time_mdape")
        )
        low, high = found["intervals"]["exact_match"]
        print(f"  {one:10} exact {exact:.3f} ({low:.3f} to {high:.3f})  F1 {f1:.3f}  run {run:.3f}")
    return decision.winner is not None


def with_and_without_quantity() -> None:
    """Print the median absolute percentage errors of run times of orders that were held out."""
    found = []
    for seed in range(LOGS):
        items, routings = work_orders(225, seed=seed)
        held = np.random.default_rng(seed).choice(items["ITEM_CD"], HELD_OUT, replace=False)
        out = routings["ITEM_CD"].isin(held)
        errors = []
        for given in (items, items.drop(columns="QUANTITY")):
            model = models.fit("nearest", given, routings[~out], attributes=Attributes())
            asked = given[given["ITEM_CD"].isin(held)]
            figures = metrics.evaluate(model.predict(asked, similarity=False), routings[out])
            errors.append(float(figures["run_time_mdape"] or np.nan))
        found.append(errors)
        print(f"  log {seed}: with the quantity {errors[0]:.3f}, without {errors[1]:.3f}, "
              f"{errors[0] / errors[1]:.2f} of it", flush=True)  # fmt: skip
    usual, without = np.mean(found, axis=0)
    print(f"run times, mean of {LOGS}: {usual:.3f} and {without:.3f}, {usual / without:.3f} of it")


def random_factories(first: int, count: int) -> int:
    """Print how often something goes into use, and return how often it is worse than a rule."""
    refused = promoted = worse = nearly = unable = 0
    for seed in range(first, first + count):
        found = one_factory(seed)
        refused += found is None
        unable += found == "unable"
        if isinstance(found, float):
            promoted += 1
            worse += found < -2
            nearly += found < 0
            if found < 0:
                print(f"factory {seed}: what went in is behind, z {found:+.1f}", flush=True)
        if (seed + 1 - first) % 25 == 0:
            print(f"{seed + 1 - first} factories: {promoted} models went in, {refused} refused, "
                  f"{unable} not fitted; truly worse than a simple rule: {worse} "
                  f"(by any amount: {nearly})", flush=True)  # fmt: skip
    return worse


def one_factory(seed: int) -> float | str | None:
    """How far what goes into use is ahead of the best simple rule on new items, in standard
    errors; None where nothing goes in, "unable" where nothing could be fitted."""
    factory = RandomFactory(seed)
    items, routings = factory.draw(int(np.random.default_rng([seed, 9]).integers(40, 401)))
    material = Material(as_dataset(items, routings))
    truth, asked = material.truth(material.codes), material.items(material.codes)
    try:
        fitted = {name: unseen(name, material) for name in models.CANDIDATES}
        scored = {name: metrics.per_item(one.predict(asked), truth) for name, one in fitted.items()}
    except ModelError as error:
        print(f"factory {seed}: {error}")
        return "unable"
    rules = [Rule.fit(kind, material) for kind in models.BASELINES]
    tests = comparison.floor_tests(
        scored,
        {rule.name: metrics.per_item(rule.proposed, truth) for rule in rules},
        {rule.name: rule.words for rule in rules},
        material.families,
    )
    decision = comparison.decide(None, scored, champion_method=None, floor=tests)
    if decision.winner is None:
        return None
    fresh, truth = factory.draw(FRESH, 1)
    model = material.fit(decision.winner, material.codes, fitted[decision.winner].models[0])
    mine = metrics.per_item(model.predict(fresh, similarity=False), truth)
    ahead = []
    for kind, test in zip(models.BASELINES, decision.floor[decision.winner], strict=True):
        rule = kind().fit(items, routings, attributes=material.data.attributes)
        theirs = metrics.per_item(rule.predict(fresh), truth)
        if test.by == "exact matches":
            difference = mine["exact"].astype(float) - theirs["exact"]
        else:
            difference = _f1(mine) - _f1(theirs)
        by_family = difference.groupby(fresh.set_index("ITEM_CD")["INSRT_DT"]).sum()
        spread = float(np.sqrt((by_family**2).sum()))
        ahead.append(float(by_family.sum()) / spread if spread else 0.0)
    return min(ahead)


def unseen(candidate: str, material: Material) -> Unseen:
    """The candidate as it is judged: fitted without each fold of the items in turn."""

    def fit(codes: Sequence[str], like: RoutingModel | None) -> RoutingModel:
        return material.fit(candidate, codes, like)

    return Unseen.fit(fit, material.codes, material.folds)


def _f1(frame: pd.DataFrame) -> pd.Series:
    return 2 * frame["tp"] / (2 * frame["tp"] + frame["fp"] + frame["fn"]).clip(lower=1)


if __name__ == "__main__":
    sys.exit(main())
