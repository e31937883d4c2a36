"""Turns what happened into messages that arrive once."""

from typing import TYPE_CHECKING

from routing_ml.lazily import handing_on

if TYPE_CHECKING:
    from routing_ml.notices.notify import catch_up as catch_up
    from routing_ml.notices.notify import tell as tell
else:
    __getattr__ = handing_on(__name__, __file__)
