"""Judges what would be learned from a dataset: where the mapping of columns cannot be right
(errors), and where a person must look (warnings).

The thresholds are those at which the shipped factories, read whole or by their newest 1,000 rows,
have nothing found, and a mapping that is wrong has.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from routing_ml.dataset import frames, time_unit
from routing_ml.dataset.gates import LEAST_ITEMS, WANTED_ITEMS
from routing_ml.dataset.seen import Seen

Level = Literal["error", "warning", "note"]

MOST = 0.5  # "over half": a mapping that is wrong is wrong nearly everywhere
SOME_TIES = 0.01
MANY_REPEATED = 0.05
MANY_AT_ONCE = 0.10
"""Share of the items whose newest routing was entered on one day with another that differs. Of the
shipped factories .1 and .3 % are such, of their newest 2,000 and 300 rows' items 4 and 5 %."""
FEW_AT_ONCE = 10
FEW_OPERATIONS = 3
BATCH_ITEMS = 2_000
"""With a limit, the newest rows may well be of one day: 378 routings of one factory's last day were
entered again at once. So many are no day's work."""


@dataclass(frozen=True)
class Finding:
    """What was found: a fixed name, how bad it is, and one line with value, rule and next step.

    An error stops a run. A warning keeps its winner from being promoted until its name is in
    `accept` of the columns file. A note only tells.
    """

    name: str
    level: Level
    found: str
    accepted: bool = False

    @property
    def withholds(self) -> bool:
        """Whether a person must look before a model goes into use."""
        return self.level == "warning" and not self.accepted


def findings(seen: Seen, times: dict[str, time_unit.Times]) -> list[Finding]:
    """Everything found, the worst first."""
    accept = set(seen.data.manifest.get("accept", ()))
    found = list(_items(seen))
    if seen.items:
        keys = [*_operations_each(seen), *_ties(seen)]
        found += [
            *keys,
            *_times(seen, times),
            *_operations(seen),
            *_repeated(seen),
            *_dates(seen),
            *_unused(seen),
        ]
        if all(finding.level != "error" for finding in keys):  # else these only repeat it
            found += [*_alternatives(seen), *_results(seen)]
    found = [
        Finding(f.name, f.level, f.found, f.level == "warning" and f.name in accept) for f in found
    ]
    return sorted(found, key=lambda f: ("error", "warning", "note").index(f.level))


def _items(seen: Seen) -> Iterator[Finding]:
    count = seen.items
    if count >= WANTED_ITEMS:
        return
    have = f"{count:,} {'item has' if count == 1 else 'items have'} a routing"
    if count < LEAST_ITEMS:
        found = f"{have}, at least {LEAST_ITEMS} are needed: "
        found += "read more (--limit, --as-of), or see that `item` is the same code in both tables"
        yield Finding("few items", "error", found)
    else:
        found = f"{have}; from {WANTED_ITEMS} on, figures mean something: read more if there are"
        yield Finding("few items", "note", found)


def _operations_each(seen: Seen) -> Iterator[Finding]:
    """Routings of one operation: of a swapped revision and sequence, or of another wrong key."""
    revisions = seen.revisions
    per_item = revisions.groupby("ITEM_CD").size()
    lengths = seen.newest.groupby("ITEM_CD").size()
    written = revisions["ROUT_NO"].dropna()
    commonest = written.value_counts().max() if len(written) else 0
    examples = ", ".join(map(repr, written.value_counts().index[:3]))
    alone = int((lengths == 1).sum())
    if (
        per_item.median() >= 3
        and revisions["operations"].median() == 1
        and commonest > MOST * len(per_item)  # as 10 would be, and a row's own number is not
    ):
        yield Finding(
            "revision and sequence swapped",
            "error",
            f"an item has {per_item.median():g} revisions at the median, such as {examples}, most "
            "with one operation each, like the steps of a routing: swap `revision` and `sequence` "
            "in [routings] of the columns file",
        )
    elif alone > MOST * len(lengths):
        # With one revision an item nothing was torn apart: it may be a factory that only assembles.
        torn = per_item.median() > 1
        yield Finding(
            "one operation each",
            "error" if torn else "warning",
            f"{alone:,} of {len(lengths):,} routings have one operation, where half are many "
            f"(an item has {per_item.median():g} revisions at the median, such as {examples}): "
            "`revision` must be the same in all rows of a routing; correct it in the columns file"
            + ("" if torn else ", unless this factory does one thing to an item"),
        )


def _ties(seen: Seen) -> Iterator[Finding]:
    """Operations that share a number within their revision."""
    several = seen.revisions[seen.revisions["operations"] > 1]
    tied = several[several["operations"] > several["numbers"]]
    if len(tied) <= SOME_TIES * len(several):
        return
    level: Level = "error" if len(tied) > MOST * len(several) else "warning"
    worst = tied.sort_values(["operations", "ITEM_CD"], ascending=[False, True]).iloc[0]
    example = f"item {worst['ITEM_CD']!r} has {worst['operations']} at {worst['numbers']} number(s)"
    seen_in = f"{len(tied):,} of {len(several):,} revisions"
    if (tied["numbers"] == 1).mean() > MOST:
        yield Finding(
            "ties of sequence",
            level,
            f"all operations stand at one number in {seen_in} ({example}), so that their order "
            "cannot be known: name a column that orders them as `sequence` in the columns file "
            "(or number them in a `query`)",
        )
    else:
        yield Finding(
            "several operations at one number",
            level,
            f"in {seen_in} ({example}): are plants, companies or alternatives merged? "
            + _apart(seen),
        )


def _times(seen: Seen, times: dict[str, time_unit.Times]) -> Iterator[Finding]:
    for name, level, line in time_unit.doubts(times, seen.table("routings").get("unused", ())):
        yield Finding(name, "error" if level == "error" else "warning", line)


def _operations(seen: Seen) -> Iterator[Finding]:
    jobs = seen.newest.groupby("JOB_CD")["ITEM_CD"].nunique()
    lonely = int((jobs[seen.newest["JOB_CD"]] == 1).sum())
    if lonely > MOST * len(seen.newest):
        yield Finding(
            "operations all different",
            "error",
            f"{lonely:,} of {len(seen.newest):,} operations are of a code that one item alone has, "
            f"such as {jobs.index[0]!r}: nothing can be learned from them; name the column of the "
            "operation's kind as `operation` in the columns file",
        )
    elif len(jobs) < FEW_OPERATIONS:
        yield Finding(
            "few operations",
            "warning",
            f"there are {len(jobs)} operation codes ({', '.join(map(repr, jobs.index))}), usually "
            f"there are {FEW_OPERATIONS} or more: is `operation` the right column?",
        )


def _repeated(seen: Seen) -> Iterator[Finding]:
    for role, of in (("routings", "an operation of a revision"), ("items", "an item code")):
        repeated = seen.data.dropped.get(role, {}).get(frames.REPEATED, 0)
        rows = seen.table(role).get("rows", 0)
        if repeated > MANY_REPEATED * rows:
            yield Finding(
                f"repeated {role}",
                "warning",
                f"{repeated:,} of {rows:,} rows repeat {of}, and one of each is used: are plants "
                f"or companies merged, or does a join multiply rows? {_apart(seen)}",
            )


def _alternatives(seen: Seen) -> Iterator[Finding]:
    """Items whose newest routing was entered on one day with another that differs."""
    revisions = seen.revisions.assign(day=seen.revisions["entered"].dt.normalize())
    keys = ["ITEM_CD", *revisions.columns.intersection(["ALT_NO"])]
    newest_day = revisions.groupby(keys, dropna=False)["day"].transform("max")
    newest = revisions[revisions["day"] == newest_day]
    chains = newest.groupby(keys, dropna=False)["chain"].nunique().groupby("ITEM_CD").max()
    at_once = chains.index[chains > 1]
    items = revisions["ITEM_CD"].nunique()
    if len(at_once) >= FEW_AT_ONCE and len(at_once) > MANY_AT_ONCE * items:
        yield Finding(
            "alternatives as revisions",
            "warning",
            f"{len(at_once):,} of {items:,} items, such as {at_once[0]!r}, have several newest "
            "revisions that were entered on one day and differ in operations or machines, so that "
            f"one of them is taken by its number alone: are they alternatives? {_apart(seen)}",
        )


def _dates(seen: Seen) -> Iterator[Finding]:
    """One date for most items or most routings: then nothing says which are the newest."""
    if not seen.dated:
        found = "the routings have no entry date: the order of revisions says which is the newest"
        if frames.entered(seen.data.items, seen.newest).isna().all():
            found += ", and the items to be held out are drawn by a hash of their codes"
        yield Finding("no entry date", "note", found)
        return
    newest = seen.newest.groupby("ITEM_CD")["INSRT_DT"].max()
    of_items = _commonest_day(frames.entered(seen.data.items, seen.newest))
    of_routings = _commonest_day(newest)
    trusted = seen.is_whole or of_routings[1] >= BATCH_ITEMS
    by_routing = "INSRT_DT" not in seen.data.items
    for what, (day, count), counts, lost in (
        ("items", of_items, trusted or not by_routing, "which are the newest, to be held out"),
        ("routings", of_routings, trusted, "which revision is the newest, and what an as-of reads"),
    ):
        if counts and count > MOST * len(newest):
            yield Finding(
                "one entry date",
                "warning",
                f"{count:,} of {len(newest):,} {what} {day}, at most half are expected to: {lost}, "
                f"cannot be told by it; name the column of the true date as `entered` in [{what}] "
                "of the columns file",
            )
            return


def _commonest_day(dates: pd.Series) -> tuple[str, int]:
    days = dates.dt.normalize().value_counts(dropna=False)
    day = days.index[0]
    words = "have no entry date" if pd.isna(day) else f"were entered on {day:%Y-%m-%d}"
    return words, int(days.iloc[0])


def _results(seen: Seen) -> Iterator[Finding]:
    results = seen.data.results
    if results is None or results.empty or not seen.is_whole:
        return
    keys = ["ITEM_CD", "ROUT_NO", "PROC_SEQ"]
    known = pd.MultiIndex.from_frame(seen.data.routings[keys])
    if not pd.MultiIndex.from_frame(results[keys]).isin(known).any():
        yield Finding(
            "results without routing",
            "warning",
            f"none of {len(results):,} work-order results is of an operation of a routing: "
            "see that item, revision and sequence are the same codes in [results] and [routings]",
        )


def _unused(seen: Seen) -> Iterator[Finding]:
    if columns := seen.telling_columns():
        named = ", ".join(columns[:5])
        yield Finding(
            "unused keys",
            "note",
            f"the routing table has {named}, which the columns file does not use: where an item "
            "has routings of several plants or alternatives and no `where` chooses among them, "
            "they are taken as one",
        )


def _apart(seen: Seen) -> str:
    """The next step where routings seem merged, with unused columns that may tell them apart."""
    if columns := seen.telling_columns():
        named = ", ".join(columns[:5])
        return (
            f"unused so far: {named}; make it part of `item` or `revision`, name it as "
            "`alternative`, or choose by `where` in the columns file"
        )
    return (
        "make what tells them apart part of `item` or `revision`, name it as `alternative`, or "
        "choose by `where` in the columns file"
    )
