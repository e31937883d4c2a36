"""A table's definition: its columns, its number of rows, and which pages are its own."""

from dataclasses import dataclass, replace

import numpy as np

from routing_ml.source.access.header import JET3
from routing_ml.source.access.pages import DEFINITION_PAGE, USAGE_PAGE, Damaged, Pages

FIXED, HYPERLINK, CALCULATED = 0x01, 0x80, 0xC0
CALCULATED_AT = 16  # of a column, from Access 2010 on


@dataclass(frozen=True)
class Type:
    """A type of Access: its name there, the kind its values are read as, its bytes in a row."""

    name: str
    kind: str | None
    size: int | None = None


YES_NO, SINGLE, DATE, TEXT, MEMO, GUID, DECIMAL, EXTENDED = 1, 6, 8, 10, 12, 15, 16, 20
TYPES = {
    YES_NO: Type("Yes/No", "whole number", 0),
    2: Type("Byte", "whole number", 1),
    3: Type("Integer", "whole number", 2),
    4: Type("Long Integer", "whole number", 4),
    5: Type("Currency", "number", 8),
    SINGLE: Type("Single", "number", 4),
    7: Type("Double", "number", 8),
    DATE: Type("Date/Time", "date", 8),
    9: Type("Binary", None),
    TEXT: Type("Short Text", "text"),
    11: Type("OLE Object", None),
    MEMO: Type("Long Text", "text"),
    GUID: Type("Replication ID", "text", 16),
    DECIMAL: Type("Decimal", "number", 17),
    18: Type("Attachment or multi-value", None),
    19: Type("Large Number", "whole number", 8),
    EXTENDED: Type("Date/Time Extended", "date", 42),
}


@dataclass(frozen=True)
class Column:
    """A column as people see it: its name, Access's word for its type, and what it is read as.

    `kind` is "number", "whole number", "date" or "text"; None for a column that is not read, for
    the reason in `why`.
    """

    name: str
    type_name: str
    kind: str | None
    why: str = ""


@dataclass(frozen=True)
class Field:
    """Where the values of a column are in a row, and how they are written there."""

    column: Column
    code: int  # of its type
    number: int  # of its bit in the null mask
    at: int  # bytes behind the first fixed column; or its place among the variable ones
    size: int | None  # bytes; None: variable
    scale: int  # decimal places of a Decimal


@dataclass(frozen=True)
class Definition:
    """What the definition of a table says."""

    page: int
    row_count: int
    fields: list[Field]
    max_columns: int  # of a row, those counted that were removed from the table
    has_variable: bool
    map_pointer: int


def read_definition(pages: Pages, page: int) -> Definition:
    """The definition that begins on `page`. Raises Damaged."""
    data = _whole(pages, page)
    layout = pages.layout
    most, variable, count = (_number(data, layout.counts_at + 2 * i, 2) for i in range(3))
    entries = layout.header + layout.index * _number(data, layout.indexes_at, 4)
    names_at = entries + layout.column * count
    fields = []
    for at in range(entries, names_at, layout.column):
        length = _number(data, names_at, layout.width)
        raw = data[names_at + layout.width :][:length]
        try:
            name = raw.decode(pages.header.codec)
        except UnicodeDecodeError as error:
            raise Damaged("the name of a column cannot be read") from error
        names_at += layout.width + length
        fields.append(_field(data, at, name, pages))
    numbers, names = {field.number for field in fields}, {field.column.name for field in fields}
    if names_at > len(data) or not min(len(numbers), len(names)) == count > 0:
        raise Damaged("its list of columns cannot be read")
    return Definition(
        page=page,
        row_count=_number(data, layout.row_count_at, 4),
        fields=fields,
        max_columns=most,
        has_variable=variable > 0,
        map_pointer=_number(data, layout.map_at, 4),
    )


def own_pages(pages: Pages, definition: Definition) -> np.ndarray:
    """The numbers of the pages that hold the table's rows, ascending; a page of another kind or
    of another table, which real maps name now and then, is told apart when it is read.
    """
    _, row = pages.row(definition.map_pointer)
    kind, rest = row[:1], row[1:]
    if kind == b"\0" and len(rest) >= 4:
        return _bits(rest[4:]) + int.from_bytes(rest[:4], "little")
    if kind != b"\1":
        raise Damaged("its map of pages cannot be read")
    pointers = np.frombuffer(rest, "<u4", len(rest) // 4)
    numbers = []
    for i in np.flatnonzero(pointers):
        part = pages.read([int(pointers[i])])[0]
        if part[0] != USAGE_PAGE:
            raise Damaged("its map of pages cannot be read")
        numbers.append(_bits(part[4:].tobytes()) + i * (part.size - 4) * 8)
    return np.concatenate(numbers or [np.empty(0, np.int64)])


def _whole(pages: Pages, page: int) -> bytes:
    """The definition's bytes, which may go on over several pages."""
    parts: dict[int, bytes] = {}
    while page or not parts:
        if page in parts:
            raise Damaged("its definition runs in a circle")
        parts[page] = pages.read([page])[0].tobytes()
        if parts[page][0] != DEFINITION_PAGE:
            raise Damaged("its definition is not where it should be")
        page = int.from_bytes(parts[page][4:8], "little")
    first, *others = parts.values()
    return first + b"".join(part[8:] for part in others)


def _field(data: bytes, at: int, name: str, pages: Pages) -> Field:
    layout = pages.layout
    code, flags = _number(data, at, 1), _number(data, at + layout.flags_at, 1)
    kind = TYPES.get(code, Type(f"type {code}", None))
    column = Column(name, kind.name, kind.kind, "" if kind.kind else "holds nothing to learn from")
    if code == MEMO and flags & HYPERLINK:
        column = replace(column, type_name="Hyperlink")
    if pages.layout is not JET3 and _number(data, at + CALCULATED_AT, 1) & CALCULATED:
        column = replace(column, kind=None, why="is calculated by Access from other columns")
    fixed = flags & FIXED
    length = kind.size if kind.size is not None else _number(data, at + layout.length_at, 2)
    return Field(
        column=column,
        code=code,
        number=_number(data, at + layout.number_at, 2),
        at=_number(data, at + (layout.fixed_at if fixed else layout.variable_at), 2),
        size=length if fixed else None,
        scale=_number(data, at + layout.scale_at, 1),
    )


def _number(data: bytes, at: int, size: int) -> int:
    if at + size > len(data):
        raise Damaged("its definition ends too early")
    return int.from_bytes(data[at : at + size], "little")


def _bits(bitmap: bytes) -> np.ndarray:
    """The places of the bits that are set, the lowest bit of the first byte being 0."""
    bits = np.unpackbits(np.frombuffer(bitmap, np.uint8), bitorder="little")
    return np.flatnonzero(bits).astype(np.int64)
