"""Codes among others, as pandas finds them."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing_ml.dataset import among

CODES = st.lists(st.text(alphabet="P1é공 ", max_size=3), max_size=8)


@given(CODES, CODES, st.sampled_from(["str", "object"]))
def test_it_is_isin(codes: list[str], others: list[str], kind: str) -> None:
    column = pd.Series(codes, dtype=kind, index=range(5, 5 + len(codes)))
    pd.testing.assert_series_equal(among(column, others), column.isin(others))


@pytest.mark.parametrize("of", [list, set, frozenset, pd.Series, lambda c: pd.Series(c).unique()])
def test_the_others_may_be_any_collection(of) -> None:
    assert among(pd.Series(["P1", "P2", None]), of(["P2", "P9"])).tolist() == [False, True, False]


def test_none_are_among_none() -> None:
    assert among(pd.Series([], dtype=object), ["P1"]).tolist() == []
    assert among(pd.Series(["P1"]), []).tolist() == [False]
