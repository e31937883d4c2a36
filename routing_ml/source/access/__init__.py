"""A Microsoft Access file into typed Arrow batches, without a driver: path in, tables out.

The formats of Access 97 (Jet 3), 2000 to 2003 (Jet 4) and 2007 to 2019 (ACE) are read by NumPy
alone, so that no file, however damaged, can do worse than an InputError. MDBTools, through ODBC
or `mdb-export`, reads some values wrong, and crashes on others; access-parser 0.0.6, the one
reader on PyPI, does too.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from routing_ml.source.access.definition import Column as Column
    from routing_ml.source.access.file import AccessFile as AccessFile

__all__ = ["AccessFile", "Column"]


def __getattr__(name: str) -> Any:
    """The names of `__all__` when they are asked for: NumPy and Arrow take .2 s to import."""
    modules = {"AccessFile": "file", "Column": "definition"}
    if name not in modules:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{modules[name]}"), name)
