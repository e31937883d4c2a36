import json
from math import exp, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing_ml.comparison import MARGIN, PairedSequence, so_far
from routing_ml.comparison.betting import BETS, WEIGHTS, log_wealth
from routing_ml.errors import InputError

FAMILY = st.integers(1, 6).flatmap(
    lambda size: st.tuples(st.integers(-size, size).map(lambda k: k / size), st.just(size))
)
FAMILIES = st.lists(FAMILY, max_size=60)


def judged(better: int = 0, worse: int = 0, same: int = 0, size: int = 1) -> PairedSequence:
    """Families of which the challenger alone, the champion alone, or both or none are right."""
    d = [1.0] * better + [-1.0] * worse + [0.0] * same
    return PairedSequence().update(d, [size] * len(d))


# The answer


@pytest.mark.parametrize(
    ("test", "answer", "within"),
    [
        (judged(), "go on", False),
        (judged(better=20, worse=2, same=500), "better", True),
        (judged(better=2, worse=20, same=500), "worse", False),
        (judged(better=15, worse=15, same=6_000), "equivalent", True),
        (judged(better=14, worse=8, same=1_500), "go on", True),
        (judged(better=6, worse=6, same=288), "go on", False),
        (judged(better=10, worse=40, same=20_000), "worse", True),
        (judged(same=600), "equivalent", True),
        (judged(better=5, worse=12, same=900), "go on", False),
    ],
)
def test_the_answer_is_what_the_items_show(test, answer, within):
    standing = test.standing()
    assert (standing.answer, standing.within) == (answer, within)


def test_what_is_shown_to_be_no_better_only_is_not_equivalent():
    standing = judged(better=5, worse=12, same=900).standing()
    assert standing.e_margin_better > 20 and not standing.equivalent


def test_the_e_value_is_the_wealth_of_one_who_bets_family_by_family():
    differences = [1, 0, -1, 0.5, 0, 0, 1, -0.25]
    standing = PairedSequence().update(differences, [1, 2, 1, 2, 1, 3, 1, 4]).standing()
    for at_most, sign, found in (
        (0, 1, standing.e_not_better),
        (-MARGIN, 1, standing.e_margin_worse),
        (0, -1, standing.e_not_worse),
        (-MARGIN, -1, standing.e_margin_better),
    ):
        wealth = WEIGHTS.copy()
        for d in differences:
            wealth = wealth * (1 + BETS * (sign * d - at_most))
        assert found == pytest.approx(wealth.sum())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=4), st.floats(-0.99, 0.99))
def test_no_bet_gains_in_expectation_at_the_edge_of_what_it_is_against(values, at_most):
    """One step of every mixture of two outcomes whose mean is the edge: fair, and never below 0."""
    outcomes = np.array([*values, -1.0, 1.0])
    wealth = np.exp(log_wealth(outcomes, np.eye(len(outcomes)), at_most))
    assert (wealth >= 0).all() and np.isfinite(wealth).all()
    for low, at_low in zip(outcomes, wealth, strict=True):
        for high, at_high in zip(outcomes, wealth, strict=True):
            if low < at_most < high:
                share = (at_most - low) / (high - low)
                assert (1 - share) * at_low + share * at_high == pytest.approx(1)


@settings(max_examples=60, deadline=None)
@given(FAMILIES)
def test_the_interval_says_the_same_as_the_e_values(families):
    differences, sizes = zip(*families, strict=True) if families else ((), ())
    standing = PairedSequence().update(differences, sizes).standing()
    low, high, needed = standing.low, standing.high, 1 / standing.alpha
    assert -1 <= low <= standing.difference <= high <= 1
    for e_value, apart in (
        (standing.e_not_better, low),
        (standing.e_margin_worse, low + MARGIN),
        (standing.e_not_worse, -high),
        (standing.e_margin_better, MARGIN - high),
    ):
        if abs(apart) > 1e-5:
            assert (e_value >= needed) == (apart > 0)


def test_champion_and_challenger_are_mirrored():
    one, other = judged(18, 5, 600).standing(), judged(5, 18, 600).standing()
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert (one.e_not_better, one.e_margin_worse) == pytest.approx(
        (other.e_not_worse, other.e_margin_better)
    )


def test_a_family_counts_as_one_whatever_its_size():
    one, five = judged(20, 2, 500).standing(), judged(20, 2, 500, size=5).standing()
    assert (one.low, one.e_not_better) == (five.low, five.e_not_better)
    assert (five.families, five.items, five.differing) == (522, 2_610, 22)


def test_items_that_say_otherwise_than_the_families_stop_an_answer():
    d, sizes = [1] * 30 + [-1] * 3 + [0] * 500, [1] * 30 + [20] * 3 + [1] * 500
    standing = PairedSequence().update(d, sizes).standing()
    assert standing.e_not_better > 20 and standing.by_item < 0
    assert not standing.better and standing.answer == "go on"
    mirrored = PairedSequence().update([-x for x in d], sizes).standing()
    assert mirrored.e_not_worse > 20 and not mirrored.worse
    assert standing.e_margin_worse > 20 and not standing.within


def test_most_families_are_not_enough_where_the_items_are_in_doubt():
    d, sizes = [1] * 30 + [-1] * 4 + [0] * 500, [1] * 30 + [6] * 4 + [1] * 500
    standing = PairedSequence().update(d, sizes).standing()
    assert standing.e_not_better > 20 and standing.by_item == pytest.approx(6 / 554)
    residual = np.array(sizes) * (np.array(d) - standing.by_item)
    assert standing.error == pytest.approx(np.sqrt((residual**2).sum()) / 554)
    assert not standing.better
    assert standing.by_item < 1.645 * standing.error


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 4_000), st.sampled_from([1, 5]))
def test_where_families_are_of_one_size_the_e_value_alone_decides(better, worse, same, size):
    standing = judged(better, worse, same, size).standing()
    assert standing.better == (standing.e_not_better >= 20)
    assert standing.worse == (standing.e_not_worse >= 20)
    assert standing.within == (standing.e_margin_worse >= 20)


def test_equivalent_also_needs_the_items():
    d, sizes = [1] * 8 + [-1] * 8 + [0] * 5_000, [20] * 8 + [1] * 5_008
    standing = PairedSequence().update(d, sizes).standing()
    assert standing.e_margin_better > 20 and standing.by_item > MARGIN
    assert not standing.equivalent


# Over time


@settings(max_examples=40, deadline=None)
@given(FAMILIES, st.integers(0, 60), st.randoms(use_true_random=False))
def test_neither_the_order_nor_a_night_between_changes_it(families, cut, random):
    whole = PairedSequence()
    for difference, size in families:
        whole.update([difference], [size])
    shuffled = list(families)
    random.shuffle(shuffled)
    first, rest = shuffled[:cut], shuffled[cut:]
    kept = PairedSequence().update([d for d, _ in first], [s for _, s in first]).state()
    again = PairedSequence.restore(json.loads(json.dumps(kept)))
    again.update([d for d, _ in rest], [s for _, s in rest])
    assert again.state()["families"] == whole.state()["families"]
    mine, theirs = whole.standing().as_dict(), again.standing().as_dict()
    assert mine.pop("answer") == theirs.pop("answer")
    assert mine == pytest.approx(theirs, abs=1e-9)


def test_differences_that_only_rounding_tells_apart_are_one():
    one, other = PairedSequence().update([1 / 3, 0], [3, 1]), PairedSequence()
    other.update([1 - 2 / 3, -0.0], [3, 1])
    assert 1 / 3 != 1 - 2 / 3 and one.state()["families"] == other.state()["families"]


def test_the_state_stays_small_over_years():
    rng = np.random.default_rng(1)
    test = PairedSequence()
    sizes = rng.integers(1, 21, 20_000)
    test.update(rng.integers(-sizes, sizes + 1) / sizes, sizes)
    assert len(json.dumps(test.state())) < 8_000


def crossed(rng, better: float, worse: float, at_most: float, *, runs=500, n=2_500) -> float:
    """Share of runs in which the wealth is 20 at any of n families."""
    u = rng.random((runs, n))
    up, down = (u < better).cumsum(axis=1), ((u >= better) & (u < better + worse)).cumsum(axis=1)
    counts = np.stack([up, down, np.arange(1, n + 1) - up - down], axis=-1)
    wealth = log_wealth(np.array([1.0, -1.0, 0.0]), counts, at_most)
    return float((wealth >= log(20)).any(axis=1).mean())


def test_looking_after_every_item_is_wrong_no_more_often_than_promised():
    rng = np.random.default_rng(3)
    for half in (0.01, 0.02, 0.04):
        assert crossed(rng, half, half, 0.0) <= 0.05
        assert crossed(rng, half, half + MARGIN, -MARGIN) <= 0.05


def test_two_points_better_are_found_within_three_thousand_items():
    rng = np.random.default_rng(4)
    assert crossed(rng, 0.03, 0.01, 0.0, runs=300, n=3_000) > 0.99
    assert crossed(rng, 0.05, 0.03, 0.0, runs=300, n=3_000) > 0.85


# In words


def test_the_sentence_gives_the_answer_with_its_figures():
    assert so_far("forest", judged(20, 2, 500).standing(), fresh_fit=False) == (
        "forest is shown to be better than the model in use: they differ on 22 of 522 items, by "
        "+3.4 points (90 % interval for every day's look +1.1 to +6.4, evidence 703.9 where 20 "
        "is enough)"
    )


@pytest.mark.parametrize(
    ("test", "fresh", "words"),
    [
        (judged(), False, "forest cannot be compared with the model in use yet, as no item was"),
        (judged(2, 20, 500), False, "forest is shown to be worse than the model in use: "),
        (judged(6, 6, 288), False, "it cannot be told yet whether forest is better than the"),
        (judged(6, 6, 288), True,
         "it cannot be told yet whether forest, fitted afresh, is less than 1 point worse than"),
        (judged(14, 8, 1_500), True,
         "forest, fitted afresh, is shown to be less than 1 point worse than the model in use: "),
        (judged(15, 15, 6_000), False,
         "forest is shown to be less than 1 point better or worse than the model in use: "),
        (judged(14, 8, 1_500), False, "it cannot be told yet whether forest is better than the"),
        (judged(2, 20, 500), True, "forest, fitted afresh, is shown to be worse than the model in "
         "use: they differ"),
        (judged(10, 40, 20_000), False, "forest is shown to be worse than the model in use: they"),
        (judged(10, 40, 20_000), True, "forest, fitted afresh, is shown to be worse than the model"
         " in use, though by less than 1 point: they differ on 50 of 20,050 items"),
        (judged(2, 20, 500, size=5), False, "forest is shown to be worse than the model in use: "
         "they differ on 22 of 522 families of 2,610 items in all, by -3.4 points"),
    ],
)  # fmt: skip
def test_each_answer_has_its_words(test, fresh, words):
    assert so_far("forest", test.standing(), fresh_fit=fresh).startswith(words)


def test_the_e_value_named_is_the_one_of_the_claim():
    for better, worse in ((13, 9), (9, 13)):
        standing = judged(better, worse, 2_500).standing()
        least, most = sorted((standing.e_margin_worse, standing.e_margin_better))
        assert 20 < least < 1_000 and most > 2 * least
        assert f"evidence {least:.1f}" in so_far("forest", standing, fresh_fit=False)
    undecided = judged(6, 6, 288).standing()
    assert f"evidence {undecided.e_margin_worse:.1f}" in so_far("f", undecided, fresh_fit=True)
    assert f"evidence {undecided.e_not_better:.1f}" in so_far("f", undecided, fresh_fit=False)


def test_the_sentence_says_why_an_e_value_that_is_large_enough_is_no_answer():
    d, sizes = [1] * 30 + [-1] * 4 + [0] * 500, [1] * 30 + [6] * 4 + [1] * 500
    words = so_far("f", PairedSequence().update(d, sizes).standing(), fresh_fit=False)
    assert words.startswith("it cannot be told yet whether f is better than the model in use: they")
    assert words.endswith("where 20 is enough), but the items of large families leave it open")
    undecided = so_far("f", judged(6, 6, 288).standing(), fresh_fit=True)
    assert undecided.endswith("where 20 is enough)")


# What cannot be


@pytest.mark.parametrize(
    ("differences", "sizes", "named"),
    [
        ([0.5, 1], [1], "2 differences but 1 sizes"),
        ([1.5], [1], "difference is 1.5"),
        ([float("nan")], [1], "difference is nan"),
        ([0], [0], "size is 0"),
    ],
)
def test_what_cannot_be_is_refused_by_name_and_changes_nothing(differences, sizes, named):
    test = judged(1, 0, 1)
    before = test.state()
    with pytest.raises(InputError, match=named):
        test.update(differences, sizes)
    assert test.state() == before


def test_a_margin_or_an_alpha_that_cannot_be_is_refused():
    with pytest.raises(InputError, match="margin is 0"):
        PairedSequence(margin=0)
    with pytest.raises(InputError, match="alpha is 2"):
        PairedSequence.restore(judged(1).state(), alpha=2)


def test_an_e_value_too_large_for_a_number_is_still_one():
    standing = judged(better=5_000).standing()
    assert standing.e_not_better == pytest.approx(exp(700)) and json.dumps(standing.as_dict())
