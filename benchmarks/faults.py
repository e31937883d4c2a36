"""What becomes of the product when something around it fails: trials, and what should not be.

    python benchmarks/faults.py [--part source] [--trials 5] [--seed N]

A little factory's state folder, with a model in use, meets each trouble for real; then all is well
again. A wrong model is one in use that no decision chose, or none; lost is what had been committed,
or a product that does not go on; notices are doubled or never came; lines are tracebacks, and
failures without a line that says why. The exit code is 1 when anything of that was seen.
"""

import argparse
import logging
import random
import sys
import time
from collections import Counter

from trouble import damages, disk, interleavings, month, network, processes, source, store
from trouble.bed import Row, beds

PARTS = {
    "source": source.rows,
    "disk": disk.rows,
    "store": store.rows,
    "network": network.rows,
    "damages": damages.rows,
    "decisions": interleavings.rows,
    "processes": processes.rows,
    "month": month.rows,
}


def main() -> int:
    """Print the table, a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--part", choices=PARTS, action="append", help="default: all")
    parser.add_argument("--trials", type=int, default=5, help="of each trouble")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10_000)
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    began, found = time.monotonic(), []
    print("| trouble | trials | went on | wrong models | lost | notices | lines |")
    print("|---|---|---|---|---|---|---|")
    with beds() as make:
        for part in asked.part or PARTS:
            for row in PARTS[part](make, asked.trials, random.Random(f"{asked.seed} {part}")):
                show(row)
                found += row.faults
    print(f"\nseed {asked.seed}, {time.monotonic() - began:.0f} s, {len(found)} faults")
    return int(bool(found))


def show(row: Row) -> None:
    """One row of the table; what should not have been goes to standard error."""
    figures = (row.trials, row.went_on, *map(len, (row.models, row.lost, row.notices, row.lines)))
    print(f"| {row.trouble} | {' | '.join(f'{figure:,}' for figure in figures)} |", flush=True)
    for fault, count in Counter(row.faults).most_common(5):
        print(f"    {count} x {fault[:300]}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
