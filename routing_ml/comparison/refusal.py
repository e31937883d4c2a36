"""In words: why a candidate is no better than a simple rule, and what would help."""

from collections.abc import Mapping, Sequence

from routing_ml.comparison import floor, paired
from routing_ml.comparison.cases import FloorTest, PairedTest

NEARLY_ALL = 0.98
"""Share of exact matches of a simple rule from which hardly anything is left to be better at."""
FORESEEN = 5
"""Times as many items: what would take more to be shown may as well be luck."""
BY_HAND = "'routing-ml promote' puts a candidate into use all the same"


def refused(tests: Mapping[str, Sequence[FloorTest]]) -> str:
    """Why none of these candidates goes in, and once what would help the best of them."""
    items = max((test.exact.items for of in tests.values() for test in of), default=0)
    if items < floor.LEAST_ITEMS:
        return (
            f"{' and '.join(tests)} cannot be judged, for {items:,} items that none was fitted on "
            f"show nothing and at least {floor.LEAST_ITEMS} are needed; what would help: more "
            "items with a routing"
        )
    failed = {n: min((t for t in of if not t.passes), key=_lead) for n, of in tests.items()}
    best = max(failed.values(), key=_lead)
    reasons = "; ".join(_reason(name, test) for name, test in failed.items())
    return f"{reasons}; what would help: {_help(best)}"


def above(tests: Sequence[FloorTest], lead: str = ", shown") -> str:
    """That a candidate is better than the simple rules, with their figures; empty without any."""
    if not tests:
        return ""
    rules = [f"{test.words} ({_theirs(test)})" for test in tests]
    listed = " and ".join(filter(None, [", ".join(rules[:-1]), rules[-1]]))
    return f"{lead} to be better than {listed}"


def figures(test: PairedTest, alpha: float) -> str:
    """The figures of a test: rates, difference, interval at `alpha` each way, p-value."""
    return (
        f"{percent(test.exact)} exact against {percent(test.exact_against)} on "
        f"{test.items:,} items, a difference of {100 * test.difference:+.1f} points "
        f"({100 - 200 * alpha:g} % interval {100 * test.low:+.1f} to {100 * test.high:+.1f}, "
        f"{_p(test.p_value)})"
    )


def percent(share: float | None) -> str:
    """A share in per cent."""
    return "none" if share is None else f"{100 * share:.1f} %"


def _reason(name: str, test: FloorTest) -> str:
    operations = (
        f"{percent(test.f1)} of the operations right (F1) against {percent(test.f1_against)} on "
        f"{test.exact.items:,} items, a difference of {100 * test.f1_difference:+.1f} points "
        f"({100 - 200 * test.level:g} % interval {100 * test.f1_low:+.1f} to "
        f"{100 * test.f1_high:+.1f}, {_p(test.f1_p_value)})"
    )
    if test.by == floor.EXACT and test.exact.p_value <= test.level:
        return f"{name} has fewer of the operations right than {test.words}: {operations}"
    words = operations if test.by == floor.F1 else figures(test.exact, test.level)
    return f"{name} is not shown to be better than {test.words}: {words}"


def _lead(test: FloorTest) -> float:
    return test.f1_difference if test.by == floor.F1 else test.exact.difference


def _theirs(test: FloorTest) -> str:
    if test.by == floor.F1:
        ours, theirs = percent(test.f1), percent(test.f1_against)
        return f"{theirs} of the operations right (F1) against {ours}"
    return f"{percent(test.exact.exact_against)} exact"


def _help(test: FloorTest) -> str:
    """What would make a candidate better than a simple rule, or show that it is."""
    exact = test.exact
    if exact.exact_against >= NEARLY_ALL:
        return f"nothing, that rule is right nearly always and takes no model; {BY_HAND}"
    needed = paired.items_to_show(exact.better, exact.worse, exact.items, test.level)
    needed *= exact.dispersion
    if _lead(test) <= 0 or needed > FORESEEN * exact.items:
        return (
            "a column of the item table that tells apart items made differently, or more items of "
            "each kind"
        )
    if test.by == floor.EXACT and needed > exact.items:
        return f"more items with a routing, about {needed:,.0f} if it stays so far ahead"
    return "more items with a routing"


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
