import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing_ml.comparison import intervals, metrics


def routings(jobs, *, minutes=None, machines=None):
    """Rows of one operation an item."""
    count = len(jobs)
    return pd.DataFrame({
        "ITEM_CD": [f"I{k:04d}" for k in range(count)], "PROC_SEQ": 10, "JOB_CD": jobs,
        "RES_CD": machines or ["M"] * count, "SETUP_TIME": 1.0,
        "RUN_TIME": [2.0] * count if minutes is None else minutes,
    })  # fmt: skip


@pytest.mark.parametrize(
    ("right", "count", "expected"),
    # R: prop.test(right, count, correct = FALSE)
    [(86, 100, (0.7786, 0.9147)), (0, 10, (0.0, 0.2775)), (10, 10, (0.7225, 1.0))],
)
def test_a_share_has_the_interval_of_the_score_test(right, count, expected):
    assert intervals.wilson(right / count, count) == pytest.approx(expected, abs=1e-4)


def test_every_figure_has_an_interval_that_holds_it():
    random = np.random.default_rng(1)
    jobs = random.choice(["a", "b"], 200)
    truth = routings(jobs)
    proposed = routings(np.where(random.random(200) < 0.8, jobs, "c"),
                        minutes=2 * random.lognormal(0, 0.2, 200))  # fmt: skip
    figures, bounds = metrics.evaluate(proposed, truth), intervals.of(proposed, truth)
    assert bounds.keys() == figures.keys() - {"items"}
    for name, (low, high) in bounds.items():
        assert low <= figures[name] <= high, name
        assert high - low < 0.2 and (name in ("setup_time_mdape",) or low < high), name
    # One operation an item: found or not is right or not.
    for name in ("exact_match", "operation_recall"):
        assert bounds[name] == pytest.approx(intervals.wilson(figures[name], 200), abs=1e-3)
    assert bounds == intervals.of(proposed, truth)


def test_what_cannot_be_counted_has_none():
    truth = routings(["a"] * 5)
    bounds = intervals.of(routings(["b"] * 5), truth)
    assert bounds["run_time_mdape"] is None and bounds["resource_accuracy"] is None
    low, high = bounds["exact_match"]
    assert low == 0 and 0.4 < high < 0.5


def test_families_that_are_right_together_count_as_fewer():
    jobs = ["a"] * 100
    proposed = routings(["a"] * 50 + ["b"] * 50)
    families = pd.Series(np.arange(100) // 10, index=proposed["ITEM_CD"])
    alone, together = (
        intervals.of(proposed, routings(jobs), given)["exact_match"] for given in (None, families)
    )
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])


def test_the_true_figure_lies_in_about_95_of_100_intervals():
    random, hits = np.random.default_rng(3), 0
    for _ in range(60):
        family = np.repeat(np.arange(40), 3)
        right = np.repeat(random.random(40) < 0.8, 3)
        proposed = routings(np.where(right, "a", "b"))
        families = pd.Series(family, index=proposed["ITEM_CD"])
        low, high = intervals.of(proposed, routings(["a"] * 120), families)["exact_match"]
        hits += low <= 0.8 <= high
    assert 52 <= hits <= 60


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("ab"), st.floats(0, 1e4),
                       st.integers(0, 3)), min_size=1, max_size=20)
)  # fmt: skip
def test_any_proposals_have_intervals_in_order(rows):
    true, proposed, minutes, family = zip(*rows, strict=True)
    truth, guess = routings(true), routings(proposed, minutes=minutes)
    families = pd.Series(family, index=truth["ITEM_CD"])
    for bounds in intervals.of(guess, truth, families).values():
        assert bounds is None or 0 <= bounds[0] <= bounds[1]
