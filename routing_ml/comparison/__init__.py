"""Turns figures on the same held-out items into a decision, with its reason in words."""

from typing import TYPE_CHECKING

from routing_ml.lazily import handing_on

if TYPE_CHECKING:
    from routing_ml.comparison import intervals as intervals
    from routing_ml.comparison import metrics as metrics
    from routing_ml.comparison.betting import PairedSequence as PairedSequence
    from routing_ml.comparison.betting import Standing as Standing
    from routing_ml.comparison.cases import ALPHA as ALPHA
    from routing_ml.comparison.cases import COLUMNS as COLUMNS
    from routing_ml.comparison.cases import MARGIN as MARGIN
    from routing_ml.comparison.cases import REFERENCE_LEAD as REFERENCE_LEAD
    from routing_ml.comparison.cases import Comparison as Comparison
    from routing_ml.comparison.cases import Decision as Decision
    from routing_ml.comparison.cases import FloorTest as FloorTest
    from routing_ml.comparison.cases import PairedTest as PairedTest
    from routing_ml.comparison.compare import FRESH_SHARE as FRESH_SHARE
    from routing_ml.comparison.compare import decide as decide
    from routing_ml.comparison.floor import LEAST_ITEMS as LEAST_ITEMS
    from routing_ml.comparison.floor import floor_tests as floor_tests
    from routing_ml.comparison.sequence import confidence_sequence as confidence_sequence
    from routing_ml.comparison.verdict import STAYS as STAYS
    from routing_ml.comparison.verdict import by_later_routings as by_later_routings
    from routing_ml.comparison.verdict import not_put_in as not_put_in
    from routing_ml.comparison.verdict import so_far as so_far
else:
    __getattr__ = handing_on(__name__, __file__)
