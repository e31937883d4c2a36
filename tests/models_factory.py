"""A made-up valve factory with German names, unlike the sample in every rule.

Repeated operations (washing twice), an order that depends on the item (marking before or after the
test), a negation in free text ("ohne Gewinde"), inches, padded codes, missing values.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

TIMES = {
    "SAEGEN": 4.0,
    "DREHEN": 12.0,
    "WASCHEN": 3.0,
    "SCHLEIFEN": 9.0,
    "GEWINDE": 6.0,
    "RICHTEN": 5.0,
    "PRUEFEN": 7.0,
    "STEMPELN": 1.5,
    "DRUCKTEST": 15.0,
    "POLIEREN": 8.0,
}


@dataclass(frozen=True)
class Attributes:
    """What a columns file says."""

    text: tuple[str, ...] = ("Beschreibung",)
    units: dict[str, str] = field(default_factory=lambda: {"Laenge": "Einheit"})


@dataclass(frozen=True)
class Factory:
    """Items, their newest routings, work results, and the true run minutes without noise."""

    items: pd.DataFrame
    routings: pd.DataFrame
    results: pd.DataFrame
    true_run: pd.Series


def make(
    count: int = 1500, *, seed: int = 1, noise: float = 0.02, report_noise: float = 0.05
) -> Factory:
    """`noise`: share of routings with an operation left out; times vary by 12 %."""
    random = np.random.default_rng(seed)
    part = random.choice(["GEHAEUSE", "Spindel", "DECKEL ", "Kegel"], count)
    metal = random.choice(["STAHL", "MESSING", "edelstahl"], count)
    width = random.choice([15, 25, 40, 50, 80, 100, 150], count).astype(float)
    length = np.round(width * random.uniform(1, 5, count), 1)
    inch = random.random(count) < 0.1
    thread = random.random(count) < 0.5
    finish = random.choice(["VERZINKT", "BLANK", "LACKIERT"], count)
    plain = np.array([name.strip().upper() for name in part])
    described = [
        f"{p.title()} DN{w:.0f} {w:g} x {el:g} {'mit' if t else 'ohne'} Gewinde"
        for p, w, el, t in zip(plain, width, length, thread, strict=True)
    ]
    items = pd.DataFrame({
        "ITEM_CD": [f"V{k:05d}" for k in range(count)],
        "INSRT_DT": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(count), unit="D"),
        "Teil": part,
        "Werkstoff": metal,
        "Nennweite": np.where(random.random(count) < 0.05, np.nan, width),
        "Laenge": np.where(inch, np.round(length / 25.4, 3), length),
        "Einheit": np.where(inch, "Zoll", "mm"),
        "Beschreibung": described,
        "Oberflaeche": finish,
        "Zeichnung": [f"Z-{random.integers(1e6)}" for _ in range(count)],
        "Leer": [None] * count,
    })  # fmt: skip
    items["INSRT_DT"] = items["INSRT_DT"].astype("datetime64[us]")
    for name in (
        "Teil",
        "Werkstoff",
        "Einheit",
        "Beschreibung",
        "Oberflaeche",
        "Zeichnung",
        "Leer",
    ):
        items[name] = items[name].astype("str")
    rows = []
    for k in range(count):
        jobs = ["SAEGEN", "DREHEN"]
        if metal[k] == "STAHL":
            jobs += ["WASCHEN", "SCHLEIFEN"]
        if thread[k]:
            jobs.append("GEWINDE")
        if length[k] / width[k] > 3:
            jobs.append("RICHTEN")
        if plain[k] == "KEGEL" and width[k] >= 80:
            jobs.append("POLIEREN")
        jobs.append("WASCHEN")
        jobs += ["STEMPELN", "PRUEFEN"] if finish[k] == "VERZINKT" else ["PRUEFEN", "STEMPELN"]
        if plain[k] == "GEHAEUSE":
            jobs.append("DRUCKTEST")
        if random.random() < noise:
            jobs.pop(int(random.integers(len(jobs))))
        for place, job in enumerate(jobs):
            true = TIMES[job] * (width[k] / 50) ** 0.6 * (1.3 if metal[k] == "edelstahl" else 1)
            rows.append(
                (
                    items["ITEM_CD"][k],
                    "R1",
                    5 * (place + 1),
                    items["INSRT_DT"][k],
                    job,
                    job.title(),
                    f"{job[:3]}-{'2' if width[k] >= 80 else '1'}",
                    true,
                )
            )
    names = ["ITEM_CD", "ROUT_NO", "PROC_SEQ", "INSRT_DT", "JOB_CD", "JOB_NM", "RES_CD", "true"]
    routings = pd.DataFrame(rows, columns=names)
    true_run = routings.pop("true")
    size = len(routings)
    routings["SETUP_TIME"] = np.round(20 * np.exp(random.normal(0, 0.1, size)), 2)
    routings["RUN_TIME"] = np.round(true_run * np.exp(random.normal(0, 0.12, size)), 2)
    reported = true_run * np.exp(random.normal(0, report_noise, size))
    results = routings[["ITEM_CD", "ROUT_NO", "PROC_SEQ"]].assign(
        REPORT_DT=pd.Timestamp("2025-01-01"), MACH_WORKED_HOURS=reported * 20 / 60,
        SETUP_HOURS=20 / 60, ORDER_QTY=20.0,
    )  # fmt: skip
    return Factory(items, routings, results, true_run)


def split(factory: Factory, share: float = 0.8) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Routings to fit on, items held out (the newest), and their routings."""
    codes = factory.items["ITEM_CD"]
    old = codes[: int(share * len(codes))]
    new = factory.items[~codes.isin(old)].reset_index(drop=True)
    known = factory.routings["ITEM_CD"].isin(old)
    return factory.routings[known], new, factory.routings[~known]
