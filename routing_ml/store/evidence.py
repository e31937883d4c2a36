"""Proposals as they were made, who had seen them, and how the planners' own routings judged them.

A proposal is kept once for an item and a version, and judged once: whichever task is tried again
changes nothing. What is judged is never judged anew, for a planner may have looked meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from routing_ml import clock
from routing_ml.store.records import Records, as_json

DAY_SECONDS = 86_400
AT_ONCE = 500  # names in one statement: SQLite takes 999 at least
CONCEPT_CAUSES = (
    "same items, other routings",
    "times have moved",
    "new kind of item",
    "data fault",
)
"""What the watch over later routings may tell: the causes of a `drift.Verdict`."""
KEYS = {
    "all": "'all'",
    "model": "model",
    "week": "week",
    "month": "substr(day, 1, 7)",
    "kind": "coalesce(kind, '')",
    "confidence": "CASE WHEN confidence >= 0.8 THEN 'high' WHEN confidence >= 0.5 THEN 'medium'"
    " ELSE 'low' END",
}
"""By what judged proposals are put together; the bands are those of the proposals' counter."""
FIGURES = {
    "exact": "exact",
    "ordered": "ordered",
    "tp": "tp",
    "fp": "fp",
    "fn": "fn",
    "resource_hits": "resource_hits",
    "resource_known": "resource_known",
    "confidence": "coalesce(confidence, 0)",
    "stated": "CASE WHEN confidence IS NULL THEN 0 ELSE 1 END",
    "run_ape": "coalesce(CASE WHEN run_ape > 1 THEN 1 ELSE run_ape END, 0)",
    "timed": "CASE WHEN run_ape IS NULL THEN 0 ELSE 1 END",
}
"""What is summed over the items, and how. An error of several hundred per cent is one mistake."""


class Proposed(NamedTuple):
    """A proposal as it was made. `operations` is the text of `routing_ml.judging.kept`;
    `confidence` and `novelty` are fractions; `used_at` is when the version last proposed for the
    item while it was in use; the fields are the columns of the table."""

    item_cd: str
    model: str
    method: str
    in_use: int
    at: float
    confidence: float | None
    novelty: float | None
    operations: str
    used_at: float | None = None


class Judged(NamedTuple):
    """A proposal against the routing that a planner wrote later; the fields are the columns of the
    table.

    `day` and `week` are when the routing was entered (ISO 8601), `family` whose items are right or
    wrong together, `first` whether it is among those of its family that were judged first: what
    comes later adds to the figures, and not to what is known of challengers. `seen` says that a
    planner had seen a proposal before.
    The rest is as of `comparison.metrics.per_item`; `ordered` that the operations that both have
    stand in one order.
    """

    item_cd: str
    model: str
    method: str
    in_use: int
    proposed_at: float
    judged_at: float
    day: str
    week: str
    family: str
    first: int
    seen: int
    kind: str | None
    confidence: float | None
    novelty: float | None
    exact: int
    ordered: int
    tp: int
    fp: int
    fn: int
    run_ape: float | None
    setup_ape: float | None
    resource_hits: int
    resource_total: int
    resource_known: int


class Pair(NamedTuple):
    """An item that two versions proposed for: whether the one that is asked about (`theirs`), and
    the other `model` (`mine`), have its routing exactly right."""

    item: str
    family: str
    model: str
    theirs: int
    mine: int


class Worked(NamedTuple):
    """A reported operation against the times that were proposed for it; the fields are the columns
    of the table.

    `run_log` and `setup_log` are the logarithms of the reported over the proposed minutes, `within`
    is 1 where the run time was in its band, 0 outside; None where there is nothing to compare.
    `number` tells reports of one operation and day apart.
    """

    item_cd: str
    rout_no: str
    proc_seq: int
    number: int
    model: str
    day: str
    week: str
    job_cd: str
    res_cd: str | None
    run_log: float | None
    setup_log: float | None
    within: float | None


@dataclass
class Tally:
    """What proposals came to that have one `value` of a key: how many items, sums over them, and
    how many families there are by the number of their items (`sizes`)."""

    value: str
    items: int = 0
    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(FIGURES, 0.0))
    sizes: dict[int, int] = field(default_factory=dict)


class Evidence(Records):
    """The part of the store that knows what was proposed and what became of it."""

    def keep_proposals(self, proposals: Iterable[Proposed]) -> None:
        """Keep proposals; of an item that the version has proposed for, the first one stays, and
        that the version is in use by now."""
        columns = ", ".join(Proposed._fields)
        marks = ", ".join("?" * len(Proposed._fields))
        self.database.run_many(
            f"INSERT INTO shadow_proposals ({columns}) VALUES ({marks})"  # noqa: S608 - our fields
            " ON CONFLICT (item_cd, model) DO UPDATE SET in_use = 1, used_at = excluded.used_at"
            " WHERE excluded.in_use = 1 AND shadow_proposals.judged = 0",
            proposals,
        )

    def proposed_by(self, model: str, items: Sequence[str]) -> set[str]:
        """Those of the items that the version has proposed for."""
        sql = "SELECT item_cd FROM shadow_proposals WHERE model = ? AND item_cd IN ({})"
        return {item for (item,) in self._of(sql, items, model)}

    def record_seen(self, items: Sequence[str], *, how: str, at: float | None = None) -> None:
        """Tell that people have seen what is proposed for these items; the first time counts."""
        at = clock.seconds() if at is None else at
        with self.transaction():
            self.database.run_many(
                "INSERT INTO seen_proposals (item_cd, at, how) VALUES (?, ?, ?)"
                " ON CONFLICT (item_cd) DO NOTHING",
                [(item, at, how) for item in items],
            )

    def seen(self, items: Sequence[str]) -> dict[str, float]:
        """When what is proposed for these items was first seen, in seconds since 1970."""
        return dict(self._of("SELECT item_cd, at FROM seen_proposals WHERE item_cd IN ({})", items))

    def spell(self, items: Sequence[str]) -> None:
        """Have what is kept of items go by these codes, where it was kept in other letter case."""
        codes = {
            form: item
            for item in items
            for form in {item.lower(), item.upper()} - {item}
            if form.casefold() == item.casefold()  # as the dataset has it; I is no dotless i
        }
        forms = list(codes)
        for table, same in (
            ("shadow_proposals", " AND there.model = kept.model"),
            ("seen_proposals", ""),
        ):
            found = f"SELECT DISTINCT item_cd FROM {table} WHERE item_cd IN ({{}})"  # noqa: S608
            self.database.run_many(
                f"UPDATE {table} AS kept SET item_cd = ? WHERE item_cd = ? AND NOT EXISTS"  # noqa: S608
                f" (SELECT 1 FROM {table} AS there WHERE there.item_cd = ?{same})",
                [(codes[form], form, codes[form]) for (form,) in self._of(found, forms)],
            )

    def to_judge(self, items: Sequence[str]) -> list[Proposed]:
        """The proposals for these items that nobody has judged, oldest first."""
        columns = ", ".join(Proposed._fields)
        sql = (
            f"SELECT {columns} FROM shadow_proposals"  # noqa: S608 - our fields
            " WHERE judged = 0 AND item_cd IN ({})"
        )
        return sorted((Proposed(*row) for row in self._of(sql, items)), key=lambda one: one.at)

    def known_families(self, families: Sequence[str]) -> set[str]:
        """Those of the families of which an item has been judged."""
        sql = "SELECT DISTINCT family FROM judged WHERE family IN ({})"
        return {family for (family,) in self._of(sql, families)}

    def leave_out(self, proposals: Sequence[Proposed]) -> None:
        """Judge these proposals no more, and count them nowhere."""
        self.database.run_many(
            "UPDATE shadow_proposals SET judged = 1 WHERE item_cd = ? AND model = ?",
            [(one.item_cd, one.model) for one in proposals],
        )

    def record_judged(self, judged: Sequence[Judged]) -> None:
        """Record what proposals came to; one that was judged before stays as it is."""
        columns = ", ".join(Judged._fields)
        marks = ", ".join("?" * len(Judged._fields))
        with self.transaction():
            self.database.run_many(
                f"INSERT INTO judged ({columns}) VALUES ({marks})"  # noqa: S608 - our fields
                " ON CONFLICT (item_cd, model) DO NOTHING",
                judged,
            )
            self.database.run_many(
                "UPDATE shadow_proposals SET judged = 1 WHERE item_cd = ? AND model = ?",
                [(one.item_cd, one.model) for one in judged],
            )

    def judged_by(self, key: str, *, since: str, seen: bool, model: str = "") -> list[Tally]:
        """What became of proposals of versions that were in use, of routings entered from the day
        `since` on, by `key`, one of KEYS; those that planners had `seen`, or had not; of one
        version where it is named."""
        value = KEYS[key]
        own = " AND model = ?" if model else ""
        inner = ", ".join(f"sum({sql}) AS {name}" for name, sql in FIGURES.items())
        outer = ", ".join(f"sum({name})" for name in FIGURES)
        rows = self.database.rows(
            f"SELECT value, size, count(*), {outer}"  # noqa: S608 - ours
            f" FROM (SELECT {value} AS value, family, count(*) AS size, {inner}"
            f" FROM judged WHERE in_use = 1 AND day >= ? AND seen = ?{own}"
            " GROUP BY value, family) AS families GROUP BY value, size",
            (since, int(seen), *([model] if model else [])),
        )
        found: dict[str, Tally] = {}
        for name, size, families, *sums in rows:
            tally = found.setdefault(str(name), Tally(str(name)))
            tally.sizes[int(size)] = int(families)
            tally.items += int(size) * int(families)
            for figure, total in zip(FIGURES, sums, strict=True):
                tally.sums[figure] += float(total)
        return sorted(found.values(), key=lambda tally: tally.value)

    def judged_pairs(
        self, model: str, others: Sequence[str], items: Sequence[str], *, after: str = ""
    ) -> list[Pair]:
        """What `model`, and the first proposal of one of the `others`, came to on those of the
        items that both have proposed for within a day, for of what comes between the later one may
        have learned: nobody having seen it, first of their families, with a routing that was
        entered after the day `after`."""
        marks = ", ".join("?" * len(others))
        sql = (
            "SELECT a.item_cd, a.family, b.model, a.exact, b.exact FROM judged a JOIN judged b"  # noqa: S608
            f" ON b.item_cd = a.item_cd WHERE a.model = ? AND b.model IN ({marks})"
            f" AND abs(b.proposed_at - a.proposed_at) < {DAY_SECONDS}"
            " AND a.first = 1 AND a.seen = 0 AND a.day > ? AND a.item_cd IN ({})"
            " ORDER BY b.proposed_at"
        )
        first: dict[str, Pair] = {}
        for row in self._of(sql, items, model, *others, after):
            first.setdefault(row[0], Pair(*row))
        return list(first.values())

    def proposed_in_use(self, items: Sequence[str]) -> list[Proposed]:
        """The last proposal for each of the items that a version made while it was in use."""
        columns = ", ".join(Proposed._fields)
        sql = (
            f"SELECT {columns} FROM shadow_proposals"  # noqa: S608 - our fields
            " WHERE in_use = 1 AND item_cd IN ({}) ORDER BY used_at"
        )
        return list({row[0]: Proposed(*row) for row in self._of(sql, items)}.values())

    def record_worked(self, worked: Sequence[Worked]) -> int:
        """Record what reported operations say, each once; how many were new."""
        columns = ", ".join(Worked._fields)
        marks = ", ".join("?" * len(Worked._fields))
        count = "SELECT count(*) FROM worked"
        with self.transaction():
            ((before,),) = self.database.rows(count)
            self.database.run_many(
                f"INSERT INTO worked ({columns}) VALUES ({marks})"  # noqa: S608 - our fields
                " ON CONFLICT (item_cd, rout_no, proc_seq, day, number) DO NOTHING",
                worked,
            )
            ((after,),) = self.database.rows(count)
        return int(after - before)

    def worked_by(self, key: str, *, since: str) -> list[dict[str, Any]]:
        """What was reported from the day `since` on, by 'all', 'machine' or 'operation': how many
        `reports`, the mean of the errors of run and setup time (each at most 1, of the logarithm),
        how far they are off on the whole (`run_bias`, also of the logarithm), and how many were
        within their band."""
        value = {"all": "'all'", "machine": "coalesce(res_cd, '')", "operation": "job_cd"}[key]
        rows = self.database.rows(
            f"SELECT {value} AS value, count(*), avg(CASE WHEN abs(run_log) > 1 THEN 1"  # noqa: S608
            " ELSE abs(run_log) END), avg(CASE WHEN abs(setup_log) > 1 THEN 1"
            " ELSE abs(setup_log) END), avg(run_log), avg(within)"
            " FROM worked WHERE day >= ? GROUP BY value ORDER BY count(*) DESC, value",
            (since,),
        )
        names = ("value", "reports", "run_error", "setup_error", "run_bias", "within_band")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def concept(self, model: str) -> tuple[str | None, dict[str, Any] | None]:
        """The last day that a version's later routings were watched on (ISO 8601), and the state of
        the watch; None each before the first."""
        found = self.database.rows(
            "SELECT day, state FROM concept_detectors WHERE model = ?", (model,)
        )
        return (found[0][0], json.loads(found[0][1])) if found else (None, None)

    def reset_concept(self) -> None:
        """Begin the watch over later routings anew, of every version."""
        with self.transaction():
            self.database.run("DELETE FROM concept_detectors")
            self.set_fact("concept", None)

    def save_concept(self, model: str, day: str, state: Mapping[str, Any]) -> None:
        """Leave the state of a version's watch over later routings after a day."""
        self.database.run(
            "INSERT INTO concept_detectors (model, day, state) VALUES (?, ?, ?)"
            " ON CONFLICT (model) DO UPDATE SET day = excluded.day, state = excluded.state",
            (model, day, as_json(state)),
        )

    def _of(self, sql: str, names: Sequence[str], *before: Any) -> Iterator[tuple[Any, ...]]:
        """The rows of a query whose `{}` is filled with the names, some at a time."""
        for start in range(0, len(names), AT_ONCE):
            some = names[start : start + AT_ONCE]
            yield from self.database.rows(sql.format(", ".join("?" * len(some))), (*before, *some))
