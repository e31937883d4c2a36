"""Has the routings that planners wrote judge what was proposed, once a day."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, time, timedelta
from typing import Any

import pandas as pd

from routing_ml import dataset, judging
from routing_ml.dataset import Dataset
from routing_ml.errors import RoutingError
from routing_ml.judging import Written
from routing_ml.pipeline import concept, standing
from routing_ml.pipeline.proposing import source_data
from routing_ml.proposals import predict
from routing_ml.registry import Registry, Version
from routing_ml.settings import DEFAULT_SOURCE, Settings
from routing_ml.source import Columns
from routing_ml.store import Store

log = logging.getLogger(__name__)

WORK_DAYS = 28
DAY = timedelta(days=1)


def judge(
    settings: Settings,
    *,
    as_of: datetime,
    columns: Columns | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Judge all proposals whose items have a routing in the default source, which models learn
    from, as of a moment (naive, the factory's), once each, and leave the live figures in the
    monitoring store; returns what was found. `say` is as of `away.read`.

    All of it is one transaction: a task that is killed or tried again counts nothing twice.
    """
    columns = columns or Columns.load(settings.columns.get(DEFAULT_SOURCE))
    data, gone = source_data(
        settings, DEFAULT_SOURCE, columns=columns, as_of=as_of, whole=True, results=True, say=say
    )
    found = judge_data(settings, data, as_of=as_of)
    return found | {"away": gone and gone.line}


def judge_data(settings: Settings, data: Dataset, *, as_of: datetime) -> dict[str, Any]:
    """`judge` by a dataset that has been read."""
    registry = Registry(settings.home / "models")
    active = registry.active()
    if active is None:
        return {
            "judged": 0,
            "items": 0,
            "reports": 0,
            "model": None,
            "decision": None,
            "concept": None,
        }
    newest = dataset.newest_routings(data.routings)
    newest = newest[dataset.among(newest["ITEM_CD"], data.items["ITEM_CD"])]
    settings.opened()
    with closing(Store(settings.store_url)) as store, store.transaction():
        routed_now = newest["ITEM_CD"].unique().tolist()
        store.spell(routed_now)
        waiting = store.to_judge(routed_now)
        damaged = [one for one in waiting if not judging.is_whole(one)]
        if damaged:
            log.warning(
                "%d kept proposals cannot be read, and are not judged, as that for item %r",
                len(damaged), damaged[0].item_cd,
            )  # fmt: skip
            store.leave_out(damaged)
            waiting = [one for one in waiting if one not in damaged]
        codes = sorted({one.item_cd for one in waiting})
        written = _written(settings, data, newest, codes, active, as_of=as_of)
        # A routing that was there before its proposal is no test: by an old copy of the data.
        late = [written.entered[one.item_cd] < one.at for one in waiting]
        store.leave_out([one for one, is_late in zip(waiting, late, strict=True) if is_late])
        waiting = [one for one, is_late in zip(waiting, late, strict=True) if not is_late]
        codes = sorted({one.item_cd for one in waiting})
        found = judging.judge(
            waiting,
            written,
            in_use=active.name,
            seen=store.seen(codes),
            known_families=frozenset(store.known_families(list(set(written.family.values())))),
            at=settings.seconds(as_of),
        )
        store.record_judged(found.judged)
        method = active.manifest["candidate"]
        judging.follow(
            store,
            champion=active.name,
            place=registry.place(),
            method=method,
            judged=found.judged,
            today=as_of.date(),
        )
        decision = standing.shown(settings, store)
        routed = data.items[dataset.among(data.items["ITEM_CD"], newest["ITEM_CD"])]
        verdict = None
        try:
            verdict = concept.watch(store, active, found, routed, day=as_of.date())
        except RoutingError as error:  # what was judged counts all the same
            log.warning("later routings are not watched: %s", error)
        worked = _judge_work(store, data, active, as_of=as_of)
        live = judging.figures(store, model=active.name, today=as_of.date())
        if (store.fact("live") or live)["day"] <= live["day"]:  # else a run of the past
            at = settings.seconds(as_of)
            store.set_fact("live", live | {"at": at}, at)
    return {
        "model": active.name,
        "judged": len(found.judged),
        "items": len(codes),
        "reports": worked,
        "live": {key: live[key] for key in ("all", "model", "seen")},
        "decision": decision,
        "concept": verdict,
    }


def _judge_work(store: Store, data: Dataset, active: Version, *, as_of: datetime) -> int:
    """Judge proposed times by what the shop has reported in the last four weeks, each report once;
    how many speak of what was proposed."""
    results = data.results
    if results is None or "REPORT_DT" not in results:
        return 0
    # whole days alone: of a day that is not over, the reports to come would be taken for these
    today = datetime.combine(as_of.date(), time())
    since = today - timedelta(days=WORK_DAYS)
    new = results[(results["REPORT_DT"] >= since) & (results["REPORT_DT"] < today)]
    made = store.proposed_in_use(new["ITEM_CD"].unique().tolist())
    proposals = [one for one in made if judging.is_whole(one)]
    if not proposals:
        return 0
    run_times = predict.loaded(active).run_times_in
    worked = judging.judge_work(proposals, data.routings, new, run_times)
    return store.record_worked(worked)


def _written(
    settings: Settings,
    data: Dataset,
    newest: pd.DataFrame,
    codes: list[str],
    active: Version,
    *,
    as_of: datetime,
) -> Written:
    """What planners wrote for the items `codes`, of the newest routings of all."""
    mine = newest[dataset.among(newest["ITEM_CD"], codes)]
    when = mine.groupby("ITEM_CD")["INSRT_DT"].max().reindex(codes)
    families = dataset.families_of(dataset.entered(data.items, newest)).reindex(codes)
    kinds: dict[str, str | None] = {}
    if codes:
        model = predict.loaded(active)
        asked = data.items[dataset.among(data.items["ITEM_CD"], codes)]
        kinds = dict(zip(asked["ITEM_CD"].tolist(), model.kinds(asked), strict=True))
    moments = [None if pd.isna(moment) else moment.to_pydatetime() for moment in when]
    known = zip(codes, moments, strict=True)
    return Written(
        routings=mine,
        entered={c: settings.seconds(_latest(m)) if m else float("nan") for c, m in known},
        day={c: (m or as_of).date().isoformat() for c, m in zip(codes, moments, strict=True)},
        family=dict(zip(codes, families.astype("str").tolist(), strict=True)),
        kind=kinds,
    )


def _latest(moment: datetime) -> datetime:
    """When a routing was entered at the latest: of a date alone, the end of its day."""
    return moment + DAY if moment.time() == time() else moment
