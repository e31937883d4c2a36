"""Datasets for the tests of the weekly look: a factory in which all is right, to be spoilt."""

import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

AS_OF = datetime(2026, 11, 2, 6)
ITEMS = 200
Spoil = Callable[[pd.DataFrame, pd.DataFrame, pd.DataFrame], object]
"""Changes the tables in place, or returns others."""


def tables(seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Items, routings and results of a factory, nothing wrong with any."""
    random = np.random.default_rng(seed)
    sizes = random.uniform(20, 60, ITEMS).round(2)
    days = pd.to_datetime("2025-01-06") + pd.to_timedelta(np.arange(ITEMS), unit="D")
    items = pd.DataFrame(
        {
            "ITEM_CD": [f"IT-{k:04}" for k in range(ITEMS)],
            "INSRT_DT": days.astype("M8[us]"),
            "ITEM_NM": [f"Sleeve {size}" for size in sizes],
            "KIND": random.choice(["SLEEVE", "RING", "PIN"], ITEMS),
            "OUTER": sizes,
            "INNER": (sizes * random.uniform(0.6, 0.7, ITEMS)).round(3),
            "UNIT": "MM",
        }
    )
    steps = [("SAW", "S1", 6.0), ("TURN", "T1", 20.0), ("WASH", "W1", 3.0)]
    rows = []
    for item in items.itertuples():
        for place, (job, machine, minutes) in enumerate(steps, start=1):
            at = (item.ITEM_CD, "R1", 10 * place, item.INSRT_DT, job, machine)
            rows.append((*at, 5.0, round(minutes * random.uniform(0.8, 1.2), 2)))
    names = ["ITEM_CD", "ROUT_NO", "PROC_SEQ", "INSRT_DT", "JOB_CD", "RES_CD"]
    routings = pd.DataFrame(rows, columns=[*names, "SETUP_TIME", "RUN_TIME"])
    routings["INSRT_DT"] = routings["INSRT_DT"].astype("M8[us]")
    results = routings[["ITEM_CD", "ROUT_NO", "PROC_SEQ"]].iloc[:90].copy()
    results["REPORT_DT"] = pd.Series(pd.Timestamp("2026-10-01"), results.index).astype("M8[us]")
    results["MACH_WORKED_HOURS"] = random.uniform(1, 2, len(results))
    return items, routings, results


def dataset(
    folder: Path,
    spoil: Spoil | None = None,
    *,
    as_of: datetime = AS_OF,
    limit: int = 1_000_000,
    source: str = "erp",
) -> Path:
    """The manifest of that factory, spoilt."""
    given = tables()
    spoilt: Any = spoil(*given) if spoil is not None else None
    parts = dict(zip(("items", "routings", "results"), spoilt or given, strict=True))
    folder.mkdir(parents=True, exist_ok=True)
    described = {}
    for role, table in parts.items():
        path = folder / f"{role}.parquet"
        table.reset_index(drop=True).to_parquet(path)
        described[role] = {
            "file": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "rows": len(table),
            "read": len(table),
            "dropped": {},
        }
    manifest = {
        "format": 2,
        "as_of": as_of.isoformat(),
        "limit": limit,
        "source": source,
        "asked": "x",
        "attributes": {"text": [], "units": {"OUTER": "UNIT", "INNER": "UNIT"}},
        "columns": {},
        "tables": described,
    }
    path = folder / "training_dataset_202611.json"
    path.write_text(json.dumps(manifest))
    return path


def add(table: pd.DataFrame, row: int, **changes: object) -> None:
    """Add a copy of a row with changes, in place."""
    new = table.loc[row].copy()
    for name, value in changes.items():
        new[name] = value
    table.loc[len(table)] = new
