"""Candidates that learn routings. Adding one is a class and a line in `CANDIDATES`.

Light to import, for Airflow reads the names each time it reads the DAG: a candidate's module, with
pandas and SciPy, is imported when it is needed.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from routing_ml.errors import ModelError
from routing_ml.lazily import handing_on

if TYPE_CHECKING:
    import pandas as pd

    from routing_ml.models.base import RoutingModel as RoutingModel
    from routing_ml.models.baselines import BASELINES as BASELINES
    from routing_ml.models.features.attributes import ABSENT as ABSENT
    from routing_ml.models.features.attributes import GIVEN as GIVEN
    from routing_ml.models.features.attributes import MISSING as MISSING
    from routing_ml.models.features.attributes import UNSEEN as UNSEEN
    from routing_ml.models.features.attributes import Attributes as Attributes
    from routing_ml.models.features.attributes import Prepared as Prepared
    from routing_ml.models.features.design import Feature as Feature
    from routing_ml.models.features.design import combine as combine
    from routing_ml.models.features.text import normalise as normalise
    from routing_ml.models.features.text import number as number
    from routing_ml.models.ground import Ground as Ground
    from routing_ml.models.parts.confidence import logit as logit
    from routing_ml.models.parts.operations import Operation as Operation
    from routing_ml.models.parts.operations import decide as decide
else:
    __getattr__ = handing_on(__name__, __file__)

CANDIDATES = {
    "nearest": "routing_ml.models.nearest.Nearest",
    "forest": "routing_ml.models.forest.Forest",
    "boosted": "routing_ml.models.boosted.Boosted",
}


def fit(
    name: str,
    items: pd.DataFrame,
    routings: pd.DataFrame,
    results: pd.DataFrame | None = None,
    *,
    attributes: Attributes,
    alternatives: pd.DataFrame | None = None,
    like: RoutingModel | None = None,
) -> RoutingModel:
    """Fit the candidate `name` on `items`, their newest `routings` and what else is valid; `like`
    as `Learning.fit` has it."""
    from routing_ml.models.ground import Ground

    ground = Ground.fit(items, routings, results, attributes=attributes)
    return learn(name, ground, alternatives=alternatives, like=like)


def learn(
    name: str,
    ground: Ground,
    *,
    alternatives: pd.DataFrame | None = None,
    like: RoutingModel | None = None,
) -> RoutingModel:
    """Fit the candidate `name` on a ground, which several may share; see `Learning.fit`."""
    return candidate(name)().fit(ground, alternatives=alternatives, like=like)


def load(folder: Path) -> RoutingModel:
    """The model saved in `folder`, whichever candidate it is."""
    from routing_ml.models import storage

    stored = storage.read(Path(folder))
    return candidate(stored.fact("candidate", str)).from_stored(stored)


def candidate(name: str) -> type[RoutingModel]:
    """The class of a candidate; ModelError names an unknown one."""
    if name not in CANDIDATES:
        raise ModelError(f"candidate {name!r} is unknown: choose from {', '.join(CANDIDATES)}")
    module, _, kind = CANDIDATES[name].rpartition(".")
    return getattr(import_module(module), kind)
