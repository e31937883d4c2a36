"""Decides from the same held-out items whether a challenger replaces the model in use, and why.

All figures come from `metrics.per_item` of twins, which none of the items were fitted on. A fresh
fit of the champion's own method goes in when it is shown to be no worse than a margin: it has seen
the newest parts and machines. Another method goes in only when it is shown to be better. The error
rate holds over all challengers together (weighted Holm, Scandinavian Journal of Statistics 6, 1979,
65-70), and the guards (operations, times, machines) can only stop a promotion.

"No worse than a margin" could be used up again every month, a margin at a time. So a fresh fit must
also be shown no worse than the margin against each `reference` that does better on these items than
the champion: the twins of all versions that were in use during the past year. Those tests are held
to a twelfth of the error rate, for they are made every month.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from routing_ml import paired
from routing_ml.errors import InputError
from routing_ml.guards import Guard, guards

MARGIN = 0.01
ALPHA = 0.05
FRESH_SHARE = 0.8
"""Of the error rate, the share of the fresh fit: it is there each month, and needs the power; the
other methods, which must be ahead by more to be worth a change, have the rest (and all of it once
the fresh fit has passed)."""
REFRESHES_A_YEAR = 12
LISTED_ITEMS = 10
COLUMNS = ("exact", "tp", "fp", "fn", "run_ape", "setup_ape", "resource_hits", "resource_total")


@dataclass(frozen=True)
class Test:
    """Exact matches of a challenger against another model on the same items; all fractions.

    `better` and `worse` count the items only the challenger, or only the other, has right. `low`
    and `high` bound the difference (each at the error rate: 90 % two-sided at .05). `p_value` is
    for the challenger being `margin` or more below (margin 0: for it not being better).
    """

    against: str
    items: int
    exact: float
    exact_against: float
    difference: float
    low: float
    high: float
    better: int
    worse: int
    margin: float
    p_value: float


@dataclass(frozen=True)
class Comparison:
    """A challenger's case: its test against the champion and the references, and its guards.

    `level` is the error rate the first was held to, its part of the whole, `reference_level` that
    of the others. `shown` says that all of them hold.
    """

    challenger: str
    fresh_fit: bool
    test: Test
    references: tuple[Test, ...]
    guards: tuple[Guard, ...]
    shown: bool
    level: float
    reference_level: float
    differing_items: tuple[dict[str, Any], ...]

    @property
    def p_value(self) -> float:
        """Of the test against the champion; 1 where a reference stands against the challenger."""
        return 1.0 if self.failed else self.test.p_value

    @property
    def failed(self) -> tuple[Test, ...]:
        """The references against which it does not hold."""
        return tuple(t for t in self.references if t.p_value > self.reference_level)

    @property
    def passes(self) -> bool:
        """Shown, and stopped by no guard."""
        return self.shown and not any(g.stops for g in self.guards)


@dataclass(frozen=True)
class Decision:
    """What goes into use (None: the champion stays), why in words, and the figures behind it."""

    winner: str | None
    reason: str
    items: int
    exact: dict[str, float]
    comparisons: tuple[Comparison, ...] = ()
    margin: float = MARGIN
    alpha: float = ALPHA
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        return asdict(self)


def decide(
    champion: pd.DataFrame | None,
    challengers: Mapping[str, pd.DataFrame],
    *,
    champion_method: str | None,
    references: Mapping[str, pd.DataFrame] | None = None,
    margin: float = MARGIN,
    alpha: float = ALPHA,
) -> Decision:
    """Choose between the champion and the challengers by `metrics.per_item` of the same items.

    `champion` is the active version's twin, None when there is none yet: then the challenger with
    the most exact matches goes in. The challenger named `champion_method` is its fresh fit.
    `references` (version name to frame) are the twins of the other versions that were in use
    during the past year (`Registry.references`); they bind the fresh fit only, another method
    being shown better than the champion. Raises InputError when the frames hold different items
    or there is no challenger.
    """
    if not challengers:
        raise InputError("no candidate to compare: give at least one with --candidates")
    everyone = {**challengers, **(references or {})}
    if champion is not None:
        everyone["the champion"] = champion
    frames = _aligned(everyone)
    count = len(next(iter(frames.values())))
    exact = {name: _share(frames[name]["exact"]) for name in challengers}
    if champion is None:
        best = max(challengers, key=lambda name: (exact[name], _f1(frames[name])))
        return Decision(best, _first_words(best, exact, count), count, exact)

    base = frames["the champion"]
    exact = {"champion": _share(base["exact"]), **exact}
    # One that does no better than the champion adds nothing to the test against the champion.
    ahead = {
        name: frames[name]
        for name in references or {}
        if _share(frames[name]["exact"]) > exact["champion"]
    }
    cases = {
        name: _case(
            name,
            frames[name],
            base,
            ahead if name == champion_method else {},
            margin=margin if name == champion_method else 0.0,
            alpha=alpha,
            fresh=name == champion_method,
        )
        for name in challengers
    }
    cases = _weighted_holm(cases, alpha)
    passing = [c for c in cases.values() if c.passes]
    # Of several, the most exact; at a tie the champion's own method.
    best_case = max(passing, key=lambda c: (c.test.exact, c.fresh_fit), default=None)
    comparisons = tuple(cases.values())
    if best_case:
        reason, winner = _promoted_words(best_case, alpha), best_case.challenger
    else:
        reason, winner = "; ".join(_kept_words(c, alpha) for c in comparisons), None
        reason = f"the model in use stays: {reason}"
    notes = _notes(base, ahead, alpha)
    return Decision(winner, reason, count, exact, comparisons, margin, alpha, notes)


def _case(
    name: str,
    mine: pd.DataFrame,
    base: pd.DataFrame,
    references: Mapping[str, pd.DataFrame],
    *,
    margin: float,
    alpha: float,
    fresh: bool,
) -> Comparison:
    return Comparison(
        challenger=name,
        fresh_fit=fresh,
        test=_test("the model in use", mine, base, margin, alpha),
        references=tuple(_test(r, mine, f, margin, alpha) for r, f in references.items()),
        guards=guards(mine, base, alpha),
        shown=False,
        level=0.0,
        reference_level=alpha / REFRESHES_A_YEAR,
        differing_items=_differing(mine, base),
    )


def _test(
    against: str, mine: pd.DataFrame, theirs: pd.DataFrame, margin: float, alpha: float
) -> Test:
    a, b = mine["exact"].to_numpy(bool), theirs["exact"].to_numpy(bool)
    better, worse, items = int((a & ~b).sum()), int((b & ~a).sum()), len(a)
    low, high = paired.interval(better, worse, items, alpha)
    return Test(
        against=against,
        items=items,
        exact=_share(mine["exact"]),
        exact_against=_share(theirs["exact"]),
        difference=(better - worse) / max(items, 1),
        low=low,
        high=high,
        better=better,
        worse=worse,
        margin=margin,
        p_value=paired.p_value(better, worse, items, margin),
    )


def _weighted_holm(cases: dict[str, Comparison], alpha: float) -> dict[str, Comparison]:
    """Mark the cases that are shown; the chance of marking any wrongly is at most `alpha`."""
    others = sum(not c.fresh_fit for c in cases.values())
    fresh = FRESH_SHARE if others else 1.0
    if others == len(cases):
        fresh = 0.0
    left = {n: fresh if c.fresh_fit else (1 - fresh) / others for n, c in cases.items()}
    done, shown = {}, True
    for name in sorted(cases, key=lambda n: cases[n].p_value / left[n]):
        level = alpha * left[name] / sum(left.values())
        shown = shown and cases[name].p_value <= level
        done[name] = replace(cases[name], shown=shown, level=level)
        if shown:
            del left[name]
    return {name: done[name] for name in cases}


def _differing(mine: pd.DataFrame, base: pd.DataFrame) -> tuple[dict[str, Any], ...]:
    """The items on which the two differ most: one right and the other wrong, by the number of
    wrong operations, then by run time error. A champion's win counts like a challenger's."""
    wrong = [(f["fp"] + f["fn"]).to_numpy(int) for f in (mine, base)]
    flips = mine["exact"].to_numpy(bool) != base["exact"].to_numpy(bool)
    apart = np.abs(wrong[0] - wrong[1])
    times = (mine["run_ape"] - base["run_ape"]).abs().fillna(0.0).to_numpy(float)
    order = np.lexsort((np.arange(len(mine)), -times, -apart, ~flips))
    rows = []
    for i in order[:LISTED_ITEMS]:
        if not (flips[i] or apart[i] or times[i]):
            break
        rows.append(
            {
                "item": str(mine.index[i]),
                "champion_exact": bool(base["exact"].iloc[i]),
                "challenger_exact": bool(mine["exact"].iloc[i]),
                "champion_wrong_operations": int(wrong[1][i]),
                "challenger_wrong_operations": int(wrong[0][i]),
                "champion_run_time_error": _number(base["run_ape"].iloc[i]),
                "challenger_run_time_error": _number(mine["run_ape"].iloc[i]),
            }
        )
    return tuple(rows)


def _aligned(frames: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The frames in one order of items; InputError when they are not of the same items."""
    first_name, first = next(iter(frames.items()))
    done = {}
    for name, frame in frames.items():
        if missing := [c for c in COLUMNS if c not in frame]:
            raise InputError(f"the figures of {name} lack {missing[0]}: score it again")
        if not frame.index.is_unique or set(frame.index) != set(first.index):
            raise InputError(
                f"{name} and {first_name} were scored on different items: "
                "score all of them on one holdout"
            )
        done[name] = frame.reindex(first.index)
    return done


def _notes(
    base: pd.DataFrame, references: Mapping[str, pd.DataFrame], alpha: float
) -> tuple[str, ...]:
    """What a person should know though it decides nothing: an earlier version that is ahead."""
    notes = []
    for name, frame in references.items():
        test = _test(name, frame, base, 0.0, alpha)
        if test.p_value <= alpha / len(references):
            notes.append(
                f"{name}, in use earlier, is shown to be better than the model in use: "
                f"{_figures(test, alpha)}"
            )
    return tuple(notes)


def _first_words(best: str, exact: Mapping[str, float], count: int) -> str:
    if not count:
        return f"no model is in use yet: {best} goes in, unmeasured, as no item was held out"
    rest = ", ".join(f"{n} {_percent(e)}" for n, e in exact.items() if n != best)
    rest = f" ({rest})" if rest else ""
    return (
        f"no model is in use yet: {best} goes in with {_percent(exact[best])} exact matches "
        f"on {count:,} items{rest}"
    )


def _promoted_words(case: Comparison, alpha: float) -> str:
    if not case.fresh_fit:
        return (
            f"{case.challenger} goes in, shown to be better than the model in use: "
            f"{_figures(case.test, alpha)}"
        )
    also = len(case.references)
    past = f"; the same holds against {also} earlier that do better on these items" if also else ""
    return (
        f"{case.challenger}, fitted afresh, goes in, shown to be less than "
        f"{_points(case.test.margin)} worse than the model in use: "
        f"{_figures(case.test, alpha)}{past}"
    )


def _kept_words(case: Comparison, alpha: float) -> str:
    name = f"{case.challenger}, fitted afresh," if case.fresh_fit else case.challenger
    test, level = case.test, case.level
    if test.p_value <= level and case.failed:
        test, level = max(case.failed, key=lambda t: t.p_value), case.reference_level
    if not test.items:
        return f"{name} cannot be compared, as no item was held out"
    if case.shown:
        stops = " and ".join(
            f"{g.name} ({_percent(g.challenger)} against {_percent(g.champion)})"
            for g in case.guards
            if g.stops
        )
        return f"{name} is stopped by its {stops}; its exact matches would do: " + _figures(
            case.test, alpha
        )
    claim = f"less than {_points(test.margin)} worse" if case.fresh_fit else "better"
    words = f"{name} is not shown to be {claim} than {test.against}: {_figures(test, alpha)}"
    disagreement = (test.better + test.worse) / test.items
    needed = paired.items_needed(disagreement, test.margin, level) if case.fresh_fit else 0
    if test.low <= 0 <= test.high and needed > test.items:
        words += (
            f"; {test.items:,} items are too few to tell when two models differ on "
            f"{_percent(disagreement)} of them: about {needed:,} are needed"
        )
    return words


def _figures(test: Test, alpha: float) -> str:
    p = "< 0.001" if test.p_value < 0.001 else f"= {test.p_value:.3f}"
    return (
        f"{_percent(test.exact)} exact against {_percent(test.exact_against)} on "
        f"{test.items:,} items, a difference of {100 * test.difference:+.1f} points "
        f"({100 - 200 * alpha:g} % interval {100 * test.low:+.1f} to {100 * test.high:+.1f}, "
        f"p {p})"
    )


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.1f} %"


def _points(share: float) -> str:
    return f"{100 * share:g} point{'s' * (share != 0.01)}"


def _share(hits: pd.Series) -> float:
    return float(hits.mean()) if len(hits) else 0.0


def _f1(frame: pd.DataFrame) -> float:
    hits, misses = 2 * frame["tp"].sum(), (frame["fp"] + frame["fn"]).sum()
    return float(hits / max(hits + misses, 1))


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
