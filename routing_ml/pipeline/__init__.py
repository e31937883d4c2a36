"""Turns all the rest into runs: the steps of a retraining and of the daily proposals, what is
written down about them, and who is told.
"""

from typing import TYPE_CHECKING

from routing_ml.lazily import handing_on

if TYPE_CHECKING:
    from routing_ml.pipeline import approval as approval
    from routing_ml.pipeline import monitor as monitor
    from routing_ml.pipeline import report as report
    from routing_ml.pipeline.advice import advise as advise
    from routing_ml.pipeline.ending import catch_up as catch_up
    from routing_ml.pipeline.ending import end as end
    from routing_ml.pipeline.evidence import judge as judge
    from routing_ml.pipeline.evidence import judge_data as judge_data
    from routing_ml.pipeline.looking import end_look as end_look
    from routing_ml.pipeline.looking import look as look
    from routing_ml.pipeline.material import Material as Material
    from routing_ml.pipeline.material import Rule as Rule
    from routing_ml.pipeline.monitor import started_by as started_by
    from routing_ml.pipeline.proposing import propose as propose
    from routing_ml.pipeline.proposing import propose_missing as propose_missing
    from routing_ml.pipeline.proposing import source_data as source_data
    from routing_ml.pipeline.replay import POLICIES as POLICIES
    from routing_ml.pipeline.replay import play as play
    from routing_ml.pipeline.replay_days import Play as Play
    from routing_ml.pipeline.replay_plot import draw as draw
    from routing_ml.pipeline.replay_text import as_text as as_text
    from routing_ml.pipeline.retraining import StepError as StepError
    from routing_ml.pipeline.retraining import retrain as retrain
    from routing_ml.pipeline.run_names import run_in_words as run_in_words
    from routing_ml.pipeline.standing import offer as offer
    from routing_ml.pipeline.standing import record_challengers as record_challengers
    from routing_ml.pipeline.standing import replace_model as replace_model
    from routing_ml.pipeline.steps import audit as audit
    from routing_ml.pipeline.steps import check as check
    from routing_ml.pipeline.steps import compare as compare
    from routing_ml.pipeline.steps import extract as extract
    from routing_ml.pipeline.steps import nothing_new as nothing_new
    from routing_ml.pipeline.steps import predict as predict
    from routing_ml.pipeline.steps import promote as promote
    from routing_ml.pipeline.steps import prune as prune
    from routing_ml.pipeline.steps import registry as registry
    from routing_ml.pipeline.steps import run_folder as run_folder
    from routing_ml.pipeline.steps import train as train
    from routing_ml.pipeline.telling import tell_switches as tell_switches
    from routing_ml.pipeline.telling import tell_waits as tell_waits
    from routing_ml.pipeline.training import decide as decide
    from routing_ml.pipeline.training import evaluate as evaluate
    from routing_ml.pipeline.training import fit_and_register as fit_and_register
    from routing_ml.pipeline.unseen import Unseen as Unseen
    from routing_ml.pipeline.workers import processors as processors
else:
    __getattr__ = handing_on(__name__, __file__)
