"""Why this routing: the proposal for an item as a flow of steps, with what spoke for and against
each, what is like it, what is missing, and what another value of an attribute would change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from routing_ml.errors import InputError
from routing_ml.models import RoutingModel
from routing_ml.proposals import STRENGTHS, Change, Difference, Explanation, explain, predict
from routing_ml.registry import Version
from routing_ml.settings import Settings
from routing_ml_pages import asking, reading
from routing_ml_pages.asking import Attribute, Changed
from routing_ml_pages.beside import Beside, Effect, beside, effects

NEW = "(new item)"
REASONS = 4
SIMILAR = 4


@dataclass(frozen=True)
class Spoke:
    """An attribute that spoke for or against an operation: it `is`, `says` or `lacks` a value.
    Those of `same` say so too: only without all of them is the operation another matter."""

    attribute: str
    relation: str
    value: str
    strength: str
    same: list[str]


@dataclass(frozen=True)
class Step:
    """An operation, proposed or nearly: minutes and likelihoods None where they are not known."""

    sequence: int | None
    job: str
    name: str | None
    likelihood: float | None = None
    usual: float | None = None
    machine: str | None = None
    machine_likelihood: float | None = None
    machine_others: str | None = None
    setup: float | None = None
    run: float | None = None
    low: float | None = None
    high: float | None = None
    total: float | None = None
    note: str | None = None
    favour: list[Spoke] = field(default_factory=list)
    against: list[Spoke] = field(default_factory=list)


@dataclass(frozen=True)
class Past:
    """A similar past item and only what differs from the one that is asked about."""

    item: str
    similarity: float
    same_routing: bool
    only_here: list[str]
    only_there: list[str]
    routing: list[str]
    differs: list[Difference]


@dataclass(frozen=True)
class Other:
    """Another whole routing, and how likely it is right."""

    confidence: float
    routing: list[str]
    only_here: list[str]
    only_there: list[str]


@dataclass(frozen=True)
class Gap:
    """A missing attribute; `filled` is the value that others imply, `changes` what some values
    would do."""

    attribute: str
    filled: str | None
    changes: list[Change]


@dataclass(frozen=True)
class Why:
    """All of a proposal. `trouble` says what was typed wrong; the rest is then of the item as it
    was. `explained` is false of an item of which there is a proposal and no attributes."""

    item: str
    name: str
    model: str
    is_new: bool
    waiting: bool
    learned: bool
    explained: bool
    confidence: float
    novelty: float | None
    new_to_model: str | None
    steps: list[Step]
    left_out: list[Step] = field(default_factory=list)
    others: list[Other] = field(default_factory=list)
    similar: list[Past] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    helpful: str | None = None
    helpful_confidence: float | None = None
    alike: int | None = None
    alike_same: int | None = None
    own: list[Beside] = field(default_factory=list)
    changes: list[Changed] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    attributes: list[Attribute] = field(default_factory=list)
    trouble: str | None = None
    as_of: str = ""

    @property
    def total(self) -> float | None:
        """The minutes of all steps, None where no quantity was asked for or none is known."""
        known = [step.total for step in self.steps if step.total is not None]
        return sum(known) if known else None


def why(
    settings: Settings, code: str, given: Mapping[str, str], quantity: float | None = None
) -> Why | None:
    """What is to be said of an item, with the attributes that are `given` in the place of its own;
    of a new one where the code is empty. None of a code that is not known. ModelError, InputError
    where there is no model or no dataset yet."""
    version = reading.in_use(settings)
    item = _item(settings, code) if code else {"ITEM_CD": NEW}
    if item is None:
        return _only_proposed(settings, code)
    model = predict.loaded(version)
    trouble, row, changes = None, item, list[Changed]()
    try:
        row, changes = asking.changed(settings, model, item, given)
    except InputError as error:
        trouble = str(error)
    found = _explained(version, model, row, quantity)
    said = _said(version, model, row, found)
    if code:
        known = reading.known(settings)
        name = known.names[known.row_of[code.strip().casefold()]]
        said = replace(
            said,
            name=name,
            waiting=known.is_waiting(code),
            own=beside(found.proposal, known.routing(code)),
            as_of=reading.moment(settings, known.as_of.isoformat()),
        )
        if changes:
            before = _explained(version, model, item, quantity)
            said = replace(said, effects=effects(before, found))
    return replace(said, changes=changes, trouble=trouble, is_new=not code)


def frame_of(
    settings: Settings, code: str, given: Mapping[str, str], quantity: float | None
) -> Any | None:
    """The proposal as `routing-ml predict` writes it, None of a code that is not known."""
    import pandas as pd

    model = predict.loaded(reading.in_use(settings))
    item = _item(settings, code) if code else {"ITEM_CD": NEW}
    if item is None:
        proposed = reading.proposed(settings)
        return proposed.of(code) if proposed else None
    row, _ = asking.changed(settings, model, item, given)
    return model.predict(pd.DataFrame([row]), quantity=quantity)


def _item(settings: Settings, code: str) -> dict[str, Any] | None:
    try:
        return reading.known(settings).item(code)
    except InputError:
        if reading.proposed(settings) is None:
            raise
        return None


def _explained(
    version: Version, model: RoutingModel, row: Mapping[str, Any], quantity: float | None
) -> Explanation:
    import pandas as pd

    asked = tuple((name, asking.as_text(value)) for name, value in row.items())
    key = (version.folder, version.manifest.get("digest"), asked, quantity)

    def make() -> Explanation:
        return explain(model, pd.DataFrame(), row, similar=SIMILAR, quantity=quantity)

    return reading.EXPLANATIONS.get(key, make)


def _said(version: Version, model: RoutingModel, row: Mapping[str, Any], found: Explanation) -> Why:
    first, unit = found.proposal[0], found.unit
    reasons = [
        (_spoke(one.reasons, 1, unit), _spoke(one.reasons, -1, unit)) for one in found.operations
    ]
    count = len(found.proposal)
    steps = [
        replace(
            _step(at), likelihood=one.likelihood, usual=one.usual, favour=favour, against=against
        )
        for at, one, (favour, against) in zip(
            found.proposal, found.operations[:count], reasons[:count], strict=True
        )
    ]
    left_out = [
        Step(None, one.job, one.name or None, one.likelihood, one.usual, favour=f, against=a)
        for one, (f, a) in zip(found.operations[count:], reasons[count:], strict=True)
    ]
    return Why(
        item=found.item,
        name="",
        model=version.name,
        is_new=False,
        waiting=False,
        learned=found.item in model.items_,
        explained=True,
        confidence=found.confidence,
        novelty=first["NOVELTY"],
        new_to_model=first["NEW_TO_MODEL"],
        steps=steps,
        left_out=left_out,
        others=[Other(o.confidence, o.routing, o.only_here, o.only_there)
                for o in found.alternatives],
        similar=[
            Past(past.item, past.similarity, past.same_routing, past.only_here, past.only_there,
                 past.routing, past.differs)
            for past in found.similar
        ],
        gaps=[Gap(gap.attribute, gap.filled, gap.changes) for gap in found.missing],
        helpful=found.helpful.attribute if found.helpful else None,
        helpful_confidence=found.helpful.confidence if found.helpful else None,
        alike=found.alike.past_items if found.alike else None,
        alike_same=found.alike.with_this_routing if found.alike else None,
        attributes=asking.attributes(model, row),
    )  # fmt: skip


def _only_proposed(settings: Settings, code: str) -> Why | None:
    """What the last run of proposals said of an item that came after the newest dataset."""
    proposed = reading.proposed(settings)
    found = proposed.of(code) if proposed else None
    if found is None:
        return None
    rows = reading.rows_of(found)
    first = rows[0]
    return Why(
        item=str(first["ITEM_CD"]),
        name="",
        model="",
        is_new=False,
        waiting=True,
        learned=False,
        explained=False,
        confidence=float(first["CONFIDENCE"] or 0),
        novelty=first.get("NOVELTY"),
        new_to_model=first.get("NEW_TO_MODEL"),
        steps=[_step(row) for row in rows],
    )


def _step(row: Mapping[str, Any]) -> Step:
    return Step(
        sequence=int(row["PROC_SEQ"]),
        job=str(row["JOB_CD"]),
        name=row["JOB_NM"],
        machine=row["RES_CD"],
        machine_likelihood=row.get("RES_LIKELIHOOD"),
        machine_others=row.get("RES_OTHERS") or None,
        setup=row["SETUP_TIME"],
        run=row["RUN_TIME"],
        low=row["RUN_TIME_LOW"],
        high=row["RUN_TIME_HIGH"],
        total=row.get("TOTAL_MINUTES"),
        note=row.get("NOTE"),
    )


def _spoke(reasons: Any, sign: int, unit: str) -> list[Spoke]:
    strong, clear, _ = STRENGTHS[unit]
    found: list[Spoke] = []
    for reason in reasons:
        size = reason.fall * sign
        if size > 0 and len(found) < REASONS:
            strength = "strong" if size >= strong else "clear" if size >= clear else "slight"
            found.append(
                Spoke(*_parts(reason.attribute, reason.words), strength, list(reason.same))
            )
    return found


def _parts(attribute: str, words: str) -> tuple[str, str, str]:
    """What words say of an attribute: (attribute, relation, value)."""
    for relation, verb in (("is", "is"), ("says", "says"), ("lacks", "does not say")):
        start = f"{attribute} {verb} "
        if words.startswith(start):
            return attribute, relation, words.removeprefix(start)
    return attribute, "is", words.removeprefix(attribute).strip()
