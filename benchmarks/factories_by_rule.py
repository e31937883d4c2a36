"""Factories made by rules, so that the truth of what a model says of them is known."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from routing_ml.dataset import Dataset
from routing_ml.source import Attributes

SHAPES = ("SHAFT", "SLEEVE", "FLANGE", "GEAR", "PLATE", "BUSH", "HOUSING")
MATERIALS = ("C45", "42CRMO4", "16MNCR5", "X5CRNI18-10", "EN-AW-6082", "CUZN39", "PEEK")
TOLERANCES = ("IT6", "IT7", "IT9", "IT11")
SIZES = (20.0, 60.0, 150.0, 400.0)  # mm
SURFACES = ("NONE", "NICKEL", "PAINT")
COLOURS = ("RED", "BLUE", "GREEN", "GREY", "BLACK")  # matter to no routing
RULED = ("SHAPE", "MATERIAL", "TOLERANCE", "SIZE", "SURFACE", "COLOUR")

MINUTES = {
    "SAW": 4.0, "CAST": 20.0, "TURN": 14.0, "MILL": 18.0, "HOB": 25.0, "BORE": 12.0,
    "CARBURIZE": 90.0, "HARDEN": 60.0, "TEMPER": 45.0, "ANNEAL": 50.0, "PICKLE": 8.0,
    "DEBURR": 3.0, "GRIND": 16.0, "HONE": 11.0, "WASH": 5.0, "COAT": 30.0, "DRY": 15.0,
    "BALANCE": 9.0, "MEASURE": 6.0, "CRANE": 7.0, "PACK": 2.0, "SLOT": 13.0,
}  # fmt: skip


def chains(count: int = 2352, *, seed: int = 0) -> Dataset:
    """`count` of the 2,352 combinations of attributes, each with the chain its values ask for.

    No noise: whoever knows the rules is always right. Some values share a rule with another (two
    steels are hardened, two tolerances ground), some have one of their own, colours have none.
    """
    random = np.random.default_rng(seed)
    every = list(itertools.product(SHAPES, MATERIALS, TOLERANCES, SIZES, SURFACES))
    drawn = [every[k] for k in random.permutation(len(every))[:count]]
    items = pd.DataFrame(drawn, columns=["SHAPE", "MATERIAL", "TOLERANCE", "SIZE", "SURFACE"])
    items["COLOUR"] = random.choice(COLOURS, len(items))
    items["WEIGHT"] = np.round(items["SIZE"] ** 1.5 * random.uniform(0.01, 0.03, len(items)), 2)
    jobs = [chain(*row) for row in drawn]
    return _dataset(items, jobs, np.ones(len(items)), random)


def chain(shape: str, material: str, tolerance: str, size: float, surface: str) -> list[str]:
    """The operations of one part, by rule."""
    steel = material in ("C45", "42CRMO4", "16MNCR5")
    jobs = ["CAST"] if shape == "HOUSING" and material != "PEEK" else ["SAW"]
    if size >= 400:
        jobs.append("CRANE")
    jobs += ["MILL"] if shape in ("PLATE", "HOUSING") else ["TURN"]
    if shape in ("FLANGE", "HOUSING"):
        jobs.append("BORE")
    if shape == "GEAR":
        jobs.append("HOB")
    jobs.append("DEBURR")
    if material == "16MNCR5":
        jobs.append("CARBURIZE")
    if steel:
        jobs += ["HARDEN", "TEMPER"]
    if material in ("X5CRNI18-10", "CUZN39") and size >= 150:
        jobs.append("ANNEAL")
    if tolerance in ("IT6", "IT7"):
        jobs.append("GRIND" if steel or shape != "BUSH" else "HONE")
    if tolerance == "IT6" and shape in ("SLEEVE", "BUSH"):
        jobs.append("MEASURE")
    jobs.append("WASH")
    if surface == "NICKEL":
        jobs += ["PICKLE", "COAT"]
    if surface == "PAINT":
        jobs += ["COAT", "DRY"]
    if shape in ("SHAFT", "GEAR") and size >= 60:
        jobs.append("BALANCE")
    return [*jobs, "MEASURE", "PACK"]


def new_material(count: int = 1500, *, slower: float = 0.3, seed: int = 0) -> tuple[Dataset, str]:
    """A factory whose newest 15 % of items are of a material that came in then, whose run times
    are higher by `slower`, a fraction; and that material. Times vary by 10 %."""
    random = np.random.default_rng(seed)
    new = "INCONEL 718"
    pools = (SHAPES, MATERIALS, TOLERANCES, SIZES, SURFACES)
    drawn = [tuple(random.choice(np.array(pool, object)) for pool in pools) for _ in range(count)]
    items = pd.DataFrame(drawn, columns=["SHAPE", "MATERIAL", "TOLERANCE", "SIZE", "SURFACE"])
    effects = dict(zip(MATERIALS, np.exp(random.normal(0, 0.25, len(MATERIALS))), strict=True))
    speed = items["MATERIAL"].map(effects).to_numpy(float)
    jobs = [chain(*row) for row in drawn]
    late = np.arange(count) >= count - int(0.15 * count)
    items.loc[late, "MATERIAL"] = new
    return _dataset(items, jobs, np.where(late, 1 + slower, speed), random), new


def rising(count: int = 1500, *, rate: float = 0.3, seed: int = 0) -> Dataset:
    """A factory without anything new whose run times have risen by `rate`, a fraction, over the
    newest third of the items."""
    random = np.random.default_rng(seed)
    pools = (SHAPES, MATERIALS, TOLERANCES, SIZES, SURFACES)
    drawn = [tuple(random.choice(np.array(pool, object)) for pool in pools) for _ in range(count)]
    items = pd.DataFrame(drawn, columns=["SHAPE", "MATERIAL", "TOLERANCE", "SIZE", "SURFACE"])
    late = np.clip(3 * np.arange(count) / count - 2, 0, 1)
    return _dataset(items, [chain(*row) for row in drawn], 1 + rate * late, random)


@dataclass(frozen=True)
class Causes:
    """A factory, and what is true of it: of each operation the attributes that decide it (none of
    one that all items have), for each attribute another that says the same in other words, and
    `idle`: what decides nothing. `passengers` say less than the attribute that they follow from."""

    data: Dataset
    of: dict[str, tuple[str, ...]]
    twins: dict[str, str]
    passengers: dict[str, str]
    idle: tuple[str, ...]


def known_causes(count: int = 1500, *, seed: int = 0, dropped: float = 0.01) -> Causes:
    """A factory by rules in which attributes repeat each other, wholly or in part, two of three
    numbers of a text are idle, and three attributes are noise. `dropped`: the share of operations
    that decide nothing more than chance, left out."""
    random = np.random.default_rng(seed)
    kind = random.choice(list("ABCDEF"), count)
    grade = random.integers(1, 9, count)
    first, second, third = random.integers(20, 100, (3, count))
    keyway = random.random(count) < 0.3
    other = random.choice(["POLISHED", "RUSH", "STOCK", "EXPORT"], count)
    items = pd.DataFrame({
        "KIND": kind,
        "KIND_NAME": [f"KIND NAMED {one}" for one in kind],
        "GRADE": [f"G{one}" for one in grade],
        "STORE": np.array(["", "S1", "S1", "S1", "S2", "S2", "S2", "S3", "S3"])[grade],
        "DIMENSIONS": [f"{a} x {b} x {c}" for a, b, c in zip(first, second, third, strict=True)],
        "REMARK": [f"{word} NO {k}{' KEYWAY' if slot else ''}"
                   for k, (word, slot) in enumerate(zip(other, keyway, strict=True))],
        "COIN": random.choice(["HEADS", "TAILS"], count),
        "DIE": random.choice(["ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX"], count),
        "DRAWN": np.round(random.uniform(1, 100, count), 1),
    })  # fmt: skip
    jobs = []
    for k in range(count):
        rules = {
            "SAW": True,
            "TURN": kind[k] in "ABC",
            "MILL": kind[k] in "DEF",
            "BORE": kind[k] in "ABD" and first[k] >= 50,
            "SLOT": keyway[k],
            "HARDEN": grade[k] in (1, 4),
            "COAT": grade[k] in (2, 5, 7),
            "GRIND": first[k] >= 60,
            "PACK": True,
        }
        jobs.append([
            job for job, asked in rules.items()
            if asked and (job in ("SAW", "PACK") or random.random() >= dropped)
        ])  # fmt: skip
    data = _dataset(items.assign(SIZE=50.0), jobs, np.ones(count), random)
    size = "DIMENSIONS number 1"
    of = {
        "SAW": (), "TURN": ("KIND",), "MILL": ("KIND",), "BORE": ("KIND", size),
        "SLOT": ("REMARK says KEYWAY",), "HARDEN": ("GRADE",), "COAT": ("GRADE",),
        "GRIND": (size,), "PACK": (),
    }  # fmt: skip
    words = [f"REMARK says {word}" for word in ("POLISHED", "RUSH", "STOCK", "EXPORT", "NO")]
    numbers = ("DIMENSIONS number 2", "DIMENSIONS number 3", "DRAWN")
    pairs = [
        f"{a}{sign}{b}" for a, b in itertools.permutations(numbers, 2) for sign in (" / ", " - ")
    ]
    idle = ("COIN", "DIE", *numbers, *pairs, *words)
    return Causes(data, of, {"KIND": "KIND_NAME"}, {"STORE": "GRADE"}, idle)


def _dataset(
    items: pd.DataFrame, jobs: list[list[str]], speed: np.ndarray, random: np.random.Generator
) -> Dataset:
    """Codes and dates in the order of the rows; run times grow with size by the power .6."""
    codes = [f"P{k:05d}" for k in range(len(items))]
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(len(items)), unit="D")
    items.insert(0, "ITEM_CD", codes)
    items.insert(1, "INSRT_DT", days.astype("datetime64[us]"))
    for column in items.select_dtypes(object):
        items[column] = items[column].astype("str")
    rows = []
    for code, day, size, factor, chain_ in zip(
        codes, days, items["SIZE"], speed, jobs, strict=True
    ):
        for place, job in enumerate(chain_, 1):
            run = MINUTES[job] * (size / 100) ** 0.6 * factor
            machine = f"{job[:4]}-{2 if size >= 150 else 1}"
            rows.append((code, "R1", 10 * place, day, job, job.title(), machine, 20.0, run))
    names = ["ITEM_CD", "ROUT_NO", "PROC_SEQ", "INSRT_DT", "JOB_CD", "JOB_NM", "RES_CD"]
    routings = pd.DataFrame(rows, columns=[*names, "SETUP_TIME", "RUN_TIME"])
    noise = np.exp(random.normal(0, 0.1, len(routings)))
    routings["RUN_TIME"] = np.round(routings["RUN_TIME"] * noise, 3)
    for column in ("ITEM_CD", "ROUT_NO", "JOB_CD", "JOB_NM", "RES_CD"):
        routings[column] = routings[column].astype("str")
    return Dataset(Path(), {}, items, routings, None, Attributes())
