import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from routing_ml.dataset.outliers import MODIFIED_Z, plain, robust

positive = st.floats(1e-3, 1e6)


def far(values: pd.Series, **options: pd.Series) -> list[int]:
    return np.flatnonzero(robust(values, **options).abs() > MODIFIED_Z).tolist()


def usual(seed: int = 0, size: int = 200) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(2.0, 0.3, size)


@settings(deadline=None)
@given(st.integers(0, 99), st.floats(1e5, 1e300))
def test_no_gross_error_hides_another(seed: int, gross: float) -> None:
    values = pd.Series([*usual(seed), 300.0, gross])
    assert {200, 201} <= set(far(values))


@settings(deadline=None)
@given(st.lists(positive, min_size=1, max_size=50), st.floats(1e-3, 1e3))
def test_the_unit_of_sizes_makes_no_difference(sizes: list[float], factor: float) -> None:
    scores = robust(pd.Series(sizes))
    scaled = robust(pd.Series(sizes) * factor)
    near = np.isclose(scores, scaled, rtol=1e-3, atol=1e-3) | (scores == scaled)
    # Rounding decides where nearly all are equal: then all that differ are far by any measure.
    assert near.all() or len(set(sizes)) < len(sizes)


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=30))
def test_any_numbers_have_scores_that_are_no_nan(values: list[float]) -> None:
    series = pd.Series(values, dtype="float64")
    assert robust(series).notna().all()
    assert plain(series).notna().all()
    assert robust(series, pd.Series("J1", series.index)).notna().all()


def test_half_the_values_being_one_does_not_make_the_rest_far() -> None:
    values = pd.Series([10.0] * 120 + list(np.linspace(11, 30, 80)))
    assert far(values) == []


def test_a_single_other_value_of_a_constant_column_is_far_only_when_it_differs_by_half() -> None:
    assert far(pd.Series([10.0] * 200 + [11.0])) == []
    assert far(pd.Series([10.0] * 200 + [25.0])) == [200]
    assert far(pd.Series([0.0] * 200 + [1.0])) == [200]


def test_times_are_held_against_those_of_their_own_operation() -> None:
    turned, baked = usual(1, 100), 100 * usual(2, 100)
    values = pd.Series([*turned, *baked, baked.mean()])
    jobs = pd.Series(["turn"] * 100 + ["bake"] * 100 + ["turn"])
    assert far(values, groups=jobs) == [200]
    assert far(values) == []


def test_an_operation_of_few_rows_is_held_against_all() -> None:
    values = pd.Series([*usual(3), 1e6, 1.1e6])
    jobs = pd.Series(["turn"] * 200 + ["bake"] * 2)
    assert far(values, groups=jobs) == [200, 201]
