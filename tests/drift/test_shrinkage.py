"""Means of places with few samples: drawn to the mean of all, the more so the less is known."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from routing_ml.drift.shrinkage import shrunk


def test_places_that_differ_by_chance_alone_are_drawn_together() -> None:
    random = np.random.default_rng(1)
    found = shrunk(random.normal(0.3, 0.1, 200), np.full(200, 0.01), least=0.001)
    assert np.abs(found.means - found.mean).max() < 0.1
    assert abs(found.mean - 0.3) < 0.03


def test_places_that_truly_differ_keep_their_own_mean() -> None:
    means = np.array([-1.0, 0.0, 1.0])
    found = shrunk(means, np.full(3, 1e-4), least=0.001)
    assert np.allclose(found.means, means, atol=1e-3)
    assert found.error > 0.9


def test_without_places_nothing_is_known_but_the_least_spread() -> None:
    found = shrunk(np.zeros(0), np.zeros(0), least=0.2)
    assert (found.mean, found.error, len(found.means)) == (0.0, 0.2, 0)


@given(
    arrays(float, st.integers(1, 20), elements=st.floats(-5, 5)),
    st.floats(1e-3, 4),
    st.floats(1e-3, 1),
)
def test_a_mean_moves_towards_that_of_all_and_is_known_better_than_alone(
    means: np.ndarray, variance: float, least: float
) -> None:
    found = shrunk(means, np.full(len(means), variance), least=least)
    low, high = means.min() - 1e-9, means.max() + 1e-9
    assert ((found.means >= low) & (found.means <= high)).all()
    assert (found.errors**2 < variance).all()
    assert (np.abs(found.means - found.mean) <= np.abs(means - found.mean) + 1e-9).all()
