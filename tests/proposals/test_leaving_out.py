"""What is named in favour of an operation is what it depends on: without it the operation is less
likely."""

import models_factory as valves
import numpy as np
import pandas as pd
import pytest

from routing_ml import models
from routing_ml.proposals import STRENGTHS, explain, leaving_out

FACTORY = valves.make(500)
OLD, NEW, TRUTH = valves.split(FACTORY)


def named_again(items):
    """With a column that says in other words what the material says."""
    spelled = items["Werkstoff"].str.strip().str.upper()
    return items.assign(Werkstoff_NM="Name " + spelled.astype(object))


@pytest.fixture(scope="module", params=["boosted", "forest", "nearest"])
def model(request):
    items = named_again(FACTORY.items)
    return models.fit(request.param, items, OLD, attributes=valves.Attributes())


def without(model, row, columns):
    frame = pd.DataFrame([row])
    for column in columns:
        frame[column] = None
    return model.likelihoods(model.encoder_.transform(frame))[0]


def test_without_what_is_named_first_an_operation_is_less_likely(model):
    at = {(o.job, o.occurrence + 1): k for k, o in enumerate(model.operations_)}
    told = 0
    for _, row in named_again(NEW).iloc[:25].iterrows():
        found = explain(model, pd.DataFrame(), row)
        for operation in found.operations:
            first = next(iter(operation.reasons), None)
            if first is None or first.told(found.unit) < STRENGTHS[found.unit][2]:
                continue
            columns = (*leaving_out.columns_of(model, first.attribute), *first.same)
            k = at[operation.job, operation.occurrence]
            assert without(model, row, columns)[k] < operation.likelihood
            told += 1
    assert told > 20


def test_what_says_the_same_is_named_beside_it(model):
    row = named_again(NEW).iloc[0]
    items = model.encoder_.transform(pd.DataFrame([row]))
    have = leaving_out.known(model, pd.DataFrame([row]))
    same = leaving_out.saying_the_same(model, items, have)
    assert same["Werkstoff"] == ("Werkstoff_NM",)
    have.remove("Werkstoff_NM")
    assert "Werkstoff" not in leaving_out.saying_the_same(model, items, have)


def test_the_text_says_so(model):
    text = "\n".join(
        explain(model, pd.DataFrame(), row).as_text()
        for _, row in named_again(NEW).iloc[:10].iterrows()
    )
    assert "as Werkstoff_NM say too" in text or "as Werkstoff say too" in text


def test_the_columns_of_an_attribute_are_its_own_or_the_two_of_a_ratio(model):
    one, two = (number.name for number in model.encoder_.numbers[:2])
    columns = tuple(number.column for number in model.encoder_.numbers[:2])
    assert leaving_out.columns_of(model, "Werkstoff") == ("Werkstoff",)
    assert leaving_out.columns_of(model, f"{one} / {two}") == columns
    assert leaving_out.columns_of(model, f"{one} - {two}") == columns
    assert leaving_out.columns_of(model, "no attribute") == ()


def test_several_sets_are_left_out_in_one_go_as_each_is_alone(model):
    row = pd.DataFrame([named_again(NEW).iloc[0]]).reset_index(drop=True)
    likely = model.likelihoods(model.encoder_.transform(row))[0]
    have = leaving_out.known(model, row)
    sets = {name: (name,) for name in have} | {"all": tuple(have)}
    found = leaving_out.fallen(model, row, likely, sets, "probability")
    for name, columns in sets.items():
        np.testing.assert_allclose(
            likely - found[name], without(model, row.iloc[0], columns), atol=1e-9
        )
    assert leaving_out.fallen(model, row, likely, {}, "log-odds") == {}
