"""Made-up factories for the benchmarks: frames of items and of their routings, drawn from rules.

Every function is seeded: the same arguments give the same frames. Items have `ITEM_CD`, `INSRT_DT`
and attributes under other names; routings have the columns of `ROUTING_COLUMNS`, one revision an
item, times in minutes.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from routing_ml.dataset import Dataset
from routing_ml.source import Attributes

ROUTING_COLUMNS = [
    "ITEM_CD", "ROUT_NO", "PROC_SEQ", "INSRT_DT", "JOB_CD", "JOB_NM", "RES_CD", "SETUP_TIME",
    "RUN_TIME",
]  # fmt: skip
START = pd.Timestamp("2020-01-01")
TIME_NOISE = 0.15
Frames = tuple[pd.DataFrame, pd.DataFrame]


def as_dataset(items: pd.DataFrame, routings: pd.DataFrame) -> Dataset:
    """The frames as an extract that was loaded; its as-of is after the last entry."""
    manifest = {"as_of": "2100-01-01T00:00:00", "tables": {}}
    return Dataset(Path(), manifest, items, routings, None, Attributes())


@dataclass(frozen=True)
class RandomFactory:
    """A small factory of random rules, from pure noise to rules that hold always.

    `draw` gives items of it, as many as wanted, so that what a model is truly worth can be
    measured on items that nobody has seen.
    """

    seed: int

    def draw(self, count: int, draw: int = 0) -> Frames:
        """`count` items of it; another `draw` has other items of the same rules.

        One to six categories of 2 to 30 values and up to two numbers; 4 to 12 operations, each
        done by rules of a category's value, of a number's size, or of two columns together; a
        share of families (which are entered on one day and made alike) gets an operation changed,
        and in a quarter of the factories all of them are noise.
        """
        rules = np.random.default_rng([self.seed, 1])
        random = np.random.default_rng([self.seed, 2, draw])
        sizes = rules.choice([2, 3, 5, 8, 15, 30], rules.integers(1, 7))
        numbers = int(rules.integers(0, 3))
        operations = int(rules.integers(4, 13))
        common = rules.choice([0.3, 0.6, 1.0])  # how evenly the values occur
        noise = float(rules.choice([0.0, 0.05, 0.2, 0.5, 1.0], p=[0.2, 0.2, 0.2, 0.15, 0.25]))
        family_size = int(rules.choice([1, 1, 2, 4, 8]))
        family = np.arange(count) // family_size
        families = int(family[-1]) + 1 if count else 0

        codes = np.empty((families, len(sizes)), int)
        for column, size in enumerate(sizes):
            weights = rules.dirichlet(np.full(size, common * 3))
            codes[:, column] = random.choice(size, families, p=weights)
        values = random.lognormal(3, 0.6, (families, numbers))
        present = np.zeros((families, operations), bool)
        for k in range(operations):
            present[:, k] = _rule(rules, sizes, numbers, codes, values)
        changed = random.random(families) < noise
        scrambled = random.random((families, operations)) < 0.5
        one = np.arange(operations) == random.integers(operations, size=families)[:, None]
        present ^= changed[:, None] & (scrambled if noise == 1.0 else one)
        present[~present.any(axis=1), 0] = True
        names = [f"I{draw}-{k:06d}" for k in range(count)]
        items = pd.DataFrame({
            "ITEM_CD": names,
            "INSRT_DT": (START + pd.to_timedelta(family, unit="D")).astype("datetime64[us]"),
            **{f"KIND{c}": [f"K{c}-{v}" for v in codes[family, c]] for c in range(len(sizes))},
            **{f"SIZE{c}": np.round(values[family, c], 1) for c in range(numbers)},
        })  # fmt: skip
        minutes = rules.lognormal(2, 0.8, operations)
        jobs = [f"OP{k:02d}" for k in range(operations)]
        return items, _routings(items, present[family], jobs, minutes, random)


def _rule(
    rules: np.random.Generator,
    sizes: np.ndarray,
    numbers: int,
    codes: np.ndarray,
    values: np.ndarray,
) -> np.ndarray:
    """Which families have an operation, by a rule drawn from `rules` alone: (families,) bool."""
    column, other = rules.integers(len(sizes), size=2)
    among = rules.random(int(sizes.max())) < 0.5
    along = rules.random(int(sizes.max())) < 0.5
    kind, number = rules.random(), int(rules.integers(max(numbers, 1)))
    edge = float(rules.lognormal(3, 0.4))
    if kind < 0.15:
        return np.ones(len(codes), bool)
    if kind < 0.55 or (kind > 0.8 and not numbers):
        return among[codes[:, column]]
    if kind < 0.8:
        return among[codes[:, column]] ^ along[codes[:, other]]
    return values[:, number] > edge


def parts(count: int = 240, *, seed: int = 0) -> Frames:
    """A machine shop's parts: chains of 4 to 11 operations by six attributes, 3 % irregular.

    Part type, metal, finish, outer and inner diameter, length; of the rules some join two columns
    and some are of a ratio, so that the most alike item is often made otherwise.
    """
    random = np.random.default_rng([seed, 3])
    kind = random.choice(["SHAFT", "SLEEVE", "FLANGE", "GEAR", "HOUSING"], count)
    metal = random.choice(["S45C", "SUS304", "AL6061", "FC250"], count, p=[0.4, 0.25, 0.2, 0.15])
    finish = random.choice(["NONE", "PLATED", "BLACK"], count, p=[0.5, 0.3, 0.2])
    outer = np.round(random.lognormal(4, 0.5, count), 1)
    inner = np.round(outer * random.uniform(0.2, 0.8, count), 1)
    length = np.round(outer * random.lognormal(0, 0.7, count), 1)
    steel, slender = metal == "S45C", length / outer > 1.5
    done = {
        "SAW": kind != "HOUSING",
        "TURN": kind != "HOUSING",
        "MILL": np.isin(kind, ["HOUSING", "FLANGE"]),
        "BORE": (kind == "SLEEVE") | (kind == "HOUSING"),
        "STRAIGHTEN": slender & (kind == "SHAFT"),
        "HOB": kind == "GEAR",
        "HEAT": steel & np.isin(kind, ["SHAFT", "GEAR"]),
        "GRIND": steel & np.isin(kind, ["SHAFT", "GEAR", "SLEEVE"]),
        "DEBURR": np.ones(count, bool),
        "PLATE": (finish == "PLATED") & (metal != "SUS304"),
        "BLACKEN": (finish == "BLACK") & steel,
        "INSPECT": (outer > 60) | (kind == "GEAR"),
    }
    present = np.stack(list(done.values()), axis=1)
    irregular = random.random(count) < 0.03
    one = np.arange(present.shape[1]) == random.integers(present.shape[1], size=count)[:, None]
    present ^= irregular[:, None] & one
    present[:, 8] = True
    items = pd.DataFrame({
        "ITEM_CD": [f"P{k:05d}" for k in range(count)],
        "INSRT_DT": (START + pd.to_timedelta(3 * np.arange(count), unit="D")).astype("M8[us]"),
        "PART_TYPE": kind, "MATERIAL": metal, "FINISH": finish,
        "OUTER": outer, "INNER": inner, "LENGTH": length,
    })  # fmt: skip
    minutes = random.lognormal(2, 0.6, len(done))
    return items, _routings(items, present, list(done), minutes, random)


def work_orders(count: int = 225, *, seed: int = 0) -> Frames:
    """A shop's log of work orders: part (one of 43), quantity, entry date; what was done to each.

    Operations come again as rework, and are left out at times, so that hardly an order is made
    exactly like another; each runs on one of two to four machines. `RUN_TIME` is the total of the
    order, which grows with the quantity to the power of .4.
    """
    random = np.random.default_rng([seed, 4])
    parts_made = 43
    jobs = [f"{verb}-{k}" for verb in ("TURN", "MILL", "GRIND", "LAP", "QC") for k in range(1, 5)]
    recipes = [
        np.sort(random.choice(len(jobs), random.integers(3, 8), replace=False))
        for _ in range(parts_made)
    ]
    machines = {job: int(random.integers(2, 5)) for job in jobs}
    usual = dict(zip(jobs, random.lognormal(4, 0.7, len(jobs)), strict=True))
    part = np.minimum(random.geometric(0.07, count) - 1, parts_made - 1)
    quantity = np.round(random.lognormal(3, 1.2, count)).clip(1)
    days = np.sort(random.integers(0, 90, count))
    items = pd.DataFrame({
        "ITEM_CD": [f"W{k:05d}" for k in range(count)],
        "INSRT_DT": (START + pd.to_timedelta(days, unit="D")).astype("datetime64[us]"),
        "PART": [f"PART-{p:02d}" for p in part],
        "QUANTITY": quantity,
    })  # fmt: skip
    rows = []
    for k in range(count):
        steps: list[str] = []
        for job in (jobs[j] for j in recipes[part[k]]):
            if random.random() < 0.15:
                continue
            again = 1 + (random.random() < 0.1 + 0.1 * np.log10(quantity[k]))
            steps += [job] * again
        for place, job in enumerate(steps or [jobs[recipes[part[k]][0]]]):
            machine = f"{job}/M{1 + int(random.integers(machines[job]))}"
            total = usual[job] * (quantity[k] / 20) ** 0.4 * random.lognormal(0, 0.5)
            rows.append((items["ITEM_CD"][k], "R1", 10 * (place + 1), items["INSRT_DT"][k], job,
                         job.title(), machine, 0.0, round(total, 2)))  # fmt: skip
    return items, pd.DataFrame(rows, columns=ROUTING_COLUMNS)


def _routings(
    items: pd.DataFrame,
    present: np.ndarray,
    jobs: list[str],
    minutes: np.ndarray,
    random: np.random.Generator,
) -> pd.DataFrame:
    """Rows of the operations `present` (n, L) of the items, in the order of `jobs`."""
    item, job = np.nonzero(present)
    first = np.r_[True, item[1:] != item[:-1]] if len(item) else np.zeros(0, bool)
    starts = np.flatnonzero(first)
    place = np.arange(len(item)) - np.repeat(starts, np.diff(np.r_[starts, len(item)]))
    noise = random.lognormal(0, TIME_NOISE, (2, len(item)))
    names = np.array(jobs, object)[job]
    return pd.DataFrame({
        "ITEM_CD": items["ITEM_CD"].to_numpy(object)[item],
        "ROUT_NO": "R1",
        "PROC_SEQ": 10 * (place + 1),
        "INSRT_DT": items["INSRT_DT"].to_numpy()[item],
        "JOB_CD": names,
        "JOB_NM": [name.title() for name in names],
        "RES_CD": [f"{name}-1" for name in names],
        "SETUP_TIME": np.round(minutes[job] * noise[0], 2),
        "RUN_TIME": np.round(0.5 * minutes[job] * noise[1], 2),
    })[ROUTING_COLUMNS]  # fmt: skip
