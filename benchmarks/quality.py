"""What the weekly look finds of what was put wrong on purpose, and how long it takes.

    python benchmarks/quality.py [--source FILE.accdb] [--spoilt 100]

Reads the whole source and prints JSON: the seconds and the peak memory of a look, what it finds in
the source as it is, then, for each way to put a value wrong, in how many of as many rows that is
found by name, and what is found elsewhere: times ten and sixty times too great and too small, sizes
in inches or centimetres stated as millimetres, units that were lost, codes with a typing error.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from routing_ml import files, quality
from routing_ml.settings import SAMPLE
from routing_ml.source import EVERY_ROW, Columns, extract

Spoil = Callable[[pd.DataFrame, pd.Index], object]
MIB = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--source", default=str(SAMPLE))
    parser.add_argument("--spoilt", type=int, default=100, metavar="N", help="rows of each way")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        as_of = datetime(2026, 11, 2)
        path = extract(
            options.source, Path(folder), columns=Columns.load(), as_of=as_of, limit=EVERY_ROW
        ).path
        started = time.perf_counter()
        seen = quality.look(path)
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB
        print(
            json.dumps({"rows": seen.rows, "seconds": round(seconds, 2), "peak_mib": round(peak)})
        )
        print(json.dumps({"as it is": seen.by_measure}))
        for name, (role, kind, column, spoil) in _ways().items():
            found = _found(path, role, kind, column, spoil, options.spoilt)
            print(json.dumps({name: f"{found[0]} of {found[1]}", "elsewhere": found[2]}))


def _ways() -> dict[str, tuple[str, str, str, Spoil]]:
    """Name -> table, kind and column of the finding that is due, and what spoils rows."""

    def times(column: str, factor: float) -> tuple[str, str, str, Spoil]:
        def spoil(table: pd.DataFrame, rows: pd.Index) -> None:
            table.loc[rows, column] *= factor

        return "routings", "outliers", column, spoil

    def size(column: str, factor: float) -> tuple[str, str, str, Spoil]:
        def spoil(table: pd.DataFrame, rows: pd.Index) -> None:
            table.loc[rows, column] *= factor

        return "items", "another unit", column, spoil

    def lost(table: pd.DataFrame, rows: pd.Index) -> None:
        table.loc[rows, "OUTDIAMETER_UNIT"] = None

    def typed(table: pd.DataFrame, rows: pd.Index) -> None:
        table.loc[rows, "JOB_CD"] = [
            f"{code}x{n}" for n, code in enumerate(table.loc[rows, "JOB_CD"])
        ]

    ways = {
        f"{column} times {factor:g}": times(column, factor)
        for column in ("RUN_TIME", "SETUP_TIME")
        for factor in (10, 0.1, 60, 1 / 60)
    }
    ways["OUTDIAMETER in inches, stated in MM"] = size("OUTDIAMETER", 1 / 25.4)
    ways["INDIAMETER in inches, stated in MM"] = size("INDIAMETER", 1 / 25.4)
    ways["OUTTHICKNESS in centimetres, stated in MM"] = size("OUTTHICKNESS", 0.1)
    ways["OUTDIAMETER_UNIT lost"] = ("items", "missing units", "OUTDIAMETER_UNIT", lost)
    ways["JOB_CD mistyped"] = ("routings", "used once", "JOB_CD", typed)
    return ways


def _found(
    path: Path, role: str, kind: str, column: str, spoil: Spoil, count: int
) -> tuple[int, int, int]:
    """Of how many spoilt rows the finding is there, of how many, and how many more of that kind
    there are than before."""
    manifest = json.loads(path.read_text())
    file = path.parent / manifest["tables"][role]["file"]
    whole, before = file.read_bytes(), quality.look(path)
    table = pd.read_parquet(file)
    usable = table.index[table["OUTDIAMETER_UNIT"].eq("MM")] if role == "items" else table.index
    filled = usable[table.loc[usable, column].notna()]
    if pd.api.types.is_float_dtype(table[column]):
        filled = filled[table.loc[filled, column] > 0]
    rows = pd.Index(np.random.default_rng(0).choice(filled, min(count, len(filled)), replace=False))
    spoil(table, rows)
    table.to_parquet(file)
    changed = dict(manifest["tables"][role], sha256=files.sha256(file))
    tables = manifest["tables"] | {role: changed}
    path.write_text(json.dumps(manifest | {"tables": tables}))
    seen = quality.look(path)
    file.write_bytes(whole)
    path.write_text(json.dumps(manifest))
    keys = ["item", "revision", "sequence"]
    wanted = table.loc[rows].rename(
        columns={"ITEM_CD": "item", "ROUT_NO": "revision", "PROC_SEQ": "sequence"}
    )
    named = [name for name in keys if name in wanted]
    of = (seen.findings["gate"] == kind) & (seen.findings["column"] == column)
    told = set(seen.findings.loc[of, named].itertuples(index=False, name=None))
    hits = sum(row in told for row in wanted[named].itertuples(index=False, name=None))
    was = int((before.findings["gate"] == kind).sum())
    return hits, len(rows), int((seen.findings["gate"] == kind).sum()) - hits - was


if __name__ == "__main__":
    main()
