"""A proposal as a text, and back."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing_ml.errors import InputError
from routing_ml.judging.keeping import COLUMNS, kept, operations_of

OPERATION = {
    "PROC_SEQ": 10, "JOB_CD": "TURN", "RES_CD": "L1", "SETUP_TIME": 5.0, "RUN_TIME": 1.5,
    "RUN_TIME_LOW": 1.0, "RUN_TIME_HIGH": 2.0, "RES_LIKELIHOOD": 0.9, "CONFIDENCE": 0.8,
    "NOVELTY": 0.0,
}  # fmt: skip


def proposals(*operations):
    """A frame as of a model's `predict`."""
    frame = pd.DataFrame([{"ITEM_CD": "A"} | OPERATION | operation for operation in operations])
    return frame.astype({"JOB_CD": "str", "RES_CD": "str"})


def as_kept(frame):
    return list(kept(frame, model="m1", method="forest", in_use=True, at=7.0))


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "ITEM_CD": st.sampled_from(["A", "b", "가-1"]),
                "JOB_CD": st.text(min_size=1, max_size=5),
                "RES_CD": st.none() | st.text(min_size=1, max_size=5),
                "RUN_TIME": st.floats(0, 1e6) | st.just(float("nan")),
            }
        ),
        max_size=12,
    )
)
def test_what_is_kept_comes_back(operations):
    operations.sort(key=lambda one: one["ITEM_CD"])
    frame = proposals(*operations) if operations else proposals({})[:0]
    back = operations_of(as_kept(frame))
    assert back["ITEM_CD"].tolist() == frame["ITEM_CD"].tolist()
    for name in COLUMNS:
        if name in ("JOB_CD", "RES_CD"):
            same = [None if pd.isna(value) else value for value in frame[name]]
            assert [None if pd.isna(value) else value for value in back[name]] == same
        else:
            np.testing.assert_allclose(
                back[name].to_numpy(float), frame[name].to_numpy(float), atol=6e-5, rtol=1e-9
            )


def test_the_first_routing_of_each_item_is_kept_with_what_was_stated_of_it():
    frame = proposals(
        {"RANK": 1, "CONFIDENCE": 0.7}, {"RANK": 2}, {"ITEM_CD": "B", "RANK": 1, "NOVELTY": 0.25}
    )
    first, second = as_kept(frame)
    assert (first.item_cd, first.confidence, second.item_cd, second.novelty) == (
        "A",
        0.7,
        "B",
        0.25,
    )
    assert (first.model, first.method, first.in_use, first.at) == ("m1", "forest", 1, 7.0)
    assert len(operations_of([first])) == 1


@pytest.mark.parametrize("text", ["", "[[1]]", "{}}", "[" * 100_000, "[1]", "null"])
def test_a_text_that_was_damaged_is_refused_by_name(text):
    (one,) = as_kept(proposals({}))
    with pytest.raises(InputError, match="of m1 for item 'A' in the monitoring store is damaged"):
        operations_of([one._replace(operations=text)])
