"""Follows, a day's judged items at a time, whether a version that may replace the one in use is
better.

A challenger is a method, proposing by its newest version: what is known of it goes on when the next
retraining fits it afresh, and ends when another version comes into use. It begins with the held-out
items of the retraining that did not put it into use; judged items of later routings follow.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

import numpy as np

from routing_ml.comparison import (
    ALPHA,
    FRESH_SHARE,
    REFERENCE_LEAD,
    PairedSequence,
    Standing,
    so_far,
)
from routing_ml.store import Judged, Store

FACT = "challengers"


@dataclass(frozen=True)
class Challenger:
    """A method that may replace the version in use.

    `version` is its newest one, `fresh_fit` that it is of the method in use, `barred` why it may
    not go in whatever the judged items say, `since` the last day of the routings that the held-out
    items are of, `state` that of its `PairedSequence`, None before the first item, and `judged` how
    many families were judged since: without any, what the retraining decided stays. `versions` are
    those that it proposed by while the version in use has been.
    """

    version: str
    fresh_fit: bool
    barred: str | None
    since: str
    state: dict[str, Any] | None = None
    judged: int = 0
    versions: tuple[str, ...] = ()

    def sequence(self, others: int) -> PairedSequence:
        """Its comparison so far, at its share of the error rate; `others` are of other methods."""
        share = FRESH_SHARE if self.fresh_fit else (1 - FRESH_SHARE) / max(others, 1)
        level = ALPHA * share
        if self.state is None:
            return PairedSequence(alpha=level)
        return PairedSequence.restore(self.state, alpha=level)


@dataclass(frozen=True)
class Challengers:
    """All that may replace the version `champion`, by method; `place` is where in the history of
    switches that came into use: after any other switch, also back to it, all begins anew."""

    champion: str
    place: str | None
    by_method: Mapping[str, Challenger]

    @classmethod
    def known(cls, store: Store) -> Challengers | None:
        """Those that the store knows; None before the first retraining that kept a model."""
        found = store.fact(FACT)
        if not found:
            return None
        entries = {
            method: Challenger(**entry | {"versions": tuple(entry.get("versions", ()))})
            for method, entry in found["by_method"].items()
        }
        return cls(found["champion"], found["place"], entries)

    def save(self, store: Store) -> None:
        """Leave them in the store."""
        store.set_fact(FACT, asdict(self))

    def among(self, there: Collection[str]) -> Challengers:
        """Those whose versions are still there."""
        kept = {name: one for name, one in self.by_method.items() if one.version in there}
        return replace(self, by_method=kept)

    @property
    def versions(self) -> list[str]:
        """The versions that may go in, and so propose for each new item."""
        return sorted({one.version for one in self.by_method.values() if one.barred is None})

    def standings(self) -> dict[str, Standing]:
        """How each method stands, at its share of the error rate."""
        others = sum(not one.fresh_fit for one in self.by_method.values())
        found = self.by_method.items()
        return {method: one.sequence(others).standing() for method, one in found}

    def words(self) -> dict[str, str]:
        """The same in words."""
        return {
            method: so_far(method, standing, fresh_fit=self.by_method[method].fresh_fit)
            + (
                f"; it does not go in: {barred}"
                if (barred := self.by_method[method].barred)
                else ""
            )
            for method, standing in self.standings().items()
        }

    def winner(self) -> str | None:
        """The method that is shown to be better than the champion, or a fresh fit of its own that
        is shown to be less than the margin worse; of several the one that is furthest ahead."""
        able = {
            method: standing
            for method, standing in self.standings().items()
            if self.by_method[method].barred is None
            and self.by_method[method].judged
            and _goes_in(standing, fresh_fit=self.by_method[method].fresh_fit)
        }
        return max(able, key=lambda method: able[method].by_item, default=None)


def after_retraining(
    store: Store,
    *,
    champion: str,
    place: str | None,
    promoted: bool,
    fitted: Mapping[str, Challenger],
) -> None:
    """Take in what a retraining fitted: it begins anew where it `promoted` one, with what the
    held-out items say of the others where it kept the champion; a method that the judged items
    tell of already goes on. A second time changes nothing."""
    before = Challengers.known(store)
    if before is None or (before.champion, before.place) != (champion, place):
        before = Challengers(champion, place, {})
    by_method = dict(before.by_method)
    for method, one in fitted.items():
        old = by_method.get(method)
        if one.version == champion:
            by_method.pop(method, None)
            continue
        if old is not None and one.version < old.version:  # of a run that a later one has overtaken
            continue
        if promoted:  # what they were compared with is no longer in use
            one = replace(one, state=None)
        if old is not None and old.state and old.state["items"]:
            one = replace(one, state=old.state, since=old.since, judged=old.judged)
        if old is not None:
            earlier = (*old.versions, old.version)
            one = replace(one, versions=tuple(v for v in earlier if v != one.version))
        by_method[method] = one
    Challengers(champion, place, by_method).save(store)


def follow(
    store: Store,
    *,
    champion: str,
    place: str | None,
    method: str,
    judged: Sequence[Judged],
    today: date,
) -> None:
    """Take in what was `judged` now, each item once: when the later of the two was judged.

    `champion` is the version in use, `method` its method and `place` the one in the history of
    switches. Where that is another than was known, somebody switched: what was known is of no use.
    """
    known = Challengers.known(store)
    if known is None:
        return
    if (known.champion, known.place) != (champion, place):
        known = Challengers(
            champion,
            place,
            {
                name: Challenger(one.version, name == method, one.barred, today.isoformat())
                for name, one in known.by_method.items()
                if one.version != champion
            },
        )
    by_method, now = {}, {(one.item_cd, one.model) for one in judged}
    items = sorted({one.item_cd for one in judged})
    for name, one in known.by_method.items():
        pairs = [
            pair
            for pair in store.judged_pairs(
                champion, [*one.versions, one.version], items, after=one.since
            )
            if {(pair.item, champion), (pair.item, pair.model)} & now
        ]
        sequence, before = one.sequence(1), one.judged
        if pairs:
            families = [pair.family for pair in pairs]
            take_in(sequence, families, [p.mine for p in pairs], [p.theirs for p in pairs])
            before += len(set(families))
        by_method[name] = replace(one, state=sequence.state(), judged=before)
    replace(known, by_method=by_method).save(store)


def take_in(
    sequence: PairedSequence,
    families: Sequence[str],
    mine: Sequence[float],
    theirs: Sequence[float],
) -> PairedSequence:
    """Take in items (n,): the family of each, and whether the challenger and the champion have its
    routing exactly right. A family is one of so many items, and differs by their mean."""
    _, of = np.unique(np.asarray(families, str), return_inverse=True)
    sizes = np.bincount(of)
    net = np.bincount(of, np.asarray(mine, float) - np.asarray(theirs, float))
    return sequence.update(net / sizes, sizes)


def _goes_in(standing: Standing, *, fresh_fit: bool) -> bool:
    if not fresh_fit:
        return standing.better
    ahead_enough = standing.by_item >= -standing.margin * REFERENCE_LEAD
    return standing.better or (standing.within and ahead_enough)
