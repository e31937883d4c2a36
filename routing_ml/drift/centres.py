"""Where the minutes of each place lie, known better with every quiet day that leaves the tally.

A reference of 300 items knows the mean of a machine to a tenth of its spread; bets against such an
error alone would win in some years. What was judged more than 60 days ago and no verdict came of is
taken as usual: a change is told within that time, or learned as slowly as it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routing_ml.drift.minutes import Minutes
from routing_ml.drift.tally import Counts


class Centres:
    """By table of the tally ('run machine') and place: [precision, mean] of its log ratios."""

    def __init__(self, minutes: Mapping[str, Minutes]) -> None:
        self._of = {
            f"{measure} {scope}": {
                place: [1 / error**2, mean] for place, (mean, error, _) in spread.places.items()
            }
            for measure, of in minutes.items()
            for scope, spread in of.scopes.items()
        }

    def of(self, table: str) -> dict[str, tuple[float, float]]:
        """The mean of each place and its standard error."""
        return {place: (mean, p**-0.5) for place, (p, mean) in self._of[table].items()}

    def learn(self, tables: Mapping[str, Counts]) -> None:
        """Take in a day that has left the tally, whose counts end in the sum of the precisions of
        units and that of precision * mean."""
        for table, places in self._of.items():
            for place, (*_, precision, weighted) in tables.get(table, {}).items():
                if place in places and precision > 0:
                    old, mean = places[place]
                    total = old + precision
                    places[place] = [total, (old * mean + weighted) / total]

    def state(self) -> dict[str, Any]:
        """It as JSON."""
        return self._of

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave, of the same reference."""
        for table, places in self._of.items():
            for place, (precision, mean) in state[table].items():
                places[str(place)] = [float(precision), float(mean)]
