"""Decides from the same held-out items whether a challenger replaces the model in use, and why.

All figures come from `metrics.per_item` of twins, which none of the items were fitted on. A fresh
fit of the champion's own method goes in when it is shown to be no worse than a margin: it has seen
the newest parts and machines. Another method goes in only when it is shown to be better. The error
rate holds over all challengers together (weighted Holm, Scandinavian Journal of Statistics 6, 1979,
65-70), and the guards (operations, times, machines) can only stop a promotion. So can the floor:
what is not shown to be better than the simple rules does not go in, not as the first one either.

"No worse than a margin" could be used up again every month, a margin at a time. So a fresh fit must
also hold its own against each `reference` that does better on these items than the champion: the
twins of all versions that were in use during the past year. It must be shown to be no worse than
the margin at a twelfth of the error rate, for that is tested every month, and be behind by no more
than a third of the margin, for a year of luck must not add up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from routing_ml.comparison import verdict
from routing_ml.comparison.cases import (
    ALPHA,
    MARGIN,
    Comparison,
    Decision,
    FloorTest,
    PairedTest,
    aligned,
)
from routing_ml.comparison.guards import guards
from routing_ml.comparison.intervals import numbered
from routing_ml.comparison.refusal import above, figures, refused
from routing_ml.errors import InputError

FRESH_SHARE = 0.8
"""Of the error rate, the share of the fresh fit: it is there each month, and needs the power; the
other methods, which must be ahead by more to be worth a change, have the rest (and all of it once
the fresh fit has passed)."""
REFRESHES_A_YEAR = 12
LISTED_ITEMS = 10


def decide(
    champion: pd.DataFrame | None,
    challengers: Mapping[str, pd.DataFrame],
    *,
    champion_method: str | None,
    references: Mapping[str, pd.DataFrame] | None = None,
    floor: Mapping[str, Sequence[FloorTest]] | None = None,
    families: pd.Series | None = None,
    margin: float = MARGIN,
    alpha: float = ALPHA,
) -> Decision:
    """Choose between the champion and the challengers by `metrics.per_item` of the same items.

    `champion` is the active version's twin, None when there is none yet: then the challenger with
    the most exact matches goes in. The challenger named `champion_method` is its fresh fit.
    `references` (version name to frame) are the twins of the other versions that were in use
    during the past year (`Registry.references`); they bind the fresh fit only, another method
    being shown better than the champion. `floor` has each challenger's tests against the simple
    rules (`floor_tests`), all of which it must pass; `families` (by item code) are right or wrong
    together. Raises InputError when the frames hold different items or there is no challenger.
    """
    if not challengers:
        raise InputError("no candidate to compare: give at least one with --candidates")
    everyone = {**challengers, **(references or {})}
    if champion is not None:
        everyone["the champion"] = champion
    frames = aligned(everyone)
    first = next(iter(frames.values()))
    count, group = len(first), None if families is None else numbered(first.index, families)
    exact = {name: _share(frames[name]["exact"]) for name in challengers}
    tests = {name: tuple((floor or {}).get(name, ())) for name in challengers}
    able = [name for name in challengers if all(test.passes for test in tests[name])]
    if champion is None:
        best = max(able, key=lambda name: (exact[name], _f1(frames[name])), default=None)
        reason = verdict.first(best, exact, tests, count)
        why_not = {
            name: verdict.behind(best, exact[name], exact[best])
            if best and name in able
            else refused({name: tests[name]})
            for name in challengers
            if name != best
        }
        return Decision(best, reason, count, exact, floor=tests, why_not=why_not)

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
            families=group,
            fresh=name == champion_method,
        )
        for name in challengers
    }
    cases = _weighted_holm(cases, alpha)
    passing = [c for c in cases.values() if c.passes and c.challenger in able]
    # Of several, the most exact; at a tie the champion's own method.
    best_case = max(passing, key=lambda c: (c.test.exact, c.fresh_fit), default=None)
    comparisons = tuple(cases.values())
    why_not = {
        c.challenger: refused({c.challenger: tests[c.challenger]})
        if c.passes
        else verdict.kept(c, alpha)
        for c in comparisons
        if c not in passing
    }
    if best_case:
        winner = best_case.challenger
        reason = verdict.promoted(best_case, alpha) + above(tests[winner], "; also shown")
        why_not |= {
            c.challenger: verdict.behind(winner, c.test.exact, best_case.test.exact)
            for c in passing
            if c is not best_case
        }
    else:
        stopped = [c.challenger for c in comparisons if c.passes]  # by the floor alone
        reasons = [verdict.kept(c, alpha) for c in comparisons if c.challenger not in stopped]
        if stopped:
            reasons.append(refused({name: tests[name] for name in stopped}))
        reason, winner = f"{verdict.STAYS}{'; '.join(reasons)}", None
    notes = _notes(base, ahead, alpha, group)
    return Decision(
        winner, reason, count, exact, comparisons, margin, alpha, notes, tests, why_not=why_not
    )


def _case(
    name: str,
    mine: pd.DataFrame,
    base: pd.DataFrame,
    references: Mapping[str, pd.DataFrame],
    *,
    margin: float,
    alpha: float,
    families: np.ndarray | None,
    fresh: bool,
) -> Comparison:
    def test(against: str, theirs: pd.DataFrame) -> PairedTest:
        return PairedTest.of(against, mine, theirs, margin=margin, alpha=alpha, families=families)

    return Comparison(
        challenger=name,
        fresh_fit=fresh,
        test=test("the model in use", base),
        references=tuple(test(name, frame) for name, frame in references.items()),
        guards=guards(mine, base, alpha, families),
        shown=False,
        level=0.0,
        reference_level=alpha / REFRESHES_A_YEAR,
        differing_items=_differing(mine, base),
    )


def _weighted_holm(cases: dict[str, Comparison], alpha: float) -> dict[str, Comparison]:
    """Mark the cases that are shown; the chance of marking any wrongly is at most `alpha`."""
    others = sum(not c.fresh_fit for c in cases.values())
    weights = {True: FRESH_SHARE, False: (1 - FRESH_SHARE) / max(others, 1)}
    left = {name: weights[c.fresh_fit] for name, c in cases.items()}
    done = {}
    for name in sorted(cases, key=lambda n: cases[n].p_value / left[n]):
        # After the first that is not shown nothing leaves, and none of the rest can be.
        level = alpha * left[name] / sum(left.values())
        shown = cases[name].p_value <= level
        done[name] = replace(cases[name], shown=shown, level=level)
        if shown:
            del left[name]
    return {name: done[name] for name in cases}


def _differing(mine: pd.DataFrame, base: pd.DataFrame) -> tuple[dict[str, Any], ...]:
    """The items on which the two differ most: one right and the other wrong, by the number of
    wrong operations, then by run time error. A champion's win counts like a challenger's."""
    right = [f["exact"].to_numpy(bool) for f in (base, mine)]
    wrong = [f["fp"].to_numpy(int) + f["fn"].to_numpy(int) for f in (base, mine)]
    times = [f["run_ape"].to_numpy(float) for f in (base, mine)]
    flips, apart = right[0] != right[1], np.abs(wrong[0] - wrong[1])
    slower = np.nan_to_num(np.abs(times[0] - times[1]))
    order = np.lexsort((np.arange(len(mine)), -slower, -apart, ~flips))[:LISTED_ITEMS]
    return tuple(
        {
            "item": str(mine.index[i]),
            "champion_exact": bool(right[0][i]),
            "challenger_exact": bool(right[1][i]),
            "champion_wrong_operations": int(wrong[0][i]),
            "challenger_wrong_operations": int(wrong[1][i]),
            "champion_run_time_error": _number(times[0][i]),
            "challenger_run_time_error": _number(times[1][i]),
        }
        for i in order
        if flips[i] or apart[i] or slower[i]
    )


def _notes(
    base: pd.DataFrame,
    references: Mapping[str, pd.DataFrame],
    alpha: float,
    families: np.ndarray | None,
) -> tuple[str, ...]:
    """What a person should know though it decides nothing: an earlier version that is ahead."""
    notes = []
    for name, frame in references.items():
        test = PairedTest.of(name, frame, base, margin=0.0, alpha=alpha, families=families)
        if test.p_value <= alpha / len(references):
            notes.append(
                f"{name}, in use earlier, is shown to be better than the model in use: "
                f"{figures(test, alpha)}"
            )
    return tuple(notes)


def _share(hits: pd.Series) -> float:
    return float(hits.mean()) if len(hits) else 0.0


def _f1(frame: pd.DataFrame) -> float:
    hits, misses = 2 * frame["tp"].sum(), (frame["fp"] + frame["fn"]).sum()
    return float(hits / max(hits + misses, 1))


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
