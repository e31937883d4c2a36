"""Which items are shown, on which two models differ."""

from types import SimpleNamespace

import pandas as pd
import pytest

from routing_ml.pipeline.examples import SHOWN, examples

CODES = [f"I{number}" for number in range(8)]


def rows(**jobs: str) -> pd.DataFrame:
    """A routing for each item: a letter an operation; ABC where none is given."""
    routings = {item: jobs.get(item, "ABC") for item in CODES}
    return pd.DataFrame(
        [
            {"ITEM_CD": item, "PROC_SEQ": 10 * at, "JOB_CD": job, "JOB_NM": f"name of {job}"}
            for item, written in routings.items()
            for at, job in enumerate(written, 1)
        ]
    )


@pytest.fixture
def material():
    truth = rows()
    return SimpleNamespace(truth=lambda codes: truth[truth["ITEM_CD"].isin(codes)], newest=truth)


def chosen(material, proposed, **given):
    facts = {"exact": dict.fromkeys(proposed, 0.5), "winner": None, "champion": None}
    return examples(material, proposed, codes=CODES, **facts | given)


def test_the_winner_stands_before_the_model_in_use_with_what_the_planner_wrote(material):
    found = chosen(
        material,
        {"forest": rows(), "boosted": rows(I1="AB")},
        winner="boosted",
        champion=rows(I2="ABCD"),
    )
    assert found["models"] == ["boosted", "the model in use"]
    assert found["items"] == [
        {"item": "I1", "planner": list("ABC"), "proposed": [list("AB"), list("ABC")]},
        {"item": "I2", "planner": list("ABC"), "proposed": [list("ABC"), list("ABCD")]},
    ]
    assert found["names"] == {job: f"name of {job}" for job in "ABC"}


def test_what_one_has_right_comes_first_then_what_is_farther_apart(material):
    one, other = rows(I1="XYZW", I2="AB", I3="A"), rows(I1="PQRS")
    found = chosen(material, {"boosted": one}, champion=other)
    assert [each["item"] for each in found["items"]] == ["I3", "I2", "I1"]


def test_no_more_than_a_few_are_shown(material):
    other = rows(**dict.fromkeys(CODES, "AB"))
    assert len(chosen(material, {"boosted": rows()}, champion=other)["items"]) == SHOWN


def test_without_a_model_in_use_the_two_best_candidates_are_shown(material):
    proposed = {"nearest": rows(I1="A"), "forest": rows(I2="A"), "boosted": rows()}
    exact = {"nearest": 0.3, "forest": 0.6, "boosted": 0.9}
    found = chosen(material, proposed, exact=exact)
    assert found["models"] == ["boosted", "forest"]
    assert [each["item"] for each in found["items"]] == ["I2"]


def test_one_candidate_alone_is_shown_where_it_is_wrong(material):
    found = chosen(material, {"nearest": rows(I4="AC")})
    assert found["models"] == ["nearest"]
    assert found["items"] == [{"item": "I4", "planner": list("ABC"), "proposed": [list("AC")]}]


def test_without_a_candidate_there_is_nothing(material):
    assert chosen(material, {}) == {}
