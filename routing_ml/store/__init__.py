"""Turns what happened (predictions, drift, audits, runs) into the monitoring store, and that into
one snapshot. Light to import: the exporter starts with it.
"""

from typing import TYPE_CHECKING

from routing_ml.lazily import handing_on

if TYPE_CHECKING:
    from routing_ml.store.copies import copy_in as copy_in
    from routing_ml.store.copies import copy_out as copy_out
    from routing_ml.store.copies import count_tables as count_tables
    from routing_ml.store.copies import require_free as require_free
    from routing_ml.store.database import StoreError as StoreError
    from routing_ml.store.database import StoreMissingError as StoreMissingError
    from routing_ml.store.evidence import CONCEPT_CAUSES as CONCEPT_CAUSES
    from routing_ml.store.evidence import Judged as Judged
    from routing_ml.store.evidence import Proposed as Proposed
    from routing_ml.store.evidence import Tally as Tally
    from routing_ml.store.evidence import Worked as Worked
    from routing_ml.store.keyfigures import ALARM_OUTCOMES as ALARM_OUTCOMES
    from routing_ml.store.keyfigures import CAUSES as CAUSES
    from routing_ml.store.keyfigures import HANDS as HANDS
    from routing_ml.store.keyfigures import RESPONSE_BUCKETS_SECONDS as RESPONSE_BUCKETS_SECONDS
    from routing_ml.store.keyfigures import SINCE as SINCE
    from routing_ml.store.looks import SERIES_MOST as SERIES_MOST
    from routing_ml.store.records import Snapshot as Snapshot
    from routing_ml.store.store import BANDS as BANDS
    from routing_ml.store.store import DRIFT_DAYS_OF as DRIFT_DAYS_OF
    from routing_ml.store.store import EMPTY_DRIFT as EMPTY_DRIFT
    from routing_ml.store.store import LATENCY_BUCKETS_SECONDS as LATENCY_BUCKETS_SECONDS
    from routing_ml.store.store import Detector as Detector
    from routing_ml.store.store import Store as Store
    from routing_ml.store.store import empty_summary as empty_summary
else:
    __getattr__ = handing_on(__name__, __file__)
