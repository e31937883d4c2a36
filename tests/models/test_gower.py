"""How like two items are, however many are asked about at a time."""

from types import SimpleNamespace

import numpy as np
import pytest

from routing_ml.models.features import gower
from routing_ml.models.features.attributes import MISSING, UNSEEN
from routing_ml.models.features.gower import Gower

WEIGHTS = np.array([0.3, 0.0, 0.2, 0.1, 0.25, 0.15])
"""Of two categories, two numbers and two texts."""


def drawn(count, random):
    numbers = random.gamma(2, 30, (count, 2)).round(1)
    numbers[random.random((count, 2)) < 0.25] = np.nan
    words = (random.random((count, 8)) < 0.2).astype(np.uint8)
    return SimpleNamespace(
        codes=random.integers(MISSING, 4, (count, 2)), numbers=numbers, words=words
    )


@pytest.fixture(scope="module")
def fitted():
    past = drawn(90, np.random.default_rng(1))
    return Gower(
        WEIGHTS, np.array([120.0, 90.0]), np.arange(8), past.codes.astype(np.int32),
        past.numbers.astype(np.float32), past.words, np.repeat([0, 1], 4),
    )  # fmt: skip


@pytest.fixture(scope="module")
def asked():
    found = drawn(25, np.random.default_rng(2))
    found.codes[3] = UNSEEN
    found.words[5], found.numbers[6] = 0, np.nan
    return found


@pytest.mark.parametrize("lines", [1, 7, 25, 400])
def test_items_asked_about_together_are_as_like_as_each_alone(monkeypatch, fitted, asked, lines):
    alone = [
        fitted.nearest(SimpleNamespace(**{k: v[[at]] for k, v in vars(asked).items()}), 4)
        for at in range(25)
    ]
    monkeypatch.setattr(gower, "CELLS_AT_ONCE", 90 * lines)
    rows, scores = fitted.nearest(asked, 4)
    assert rows.tolist() == [found[0].tolist() for found, _ in alone]
    assert scores.tolist() == [found[0].tolist() for _, found in alone]


def test_of_no_items_nothing_is_like_and_of_one_past_item_it_is_that(fitted, asked):
    none = SimpleNamespace(**{k: v[:0] for k, v in vars(asked).items()})
    assert [part.shape for part in fitted.nearest(none, 4)] == [(0, 4), (0, 4)]
    one = Gower(
        WEIGHTS, np.array([120.0, 90.0]), np.arange(8), fitted.codes[:1], fitted.numbers[:1],
        fitted.marks[:1], np.repeat([0, 1], 4),
    )  # fmt: skip
    rows, scores = one.nearest(asked, 4)
    assert rows.tolist() == [[0]] * 25
    assert (scores > 0).any()


def test_how_like_items_are_is_the_weighted_sum_of_their_parts(fitted, asked):
    rows, scores = fitted.nearest(asked, 1)
    known = [at for at in range(25) if at != 3]  # a new value is as a missing one to `parts`
    assert scores[known, 0].tolist() == pytest.approx(
        [WEIGHTS @ fitted.parts(asked, at, rows[at, 0]) for at in known], abs=2e-6
    )


def test_a_row_that_does_not_count_is_never_the_nearest(fitted, asked):
    first, _ = fitted.nearest(asked, 1)
    second, _ = fitted.nearest(asked, 1, without=list(first))
    assert not (first == second).any()
