"""Writes small Access files, whole or awkward, byte by byte: what no tool at hand writes.

Offsets are numbers here, not those of the reader, so that a wrong one is seen. MDB Tools reads
what this writes.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

YES_NO, BYTE, INTEGER, LONG, MONEY, SINGLE, DOUBLE, DATE = range(1, 9)
BINARY, TEXT, OLE, MEMO, GUID, DECIMAL, COMPLEX, LARGE, EXTENDED = 9, 10, 11, 12, 15, 16, 18, 19, 20
SIZES = {YES_NO: 0, BYTE: 1, INTEGER: 2, LONG: 4, MONEY: 8, SINGLE: 4, DOUBLE: 8, DATE: 8, GUID: 16}
SIZES |= {COMPLEX: 4, LARGE: 8, EXTENDED: 42}
# The stream that hides the header from byte 0x18 on, in every file.
MASK = bytes.fromhex(
    "b56f03626108c255eba96772433f009c7a9f90ff809a31c579baed30bcdfcc9d63d9e4c37b42fb8abc4e86fbec375d44"
    "9cfac65e28e613b68a6054947b36f572dfb177f41343cfafb1333461795b92b57c2a05f17c99011b98fd124f4a946c3e"
    "60265f95f8d089248567c61f2744d2eecf65edff07c746a178160cede92d62d4"
)
MOVED, DELETED = 0x4000, 0x8000


@dataclass
class Column:
    """A column as it is defined; `raw` values are bytes already, None is NULL."""

    name: str
    code: int
    scale: int = 0
    fixed: bool | None = None
    length: int = 0
    calculated: bool = False

    @property
    def is_fixed(self) -> bool:
        return self.code in SIZES if self.fixed is None else self.fixed

    @property
    def size(self) -> int:
        return SIZES.get(self.code, self.length)


class Builder:
    """Pages that become a file. Jet 3 is Access 97, 4 all that came after it."""

    def __init__(self, jet: int = 4, version: int | None = None, code_page: int = 1252) -> None:
        self.jet, self.page_size = jet, 2048 if jet == 3 else 4096
        self.version = version if version is not None else {3: 0, 4: 1}[jet]
        self.code_page, self.key = code_page, b"\0\0\0\0"
        self.codec = f"cp{code_page}" if jet == 3 else "utf-16-le"
        self.pages: list[bytes] = [b"", bytes(self.page_size), b""]
        self.objects: list[tuple[int, str, int, int]] = [(2, "MSysObjects", 1, -0x7FFFFFFE)]

    def table(
        self,
        name: str,
        columns: Sequence[Column],
        rows: Iterable[Sequence[Any]],
        *,
        flags: int = 0,
        count: int | None = None,
        page: int | None = None,
        reference_map: bool = False,
    ) -> int:
        """Add a table with these rows; `count` is what its definition says instead of their
        number. Gives the page of its definition.
        """
        if page is None:
            page = self.new_page()
            self.objects.append((page, name, 1, flags))
        raw = [(0, self.row(columns, row)) for row in rows]
        return self.raw_table(columns, raw, count=count, page=page, reference_map=reference_map)

    def raw_table(
        self,
        columns: Sequence[Column],
        rows: Sequence[tuple[int, bytes]],
        *,
        count: int | None = None,
        page: int,
        reference_map: bool = False,
    ) -> int:
        """A table of rows that are bytes already, each with the flags of its place on its page."""
        owned = self.data_pages(page, rows)
        pointer = self.usage_map(owned, reference_map)
        alive = sum(not flags & DELETED for flags, _ in rows)
        self.definition(page, columns, alive if count is None else count, pointer)
        return page

    def new_page(self, content: bytes = b"") -> int:
        self.pages.append(content.ljust(self.page_size, b"\0"))
        return len(self.pages) - 1

    def data_page(self, owner: int | bytes, rows: Sequence[tuple[int, bytes]]) -> bytes:
        """A page of type 1; rows fill it from its end."""
        head = b"\1\1\0\0" + (owner if isinstance(owner, bytes) else struct.pack("<I", owner))
        head += (b"" if self.jet == 3 else bytes(4)) + struct.pack("<H", len(rows))
        body, at = b"", self.page_size
        for flags, row in rows:
            at -= len(row)
            head += struct.pack("<H", at | flags)
            body = row + body
        assert len(head) <= at, "too many rows for a page"
        return head + bytes(at - len(head)) + body

    def data_pages(self, owner: int | bytes, rows: Sequence[tuple[int, bytes]]) -> list[int]:
        """As many pages as the rows need."""
        numbers, here, room = [], [], self.page_size - 16
        for flags, row in rows:
            if len(row) + 2 > room or len(here) == 255:
                numbers.append(self.new_page(self.data_page(owner, here)))
                here, room = [], self.page_size - 16
            here.append((flags, row))
            room -= len(row) + 2
        return [*numbers, self.new_page(self.data_page(owner, here))]

    def usage_map(self, owned: Sequence[int], reference: bool = False) -> int:
        """The pointer to a map of these pages."""
        if not reference:
            row = b"\0" + struct.pack("<I", min(owned)) + _bits(owned, min(owned), 64)
        else:
            each = (self.page_size - 4) * 8
            parts = []
            for first in range(0, max(owned) + 1, each):
                some = [n for n in owned if first <= n < first + each]
                bits = _bits(some, first, self.page_size - 4)
                parts.append(self.new_page(b"\5\1\0\0" + bits) if some else 0)
            row = b"\1" + struct.pack(f"<{len(parts)}I", *parts)
        return self.new_page(self.data_page(0, [(0, row)])) << 8

    def definition(self, page: int, columns: Sequence[Column], count: int, pointer: int) -> None:
        """A table's definition, on `page` and as many more as it needs."""
        variable = [column for column in columns if not column.is_fixed]
        sizes = (len(columns), len(variable), len(columns), 0, 0, pointer, pointer)
        if self.jet == 3:
            body = struct.pack("<IIIB3H4I", 0, count, 0, 0x4E, *sizes)
        else:
            body = struct.pack("<4I16xB3H4I", 0, 0, count, 0, 0x4E, *sizes)
        at = places = 0
        for number, column in enumerate(columns):
            place = 0 if column.is_fixed else places
            offset = at if column.is_fixed else 0
            flags = 2 | column.is_fixed
            if self.jet == 3:
                body += struct.pack("<B5HxBBHH", column.code, number, place, number, 0, 0, 0, flags,
                                    offset, column.size)  # fmt: skip
            else:
                body += struct.pack("<B4xHHHBBHBB4xHH", column.code, number, place, number,
                                    0, column.scale, 0, flags, 0xC0 * column.calculated, offset,
                                    column.size)  # fmt: skip
            at += column.size * column.is_fixed
            places += not column.is_fixed
        for column in columns:
            name = column.name.encode(self.codec)
            body += struct.pack("<B" if self.jet == 3 else "<H", len(name)) + name
        room = self.page_size - 8
        pieces = [body[i : i + room] for i in range(0, len(body), room)]
        numbers = [page, *(self.new_page() for _ in pieces[1:])]
        for number, following, piece in zip(numbers, [*numbers[1:], 0], pieces, strict=True):
            content = b"\2\1VC" + struct.pack("<I", following) + piece
            self.pages[number] = content.ljust(self.page_size, b"\0")

    def row(self, columns: Sequence[Column], values: Sequence[Any]) -> bytes:
        """A row's bytes; a value is bytes, None, or True for a Yes."""
        width = "<B" if self.jet == 3 else "<H"
        body = struct.pack(width, len(columns))
        mask = bytearray((len(columns) + 7) // 8)
        variable = []
        for number, (column, value) in enumerate(zip(columns, values, strict=True)):
            if value is not None and value is not False:
                mask[number // 8] |= 1 << number % 8
            if column.is_fixed:
                body += (value if isinstance(value, bytes) else b"").ljust(column.size, b"\0")
            else:
                variable.append(value or b"")
        offsets = []
        for value in variable:
            offsets.append(len(body))
            body += value
        offsets.append(len(body))
        if not variable:
            return body + bytes(mask)
        if self.jet == 4:
            table = struct.pack(f"<{len(offsets)}H", *reversed(offsets))
            return body + table + struct.pack("<H", len(variable)) + bytes(mask)
        jumps = [next(i for i, at in enumerate(offsets) if at >= 256 * k)
                 for k in range(1, offsets[-1] // 256 + 1)]  # fmt: skip
        fixed = len(body) + len(offsets) + 1 + len(mask)
        dummies = 0
        while (fixed + len(jumps) + dummies - 1) // 256 > len(jumps) + dummies:
            dummies += 1
        table = bytes(at & 255 for at in reversed(offsets)) + bytes(dummies)
        return body + table + bytes(reversed(jumps)) + bytes([len(variable)]) + bytes(mask)

    def memo(self, text: bytes, *, most: int = 0) -> bytes:
        """The header of a long text, which goes into the row, onto a page or onto a chain."""
        size = struct.pack("<I", len(text))[:3]
        if len(text) <= 64 and not most:
            return size + b"\x80" + bytes(8) + text
        most = most or self.page_size - 40
        if len(text) <= most:
            page = self.new_page(self.data_page(b"LVAL", [(0, b"other"), (0, text)]))
            return size + b"\x40" + struct.pack("<I4x", page << 8 | 1)
        pointer = 0
        for first in reversed(range(0, len(text), most)):
            part = struct.pack("<I", pointer) + text[first : first + most]
            pointer = self.new_page(self.data_page(b"LVAL", [(0, part)])) << 8
        return size + b"\0" + struct.pack("<I4x", pointer)

    def build(self, change: Callable[["Builder"], None] | None = None) -> bytes:
        """The file. `change` has the last word on its pages."""
        columns = [Column("Id", LONG), Column("Name", TEXT), Column("Type", INTEGER),
                   Column("Flags", LONG), Column("LvProp", OLE)]  # fmt: skip
        rows = [
            (struct.pack("<i", page), name.encode(self.codec), struct.pack("<h", kind),
             struct.pack("<i", flags), None)
            for page, name, kind, flags in self.objects
        ]  # fmt: skip
        self.table("MSysObjects", columns, rows, page=2)
        head = bytearray(self.page_size)
        head[:4] = b"\0\1\0\0"
        head[4:20] = b"Standard Jet DB\0" if self.version < 2 else b"Standard ACE DB\0"
        head[20] = self.version
        head[0x3C:0x42] = struct.pack("<H", self.code_page) + self.key
        for i, byte in enumerate(MASK):
            head[0x18 + i] ^= byte
        self.pages[0] = bytes(head)
        if change:
            change(self)
        return b"".join(self.pages)


def _bits(numbers: Sequence[int], first: int, size: int) -> bytes:
    bits = bytearray(size)
    for number in numbers:
        bits[(number - first) // 8] |= 1 << (number - first) % 8
    return bytes(bits)
