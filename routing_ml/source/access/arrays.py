"""A column of some rows into an Arrow array."""

import numpy as np
import pyarrow as pa

from routing_ml.source.access import long, values
from routing_ml.source.access.definition import GUID, MEMO, YES_NO, Field
from routing_ml.source.access.pages import Pages
from routing_ml.source.access.rows import Rows
from routing_ml.source.access.text import utf8

ARROW = {
    "number": pa.float64(),
    "whole number": pa.int64(),
    "date": pa.timestamp("us"),
    "text": pa.string(),
}
GUID_LENGTH = len(values.GUID_PATTERN)


def array(pages: Pages, rows: Rows, field: Field, has: np.ndarray) -> pa.Array:
    """The values of one column; `has` are the numbers of the rows that have one.

    Raises Damaged, and OutOfRange with the number of the value.
    """
    kind = field.column.kind or ""
    if field.code == YES_NO:
        return _fixed(rows.present(field).astype(np.int64), None, kind)
    valid = np.zeros(len(rows), bool)
    valid[has] = True
    data = rows.data
    start, length = rows.spans(field, has)
    if kind != "text":
        found = values.decode(field.code, field.scale, data, start, length)
        column = np.zeros(len(rows), found.dtype)
        column[has] = found
        return _fixed(column, valid, kind)
    if field.code == GUID:
        text = values.guids(data, start, length).reshape(-1)
        length = np.full(len(has), GUID_LENGTH)
    else:
        if field.code == MEMO:
            data, start, length = long.fetch(pages, data, start, length)
        text, length = utf8(pages.header.codec, data, start, length)
    offsets = np.zeros(len(rows) + 1, np.int32)
    offsets[has + 1] = length
    np.cumsum(offsets, out=offsets)
    buffers = [_bits(valid), pa.py_buffer(offsets), pa.py_buffer(text)]
    return pa.Array.from_buffers(pa.string(), len(rows), buffers)


def _fixed(column: np.ndarray, valid: np.ndarray | None, kind: str) -> pa.Array:
    bits = None if valid is None else _bits(valid)
    return pa.Array.from_buffers(ARROW[kind], len(column), [bits, pa.py_buffer(column)])


def _bits(valid: np.ndarray) -> pa.Buffer | None:
    return None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
