"""What the past items say that are alike in all that is given of an item of which little is given.

Each operation of such an item is uncertain, and the likeliest ones together are often a routing
that nobody ever made. How many of the items alike have the same whole routing is then known better
than it can be put together, and is its chance of being right.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

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

    @cached_property
    def _numbered(self) -> tuple[np.ndarray, list[tuple[int, ...]]]:
        ways: dict[tuple[int, ...], int] = {}
        number = np.full(len(self.whole), -1)
        for row in np.flatnonzero(self.whole).tolist():
            made = tuple(self.of(row))
            if made:
                number[row] = ways.setdefault(made, len(ways))
        return number, list(ways)

    @property
    def number(self) -> np.ndarray:
        """(n,) which of the `ways` each item is made in; -1 where that is not whole."""
        return self._numbered[0]

    @property
    def ways(self) -> list[tuple[int, ...]]:
        """The whole routings, each once."""
        return self._numbered[1]

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
    """The next item is of another family: each counts once, in shares where it is made in several
    ways, and one more that is made otherwise keeps the likelihood from certainty."""
    if len(alike) < LEAST_ALIKE:
        return []
    family = np.unique(past.family[alike], return_inverse=True)[1]
    share = 1 / np.bincount(family)[family]
    number = past.number[alike]
    good = number >= 0
    made, at = np.unique(number[good], return_inverse=True)
    items = np.bincount(at)
    likely = np.bincount(at, share[good]) / (family.max() + 2)
    order = np.lexsort((made, -items, -likely))[:most]
    return [
        Way(past.ways[made[k]], int(items[k]), len(alike), float(likely[k])) for k in order.tolist()
    ]
