"""Why a model proposes a routing for one item, in a planner's words and as plain data.

The similar past items with what matched and what did not, the attributes that spoke for and against
each operation, and what would change if something missing were known.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from routing_ml.errors import InputError
from routing_ml.models import GIVEN, Operation, Prepared, RoutingModel
from routing_ml.proposals.asking import Helpful, most_helpful, worth_asking
from routing_ml.proposals.reasons import (
    EXACT,
    Change,
    Difference,
    Supposed,
    as_number,
    changes_with,
    compare,
    effects_of,
    label,
    number_words,
)
from routing_ml.proposals.weighing import STRENGTHS, Read, Reason, read_of, reasons_for

WORTH_SHOWING = 0.005  # confidence of another routing
DOUBTFUL = 0.05  # likelihood from which an operation that was left out is worth explaining
ALTERNATIVES = 3  # whole routings shown, the proposed one among them
REASONS = 4  # most attributes named for, and against, an operation
SUPPOSED_VALUES = 8  # commonest values tried for a missing attribute
SHOWN_MISSING = 4  # attributes that are missing, of which a person is told first
SHOWN_CHANGES = 2  # values of one of them


@dataclass(frozen=True)
class OperationReason:
    """An operation that was proposed, or nearly: `start` and all effects sum to its score. Of the
    reasons those come first without which it is less likely, or likelier (`fall`): what is told is
    one of these."""

    job: str
    name: str
    occurrence: int
    proposed: bool
    likelihood: float
    usual: float
    start: float
    reasons: list[Reason]


@dataclass(frozen=True)
class Similar:
    """A past item: what its routing has more (`only_there`) and less (`only_here`) than the
    proposal, and which attributes match or differ."""

    item: str
    similarity: float
    routing: list[str]
    same_routing: bool
    only_here: list[str]
    only_there: list[str]
    matches: list[str]
    differs: list[Difference]


@dataclass(frozen=True)
class Alternative:
    """Another whole routing, how likely it is the planner's, and what it has less (`only_here`)
    and more (`only_there`) than the proposed one."""

    confidence: float
    routing: list[str]
    only_here: list[str]
    only_there: list[str]


@dataclass(frozen=True)
class Missing:
    """A missing attribute: the value it was given from others, or what each value would change."""

    attribute: str
    filled: str | None
    changes: list[Change]


@dataclass(frozen=True)
class Alike:
    """Past items alike in all that is given of an item of which little is given, and how many of
    them have the proposed routing."""

    past_items: int
    with_this_routing: int


@dataclass(frozen=True)
class Explanation:
    """One item's proposal and its reasons; `method` says how effects were found, in `unit`."""

    item: str
    candidate: str
    confidence: float
    method: str
    unit: str
    proposal: list[dict[str, Any]]
    alternatives: list[Alternative]
    similar: list[Similar]
    operations: list[OperationReason]
    missing: list[Missing]
    helpful: Helpful | None = None
    alike: Alike | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; numbers that are none are None."""
        found = asdict(self)
        for past, whole in zip(found["similar"], self.similar, strict=True):
            past["differs"] = [one.in_words() for one in whole.differs]
        for gap, empty in zip(found["missing"], self.missing, strict=True):
            gap["changes"] = [one.in_words() for one in empty.changes]
        return _jsonable(found)

    def as_text(self) -> str:
        """The explanation as a planner reads it."""
        count = len(self.proposal)
        lines = [
            f"{self.item}: {count} operation{'s' * (count != 1)} proposed. Of 100 proposals this "
            f"certain, about {self.confidence * 100:.0f} are right in every operation."
        ]
        if self.proposal[0]["NEW_TO_MODEL"]:
            lines.append(
                f"No past item had a value like this one's of {self.proposal[0]['NEW_TO_MODEL']}: "
                "the certainty allows for it, and the bands of run times are wider."
            )
        if self.alike:
            lines.append(
                f"Little is given of it: of the {self.alike.past_items} past items alike in all "
                f"that is given, {self.alike.with_this_routing} have this routing."
            )
        for row in self.proposal:
            named = f"  {row['PROC_SEQ']:>4} {label(row['JOB_CD'], row['JOB_NM'])}"
            times = _times_text(row)
            lines.append(named + _machine_text(row) + (f": {times}" if times else ""))
            if row["NOTE"]:
                lines.append(f"       {row['NOTE']}")
        if any("TOTAL_MINUTES" in row for row in self.proposal):
            known = [row["TOTAL_MINUTES"] for row in self.proposal]
            known = [minutes for minutes in known if minutes is not None]
            of = "" if len(known) == count else f" of {len(known)} of the {count} operations"
            lines.append(f"  in all {sum(known):,.1f} min{of}")
        if self.alternatives:
            lines += ["", "Other routings that are valid, and of 100 how many are right"]
            lines += [line for other in self.alternatives for line in _alternative_text(other)]
        lines += ["", "Similar past items"]
        for past in self.similar:
            lines += _similar_text(past)
        lines += ["", "Why these operations"]
        for operation in self.operations:
            if operation.proposed:
                lines += _operation_text(operation, self.unit)
        left_out = [operation for operation in self.operations if not operation.proposed]
        if left_out:
            lines += ["", "Considered and left out"]
            for operation in left_out:
                lines += _operation_text(operation, self.unit)
        lines += ["", "What is missing"]
        lines += _missing_text(self.missing)
        if self.helpful:
            lines.append(
                f"  {self.helpful.attribute} would help most: with it, about "
                f"{self.helpful.confidence * 100:.0f} of 100 would be right."
            )
        return "\n".join(lines)


def explain(
    model: RoutingModel,
    items: pd.DataFrame,
    code_or_row: str | Mapping[str, Any] | pd.Series,
    *,
    similar: int = 3,
    quantity: float | None = None,
) -> Explanation:
    """Explain what `model` proposes for an item: its code in `items`, or a row of attributes.
    With `quantity` the proposal has the total minutes of so many pieces.

    `similar` past items are described; the item itself is not among them. A code in another case
    is found too, unless one is spelled exactly so. Raises InputError when `items` has no such code.
    """
    row = _row(items, code_or_row)
    code = str(row["ITEM_CD"].iloc[0])
    prepared = model.encoder_.transform(row)
    likely = model.likelihoods(prepared)
    ranked = model.predict(row, similarity=False, alternatives=ALTERNATIVES, quantity=quantity)
    proposal = ranked[ranked["RANK"] == 1].drop(columns="RANK")
    jobs = proposal["JOB_CD"].tolist()
    near, scores = (found[0] for found in model.gower_.nearest(prepared, len(model.items_)))
    present, missing, helpful = _asked_for(model, prepared, row, near)
    method, start, effects = effects_of(model, prepared, likely[0])
    unit = model.effect_unit if method == EXACT else "probability"
    read = read_of(model, row, prepared, effects, unit)
    return Explanation(
        item=code,
        candidate=model.name,
        confidence=float(proposal["CONFIDENCE"].iloc[0]),
        method=method,
        unit=unit,
        proposal=_jsonable(proposal.drop(columns=["SIMILARITY_SCORE", "REFERENCE_ITEM_CD"])),
        alternatives=_alternatives(ranked, jobs),
        similar=_similar(model, prepared, code, jobs, similar, near, scores),
        operations=_operations(
            model, _numbers(model, jobs, present), likely[0], present, start, read
        ),
        missing=missing,
        helpful=helpful,
        alike=_alike(model, prepared, present),
    )


def _row(items: pd.DataFrame, code_or_row: str | Mapping[str, Any] | pd.Series) -> pd.DataFrame:
    if isinstance(code_or_row, str):
        code = code_or_row.strip()
        found = items[items["ITEM_CD"] == code]
        if found.empty:
            found = items[items["ITEM_CD"].astype("str").str.casefold() == code.casefold()]
        if found.empty:
            raise InputError(
                f"item {code_or_row!r} is not among the {len(items)} items: check the code, "
                "or extract again if it was entered since"
            )
        return found.iloc[:1].reset_index(drop=True)
    values = dict(code_or_row)
    values.setdefault("ITEM_CD", "(new item)")
    return pd.DataFrame([values])


def _similar(
    model: RoutingModel, items: Prepared, code: str, jobs: list[str], count: int,
    near: np.ndarray, scores: np.ndarray,
) -> list[Similar]:  # fmt: skip
    """The `count` past items that are most similar, of all from `near` to far."""
    found: list[Similar] = []
    nearest = slice(count + 1)
    for other, score in zip(near[nearest].tolist(), scores[nearest].tolist(), strict=True):
        if model.items_[other] == code or len(found) == count:
            continue
        theirs = [operation.job for operation in model.past_routing(other)]
        matches, differs = compare(model, items, other)
        found.append(
            Similar(
                item=model.items_[other],
                similarity=score,
                routing=theirs,
                same_routing=theirs == jobs,
                only_here=_surplus(jobs, theirs),
                only_there=_surplus(theirs, jobs),
                matches=matches,
                differs=differs,
            )
        )
    return found


def _alike(model: RoutingModel, items: Prepared, present: np.ndarray) -> Alike | None:
    for way in model.alike(items).get(0, []):
        if set(way.operations) == set(np.flatnonzero(present).tolist()):
            return Alike(way.of, way.items)
    return None


def _alternatives(ranked: pd.DataFrame, jobs: list[str]) -> list[Alternative]:
    found = []
    for _, routing in ranked[ranked["RANK"] > 1].groupby("RANK"):
        theirs = routing["JOB_CD"].tolist()
        confidence = float(routing["CONFIDENCE"].iloc[0])
        if confidence >= WORTH_SHOWING:
            found.append(
                Alternative(confidence, theirs, _surplus(jobs, theirs), _surplus(theirs, jobs))
            )
    return found


def _surplus(mine: list[str], theirs: list[str]) -> list[str]:
    """What `mine` has more of than `theirs`, in order."""
    rest = list(theirs)
    return [job for job in mine if job not in rest or rest.remove(job)]  # type: ignore[func-returns-value]


def _numbers(model: RoutingModel, jobs: list[str], present: np.ndarray) -> list[int]:
    """The numbers of the operations of a routing, in its order: of those of one job the first of
    what is `present` (L,), which need not be the first of the job."""
    known = model.operations_
    numbers = defaultdict[str, list[int]](list)
    for k in sorted(range(len(known)), key=lambda k: (not present[k], known[k].occurrence)):
        numbers[known[k].job].append(k)
    return [numbers[job].pop(0) for job in jobs]


def _operations(
    model: RoutingModel, order: list[int], likely: np.ndarray, present: np.ndarray,
    start: np.ndarray, read: Read,
) -> list[OperationReason]:  # fmt: skip
    """The proposed operations in routing `order`, then the doubtful ones by likelihood."""
    doubtful = np.flatnonzero(~present & (likely >= DOUBTFUL))
    order = order + doubtful[np.argsort(-likely[doubtful], kind="stable")].tolist()
    usual = np.bincount(model.past_.operations, minlength=len(likely)) / len(model.items_)
    found = []
    for k in order:
        operation: Operation = model.operations_[k]
        reasons = reasons_for(k, read)
        found.append(
            OperationReason(
                operation.job, operation.name, operation.occurrence + 1, bool(present[k]),
                float(likely[k]), float(usual[k]), float(start[k]), reasons,
            )
        )  # fmt: skip
    return found


def _asked_for(
    model: RoutingModel, items: Prepared, row: pd.DataFrame, near: np.ndarray
) -> tuple[np.ndarray, list[Missing], Helpful | None]:
    """Which operations are proposed (L,); what is missing, with what its values would change; and
    what would help most: of the item and of all that it may be the model is asked at once."""
    gaps, asked = _gaps(model, items, row), worth_asking(model, items, near)
    supposed = [gap.items for gap in gaps if isinstance(gap, Supposed)]
    parts = [items, *supposed, *(other for _, other in asked)]
    ((present,), (confidence,)), *then = model.decided(parts)
    found = iter(then)
    missing = [
        gap
        if isinstance(gap, Missing)
        else Missing(gap.attribute, None, changes_with(model, gap, present, next(found)[0]))
        for gap in gaps
    ]
    sure = [(attribute, likely) for (attribute, _), (_, likely) in zip(asked, found, strict=True)]
    return present, missing, most_helpful(float(confidence), sure)


def _gaps(model: RoutingModel, items: Prepared, row: pd.DataFrame) -> list[Missing | Supposed]:
    """Attributes the model uses and the item lacks: how they were filled, or what they may be."""
    used = {f.a for f in model.design_.features if f.kind in ("is", "missing")}
    measured = {n for f in model.design_.features if f.edges for n in (f.a, f.b)}
    gower, encoder, found = model.gower_, model.encoder_, list[Missing | Supposed]()
    for i, category in enumerate(encoder.categories):
        if i in used and _empty(row, category.column):
            code = int(items.codes[0, i])
            if code >= 0:
                found.append(Missing(category.column, category.values[code], []))
                continue
            common = np.bincount(gower.codes[gower.codes[:, i] >= 0, i], minlength=1)
            values = np.argsort(-common, kind="stable")[:SUPPOSED_VALUES].tolist()
            supposed = encoder.supposing(items, i, np.array(values))
            words = [category.values[v] for v in values]
            found.append(Supposed(category.column, supposed, words))
    for i, number in enumerate(encoder.numbers):
        if i not in measured or number.kind == "entered" or not _empty(row, number.column):
            continue
        value = items.numbers[0, i]
        if not np.isnan(value):
            found.append(Missing(number.name, number_words(model, i, value), []))
            continue
        theirs = gower.numbers[:, i]
        if np.isnan(theirs).all():
            continue
        values_ = np.unique(np.nanquantile(theirs.astype(float), [0.1, 0.3, 0.5, 0.7, 0.9]))
        supposed = items.repeat(len(values_))
        supposed.numbers[:, i] = values_
        supposed.states[:, len(encoder.categories) + i] = GIVEN
        words = [number_words(model, i, value) for value in values_]
        found.append(Supposed(number.name, supposed, words))
    first, measured_from = 0, len(encoder.categories) + len(encoder.numbers)
    says = [f.a for f in model.design_.features if f.kind == "says"]
    for text in encoder.texts:
        telling = [at for at in says if first <= at < first + len(text.words)]
        if telling and _empty(row, text.column):
            supposed = items.repeat(len(telling))
            supposed.words[np.arange(len(telling)), telling] = 1
            supposed.states[:, measured_from + encoder.texts.index(text)] = GIVEN
            words = [text.words[at - first] for at in telling]
            found.append(Supposed(text.column, supposed, words, are_words=True))
        first += len(text.words)
    return found


def _empty(row: pd.DataFrame, column: str) -> bool:
    if column not in row:
        return True
    value = row[column].iloc[0]
    if not pd.api.types.is_scalar(value):
        return False  # a list, as JSON may hold
    return bool(pd.isna(value)) or (isinstance(value, str) and not value.strip())


def _times_text(row: Mapping[str, Any]) -> str:
    """The times of a proposed operation that are known; empty where none is."""
    times = []
    if row["SETUP_TIME"] is not None:
        times.append(f"setup {_minutes(row['SETUP_TIME'])} min")
    if row["RUN_TIME"] is not None:
        times.append(
            f"run {_minutes(row['RUN_TIME'])} min (four of five between "
            f"{_minutes(row['RUN_TIME_LOW'])} and {_minutes(row['RUN_TIME_HIGH'])})"
        )
    if row.get("TOTAL_MINUTES") is not None:
        times.append(f"in all {_minutes(row['TOTAL_MINUTES'])} min")
    return ", ".join(times)


def _minutes(value: float) -> str:
    return as_number(value, 6)


def _machine_text(row: Mapping[str, Any]) -> str:
    """The machine of a proposed operation with its likelihood, where others are likely too."""
    if not row["RES_CD"]:
        return ""
    if not row["RES_OTHERS"]:
        return f" on {row['RES_CD']}"
    return f" on {row['RES_CD']} ({row['RES_LIKELIHOOD']:.0%} likely; {row['RES_OTHERS']})"


def _alternative_text(other: Alternative) -> list[str]:
    parts = [f"without {' '.join(other.only_here)}"] if other.only_here else []
    parts += [f"with {' '.join(other.only_there)}"] if other.only_there else []
    differs = ", ".join(parts) or "the same operations in another order"
    return [f"  {other.confidence * 100:.0f}: {differs}", f"    {' '.join(other.routing)}"]


def _similar_text(past: Similar) -> list[str]:
    if past.same_routing:
        verdict = "the same routing"
    elif past.only_here or past.only_there:
        parts = [f"{job} only there" for job in past.only_there]
        parts += [f"{job} only here" for job in past.only_here]
        verdict = ", ".join(parts)
    else:
        verdict = "the same operations in another order"
    lines = [f"  {past.item} (similarity {past.similarity:.3f}): {verdict}"]
    lines.append(f"    its routing: {' '.join(past.routing)}")
    differs = [one.in_words() for one in past.differs]
    for title, words in (("matches", past.matches), ("differs", differs)):
        if words:
            lines.append(f"    {title}: {'; '.join(words)}")
    return lines


def _operation_text(operation: OperationReason, unit: str) -> list[str]:
    again = f" (time {operation.occurrence})" if operation.occurrence > 1 else ""
    lines = [
        f"  {label(operation.job, operation.name)}{again}: {operation.likelihood:.0%} likely; "
        f"{operation.usual:.0%} of past items have it"
    ]
    for title, sign in (("for", 1), ("against", -1)):
        reasons = [r for r in operation.reasons if r.fall * sign > 0]
        if reasons:
            words = [f"{r.in_full()} ({_strength(r.fall, unit)})" for r in reasons[:REASONS]]
            lines.append(f"    {title}: {'; '.join(words)}")
    return lines


def _strength(effect: float, unit: str) -> str:
    strong, clear, _ = STRENGTHS[unit]
    size = abs(effect)
    return "strong" if size >= strong else "clear" if size >= clear else "slight"


def _missing_text(missing: list[Missing]) -> list[str]:
    """What is missing, first that which would change the operations; of the rest how much it is."""
    if not missing:
        return ["  Nothing that this model uses."]
    ranked = sorted(missing, key=lambda gap: (not gap.changes, gap.filled is None))
    lines = [line for gap in ranked[:SHOWN_MISSING] for line in _gap_text(gap)]
    if rest := ranked[SHOWN_MISSING:]:
        named = ", ".join(gap.attribute for gap in rest[:SHOWN_MISSING])
        more = ", ..." if len(rest) > SHOWN_MISSING else ""
        lines.append(f"  {len(rest)} more are empty: {named}{more} (--json has all)")
    if not any(gap.changes for gap in missing):
        lines.append("  No likely value of these would change the operations.")
    return lines


def _gap_text(gap: Missing) -> list[str]:
    if gap.filled is not None:
        return [f"  {gap.attribute} is empty; taken as {gap.filled}, which other columns imply."]
    if not gap.changes:
        return [f"  {gap.attribute} is empty."]
    shown = [change.in_words() for change in gap.changes[:SHOWN_CHANGES]]
    lines = [f"  {gap.attribute} is empty; {words}" for words in shown]
    if more := len(gap.changes) - SHOWN_CHANGES:
        lines[-1] += f" (and {more} more of its values)" if more > 0 else ""
    return lines


def _jsonable(value: Any) -> Any:
    if isinstance(value, pd.DataFrame):
        return [_jsonable(row) for row in value.to_dict("records")]
    if isinstance(value, dict):
        return {str(name): _jsonable(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
