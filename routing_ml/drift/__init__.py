"""Turns the scores at training, and those since, into an alarm that can be trusted."""

from typing import TYPE_CHECKING

from routing_ml.lazily import handing_on

if TYPE_CHECKING:
    from routing_ml.drift.baseline import BASELINE_FILE as BASELINE_FILE
    from routing_ml.drift.baseline import Baseline as Baseline
    from routing_ml.drift.causes import DATA as DATA
    from routing_ml.drift.causes import Place as Place
    from routing_ml.drift.causes import Verdict as Verdict
    from routing_ml.drift.concept import ConceptDetector as ConceptDetector
    from routing_ml.drift.detector import DriftDetector as DriftDetector
    from routing_ml.drift.expected import REFERENCE_FILE as REFERENCE_FILE
    from routing_ml.drift.expected import Reference as Reference
    from routing_ml.drift.faults import Fault as Fault
    from routing_ml.drift.faults import blame as blame
    from routing_ml.drift.faults import faults_of as faults_of
    from routing_ml.drift.profile import PROFILE_FILE as PROFILE_FILE
    from routing_ml.drift.profile import Profile as Profile
    from routing_ml.drift.watch import active as active
    from routing_ml.drift.watch import describe as describe
    from routing_ml.drift.watch import evaluate as evaluate
    from routing_ml.drift.watch import look as look
    from routing_ml.drift.watch import obstacle as obstacle
else:
    __getattr__ = handing_on(__name__, __file__)
