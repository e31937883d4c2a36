"""The monitoring store's tables, and counters and facts in them; `routing_ml.store` fills them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from routing_ml import clock
from routing_ml.redaction import named
from routing_ml.store.database import Database, StoreError, StoreMissingError

SCHEMA_VERSION = 5
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS counters (name TEXT, labels TEXT, value DOUBLE PRECISION NOT NULL,"
    " PRIMARY KEY (name, labels))",
    "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL,"
    " at DOUBLE PRECISION NOT NULL)",
    "CREATE TABLE IF NOT EXISTS predictions (id {id}, at DOUBLE PRECISION NOT NULL,"
    " item_cd TEXT NOT NULL, model TEXT NOT NULL, score DOUBLE PRECISION,"
    " confidence DOUBLE PRECISION, seconds DOUBLE PRECISION NOT NULL, novelty DOUBLE PRECISION)",
    "CREATE INDEX IF NOT EXISTS predictions_at ON predictions (at)",
    "CREATE TABLE IF NOT EXISTS detectors (model TEXT PRIMARY KEY, epoch INTEGER NOT NULL,"
    " last_prediction BIGINT NOT NULL, state TEXT NOT NULL, status TEXT)",
    "CREATE TABLE IF NOT EXISTS drift_verdicts (day TEXT, model TEXT, at DOUBLE PRECISION NOT NULL,"
    " epoch INTEGER NOT NULL, detected INTEGER NOT NULL, kl DOUBLE PRECISION NOT NULL,"
    " p_value DOUBLE PRECISION NOT NULL, severity TEXT NOT NULL, scores INTEGER NOT NULL,"
    " PRIMARY KEY (day, model))",
    "CREATE TABLE IF NOT EXISTS runs (run TEXT PRIMARY KEY, ended_at DOUBLE PRECISION NOT NULL,"
    " succeeded INTEGER NOT NULL, outcome TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS claims (name TEXT, key TEXT, at DOUBLE PRECISION NOT NULL,"
    " PRIMARY KEY (name, key))",
    "CREATE TABLE IF NOT EXISTS retrainings (run TEXT PRIMARY KEY,"
    " ended_at DOUBLE PRECISION NOT NULL, cause TEXT NOT NULL, succeeded INTEGER NOT NULL,"
    " hands TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS alarms (id {id}, watch TEXT NOT NULL,"
    " began_at DOUBLE PRECISION NOT NULL, last_at DOUBLE PRECISION NOT NULL,"
    " last_day TEXT NOT NULL, advised_at DOUBLE PRECISION, outcome TEXT, run TEXT,"
    " judged_at DOUBLE PRECISION, answered_at DOUBLE PRECISION)",
    "CREATE TABLE IF NOT EXISTS shadow_proposals (id {id}, item_cd TEXT NOT NULL,"
    " model TEXT NOT NULL, method TEXT NOT NULL, in_use INTEGER NOT NULL,"
    " at DOUBLE PRECISION NOT NULL, confidence DOUBLE PRECISION, novelty DOUBLE PRECISION,"
    " operations TEXT NOT NULL, used_at DOUBLE PRECISION, judged INTEGER NOT NULL DEFAULT 0,"
    " UNIQUE (item_cd, model))",
    "CREATE INDEX IF NOT EXISTS shadow_proposals_at ON shadow_proposals (at)",
    "CREATE TABLE IF NOT EXISTS seen_proposals (item_cd TEXT PRIMARY KEY,"
    " at DOUBLE PRECISION NOT NULL, how TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS judged (id {id}, item_cd TEXT NOT NULL, model TEXT NOT NULL,"
    " method TEXT NOT NULL, in_use INTEGER NOT NULL, proposed_at DOUBLE PRECISION NOT NULL,"
    " judged_at DOUBLE PRECISION NOT NULL, day TEXT NOT NULL, week TEXT NOT NULL,"
    " family TEXT NOT NULL,"
    " first INTEGER NOT NULL, seen INTEGER NOT NULL, kind TEXT, confidence DOUBLE PRECISION,"
    " novelty DOUBLE PRECISION, exact INTEGER NOT NULL, ordered INTEGER NOT NULL,"
    " tp INTEGER NOT NULL, fp INTEGER NOT NULL, fn INTEGER NOT NULL, run_ape DOUBLE PRECISION,"
    " setup_ape DOUBLE PRECISION, resource_hits INTEGER NOT NULL,"
    " resource_total INTEGER NOT NULL, resource_known INTEGER NOT NULL, UNIQUE (item_cd, model))",
    "CREATE INDEX IF NOT EXISTS judged_day ON judged (in_use, day)",
    "CREATE INDEX IF NOT EXISTS judged_family ON judged (family)",
    "CREATE TABLE IF NOT EXISTS worked (id {id}, item_cd TEXT NOT NULL, rout_no TEXT NOT NULL,"
    " proc_seq BIGINT NOT NULL, number INTEGER NOT NULL, model TEXT NOT NULL, day TEXT NOT NULL,"
    " week TEXT NOT NULL, job_cd TEXT NOT NULL,"
    " res_cd TEXT, run_log DOUBLE PRECISION, setup_log DOUBLE PRECISION,"
    " within DOUBLE PRECISION, UNIQUE (item_cd, rout_no, proc_seq, day, number))",
    "CREATE INDEX IF NOT EXISTS worked_day ON worked (day)",
    "CREATE TABLE IF NOT EXISTS concept_detectors (model TEXT PRIMARY KEY, day TEXT NOT NULL,"
    " state TEXT NOT NULL)",
)
TABLES = (
    *("counters", "facts", "predictions", "detectors", "drift_verdicts", "runs", "claims"),
    *("retrainings", "alarms", "shadow_proposals", "seen_proposals", "judged"),
    "concept_detectors",
    "worked",
)

MIGRATIONS = {
    1: (("predictions", "ALTER TABLE predictions ADD COLUMN novelty DOUBLE PRECISION"),),
    2: (
        (
            "facts",
            "INSERT INTO claims (name, key, at)"
            " SELECT 'batch', substr(value, 2, length(value) - 2), at FROM facts"
            " WHERE name = 'claim_batch' ON CONFLICT (name, key) DO NOTHING",
        ),
    ),
    # Before, one detector and one verdict a day for whichever model was in use.
    3: (
        (
            "detector",
            "INSERT INTO detectors (model, epoch, last_prediction, state, status)"
            " SELECT model, epoch, last_prediction, state,"
            " (SELECT value FROM facts WHERE name = 'drift') FROM detector"
            " WHERE id = 1 ON CONFLICT (model) DO NOTHING",
        ),
        ("detector", "DROP TABLE detector"),
        (
            "verdicts",
            "INSERT INTO drift_verdicts"
            " (day, model, at, epoch, detected, kl, p_value, severity, scores)"
            " SELECT day, model, at, epoch, detected, kl, p_value, severity, scores FROM verdicts"
            " WHERE day IS NOT NULL ON CONFLICT (day, model) DO NOTHING",
        ),
        ("verdicts", "DROP TABLE verdicts"),
    ),
    4: (),  # tables were added
}
"""What turns a store of a version into one of the next, and the table that has to have been there
for it."""


@dataclass(frozen=True)
class Snapshot:
    """What one scrape needs, read in one transaction."""

    counters: Mapping[tuple[str, str], float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def count(self, name: str, labels: str = "") -> float:
        """A counter's value, 0 when nothing was counted yet."""
        return self.counters.get((name, labels), 0.0)

    def labelled(self, name: str) -> dict[str, float]:
        """A counter's values by label."""
        return {label: v for (counter, label), v in self.counters.items() if counter == name}


class Records:
    """An open store: transactions, counters that only add up, facts that are replaced."""

    def __init__(self, url: str, *, write: bool = True) -> None:
        """Open the store at `url`, a writer creating what is missing.

        Raises SettingError for a URL of another kind, StoreError when it cannot be opened or
        was made by a newer version of this program.
        """
        self.url = url
        self.database = Database(url, write=write)
        self._inside = False
        try:
            if write:
                self._prepare()
        except BaseException:
            self.database.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Join several calls into one transaction; inside another it is a part of that one."""
        if self._inside:
            yield
            return
        with self.database.transaction():
            self._inside = True
            try:
                yield
            finally:
                self._inside = False

    def close(self) -> None:
        """Close the connection."""
        self.database.close()

    def shut(self) -> None:
        """From another thread: make a call that waits for a silent PostgreSQL fail."""
        self.database.shut()

    def snapshot(self) -> Snapshot:
        """All counters and facts at one moment; its cost does not depend on the history."""
        with self.transaction():
            counters = self.database.rows("SELECT name, labels, value FROM counters")
            facts = self.database.rows("SELECT name, value FROM facts")
        return Snapshot(
            {(name, labels): value for name, labels, value in counters},
            {name: json.loads(value) for name, value in facts},
        )

    def _prepare(self) -> None:
        """Make the tables, or bring them forward; opening a store in use takes no lock."""
        version = self._version()
        missing = [table for table in TABLES if not self.database.columns(table)]
        if not missing and version == SCHEMA_VERSION:
            return
        with self.transaction():  # of several that open it at once one brings it forward
            since = (self.fact("schema") if "facts" not in missing else None) or self._guessed()
            steps = [step for old in range(since, SCHEMA_VERSION) for step in MIGRATIONS[old]]
            steps = [(table, sql) for table, sql in steps if self.database.columns(table)]
            self._create()
            for _, statement in steps:
                self.database.run(statement)
            self.set_fact("schema", SCHEMA_VERSION)

    def _version(self) -> int | None:
        """The version of the tables, None where there are none."""
        try:
            version: int | None = self.fact("schema")
        except StoreMissingError:
            return None
        if version is not None and version > SCHEMA_VERSION:
            raise StoreError(
                f"the monitoring store {named(self.url)} has schema {version}, this version "
                f"knows {SCHEMA_VERSION}: update Routing ML or use another store"
            )
        return version

    def _guessed(self) -> int:
        """The version of tables that lost the fact which says it."""
        if "novelty" not in (self.database.columns("predictions") or ["novelty"]):
            return 1
        return 3 if self.database.columns("detector") else SCHEMA_VERSION

    def _create(self) -> None:
        number = (
            "INTEGER PRIMARY KEY AUTOINCREMENT"
            if self.database.is_sqlite
            else "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
        )
        for statement in SCHEMA:
            self.database.run(statement.replace("{id}", number))

    def add(self, counts: Mapping[tuple[str, str], float]) -> None:
        """Add to counters, by (name, label); those not there yet begin at 0."""
        self.database.run_many(
            "INSERT INTO counters (name, labels, value) VALUES (?, ?, ?)"
            " ON CONFLICT (name, labels) DO UPDATE SET value = counters.value + excluded.value",
            [(name, labels, float(value)) for (name, labels), value in sorted(counts.items())],
        )

    def set_fact(self, name: str, value: Any, at: float | None = None) -> None:
        """Replace what is known under `name` by `value`, any JSON."""
        self.database.run(
            "INSERT INTO facts (name, value, at) VALUES (?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value, at = excluded.at",
            (name, as_json(value), clock.seconds() if at is None else at),
        )

    def fact(self, name: str) -> Any:
        """What is known under `name`, None when nothing is."""
        found = self.database.rows("SELECT value FROM facts WHERE name = ?", (name,))
        return json.loads(found[0][0]) if found else None

    def claim(self, name: str, key: str) -> bool:
        """True the first time `key` is claimed under `name`, False ever after: a task that is tried
        again claims its run, and a run of long ago may be cleared."""
        claimed = self.database.run(
            "INSERT INTO claims (name, key, at) VALUES (?, ?, ?)"
            " ON CONFLICT (name, key) DO NOTHING",
            (name, key, clock.seconds()),
        )
        return claimed > 0


def as_json(value: Any) -> str:
    """JSON that every reader takes: numbers that are none become null, other objects text.

    >>> as_json({"accuracy": float("nan"), "items": 3})
    '{"accuracy": null, "items": 3}'
    """
    try:
        return json.dumps(value, ensure_ascii=False, default=str, allow_nan=False)
    except ValueError:
        return json.dumps(_without_nan(value), ensure_ascii=False, default=str)


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(each) for each in value]
    return value
