"""Candidates that learn routings. Adding one is a class and a line in `CANDIDATES`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from routing_ml.errors import ModelError
from routing_ml.models import storage
from routing_ml.models.attributes import Attributes
from routing_ml.models.base import PROPOSAL_COLUMNS, RoutingModel
from routing_ml.models.boosted import Boosted
from routing_ml.models.forest import Forest
from routing_ml.models.nearest import Nearest

__all__ = ["CANDIDATES", "PROPOSAL_COLUMNS", "RoutingModel", "fit", "load"]

CANDIDATES: dict[str, type[RoutingModel]] = {
    "nearest": Nearest,
    "forest": Forest,
    "boosted": Boosted,
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
    return _candidate(name)().fit(items, routings, results, attributes=attributes)


def load(folder: Path) -> RoutingModel:
    """The model saved in `folder`, whichever candidate it is."""
    stored = storage.read(Path(folder))
    return _candidate(stored.fact("candidate", str)).from_stored(stored)


def _candidate(name: str) -> type[RoutingModel]:
    if name not in CANDIDATES:
        raise ModelError(f"candidate {name!r} is unknown: choose from {', '.join(CANDIDATES)}")
    return CANDIDATES[name]
