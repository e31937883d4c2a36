"""Trees as arrays."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from routing_ml.models.trees.boosting import Plan, boost_flags
from routing_ml.models.trees.ensemble import Ensemble, Shape


@settings(max_examples=40, deadline=None)
@given(leaves=st.integers(1, 24), rows=st.integers(5, 200), seed=st.integers(0, 1000))
def test_a_row_ends_in_the_same_leaf_walked_or_not(leaves, rows, seed):
    random = np.random.default_rng(seed)
    bins = np.array([2, 2, 2, 120, 7])
    matrix = np.stack([random.integers(0, most, rows) for most in bins], axis=1).astype(np.uint8)
    flags = random.random((rows, 6)) < 0.2 + 0.5 * matrix[:, :1]
    plan = Plan(trees=4, rate=0.5, shape=Shape(leaves=leaves, min_leaf=1))
    _, trees = boost_flags(matrix, bins, flags, plan, np.ones(rows, np.float32))
    asked = np.stack([random.integers(0, most, 60) for most in bins], axis=1).astype(np.uint8)
    assert (trees.leaves(asked) == trees.walk(asked)).all()
    assert isinstance(trees, Ensemble)


def test_a_row_that_weighs_nothing_teaches_nothing():
    matrix = np.array([[0], [0], [1], [1]] * 20, np.uint8)
    flags = matrix == 1
    flags[1::4] = True  # the second of each four is wrong
    weight = np.tile([1, 0, 1, 1], 20).astype(np.float32)
    plan = Plan(trees=30, rate=0.5, shape=Shape(leaves=2, min_leaf=1), share=1.0)
    base, trees = boost_flags(matrix, np.array([2]), flags, plan, weight)
    odds = base + trees.predict(np.array([[0], [1]], np.uint8))
    assert odds[0, 0] < -2
    assert odds[1, 0] > 2
    with_all, others = boost_flags(matrix, np.array([2]), flags, plan, np.ones(80, np.float32))
    assert abs((with_all + others.predict(np.array([[0]], np.uint8)))[0, 0]) < 0.5
