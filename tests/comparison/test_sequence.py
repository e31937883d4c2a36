from itertools import product
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing_ml.comparison import confidence_sequence, intervals
from routing_ml.comparison.sequence import TILTS, Process
from routing_ml.errors import InputError

SIZES = st.dictionaries(st.integers(1, 20), st.integers(1, 60), min_size=1, max_size=5)


def items_of(sizes) -> int:
    return sum(size * number for size, number in sizes.items())


def refuted(right: float, families: int, mean: float) -> float:
    """Log wealth for single items, straight from the formula."""
    wealth = TILTS * right - families * np.log(1 - mean + mean * np.exp(TILTS))
    return float(np.logaddexp.reduce(wealth)) - log(len(TILTS))


def test_nothing_judged_leaves_everything_open():
    assert confidence_sequence(0, {}) == confidence_sequence(0, {3: 0}) == (0.0, 1.0)


@pytest.mark.parametrize(("right", "items"), [(0, 7), (7, 7), (3, 7), (85, 100), (299, 300)])
def test_the_bounds_are_where_the_formula_refutes_a_mean(right, items):
    low, high = confidence_sequence(right, {1: items})
    means = np.linspace(0.0005, 0.9995, 2_000)
    open_ = [
        m
        for m in means
        if max(refuted(right, items, m), refuted(items - right, items, 1 - m)) < log(40)
    ]
    assert low == pytest.approx(open_[0], abs=6e-4)
    assert high == pytest.approx(open_[-1], abs=6e-4)


@settings(max_examples=30, deadline=None)
@given(SIZES, st.floats(0, 1), st.floats(0.02, 0.98))
def test_no_means_of_the_families_make_the_product_smaller(sizes, share, mean):
    """Of all ways to spread a running mean over the sizes, tried one by one."""
    right, total = share * items_of(sizes), items_of(sizes)
    size, number = np.array(list(sizes)), np.array(list(sizes.values()))
    found = float(Process(sizes).log_wealth(right, mean)[0])
    rng = np.random.default_rng(1)
    for p in rng.beta(0.5, 0.5, (300, len(size))):
        # Moved towards 0 or 1 until the running mean is right.
        now = p @ (size * number) / total
        p = p * mean / now if now > mean else 1 - (1 - p) * (1 - mean) / (1 - now)
        factors = np.log1p(p * np.expm1(TILTS[:, None] * size)) @ number
        assert np.logaddexp.reduce(TILTS * right - factors) - log(len(TILTS)) >= found - 1e-6


def test_the_worst_spread_is_found_where_it_can_be_tried_out():
    sizes, right, mean = {1: 30, 6: 10}, 80.0, 0.7
    found = float(Process(sizes).log_wealth(right, mean)[0])
    total, best = 90, np.full(len(TILTS), np.inf)
    for p1 in np.linspace(0, 1, 3_001):
        p6 = (mean * total - 30 * p1) / 60
        if 0 <= p6 <= 1:
            spent = 30 * np.log1p(p1 * np.expm1(TILTS)) + 10 * np.log1p(p6 * np.expm1(6 * TILTS))
            best = np.minimum(best, TILTS * right - spent)
    assert found == pytest.approx(np.logaddexp.reduce(best) - log(len(TILTS)), abs=1e-4)
    # All families alike is not the worst.
    spent = 30 * np.log1p(mean * np.expm1(TILTS)) + 10 * np.log1p(mean * np.expm1(6 * TILTS))
    assert found < np.logaddexp.reduce(TILTS * right - spent) - log(len(TILTS)) - 0.1


@settings(max_examples=40, deadline=None)
@given(SIZES, st.floats(0, 1), st.floats(0, 1))
def test_more_right_items_never_lower_a_bound_and_the_share_is_inside(sizes, one, two):
    total = items_of(sizes)
    fewer, more = sorted((one * total, two * total))
    a, b = confidence_sequence(fewer, sizes), confidence_sequence(more, sizes)
    assert a[0] <= b[0] + 1e-6 and a[1] <= b[1] + 1e-6
    assert a[0] <= fewer / total + 1e-9 and fewer / total <= a[1] + 1e-9


def test_right_and_wrong_are_mirrored():
    low, high = confidence_sequence(70, {1: 60, 4: 10})
    assert confidence_sequence(30, {1: 60, 4: 10}) == pytest.approx((1 - high, 1 - low), abs=1e-6)


def test_a_family_counts_as_one_and_more_families_or_a_wider_alpha_narrow_it():
    def width(right, sizes, alpha=0.05):
        low, high = confidence_sequence(right, sizes, alpha)
        return high - low

    assert width(800, {5: 200}) == pytest.approx(width(160, {1: 200}), rel=0.05)
    assert width(800, {5: 200}) > 2 * width(800, {1: 1_000})
    assert width(85, {1: 100}) > width(850, {1: 1_000}) > width(850, {1: 1_000}, 0.2)


def test_its_width_is_within_three_quarters_of_the_interval_for_one_look():
    for share, number in product((0.5, 0.85, 0.95), (100, 1_000, 10_000)):
        low, high = confidence_sequence(share * number, {1: number})
        once = intervals.wilson(share, number)
        assert high - low < 1.76 * (once[1] - once[0])


def test_huge_families_are_no_trouble():
    low, high = confidence_sequence(2_500, {1_000: 3, 1: 50})
    assert 0 <= low < 2_500 / 3_050 < high <= 1


def test_it_holds_at_all_looks_of_a_year_whatever_the_mean_does():
    """Size and mean change together, which a bound for one mean would not stand."""
    rng = np.random.default_rng(7)
    years, held = 400, np.ones(400, bool)
    plan = [(1, 0.98)] * 60 + [(6, 0.5)] * 30 + [(1, 0.6)] * 60
    right, sizes, total = np.zeros(years), {}, 0.0
    for size, mean in plan:
        right += size * (rng.random(years) < mean)
        sizes[size], total = sizes.get(size, 0) + 1, total + size * mean
        process, items = Process(sizes), items_of(sizes)
        low = process.log_wealth(right, np.full(years, total / items))
        high = process.log_wealth(items - right, np.full(years, 1 - total / items))
        held &= (low < log(40)) & (high < log(40))
    assert held.mean() >= 0.95


@pytest.mark.parametrize(
    ("right", "sizes", "alpha", "named"),
    [
        (5, {1: 4}, 0.05, "5 of 4 items"),
        (-1, {1: 4}, 0.05, "-1 of 4 items"),
        (float("nan"), {1: 4}, 0.05, "nan of 4 items"),
        (1, {0: 4}, 0.05, "4 families of 0"),
        (1, {2: -1}, 0.05, "-1 families of 2"),
        (1, {1: 4}, 1.0, "alpha is 1.0"),
    ],
)
def test_what_cannot_be_is_refused_by_name(right, sizes, alpha, named):
    with pytest.raises(InputError, match=named):
        confidence_sequence(right, sizes, alpha)
