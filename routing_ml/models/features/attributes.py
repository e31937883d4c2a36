"""An item master as it is -> clean columns: category codes, numbers in one unit, words, dates.

Which column is what is learned from the values at fit, so that a factory with other attributes
needs no code: texts of few values are categories, texts of many are words and numbers, a text
column that holds numbers is a number, or a category where these are codes. Missing categories are
filled from columns that determine them, missing numbers from the dimensions written in a text.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd

from routing_ml.dataset import FACTORS
from routing_ml.models.features import text
from routing_ml.models.features.coded import spelled_as_code, tells_as_code
from routing_ml.models.features.reading import (
    EARLIER,
    MAX_SIZE,
    MAX_SLOTS,
    READERS,
    READING,
    READINGS,
    Number,
    Source,
    Without,
    read_number,
    unique,
)
from routing_ml.models.storage import Stored

MISSING, UNSEEN = -1, -2
GIVEN, ABSENT, NEW, RARE, FEW = range(5)  # the state of an attribute of an item
USUAL_ITEMS = 3  # of a value, on average
SELDOM = 20  # fitted items of a value, under which it is one of few; under MIN_COUNT it is rare
MIN_COUNT = 3  # items in which a word or a yes/no feature must occur
MAX_CATEGORY_SHARE = 0.5  # distinct values per filled row: above, a text is no category
MIN_TEXT_SHARE = 0.3  # above, a text of words is read as such
MAX_WORDS = 400  # per text column, the commonest
MAX_NEW_WORDS = 0.02  # of the texts have a word that no other has: above, a new one tells nothing
LEAST_LETTERS = 3  # of a word that may be new: shorter ones are marks and abbreviations
MAX_NAMED = 8  # "DN50"-like numbers per text column
FEW_VALUES = 50
STEPS = 12  # values of a number, up to which it is a category too
SAMPLE_ROWS = 20_000  # dependencies between columns are learned from no more
PURITY = 0.98  # share of rows in which one column determines another
MIN_DETERMINED = 5  # rows of a value that determines one
MAX_MODE = 0.9  # a column that is nearly constant is determined by anything: not filled
MAX_FILLS = 3  # determining columns kept for one category
BEYOND = 0.5  # of the fitted range, on either side: a number further out is new


class Attributes(Protocol):
    """What the columns file says about the item table."""

    @property
    def text(self) -> Sequence[str]:
        """Columns of free text."""

    @property
    def units(self) -> Mapping[str, str]:
        """Column -> the column that holds its unit."""


class Made(NamedTuple):
    """How items are made: their `operations` (n, L) of 0 and 1, and the `families` (n,) of them
    that are made alike."""

    operations: np.ndarray
    families: np.ndarray


@dataclass(frozen=True)
class Prepared:
    """`n` items: `codes` (n, C) int32, `numbers` (n, M) float64 with NaN, `words` (n, W) uint8.

    A code is MISSING (-1), UNSEEN (-2) or an index into the values. `states` (n, C + M + T) uint8
    of categories, numbers, texts: GIVEN, ABSENT, NEW: a value that no fitted item had, a number far
    beyond theirs, a text without a word of theirs, or with a plain one that is none of theirs where
    that is seldom; RARE or FEW: a value of fewer than three or
    twenty of them.
    """

    codes: np.ndarray
    numbers: np.ndarray
    words: np.ndarray
    states: np.ndarray

    def some(self, most: int) -> Prepared:
        """At most `most` of the items, evenly spread."""
        return self.at(np.arange(0, len(self.codes), max(1, -(-len(self.codes) // most))))

    def at(self, rows: np.ndarray | slice) -> Prepared:
        """These items alone."""
        return Prepared(*(part[rows] for part in self._parts))

    @classmethod
    def joined(cls, some: Sequence[Prepared]) -> Prepared:
        """All the items of `some`, one after the other."""
        return cls(*map(np.concatenate, zip(*(one._parts for one in some), strict=True)))

    def repeat(self, count: int) -> Prepared:
        """Every item `count` times, one after the other."""
        return Prepared(*(np.repeat(part, count, axis=0) for part in self._parts))

    @property
    def _parts(self) -> tuple[np.ndarray, ...]:
        return self.codes, self.numbers, self.words, self.states


@dataclass(frozen=True)
class Category:
    """A column of few values, the commonest first, and the fitted items of each (`counts`);
    `fills` are (other category, its code -> code of this or -1)."""

    column: str
    values: list[str]
    counts: list[int]
    fills: list[tuple[int, list[int]]] = field(default_factory=list)


@dataclass(frozen=True)
class Words:
    """A free-text column and the words kept of it, the commonest first; `known` are all that are
    `_plain`, those of letters alone and those with digits, such as grades, each only where another
    one comes so seldom that it tells something new."""

    column: str
    words: list[str]
    known: list[str] = field(default_factory=list)


class Encoder:
    """Learns the columns of an item table; then turns any items into a `Prepared`."""

    def __init__(
        self,
        categories: list[Category],
        numbers: list[Number],
        texts: list[Words],
        reading: int = READING,
    ) -> None:
        self.categories, self.numbers, self.texts = categories, numbers, texts
        self.reading = reading
        self._read = READINGS[reading]
        self._numeric = {number.column for number in numbers if number.kind == "value"}
        self._codes = [{value: i for i, value in enumerate(c.values)} for c in categories]
        # by code, of which the last two count from the end: UNSEEN, MISSING
        self._states = [
            state_of(np.r_[: len(c.counts), UNSEEN, MISSING], np.array([*c.counts, 0, 0]))
            for c in categories
        ]
        self._low = np.array([n.low for n in numbers], float)
        self._high = np.array([n.high for n in numbers], float)
        self._fills = [
            [(other, np.array(table, np.int32)) for other, table in c.fills] for c in categories
        ]
        starts = np.cumsum([0, *(len(t.words) for t in texts)])
        self._word_at = [
            {word: int(start) + i for i, word in enumerate(t.words)}
            for t, start in zip(texts, starts, strict=False)
        ]
        self.words = int(starts[-1])
        self._known = [
            {digits: frozenset(_plain(written.known, digits)) for digits in (False, True)}
            for written in texts
        ]

    @classmethod
    def fit(cls, items: pd.DataFrame, attributes: Attributes, made: Made | None = None) -> Encoder:
        """Learn from `items` (ITEM_CD, INSRT_DT and attributes under any names), and, of how they
        are `made`, which whole numbers are codes: none without.

        Dates are no attributes: whatever is new lies beyond all that were learned from. On a real
        shop's log the entry date alone cost .19 of F1.
        """
        categories: list[Category] = []
        numbers: list[Number] = []
        texts: list[Words] = []
        source = Source(items)

        def coded(column: str) -> bool:
            return made is not None and tells_as_code(source.floats(column), *made)

        for column in items.columns:
            values = items[column]
            dated = pd.api.types.is_datetime64_any_dtype(values)
            if column in ("ITEM_CD", "INSRT_DT") or dated or values.isna().all():
                continue
            if pd.api.types.is_numeric_dtype(values):
                numbers.append(_number(items, column, attributes))
                truth = pd.api.types.is_bool_dtype(values)  # both values of it are known
                if truth or attributes.units.get(column):
                    continue
                if values.nunique() <= STEPS or coded(column):
                    _fit_category(column, _counted(*unique(items, column)), categories)
            else:
                _fit_text(items, column, attributes, coded, categories, numbers, texts)
        bare = cls(categories, numbers, texts)
        bounded = [_bounded(number, source) for number in _fallbacks(bare, items)]
        return cls(bare._learn_fills(items), bounded, texts)

    @property
    def columns(self) -> list[str]:
        """The column that each attribute is read from: categories, numbers, texts."""
        return [
            *(category.column for category in self.categories),
            *(number.column for number in self.numbers),
            *(written.column for written in self.texts),
        ]

    @property
    def labels(self) -> list[str]:
        """What each attribute is called, no two alike."""
        return [
            *(f"is {category.column}" for category in self.categories),
            *(f"number {number.name}" for number in self.numbers),
            *(f"text {written.column}" for written in self.texts),
        ]

    def transform(self, items: pd.DataFrame) -> Prepared:
        """Any items, also with columns missing, added or of another type, as clean columns."""
        return self._prepared(Source(items, self._read))

    def without(self, row: pd.DataFrame, sets: Sequence[Collection[str]]) -> Prepared:
        """One item without each of the sets of columns, one after the other."""
        return self._prepared(Without(row, sets, self._read))

    def _prepared(self, source: Source) -> Prepared:
        codes = self._raw_codes(source)
        filled = codes.copy()
        for i, fills in enumerate(self._fills):
            for other, table in fills:
                empty = (filled[:, i] == MISSING) & (codes[:, other] >= 0)
                if empty.any():
                    guess = table[codes[empty, other]]
                    filled[empty, i] = np.where(guess >= 0, guess, filled[empty, i])
        numbers = np.full((source.rows, len(self.numbers)), np.nan)
        for i, number in enumerate(self.numbers):
            numbers[:, i] = read_number(number, source)
        words = np.zeros((source.rows, self.words), np.uint8)
        for written, index in zip(self.texts, self._word_at, strict=True):
            _mark_words(source, written.column, index, words)
        states = np.concatenate(
            [
                np.stack([of[filled[:, i]] for i, of in enumerate(self._states)], axis=1)
                if self._states
                else np.zeros((source.rows, 0)),
                np.where(np.isnan(numbers), ABSENT, self._beyond(numbers)),
                self._text_states(source, words),
            ],
            axis=1,
        )
        return Prepared(filled, numbers, words, states.astype(np.uint8))

    def taken_from_texts(self, items: pd.DataFrame) -> dict[str, str]:
        """The numbers that the first item has not in their own columns, whatever may stand there,
        and the text that each may be written in."""
        source = Source(items, self._read)
        return {
            number.name: number.fallback[0]
            for number in self.numbers
            if number.fallback and np.isnan(READERS[number.kind](number, source)[0])
        }

    def supposing(self, items: Prepared, column: int, codes: np.ndarray) -> Prepared:
        """One item `items`, once for each of the `codes` (k,) that its category `column` is
        supposed to have, with what that implies of other categories."""
        found = items.repeat(len(codes))
        found.codes[:, column] = codes
        for i, fills in enumerate(self._fills):
            for other, table in fills:
                if other == column and items.codes[0, i] == MISSING:
                    guess = table[codes]
                    found.codes[:, i] = np.where(guess >= 0, guess, found.codes[:, i])
            found.states[:, i] = self._states[i][found.codes[:, i]]
        return found

    def _beyond(self, numbers: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return np.where((numbers < self._low) | (numbers > self._high), NEW, GIVEN)

    def _text_states(self, source: Source, words: np.ndarray) -> np.ndarray:
        states = np.full((source.rows, len(self.texts)), GIVEN)
        start = 0
        for i, written in enumerate(self.texts):
            values, inverse = source.unique(written.column)
            end = start + len(written.words)
            said = words[:, start:end].any(axis=1)
            for row in np.flatnonzero(~said).tolist():
                value = values[inverse[row]]
                if not value:
                    states[row, i] = ABSENT
                elif written.words and self._read.words(value):
                    states[row, i] = NEW
            for digits, known in self._known[i].items():
                if known:
                    new = [bool(_plain(self._read.words(v), digits) - known) for v in values]
                    states[np.array(new, bool)[inverse], i] = NEW
            start = end
        return states

    def facts(self) -> dict[str, Any]:
        """JSON-able; the inverse of `from_facts`."""
        return {
            "categories": [asdict(category) for category in self.categories],
            "numbers": [asdict(number) for number in self.numbers],
            "texts": [asdict(words) for words in self.texts],
            "reading": self.reading,
        }

    @classmethod
    def from_facts(cls, stored: Stored) -> Encoder:
        """The encoder of a stored model; ModelError where an entry cannot be."""
        categories = []
        records = stored.records("categories", {"column": str, "values": list, "fills": list})
        for record in records:
            fills = []
            for fill in record["fills"]:
                _check_fill(stored, fill, records, len(record["values"]))
                fills.append((fill[0], fill[1]))
            _check_strings(stored, "categories", record["values"])
            known = [SELDOM] * len(record["values"])  # models of 2.1.0 have no counts
            counts = known if stored.format == 1 else record.get("counts", [])
            good = _is(counts, list, len(known)) and all(type(c) is int for c in counts)
            if not good or not all(0 < c < MAX_SIZE for c in counts):
                stored.refuse("categories", "has counts that are no whole numbers above 0")
            categories.append(Category(record["column"], record["values"], counts, fills))
        numbers = []
        fields = {"name": str, "column": str, "kind": str, "slot": int, "key": str}
        for record in stored.records(
            "numbers", {**fields, "usual_factor": (int, float), "newest": (int, float)}
        ):
            if record["kind"] not in READERS or set(record) - set(Number.__dataclass_fields__):
                stored.refuse("numbers", f"has an unknown kind or field: {record['kind']!r}")
            fallback = record.get("fallback")
            if fallback is not None:
                if not (_is(fallback, list, 2) and _is(fallback[0], str) and _is(fallback[1], int)):
                    stored.refuse("numbers", "has a fallback that is no (column, slot)")
                fallback = (fallback[0], fallback[1])
            bounds = [
                record.get(side, edge) for side, edge in (("low", -MAX_SIZE), ("high", MAX_SIZE))
            ]
            if not all(_is(bound, float) and math.isfinite(bound) for bound in bounds):
                stored.refuse("numbers", "has bounds that are no numbers")
            if not isinstance(record.get("unit"), str | None):
                stored.refuse("numbers", "has a unit that is no column")
            numbers.append(Number(**{**record, "fallback": fallback}))
        texts = []
        for record in stored.records("texts", {"column": str, "words": list}):
            known = record.get("known", [])
            if not isinstance(known, list):
                stored.refuse("texts", "has known words that are no list")
            _check_strings(stored, "texts", [*record["words"], *known])
            texts.append(Words(record["column"], record["words"], known))
        reading = stored.fact("reading", int, EARLIER)
        if reading not in READINGS:
            stored.refuse("reading", f"is {reading}, of another release")
        return cls(categories, numbers, texts, reading)

    def _raw_codes(self, source: Source) -> np.ndarray:
        """(n, C) codes before anything is filled."""
        codes = np.empty((source.rows, len(self.categories)), np.int32)
        for i, (category, index) in enumerate(zip(self.categories, self._codes, strict=True)):
            values, inverse = source.unique(category.column)
            if category.column in self._numeric:  # of a text "007" is another code than "7"
                values = [_as_number(value, index) for value in values]
            known = [index.get(value, UNSEEN) if value else MISSING for value in values]
            codes[:, i] = np.array(known, np.int32)[inverse]
        return codes

    def _learn_fills(self, items: pd.DataFrame) -> list[Category]:
        """Which categories determine which: filling them was worth 1.5 points of exact match."""
        sample = items.iloc[:: max(1, -(-len(items) // SAMPLE_ROWS))]
        codes = self._raw_codes(Source(sample))
        filled = []
        for i, category in enumerate(self.categories):
            size = len(category.values)
            counts = np.bincount(codes[codes[:, i] >= 0, i], minlength=1)
            # also where nothing is missing yet: an item with fewer columns may come
            if counts.max() > MAX_MODE * counts.sum():
                filled.append(category)
                continue
            options = []
            for other, source in enumerate(self.categories):
                both = (codes[:, i] >= 0) & (codes[:, other] >= 0)
                if other == i or both.sum() < 20 or len(source.values) * size > 4_000_000:
                    continue
                flat = codes[both, other].astype(np.int64) * size + codes[both, i]
                table = np.bincount(flat, minlength=len(source.values) * size)
                table = table.reshape(len(source.values), size)
                best, total = table.max(axis=1), table.sum(axis=1)
                sure = (best >= PURITY * total) & (total >= MIN_DETERMINED)
                covered = total[sure].sum()
                if covered >= 0.2 * both.sum():
                    guess = np.where(sure, table.argmax(axis=1), MISSING)
                    options.append((float(covered) * best[sure].sum() / covered, other, guess))
            options.sort(key=lambda option: (-option[0], option[1]))
            fills = [(other, guess.tolist()) for _, other, guess in options[:MAX_FILLS]]
            filled.append(replace(category, fills=fills))
        return filled


def state_of(codes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The state (n,) of a category's `codes` (n,), of whose values so many items are known; the
    last two of `counts` are for codes without a value. Where values come once or twice, as drawing
    numbers do, another one is nothing new."""
    if counts.sum() < USUAL_ITEMS * (counts > 0).sum():
        return np.where(codes == MISSING, ABSENT, GIVEN)
    known = counts[codes]
    return np.select(
        [codes == MISSING, (codes == UNSEEN) | (known == 0), known < MIN_COUNT, known < SELDOM],
        [ABSENT, NEW, RARE, FEW], GIVEN,
    )  # fmt: skip


def _number(items: pd.DataFrame, column: str, attributes: Attributes) -> Number:
    unit = attributes.units.get(column)
    unit = unit if unit in items.columns else None
    usual = 1.0
    if unit:
        values, inverse = unique(items, unit)
        counts = Counter(values[i] for i in inverse.tolist())
        known = [FACTORS[u] for u, _ in counts.most_common() if u in FACTORS]
        usual = known[0] if known else 1.0
    return Number(column, column, "value", unit=unit, usual_factor=usual)


def _fit_text(
    items: pd.DataFrame,
    column: str,
    attributes: Attributes,
    coded: Callable[[str], bool],
    categories: list[Category],
    numbers: list[Number],
    texts: list[Words],
) -> None:
    """Decide what a text column is; it may be a category and a text at once."""
    counts = _counted(*unique(items, column))
    filled = counts.total()
    if not filled:
        return
    declared = column in attributes.text
    parsed = sum(n for value, n in counts.items() if not np.isnan(text.number(value)))
    if not declared and parsed >= 0.95 * filled and len(counts) > STEPS:
        sized = attributes.units.get(column)
        if sized or not (spelled_as_code(counts) or coded(column)):
            numbers.append(_number(items, column, attributes))
            return
    few = len(counts) <= FEW_VALUES
    if few or (not declared and len(counts) <= MAX_CATEGORY_SHARE * filled):
        _fit_category(column, counts, categories)
    spaced = sum(n for value, n in counts.items() if " " in value)
    if declared or (len(counts) > MIN_TEXT_SHARE * filled and spaced > 0.5 * filled):
        _fit_words(column, counts, filled, numbers, texts)


def _counted(values: list[str], inverse: np.ndarray) -> Counter[str]:
    """How many rows have each text."""
    counts: Counter[str] = Counter()
    for value, count in zip(values, np.bincount(inverse, minlength=len(values)), strict=True):
        if value:
            counts[value] += int(count)
    return counts


def _fit_category(column: str, counts: Counter[str], categories: list[Category]) -> None:
    ordered = sorted(counts.items(), key=_by_count)
    if ordered and ordered[0][1] > 1:
        categories.append(Category(column, [v for v, _ in ordered], [n for _, n in ordered]))


def _as_number(value: str, index: Mapping[str, int]) -> str:
    """A text as the number that it spells, where it is none of `index`: "2,50" is 2.5."""
    return value if value in index else text.normalise(text.number(value)) or value


def _by_count(entry: tuple[str, int]) -> tuple[int, str]:
    return -entry[1], entry[0]


def _fit_words(
    column: str, counts: Counter[str], filled: int, numbers: list[Number], texts: list[Words]
) -> None:
    found: Counter[str] = Counter()
    named: Counter[str] = Counter()
    slots = np.zeros(MAX_SLOTS, int)
    for value, count in counts.items():
        for word in text.words(value):
            found[word] += count
        for name in text.named_numbers(value):
            named[name] += count
        slots[: len(text.run(value))] += count
    least = max(MIN_COUNT, filled // 2000)
    kept = [w for w, n in sorted(found.items(), key=_by_count) if least <= n < filled]
    known: set[str] = set()
    for digits in (False, True):
        alone = {word for word in _plain(found, digits) if found[word] == 1}
        seldom = sum(n for value, n in counts.items() if not alone.isdisjoint(text.words(value)))
        if seldom <= MAX_NEW_WORDS * filled:
            known |= _plain(found, digits)
    texts.append(Words(column, kept[:MAX_WORDS], sorted(known)))
    for slot in np.flatnonzero(slots >= max(20, filled // 100)).tolist():
        name = f"{column} number {slot + 1}"
        numbers.append(Number(name, column, "run", slot=slot))
    common = [n for n, c in sorted(named.items(), key=_by_count) if c >= max(20, filled // 100)]
    for name in common[:MAX_NAMED]:
        numbers.append(Number(f"{column} {name}", column, "named", key=name))


def _plain(words: Collection[str], digits: bool) -> set[str]:
    """Those of enough letters, and of nothing else, or of `digits` as well."""
    return {
        word
        for word in words
        if word.isalnum()
        and sum(map(str.isalpha, word)) >= LEAST_LETTERS
        and word.isalpha() is not digits
    }


def _fallbacks(encoder: Encoder, items: pd.DataFrame) -> list[Number]:
    """Where a number stands in a text as well, the text fills it and adds no number of its own."""
    source = Source(items.iloc[:: max(1, -(-len(items) // SAMPLE_ROWS))])
    slots = [n for n in encoder.numbers if n.kind == "run"]
    used = set()
    result = []
    for number in encoder.numbers:
        if number.kind == "value":
            values = read_number(number, source)
            for slot in slots:
                written = source.runs(slot.column)[:, slot.slot]
                both = ~np.isnan(values) & ~np.isnan(written)
                near = np.abs(values[both] - written[both]) <= 0.01 * np.abs(values[both])
                if both.sum() >= 20 and near.mean() >= 0.9:
                    number = replace(number, fallback=(slot.column, slot.slot))
                    used.add(slot)
                    break
        result.append(number)
    return [n for n in result if n not in used]


def _bounded(number: Number, source: Source) -> Number:
    """The number with the range beyond which a value is new: that of the fitted items and half as
    much again on either side, without the outermost two in a thousand, which may be misprints."""
    values = read_number(number, source)
    values = values[~np.isnan(values)]
    if not len(values):
        return number
    low, high = np.quantile(values, [0.001, 0.999]).tolist()
    reach = (high - low) * BEYOND
    return replace(number, low=float(low - reach), high=float(high + reach))


def _mark_words(source: Source, column: str, index: Mapping[str, int], words: np.ndarray) -> None:
    values, inverse = source.unique(column)
    rows, columns = [], []
    for i, value in enumerate(values):
        for word in source.reading.words(value) if value else ():
            at = index.get(word)
            if at is not None:
                rows.append(i)
                columns.append(at)
    marks = np.zeros((len(values), words.shape[1]), np.uint8)
    marks[rows, columns] = 1
    words |= marks[inverse]


def _is(value: Any, kind: type, length: int | None = None) -> bool:
    if not isinstance(value, kind) or isinstance(value, bool):
        return False
    return length is None or len(value) == length  # type: ignore[arg-type]


def _check_strings(stored: Stored, name: str, values: list) -> None:
    if not all(isinstance(value, str) for value in values):
        stored.refuse(name, "holds something that is no text")


def _check_fill(stored: Stored, fill: Any, records: list[dict], size: int) -> None:
    good = _is(fill, list, 2) and _is(fill[0], int) and 0 <= fill[0] < len(records)
    good = good and _is(fill[1], list, len(records[fill[0]]["values"]))
    if not good or not all(_is(code, int) and MISSING <= code < size for code in fill[1]):
        stored.refuse("categories", "has a filling table out of range")
