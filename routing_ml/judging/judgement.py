"""Judges kept proposals by the routings that planners wrote later, as the comparison does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from routing_ml import dataset
from routing_ml.comparison import metrics
from routing_ml.judging.keeping import operations_of
from routing_ml.store import Judged, Proposed

HITS, MISSING, EXTRA = "hit", "missing", "extra"


@dataclass(frozen=True)
class Written:
    """What planners wrote: the newest routing of each item (`routings`, rows), when it was entered
    at the latest (`entered`, seconds since 1970 by item, nan where no one knows: where the source
    has a date alone, the end of that day), on which day of the factory's
    (`day`, ISO 8601), the family of each item, and its kind (None where it has none)."""

    routings: pd.DataFrame
    entered: Mapping[str, float]
    day: Mapping[str, str]
    family: Mapping[str, str]
    kind: Mapping[str, str | None]


@dataclass(frozen=True)
class Judgement:
    """What proposals came to: a row each for the store; and of the version in use, what nobody had
    seen before, by item and by operation (as of `drift.concept`)."""

    judged: tuple[Judged, ...]
    items: pd.DataFrame
    operations: pd.DataFrame


def judge(
    proposals: Sequence[Proposed],
    written: Written,
    *,
    in_use: str,
    seen: Mapping[str, float],
    known_families: frozenset[str],
    at: float,
) -> Judgement:
    """Judge `proposals`, all of items with a routing.

    `in_use` is the version whose operations are told one by one. `seen` is when people first saw
    what is proposed for an item: where that was before its routing was entered, or nobody knows
    when that was, its label may be a copy. Of an item for which several versions proposed while
    they were in use, the last one counts as what was in use. Families that are in
    `known_families` were judged before, and tell nothing new of how sure a figure is.
    """
    last: dict[str, str] = {}
    for one in sorted(proposals, key=lambda one: one.used_at or 0.0):
        if one.in_use:
            last[one.item_cd] = one.model
    by_model: dict[str, list[Proposed]] = {}
    for one in proposals:
        by_model.setdefault(one.model, []).append(one)
    judged: list[Judged] = []
    of_use: tuple[pd.DataFrame, pd.DataFrame] | None = None
    for model, mine in by_model.items():
        proposed, codes = operations_of(mine), {one.item_cd for one in mine}
        truth = written.routings[dataset.among(written.routings["ITEM_CD"], codes)]
        figures = metrics.per_item(proposed, truth).to_dict("index")
        ordered = _ordered(proposed, truth)
        rows = [
            _judged(
                one, figures[one.item_cd], written,
                in_use=last.get(one.item_cd) == model, ordered=ordered[one.item_cd],
                seen=_copied(seen.get(one.item_cd), written.entered[one.item_cd]),
                first=written.family[one.item_cd] not in known_families, at=at,
            )
            for one in mine
        ]  # fmt: skip
        judged += rows
        if model == in_use:
            stated = [r for r in rows if r.confidence is not None and r.novelty is not None]
            free = [row for row in stated if not row.seen]
            of_use = by_item(free), by_operation(proposed, truth, {row.item_cd for row in free})
    if of_use is None:
        nothing = operations_of([])
        of_use = by_item([]), by_operation(nothing, nothing, set())
    return Judgement(tuple(judged), *of_use)


def told(
    proposed: pd.DataFrame,
    truth: pd.DataFrame,
    family: Mapping[str, str],
    kind: Mapping[str, str | None],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The items and operations of a `Judgement`, of proposals as of `RoutingModel.predict` against
    the routings of the same items; `family` and `kind` are by item."""
    exact = metrics.per_item(proposed, truth)["exact"]
    stated = proposed.drop_duplicates("ITEM_CD").set_index("ITEM_CD")
    stated = stated[stated["CONFIDENCE"].notna() & stated["NOVELTY"].notna()]
    codes = [code for code in exact.index.tolist() if code in stated.index]
    items = pd.DataFrame(
        {
            "ITEM_CD": codes,
            "family": [family[code] for code in codes],
            "kind": [kind[code] for code in codes],
            "confidence": stated["CONFIDENCE"].reindex(codes).to_numpy(float),
            "novelty": stated["NOVELTY"].reindex(codes).to_numpy(float),
            "exact": exact.reindex(codes).to_numpy(bool),
        }
    )
    return items, by_operation(proposed, truth, set(codes))


def by_item(judged: Sequence[Judged]) -> pd.DataFrame:
    """ITEM_CD, family, kind, confidence, novelty, exact of judged proposals."""
    names = ("family", "kind", "confidence", "novelty", "exact")
    frame = pd.DataFrame({name: [getattr(one, name) for one in judged] for name in names})
    frame.insert(0, "ITEM_CD", [one.item_cd for one in judged])
    return frame.astype({"exact": bool, "confidence": float, "novelty": float})


def by_operation(proposed: pd.DataFrame, truth: pd.DataFrame, codes: set[str]) -> pd.DataFrame:
    """A row an operation of the planners' routings or the proposals of these items: ITEM_CD,
    JOB_CD, RES_CD (the planner's, the proposal's of one that is too many), `outcome` (hit, missing,
    extra), `machine_right` (NA where there is nothing to compare), and `run_log` and `setup_log`,
    the logarithm of the true over the proposed minutes of a hit, NaN where either is not known."""
    asked = (rows[dataset.among(rows["ITEM_CD"], codes)] for rows in (truth, proposed))
    true, mine = map(metrics.keyed, asked)
    keys = ["ITEM_CD", "JOB_CD", "occurrence"]
    both = true.merge(mine, on=keys, how="outer", suffixes=("_true", ""), indicator=True)
    frame = both[["ITEM_CD", "JOB_CD"]].copy()
    frame["RES_CD"] = both["RES_CD_true"].where(both["_merge"] != "right_only", both["RES_CD"])
    names = {"both": HITS, "left_only": MISSING, "right_only": EXTRA}
    frame["outcome"] = both["_merge"].astype("str").map(names)
    hit = (both["_merge"] == "both").to_numpy()
    known = hit & both["RES_CD_true"].notna().to_numpy() & both["RES_CD"].notna().to_numpy()
    right = (both["RES_CD_true"] == both["RES_CD"]).to_numpy(bool, na_value=False)
    frame["machine_right"] = pd.arrays.BooleanArray(right, ~known)
    for name, column in (("run_log", "RUN_TIME"), ("setup_log", "SETUP_TIME")):
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.log(both[f"{column}_true"].to_numpy(float) / both[column].to_numpy(float))
        frame[name] = np.where(hit & np.isfinite(ratio), ratio, np.nan)
    return frame


def _judged(
    one: Proposed, figures: Mapping[Any, Any], written: Written, *,
    in_use: bool, ordered: bool, seen: bool, first: bool, at: float,
) -> Judged:  # fmt: skip
    code = one.item_cd
    return Judged(
        item_cd=code, model=one.model, method=one.method, in_use=int(in_use),
        proposed_at=one.at, judged_at=at, day=written.day[code], week=week_of(written.day[code]),
        family=written.family[code],
        first=int(first), seen=int(seen), kind=written.kind.get(code),
        confidence=one.confidence, novelty=one.novelty, exact=int(figures["exact"]),
        ordered=int(ordered), tp=int(figures["tp"]), fp=int(figures["fp"]), fn=int(figures["fn"]),
        run_ape=_number(figures["run_ape"]), setup_ape=_number(figures["setup_ape"]),
        resource_hits=int(figures["resource_hits"]), resource_total=int(figures["resource_total"]),
        resource_known=int(figures["resource_known"]),
    )  # fmt: skip


def week_of(day: str) -> str:
    """The week of a day, both ISO 8601.

    >>> week_of("2026-11-01"), week_of("2027-01-01")
    ('2026-W44', '2026-W53')
    """
    year, week, _ = date.fromisoformat(day).isocalendar()
    return f"{year}-W{week:02}"


def _ordered(proposed: pd.DataFrame, truth: pd.DataFrame) -> dict[str, bool]:
    """Whether the operations that both have stand in one order, by item."""
    mine, true = metrics.keyed(proposed), metrics.keyed(truth)
    keys = ["ITEM_CD", "JOB_CD", "occurrence"]
    mine["place"] = mine.groupby("ITEM_CD").cumcount()
    both = true.merge(mine[[*keys, "place"]], on=keys, how="inner", sort=False)
    rising = both.groupby("ITEM_CD")["place"].agg(lambda place: place.is_monotonic_increasing)
    return {code: bool(rising.get(code, True)) for code in truth["ITEM_CD"].unique()}


def _copied(seen: float | None, entered: float) -> bool:
    return seen is not None and not entered < seen


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
