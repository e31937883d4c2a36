import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing_ml.notices.card import (
    MOST_POINTS,
    SIGNS,
    Card,
    Fact,
    Link,
    Plot,
    as_dict,
    from_dict,
    sparkline,
)

numbers = st.none() | st.floats() | st.integers(-(10**300), 10**300)


@given(st.lists(numbers, max_size=60))
def test_a_plot_has_a_sign_a_number_the_newest_last(values):
    bars = sparkline(values)
    assert len(bars) == min(len(values), MOST_POINTS)
    assert set(bars) <= set("▁▂▃▄▅▆▇█·")
    shown = values[-MOST_POINTS:]
    assert [bar == "·" for bar in bars] == [v is None or not math.isfinite(v) for v in shown]


@given(st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=30))
def test_a_higher_bar_is_a_greater_number(values):
    bars = sparkline(values)
    for value, bar in zip(values, bars, strict=True):
        for other, its in zip(values, bars, strict=True):
            assert bar <= its or value > other


def test_the_least_and_the_greatest_are_at_the_ends():
    assert sparkline([0.90, 0.94, 0.92]) == "▁█▅"
    assert sparkline([7]) == "▄"
    assert sparkline([None]) == "·"


cards = st.builds(
    Card,
    *(st.text(), st.text(), st.text(), st.sampled_from(["", *SIGNS])),
    facts=st.lists(st.builds(Fact, st.text(), st.text(), st.text()), max_size=3),
    plot=st.none() | st.builds(Plot, st.text(), st.lists(st.none() | st.integers(), max_size=3)),
    links=st.lists(st.builds(Link, st.text(), st.text()), max_size=3),
)


@given(cards)
def test_a_card_is_what_it_was_after_it_was_kept(card):
    assert from_dict(json.loads(json.dumps(as_dict(card)))) == card


@given(cards)
def test_every_text_of_a_card_is_changed_and_no_address(card):
    changed = card.changed(lambda text: "x")
    texts = [changed.title, changed.text, *(one.label for one in changed.links)]
    texts += [text for fact in changed.facts for text in (fact.name, fact.value, fact.change)]
    assert set(texts + ([changed.plot.name] if changed.plot else [])) == {"x"}
    assert [one.address for one in changed.links] == [one.address for one in card.links]
    assert changed.subject == card.subject


@pytest.mark.parametrize(
    "given", [{}, {"subject": "a", "title": "b"}, {"subject": "a", "title": "b", "text": 1}]
)
def test_what_lacks_a_text_is_no_card(given):
    with pytest.raises(ValueError, match="it lacks a text"):
        from_dict(given)
