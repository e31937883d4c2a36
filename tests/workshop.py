"""A made-up workshop whose parts have several valid routings.

A blank is sawn and faced, or forged, trimmed and normalised: wide parts the planner mostly forges,
but may saw; the others are sawn. They are turned on L1 or, since autumn 2023, on L2; the old lathe
L0 was given up in 2022. Coating is done outside, washing a lot of forty at a time, and the minutes
of tempering are those of the furnace, whatever is in it, though nobody flagged it.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from routing_ml.source import Attributes

SAWN, FORGED = ("SAW", "FACE"), ("FORGE", "TRIM", "NORMALISE")
ATTRIBUTES = Attributes()
BOUGHT, GIVEN_UP = pd.Timestamp("2023-10-01"), pd.Timestamp("2022-03-01")


@dataclass(frozen=True)
class Workshop:
    """Tables as of a dataset; `forged` says of each item which way its planner chose."""

    items: pd.DataFrame
    routings: pd.DataFrame
    results: pd.DataFrame
    forged: pd.Series

    @property
    def first(self) -> pd.DataFrame:
        """Each item's routing that counts."""
        return self.routings[self.routings["ALT_NO"] == "1"]

    @property
    def others(self) -> pd.DataFrame:
        """The further alternatives."""
        return self.routings[self.routings["ALT_NO"] != "1"]


def make(count: int = 400, *, forging: float = 0.7, seed: int = 5) -> Workshop:
    """`forging`: share of the wide parts whose planner forges."""
    random = np.random.default_rng(seed)
    days = pd.Timestamp("2021-01-04") + pd.to_timedelta(np.arange(count) * 1800 // count, unit="D")
    items = pd.DataFrame({
        "ITEM_CD": [f"W{k:04d}" for k in range(count)],
        "INSRT_DT": days.astype("datetime64[us]"),
        "WIDTH": np.round(random.uniform(10, 100, count), 1),
        "COATED": random.choice(["YES", "NO"], count),
        "STEEL": random.choice(["C45", "42CRMO4"], count),
    })  # fmt: skip
    forged = (items["WIDTH"] > 50) & (random.random(count) < forging)
    rows = []
    for item, is_forged in zip(items.itertuples(), forged, strict=True):
        ways = [FORGED, SAWN] if is_forged else [SAWN, FORGED]
        for alternative, blank in enumerate(ways if item.WIDTH > 50 else [SAWN], start=1):
            jobs = [*blank, "TURN", *(["TEMPER"] if item.STEEL == "42CRMO4" else []), "WASH"]
            jobs += ["COAT"] if item.COATED == "YES" else []
            for place, job in enumerate(jobs, start=1):
                machine = {"TURN": _lathe(item, random), "COAT": "OUT-1"}.get(job, f"{job}-1")
                rows.append(
                    (item.ITEM_CD, "1", str(alternative), 10 * place, item.INSRT_DT, job, machine,
                     12.0, 60.0 if job == "TEMPER" else round(item.WIDTH / 10, 2),
                     "N" if job == "COAT" else "Y", "Y" if job == "WASH" else "N",
                     40.0 if job == "WASH" else None)
                )  # fmt: skip
    names = ["ITEM_CD", "ROUT_NO", "ALT_NO", "PROC_SEQ", "INSRT_DT", "JOB_CD", "RES_CD",
             "SETUP_TIME", "RUN_TIME", "INSIDE_FLAG", "PER_LOT", "LOT_SIZE"]  # fmt: skip
    routings = pd.DataFrame(rows, columns=names)
    routings["JOB_NM"] = pd.Series(None, index=routings.index, dtype="str")
    quantity = np.round(np.exp(random.uniform(1, 6, len(routings))))
    of_a_lot = (routings["JOB_CD"] == "TEMPER").to_numpy()
    minutes = routings["RUN_TIME"] * np.where(of_a_lot, 1, quantity)
    results = routings[["ITEM_CD", "ROUT_NO", "PROC_SEQ", "INSRT_DT"]].assign(
        MACH_WORKED_HOURS=minutes * np.exp(random.normal(0, 0.1, len(routings))) / 60,
        SETUP_HOURS=0.2, ORDER_QTY=quantity,
    )  # fmt: skip
    reported = (routings["ALT_NO"] == "1") & ~routings["JOB_CD"].isin(["WASH", "COAT"])
    return Workshop(
        items, routings, results.rename(columns={"INSRT_DT": "REPORT_DT"})[reported], forged
    )


def _lathe(item, random: np.random.Generator) -> str:
    if item.INSRT_DT >= BOUGHT:
        return "L2" if random.random() < 0.9 else "L1"
    return "L0" if item.INSRT_DT < GIVEN_UP and item.WIDTH < 30 else "L1"
