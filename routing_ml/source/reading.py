"""Copies one table of an open source into a spool: which columns are read and as what, which rows
count at the as-of, and what their times mean.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa

from routing_ml.errors import SourceError
from routing_ml.source import pushdown, time_units, typed
from routing_ml.source.flags import says_yes
from routing_ml.source.named import JOINED_BY, Attributes, Table
from routing_ml.source.relation import Source, Values, spelled
from routing_ml.source.spool import Spool
from routing_ml.source.sql import SqlRelation

SHOWN_CHARACTERS = 80
SHOWN_VALUES = 3
DAY_US = 24 * 3600 * 1_000_000
UNITS = ("_RUN_UNIT", "_SETUP_UNIT")
FILTERS = ("_STATUS", "_VALID_FROM", "_VALID_TO")
HELPING = (*UNITS, "_PER", *FILTERS)
"""Columns of routings that choose rows or give others their meaning, and are not kept."""

Progress = Callable[[str, int], None]


class TableReader:
    """One table of an open source; `attributes` are those of its columns file as the source spells
    them.
    """

    def __init__(
        self, source: Source, table: Table, attributes: Attributes, as_of: datetime
    ) -> None:
        self.source, self.table, self.as_of = source, table, as_of
        self.relation = source.relation(table)
        self.found = {column.name: column for column in self.relation.columns()}
        self.parts = {
            standard: tuple(self._needed(name, standard) for name in names)
            for standard, names in {**table.parts, **_times(table)}.items()
        }
        self.named = frozenset(self.parts)  # an attribute may be called like any of these
        self._require_own_columns()
        self.kinds = {
            name: {"_RUN_UNIT": "code", "_SETUP_UNIT": "code", "_PER": "number"}.get(
                name, table.kinds.get(name, "")
            )
            for name in self.parts
        }
        self.left_out: dict[str, str] = {}
        self.attributes = attributes
        if table.role == "items":
            self.attributes = self._add_attributes(attributes)
        self.unused = sorted(self.found.keys() - {n for of in self.parts.values() for n in of})
        helping = self.named & set(HELPING)
        kept = {name: kind for name, kind in self.kinds.items() if name not in helping}
        if self._has_letters():
            kept["PROC_SUB"] = "code"
        self.schema = pa.schema([(n, typed.ARROW_TYPES[kind]) for n, kind in kept.items()])
        self.entered = table.entered
        self.pushed = self._pushed()

    def read(self, path: Path, limit: int, progress: Progress) -> tuple[Spool, dict[str, Any]]:
        """Read the table into a spool at `path`; the figures of it.

        `dropped` counts the rows that do not count at the as-of, by reason.
        """
        is_routings = self.table.role == "routings"
        spool = Spool(path, self.schema, entered=self.entered, limit=limit if is_routings else None)
        read = 0
        dropped: Counter[str] = Counter()
        names = list(dict.fromkeys(name for of in self.parts.values() for name in of))
        if self.pushed:
            batches = self.pushed.batches(names, limit if is_routings else None)
        else:
            batches = self.relation.batches(names)
        for values in batches:
            batch = self._batch(dict(zip(names, values, strict=True)))
            read += len(values[0])
            spool.add(self._counting(batch, dropped))
            progress(self.table.role, read)
        spool.close()
        return spool, {
            "read": read,
            "later": dropped.get("entered after the as-of", 0),
            "dropped": dict(dropped),
            "left_out": self.left_out,
            "unused": self.unused if is_routings else [],
            "sorted_by_source": self.pushed is not None,
        }

    def _pushed(self) -> pushdown.Newest | None:
        """What lets the source itself choose the rows; None where it cannot, or does not know
        which of them count."""
        if (
            not isinstance(self.relation, SqlRelation)
            or self.entered is None
            or len(self.parts["ITEM_CD"]) > 1
            or len(self.parts.get("ROUT_NO", ("",))) > 1
            or self.named & set(FILTERS)
        ):
            return None
        (entered,) = self.parts[self.entered]
        if not pushdown.can_compare(self.relation, self.found[entered]):
            return None
        revision = self.parts.get("ROUT_NO", ("",))[0]
        return pushdown.Newest(
            self.relation, self.parts["ITEM_CD"][0], revision, self.found[entered], self.as_of
        )

    def _has_letters(self) -> bool:
        """Whether sequence numbers may have letters behind them: where they are texts."""
        names = self.parts["PROC_SEQ"] if "PROC_SEQ" in self.named else ()
        return any(self.found[name].kind == "text" for name in names)

    def _require_own_columns(self) -> None:
        """Raise SourceError where one column is two things, which names in two cases may hide."""
        taken: dict[str, str] = {}
        for standard in self.table.parts:
            names = self.parts[standard]
            if len(set(names)) < len(names):
                self._refuse(f"joins column {names[0]!r} with itself", "name each once")
            if len(names) == 1 and taken.setdefault(names[0], standard) != standard:
                self._refuse(
                    f"uses column {names[0]!r} as {taken[names[0]]} and as {standard}",
                    "give each its own column",
                )

    def _refuse(self, what: str, step: str) -> NoReturn:
        raise SourceError(
            f"{self.source.label}: {self.relation.what}: [{self.table.role}] of the columns file "
            f"{what}; {step}"
        )

    def _add_attributes(self, attributes: Attributes) -> Attributes:
        """Every other column of the item table that can be read; `attributes` as the source spells
        their names."""
        ignored = {self._spelled(name) for name in self.table.ignore}
        text = tuple(self._needed(name, "text") for name in attributes.text)
        units = {
            self._needed(of, "units"): self._needed(unit, "units")
            for of, unit in attributes.units.items()
        }
        used = {name for of in self.parts.values() for name in of}
        if both := sorted(ignored & {*used, *text, *units, *units.values()}):
            self._refuse(f"ignores column {both[0]!r} and uses it", "take it out of one")
        used |= ignored
        for name, column in self.found.items():
            if name in used:
                continue
            if column.kind is None:
                self.left_out[name] = column.why
                continue
            if name in self.kinds:
                raise SourceError(
                    f"{self.source.label}: attribute {name!r} of {self.relation.what} has the "
                    "standard name of another column; add it to [items] ignore"
                )
            self.parts[name] = (name,)
            self.kinds[name] = column.kind
        return Attributes(text=text, units=units)

    def _needed(self, wanted: str, use: str) -> str:
        """A column that must be readable, as the source spells it."""
        column = self.found[self._spelled(wanted)]
        if column.kind is None:
            due = self.table.kinds.get(use, "value to learn from")
            raise SourceError(
                f"{self.source.label}: column {column.name!r} of {self.relation.what} cannot be "
                f"read ({column.why}), where a {due} is due; name another one in the columns file"
            )
        return column.name

    def _spelled(self, wanted: str) -> str:
        found = spelled(wanted, list(self.found))
        if found is None:
            raise SourceError(
                f"{self.source.label}: {self.relation.what} has no column {wanted!r}, which "
                f"[{self.table.role}] of the columns file names (it has: {', '.join(self.found)}); "
                "correct the columns file (ROUTING_ML_COLUMNS)"
            )
        return found

    def _batch(self, values: Mapping[str, Values]) -> dict[str, pa.Array]:
        """The standard columns and attributes of a batch, typed; times in minutes for one piece."""
        arrays: dict[str, pa.Array] = {}
        for name, parts in self.parts.items():
            if name == "PROC_SEQ" and self._has_letters():
                arrays["PROC_SEQ"], arrays["PROC_SUB"] = self._told(
                    values, "PROC_SEQ", lambda given: typed.sequence(_listed(given))
                )
            elif len(parts) > 1:
                arrays[name] = self._joined(values, parts)
            else:
                arrays[name] = self._told(values, name, self._converter(name))
        return self._in_minutes(arrays, values)

    def _in_minutes(
        self, arrays: dict[str, pa.Array], values: Mapping[str, Values]
    ) -> dict[str, pa.Array]:
        """The batch with its times in minutes for one piece."""
        times = self.table.times
        factors = {
            name: self._told(values, name, lambda given: time_units.factors(_texts(given)))
            for name in UNITS
            if name in self.named
        }
        pieces: Any = times.per_quantity
        if "_PER" in self.named:
            as_numbers = self._converter("_PER")
            pieces = self._told(values, "_PER", lambda given: time_units.pieces(as_numbers(given)))
        if "PER_LOT" in self.named:  # such a time is for a lot, however many pieces that are
            lots = np.array([says_yes(flag) for flag in arrays["PER_LOT"].to_pylist()], bool)
            pieces = np.where(lots, 1.0, pieces)
        for name, factor, per in (
            ("RUN_TIME", factors.get("_RUN_UNIT", times.run_unit), pieces),
            ("SETUP_TIME", factors.get("_SETUP_UNIT", times.setup_unit), 1.0),
        ):
            if name in self.named:
                arrays[name] = time_units.minutes(arrays[name], factor, per)
        return arrays

    def _converter(self, name: str) -> Callable[[Values], pa.Array]:
        kind, column = self.kinds[name], self.found[self.parts[name][0]]

        def convert(given: Values) -> pa.Array:
            if kind in ("code", "text"):
                is_arrow = isinstance(given, pa.Array)
                texts = typed.converted(given, kind) if is_arrow else typed.array(given, kind)
                return typed.without_empty(texts)
            if isinstance(given, pa.Array):
                return typed.converted(given, kind)
            if column.kind == "number":
                # "12,5" may be a number in a column of texts; among numbers it is a fault.
                for row, value in enumerate(given):
                    if isinstance(value, str) and value.strip():
                        raise typed.ConversionError(row, value, kind)
            return typed.array(given, kind)

        return convert

    def _joined(self, values: Mapping[str, Values], parts: Sequence[str]) -> pa.Array:
        """A key of several columns; missing where one of them is."""
        columns = [typed.array(_listed(values[part]), "code").to_pylist() for part in parts]
        return typed.array(
            [
                None
                if any(part is None or not part.strip() for part in row)
                else JOINED_BY.join(part.strip() for part in row)
                for row in zip(*columns, strict=True)
            ],
            "code",
        )

    def _told(
        self, values: Mapping[str, Values], name: str, convert: Callable[[Values], Any]
    ) -> Any:
        """What `convert` makes of a column, or an error that names item, column and values."""
        column = self.parts[name][0]
        try:
            return convert(values[column])
        except typed.ConversionError as error:
            wrong = [(error.row, error.value)]
            wrong += _further(values[column], error.row, convert)
            codes = [_listed(values[part]) for part in self.parts["ITEM_CD"]]
            (row, value), *others = wrong
            also = ", ".join(f"{_short(v)} of item {_code(codes, r)}" for r, v in others)
            raise SourceError(
                f"{self.source.label}: {self.relation.what}, item {_code(codes, row)}: {column} is "
                f"{_short(value)}{f' (also {also})' if also else ''}, where a {error.kind} is due; "
                "correct it in the ERP, or name another column in the columns file"
                + (", or add it to [items] ignore" if self.table.role == "items" else "")
            ) from error

    def _counting(self, arrays: Mapping[str, pa.Array], dropped: Counter[str]) -> pa.RecordBatch:
        """The rows of a batch that count at the as-of."""
        batch = pa.RecordBatch.from_arrays(
            [arrays[name] for name in self.schema.names], schema=self.schema
        )
        keep = np.ones(batch.num_rows, bool)
        if "_STATUS" in self.named:
            active = {value.strip().casefold() for value in self.table.active}
            status = [(value or "").strip().casefold() for value in arrays["_STATUS"].to_pylist()]
            wrong = np.array([one not in active for one in status], bool)
            _drop(keep, wrong, dropped, "not active")
        as_of = typed.integers(typed.array([self.as_of], "date"))[0]
        for name, reason in (
            ("_VALID_FROM", "not yet valid at the as-of"),
            ("_VALID_TO", "no longer valid at the as-of"),
            (self.entered or "", "entered after the as-of"),
        ):
            if name in self.named:
                moments = _moments(arrays[name])
                if name == "_VALID_TO":  # a date alone is valid to its end
                    ends = np.where(moments % DAY_US, moments, moments + DAY_US - 1)
                    wrong = ends < as_of
                else:
                    wrong = moments > as_of
                _drop(keep, typed.valid(arrays[name]) & wrong, dropped, reason)
        if keep.all():
            return batch
        bits = pa.py_buffer(np.packbits(keep, bitorder="little"))
        return batch.filter(pa.Array.from_buffers(pa.bool_(), len(keep), [None, bits]))


def _times(table: Table) -> dict[str, tuple[str, ...]]:
    """The columns that give times their meaning."""
    times = table.times
    named = {
        "_RUN_UNIT": times.run_unit,
        "_SETUP_UNIT": times.setup_unit,
        "_PER": times.per_quantity,
    }
    return {name: (column,) for name, column in named.items() if isinstance(column, str)}


def _drop(keep: np.ndarray, wrong: np.ndarray, dropped: Counter[str], reason: str) -> None:
    gone = int((keep & wrong).sum())
    if gone:
        dropped[reason] += gone
        keep &= ~wrong


def _moments(moments: pa.Array) -> np.ndarray:
    return np.frombuffer(moments.buffers()[1], np.int64, len(moments), moments.offset * 8)


def _texts(values: Values) -> pa.Array:
    return typed.array(_listed(values), "code")


def _listed(values: Values) -> Sequence[Any]:
    return values.to_pylist() if isinstance(values, pa.Array) else values


def _further(values: Values, row: int, convert: Callable[[Values], Any]) -> list[tuple[int, Any]]:
    """More values of the batch that cannot be converted, so that not one a run is found."""
    found: list[tuple[int, Any]] = []
    if isinstance(values, pa.Array):
        return found
    for later in range(row + 1, len(values)):
        if len(found) == SHOWN_VALUES - 1:
            break
        try:
            convert(values[later : later + 1])
        except (typed.ConversionError, ValueError, IndexError):
            found.append((later, values[later]))
    return found


def _code(codes: Sequence[Sequence[Any]], row: int) -> str:
    return JOINED_BY.join(repr(part[row]) if len(codes) == 1 else str(part[row]) for part in codes)


def _short(value: object) -> str:
    shown = repr(value)
    if len(shown) > SHOWN_CHARACTERS:
        shown = f"{shown[:SHOWN_CHARACTERS]}... ({len(shown):,} characters)"
    return shown
