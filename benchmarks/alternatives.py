"""How often the planner's routing is among the first three, where parts have several valid ones.

    python benchmarks/alternatives.py [--parts 2350 240] [--seeds 1]

Rule-made process chains of about ten operations: how the blank is made and how it is finished are
choices, of which a part's material, size and tolerance leave one to four whole routings. Four
factories of each size: the planner chooses by unequal preferences or evenly, and the ERP lists
every valid routing as an alternative or holds only the one that was chosen. Prints, of the newest
15 %: the share whose first and whose first three routings hold the planner's, the ceiling of each
(of a rule that knows the valid ones and how often each is chosen), the mean stated confidence of
the first and of the three, how far that of a rank is from the truth, and the seconds.
"""

import argparse
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from routing_ml import dataset, models
from routing_ml.comparison import metrics
from routing_ml.source import Attributes

PREFERENCES = {"unequal": (0.60, 0.25, 0.10, 0.05), "even": (1.0, 1.0, 1.0, 1.0)}
BLANKS = {
    "bar": ("SAW", "FACE", "TURN-R"),
    "forging": ("SHEAR", "FORGE", "TRIM", "NORMALISE", "TURN-R"),
    "casting": ("MOULD", "CAST", "FETTLE", "ANNEAL"),
}
FINISHES = {
    "ground": ("HARDEN", "STRAIGHTEN", "GRIND", "SUPERFINISH"),
    "hard-turned": ("HARDEN", "HARD-TURN", "POLISH"),
    "nitrided": ("PREGRIND", "NITRIDE", "LAP"),
    "plain": ("TURN-F",),
}


@dataclass(frozen=True)
class Factory:
    """Items and routings as of a dataset; `ceilings`: of each item, how likely the first and one
    of the first three are to be the planner's, for one who knows the rule."""

    items: pd.DataFrame
    routings: pd.DataFrame
    ceilings: pd.DataFrame


def make(parts: int, *, preference: str, listed: bool, seed: int = 1) -> Factory:
    """`listed`: the ERP has each valid routing, as ALT_NO 1, 2, ..., the planner's as the first."""
    random = np.random.default_rng(seed)
    items = pd.DataFrame({
        "ITEM_CD": [f"P{k:05d}" for k in range(parts)],
        "INSRT_DT": pd.Timestamp("2021-01-04") + pd.to_timedelta(np.arange(parts) * 12, unit="h"),
        "SHAPE": random.choice(["SHAFT", "RING", "FLANGE", "HOUSING", "LEVER", "BUSH"], parts),
        "MATERIAL": random.choice(["C45", "42CrMo4", "GGG40", "X5CrNi", "16MnCr5"], parts),
        "DIAMETER": np.round(random.uniform(20, 240, parts), 1),
        "LENGTH": np.round(random.uniform(10, 400, parts), 1),
        "TOLERANCE": random.choice(["IT5", "IT6", "IT7", "IT9"], parts),
        "KEYWAY": random.choice(["YES", "NO"], parts),
        "BOLT_HOLES": random.choice([0.0, 4.0, 6.0, 8.0], parts),
        "COATING": random.choice(["NONE", "ZINC", "PHOSPHATE", "PAINT"], parts),
        "CUSTOMER": random.choice([f"K{k:02d}" for k in range(30)], parts),
    })  # fmt: skip
    items["INSRT_DT"] = items["INSRT_DT"].astype("datetime64[us]")
    rows: list[tuple] = []
    ceilings = []
    part: Any
    for part in items.itertuples():
        valid = _valid(part)
        weights = np.array(PREFERENCES[preference][: len(valid)])
        weights /= weights.sum()
        ceilings.append((part.ITEM_CD, len(valid), weights[0], weights[:3].sum()))
        chosen = int(random.choice(len(valid), p=weights))
        used = [valid[chosen]]
        if listed:
            used += [routing for k, routing in enumerate(valid) if k != chosen]
        for alternative, jobs in enumerate(used, start=1):
            for place, job in enumerate(jobs, start=1):
                minutes = (
                    len(job) * (float(part.DIAMETER) / 100) ** 0.5 * np.exp(random.normal(0, 0.1))
                )
                rows.append(
                    (part.ITEM_CD, f"{alternative}", "1", 10 * place, job, f"{job[:3]}-1", 15.0,
                     round(minutes, 2), part.INSRT_DT)
                )  # fmt: skip
    names = ["ITEM_CD", "ALT_NO", "ROUT_NO", "PROC_SEQ", "JOB_CD", "RES_CD", "SETUP_TIME",
             "RUN_TIME", "INSRT_DT"]  # fmt: skip
    routings = pd.DataFrame(rows, columns=names)
    if not listed:
        routings = routings.drop(columns="ALT_NO")
    return Factory(
        items, routings, pd.DataFrame(ceilings, columns=["ITEM_CD", "valid", "first", "three"])
    )


def _valid(part: Any) -> list[list[str]]:
    """The valid routings of a part, the usual one first: at most four."""
    cast_iron = part.MATERIAL == "GGG40"
    blanks = ["casting"] if cast_iron else ["bar"]
    if not cast_iron and part.DIAMETER > 80:
        blanks = ["forging", "bar"] if part.SHAPE in ("SHAFT", "FLANGE") else ["bar", "forging"]
    if part.SHAPE == "HOUSING" and part.MATERIAL == "X5CrNi":
        blanks = ["casting", *blanks][:2]
    tight = part.TOLERANCE in ("IT5", "IT6")
    finishes = ["plain"]
    if tight and part.MATERIAL in ("C45", "42CrMo4", "16MnCr5"):
        finishes = ["ground", "hard-turned"]
        if part.MATERIAL == "42CrMo4":
            finishes = ["nitrided", "ground", "hard-turned"]
    elif tight:
        finishes = ["plain", "ground"] if part.MATERIAL != "X5CrNi" else ["plain", "nitrided"]
    found = []
    for finish in finishes:
        for blank in blanks:
            jobs = [*BLANKS[blank]]
            if part.SHAPE in ("HOUSING", "LEVER"):
                jobs.append("MILL")
            if part.LENGTH > 3 * part.DIAMETER:
                jobs.append("CENTRE")
            if part.BOLT_HOLES:
                jobs.append("DRILL")
                if part.BOLT_HOLES > 4:
                    jobs.append("TAP")
            if part.KEYWAY == "YES":
                jobs.append("BROACH" if part.SHAPE in ("RING", "BUSH", "FLANGE") else "SLOT")
            jobs += [*FINISHES[finish], "DEBURR", "WASH"]
            if part.COATING != "NONE":
                jobs.append(part.COATING)
            found.append([*jobs, "INSPECT", "PACK"])
    return found[:4]


def score(factory: Factory) -> dict[str, float]:
    """The figures of `boosted` on the newest 15 % of the items."""
    newest = dataset.newest_routings(factory.routings)
    fitted, held = dataset.split(factory.items, newest)
    others = dataset.other_routings(factory.routings)
    started = time.perf_counter()
    model = models.fit(
        "boosted", factory.items, newest[newest["ITEM_CD"].isin(fitted)],
        attributes=Attributes(),
        alternatives=others[others["ITEM_CD"].isin(fitted)],
    )  # fmt: skip
    seconds = time.perf_counter() - started
    asked = factory.items[factory.items["ITEM_CD"].isin(held)]
    proposed = model.predict(asked, similarity=False, alternatives=3)
    truth = metrics.sequences(newest[newest["ITEM_CD"].isin(held)])
    ranks = proposed.groupby(["ITEM_CD", "RANK"], sort=False)
    found = ranks.agg(jobs=("JOB_CD", tuple), said=("CONFIDENCE", "first")).reset_index()
    found["right"] = [
        list(jobs) == list(truth[code])
        for code, jobs in zip(found["ITEM_CD"], found["jobs"], strict=True)
    ]
    ceiling = factory.ceilings[factory.ceilings["ITEM_CD"].isin(held)]
    first, items = found[found["RANK"] == 1], len(held)
    apart = found.groupby(["RANK", pd.qcut(found["said"], 5, duplicates="drop")], observed=True)
    errors = (apart["said"].mean() - apart["right"].mean()).abs() * apart.size() / len(found)
    return {
        "several": (ceiling["valid"] > 1).mean(),
        "first": first["right"].mean(), "ceiling of it": ceiling["first"].mean(),
        "three": found["right"].sum() / items, "ceiling of them": ceiling["three"].mean(),
        "said first": first["said"].mean(), "said three": found["said"].sum() / items,
        "apart": errors.sum(), "seconds": seconds,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", type=int, nargs="+", default=[2350, 240])
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    header = False
    for parts in options.parts:
        for preference in PREFERENCES:
            for listed in (True, False):
                draws = [
                    score(make(parts, preference=preference, listed=listed, seed=seed))
                    for seed in range(1, options.seeds + 1)
                ]
                mean = pd.DataFrame(draws).mean()
                if not header:
                    print("| parts | planner | ERP lists |", " | ".join(mean.index), "|")
                    print("|---" * (3 + len(mean)) + "|")
                    header = True
                figures = " | ".join(f"{value:.3f}" for value in mean)
                held = "all" if listed else "the chosen"
                print(f"| {parts} | {preference} | {held} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
