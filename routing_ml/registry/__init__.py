"""Turns folders into versions that are whole or not there, one of them in use, with a history of
who put which into use and why.
"""

from typing import TYPE_CHECKING

from routing_ml.lazily import handing_on

if TYPE_CHECKING:
    from routing_ml.registry.registry import ANY as ANY
    from routing_ml.registry.registry import MAX_AGE_DAYS as MAX_AGE_DAYS
    from routing_ml.registry.registry import Registry as Registry
    from routing_ml.registry.version import Version as Version
    from routing_ml.registry.version import time_of as time_of
else:
    __getattr__ = handing_on(__name__, __file__)
