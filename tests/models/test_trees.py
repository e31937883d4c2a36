"""Trees as arrays."""

import models_factory as valves
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing_ml import models
from routing_ml.errors import ModelError
from routing_ml.models.trees.boosting import Plan, boost_flags
from routing_ml.models.trees.ensemble import Ensemble, Shape

FACTORY = valves.make()


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
    asked = np.array([[0], [1]], np.uint8)

    def odds(rows: np.ndarray, weight: np.ndarray) -> np.ndarray:
        base, trees = boost_flags(matrix[rows], np.array([2]), flags[rows], plan, weight[rows])
        return base + trees.predict(asked)

    every = np.ones(80, bool)
    found = odds(every, weight)
    assert found == pytest.approx(odds(weight > 0, weight), abs=1e-4)
    assert np.abs(found - odds(every, np.ones(80, np.float32))).max() > 1


def test_trees_whose_nodes_are_not_reached_once_are_refused(tmp_path):
    model = models.fit(
        "boosted", FACTORY.items[:120],
        FACTORY.routings[FACTORY.routings["ITEM_CD"].isin(FACTORY.items["ITEM_CD"][:120])],
        attributes=valves.Attributes(),
    )  # fmt: skip
    model.save(tmp_path)
    with np.load(tmp_path / "arrays.npz") as archive:
        arrays = dict(archive)
    inner = np.flatnonzero(arrays["boosted.feature"] >= 0)[0]
    left = arrays["boosted.left"].copy()
    left[inner] = arrays["boosted.right"][inner]  # both sides lead to one node
    np.savez(tmp_path / "arrays.npz", **{**arrays, "boosted.left": left})
    with pytest.raises(ModelError, match=r"boosted\.left.*each node once"):
        models.load(tmp_path)
