"""Wall time of a whole extraction against `mdb-export` of the same tables, and its peak memory.

    python benchmarks/extract.py --source FILE.accdb

Each command runs as a process of its own, in turn, so that a machine's changing speed hits both.
The memory is taken with 50,000 and with 120,000 routing rows.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from routing_ml.source import Columns

EVERYTHING = 1_000_000_000
MIB = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", required=True, type=Path, help="an Access file")
    parser.add_argument("--runs", type=int, default=5, help="pairs of runs (default 5)")
    options = parser.parse_args()
    columns = Columns.load()
    tables = [t.name for t in (columns.items, columns.routings, columns.results) if t]
    exports = [["mdb-export", str(options.source), table] for table in tables]

    with tempfile.TemporaryDirectory() as folder:
        ours = _extract(options.source, folder, EVERYTHING)
        _run([ours])
        pairs = [(_run([ours]), _run(exports)) for _ in range(options.runs)]
        small, large = (_run([_extract(options.source, folder, n)]) for n in (50_000, 120_000))
    seconds, theirs = ([one[k][0] for one in pairs] for k in (0, 1))
    figures = {
        "extract_seconds": round(statistics.median(seconds), 2),
        "mdb_export_seconds": round(statistics.median(theirs), 2),
        "ratio": round(statistics.median(a / b for a, b in zip(seconds, theirs, strict=True)), 2),
        "ratio_min": round(min(a / b for a, b in zip(seconds, theirs, strict=True)), 2),
        "ratio_max": round(max(a / b for a, b in zip(seconds, theirs, strict=True)), 2),
        "peak_mib_all": round(max(one[0][1] for one in pairs)),
        "peak_mib_50000": round(small[1]),
        "peak_mib_120000": round(large[1]),
        "peak_growth": round(large[1] / small[1] - 1, 3),
    }
    print(json.dumps(figures, indent=1))


def _extract(source: Path, folder: str, limit: int) -> list[str]:
    command = [sys.executable, "-m", "routing_ml", "extract", "--source", str(source)]
    return [*command, "--out", folder, "--limit", str(limit)]


def _run(commands: list[list[str]]) -> tuple[float, float]:
    """Wall seconds of the commands one after another, and the largest one's peak memory in MiB."""
    started, peak = time.perf_counter(), 0.0
    for command in commands:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"{' '.join(command)} failed")
        peak = max(peak, usage.ru_maxrss / MIB)
    return time.perf_counter() - started, peak


if __name__ == "__main__":
    main()
