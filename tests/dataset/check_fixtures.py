"""A small factory as a dataset in Parquet, for the tests of `check`: nothing is wrong with it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from routing_ml.dataset.checking import Checked, check

Tables = dict[str, pd.DataFrame]
JOBS = ["SAW", "TURN", "MILL", "GRIND", "WASH", "TEST"]
MINUTES = [4.0, 20.0, 30.0, 12.0, 3.0, 8.0]


def factory(items: int = 240, seed: int = 0) -> Tables:
    """Items of four kinds with three to six operations; a sixth of them has a second revision."""
    random = np.random.default_rng(seed)
    codes = [f"I{n:04}" for n in range(items)]
    entered = pd.Timestamp("2023-01-02 08:00") + pd.to_timedelta(np.arange(items) * 5, unit="D")
    kinds = random.choice(["RING", "SLEEVE", "GLAND", "NUT"], items)
    rows, reports = [], []
    for code, day, kind in zip(codes, entered, kinds, strict=True):
        for revision in range(1, 3 if random.random() < 1 / 6 else 2):
            count = {"RING": 3, "SLEEVE": 4, "GLAND": 6, "NUT": 3}[kind] - (revision > 1)
            for place in range(count):
                setup, run = random.lognormal(np.log([10.0, MINUTES[place]]), 0.1)
                moment = day + pd.Timedelta(days=200 * (revision - 1))
                key = (code, f"R{revision}", 10 * (place + 1))
                rows.append((*key, moment, JOBS[place], f"M-{place}", setup, run))
                hours = run / 60 * 20 * random.lognormal(0, 0.2)
                reports.append((*key, moment, hours, setup / 60, 20.0))
    sizes = random.uniform(5, 90, items)
    key = ["ITEM_CD", "ROUT_NO", "PROC_SEQ"]
    return {
        "items": pd.DataFrame(
            {"ITEM_CD": codes, "INSRT_DT": entered, "KIND": kinds, "SIZE": sizes}
        ),
        "routings": pd.DataFrame(
            rows, columns=[*key, "INSRT_DT", "JOB_CD", "RES_CD", "SETUP_TIME", "RUN_TIME"]
        ),
        "results": pd.DataFrame(
            reports, columns=[*key, "REPORT_DT", "MACH_WORKED_HOURS", "SETUP_HOURS", "ORDER_QTY"]
        ),
    }  # fmt: skip


def written(folder: Path, tables: Tables, **facts: Any) -> Path:
    """The tables as a dataset of format 2; `facts` go into its manifest, `routings` into its
    table of that name."""
    more = {"routings": facts.pop("routings", {})}
    described = {}
    for role, table in tables.items():
        path = folder / f"{role}.parquet"
        table.to_parquet(path)
        described[role] = {
            "file": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "read": len(table),
            "rows": len(table),
            "dropped": {},
            "left_out": {},
            "unused": [],
        } | more.get(role, {})
    manifest = {
        "format": 2,
        "as_of": "2026-11-01T00:00:00",
        "limit": 100_000,
        "source": "a small factory",
        "attributes": {"text": [], "units": {}},
        "columns": {"items": {"ITEM_CD": "PartNo"}},
        "dated": True,
        "accept": [],
        "tables": described,
    } | facts
    (folder / "training_dataset_202611.json").write_text(json.dumps(manifest))
    return folder


def checked(folder: Path, tables: Tables, **facts: Any) -> Checked:
    return check(written(folder, tables, **facts))


def named(found: Checked) -> dict[str, str]:
    """What was found, notes aside: names and levels."""
    return {f.name: f.level for f in found.findings if f.level != "note"}
