"""Turns values and a template into one self-contained HTML page: no script, nothing from elsewhere,
and whatever something is called stands there as text.
"""

from typing import TYPE_CHECKING

from routing_ml.lazily import handing_on

if TYPE_CHECKING:
    from routing_ml.pages.plots import MOST_WEEKS as MOST_WEEKS
    from routing_ml.pages.plots import Range as Range
    from routing_ml.pages.plots import by_week as by_week
    from routing_ml.pages.plots import ranges as ranges
    from routing_ml.pages.rendering import template as template
    from routing_ml.pages.words import HIDDEN as HIDDEN
    from routing_ml.pages.words import percent as percent
    from routing_ml.pages.words import plain as plain
    from routing_ml.pages.words import points as points
    from routing_ml.pages.words import sentence as sentence
else:
    __getattr__ = handing_on(__name__, __file__)
