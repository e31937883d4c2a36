"""What a page shows is cut and made harmless; what it sends back is not."""

from html import unescape
from urllib.parse import parse_qs, urlsplit

import pages_site  # noqa: F401 - it knows where the pages are
from hypothesis import given
from hypothesis import strategies as st
from routing_ml_pages import rendering

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def rendered(template, **values):
    return rendering._environment().from_string(template).render(**values)


@given(TEXT)
def test_the_address_of_a_page_has_the_whole_text(text):
    text *= 1 + rendering.LONGEST // len(text)
    shown = rendered("{{ at }}", at=rendering._link("/pages", "/why", item=text, more={"a": "b"}))
    assert not set("<>\"'") & set(shown)
    asked = parse_qs(urlsplit(unescape(shown)).query, keep_blank_values=True)
    assert asked == {"item": [text], "a": ["b"]}


@given(TEXT)
def test_a_field_that_is_sent_back_has_the_whole_text(text):
    text *= 1 + rendering.LONGEST // len(text)
    shown = rendered("{{ text|kept }}", text=text)
    assert not set("<>\"'") & set(shown)
    assert unescape(shown) == text


def test_half_a_character_is_nothing_that_a_field_could_send():
    assert rendered("{{ text|kept }}", text="a\ud800b") == "a?b"


def test_a_text_that_is_shown_is_no_longer_than_anybody_reads():
    assert len(rendered("{{ text }}", text="x" * 9_000)) == rendering.LONGEST + 1
