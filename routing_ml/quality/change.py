"""Compares a look at the data with an earlier one: what got worse, what was mended, what is new."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from routing_ml.dataset import REQUIRED
from routing_ml.quality.looking import Look
from routing_ml.quality.measures import KINDS, MEASURES

FULLER = 0.01
"""A column that need not be filled in got worse when a hundredth more of its rows are empty."""


@dataclass(frozen=True)
class Line:
    """Findings of one kind in one column, now and before (None at a first look)."""

    kind: str
    table: str
    column: str
    now: int
    before: int | None

    @property
    def change(self) -> int:
        """How many more there are, 0 at a first look."""
        return 0 if self.before is None else self.now - self.before

    @property
    def worse(self) -> bool:
        """Whether there are more."""
        return self.change > 0

    @property
    def words(self) -> str:
        """What got worse or better, in words."""
        was = "" if self.before is None else f" (before: {self.before:,})"
        return f"{KINDS[self.kind].words}, in {self.table}.{self.column}: {self.now:,}{was}"


@dataclass(frozen=True)
class Gap:
    """The share of a column's rows that are empty, now and before (None where it was not there)."""

    table: str
    column: str
    now: float
    before: float | None
    required: bool

    @property
    def change(self) -> float:
        """By how much the share grew, 0 where nothing is known of before."""
        return 0.0 if self.before is None else self.now - self.before

    @property
    def worse(self) -> bool:
        """Whether that matters: at all where values are required, else from a hundredth on."""
        return self.change > (0 if self.required else FULLER)

    @property
    def words(self) -> str:
        """What got worse or better, in words."""
        was = "" if self.before is None else f" (before: {self.before:.1%})"
        return f"rows with nothing in {self.table}.{self.column}: {self.now:.1%}{was}"


@dataclass(frozen=True)
class Change:
    """What a look found beside what an earlier one did; `since` is the earlier one's as-of, None at
    a first look. `new` holds the keys of findings that the earlier one had not."""

    since: datetime | None
    lines: tuple[Line, ...]
    gaps: tuple[Gap, ...]
    new: frozenset[str]
    mended: int

    @cached_property
    def worse(self) -> list[Line | Gap]:
        """What got worse, the gravest first; a gap that a line tells of is told once."""
        lines = [line for line in self.lines if line.worse]
        told = {(one.table, one.column) for one in lines if one.kind == "required values"}
        lines.sort(key=lambda line: (-KINDS[line.kind].weight, -line.change))
        gaps = [gap for gap in self.gaps if gap.worse and (gap.table, gap.column) not in told]
        gaps.sort(key=lambda gap: (not gap.required, -gap.change))
        return [*lines, *gaps]

    @property
    def better(self) -> list[Line]:
        """Of what there are fewer findings."""
        return [line for line in self.lines if line.change < 0]

    @property
    def headline(self) -> str:
        """The outcome in one sentence."""
        if self.since is None:
            return "The first look: from the next one on, changes are shown"
        count = len(self.worse)
        if not count:
            return "Nothing got worse"
        return f"{count} thing{' got' if count == 1 else 's got'} worse"


def compare(look: Look, earlier: Mapping[str, Any] | None) -> Change:
    """What changed since `earlier`, a look as `kept` has it; None where there is none."""
    old = {(k, t, c): n for k, t, c, n in earlier["counts"]} if earlier else {}
    lines = [
        Line(kind, table, column, now, old.get((kind, table, column), 0) if earlier else None)
        for (kind, table, column), now in look.counts.items()
    ]
    here = {(line.kind, line.table, line.column) for line in lines}
    lines += [Line(*key, 0, before) for key, before in old.items() if key not in here and before]
    order = list(MEASURES)
    lines.sort(key=lambda of: (order.index(KINDS[of.kind].measure), -of.now, of.kind, of.column))
    nulls = earlier["nulls"] if earlier else {}
    gaps = [
        Gap(table, column, now, nulls.get(table, {}).get(column), column in REQUIRED.get(table, ()))
        for table, columns in look.nulls.items()
        for column, now in columns.items()
    ]
    keys, known = set(look.findings["key"]), set(earlier["keys"]) if earlier else set()
    return Change(
        since=datetime.fromisoformat(earlier["as_of"]) if earlier else None,
        lines=tuple(lines),
        gaps=tuple(gaps),
        new=frozenset(keys - known) if earlier else frozenset(),
        mended=len(known - keys),
    )
