"""Turns an ERP into a dataset: one columns file, one source and one moment go in,
typed and sorted Parquet with a manifest comes out."""

from typing import TYPE_CHECKING

from routing_ml.lazily import handing_on

if TYPE_CHECKING:
    from routing_ml.source import typed as typed
    from routing_ml.source.columns import Columns as Columns
    from routing_ml.source.counting import count_rows as count_rows
    from routing_ml.source.extraction import DEFAULT_LIMIT as DEFAULT_LIMIT
    from routing_ml.source.extraction import EVERY_ROW as EVERY_ROW
    from routing_ml.source.extraction import Extract as Extract
    from routing_ml.source.extraction import extract as extract
    from routing_ml.source.flags import says_outside as says_outside
    from routing_ml.source.flags import says_yes as says_yes
    from routing_ml.source.named import Attributes as Attributes
    from routing_ml.source.opening import file_of as file_of
    from routing_ml.source.opening import labels_of as labels_of
    from routing_ml.source.reading import Progress as Progress
    from routing_ml.source.whole import copy_file as copy_file
    from routing_ml.source.whole import copy_sqlite as copy_sqlite
else:
    __getattr__ = handing_on(__name__, __file__)
