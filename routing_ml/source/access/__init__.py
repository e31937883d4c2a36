"""A Microsoft Access file into typed Arrow batches, without a driver: path in, tables out.

The formats of Access 97 (Jet 3), 2000 to 2003 (Jet 4) and 2007 to 2019 (ACE) are read by NumPy
alone, so that no file, however damaged, can do worse than an InputError. MDBTools, through ODBC
or `mdb-export`, reads some values wrong, and crashes on others; access-parser 0.0.6, the one
reader on PyPI, does too.
"""

from typing import TYPE_CHECKING

from routing_ml.lazily import handing_on

if TYPE_CHECKING:
    from routing_ml.source.access.definition import Column as Column
    from routing_ml.source.access.file import AccessFile as AccessFile
else:
    __getattr__ = handing_on(__name__, __file__)
