"""Proposes routings with the model in use and records what it said in the monitoring store."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import pandas as pd

from routing_ml import dataset
from routing_ml.errors import RoutingError
from routing_ml.pipeline import monitor
from routing_ml.proposals import predict, save
from routing_ml.registry import Registry
from routing_ml.settings import Settings
from routing_ml.source import Columns


def propose(
    settings: Settings,
    items: pd.DataFrame,
    *,
    save_to: Path | None = None,
    batch: str | None = None,
    alternatives: int = 1,
    quantity: float | None = None,
) -> tuple[pd.DataFrame, str]:
    """Proposals for `items` and the version that made them, saved where told, and recorded in the
    monitoring store, the first routing of each item; a failure is counted there. `batch` names what
    must not be recorded twice; `alternatives` and `quantity` are as of `RoutingModel.predict`.
    """
    predictor = predict.Predictor(Registry(settings.home / "models"))
    with _failures_counted(settings):
        model = predictor.model
        started = time.perf_counter()
        proposals = model.predict(items, alternatives=alternatives, quantity=quantity)
        seconds = time.perf_counter() - started
    if save_to:
        save(proposals, save_to)
    version = predictor.version
    first = proposals[proposals["RANK"] == 1] if "RANK" in proposals else proposals
    monitor.record_predictions(settings, first, model=version, seconds=seconds, batch=batch)
    return proposals, version


def propose_missing(
    settings: Settings,
    *,
    source: str,
    columns: Columns,
    as_of: datetime,
    path: Path,
    batch: str | None = None,
    alternatives: int = 1,
    quantity: float | None = None,
) -> dict[str, object]:
    """Propose a routing for every item of a configured source that has none, and write them to
    `path`; returns the file, the model, and how many items and operations. They come oldest first
    where the item table says when each was entered."""
    where = settings.origin(source)
    with _failures_counted(settings):
        data = predict.read_source(where, columns, as_of)
    items = dataset.without_routing(data.items, data.routings)
    if "INSRT_DT" in items:  # by code, a kind of item that is few would come all at once
        items = items.sort_values(["INSRT_DT", "ITEM_CD"], na_position="first", ignore_index=True)
    proposals, model = propose(
        settings, items, save_to=path, batch=batch, alternatives=alternatives, quantity=quantity
    )
    return {"model": model, "items": len(items), "operations": len(proposals), "out": str(path)}


@contextmanager
def _failures_counted(settings: Settings) -> Iterator[None]:
    try:
        yield
    except Exception:
        with suppress(RoutingError):  # the reason itself is what is to be told
            monitor.record_failure(settings)
        raise
