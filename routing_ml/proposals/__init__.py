"""Turns items and the model in use into proposals and the reasons for them."""

from typing import TYPE_CHECKING

from routing_ml.lazily import handing_on

if TYPE_CHECKING:
    from routing_ml.proposals import predict as predict
    from routing_ml.proposals.explanation import Explanation as Explanation
    from routing_ml.proposals.explanation import explain as explain
    from routing_ml.proposals.files import add_workbook as add_workbook
    from routing_ml.proposals.files import beside as beside
    from routing_ml.proposals.files import default_path as default_path
    from routing_ml.proposals.files import save as save
    from routing_ml.proposals.items import Items as Items
    from routing_ml.proposals.items import read_items as read_items
    from routing_ml.proposals.items import typed_in as typed_in
    from routing_ml.proposals.leaving_out import columns_of as columns_of
    from routing_ml.proposals.reasons import NEW as NEW
    from routing_ml.proposals.reasons import NO_WORD as NO_WORD
    from routing_ml.proposals.reasons import UNKNOWN as UNKNOWN
    from routing_ml.proposals.reasons import Change as Change
    from routing_ml.proposals.reasons import Difference as Difference
    from routing_ml.proposals.weighing import STRENGTHS as STRENGTHS
    from routing_ml.proposals.weighing import Reason as Reason
else:
    __getattr__ = handing_on(__name__, __file__)
