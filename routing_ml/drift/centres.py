"""Where the minutes of each place lie, known better with every quiet day that leaves the tally.

A reference of 300 items knows the mean of a machine to a tenth of its spread; bets against such an
error alone would win in some years. What was judged more than 60 days ago and no verdict came of is
taken as usual: a change is told within that time, or learned as slowly as it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routing_ml.drift.minutes import Minutes
from routing_ml.drift.tally import Counts


class Centres:
    """By table of the tally ('run machine'): the precisions and means (P,) of the log ratios of its
    places, in the order of their spread."""

    def __init__(self, minutes: Mapping[str, Minutes]) -> None:
        self._index: dict[str, dict[str, int]] = {}
        self._of: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
        for measure, of in minutes.items():
            for scope, spread in of.scopes.items():
                means, errors, _ = np.array(list(spread.places.values())).T
                self._index[f"{measure} {scope}"] = spread.index
                self._of[f"{measure} {scope}"] = (errors**-2.0, means)

    def of(self, table: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The means of the places of a table and their standard errors (P,)."""
        precisions, means = self._of[table]
        return means, precisions**-0.5

    def learn(self, tables: Mapping[str, Counts]) -> None:
        """Take in a day that has left the tally, whose counts end in the sum of the precisions of
        units and that of precision * mean."""
        for table, (precisions, means) in self._of.items():
            for place, (*_, precision, weighted) in tables.get(table, {}).items():
                if precision > 0:
                    k = self._index[table][place]
                    total = precisions[k] + precision
                    means[k] = (precisions[k] * means[k] + weighted) / total
                    precisions[k] = total

    def state(self) -> dict[str, Any]:
        """It as JSON: precisions and means by table and place."""
        return {
            table: {
                place: [float(precisions[k]), float(means[k])]
                for place, k in self._index[table].items()
            }
            for table, (precisions, means) in self._of.items()
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave, of the same reference; KeyError of another one."""
        for table, (precisions, means) in self._of.items():
            for place, k in self._index[table].items():
                precisions[k], means[k] = state[table][place]
