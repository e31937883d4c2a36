"""Watches in a day's judged proposals whether planners write other routings than the items' past
leads to expect.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

import pandas as pd

from routing_ml import dataset, judging
from routing_ml.drift import (
    PROFILE_FILE,
    REFERENCE_FILE,
    ConceptDetector,
    Fault,
    Profile,
    Reference,
    blame,
    faults_of,
)
from routing_ml.errors import ModelError
from routing_ml.judging import Judgement
from routing_ml.models import RoutingModel
from routing_ml.pipeline.material import Material
from routing_ml.registry import Version
from routing_ml.store import Store

FACT = "concept"
log = logging.getLogger(__name__)


def reference(model: RoutingModel, material: Material, proposed: pd.DataFrame) -> Reference:
    """What is to be expected of a version: what it `proposed` for items that it was not fitted on,
    against what their planners had written. ModelError without an item."""
    codes = proposed["ITEM_CD"].unique().tolist()
    families = material.families.reindex(codes).astype("str").tolist()
    kinds = model.kinds(material.items(codes))
    return Reference.fit(
        *judging.told(
            proposed,
            material.truth(codes),
            dict(zip(codes, families, strict=True)),
            dict(zip(codes, kinds, strict=True)),
        )
    )


def profile(model: RoutingModel, material: Material) -> Profile:
    """The columns of the items with a routing, as what is usual among new ones."""
    return material.profile.told_by(model.kinds_by)


def watch(
    store: Store, version: Version, found: Judgement, items: pd.DataFrame, *, day: date
) -> dict[str, Any] | None:
    """Take in what was judged of the version in use on a day (the factory's), look at those of the
    routed `items` that were entered in the week before (one without a routing may not be complete
    yet), and leave the verdict in the store; returns it, None where the version has no reference.

    What is judged on a day that was watched already adds to the live figures alone.
    """
    if not (version.folder / REFERENCE_FILE).is_file():
        store.set_fact(FACT, None)  # what was known is of another version
        return None
    expected = Reference.load(version.folder)
    last, state = store.concept(version.name)
    detector = _goes_on(expected, state)
    if len(found.items) and (last is None or day.isoformat() > last):
        detector.update(day, found.items, found.operations)
        store.save_concept(version.name, day.isoformat(), detector.state())
    verdict = blame(detector.verdict, _faults(version, items, day))
    told = {
        **asdict(verdict),
        "where": [place._asdict() for place in verdict.where],
        "since": verdict.since.isoformat() if verdict.since else None,
        "alarm": verdict.alarm,
        "model": version.name,
        "day": day.isoformat(),
    }
    before = store.fact(FACT) or told
    if before["model"] != version.name or before["day"] <= told["day"]:
        store.set_fact(FACT, told)  # else it is a run of the past
    return told


def _goes_on(expected: Reference, state: dict[str, Any] | None) -> ConceptDetector:
    """The watch as it was left; a new one where nobody can read that."""
    if state is not None:
        try:
            return ConceptDetector.restore(expected, state)
        except ModelError as error:
            log.warning("the watch over later routings begins anew: %s", error)
    return ConceptDetector(expected)


def _faults(version: Version, items: pd.DataFrame, day: date) -> Sequence[Fault]:
    """What is wrong in the data of the items that were entered lately, as against what a version
    was fitted on; nothing where nobody knows when they were."""
    if not (version.folder / PROFILE_FILE).is_file() or "INSRT_DT" not in items:
        return ()
    dated = items[items["INSRT_DT"].notna()]
    return faults_of(
        Profile.load(version.folder),
        dated,
        days=dated["INSRT_DT"].dt.date,
        families=dataset.families_of(dated.set_index("ITEM_CD")["INSRT_DT"]),
        today=day,
    )


def told(store: Store, model: str) -> dict[str, Any] | None:
    """The verdict of a version that says that something changed; None while nothing has."""
    verdict = store.fact(FACT)
    return verdict if verdict and verdict["alarm"] and verdict["model"] == model else None
