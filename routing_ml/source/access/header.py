"""The first bytes of a file: which format of Access it is, and whether it can be read at all.

Offsets follow the HACKING document of MDB Tools and the sources of Jackcess.
"""

from dataclasses import dataclass
from pathlib import Path

from routing_ml.errors import InputError

SIGNATURES = (b"Standard Jet DB\x00", b"Standard ACE DB\x00")
FORMATS = {
    0: "Access 97",
    1: "Access 2000-2003",
    2: "Access 2007",
    3: "Access 2010",
    4: "Access 2013",
    5: "Access 2016",
    6: "Access 2019",
}
HEADER_BYTES = 152
# Hidden from byte 0x18 on by the stream of RC4 with this key, the same in every file.
KEY = bytes.fromhex("c7da396b")
HIDDEN_AT = 0x18
CODE_PAGE = slice(0x3C, 0x3E)
ENCODING_KEY = slice(0x3E, 0x42)
RESTORE = "check the path, or restore the file from a copy"


@dataclass(frozen=True)
class Layout:
    """Where a format keeps what, in bytes: offsets (`_at`) and sizes."""

    page: int
    rows_at: int  # in a data page: the number of its rows; their offsets follow
    width: int  # of counts and offsets in a row, and of the length of a column's name
    # In a table's definition:
    row_count_at: int
    counts_at: int  # the most columns a row can have, variable columns, columns; 2 bytes each
    indexes_at: int  # the number of indexes
    map_at: int  # a pointer to the map of the table's pages
    header: int  # all of that; the indexes follow, then the columns, then their names
    index: int
    column: int
    # In a column of it:
    number_at: int
    variable_at: int
    scale_at: int
    flags_at: int
    fixed_at: int
    length_at: int


JET3 = Layout(
    page=2048, rows_at=8, width=1,
    row_count_at=12, counts_at=21, indexes_at=31, map_at=35, header=43, index=8, column=18,
    number_at=1, variable_at=3, scale_at=12, flags_at=13, fixed_at=14, length_at=16,
)  # fmt: skip
JET4 = Layout(
    page=4096, rows_at=12, width=2,
    row_count_at=16, counts_at=41, indexes_at=51, map_at=55, header=63, index=12, column=25,
    number_at=5, variable_at=7, scale_at=12, flags_at=15, fixed_at=21, length_at=23,
)  # fmt: skip


@dataclass(frozen=True)
class Header:
    """What the header of a file says, and how many pages the file has."""

    format_name: str
    layout: Layout
    pages: int
    codec: str  # Python's name of how texts are written


def read_header(path: Path, head: bytes, size: int) -> Header:
    """The header that begins a file of `size` bytes.

    Raises InputError where that is no whole, plain Access database.
    """
    if size == 0:
        raise InputError(f"{path} is empty; {RESTORE}")
    if head[4:20] not in SIGNATURES:
        raise InputError(f"{path} is no Microsoft Access database; {RESTORE}")
    version = head[20] if len(head) > 20 else 0
    copy = "save a copy of it in Access as .accdb and point to that copy"
    if version not in FORMATS:
        raise InputError(
            f"{path} is of a format of Access that is not known (version {version}); {copy}"
        )
    layout = JET4 if version else JET3
    if size % layout.page:
        raise InputError(
            f"{path} ends in the middle of a page ({size} bytes are no multiple of "
            f"{layout.page}): it is truncated; {RESTORE}"
        )
    stream = bytes(HIDDEN_AT) + _rc4(KEY, HEADER_BYTES - HIDDEN_AT)
    plain = bytes(a ^ b for a, b in zip(head, stream, strict=False))
    if any(plain[ENCODING_KEY]):
        raise InputError(
            f"{path} is encrypted; remove the password in Access "
            "(File > Info > Decrypt Database) and point to that copy"
        )
    code_page = int.from_bytes(plain[CODE_PAGE], "little")
    codec = "utf-16-le" if version else f"cp{code_page}"
    try:
        "".encode(codec)
    except LookupError as error:
        raise InputError(
            f"{path} is written in code page {code_page}, which Python does not know; {copy}"
        ) from error
    return Header(FORMATS[version], layout, size // layout.page, codec)


def _rc4(key: bytes, length: int) -> bytes:
    """The key stream of RC4, as every description of the cipher has it."""
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) & 255
        state[i], state[j] = state[j], state[i]
    stream = bytearray()
    i = j = 0
    for _ in range(length):
        i = (i + 1) & 255
        j = (j + state[i]) & 255
        state[i], state[j] = state[j], state[i]
        stream.append(state[(state[i] + state[j]) & 255])
    return bytes(stream)
