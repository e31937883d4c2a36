"""A dataset as `check` looks at it: the newest routings that would be learned from, and every
revision in one row.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from routing_ml.dataset import frames
from routing_ml.dataset.codes import among

TELLING = re.compile(
    r"plant|werk|site|compan|bukrs|mandt|client|branch|division|factory|^org|_org"
    r"|alt|plnal|plnnr|variant|version",
    re.IGNORECASE,
)
"""Names of columns that tell apart what looks like one routing: plants, companies, alternatives."""


@dataclass(frozen=True)
class Seen:
    """`newest` holds the rows that a model would learn from. `revisions` has a row per revision:
    `operations` (rows), `numbers` (distinct PROC_SEQ), `entered` (its newest row's date, NaT where
    the source has none) and `chain` (JOB_CD and RES_CD in order, a tuple).
    """

    data: frames.Dataset
    newest: pd.DataFrame
    revisions: pd.DataFrame

    @property
    def items(self) -> int:
        """How many items have a routing and are in the item table."""
        return int(self.newest["ITEM_CD"].nunique())

    @property
    def dated(self) -> bool:
        """Whether the source says when a routing was entered."""
        return bool(self.data.manifest.get("dated", True))

    @property
    def is_whole(self) -> bool:
        """Whether every routing row is here, none left behind by the limit."""
        return is_whole(self.data.manifest)

    def table(self, role: str) -> Mapping[str, Any]:
        """What the manifest says about a table, empty for one that is not there."""
        return self.data.manifest["tables"].get(role, {})

    def telling_columns(self) -> list[str]:
        """Unused columns of the routing table whose names tell plants or alternatives apart."""
        return [name for name in self.table("routings").get("unused", ()) if TELLING.search(name)]


def look(data: frames.Dataset) -> Seen:
    """What `check` needs of a dataset."""
    routings = data.routings
    newest = frames.newest_routings(routings)
    keys = ["ITEM_CD", *(name for name in ("ALT_NO",) if name in routings), "ROUT_NO"]
    ordered = routings.sort_values("PROC_SEQ", kind="stable")
    ordered["step"] = ordered["JOB_CD"] + "\0" + ordered["RES_CD"].fillna("")
    revisions = ordered.groupby(keys, dropna=False, as_index=False).agg(
        operations=("PROC_SEQ", "size"),
        numbers=("PROC_SEQ", "nunique"),
        entered=("INSRT_DT", "max"),
        chain=("step", tuple),
    )
    known = among(newest["ITEM_CD"], data.items["ITEM_CD"])
    return Seen(data, newest[known].reset_index(drop=True), revisions)


def is_whole(manifest: Mapping[str, Any]) -> bool:
    """Whether a dataset has every routing row, none left behind by its limit."""
    table = manifest["tables"].get("routings", {})
    # A source that sorts is asked for little more than the limit lets in.
    near = table.get("rows", 0) > 0.9 * manifest.get("limit", float("inf"))
    return beyond_limit(table) == 0 and not near


def dropped(table: Mapping[str, Any]) -> dict[str, int]:
    """Rows that the extract left out, by reason; a manifest of format 1 knows only the later."""
    found = dict(table.get("dropped") or {"entered after the as-of": table.get("later", 0)})
    return found | {"older than the limit reaches": beyond_limit(table)}


def beyond_limit(table: Mapping[str, Any]) -> int:
    """Rows that were read, and left out only because newer ones filled the limit."""
    left_out = table.get("dropped")
    gone = sum(left_out.values()) if left_out else table.get("later", 0)
    return max(0, table.get("read", 0) - gone - table.get("rows", 0))
