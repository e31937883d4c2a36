"""Turns proposals, and the routings that planners wrote later, into evidence: how right the version
in use is, and whether one that may replace it is better.
"""

from typing import TYPE_CHECKING

from routing_ml.lazily import handing_on

if TYPE_CHECKING:
    from routing_ml.judging.challengers import Challenger as Challenger
    from routing_ml.judging.challengers import Challengers as Challengers
    from routing_ml.judging.challengers import after_retraining as after_retraining
    from routing_ml.judging.challengers import follow as follow
    from routing_ml.judging.challengers import take_in as take_in
    from routing_ml.judging.judgement import Judgement as Judgement
    from routing_ml.judging.judgement import Written as Written
    from routing_ml.judging.judgement import judge as judge
    from routing_ml.judging.judgement import told as told
    from routing_ml.judging.keeping import is_whole as is_whole
    from routing_ml.judging.keeping import kept as kept
    from routing_ml.judging.keeping import operations_of as operations_of
    from routing_ml.judging.live import Live as Live
    from routing_ml.judging.live import figures as figures
    from routing_ml.judging.work import judge_work as judge_work
else:
    __getattr__ = handing_on(__name__, __file__)
