"""Keeps what is proposed for new items, by the version in use and by those that may replace it,
until planners' own routings judge it.
"""

from __future__ import annotations

import logging
from contextlib import closing
from datetime import datetime
from functools import partial

import pandas as pd

from routing_ml import dataset, judging
from routing_ml.errors import tried
from routing_ml.models import RoutingModel
from routing_ml.proposals import predict
from routing_ml.registry import Registry, Version
from routing_ml.settings import Settings
from routing_ml.store import Store

log = logging.getLogger(__name__)


def keep(
    settings: Settings,
    proposals: pd.DataFrame,
    version: Version,
    model: RoutingModel,
    *,
    in_use: bool,
    as_of: datetime,
) -> int:
    """Keep the proposals that a version makes as of a moment (naive, the factory's); how many items
    they are for.

    What a version proposes as of before its own data, or for an item that it was fitted on, is no
    honest test and is not kept.
    """
    if as_of < datetime.fromisoformat(version.manifest["as_of"]):
        return 0
    fresh = proposals[~dataset.among(proposals["ITEM_CD"], model.items_)]
    rows = list(
        judging.kept(
            fresh,
            model=version.name,
            method=version.manifest["candidate"],
            in_use=in_use,
            at=settings.seconds(as_of),
        )
    )
    settings.opened()
    with closing(Store(settings.store_url)) as store, store.transaction():
        store.keep_proposals(rows)
    return len(rows)


def shadow(settings: Settings, items: pd.DataFrame, *, as_of: datetime) -> dict[str, int]:
    """Have the versions that may replace the one in use propose for those of the items that they
    have not proposed for yet, and keep it; for how many items each did."""
    done: dict[str, int] = {}
    with closing(Store(settings.store_url)) as store:
        challengers = judging.Challengers.known(store)
        names = challengers.versions if challengers else []
        known = {name: store.proposed_by(name, items["ITEM_CD"].tolist()) for name in names}
    for name in names:
        new = items[~dataset.among(items["ITEM_CD"], known[name])]
        if not len(new):
            continue
        if trouble := tried(partial(_propose, settings, name, new, as_of, done)):
            log.warning("%s may replace the model in use, and cannot propose: %s", name, trouble)
    return done


def _propose(
    settings: Settings, name: str, items: pd.DataFrame, as_of: datetime, done: dict[str, int]
) -> None:
    """Have a version propose for items and keep it, and say in `done` for how many."""
    version = Registry(settings.home / "models").get(name)
    model = predict.loaded(version)
    proposals = model.predict(items, similarity=False)
    done[name] = keep(settings, proposals, version, model, in_use=False, as_of=as_of)
