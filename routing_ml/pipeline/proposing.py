"""Proposes routings with the model in use and records what it said in the monitoring store."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from routing_ml import dataset
from routing_ml.errors import RoutingError, SourceAwayError, tried
from routing_ml.pipeline import away, monitor, shadows
from routing_ml.proposals import predict, save
from routing_ml.registry import Registry
from routing_ml.settings import DEFAULT_SOURCE, Settings
from routing_ml.source import Columns

log = logging.getLogger(__name__)


def propose(
    settings: Settings,
    items: pd.DataFrame,
    *,
    save_to: Path | None = None,
    record: bool = True,
    as_of: datetime | None = None,
    batch: str | None = None,
    alternatives: int = 1,
    quantity: float | None = None,
    seen: str | None = None,
    keep: bool = True,
) -> tuple[pd.DataFrame, str]:
    """Proposals for `items` and the version that made them, saved where told; a failure is counted
    in the monitoring store, and the first routing of each item recorded there, unless they are a
    question and no event (`record`). `batch` names what must not be recorded twice; `alternatives`
    and `quantity` are as of `RoutingModel.predict`; `seen` says, in a word, how people see them (of
    what is kept, by default whether the settings say that the daily files are seen).

    Where the items are all that had no routing `as_of` a moment, it is recorded as of then, and
    what is proposed for them is kept (unless told not to `keep` it), also by the versions that may
    replace the one in use, until planners' routings judge it.
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
    if record:
        at = None if as_of is None else settings.seconds(as_of)
        monitor.record_predictions(
            settings, first, model=version, seconds=seconds, at=at, batch=batch
        )
    if seen is None and as_of is not None and keep and settings.daily_files_seen:
        seen = "daily file"
    after: list[Callable[[], object]] = []
    if as_of is not None and keep:
        made_by = predictor.registry.get(version)
        after.append(
            partial(shadows.keep, settings, first, made_by, model, in_use=True, as_of=as_of)
        )
        after.append(partial(shadows.shadow, settings, items, as_of=as_of))
    if seen is not None:
        after.append(partial(monitor.record_seen, settings, items["ITEM_CD"].tolist(), how=seen))
    for step in after:
        if trouble := tried(step):
            log.warning("what planners' routings will say of these proposals is lost: %s", trouble)
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
    seen: str | None = None,
    keep: bool = True,
) -> dict[str, Any]:
    """Propose a routing for every item of a configured source that has none, as of
    `propose_missing_of`. Only what is proposed for the default one is kept to be judged, for that
    is what models learn from.

    Where the source is away and the settings say `last`, it is the items of its last good dataset
    that a limit did not cut short: of one that is cut, nobody knows which items have no routing.
    `away` says so in one line; `say` is as of `away.read`, `seen` as of `propose`.
    """
    with _failures_counted(settings, waits=settings.source_away == "wait" and say is None):
        data, gone = source_data(
            settings, source, columns=columns, as_of=as_of, whole=True, say=say
        )
    found = propose_missing_of(
        settings, data, as_of=as_of, path=path, batch=batch, alternatives=alternatives,
        quantity=quantity, seen=seen, keep=keep and source == DEFAULT_SOURCE,
    )  # fmt: skip
    return found | {"away": gone and gone.line}


def propose_missing_of(
    settings: Settings,
    data: dataset.Dataset,
    *,
    as_of: datetime,
    path: Path | None,
    batch: str | None = None,
    alternatives: int = 1,
    quantity: float | None = None,
    seen: str | None = None,
    keep: bool = True,
) -> dict[str, Any]:
    """Propose a routing for every item of a dataset that has none, and write them to `path`, where
    one is given; returns the file, the model, and how many items and operations. They come oldest
    first where the item table says when each was entered. Arguments are as of `propose`."""
    items = dataset.without_routing(data.items, data.routings)
    if "INSRT_DT" in items:  # by code, a kind of item that is few would come all at once
        items = items.sort_values(["INSRT_DT", "ITEM_CD"], na_position="first", ignore_index=True)
    proposals, model = propose(
        settings, items, save_to=path, as_of=as_of, batch=batch, alternatives=alternatives,
        quantity=quantity, seen=seen, keep=keep,
    )  # fmt: skip
    return {
        "model": model,
        "items": len(items),
        "operations": len(proposals),
        "out": str(path) if path else None,
    }


def source_data(
    settings: Settings,
    source: str,
    *,
    columns: Columns,
    as_of: datetime,
    whole: bool = False,
    results: bool = False,
    say: Callable[[str], None] | None = None,
) -> tuple[dataset.Dataset, away.Away | None]:
    """All items and routings of a configured source, and what work was reported where `results` are
    wanted; or its last good dataset, and how that came. Arguments are as of `away.read`."""

    def instead(last: Path) -> dataset.Dataset:
        return dataset.load(last)

    return away.read(
        settings, source, columns=columns, as_of=as_of, instead=instead, whole=whole, say=say,
        fetch=lambda: predict.read_source(
            settings.origin(source), columns, as_of, results=results
        ),
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
