"""Copies the newest routings, the items and the work-order results of an ODBC source, as they
were at one moment, into typed Parquet files: a dataset.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from routing_ml import files
from routing_ml.errors import InputError
from routing_ml.source import typed
from routing_ml.source.columns import Attributes, Columns, Table
from routing_ml.source.odbc import Selection, Source, spelled
from routing_ml.source.spool import Spool

DEFAULT_LIMIT = 100_000
FORMAT = 1
ONE_DAY = timedelta(days=1)
SHOWN_CHARACTERS = 80

Progress = Callable[[str, int], None]


@dataclass(frozen=True)
class Extract:
    """A finished extract: its manifest's path, the rows of each table, all bytes, the seconds."""

    path: Path
    rows: Mapping[str, int]
    bytes: int
    seconds: float


def extract(
    source: str,
    out: Path,
    *,
    columns: Columns,
    as_of: datetime,
    limit: int = DEFAULT_LIMIT,
    progress: Progress = lambda table, rows: None,
) -> Extract:
    """Write the dataset of `source` as it was at `as_of` into the folder `out`.

    At most `limit` routing rows: the revisions entered last, each whole. Rows entered after
    `as_of` (naive, the ERP's local time) are left out; rows without an entry date count as the
    oldest. Equal rows give equal bytes, whatever the driver and the order they came in.
    `progress` is called with a table's role and the rows read so far.

    Raises InputError for a source that cannot be read whole, and leaves `out` as it was.
    """
    if limit < 1:
        raise InputError(f"limit is {limit}, and at least 1 routing row is needed; raise it")
    started = time.monotonic()
    name = f"training_dataset_{as_of.year:04}{as_of.month:02}"  # %Y does not fill up with zeros
    with _workspace(out) as work, Source(source) as opened:
        written = {}
        attributes = columns.attributes
        # Arrow sorts and compresses one table without the interpreter's lock while the driver
        # reads the next.
        with ThreadPoolExecutor(max_workers=1) as background:
            for table in (columns.items, columns.routings, columns.results):
                if table is not None:
                    suffix = "" if table.role == "routings" else f"_{table.role}"
                    path = work / f"{name}{suffix}.parquet"
                    reader = _Reader(opened, table, attributes, as_of)
                    attributes = reader.attributes
                    spool, figures = reader.read(path.with_suffix(".arrow"), limit, progress)
                    written[table.role] = background.submit(_write, spool, path, figures)
        tables = {role: table.result() for role, table in written.items()}
        facts = {
            "format": FORMAT,
            "as_of": as_of.isoformat(),
            "limit": limit,
            "source": opened.label,
            "attributes": asdict(attributes),
        }
        manifest = _publish(work, out, name, facts, tables)
    return Extract(
        path=out / f"{name}.json",
        rows={role: table["rows"] for role, table in manifest["tables"].items()},
        bytes=sum(table["bytes"] for table in manifest["tables"].values()),
        seconds=time.monotonic() - started,
    )


class _Reader:
    """Copies one table of an open source into one Parquet file."""

    def __init__(
        self, source: Source, table: Table, attributes: Attributes, as_of: datetime
    ) -> None:
        self.source, self.table, self.as_of = source, table, as_of
        self.erp_table = source.table(table.name)
        types = source.types(self.erp_table)
        self.erp_names = {
            standard: self._spelled(wanted, types) for standard, wanted in table.columns.items()
        }
        for standard, name in self.erp_names.items():
            if issubclass(types[name], (bytes, bytearray)):
                raise InputError(
                    f"{source.label}: column {name!r} of table {table.name} holds bytes, where a "
                    f"{table.kinds[standard]} is due; name another one in the columns file"
                )
        self.kinds = {name: table.kinds[name] for name in self.erp_names}
        self.attributes = attributes
        if table.role == "items":
            self.attributes = self._add_attributes(types, attributes)
        self.schema = pa.schema([(n, typed.ARROW_TYPES[kind]) for n, kind in self.kinds.items()])
        self.entered = table.entered
        self.pushes_down = (
            source.can_sort()
            and self.entered is not None
            and typed.kind_of(types[self.erp_names[self.entered]]) == "date"
        )

    def read(self, path: Path, limit: int, progress: Progress) -> tuple[Spool, dict]:
        """Read the table into a spool at `path`; the figures of it."""
        is_routings = self.table.role == "routings"
        spool = Spool(
            path,
            self.schema,
            entered=self.entered,
            limit=limit if is_routings else None,
        )
        read = later = 0
        as_of = typed.scalar(self.as_of, "date")
        cut = self._cut(limit) if is_routings and self.pushes_down else None
        for rows in self.source.batches(self._selection(cut)):
            batch = self._typed(rows)
            read += batch.num_rows
            if self.entered:
                moments = pc.coalesce(batch[self.entered], as_of)
                batch = batch.filter(pc.less_equal(moments, as_of))
                later += len(rows) - batch.num_rows
            spool.add(batch)
            progress(self.table.role, read)
        spool.close()
        return spool, {"read": read, "later": later, "sorted_by_source": self.pushes_down}

    def _add_attributes(self, types: Mapping[str, type], attributes: Attributes) -> Attributes:
        """Every other column of the item table whose type can be learned from; `attributes` as
        the source spells their names.
        """
        ignored = [self._spelled(name, types) for name in self.table.ignore]
        used = {*self.erp_names.values(), *ignored}
        for name, python_type in types.items():
            kind = typed.kind_of(python_type)
            if name in used or kind is None:
                continue
            if name in self.kinds:
                raise InputError(
                    f"{self.source.label}: attribute {name!r} of table {self.table.name} has the "
                    "standard name of another column; add it to [items] ignore"
                )
            self.erp_names[name] = name
            self.kinds[name] = kind
        units = attributes.units.items()
        return Attributes(
            text=tuple(self._spelled(name, types) for name in attributes.text),
            units={self._spelled(of, types): self._spelled(unit, types) for of, unit in units},
        )

    def _spelled(self, wanted: str, types: Mapping[str, type]) -> str:
        found = spelled(wanted, list(types))
        if found is None:
            raise InputError(
                f"{self.source.label}: table {self.table.name} has no column {wanted!r}, which "
                f"[{self.table.role}] of the columns file names (it has: {', '.join(types)}); "
                "correct the columns file (ROUTING_ML_COLUMNS)"
            )
        return found

    def _selection(self, cut: datetime | None) -> Selection:
        """All used columns; where the source can compare moments, of few more rows than count.

        With a day's slack, for sources round and write moments in their own ways: what counts
        to the microsecond is decided after reading. Rows without an item code are all read, for
        the audit counts them.
        """
        names = tuple(self.erp_names.values())
        if not self.pushes_down or self.entered is None:
            return Selection(self.erp_table, names)
        entered = self.source.quoted(self.erp_names[self.entered])
        where = f" WHERE ({entered} <= ? OR {entered} IS NULL)"
        if cut is None:
            return Selection(self.erp_table, names, where, (_later(self.as_of),))
        item = self.source.quoted(self.erp_names["ITEM_CD"])
        table = self.source.from_(Selection(self.erp_table, ()))
        newer = f"SELECT {item} FROM {table} WHERE {entered} >= ?"
        where += f" AND ({item} IN ({newer}) OR {item} IS NULL)"
        return Selection(self.erp_table, names, where, (_later(self.as_of), _earlier(cut)))

    def _cut(self, limit: int) -> datetime | None:
        """When the row just beyond the `limit` newest was entered, by the source's own sorting;
        None where there is none, or where the source cannot tell what is older.
        """
        name = self.erp_names[self.entered or ""]
        entered = self.source.quoted(name)
        selection = Selection(
            self.erp_table, (name,), f" WHERE {entered} <= ?", (_later(self.as_of),)
        )
        seen = 0
        for value in self.source.sorted_values(selection, f"{entered} DESC"):
            moment = _moment(value)
            seen += moment <= self.as_of
            if seen > limit:
                return None if self._is_spelled_otherwise_before(moment) else moment
        return None

    def _is_spelled_otherwise_before(self, cut: datetime) -> bool:
        """Whether a revision at the cut or newer has older rows under another spelling of its item
        (`ab 1` for `AB 1`), which the source, comparing letter by letter, would leave behind.
        """
        item, revision, entered = (
            self.source.quoted(self.erp_names[name])
            for name in ("ITEM_CD", "ROUT_NO", self.entered or "")
        )
        sql = f"SELECT DISTINCT {item}, {revision} FROM " + self.source.from_(
            Selection(self.erp_table, ())
        )
        written: dict[tuple[str, str], set[object]] = {}
        for code, number in self.source.rows(f"{sql} WHERE {entered} >= ?", [_earlier(cut)]):
            written.setdefault((_folded(code), _folded(number)), set()).add(code)
        older = f"{sql} WHERE {entered} < ? OR {entered} IS NULL"
        return any(
            code is not None and code not in written.get((_folded(code), _folded(number)), {code})
            for code, number in self.source.rows(older, [_earlier(cut)])
        )

    def _typed(self, rows: list) -> pa.RecordBatch:
        arrays = []
        for values, (name, kind) in zip(zip(*rows, strict=True), self.kinds.items(), strict=True):
            try:
                arrays.append(typed.array(values, kind))
            except typed.ConversionError as error:
                item = rows[error.row][list(self.kinds).index("ITEM_CD")]
                shown = repr(error.value)
                if len(shown) > SHOWN_CHARACTERS:
                    shown = f"{shown[:SHOWN_CHARACTERS]}... ({len(shown):,} characters)"
                raise InputError(
                    f"{self.source.label}: table {self.table.name}, item {item!r}: "
                    f"{self.erp_names[name]} is {shown}, where a {kind} is due; "
                    "correct it in the ERP, or name another column in the columns file"
                ) from error
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def _later(moment: datetime) -> datetime:
    return moment + min(ONE_DAY, datetime.max - moment)


def _earlier(moment: datetime) -> datetime:
    return moment - min(ONE_DAY, moment - datetime.min)


def _moment(value: date) -> datetime:
    """A moment as it is, a date as its midnight."""
    return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)


def _folded(code: object) -> str:
    return "" if code is None else str(code).strip().upper()


def _write(spool: Spool, path: Path, figures: dict) -> dict:
    """Write what counts of a spool to `path`; the figures of the table."""
    rows = spool.write(path, spool.newest_revisions())
    spool.path.unlink()
    return figures | {"rows": rows, "file": path.name}


@contextmanager
def _workspace(out: Path) -> Iterator[Path]:
    """A folder in `out` for what is not finished; what a killed process left there goes first."""
    work = out / f".extract-{os.getpid()}"
    with files.told_as(InputError, f"dataset in {out} cannot be written"):
        try:
            out.mkdir(parents=True, exist_ok=True)
            for left in out.glob(".extract-*"):
                if left == work or not _is_running(left.name.rpartition("-")[2]):
                    shutil.rmtree(left, ignore_errors=True)
            work.mkdir()
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _is_running(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _publish(work: Path, out: Path, name: str, facts: dict, tables: dict) -> dict:
    """Move the finished files into `out`, the manifest that names their hashes last."""
    for table in tables.values():
        path = work / table["file"]
        table |= {"sha256": files.sha256(path), "bytes": path.stat().st_size}
    manifest = facts | {"tables": tables}
    text = json.dumps(manifest, indent=1, ensure_ascii=False)
    # All are written before the first is moved: a full disk stops it here or not at all.
    files.atomic_write(work / f"{name}.json", text + "\n")
    names = [*(table["file"] for table in tables.values()), f"{name}.json"]
    for file in names:
        files.fsync(work / file)
    for file in names:
        (work / file).replace(out / file)
    files.fsync(out)
    return manifest
