"""Holds one table's rows on disk between reading and writing: picks the newest revisions and
writes what counts in the order of its keys, with no more than about CHUNK_ROWS rows in memory.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from routing_ml import modes
from routing_ml.source.typed import EPOCH, MICROSECOND, MISSING_INT, array, integers, scalar

CHUNK_ROWS = 32_768
SAMPLED_EVERY = 64
UNDATED = MISSING_INT + 1  # before all moments, and not a null itself
SORT_KEYS = ("ITEM_CD", "ROUT_NO", "ALT_NO", "PROC_SEQ", "PROC_SUB")


class Spool:
    """Rows of one schema, with an `ITEM_CD`, in the order they came in.

    `add` them all, `close`, then `newest_revisions` and `write`. `entered` is the column that
    says when a row was entered; with a `limit`, `cut` is known after `close`: when the row just
    beyond the `limit` newest was entered, None when there is none.
    """

    def __init__(
        self, path: Path, schema: pa.Schema, *, entered: str | None = None, limit: int | None = None
    ) -> None:
        self.path, self.schema, self.entered, self.limit = path, schema, entered, limit
        self.cut: datetime | None = None
        self._newest = np.empty(0, dtype=np.int64)
        self._rows = 0
        self._sample: list[str] = []
        if not path.exists():
            modes.make_file(path)
        self._writer = pa.ipc.new_file(str(path), schema)

    def add(self, batch: pa.RecordBatch) -> None:
        """Append one batch."""
        self._writer.write_batch(batch)
        self._rows += batch.num_rows
        every = pa.py_buffer(np.arange(0, batch.num_rows, SAMPLED_EVERY))
        taken = pa.Array.from_buffers(pa.int64(), every.size // 8, [None, every])
        self._sample += [code for code in batch["ITEM_CD"].take(taken).to_pylist() if code]
        if self.limit and self.entered:
            self._newest = np.concatenate([self._newest, self._moments(batch)])
            if len(self._newest) > 2 * self.limit + CHUNK_ROWS:
                self._newest = np.sort(self._newest)[-self.limit - 1 :]

    def close(self) -> None:
        """No more rows come."""
        self._writer.close()
        if self.limit and len(self._newest) > self.limit:
            moment = int(np.sort(self._newest)[-self.limit - 1])
            self.cut = datetime.min if moment == UNDATED else EPOCH + moment * MICROSECOND
        self._newest = np.empty(0, dtype=np.int64)

    def newest_revisions(self) -> pa.Array | None:
        """Keys of the revisions entered last, each whole, `limit` rows at most; None for all.

        A revision is as new as its newest row; ties go by key. Only revisions with a row at the
        cut or later can be among them, so that about `limit` keys are held at most (all of them
        where so few rows are dated that the cut is among those that are not).
        """
        if self.cut is None or self.limit is None:
            return None
        cut = scalar(self.cut, "date")
        recent: set[str] = set()
        for batch in self.batches():
            rows = batch
            if self.cut > datetime.min:
                rows = batch.filter(pc.greater_equal(batch[self.entered], cut))
            recent.update(_revision_keys(rows).to_pylist())
        newest: dict[str, int] = {}
        rows_of: Counter[str] = Counter()
        for batch in self.batches():
            keys, moments = _revision_keys(batch).to_pylist(), self._moments(batch).tolist()
            for key, moment in zip(keys, moments, strict=True):
                if key in recent:
                    rows_of[key] += 1
                    newest[key] = max(moment, newest.get(key, UNDATED))
        order = sorted(rows_of, key=lambda key: (-newest[key], key))
        together = np.cumsum([rows_of[key] for key in order])
        return array(order[: int((together <= self.limit).sum())], "text")

    def write(self, path: Path, revisions: pa.Array | None = None) -> int:
        """Write the rows, of `revisions` when given, sorted, to a Parquet file; how many.

        Equal rows give equal bytes in whatever order they came in: row groups are of one size,
        and ties of the keys go by the other columns.
        """
        keys = [name for name in SORT_KEYS if name in self.schema.names]
        # By number, for Arrow takes a name such as ".1" for a path. Nulls first: they are in the
        # first range, wherever that ends.
        numbers = {name: str(number) for number, name in enumerate(self.schema.names)}
        order = [
            (numbers[name], "ascending", "at_start") for name in dict.fromkeys([*keys, *numbers])
        ]
        kept = 0
        waiting = pa.Table.from_batches([], self.schema)
        with pq.ParquetWriter(path, self.schema, compression="zstd") as writer:
            for low, high in self._ranges():
                parts = [_within(batch, low, high, revisions) for batch in self.batches()]
                rows = pa.Table.from_batches(parts, self.schema)
                kept += rows.num_rows
                sortable = rows.rename_columns(list(numbers.values()))
                rows = rows.take(pc.sort_indices(sortable, order))
                waiting = pa.concat_tables([waiting, rows]).combine_chunks()
                while waiting.num_rows >= CHUNK_ROWS:
                    writer.write_table(waiting.slice(0, CHUNK_ROWS))
                    waiting = waiting.slice(CHUNK_ROWS)
            if waiting.num_rows:
                writer.write_table(waiting)
        return kept

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows as they came in."""
        with pa.OSFile(str(self.path), "rb") as file, pa.ipc.open_file(file) as reader:
            for index in range(reader.num_record_batches):
                yield reader.get_batch(index)

    def _moments(self, batch: pa.RecordBatch) -> np.ndarray:
        """When each row was entered, in microseconds since 1970; UNDATED where unknown."""
        moments = batch[self.entered].cast(pa.int64())
        return integers(pc.coalesce(moments, scalar(UNDATED, "whole number")))

    def _ranges(self) -> list[tuple[str | None, str | None]]:
        """Bounds (low <= code < high) that part the item codes into ranges of about CHUNK_ROWS."""
        self._sample.sort()
        parts = -(-self._rows // CHUNK_ROWS) if self._sample else 1
        cuts = {self._sample[len(self._sample) * part // parts] for part in range(1, parts)}
        bounds = sorted(cuts)
        return list(zip([None, *bounds], [*bounds, None], strict=True))


NOTHING = scalar("", "text")
SEPARATOR = scalar("\x1f", "text")


def _revision_keys(rows: pa.RecordBatch) -> pa.Array:
    """One text for each row that names its item's revision, whatever the case and padding."""
    parts = [
        pc.utf8_upper(pc.utf8_trim_whitespace(pc.coalesce(rows[name], NOTHING)))
        for name in ("ITEM_CD", "ROUT_NO")
    ]
    return pc.binary_join_element_wise(*parts, SEPARATOR)


def _within(
    batch: pa.RecordBatch, low: str | None, high: str | None, revisions: pa.Array | None
) -> pa.RecordBatch:
    for bound, keeps in ((low, pc.greater_equal), (high, pc.less)):
        if bound is not None:
            codes = pc.coalesce(batch["ITEM_CD"], NOTHING)
            batch = batch.filter(keeps(codes, scalar(bound, "text")))
    return batch if revisions is None else batch.filter(pc.is_in(_revision_keys(batch), revisions))
