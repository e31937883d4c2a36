"""An Access file: its tables, their columns, and their rows in batches of Arrow."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from routing_ml.errors import InputError, SourceAwayError
from routing_ml.source.access import long, values
from routing_ml.source.access.arrays import ARROW, array
from routing_ml.source.access.definition import (
    MEMO,
    TEXT,
    Column,
    Definition,
    Field,
    own_pages,
    read_definition,
)
from routing_ml.source.access.pages import Damaged, Gone, Pages
from routing_ml.source.access.rows import Rows, read_rows

CATALOG, CATALOG_PAGE = "MSysObjects, which lists its tables,", 2
CATALOG_COLUMNS = {"Id": 4, "Name": TEXT, "Type": 3, "Flags": 4}  # and their types
OBJECTS = {1: "table", 4: "linked table", 5: "query", 6: "linked table"}
INTERNAL = ("~sq_", "~TMP", "MSys")  # of forms and reports, and what is deleted
SYSTEM_FLAGS = 0x8000_0002
PAGE_OF_ID = 0x00FF_FFFF
LONG_TEXTS_AT_ONCE = 2 << 20  # bytes: of one batch, unless a single one has more
AGAIN = "run again, or restore the file from a copy"


class AccessFile:
    """An open Access file. A context manager: it closes the file at the end.

    Whatever is wrong with the file, all that is raised is an InputError of one line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pages = Pages(path)
        self.format_name = self._pages.header.format_name

    def __enter__(self) -> "AccessFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._pages.close()

    def objects(self) -> dict[str, str]:
        """The name of each table, "linked table" and "query", and which of them it is."""
        return {name: kind for name, (kind, _) in self._objects.items()}

    def columns(self, table: str) -> list[Column]:
        """The columns of a table, in the order in which Access shows them."""
        return [field.column for field in self._definition(table).fields]

    def count(self, table: str) -> int:
        """How many rows a table has by its own account."""
        return self._definition(table).row_count

    def batches(self, table: str, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """These columns of a table, in the order of its pages, in batches of up to 8,192 rows.

        Texts are strings, numbers float64, whole numbers int64 (Yes is 1), dates timestamps in µs.
        Raises InputError for a column that is not read, for a value that none of these can hold,
        and for a table that has not as many rows as it says.
        """
        definition = self._definition(table)
        known = {field.column.name: field for field in definition.fields}
        for name in names:
            if name not in known:
                raise InputError(f"{self.path}: table {table} has no column {name!r}")
            if known[name].column.kind is None:
                column = known[name].column
                raise InputError(
                    f"{self.path}: column {name} of table {table} ({column.type_name}) "
                    f"{column.why}; leave it out"
                )
        yield from self._batches(table, definition, [known[name] for name in names])

    def _batches(
        self, table: str, definition: Definition, fields: Sequence[Field]
    ) -> Iterator[pa.RecordBatch]:
        seen = 0
        with self._reading(table):
            for rows in read_rows(self._pages, definition, own_pages(self._pages, definition)):
                seen += len(rows)
                for part in self._parts(rows, fields):
                    yield self._batch(table, part, fields)
        if seen != definition.row_count:
            raise InputError(
                f"{self.path}: table {table} has {seen} rows where its header says "
                f"{definition.row_count}: the file is truncated or was changed while it was read; "
                f"{AGAIN}"
            )

    def _parts(self, rows: Rows, fields: Sequence[Field]) -> Iterator[Rows]:
        """The rows in parts, the long texts of each of which fit into memory together."""
        size = np.zeros(len(rows), np.int64)
        for field in fields:
            if field.code == MEMO:
                has = np.flatnonzero(rows.present(field))
                size[has] += long.lengths(rows.data, *rows.spans(field, has))
        cuts = np.flatnonzero(np.diff(np.cumsum(size) // LONG_TEXTS_AT_ONCE)) + 1
        for first, last in pairwise([0, *cuts.tolist(), len(rows)]):
            yield rows.part(first, last) if len(cuts) else rows

    def _batch(self, table: str, rows: Rows, fields: Sequence[Field]) -> pa.RecordBatch:
        arrays = []
        for field in fields:
            has = np.flatnonzero(rows.present(field))
            try:
                arrays.append(array(self._pages, rows, field, has))
            except values.OutOfRange as error:
                who = self._who(rows, int(has[error.row]), fields)
                raise InputError(
                    f"{self.path}: table {table}, {who}: {field.column.name} {error}; "
                    "correct it in Access"
                ) from error
        schema = pa.schema(
            [(field.column.name, ARROW[field.column.kind or ""]) for field in fields]
        )
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _who(self, rows: Rows, row: int, fields: Sequence[Field]) -> str:
        """The row as a person finds it: by the first text that it has."""
        one = rows.part(row, row + 1)
        for field in fields:
            has = np.flatnonzero(one.present(field))
            if field.code == TEXT and len(has):
                with suppress(values.OutOfRange):
                    text = array(self._pages, one, field, has)[0].as_py()
                    return f"{field.column.name} {text!r}"
        return "a row without a text"

    @cached_property
    def _objects(self) -> dict[str, tuple[str, int]]:
        """Of each object that people see, by its name: what it is, and its definition's page."""
        found = {}
        with self._reading(CATALOG):
            definition = read_definition(self._pages, CATALOG_PAGE)
            fields = {field.column.name: field for field in definition.fields}
            types = {name: field.code for name, field in fields.items() if field.column.kind}
            if not types.items() >= CATALOG_COLUMNS.items():
                raise Damaged("it has other columns")
        wanted = [fields[name] for name in CATALOG_COLUMNS]
        for batch in self._batches(CATALOG, definition, wanted):
            for number, name, kind, flags in zip(*(c.to_pylist() for c in batch), strict=True):
                plain = name and not name.startswith(INTERNAL) and kind in OBJECTS
                if plain and not (flags or 0) & SYSTEM_FLAGS:
                    found[name] = (OBJECTS[kind], (number or 0) & PAGE_OF_ID)
        return found

    def _definition(self, table: str) -> Definition:
        kind, page = self._objects.get(table, ("", 0))
        if kind != "table":
            what = f"{table!r} is a {kind}, not a table" if kind else f"has no table {table!r}"
            raise InputError(f"{self.path}: {what}")
        with self._reading(table):
            return read_definition(self._pages, page)

    @contextmanager
    def _reading(self, table: str) -> Iterator[None]:
        """Adds path, table and the next step to what is found damaged, or gone meanwhile."""
        try:
            yield
        except Gone as error:
            raise SourceAwayError(
                f"{self.path}: table {table} cannot be read: {error}: the file cannot be reached "
                "any more; see that its share is mounted and that nobody holds it locked"
            ) from error
        except Damaged as error:
            raise InputError(
                f"{self.path}: table {table} cannot be read: {error}; the file is damaged or was "
                f"changed while it was read: {AGAIN}"
            ) from error
