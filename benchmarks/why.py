"""Whether what `why` names first in favour of an operation is what it depends on: that is taken
back, as the what-if of the pages does, and the operation must become less likely.

    python benchmarks/why.py [--items 1000] [--candidates boosted] [--replications 1] [--show]

Named is an attribute, and beside it those that say the same, where the model would fill its gap by
them: all that is named is taken back, and once the attribute alone. Factories: the sample, and
chains made by rules, where an attribute follows from another. Of each the model is fitted on the
older items and asked about the newest.

Prints the share of operations that become less likely, and of items all of whose operations do,
each with a 95 % interval (of items by Wilson, 1927; of operations by drawing items 1,000 times); of
how many operations nothing is named; what the failing ones have in common; the processor's time of
an explanation.

The exit code is 1 where less than 95 % of the operations, or of the items, of a factory hold.
"""

import argparse
import sys
import time
from collections import Counter

import numpy as np
import pandas as pd
from factories_by_rule import chains
from honesty import fit, read

from routing_ml.comparison.intervals import wilson
from routing_ml.dataset import Dataset
from routing_ml.models import RoutingModel
from routing_ml.proposals import STRENGTHS, Explanation, columns_of, explain

LEAST = 0.95
DRAWS = 1_000


def taken_back(
    model: RoutingModel, row: pd.Series, found: Explanation
) -> list[tuple[str, str, bool, float, float, float]]:
    """Of each proposed operation the job, the attribute that is named first in its favour ('' where
    none is), whether others are named with it that say the same, and its likelihood with
    all, without it alone, and without all that is named."""
    slight = STRENGTHS[found.unit][2]
    proposed = [one for one in found.operations if one.proposed]
    named = [
        next((r for r in one.reasons if r.told(found.unit) >= slight), None) for one in proposed
    ]
    rows = pd.DataFrame([row] * (1 + 2 * len(named))).reset_index(drop=True)
    for k, reason in enumerate(named):
        if reason:
            own = columns_of(model, reason.attribute)
            rows.loc[2 * k + 1, list(own)] = None
            rows.loc[2 * k + 2, [*own, *reason.same]] = None
    likely = model.likelihoods(model.encoder_.transform(rows))
    at = {(o.job, o.occurrence + 1): k for k, o in enumerate(model.operations_)}
    return [
        (one.job, "" if first is None else first.attribute, bool(first and first.same),
         *likely[[0, 2 * k + 1, 2 * k + 2], at[one.job, one.occurrence]])
        for k, (one, first) in enumerate(zip(proposed, named, strict=True))
    ]  # fmt: skip


def measured(name: str, data: Dataset, options: argparse.Namespace, candidate: str) -> bool:
    """Print the figures of one factory; whether they hold."""
    items = data.items[data.items["ITEM_CD"].isin(data.routings["ITEM_CD"])]
    items = items.sort_values(["INSRT_DT", "ITEM_CD"], kind="stable")
    count = min(options.items, len(items) // 2)
    newest = items.iloc[-count:].iloc[::-1]
    older = data.routings[~data.routings["ITEM_CD"].isin(newest["ITEM_CD"])]
    model = fit(candidate, data, older)
    rows, seconds = [], []
    for number, (_, row) in enumerate(newest.iterrows()):
        begun = time.process_time()
        found = explain(model, pd.DataFrame(), row)
        seconds.append(time.process_time() - begun)
        rows += [(number, *each) for each in taken_back(model, row, found)]
    frame = pd.DataFrame(
        rows, columns=["item", "job", "attribute", "same", "with_it", "alone", "without"]
    )
    named = frame[frame["attribute"] != ""].assign(
        holds=lambda f: f["without"] < f["with_it"], drop=lambda f: f["with_it"] - f["without"]
    )
    by_item = named.groupby("item")["holds"].agg(["all", "sum", "size"])
    share, whole = float(named["holds"].mean()), float(by_item["all"].mean())
    low, high = interval(by_item[["sum", "size"]].to_numpy(float))
    of_items = wilson(whole, len(by_item), 0.95)
    print(
        f"{name}, {candidate}: fitted on {len(model.items_):,} items, asked about {count:,}\n"
        f"  operations less likely without what is named first: {share:.1%} of {len(named):,} "
        f"({low:.1%} to {high:.1%}); by {named['drop'].median():.1%} in the middle\n"
        f"  items of which every operation is: {whole:.1%} of {len(by_item):,} "
        f"({of_items[0]:.1%} to {of_items[1]:.1%})\n"
        f"  the attribute alone taken back: {(named['alone'] < named['with_it']).mean():.1%}\n"
        f"  named with others that say the same: {named['same'].mean():.1%} of the operations; "
        f"of these less likely: {named['holds'][named['same']].mean():.1%}, of the others: "
        f"{named['holds'][~named['same']].mean():.1%}\n"
        f"  nothing is named: {len(frame) - len(named):,} of {len(frame):,} operations\n"
        f"  one explanation: {1e3 * np.median(seconds):.0f} ms of a processor, 95th percentile "
        f"{1e3 * np.quantile(seconds, 0.95):.0f} ms",
        flush=True,
    )
    failing = named[~named["holds"]]
    if len(failing):
        for what in ("attribute", "job"):
            most = Counter(failing[what]).most_common(4)
            print(f"  failing, by {what}: {', '.join(f'{one} {times}' for one, times in most)}")
        same = (failing["without"] == failing["with_it"]).mean()
        print(f"  of the failing {same:.0%} stay as likely as they were; they are "
              f"{failing['with_it'].median():.1%} likely in the middle")  # fmt: skip
    if options.show:
        print(failing.head(20).to_string())
    return min(share, whole) >= LEAST


def interval(counts: np.ndarray) -> tuple[float, float]:
    """Of a share of operations: items are drawn with their operations, for those of one item go
    together. `counts`: of each item how many hold, and of how many."""
    random = np.random.default_rng(1)
    drawn = counts[random.integers(0, len(counts), (DRAWS, len(counts)))].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return float(low), float(high)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--items", type=int, default=1000, help="half of a factory's at most")
    parser.add_argument("--candidates", default="boosted")
    parser.add_argument("--replications", type=int, default=1, help="factories made by rules")
    parser.add_argument("--show", action="store_true", help="twenty of those that fail")
    options = parser.parse_args()
    factories = {"the sample": read("sample", None)}
    factories |= {f"chains {seed}": chains(seed=seed) for seed in range(options.replications)}
    held = [
        measured(name, data, options, candidate)
        for candidate in options.candidates.split(",")
        for name, data in factories.items()
    ]
    return int(not all(held))


if __name__ == "__main__":
    sys.exit(main())
