"""Turns proposals, and the routings that planners wrote later, into evidence: how right the version
in use is, and whether one that may replace it is better.
"""

from typing import TYPE_CHECKING

from routing_ml.lazily import handing_on

if TYPE_CHECKING:
    from routing_ml.judging.judgement import Judgement as Judgement
    from routing_ml.judging.judgement import judge as judge
    from routing_ml.judging.keeping import kept as kept
    from routing_ml.judging.keeping import operations_of as operations_of
    from routing_ml.judging.live import figures as figures
    from routing_ml.judging.standing import challengers as challengers
else:
    __getattr__ = handing_on(__name__, __file__)
