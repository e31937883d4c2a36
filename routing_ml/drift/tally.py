"""What was judged on the last 60 days, counted a day, so that a verdict can give figures."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

KEPT_DAYS = 60
DIGITS = 4  # what is kept is shown, and rounded so that it is small
Counts = dict[str, list[float]]


class Tally:
    """Sums by day, table and place."""

    def __init__(self) -> None:
        self._days: dict[date, dict[str, Counts]] = {}

    def put(self, day: date, table: str, counts: Counts) -> None:
        """Note the sums of a table on a day, by place."""
        self._days.setdefault(day, {})[table] = {
            place: [round(value, DIGITS) for value in values] for place, values in counts.items()
        }

    def forget(self, day: date) -> list[dict[str, Counts]]:
        """Drop the days older than 60 days on that day, and return the tables of each."""
        first = day - timedelta(days=KEPT_DAYS)
        return [self._days.pop(old) for old in sorted(self._days) if old <= first]

    def since(self, day: date, table: str) -> Counts:
        """The sums of a table from a day on, by place."""
        found: Counts = {}
        for kept, tables in self._days.items():
            if kept >= day:
                for place, values in tables.get(table, {}).items():
                    old = found.get(place, [0.0] * len(values))
                    found[place] = [a + b for a, b in zip(old, values, strict=True)]
        return found

    @property
    def first(self) -> date | None:
        """The oldest day that is kept; None where there is none."""
        return min(self._days, default=None)

    def state(self) -> dict[str, Any]:
        """It as JSON."""
        return {day.isoformat(): tables for day, tables in self._days.items()}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Tally:
        """What `state` gave."""
        tally = cls()
        for day, tables in state.items():
            tally._days[date.fromisoformat(day)] = {
                str(table): {str(place): list(values) for place, values in counts.items()}
                for table, counts in tables.items()
            }
        return tally


def add(counts: Counts, place: str, values: tuple[float, ...]) -> None:
    """Add `values` to the sums of a place."""
    sums = counts.get(place)
    if sums is None:
        counts[place] = [*values]
    else:
        for k, value in enumerate(values):
            sums[k] += value
