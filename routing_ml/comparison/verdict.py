"""The decision of `compare` in words: what goes in or stays, with the figures that decided it."""

from collections.abc import Mapping, Sequence

from routing_ml.comparison import floor, paired
from routing_ml.comparison.cases import Comparison, FloorTest, PairedTest


def first(
    best: str | None,
    exact: Mapping[str, float],
    tests: Mapping[str, Sequence[FloorTest]],
    count: int,
) -> str:
    """Why `best` goes in where no model is in use yet, or (None) why nothing does."""
    if best is None:
        reasons = "; ".join(below(name, tests[name], count) for name in exact)
        return f"no model goes into use: {reasons}"
    rest = ", ".join(f"{n} {_percent(e)}" for n, e in exact.items() if n != best)
    rest = f" ({rest})" if rest else ""
    return (
        f"no model is in use yet: {best} goes in with {_percent(exact[best])} exact matches "
        f"on {count:,} items{rest}{also_above(tests[best])}"
    )


def also_above(tests: Sequence[FloorTest]) -> str:
    """That it is better than the simple rules, with the figure of each; empty without any."""
    if not tests:
        return ""
    rules = " and ".join(f"{test.words} ({_own_figure(test)})" for test in tests)
    return f", shown to be better than {rules}"


def below(name: str, tests: Sequence[FloorTest], count: int) -> str:
    """Why a candidate is not shown to be better than the simple rules, and what would help."""
    if count < floor.LEAST_ITEMS:
        return (
            f"{name} cannot be judged: {count:,} items are too few to show anything, at least "
            f"{floor.LEAST_ITEMS} with a routing that it was not fitted on are needed: enter more "
            "routings, or extract more rows"
        )
    test = min((t for t in tests if not t.passes), key=_lead)
    operations = (
        f"operation F1 {test.f1:.3f} against {test.f1_against:.3f} on {count:,} items, a "
        f"difference of {test.f1_difference:+.3f} ({_level(test.level)} % interval "
        f"{test.f1_low:+.3f} to {test.f1_high:+.3f})"
    )
    if test.by == floor.EXACT and test.exact.p_value <= test.level:
        return f"{name} is stopped by its operations, worse than by {test.words}: {operations}"
    words = operations if test.by == floor.F1 else figures(test.exact, test.level)
    return f"{name} is not shown to be better than {test.words}: {words}; {_help(test)}"


def _lead(test: FloorTest) -> float:
    return test.f1_difference if test.by == floor.F1 else test.exact.difference


def _own_figure(test: FloorTest) -> str:
    if test.by == floor.F1:
        return f"operation F1 {test.f1_against:.3f} against {test.f1:.3f}"
    return f"{_percent(test.exact.exact_against)} exact"


def _help(test: FloorTest) -> str:
    """What would make a candidate better than a simple rule, or show that it is."""
    if _lead(test) <= 0:
        return (
            "the columns of the item table hardly say more than that: one that tells apart items "
            "made differently would help, or more items of each kind"
        )
    exact = test.exact
    needed = paired.items_to_show(exact.better, exact.worse, exact.items, test.level)
    if test.by == floor.EXACT and needed * exact.dispersion > exact.items:
        return (
            "more items with a routing would help: if it stays so far ahead, about "
            f"{needed * exact.dispersion:,.0f} show it"
        )
    return "more items with a routing would help"


def promoted(case: Comparison, alpha: float) -> str:
    """Why this challenger goes in."""
    if not case.fresh_fit:
        return (
            f"{case.challenger} goes in, shown to be better than the model in use: "
            f"{figures(case.test, alpha)}"
        )
    also = len(case.references)
    past = f"; the same holds against {also} earlier that do better on these items" if also else ""
    return (
        f"{case.challenger}, fitted afresh, goes in, shown to be less than "
        f"{_points(case.test.margin)} worse than the model in use: "
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
            f"{g.name} ({_percent(g.challenger)} against {_percent(g.champion)})"
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
            f"{_percent(disagreement)} of them: about {needed:,} are needed"
        )
    return words


def figures(test: PairedTest, alpha: float) -> str:
    """The figures of a test: rates, difference, interval at `alpha` each way, p-value."""
    p = "< 0.001" if test.p_value < 0.001 else f"= {test.p_value:.3f}"
    return (
        f"{_percent(test.exact)} exact against {_percent(test.exact_against)} on "
        f"{test.items:,} items, a difference of {100 * test.difference:+.1f} points "
        f"({_level(alpha)} % interval {100 * test.low:+.1f} to {100 * test.high:+.1f}, "
        f"p {p})"
    )


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.1f} %"


def _points(share: float) -> str:
    return f"{100 * share:g} point{'s' * (share != 0.01)}"


def _level(alpha: float) -> str:
    """The level of the interval whose bounds hold at `alpha` each, in per cent."""
    return f"{100 - 200 * alpha:g}"
