"""Counts the rows of every table of a source's file by reading them all, so that a file that is cut
off or damaged shows it.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from routing_ml.errors import InputError
from routing_ml.settings import Origin
from routing_ml.source.access import AccessFile
from routing_ml.source.access.values import OutOfRange
from routing_ml.source.opening import open_source
from routing_ml.source.sqlite import Sqlite
from routing_ml.source.tables import AccessSource


def count_rows(path: Path) -> dict[str, int]:
    """The rows of each table of an Access or SQLite file, every value of them read.

    Raises InputError where the file is damaged, cut off, or neither of both.
    """
    with TemporaryDirectory(prefix="routing-ml-") as scratch:
        source = open_source(Origin(str(path), given_by="that path"), Path(scratch))
        with source:
            if isinstance(source, Sqlite):
                return _sqlite_rows(source)
            assert isinstance(source, AccessSource)
    with AccessFile(path) as file:
        tables = sorted(name for name, kind in file.objects().items() if kind == "table")
        if not tables:
            raise InputError(f"{path} has no tables: it is damaged; restore it from a copy")
        return {table: _access_rows(file, table) for table in tables}


def _access_rows(file: AccessFile, table: str) -> int:
    """All rows of a table; a value that Arrow cannot hold is the ERP's, and no damage."""
    columns = [column.name for column in file.columns(table) if column.kind]
    for names in (columns, *([name] for name in columns)):
        try:
            for _ in file.batches(table, names):
                pass
        except InputError as error:
            if not isinstance(error.__cause__, OutOfRange):
                raise
        else:
            if names == columns:
                break
    return file.count(table)


def _sqlite_rows(source: Sqlite) -> dict[str, int]:
    cursor = source.execute("PRAGMA integrity_check(1)")
    ((said,),) = source.fetch(cursor, "the file")
    if said != "ok":
        raise InputError(f"{source.label} is damaged: {said}; restore it from a copy")
    tables = source.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    counts = {}
    for (name,) in list(source.fetch(tables, "the list of tables")):
        if not name.startswith("sqlite_"):
            sql = f"SELECT COUNT(*) FROM {source.quoted(name)}"  # noqa: S608 - quoted
            found = source.execute(sql)
            ((counts[name],),) = source.fetch(found, f"table {name}")
    return counts
