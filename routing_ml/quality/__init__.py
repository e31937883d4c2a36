"""Turns a dataset into a look at the data that a data steward can act on: what is wrong by name and
how to mend it, what changed since an earlier look, and one HTML page of both.
"""

from typing import TYPE_CHECKING

from routing_ml.lazily import handing_on

if TYPE_CHECKING:
    from routing_ml.quality.change import Change as Change
    from routing_ml.quality.change import compare as compare
    from routing_ml.quality.kept import before as before
    from routing_ml.quality.kept import keep as keep
    from routing_ml.quality.kept import told as told
    from routing_ml.quality.looking import Look as Look
    from routing_ml.quality.looking import look as look
    from routing_ml.quality.measures import KINDS as KINDS
    from routing_ml.quality.page import Told as Told
    from routing_ml.quality.page import as_html as as_html
    from routing_ml.quality.page import summary as summary
    from routing_ml.quality.worst import by_item as by_item
else:
    __getattr__ = handing_on(__name__, __file__)
