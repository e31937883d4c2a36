"""Proposes routings with the model in use and records what it said in the monitoring store."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from routing_ml import dataset
from routing_ml.errors import RoutingError, SourceAwayError
from routing_ml.pipeline import away, monitor
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
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Propose a routing for every item of a configured source that has none, and write them to
    `path`; returns the file, the model, and how many items and operations. They come oldest first
    where the item table says when each was entered.

    Where the source is away and the settings say `last`, it is the items of its last good dataset
    that a limit did not cut short: of one that is cut, nobody knows which items have no routing.
    `away` says so in one line; `say` is as of `away.read`.
    """
    with _failures_counted(settings, waits=settings.source_away == "wait" and say is None):
        data, gone = source_data(
            settings, source, columns=columns, as_of=as_of, whole=True, say=say
        )
    items = dataset.without_routing(data.items, data.routings)
    if "INSRT_DT" in items:  # by code, a kind of item that is few would come all at once
        items = items.sort_values(["INSRT_DT", "ITEM_CD"], na_position="first", ignore_index=True)
    proposals, model = propose(
        settings, items, save_to=path, batch=batch, alternatives=alternatives, quantity=quantity
    )
    facts = {"model": model, "items": len(items), "operations": len(proposals), "out": str(path)}
    return facts | {"away": gone and gone.line}


def source_data(
    settings: Settings,
    source: str,
    *,
    columns: Columns,
    as_of: datetime,
    whole: bool = False,
    say: Callable[[str], None] | None = None,
) -> tuple[dataset.Dataset, away.Away | None]:
    """All items and routings of a configured source; or its last good dataset, and how that came.
    Arguments are as of `away.read`."""

    def instead(last: Path) -> dataset.Dataset:
        return dataset.load(last)

    return away.read(
        settings, source, columns=columns, as_of=as_of, instead=instead, whole=whole, say=say,
        fetch=lambda: predict.read_source(settings.origin(source), columns, as_of),
    )  # fmt: skip


@contextmanager
def _failures_counted(settings: Settings, *, waits: bool = False) -> Iterator[None]:
    """Count a failure, but of a source that is away and `waits` to be tried again."""
    try:
        yield
    except Exception as error:
        if not (waits and isinstance(error, SourceAwayError)):
            with suppress(RoutingError):  # the reason itself is what is to be told
                monitor.record_failure(settings)
        raise
