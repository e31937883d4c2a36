"""The tests of a window say the same of a sample of it, and compare samples with one another."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from routing_ml.drift.baseline import Baseline
from routing_ml.drift.detector import DriftDetector
from routing_ml.drift.windows import Rings, Sample, WindowTest, WindowTests

BASELINE = Baseline.fit(np.random.default_rng(1).beta(8, 2, 2000))
TESTS = WindowTests(BASELINE, 1000)


def sample(scores: np.ndarray) -> Sample:
    detector = DriftDetector(BASELINE).update_many(scores)
    rings = Rings(detector._bins, detector._sums, detector._lows, detector._end)
    return TESTS.sample(rings, len(scores))


@pytest.mark.parametrize("kind", ["low", "kl"])
def test_a_sample_of_a_window_has_the_windows_p_value(kind: str) -> None:
    scores = np.random.default_rng(2).beta(7.6, 2.4, 200)
    detector = DriftDetector(BASELINE).update_many(scores)
    rings = Rings(detector._bins, detector._sums, detector._lows, detector._end)
    found, _ = TESTS.look(rings, 200)
    seen = 0
    for p, test in found:
        if test.kind == kind:
            assert TESTS.p_value(test, TESTS.sample(rings, test.n)) / test.share == pytest.approx(p)
            seen += 1
    assert seen


def test_means_of_two_samples_are_compared_by_their_own_variance() -> None:
    rng = np.random.default_rng(3)
    one, other = sample(rng.beta(7, 3, 60)), sample(rng.beta(8, 2, 90))._replace(variance=0.3)
    z = (one.mean - other.mean) / np.sqrt(0.3 * (1 / 60 + 1 / 90))
    assert TESTS.p_value(WindowTest("mean", 0, 1, -1), one, other) == pytest.approx(
        stats.norm.cdf(z)
    )
    assert TESTS.p_value(WindowTest("mean", 0, 1, 1), one, other) == pytest.approx(stats.norm.sf(z))


def test_low_ones_of_two_samples_are_compared_by_the_beta_binomial() -> None:
    one, other = sample(np.full(50, 0.8)), sample(np.full(100, 0.8))
    low = WindowTest("low", 0, 1)
    p = TESTS.p_value(low, one._replace(low=9), other._replace(low=4))
    assert p == pytest.approx(stats.betabinom(50, 5, 96).sf(8))


def test_samples_that_are_alike_have_no_kl() -> None:
    one = sample(np.random.default_rng(4).beta(6, 4, 500))
    assert TESTS.kl(one, one) == pytest.approx(0, abs=1e-12)
    assert TESTS.kl(one) > 0.3
    assert TESTS.p_value(WindowTest("kl", 0, 1), one, one) == pytest.approx(1)


def test_families_make_a_difference_less_sure() -> None:
    rng = np.random.default_rng(5)
    one, other = sample(rng.beta(7, 3, 100)), sample(rng.beta(8, 2, 100))
    for test in (WindowTest("mean", 0, 1, -1), WindowTest("low", 0, 1), WindowTest("kl", 0, 1)):
        sure = TESTS.p_value(test, one, other)
        assert TESTS.p_value(test, one._replace(dispersion=4), other) > sure
        assert TESTS.p_value(test, one, other._replace(dispersion=4)) > sure
