"""How the columns of items were filled at training, for what a fault in the data makes of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routing_ml.drift import kept
from routing_ml.errors import ModelError

PROFILE_FILE = "data_profile.json"
NEWEST = 0.2  # of the families: looked at as if they were new, for what is usual among new ones
LOW, HIGH = 0.01, 0.99  # quantiles between which a number is an ordinary one
SMALL, LARGE = 0.1, 0.9  # and beyond which nearly all of a column in another unit are
LEAST_DISTINCT = 8  # numbers with fewer values have no unit
MOST_CATEGORIES = 5_000
MOST_UNKNOWN = 0.3  # of new families: a column with more new texts is no list of categories
Rate = tuple[int, int]  # families of how many


@dataclass(frozen=True)
class Column:
    """One column: `missing`; of numbers `outside`, `below` and `above`; of categories `respelled`
    and `unknown` are how many families of how many new ones were so. `low`, `small`, `middle`,
    `large` and `high` are quantiles of the logs of positive numbers, which are outside beyond the
    outer ones, below or above beyond the inner ones; `categories` the spellings. None where it is
    no such column."""

    missing: Rate
    outside: Rate | None = None
    below: Rate = (0, 0)
    above: Rate = (0, 0)
    low: float = 0.0
    small: float = 0.0
    middle: float = 0.0
    large: float = 0.0
    high: float = 0.0
    numeric: bool = False
    categories: tuple[str, ...] | None = None
    respelled: Rate = (0, 0)
    unknown: Rate = (0, 0)


@dataclass(frozen=True)
class Profile:
    """The columns of the items that a model was fitted on; `kind` is the most telling one."""

    columns: dict[str, Column]
    kind: str | None = None

    @classmethod
    def fit(
        cls, items: pd.DataFrame, families: Iterable[Hashable], *, kind: str | None = None
    ) -> Self:
        """Of items (n rows) in order of entry with the family of each: every column but dates and
        `ITEM_CD`. The newest fifth of the families is measured against the others, as what is
        usual among new items. Raises ModelError without items."""
        if not len(items):
            raise ModelError("no items for the profile of the data: train on more items")
        family = pd.factorize(np.array([str(f) for f in families], object))[0]
        new = family >= (1 - NEWEST) * (int(family.max()) + 1)
        columns = {}
        for name in items.columns:
            values = items[name]
            if name == "ITEM_CD" or pd.api.types.is_datetime64_any_dtype(values):
                continue
            number = pd.api.types.is_numeric_dtype(values)
            columns[str(name)] = (_number if number else _text)(values, family, new)
        return cls(columns).told_by(kind)

    def told_by(self, kind: str | None) -> Self:
        """The same with the most telling column of a model, None where it is none of these."""
        return replace(self, kind=kind if kind in self.columns else None)

    def save(self, path: Path) -> Path:
        """Write it to `path`, in a folder as data_profile.json; returns the file."""
        return kept.save(path, PROFILE_FILE, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; ModelError when it is not that."""
        with kept.reading(path, PROFILE_FILE, "profile of the data") as value:
            columns = {str(name): _column(plain) for name, plain in value["columns"].items()}
            kind = value["kind"]
            if kind is not None and kind not in columns:
                raise ValueError(f"no column {kind}")
        return cls(columns, kind)


def numbers(values: pd.Series) -> NDArray[np.float64]:
    """A column's numbers (n,), NaN for what is none."""
    return pd.to_numeric(values, errors="coerce").to_numpy(float, na_value=np.nan)


def texts(values: pd.Series) -> list[str | None]:
    """A column's values (n,) as text, None for what is missing or empty; 1.0 is '1'."""
    found: list[str | None] = []
    for value in values.tolist():
        if value is None or value is pd.NA or value != value or str(value).strip() == "":
            found.append(None)
        else:
            whole = isinstance(value, float) and value.is_integer()
            found.append(str(int(value)) if whole else str(value))
    return found


def spelling(text: str) -> str:
    """What two spellings of a category have in common: letters and digits, whatever their case and
    width.

    >>> spelling("Sus-304 ") == spelling("ＳＵＳ３０４")
    True
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(each for each in folded if each.isalnum()) or folded.strip()


def rate(
    hit: NDArray[np.bool_], family: NDArray[np.int64], among: NDArray[np.bool_]
) -> tuple[Rate, float]:
    """How many families, each counted by its share of `hit` (n,), of those that are `among` (n,),
    in whole ones; and the share itself, 0 where there are none."""
    of = np.unique(family[among], return_inverse=True)[1]
    if not len(of):
        return (0, 0), 0.0
    shares = np.bincount(of, hit[among].astype(float)) / np.bincount(of)
    return (int(shares.sum() + 1e-9), len(shares)), float(shares.mean())


def _number(values: pd.Series, family: NDArray[np.int64], new: NDArray[np.bool_]) -> Column:
    given = numbers(values)
    there = np.isfinite(given)
    positive = there & (given > 0)
    missing = _missing(~there, family, new)
    distinct = len(np.unique(given[positive]))
    if distinct < LEAST_DISTINCT or not (positive & ~new).any():
        return Column(missing, numeric=True)
    logs = np.log(given, where=positive, out=np.zeros(len(given)))
    at = [LOW, SMALL, 0.5, LARGE, HIGH]
    low, small, _, large, high = np.quantile(logs[positive & ~new], at)
    outside, below, above = (
        rate(beyond, family, positive & new)[0]
        for beyond in ((logs < low) | (logs > high), logs < small, logs > large)
    )
    low, small, middle, large, high = np.quantile(logs[positive], at).tolist()
    return Column(missing, outside, below, above, low, small, middle, large, high, numeric=True)


def _text(values: pd.Series, family: NDArray[np.int64], new: NDArray[np.bool_]) -> Column:
    given = texts(values)
    there = np.array([text is not None for text in given])
    missing = _missing(~there, family, new)
    old = {text for text, late in zip(given, new, strict=True) if text is not None and not late}
    every = sorted({text for text in given if text is not None})
    alike = {spelling(text) for text in old}
    otherwise = {text for text in every if text not in old and spelling(text) in alike}
    strange = np.array([text is not None and text not in old for text in given])
    unknown, share = rate(strange, family, there & new)
    respelled, _ = rate(np.array([text in otherwise for text in given]), family, there & new)
    if share > MOST_UNKNOWN or len(every) > MOST_CATEGORIES or not old:
        return Column(missing)
    return Column(missing, categories=tuple(every), respelled=respelled, unknown=unknown)


def _missing(gone: NDArray[np.bool_], family: NDArray[np.int64], new: NDArray[np.bool_]) -> Rate:
    """Among the newest families or all, wherever more is missing."""
    late, late_share = rate(gone, family, new)
    ever, share = rate(gone, family, np.ones(len(gone), bool))
    return late if late_share > share else ever


def _column(plain: dict[str, Any]) -> Column:
    categories, outside = plain["categories"], plain["outside"]
    return Column(
        missing=_rate(plain["missing"]),
        outside=None if outside is None else _rate(outside),
        below=_rate(plain["below"]),
        above=_rate(plain["above"]),
        low=float(plain["low"]),
        small=float(plain["small"]),
        middle=float(plain["middle"]),
        large=float(plain["large"]),
        high=float(plain["high"]),
        numeric=bool(plain["numeric"]),
        categories=None if categories is None else tuple(str(each) for each in categories),
        respelled=_rate(plain["respelled"]),
        unknown=_rate(plain["unknown"]),
    )


def _rate(plain: Sequence[int]) -> Rate:
    hit, of = (int(each) for each in plain)
    if not 0 <= hit <= of:
        raise ValueError(f"{hit} of {of} families")
    return hit, of
