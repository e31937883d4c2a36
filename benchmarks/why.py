"""Whether what `why` names first in favour of an operation is what it depends on: that is taken
back, as the what-if of the pages does, and the operation must become less likely.

    python benchmarks/why.py [--items 1000] [--candidates boosted] [--replications 1] [--show]

Named is an attribute, and beside it those that say the same, where the model would fill its gap by
them: all that is named is taken back, and once the attribute alone. Factories: the sample, and
chains made by rules. Of each the model is fitted on the older items and asked about the newest.

Prints the share of operations that become less likely, and of items all of whose operations do,
each with a 95 % interval (of items by Wilson, 1927; of operations by drawing items 1,000 times); of
how many operations nothing is named, and of how many that all past items have anything is; in how
many operations the loss of any one attribute lowers them, which is the most that an attribute alone
can reach: as is stated, which is less certain with each gap whether the model goes by it or not,
and by the model's own word; the processor's time of an explanation.

Controls, on factories by rules whose causes are known: how often a true cause, or what says the
same in other words, is named first; how often what decides nothing is named; how often what says
less of an item is named before what it follows from.

The exit code is 1 where less than 95 % of the operations, or of the items, of a factory hold, where
an operation that all past items have has a reason, where a true cause is first in less than 95 %,
or where what is idle, or a passenger first, is named in more than 1 % of the operations.
"""

import argparse
import sys
import time
from collections import Counter

import numpy as np
import pandas as pd
from factories_by_rule import Causes, chains, known_causes
from honesty import fit, read

from routing_ml.comparison.intervals import wilson
from routing_ml.dataset import Dataset
from routing_ml.models import RoutingModel, logit
from routing_ml.proposals import STRENGTHS, Explanation, Reason, columns_of, explain

LEAST = 0.95
MOST = 0.01
DRAWS = 1_000


def named_first(reasons: list[Reason]) -> Reason | None:
    """What is named first in favour."""
    return next((reason for reason in reasons if reason.fall > 0), None)


def taken_back(
    model: RoutingModel, row: pd.Series, found: Explanation
) -> list[tuple[str, str, bool, float, float, float, float, bool, bool]]:
    """Of each proposed operation the job, the attribute that is named first in its favour ('' where
    none is), whether others are named with it that say the same; its likelihood with all, without
    the attribute alone, of several columns at best, and without all that is named; the share of the
    past items that have it; whether the loss of any one column lowers it as is stated, and by the
    model's own word by more than a little."""
    proposed = [one for one in found.operations if one.proposed]
    named = [named_first(one.reasons) for one in proposed]
    singly = list(dict.fromkeys(model.encoder_.columns))
    sets: list[tuple[str, ...]] = [(), *((name,) for name in singly)]
    for reason in named:
        sets.append((*columns_of(model, reason.attribute), *reason.same) if reason else ())
    rows = pd.DataFrame([row] * len(sets)).reset_index(drop=True)
    for name in singly:
        rows.loc[[name in columns for columns in sets], name] = None
    items = model.encoder_.transform(rows)
    likely, own = model.likelihoods(items), model.likely(items)
    if found.unit == "log-odds":
        own = logit(own)
    at = {(o.job, o.occurrence + 1): k for k, o in enumerate(model.operations_)}
    every, told = slice(1, 1 + len(singly)), []
    for i, (one, first) in enumerate(zip(proposed, named, strict=True)):
        k = at[one.job, one.occurrence]
        alone = [1 + singly.index(c) for c in columns_of(model, first.attribute)] if first else [0]
        told.append((
            one.job, first.attribute if first else "", bool(first and first.same),
            likely[0, k], likely[alone, k].max(), likely[1 + len(singly) + i, k], one.usual,
            bool((likely[every, k] < likely[0, k]).any()),
            bool((own[every, k] <= own[0, k] - STRENGTHS[found.unit][2]).any()),
        ))  # fmt: skip
    return told


def split(data: Dataset, most: int, candidate: str) -> tuple[RoutingModel, pd.DataFrame]:
    """A model of the older items, and the newest, half of all at most."""
    items = data.items[data.items["ITEM_CD"].isin(data.routings["ITEM_CD"])]
    items = items.sort_values(["INSRT_DT", "ITEM_CD"], kind="stable")
    newest = items.iloc[-min(most, len(items) // 2) :].iloc[::-1]
    older = data.routings[~data.routings["ITEM_CD"].isin(newest["ITEM_CD"])]
    return fit(candidate, data, older), newest


def measured(name: str, data: Dataset, options: argparse.Namespace, candidate: str) -> bool:
    """Print the figures of one factory; whether they hold."""
    model, newest = split(data, options.items, candidate)
    rows, seconds = [], []
    for number, (_, row) in enumerate(newest.iterrows()):
        begun = time.process_time()
        found = explain(model, pd.DataFrame(), row)
        seconds.append(time.process_time() - begun)
        rows += [(number, *each) for each in taken_back(model, row, found)]
    frame = pd.DataFrame(
        rows, columns=["item", "job", "attribute", "same", "with_it", "alone", "without", "usual",
                       "any_stated", "any_own"],
    )  # fmt: skip
    named = frame[frame["attribute"] != ""].assign(
        holds=lambda f: f["without"] < f["with_it"], drop=lambda f: f["with_it"] - f["without"]
    )
    nothing = frame[frame["attribute"] == ""]
    always = int((named["usual"] == 1).sum())
    by_item = named.groupby("item")["holds"].agg(["all", "sum", "size"])
    share, whole = float(named["holds"].mean()), float(by_item["all"].mean())
    low, high = interval(by_item[["sum", "size"]].to_numpy(float))
    of_items = wilson(whole, len(by_item), 0.95)
    print(
        f"{name}, {candidate}: fitted on {len(model.items_):,} items, asked about {len(newest):,}\n"
        f"  operations less likely without what is named first: {share:.1%} of {len(named):,} "
        f"({low:.1%} to {high:.1%}); by {named['drop'].median():.1%} in the middle\n"
        f"  items of which every operation is: {whole:.1%} of {len(by_item):,} "
        f"({of_items[0]:.1%} to {of_items[1]:.1%})\n"
        f"  the attribute alone taken back: {(named['alone'] < named['with_it']).mean():.1%}; at "
        f"most {named['any_own'].mean():.1%}: of the others no single attribute's loss lowers the "
        "model's own word by what is slight (it lowers what is stated of "
        f"{named['any_stated'].mean():.1%})\n"
        f"  named with others that say the same: {named['same'].mean():.1%} of the operations\n"
        f"  nothing is named: {len(frame) - len(named):,} of {len(frame):,} operations, of which "
        f"{(nothing['usual'] == 1).sum():,} are ones that all past items have; of such ones "
        f"{always:,} have a reason\n"
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
    return min(share, whole) >= LEAST and not always


def controlled(seed: int, causes: Causes, options: argparse.Namespace, candidate: str) -> bool:
    """Print how true the reasons are in a factory whose causes are known; whether they are."""
    model, newest = split(causes.data, options.items, candidate)
    count, always = Counter[str](), 0
    for _, row in newest.iterrows():
        found = explain(model, pd.DataFrame(), row)
        for one in found.operations:
            told = [reason for reason in one.reasons if reason.fall]
            of = causes.of[one.job]
            always += bool(told and not of)
            count["told"] += 1
            count["idle"] += any({r.attribute, r.words} & set(causes.idle) for r in told)
            places = {reason.attribute: place for place, reason in reversed([*enumerate(told)])}
            count["passenger"] += any(
                place < places.get(cause, len(told))
                for passenger, cause in causes.passengers.items()
                if cause in of and (place := places.get(passenger)) is not None
            )  # fmt: skip
            first = named_first(one.reasons)
            if one.proposed and of:
                right = {*of, *(causes.twins.get(cause, cause) for cause in of)}
                count["none"] += first is None
                count["named"] += first is not None
                count["true"] += bool(first and {first.attribute, first.words} & right)
    true, idle = count["true"] / count["named"], count["idle"] / count["told"]
    passenger = count["passenger"] / count["told"]
    print(
        f"known causes {seed}, {candidate}: fitted on {len(model.items_):,} items, asked about "
        f"{len(newest):,}\n"
        f"  a true cause is named first: {true:.1%} of {count['named']:,} operations; nothing is "
        f"named: {count['none']:,}\n"
        f"  what decides nothing is named: {idle:.2%} of {count['told']:,}; what says less before "
        f"what it follows from: {passenger:.2%}; operations of all past items with a reason: "
        f"{always:,}",
        flush=True,
    )
    return true >= LEAST and idle <= MOST and passenger <= MOST and not always


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
    held += [
        controlled(seed, known_causes(seed=seed), options, candidate)
        for candidate in options.candidates.split(",")
        for seed in range(options.replications)
    ]
    return int(not all(held))


if __name__ == "__main__":
    sys.exit(main())
