"""Evidence that something changed on an unknown day: e-detectors, many of which share one level.

Each stream (all items, the items of one kind, the operations of one machine) is bet on day by day.
A bet's factor has mean 1 or less as long as nothing changed, so that the Shiryaev-Roberts sum of
the products begun on each day so far has mean t or less after t days, whatever the number of items,
and P(it reaches A within t days) <= t / A. After J. Shin, A. Ramdas and A. Rinaldo, "E-detectors: a
nonparametric framework for sequential change detection", New England Journal of Statistics in Data
Science 2 (2024).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

YEAR_DAYS = 365
LEVEL = 0.05  # false alarms a year
THRESHOLD = YEAR_DAYS / LEVEL
CAP = 100 * THRESHOLD  # of one bet: what is gone must not be told for long
NEW_PLACES = 0.2  # of a scope's share: for places that training did not know
Key = tuple[str, str]  # scope and place


class Streams:
    """The streams of one measure and its bets.

    `shares` are those of the scopes of the whole level; a scope's is divided among the places that
    were `known` at training. A fifth of that of the scope that is `growing` is for later places
    (1/2, 1/6, 1/12, ... of it in the order in which they come). Lowering a sum keeps the promise,
    so that a bet is capped.
    """

    def __init__(
        self,
        bets: int,
        shares: Mapping[str, float],
        known: Mapping[str, Sequence[str]],
        *,
        growing: str = "",
    ) -> None:
        self._bets, self._shares, self._growing = bets, shares, growing
        self._known = {scope: frozenset(places) for scope, places in known.items()}
        self._rows: dict[Key, int] = {}
        self._late: dict[str, int] = {}
        self.weights = np.zeros((0, 1))  # of each bet of a stream
        self.sums = np.zeros((0, bets))  # Shiryaev-Roberts, what the promise is about
        self.rises = np.zeros((0, bets))  # log CUSUM: for the day it began and the place
        self.since = np.zeros((0, bets), dtype=np.int64)  # day of the rise, as an ordinal

    def step(self, day: int, keys: Sequence[Key], logs: NDArray[np.float64]) -> None:
        """Take in a day (its ordinal): the log factor of every bet (U, B) of the units of `keys`
        (U,), which are independent of each other where their keys are the same."""
        if not len(keys):
            return
        of_unit = np.array([self._row(key) for key in keys])
        rows, place = np.unique(of_unit, return_inverse=True)
        day_logs = np.zeros((len(rows), self._bets))
        np.add.at(day_logs, place, logs)
        # Only days with something to judge are begun from: fewer terms, the same promise.
        with np.errstate(over="ignore"):
            sums = (1 + self.sums[rows]) * np.exp(day_logs)
        self.sums[rows] = np.minimum(sums, CAP / self.weights[rows])
        fresh = self.rises[rows] <= 0
        self.since[rows] = np.where(fresh, day, self.since[rows])
        self.rises[rows] = np.maximum(self.rises[rows], 0) + day_logs

    @property
    def total(self) -> float:
        """The weighted sum of all bets, to be compared with the threshold that all share."""
        return float((self.weights * self.sums).sum())

    def best(self) -> tuple[float, Key, int] | None:
        """(log evidence, scope and place, day it began) of the stream that rose most; None where
        nothing was taken in."""
        if not self._rows:
            return None
        heights = self.rises + np.log(self.weights)
        row, bet = np.unravel_index(int(heights.argmax()), heights.shape)
        key = list(self._rows)[row]
        return float(heights[row, bet]), key, int(self.since[row, bet])

    def state(self) -> list[list[Any]]:
        """Rows of scope, place, sums, rises and since, as JSON."""
        return [
            [*key, self.sums[row].tolist(), self.rises[row].tolist(), self.since[row].tolist()]
            for key, row in self._rows.items()
        ]

    def restore(self, state: Sequence[Sequence[Any]]) -> None:
        """Go on from what `state` said of the same measure."""
        for scope, place, sums, rises, since in state:
            row = self._row((scope, place))
            self.sums[row], self.rises[row], self.since[row] = sums, rises, since

    def _row(self, key: Key) -> int:
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = len(self._rows)
            weight = self._weight(*key) / self._bets
            self.weights = np.vstack([self.weights, [[weight]]])
            self.sums = np.vstack([self.sums, np.zeros((1, self._bets))])
            self.rises = np.vstack([self.rises, np.zeros((1, self._bets))])
            self.since = np.vstack([self.since, np.zeros((1, self._bets), dtype=np.int64)])
        return row

    def _weight(self, scope: str, place: str) -> float:
        known = self._known.get(scope, frozenset())
        if place in known:
            kept = 1 - NEW_PLACES if scope == self._growing else 1.0
            return self._shares[scope] * kept / len(known)
        late = self._late[scope] = self._late.get(scope, 0) + 1
        return self._shares[scope] * NEW_PLACES / (late * (late + 1))
