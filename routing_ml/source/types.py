"""The types that each kind of source is believed in, and the SQL that reads each right.

A type that is not listed is not read: its column is left out by name, or refused where it is
needed. PostgreSQL's and SQLite's are proven by tests on the real ones. Those of SQL Server and of
Microsoft's Access driver are from their documentation: neither could be tried.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

PLAIN = "{column}"


@dataclass(frozen=True)
class Route:
    """How a type is read: as `kind`, by the SQL term `sql` of `{column}` and the time `{zone}`;
    `as_text` says that the term gives a number's digits."""

    kind: str
    sql: str = PLAIN
    as_text: bool = False


# Digits as text: the driver rounds real, and reads numeric as text in any case. Moments too: it
# makes today of 'infinity' and of years past 9999, and AD 44 of 44 BC.
_DIGITS = Route("number", "CAST({column} AS text)", as_text=True)
_MOMENT = Route("date", "CAST({column} AS text)")
POSTGRESQL: Mapping[str, Route] = {
    "smallint": Route("number"),
    "integer": Route("number"),
    "bigint": _DIGITS,
    "real": _DIGITS,
    "double precision": _DIGITS,
    "numeric": _DIGITS,
    "boolean": Route("number", "CAST({column} AS integer)"),
    "text": Route("text"),
    "character varying": Route("text"),
    "character": Route("text"),
    '"char"': Route("text", "CAST({column} AS text)"),
    "name": Route("text", "CAST({column} AS text)"),
    "citext": Route("text", "CAST({column} AS text)"),
    "uuid": Route("text", "CAST({column} AS text)"),
    "date": _MOMENT,
    "timestamp without time zone": _MOMENT,
    "timestamp with time zone": Route("date", "CAST({column} AT TIME ZONE '{zone}' AS text)"),
}

_NUMBER, _TEXT, _DATE = Route("number"), Route("text"), Route("date")
SQL_SERVER: Mapping[str, Route] = {
    **dict.fromkeys(("bit", "tinyint", "smallint", "int", "bigint", "float", "real"), _NUMBER),
    **dict.fromkeys(("decimal", "numeric", "money", "smallmoney"), _NUMBER),
    **dict.fromkeys(("char", "varchar", "nchar", "nvarchar", "text", "ntext"), _TEXT),
    "uniqueidentifier": _TEXT,
    **dict.fromkeys(("date", "datetime", "datetime2", "smalldatetime"), _DATE),
}
MICROSOFT_ACCESS: Mapping[str, Route] = {
    **dict.fromkeys(("BIT", "BYTE", "SMALLINT", "INTEGER", "COUNTER", "REAL", "DOUBLE"), _NUMBER),
    **dict.fromkeys(("CURRENCY", "DECIMAL", "NUMERIC"), _NUMBER),
    **dict.fromkeys(("CHAR", "VARCHAR", "LONGCHAR", "GUID"), _TEXT),
    "DATETIME": _DATE,
}

_SQLITE_MOMENT = re.compile(r"DATE|TIMESTAMP")
_SQLITE_NUMBER = re.compile(r"INT|REAL|FLOA|DOUB|NUM|DEC|BOOL|MONEY|CURRENCY|SERIAL")
_SQLITE_TEXT = re.compile(r"CHAR|CLOB|TEXT|STRING|GUID|UUID")


def sqlite(declared: str, stored: frozenset[str]) -> str | None:
    """The kind of a SQLite column by its declared type, where that says nothing by the storage
    classes (https://www.sqlite.org/datatype3.html) of its values; None for what is not read.

    >>> sqlite("DECIMAL(10,2)", frozenset()), sqlite("", frozenset({"text", "null"}))
    ('number', 'text')
    """
    declared = declared.upper()
    if _SQLITE_MOMENT.search(declared):
        return "date"
    if "BLOB" in declared or "BINARY" in declared or "TIME" in declared or "blob" in stored:
        return None
    if _SQLITE_TEXT.search(declared):
        return "text"
    if _SQLITE_NUMBER.search(declared):
        return "number"
    return "number" if stored - {"null"} and stored <= {"integer", "real", "null"} else "text"
