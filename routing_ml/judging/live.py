"""How right the proposals of the version in use are, by the routings that planners wrote later."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

from routing_ml.comparison import confidence_sequence
from routing_ml.store import Store, Tally

RECENT_DAYS = 28
WEEKS = 26
MOST_KINDS = 30
"""Of the kinds of items the most judged are shown, so that no exporter drowns in them."""


@dataclass(frozen=True)
class Live:
    """The figures of the judged proposals that have one `value`: fractions, but for the numbers of
    `items` and `families`.

    `low` and `high` bound `exact`, however often one has looked since the first of these items;
    None stands where there is nothing to count. `ordered` says how often the operations that both
    have stood in one order, `confidence` what was stated of the routings on the whole, `run_error`
    the mean of the items' median errors of run time, each at most 1.
    """

    value: str
    items: int
    families: int
    exact: float | None
    low: float
    high: float
    confidence: float | None
    ordered: float | None
    operation_f1: float | None
    resource_accuracy: float | None
    run_error: float | None

    @classmethod
    def of(cls, tally: Tally) -> Live:
        """The figures of a tally."""
        sums = tally.sums
        low, high = confidence_sequence(sums["exact"], tally.sizes)
        wrong = sums["fp"] + sums["fn"]
        return cls(
            value=tally.value,
            items=tally.items,
            families=sum(tally.sizes.values()),
            exact=_share(sums["exact"], tally.items),
            low=low,
            high=high,
            confidence=_share(sums["confidence"], sums["stated"]),
            ordered=_share(sums["ordered"], tally.items),
            operation_f1=_share(2 * sums["tp"], 2 * sums["tp"] + wrong),
            resource_accuracy=_share(sums["resource_hits"], sums["resource_known"]),
            run_error=_share(sums["run_ape"], sums["timed"]),
        )


def figures(store: Store, *, model: str, today: date) -> dict[str, Any]:
    """The live figures as JSON.

    `all`, by `kind` and by band of `confidence`, of routings entered in the last 28 days, by
    whichever version was in use then; `model` of the one in use, since it has been, `recent` of
    it alone in the last 28 days; `week` of the last 26; `seen`, of the last 28 days, of proposals
    that a planner had seen before writing, which count nowhere else, for a copied label flatters.
    `work`, and by `machine`, is what the shop reported in the last 28 days (`Store.worked_by`).
    """
    recent = (today - timedelta(days=RECENT_DAYS - 1)).isoformat()
    weeks = today - timedelta(days=today.weekday(), weeks=WEEKS - 1)

    def lives(key: str, since: str, *, seen: bool = False, of: str = "") -> list[dict[str, Any]]:
        tallies = store.judged_by(key, since=since, seen=seen, model=of)
        return [asdict(Live.of(tally)) for tally in tallies]

    kinds = sorted(lives("kind", recent), key=lambda one: -one["items"])
    return {
        "model_in_use": model,
        "day": today.isoformat(),
        "all": lives("all", recent),
        "model": lives("model", "", of=model),
        "recent": lives("model", recent, of=model),
        "kind": kinds[:MOST_KINDS],
        "confidence": lives("confidence", recent),
        "week": lives("week", weeks.isoformat()),
        "seen": lives("all", recent, seen=True),
        "work": store.worked_by("all", since=recent),
        "machine": store.worked_by("machine", since=recent)[:MOST_KINDS],
    }


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
