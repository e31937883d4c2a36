"""The decision of `compare` in words: what goes in or stays, with the figures that decided it."""

from collections.abc import Mapping, Sequence

from routing_ml.comparison import paired
from routing_ml.comparison.betting import Standing
from routing_ml.comparison.cases import Comparison, FloorTest
from routing_ml.comparison.refusal import above, figures, percent, refused

STAYS = "the model in use stays: "
GOES_IN = " goes in, "
WOULD_GO_IN = " would go in, "


def first(
    best: str | None,
    exact: Mapping[str, float],
    tests: Mapping[str, Sequence[FloorTest]],
    count: int,
) -> str:
    """Why `best` goes in where no model is in use yet, or (None) why nothing does."""
    if best is None:
        return f"no model goes into use: {refused(tests)}"
    rest = ", ".join(f"{n} {percent(e)}" for n, e in exact.items() if n != best)
    rest = f" ({rest})" if rest else ""
    return (
        f"{best}{GOES_IN}the first model: {percent(exact[best])} exact matches "
        f"on {count:,} items{rest}{above(tests[best])}"
    )


def promoted(case: Comparison, alpha: float) -> str:
    """Why this challenger goes in."""
    if not case.fresh_fit:
        return (
            f"{case.challenger}{GOES_IN}shown to be better than the model in use: "
            f"{figures(case.test, alpha)}"
        )
    also = len(case.references)
    ahead = "1 earlier version that does" if also == 1 else f"{also} earlier versions that do"
    past = f"; the same holds against {ahead} better on these items" if also else ""
    return (
        f"{case.challenger}, fitted afresh,{GOES_IN}knowing the newest items and shown to be less "
        f"than {_points(case.test.margin)} worse than the model in use: "
        f"{figures(case.test, alpha)}{past}"
    )


def kept(case: Comparison, alpha: float) -> str:
    """Why this challenger does not go in."""
    name = f"{case.challenger}, fitted afresh," if case.fresh_fit else case.challenger
    test, level = case.test, case.level
    if test.p_value <= level and case.failed:
        test, level = max(case.failed, key=lambda t: t.p_value), case.reference_level
        if test.p_value <= level:
            return (
                f"{name} is more than a third of {_points(test.margin)} behind {test.against}, "
                f"which was in use earlier: {figures(test, alpha)}"
            )
    if not test.items:
        return f"{name} cannot be compared, as no item was held out"
    if case.shown:
        stops = " and ".join(
            f"{g.name} ({percent(g.challenger)} against {percent(g.champion)})"
            for g in case.guards
            if g.stops
        )
        return f"{name} is stopped by its {stops}; its exact matches would do: " + figures(
            case.test, alpha
        )
    claim = f"less than {_points(test.margin)} worse" if case.fresh_fit else "better"
    words = f"{name} is not shown to be {claim} than {test.against}: {figures(test, alpha)}"
    disagreement = (test.better + test.worse) / test.items
    needed = paired.items_needed(disagreement, test.margin, level) if case.fresh_fit else 0
    if test.low <= 0 <= test.high and needed > test.items:
        words += (
            f"; {test.items:,} items are too few to tell when two models differ on "
            f"{percent(disagreement)} of them: about {needed:,} are needed"
        )
    return words


def behind(winner: str, exact: float, better: float) -> str:
    """Why a candidate that might go in does not: of several the most exact does."""
    if better > exact:
        return f"{winner} has more exact matches: {percent(better)} against {percent(exact)}"
    return f"it has no more exact matches than {winner}, which goes before it"


def not_put_in(reason: str) -> str:
    """The reason of a decision whose winner is not put into use, or not yet.

    >>> not_put_in("forest goes in, shown to be better")
    'forest would go in, shown to be better'
    """
    return reason.replace(GOES_IN, WOULD_GO_IN, 1)


def by_later_routings(name: str, reason: str, judged: str) -> str:
    """Why a method goes in by what planners wrote since (`judged`), for the `reason` of which the
    held-out items alone would have left the model in use."""
    return (
        f"{name}{GOES_IN}by {judged}; by the held-out items alone the model in use would have "
        f"stayed: {reason.removeprefix(STAYS)}"
    )


def so_far(name: str, standing: Standing, *, fresh_fit: bool) -> str:
    """What the judged items say so far of this challenger, whichever day it is read."""
    who = f"{name}, fitted afresh," if fresh_fit else name
    if not standing.families:
        return f"{who} cannot be compared with the model in use yet, as no item was judged"
    points, answer = _points(standing.margin), standing.answer
    shown = {
        "better": ("better than the model in use", standing.e_not_better),
        "worse": ("worse than the model in use", standing.e_not_worse),
        "equivalent": (
            f"less than {points} better or worse than the model in use",
            min(standing.e_margin_worse, standing.e_margin_better),
        ),
    }
    less = f"less than {points} worse than the model in use"
    if answer in shown:
        claim, e_value = shown[answer]
        words = f"{who} is shown to be {claim}"
        if fresh_fit and answer == "worse" and standing.within:
            words += f", though by less than {points}"
    elif fresh_fit and standing.within:
        words, e_value = f"{who} is shown to be {less}", standing.e_margin_worse
    elif fresh_fit:
        words = f"it cannot be told yet whether {who} is {less}"
        e_value = standing.e_margin_worse
    else:
        words = f"it cannot be told yet whether {who} is better than the model in use"
        e_value = standing.e_not_better
    doubt = words.startswith("it cannot") and e_value >= 1 / standing.alpha
    single = standing.families == standing.items
    counted = "items" if single else f"families of {standing.items:,} items in all"
    return (
        f"{words}: they differ on {standing.differing:,} of {standing.families:,} {counted}, by "
        f"{100 * standing.difference:+.1f} points ({100 - 200 * standing.alpha:g} % interval for "
        f"every day's look {100 * standing.low:+.1f} to {100 * standing.high:+.1f}, "
        f"evidence {_e(e_value)} where {1 / standing.alpha:g} is enough)"
        + (", but the items of large families leave it open" if doubt else "")
    )


def _e(value: float) -> str:
    return "over 1,000" if value > 1_000 else f"{value:.1f}"


def _points(share: float) -> str:
    return f"{100 * share:g} point{'s' * (share != 0.01)}"
