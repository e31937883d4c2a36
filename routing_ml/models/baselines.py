"""Rules so simple that they need no learning: what any candidate has to be better than.

A factory may do without a model that proposes no better than taking the commonest routing, copying
the most alike item, or proposing the operations that most items have. These are fitted on just what
a candidate was fitted on and asked for the same items; they are no candidates and are never kept.
"""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
import pandas as pd

from routing_ml import dataset
from routing_ml.models.features.attributes import Attributes, Encoder
from routing_ml.models.features.gower import Gower
from routing_ml.models.features.text import normalise

COLUMNS = ["ITEM_CD", "PROC_SEQ", "JOB_CD", "RES_CD", "SETUP_TIME", "RUN_TIME"]
NO_ATTRIBUTES = ["ITEM_CD", "INSRT_DT"]
FOLDS = 5
ANY = -1  # of a value: missing, or not among the fitted items


class Commonest:
    """The commonest routing of the items with the same value in the most telling column.

    Most telling is the column, of few values or many, by which the most routings of held-out items
    are exactly right (five folds). A value that is missing or new gets the commonest routing of
    all. Times are the medians of the items with that value and routing, machines the commonest.
    """

    name: ClassVar[str] = "commonest"

    def fit(self, items: pd.DataFrame, routings: pd.DataFrame, *, attributes: Attributes) -> Self:
        """Learn from `items` and the newest routing of each; one without rows is left out."""
        items, rows = _routed(items, routings)
        routing = _routing_codes(rows)
        self.column_: str | None = None
        best, values = _held_out(np.full(len(items), ANY), routing), np.full(len(items), ANY)
        self.values_: dict[str, int] = {}
        for column in items.columns.difference(NO_ATTRIBUTES, sort=False):
            spelled = _spelled(items[column])
            codes, known = pd.factorize(spelled.mask(spelled == ""))
            right = _held_out(codes, routing)
            if right > best:
                best, values, self.column_ = right, codes, column
                self.values_ = {value: code for code, value in enumerate(known.tolist())}
        chosen = _commonest(values, routing)
        rows = rows.assign(
            key=values[rows["number"]], mine=routing[rows["number"]], everyones=chosen[ANY]
        )
        by_value = rows[(rows["key"] != ANY) & (chosen[rows["key"]] == rows["mine"])]
        overall = rows[rows["mine"] == rows["everyones"]].assign(key=ANY)
        self.routings_ = _typical(pd.concat([by_value, overall], ignore_index=True))
        return self

    @property
    def words(self) -> str:
        """What it does, as a person would say it."""
        alike = f" of the items with the same {self.column_}" if self.column_ else " of all"
        return f"taking the commonest routing{alike}"

    def predict(self, items: pd.DataFrame) -> pd.DataFrame:
        """Proposals: COLUMNS, a row per operation, items in the order given."""
        keys = np.full(len(items), ANY)
        if self.column_ in items:
            codes = _spelled(items[self.column_]).map(self.values_)
            keys = codes.fillna(ANY).to_numpy(np.int64)
        return _given(items, keys, self.routings_)


class Copy:
    """The routing of the most alike item, with its times and machines."""

    name: ClassVar[str] = "copy"
    words: ClassVar[str] = "copying the most alike item"

    def fit(self, items: pd.DataFrame, routings: pd.DataFrame, *, attributes: Attributes) -> Self:
        """Learn from `items` and the newest routing of each; one without rows is left out."""
        items, rows = _routed(items, routings)
        self.encoder_ = encoder = Encoder.fit(items, attributes)
        self.gower_: Gower | None = None
        if encoder.categories or encoder.numbers or encoder.texts:
            operation, known = pd.factorize(rows["operation"])
            present = np.zeros((len(items), len(known)), np.uint8)
            present[rows["number"], operation] = 1
            self.gower_ = Gower.fit(encoder, encoder.transform(items), present)
        self.routings_ = rows.rename(columns={"number": "key"})
        return self

    def predict(self, items: pd.DataFrame) -> pd.DataFrame:
        """Proposals: COLUMNS, a row per operation, items in the order given."""
        keys = np.zeros(len(items), np.int64)  # without attributes all are equally alike
        if self.gower_ is not None and len(items):
            keys = self.gower_.nearest(self.encoder_.transform(items), 1)[0][:, 0]
        return _given(items, keys, self.routings_)


class Usual:
    """The operations that most items have, for every item: those that give the best F1.

    Where hardly two routings are the same, a rule that proposes more operations finds more of them:
    of pure noise, each operation in half of the items, all of them get .67, a model that follows
    the noise .5.
    """

    name: ClassVar[str] = "usual"
    words: ClassVar[str] = "proposing the operations that most items have"

    def fit(self, items: pd.DataFrame, routings: pd.DataFrame, *, attributes: Attributes) -> Self:
        """Learn from `items` and the newest routing of each; one without rows is left out."""
        items, rows = _routed(items, routings)
        found = rows.groupby("operation", sort=True).agg(
            items=("number", "size"), place=("place", "mean"), occurrence=("occurrence", "first")
        )
        found = found.sort_values(["items", "occurrence"], ascending=[False, True], kind="stable")
        hits, proposed = found["items"].cumsum(), len(items) * np.arange(1, len(found) + 1)
        best = int((2 * hits / (proposed + len(rows))).to_numpy().argmax()) + 1
        chosen = found[:best].sort_values("place", kind="stable")
        places = pd.Series(range(best), index=chosen.index)
        rows = rows.assign(key=ANY, place=rows["operation"].map(places)).dropna(subset=["place"])
        self.routings_ = _typical(rows.astype({"place": np.int64}))
        return self

    def predict(self, items: pd.DataFrame) -> pd.DataFrame:
        """Proposals: COLUMNS, a row per operation, items in the order given."""
        return _given(items, np.full(len(items), ANY), self.routings_)


BASELINES: tuple[type[Commonest] | type[Copy] | type[Usual], ...] = (Commonest, Copy, Usual)


def _routed(items: pd.DataFrame, routings: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The items that have a routing, by code, and its rows in order: `number` is the item's place,
    `place` the operation's, `operation` its job and `occurrence`."""
    items = items.drop_duplicates("ITEM_CD", keep="last").sort_values("ITEM_CD")
    items = items[dataset.among(items["ITEM_CD"], routings["ITEM_CD"])].reset_index(drop=True)
    number = pd.Series(range(len(items)), index=items["ITEM_CD"])
    rows = routings.sort_values(["ITEM_CD", "PROC_SEQ"], kind="stable")
    rows = rows.assign(number=rows["ITEM_CD"].map(number)).dropna(subset=["number"])
    rows = rows.astype({"number": np.int64}).reset_index(drop=True)
    jobs = rows["JOB_CD"].astype("str").fillna("")
    occurrence = rows.assign(JOB_CD=jobs).groupby(["number", "JOB_CD"]).cumcount()
    place = rows.groupby("number").cumcount()
    return items, rows.assign(
        JOB_CD=jobs,
        place=place,
        occurrence=occurrence,
        operation=jobs + "\x1f" + occurrence.astype(str),
    )


def _routing_codes(rows: pd.DataFrame) -> np.ndarray:
    """The routing of each item (n,): whole numbers, the commonest first, ties as they come."""
    whole = rows.groupby("number", sort=True)["JOB_CD"].agg(tuple)
    order = whole.value_counts(sort=False).sort_values(ascending=False, kind="stable").index
    return whole.map({routing: code for code, routing in enumerate(order)}).to_numpy(np.int64)


def _commonest(values: np.ndarray, routing: np.ndarray) -> np.ndarray:
    """The commonest routing of each value 0, 1, ..., and of all items at the end (index ANY)."""
    size = int(routing.max()) + 1
    best = np.full(int(values.max(initial=ANY)) + 2, np.bincount(routing).argmax())
    pairs, counts = np.unique(values[values >= 0] * size + routing[values >= 0], return_counts=True)
    order = np.lexsort((pairs, -counts, pairs // size))
    value, first = np.unique((pairs // size)[order], return_index=True)
    best[value] = (pairs % size)[order][first]
    return best


def _held_out(values: np.ndarray, routing: np.ndarray) -> int:
    """How many items have the commonest routing that the other folds' items of their value have."""
    fold = np.arange(len(values)) % FOLDS
    right = 0
    for held_out in (fold == k for k in range(min(FOLDS, len(values)))):
        if held_out.all():
            continue
        best = _commonest(values[~held_out], routing[~held_out])
        asked = values[held_out]
        known = np.isin(asked, values[~held_out]) & (asked >= 0)
        right += int((best[np.where(known, asked, ANY)] == routing[held_out]).sum())
    return right


def _spelled(values: pd.Series) -> pd.Series:
    """Each value in one spelling; empty for what means nothing."""
    codes, known = pd.factorize(values)
    spelled = np.array([*(normalise(value) for value in known.tolist()), ""], object)
    return pd.Series(spelled[codes], index=values.index, dtype=object)


def _typical(rows: pd.DataFrame) -> pd.DataFrame:
    """One routing per `key` of rows that have the same: median times, the commonest machine."""
    steps = rows.groupby(["key", "place"], sort=True)
    typical = steps[["SETUP_TIME", "RUN_TIME"]].median()
    typical["PROC_SEQ"] = steps["PROC_SEQ"].median()
    typical["JOB_CD"] = steps["JOB_CD"].first()
    machines = rows.dropna(subset=["RES_CD"]) if "RES_CD" in rows else rows[:0].assign(RES_CD="")
    used = machines.groupby(["key", "place", "RES_CD"])["place"].count().rename("used")
    most = used.sort_values(ascending=False, kind="stable").reset_index("RES_CD")
    typical["RES_CD"] = most.groupby(["key", "place"])["RES_CD"].first().reindex(typical.index)
    # Numbered anew: the medians of differently numbered routings need not rise.
    return typical.reset_index().assign(PROC_SEQ=lambda table: 10 * (table["place"] + 1))


def _given(items: pd.DataFrame, keys: np.ndarray, routings: pd.DataFrame) -> pd.DataFrame:
    """The routing of its key for each item."""
    asked = pd.DataFrame({"ITEM_CD": items["ITEM_CD"].to_numpy(object), "key": keys})
    given = asked.merge(routings.drop(columns="ITEM_CD", errors="ignore"), on="key", how="left")
    return given.reindex(columns=COLUMNS)
