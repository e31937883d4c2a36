"""Templates: what is put in is text, and what is not put in is an error."""

from pathlib import Path

import jinja2
import pytest
from pages_read import assert_inert, assert_nested

from routing_ml.pages import template

PAGE = """{% extends "base.html" %}
{% block title %}{{ name | plain }}{% endblock %}
{% block content %}<p>{{ name | plain }} {{ share | percent }}</p>{% endblock %}
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.html"
    path.write_text(PAGE)
    return path


def test_a_page_has_what_all_share_and_its_own_beside_it(page: Path) -> None:
    text = template(page).render(name="A & <B>\u202e", share=0.125)
    assert "<p>A &amp; &lt;B&gt;\ufffd 12.5 %</p>" in text
    assert text.startswith("<!doctype html>\n") and ".outcome {" in text
    assert_inert(text)
    assert_nested(text)


def test_a_value_that_is_not_there_is_an_error(page: Path) -> None:
    with pytest.raises(jinja2.UndefinedError, match="'name' is undefined"):
        template(page).render(share=0.5)
