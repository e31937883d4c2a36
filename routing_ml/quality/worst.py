"""Gathers the findings of a look by the item that they are of, the worst items first."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import pandas as pd

from routing_ml.dataset import as_text
from routing_ml.quality.change import Change
from routing_ml.quality.looking import Look, key_of
from routing_ml.quality.measures import KINDS

MOST_FINDINGS = 12
"""So many of one item are shown; the file of all findings has the rest."""


@dataclass(frozen=True)
class Finding:
    """One finding, in words: where it is, what stands there, what is wrong, how it is mended."""

    kind: str
    words: str
    where: str
    value: str
    why: str
    mend: str
    new: bool


@dataclass(frozen=True)
class Item:
    """An item with findings: all are counted, the gravest are there. Its `code` is '' where the
    rows have none."""

    code: str
    name: str
    count: int
    new: int
    findings: tuple[Finding, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)


def by_item(look: Look, change: Change, most: int) -> list[Item]:
    """The `most` items with the most findings, of equals first those with more new or graver."""
    frame = look.findings
    frame = frame.assign(
        of=frame["item"].map(key_of),
        new=frame["key"].isin(change.new),
        weight=frame["gate"].map({name: kind.weight for name, kind in KINDS.items()}),
    )
    ranks = frame.groupby("of").agg(
        count=("key", "size"), new=("new", "sum"), weight=("weight", "max")
    )
    ranks = ranks.sort_values(["count", "new", "weight"], ascending=False, kind="stable")
    chosen = frame[frame["of"].isin(ranks.index[:most])]
    chosen = chosen.sort_values(["new", "weight"], ascending=False, kind="stable")
    groups = {str(of): rows for of, rows in chosen.groupby("of")}
    totals = {str(of): (int(n), int(new)) for of, n, new, _ in ranks.head(most).itertuples()}
    return [
        Item(
            code=as_text(groups[of]["item"].iloc[0]).strip(),
            name=look.names.get(of, ""),
            count=count,
            new=new,
            findings=tuple(islice(_findings(groups[of]), MOST_FINDINGS)),
        )
        for of, (count, new) in totals.items()
    ]


def _findings(rows: pd.DataFrame) -> Iterator[Finding]:
    for row in rows.to_dict("records"):
        kind = KINDS[row["gate"]]
        at = [f"{row['table']}.{row['column']}"]
        at += [f"revision {row['revision']}"] if row["revision"] else []
        at += [f"operation {as_text(row['sequence'])}"] if row["sequence"] is not None else []
        value = row["value"]
        shown = f"“{value}”" if isinstance(value, str) else as_text(value) or "nothing"
        yield Finding(
            row["gate"], kind.words, ", ".join(at), shown, row["why"], kind.mend, bool(row["new"])
        )
