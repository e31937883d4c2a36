"""How often the monthly decision is right where families of items are right or wrong together.

    python benchmarks/families.py [--replications 1000] [--seed 1]

Made holdouts: all items of a family are right, or wrong, together, for either model, which is the
worst case; `decide` knows the families. Rates of promotion of a fresh fit that is worse by just the
margin, of another method that is equal, and of one that is 2 points better. Last, with families of
one item, what the test gives that knows of none. Exits with 1 when a figure misses its bound.
"""

import argparse
import sys
import time
from math import sqrt

import numpy as np
import pandas as pd

from routing_ml.comparison import ALPHA, MARGIN, decide

RIGHT = 0.85
COSTS = 0.03
"""Of power, what knowing the families may cost where each is of one item."""
CASES = {
    "fresh fit, the margin worse": (-MARGIN, "fresh"),
    "other method, equal": (0.0, "other"),
    "other, 2 points better": (0.02, "other"),
    "fresh fit, equal": (0.0, "fresh"),
}
WRONG = ("fresh fit, the margin worse", "other method, equal")
NOISE = 2.2
"""Standard errors of the simulation that a rate may be above its bound: .065 in 1,000."""
MIXED = np.array([1, 1, 1, 1, 1, 1, 5, 10])  # sizes, drawn alike


def holdout(
    rng: np.random.Generator, items: int, size: int | None, difference: float, differ: float
) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Figures of champion and challenger, and the families (by item code); size None: mixed."""
    sizes = rng.choice(MIXED, items) if size is None else np.full(items, size)
    family = np.repeat(np.arange(items), sizes)[:items]
    kind = rng.choice(
        4,
        items,
        p=[
            (differ + difference) / 2,
            (differ - difference) / 2,
            (1 - differ) * RIGHT,
            (1 - differ) * (1 - RIGHT),
        ],
    )[family]
    codes = pd.Index([f"I{i}" for i in range(items)])

    def frame(exact: np.ndarray) -> pd.DataFrame:
        right, wrong = np.where(exact, 8, 7), np.where(exact, 0, 1)
        return pd.DataFrame(
            {"exact": exact, "tp": right, "fp": wrong, "fn": wrong, "run_ape": 0.1,
             "setup_ape": 0.1, "resource_hits": 8, "resource_known": 8}, index=codes,
        )  # fmt: skip

    return frame((kind == 1) | (kind == 2)), frame((kind == 0) | (kind == 2)), pd.Series(
        family, index=codes
    )  # fmt: skip


def rate(
    seed: int, runs: int, items: int, size: int | None, differ: float, case: str, known: bool
) -> float:
    """Share of made holdouts, the same whether the families are `known`, that promote it."""
    rng = np.random.default_rng(
        [seed, items, size or 0, int(100 * differ), list(CASES).index(case)]
    )
    difference, name = CASES[case]
    promoted = 0
    for _ in range(runs):
        champion, challenger, families = holdout(rng, items, size, difference, differ)
        decision = decide(
            champion,
            {name: challenger},
            champion_method="fresh",
            families=families if known else None,
        )
        promoted += decision.winner == name
    return promoted / runs


def cell(
    seed: int, runs: int, items: int, size: int | None, differ: float, case: str
) -> tuple[str, bool]:
    """The rate in words, and whether it misses its bound."""
    found = rate(seed, runs, items, size, differ, case, True)
    if case in WRONG:
        missed = found > ALPHA + NOISE * sqrt(ALPHA * (1 - ALPHA) / runs)
        words = f"{found:.3f}"
    elif size == 1:
        without = rate(seed, runs, items, size, differ, case, False)
        missed = found < without - COSTS
        words = f"{found:.3f} ({without:.3f})"
    else:
        missed, words = False, f"{found:.3f}"
    return words + " MISSED" * missed, missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replications", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    started, any_missed = time.monotonic(), False
    print("promoted, families known; the first two must not be: .05; in brackets: none known")
    print(f"held out  family  differ{''.join(f'{case:>29}' for case in CASES)}")
    for items in (356, 2_156):
        for size in (1, 5, 10, None):
            for differ in (0.04, 0.08):
                print(f"{items:8,}  {size or 'mixed':>6}  {differ:5.0%} ", end="")
                for case in CASES:
                    words, missed = cell(
                        options.seed, options.replications, items, size, differ, case
                    )
                    any_missed |= missed
                    print(f"{words:>29}", end="", flush=True)
                print()
    print(f"{time.monotonic() - started:.0f} s" + (", a bound was MISSED" if any_missed else ""))
    return int(any_missed)


if __name__ == "__main__":
    sys.exit(main())
