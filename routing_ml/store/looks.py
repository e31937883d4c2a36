"""What the monitoring store knows of the sources: whether each could be read, and of when the data
is that runs use; and what the weekly look at the data found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from routing_ml import clock
from routing_ml.store.records import Records

SERIES_MOST = 500
"""The exporter shows this many series of a metric at most; a table of thousands of columns would
drown it, and every Prometheus that scrapes it."""


class Looks(Records):
    """Facts about sources and data; a part of `Store`."""

    def record_source_read(self, source: str, *, as_of: float) -> None:
        """Tell that a configured source was read, as of a moment in seconds since 1970."""
        self._set_source(source, {"away_since": None, "as_of": as_of})

    def record_source_away(self, source: str, *, at: float | None = None) -> float:
        """Tell that a configured source cannot be reached; since when it is known to be so."""
        with self.transaction():
            since = self.source(source).get("away_since") or (clock.seconds() if at is None else at)
            self._set_source(source, {"away_since": since})
        return float(since)

    def record_source_data(self, source: str, *, as_of: float) -> None:
        """Tell of when the data is that is used in the place of a source that is away."""
        self._set_source(source, {"as_of": as_of})

    def source(self, name: str) -> dict[str, Any]:
        """What is known of a source: `away_since` and `as_of`, seconds since 1970."""
        return dict((self.fact("sources") or {}).get(name, {}))

    def _set_source(self, name: str, known: Mapping[str, Any]) -> None:
        with self.transaction():
            sources = self.fact("sources") or {}
            self.set_fact("sources", sources | {name: sources.get(name, {}) | dict(known)})

    def record_quality(
        self,
        findings: Mapping[str, int],
        *,
        columns: Sequence[Sequence[Any]] = (),
        worse: int,
        at: float | None = None,
    ) -> None:
        """Record a look at the data that succeeded: findings by measure, and by measure, kind,
        table and column (a row each, the number last), of which the `SERIES_MOST` greatest are
        kept; `worse` is how many things got worse. It replaces what the last one said."""
        at = clock.seconds() if at is None else at
        most = sorted(columns, key=lambda entry: -entry[-1])
        value = {
            "findings": dict(findings),
            "columns": [list(entry) for entry in most[:SERIES_MOST]],
            "worse": worse,
            "left_out": {"quality_column_findings": max(len(most) - SERIES_MOST, 0)},
        }
        with self.transaction():
            self.set_fact("quality", value, at)
            self.set_fact("quality_success", at, at)
            self.record_quality_run(succeeded=True, at=at)

    def record_quality_run(self, *, succeeded: bool, at: float | None = None) -> None:
        """Record that a look at the data ended, and how; what the last good one found stays."""
        at = clock.seconds() if at is None else at
        with self.transaction():
            self.set_fact("quality_run", {"succeeded": succeeded, "at": at}, at)
