"""Follows, a day's judged items at a time, whether a version that may replace the one in use is
better.

A challenger is a method, proposing by its newest version: what is known of it goes on when the next
retraining fits it afresh, and ends when another version comes into use. It begins with the held-out
items of the retraining that did not put it into use; judged items of later routings follow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

import numpy as np

from routing_ml.comparison import ALPHA, PairedSequence, Standing, so_far
from routing_ml.store import Store

FACT = "challengers"
FRESH_SHARE = 0.8
"""Of the error rate, the share of the fresh fit of the method in use, as in the comparison."""
MOST_BEHIND = 1 / 3
"""Of the margin, how far a fresh fit may be behind as it stands and still go in."""


@dataclass(frozen=True)
class Challenger:
    """A method that may replace the version in use.

    `version` is its newest one, `fresh_fit` that it is of the method in use, `barred` why it may
    not go in whatever the judged items say, `since` the last day of the routings that the held-out
    items are of, and `state` that of its `PairedSequence`, None before the first item.
    """

    version: str
    fresh_fit: bool
    barred: str | None
    since: str
    state: dict[str, Any] | None = None

    def sequence(self, others: int) -> PairedSequence:
        """Its comparison so far, at its share of the error rate; `others` are of other methods."""
        share = FRESH_SHARE if self.fresh_fit else (1 - FRESH_SHARE) / max(others, 1)
        level = ALPHA * share
        if self.state is None:
            return PairedSequence(alpha=level)
        return PairedSequence.restore(self.state, alpha=level)


@dataclass(frozen=True)
class Challengers:
    """All that may replace the version `champion`, by method."""

    champion: str
    by_method: Mapping[str, Challenger]

    @classmethod
    def known(cls, store: Store) -> Challengers | None:
        """Those that the store knows; None before the first retraining that kept a model."""
        found = store.fact(FACT)
        if not found:
            return None
        entries = {method: Challenger(**entry) for method, entry in found["by_method"].items()}
        return cls(found["champion"], entries)

    def save(self, store: Store) -> None:
        """Leave them in the store."""
        store.set_fact(FACT, asdict(self))

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
            and _goes_in(standing, fresh_fit=self.by_method[method].fresh_fit)
        }
        return max(able, key=lambda method: able[method].by_item, default=None)


def after_retraining(
    store: Store,
    *,
    champion: str,
    promoted: bool,
    fitted: Mapping[str, Challenger],
) -> None:
    """Take in what a retraining fitted: it begins anew where it `promoted` one, with what the
    held-out items say of the others where it kept the champion; a method that the judged items
    tell of already goes on. A second time changes nothing."""
    before = Challengers.known(store)
    if before is None or before.champion != champion:
        before = Challengers(champion, {})
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
        if old is not None:
            one = replace(one, state=old.state, since=old.since)
        by_method[method] = one
    Challengers(champion, by_method).save(store)


def follow(store: Store, *, champion: str, method: str, items: Sequence[str], today: date) -> None:
    """Take in the judged items, each once: the caller says which were judged now.

    `champion` is the version in use and `method` its method. Where another one was known to be in
    use, somebody switched by hand: what was known of the others is of no use then.
    """
    known = Challengers.known(store)
    if known is None:
        return
    if known.champion != champion:
        known = Challengers(
            champion,
            {
                name: Challenger(one.version, name == method, one.barred, today.isoformat())
                for name, one in known.by_method.items()
                if one.version != champion
            },
        )
    by_method = {}
    for name, one in known.by_method.items():
        pairs = store.judged_pairs(champion, name, items, after=one.since)
        sequence = one.sequence(1)
        if pairs:
            _, families, theirs, mine = zip(*pairs, strict=True)
            take_in(sequence, families, mine, theirs)
        by_method[name] = replace(one, state=sequence.state())
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
    ahead_enough = standing.by_item >= -standing.margin * MOST_BEHIND
    return standing.better or (standing.within and ahead_enough)
