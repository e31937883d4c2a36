"""Lets a source that can sort choose the newest rows itself, so that few more are read than count.

What counts to the microsecond is decided after reading: sources round and write moments in their
own ways, so that a day's slack is left everywhere.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from routing_ml.source import typed
from routing_ml.source.relation import Column, Values
from routing_ml.source.sql import SqlRelation
from routing_ml.source.sqlite import Sqlite

ONE_DAY = timedelta(days=1)


def can_compare(relation: SqlRelation, entered: Column) -> bool:
    """Whether the source compares the moments of a column as moments.

    SQLite compares them as the texts that they are: only ISO 8601 ones come in their order.
    """
    if entered.kind != "date":
        return False
    if isinstance(relation.source, Sqlite):
        name = relation.quoted(entered.name)
        digit = "[0-9]"
        iso = f"{digit * 4}-{digit * 2}-{digit * 2}*"
        other = f"{name} IS NOT NULL AND (typeof({name}) <> 'text' OR {name} NOT GLOB '{iso}')"
        return not list(relation.rows("1", other, order=" LIMIT 1"))
    return True


class Newest:
    """The newest rows of a relation up to a moment, by its columns of items, revisions, dates."""

    def __init__(
        self, relation: SqlRelation, item: str, revision: str, entered: Column, as_of: datetime
    ) -> None:
        self.relation, self.as_of = relation, as_of
        self._item, self._revision = relation.quoted(item), relation.quoted(revision)
        self._entered, self._moment = relation.quoted(entered.name), relation.source.term(entered)

    def batches(self, names: Sequence[str], limit: int | None) -> Iterator[list[Values]]:
        """What was entered up to the moment; of it, with a `limit`, the items with a row among so
        many newest. Rows without an item code are all read, for the audit counts them."""
        entered, item = self._entered, self._item
        condition = f"({entered} <= ? OR {entered} IS NULL)"
        parameters = [_later(self.as_of)]
        cut = self._cut(limit) if limit else None
        if cut is not None:
            newer = f"SELECT {item} {self.relation.from_(f'{entered} >= ?')}"
            condition += f" AND ({item} IN ({newer}) OR {item} IS NULL)"
            parameters.append(_earlier(cut))
        return self.relation.batches(names, condition, parameters)

    def _cut(self, limit: int) -> datetime | None:
        """When the row just beyond the `limit` newest was entered, by the source's own sorting;
        None where there is none, or where the source cannot tell what is older.
        """
        seen = 0
        order = f" ORDER BY {self._entered} DESC"
        newest = self.relation.rows(
            self._moment, f"{self._entered} <= ?", [_later(self.as_of)], order
        )
        for (value,) in newest:
            try:
                moment = typed.scalar(value, "date").as_py()
            except typed.ConversionError:
                return None
            if moment is None:
                continue
            seen += moment <= self.as_of
            if seen > limit:
                return None if self._is_spelled_otherwise_before(moment) else moment
        return None

    def _is_spelled_otherwise_before(self, cut: datetime) -> bool:
        """Whether a revision at the cut or newer has older rows under another spelling of its item
        (`ab 1` for `AB 1`), which the source, comparing letter by letter, would leave behind.
        """
        terms = f"DISTINCT {self._item}, {self._revision}"
        entered = self._entered
        written: dict[tuple[str, str], set[object]] = {}
        for code, number in self.relation.rows(terms, f"{entered} >= ?", [_earlier(cut)]):
            written.setdefault((_folded(code), _folded(number)), set()).add(code)
        older = f"({entered} < ? OR {entered} IS NULL)"
        return any(
            code is not None and code not in written.get((_folded(code), _folded(number)), {code})
            for code, number in self.relation.rows(terms, older, [_earlier(cut)])
        )


def _later(moment: datetime) -> datetime:
    return moment + min(ONE_DAY, datetime.max - moment)


def _earlier(moment: datetime) -> datetime:
    return moment - min(ONE_DAY, moment - datetime.min)


def _folded(code: object) -> str:
    return "" if code is None else str(code).strip().upper()
