"""What a look at the data measures, in words that need no statistics: each kind of finding with the
measure that it belongs to, how bad it is, and how it is mended.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of finding. `measure` groups kinds; `weight` puts the worse of two first."""

    measure: str
    weight: int
    words: str
    mend: str


KINDS: Mapping[str, Kind] = {
    "impossible times": Kind(
        "impossible", 9, "a time that cannot be", "Correct the time of this operation in the ERP."
    ),
    "infinite values": Kind(
        "impossible", 9, "a number that cannot be", "Correct the number in the ERP."
    ),
    "required values": Kind(
        "missing", 8, "a required value is missing",
        "Enter it in the ERP: without it the row cannot be used.",
    ),
    "routings without item": Kind(
        "orphans", 8, "a routing whose item is not in the item master",
        "Enter the item, or correct or delete the routing.",
    ),
    "duplicates": Kind(
        "duplicates", 7, "the same key twice",
        "Keep the right one of the two rows, delete the other.",
    ),
    "revision twice": Kind(
        "duplicates", 4, "the same routing under two revisions",
        "Delete the revision, or change in it what it was made for.",
    ),
    "items alike": Kind(
        "duplicates", 5, "the same item under two codes",
        "See whether it is one part; if so, close one of the codes, else enter what differs.",
    ),
    "another unit": Kind(
        "units", 7, "a size that looks like another unit",
        "Compare with the drawing; correct the number or its unit.",
    ),
    "unknown units": Kind(
        "units", 6, "a unit that nobody knows", "Write the unit as MM, INCH, KG, BAR or the like."
    ),
    "missing units": Kind("units", 6, "a size without a unit", "Enter the unit."),
    "unusual units": Kind(
        "units", 3, "a unit that hardly any item has", "See whether the unit is right."
    ),
    "items without routing": Kind(
        "orphans", 5, "an item that has waited long for its routing",
        "Write its routing, or close the item.",
    ),
    "results without routing": Kind(
        "orphans", 5, "work that was reported on no operation of a routing",
        "Correct the order's item, revision or operation, or restore the routing.",
    ),
    "used once": Kind(
        "orphans", 4, "an operation or machine that is used once",
        "See whether it is a typing error for another one.",
    ),
    "dependencies": Kind(
        "contradictions", 5, "a value that does not go with another column's",
        "Correct whichever of the two is wrong.",
    ),
    "outliers": Kind(
        "outliers", 3, "a value far from the usual",
        "See whether it is right; a point may have slipped.",
    ),
    "spellings": Kind(
        "spellings", 1, "another spelling of what is usual", "Write it as it is usually written."
    ),
}  # fmt: skip
MEASURES: Mapping[str, str] = {
    "impossible": "Impossible times and numbers",
    "missing": "Missing required values",
    "duplicates": "Duplicates",
    "units": "Units",
    "orphans": "Orphans",
    "contradictions": "Contradictions",
    "outliers": "Far from the usual",
    "spellings": "Spellings",
}
"""The measures in the order in which people see them, and what they are called."""
