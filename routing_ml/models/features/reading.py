"""The columns of an items frame, read one by one as normalised texts, numbers, dates and runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from routing_ml.dataset import FACTORS
from routing_ml.models.features import earlier, text

MAX_SLOTS = 4  # numbers of an AxBxC run
MAX_SIZE = 1e30  # of a number: more is a misprint, and its square or float32 would overflow
MIN_SIZE = 1e-30  # but for 0, which less is taken for: differences of such would be 0


class Reading(Protocol):
    """A way to read a normalised text."""

    def words(self, text: str, /) -> frozenset[str]:
        """Its words."""

    def run(self, text: str, /) -> tuple[float, ...]:
        """The numbers of its first AxBxC run."""

    def named_numbers(self, text: str, /) -> Mapping[str, float]:
        """Its numbers behind a name."""


EARLIER, READING = 1, 2  # of models saved by 2.1.0 and for a while after; of what is learned now
READINGS: Mapping[int, Reading] = {EARLIER: earlier, READING: text}


@dataclass(frozen=True)
class Number:
    """A number: `kind` is value, run (slot of AxBxC) or named (`DN50`); date and entered are of
    models of 2.1.0 and before.

    `fallback` is (text column, slot) where this number is also written, or None. `newest` is for
    entered: the last day that was seen, taken for items without one. Below `low` or above `high`
    a value is new.
    """

    name: str
    column: str
    kind: str
    unit: str | None = None
    usual_factor: float = 1.0
    slot: int = 0
    key: str = ""
    fallback: tuple[str, int] | None = None
    newest: float = 0.0
    low: float = -MAX_SIZE
    high: float = MAX_SIZE


class Source:
    """The columns of an items frame, each read, made unique and normalised once."""

    def __init__(self, items: pd.DataFrame, reading: Reading = text) -> None:
        self.items, self.rows, self.reading = items, len(items), reading
        # a single row is read cell by cell: a tenth of the time of pandas' columns
        self._alone = (
            {name: items.iat[0, k] for k, name in enumerate(items.columns)}
            if len(items) == 1
            else None
        )
        self._unique: dict[str, tuple[list[str], np.ndarray]] = {}
        self._runs: dict[str, np.ndarray] = {}

    def unique(self, column: str) -> tuple[list[str], np.ndarray]:
        """Normalised distinct texts, and which of them each row has."""
        if column not in self._unique:
            if self._alone is not None:
                spelled = text.normalise(_plain(self._alone.get(column)))
                self._unique[column] = [spelled], np.zeros(1, np.intp)
            else:
                self._unique[column] = unique(self.items, column)
        return self._unique[column]

    def runs(self, column: str) -> np.ndarray:
        """The AxBxC runs of a text column: (rows, MAX_SLOTS), NaN where there is none."""
        if column not in self._runs:
            values, inverse = self.unique(column)
            found = np.full((len(values), MAX_SLOTS), np.nan)
            for i, value in enumerate(values):
                slots = self.reading.run(value)[:MAX_SLOTS] if value else ()
                found[i, : len(slots)] = slots
            self._runs[column] = found[inverse]
        return self._runs[column]

    def floats(self, column: str) -> np.ndarray:
        """The column as numbers; texts are parsed, what is no number is NaN."""
        if column not in self.items:
            return np.full(self.rows, np.nan)
        if self._alone is not None:
            value = _plain(self._alone[column])
            # among other objects a yes or no is read as a text, as it is in a column of them
            spoken = isinstance(value, bool) and self.items[column].dtype == object
            if isinstance(value, int | float) and not spoken:
                known = not isinstance(value, float) or math.isfinite(value)
                return np.array([max(-MAX_SIZE, min(MAX_SIZE, value)) if known else np.nan], float)
            return _bounded(np.array([text.number(text.normalise(value))]))
        values = self.items[column]
        if pd.api.types.is_numeric_dtype(values):
            numbers = values.to_numpy(np.float64, na_value=np.nan)
            return _bounded(np.where(np.isfinite(numbers), numbers, np.nan))
        values_, inverse = self.unique(column)
        return _bounded(np.array([text.number(value) for value in values_], np.float64))[inverse]

    def days(self, column: str) -> np.ndarray:
        """A date column as days since 1970; NaN where missing or no date."""
        if column not in self.items:
            return np.full(self.rows, np.nan)
        values = self.items[column]
        if not pd.api.types.is_datetime64_any_dtype(values):
            if pd.api.types.is_numeric_dtype(values):
                return np.full(self.rows, np.nan)
            values = pd.to_datetime(values, errors="coerce", format="mixed", utc=True)
        if getattr(values.dtype, "tz", None) is not None:
            values = values.dt.tz_localize(None)
        seconds = values.to_numpy("datetime64[s]")
        return np.where(np.isnat(seconds), np.nan, seconds.astype(np.int64) / 86_400.0)


class Without(Source):
    """One row as often as there are `sets` of columns, each time without these."""

    def __init__(
        self, row: pd.DataFrame, sets: Sequence[Collection[str]], reading: Reading = text
    ) -> None:
        super().__init__(row, reading)
        self.rows, self._sets = len(sets), sets

    def unique(self, column: str) -> tuple[list[str], np.ndarray]:
        """As of one of many rows; nothing where the column is left out."""
        (value,), _ = super().unique(column)
        return [value, ""], self._out(column).astype(np.intp)

    def floats(self, column: str) -> np.ndarray:
        """The same of numbers."""
        return np.where(self._out(column), np.nan, super().floats(column))

    def days(self, column: str) -> np.ndarray:
        """The same of days."""
        return np.where(self._out(column), np.nan, super().days(column))

    def _out(self, column: str) -> np.ndarray:
        return np.array([column in out for out in self._sets], bool)


def unique(items: pd.DataFrame, column: str) -> tuple[list[str], np.ndarray]:
    """Normalised distinct texts of a column, and which of them each row has."""
    if column not in items:
        return [""], np.zeros(len(items), np.intp)
    found = items[column]
    if found.dtype == object:  # of mixed types, in which True, 1 and 1.0 would be one
        found = pd.Series([_alone(value) for value in found], dtype=object)
    codes, values = pd.factorize(found, use_na_sentinel=True)
    spelled = [text.normalise(_plain(value)) for value in values]
    return [*spelled, ""], np.where(codes < 0, len(spelled), codes)


def _alone(value: Any) -> Any:
    """A value that equals no value of another type; of a list or an object, as JSON may hold, its
    text."""
    if not pd.api.types.is_scalar(value):
        return str(value)
    return value if isinstance(value, str) or pd.isna(value) else text.normalise(_plain(value))


def _plain(value: Any) -> Any:
    """None for every kind of missing; a Python value for numpy's."""
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    return value.item() if isinstance(value, np.generic) else value


def _bounded(values: np.ndarray) -> np.ndarray:
    return np.clip(np.where(np.abs(values) < MIN_SIZE, 0.0, values), -MAX_SIZE, MAX_SIZE)


def read_number(number: Number, source: Source) -> np.ndarray:
    values = READERS[number.kind](number, source)
    if number.fallback is not None:
        column, slot = number.fallback
        values = np.where(np.isnan(values), source.runs(column)[:, slot], values)
    return _bounded(values)


def _read_value(number: Number, source: Source) -> np.ndarray:
    values = source.floats(number.column)
    if number.unit is None:
        return values
    units, inverse = source.unique(number.unit)
    factors = np.array([FACTORS.get(unit, number.usual_factor) for unit in units])
    return values * factors[inverse]


def _read_named(number: Number, source: Source) -> np.ndarray:
    values, inverse = source.unique(number.column)
    found = [source.reading.named_numbers(value).get(number.key, np.nan) for value in values]
    return np.array(found, np.float64)[inverse]


READERS: dict[str, Callable[[Number, Source], np.ndarray]] = {
    "value": _read_value,
    "date": lambda number, source: source.days(number.column),
    "entered": lambda number, source: np.nan_to_num(source.days(number.column), nan=number.newest),
    "run": lambda number, source: source.runs(number.column)[:, number.slot],
    "named": _read_named,
}
