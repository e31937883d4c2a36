"""Wall time and peak memory of a whole `routing-ml retrain`, and that a repeat gives the same.

python benchmarks/retrain.py --source FILE.accdb [--candidates A,B]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MIB = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", required=True, help="an Access file")
    parser.add_argument("--candidates", help="default: all")
    parser.add_argument("--as-of", default="2026-11-01", help="the same for both")
    options = parser.parse_args()
    command = [sys.executable, "-m", "routing_ml", "retrain", "--source", options.source]
    command += ["--as-of", options.as_of, "--json"]
    command += ["--candidates", options.candidates] if options.candidates else []
    runs = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as home:
            runs.append(_run(command, home))
    first, second = (outcome for outcome, _, _ in runs)
    figures = {
        "seconds": [round(seconds, 1) for _, seconds, _ in runs],
        "peak_mib": round(max(peak for _, _, peak in runs)),
        "model": first["model"],
        "reason": first["reason"],
        "metrics": first["metrics"],
        "equal_data": first["data"]["sha256"] == second["data"]["sha256"],
        "equal_metrics": _metrics(first) == _metrics(second),
    }
    print(json.dumps(figures, indent=1, ensure_ascii=False))


def _metrics(outcome: dict) -> dict:
    return {name: one["metrics"] for name, one in outcome["candidates"].items()}


def _run(command: list[str], home: str) -> tuple[dict, float, float]:
    """The outcome, wall seconds, and peak memory in MiB of the process."""
    out = Path(home) / "out.json"
    started = time.perf_counter()
    with out.open("w") as file:
        process = subprocess.Popen(command, stdout=file, env=os.environ | {"ROUTING_ML_HOME": home})
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    return json.loads(out.read_text()), time.perf_counter() - started, usage.ru_maxrss / MIB


if __name__ == "__main__":
    main()
