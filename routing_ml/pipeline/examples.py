"""Picks a few held-out items on which two models differ, with what each proposes and what the
planner wrote, for people to look at.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from routing_ml.comparison import metrics
from routing_ml.pipeline.material import Material

SHOWN = 5
IN_USE = "the model in use"


def examples(
    material: Material,
    proposed: Mapping[str, pd.DataFrame],
    *,
    exact: Mapping[str, float],
    winner: str | None,
    champion: pd.DataFrame | None,
    codes: Sequence[str],
) -> dict[str, Any]:
    """Of the items with these `codes` those on which two models differ, as JSON takes them.

    The first model is the `winner`, or the candidate with most exact matches where there is none;
    the second the `champion`, where there is one, else the candidate that comes next, or none: then
    the items are those that the first has wrong. `models` names the two, `items` holds for each
    item the operations that the planner has and those that each model proposes, in order; `names`
    says what the operations are called. First come items that one of them has exactly right, then
    those on which they differ by most operations. Nothing where no candidate could be judged.
    """
    ranked = sorted(exact, key=lambda name: (name != winner, -exact[name]))
    sides = {name: proposed[name] for name in ranked[: 1 if champion is not None else 2]}
    if not sides:
        return {}
    if champion is not None:
        sides[IN_USE] = champion
    true = metrics.sequences(material.truth(codes))
    found = [metrics.sequences(rows) for rows in sides.values()]
    told: list[dict[str, Any]] = [
        {"item": item, "planner": jobs, "proposed": [of.get(item, ()) for of in found]}
        for item, jobs in true.items()
    ]
    told = sorted((one for one in told if _others(one)[0] != one["proposed"][0]), key=_rank)
    shown: list[dict[str, Any]] = [
        {**one, "planner": list(one["planner"]), "proposed": list(map(list, one["proposed"]))}
        for one in told[:SHOWN]
    ]
    jobs: set[str] = set()
    for one in shown:
        jobs.update(one["planner"], *one["proposed"])
    return {"models": list(sides), "items": shown, "names": _names(material, jobs)}


def _others(one: Mapping[str, Any]) -> Sequence[tuple[str, ...]]:
    """What the first model's proposal is held against: the second's, or where there is none the
    planner's."""
    return one["proposed"][1:] or [one["planner"]]


def _rank(one: Mapping[str, Any]) -> tuple[bool, int, str]:
    """First what one of the two has right, then the farther apart they are."""
    apart = metrics.edit_distance(one["proposed"][0], _others(one)[0])
    return one["planner"] not in one["proposed"], -apart, str(one["item"])


def _names(material: Material, jobs: set[str]) -> dict[str, str]:
    """What these operations are called, where the ERP says so: as most rows have it."""
    newest = material.newest
    if "JOB_NM" not in newest:
        return {}
    rows = newest[newest["JOB_CD"].isin(jobs)].dropna(subset=["JOB_NM"])
    counts = rows.groupby(["JOB_CD", "JOB_NM"]).size().sort_values(kind="stable")
    return {str(job): str(name) for job, name in counts.index}
