"""What the past items say that are alike in all that is given of an item of which little is given.

Each operation of such an item is uncertain, and the likeliest ones together are often a routing
that nobody ever made. How many of the items alike have the same whole routing is then known better
than it can be put together, and is its chance of being right.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from routing_ml.models.features.attributes import ABSENT, NEW, Prepared
from routing_ml.models.features.gower import Gower
from routing_ml.models.storage import Stored

LITTLE = 0.5  # of what tells is missing: more is little given
LEAST_ALIKE = 20  # past items, from which a share of them says something


@dataclass(frozen=True)
class Past:
    """The routings of the fitted items: `operations` in order, cut by `starts` as of
    `storage.offsets`; whether they are the `whole` routing (n,), and the item's `family` (n,)."""

    starts: np.ndarray
    operations: np.ndarray
    whole: np.ndarray
    family: np.ndarray

    def of(self, row: int) -> list[int]:
        """The operations of the fitted item number `row`."""
        return self.operations[self.starts[row] : self.starts[row + 1]].tolist()

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_stored` needs."""
        return {
            "starts": self.starts.astype(np.int32), "operations": self.operations.astype(np.int32),
            "whole": self.whole, "family": self.family.astype(np.int32),
        }  # fmt: skip

    @classmethod
    def from_stored(cls, stored: Stored, prefix: str, items: int, size: int) -> Past:
        """The part of a stored model; of 2.1.0, where no more is known, each is whole and its own
        family."""
        starts = stored.array(f"{prefix}.starts", "i", (items + 1,), low=0)
        steps = stored.array(f"{prefix}.operations", "i", (None,), low=0, high=size - 1)
        if starts[0] or starts[-1] != len(steps) or (np.diff(starts) < 0).any():
            stored.refuse(f"{prefix}.starts", "does not cut the operations into routings")
        whole, family = np.ones(items, bool), np.arange(items)
        if stored.format > 1:
            whole = stored.array(f"{prefix}.whole", "b", (items,))
            family = stored.array(f"{prefix}.family", "i", (items,), low=0)
        return cls(starts.astype(np.int64), steps.astype(np.int64), whole, family)


@dataclass(frozen=True)
class Way:
    """A whole routing, its operations in order: so many `items` `of` all that are alike have it,
    and `likely` the next one has it too."""

    operations: tuple[int, ...]
    items: int
    of: int
    likely: float


def ways(
    gower: Gower, past: Past, items: Prepared, most: int, confidence: np.ndarray
) -> dict[int, list[Way]]:
    """Up to `most` whole routings of each item number of which little is given and LEAST_ALIKE
    fitted items alike are known, the commonest first.

    They say all that can be known of it, unless a number is given: these are alike that are near,
    and a model whose own word has more `confidence` (m,) has told them apart.
    """
    measured = (~np.isnan(items.numbers[:, gower.numbers_told])).any(axis=1)
    absent = (items.states == ABSENT) @ gower.weights
    known = ~((items.states == NEW) & (gower.weights > 0)).any(axis=1)
    found: dict[int, list[Way]] = {}
    same: dict[bytes, list[Way]] = {}  # many are asked with the same few columns
    for row in np.flatnonzero((absent > LITTLE) & known).tolist():
        key = b"".join(part[row].tobytes() for part in (items.codes, items.numbers, items.words))
        if key not in same:
            same[key] = _commonest(gower.alike(items, row), past, most)
        made = same[key]
        if made and (not measured[row] or made[0].likely > confidence[row]):
            found[row] = made
    return found


def _commonest(alike: np.ndarray, past: Past, most: int) -> list[Way]:
    if len(alike) < LEAST_ALIKE:
        return []
    families: dict[tuple[int, ...], Counter[int]] = {}
    for row in alike.tolist():
        if past.whole[row]:
            made = families.setdefault(tuple(past.of(row)), Counter())
            made[int(past.family[row])] += 1
    families.pop((), None)
    found = [_way(operations, made, len(alike)) for operations, made in families.items()]
    return sorted(found, key=lambda way: (-way.likely, -way.items, way.operations))[:most]


def _way(operations: tuple[int, ...], made: Counter[int], alike: int) -> Way:
    """Made so by these families with so many items each. The next item is of another family: the
    largest does not count, and one more that is made otherwise keeps it from certainty."""
    items, largest = made.total(), max(made.values())
    return Way(operations, items, alike, (items - largest) / (alike - largest + 1))
