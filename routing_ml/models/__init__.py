"""Candidates that learn routings. Adding one is a class and a line in `CANDIDATES`.

Light to import, for Airflow reads the names each time it reads the DAG: a candidate's module, with
pandas and SciPy, is imported when it is needed.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from routing_ml.errors import ModelError

if TYPE_CHECKING:
    import pandas as pd

    from routing_ml.models.attributes import Attributes
    from routing_ml.models.base import RoutingModel

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
) -> RoutingModel:
    """Fit the candidate `name` on `items` and their newest `routings`."""
    return candidate(name)().fit(items, routings, results, attributes=attributes)


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
