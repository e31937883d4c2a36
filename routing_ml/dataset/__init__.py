"""Turns a dataset's Parquet into clean frames, says which items are held out, and judges whether
anything may be learned from them.
"""

from typing import TYPE_CHECKING

from routing_ml.lazily import handing_on

if TYPE_CHECKING:
    from routing_ml.dataset.checking import Checked as Checked
    from routing_ml.dataset.checking import check as check
    from routing_ml.dataset.codes import among as among
    from routing_ml.dataset.families import families_of as families_of
    from routing_ml.dataset.frames import Dataset as Dataset
    from routing_ml.dataset.frames import data_hash as data_hash
    from routing_ml.dataset.frames import entered as entered
    from routing_ml.dataset.frames import load as load
    from routing_ml.dataset.frames import newest_routings as newest_routings
    from routing_ml.dataset.frames import other_routings as other_routings
    from routing_ml.dataset.frames import read_manifest as read_manifest
    from routing_ml.dataset.frames import split as split
    from routing_ml.dataset.frames import without_routing as without_routing
    from routing_ml.dataset.gates import REQUIRED as REQUIRED
    from routing_ml.dataset.gates import Audit as Audit
    from routing_ml.dataset.gates import audit as audit
    from routing_ml.dataset.gates import compared as compared
    from routing_ml.dataset.gates import is_null as is_null
    from routing_ml.dataset.gates import tables_of as tables_of
    from routing_ml.dataset.offenders import as_csv as as_csv
    from routing_ml.dataset.offenders import as_text as as_text
    from routing_ml.dataset.offenders import in_words as in_words
    from routing_ml.dataset.offenders import listed as listed
    from routing_ml.dataset.offenders import together as together
    from routing_ml.dataset.outliers import factors as factors
    from routing_ml.dataset.outliers import robust as robust
    from routing_ml.dataset.past import Past as Past
    from routing_ml.dataset.seen import is_whole as is_whole
    from routing_ml.dataset.suspects import deviations as deviations
    from routing_ml.dataset.units import FACTORS as FACTORS
    from routing_ml.dataset.units import KINDS as KINDS
    from routing_ml.dataset.units import MM_PER as MM_PER
    from routing_ml.dataset.written import written_out as written_out
else:
    __getattr__ = handing_on(__name__, __file__)
