"""Every sentence is there in every language, and every one that a page asks for is there."""

import doctest
import importlib
import re
from string import Formatter

import pytest
from pages_site import PLUGINS
from routing_ml_pages.words import LANGUAGES, catalogue, language_of

PAGES = PLUGINS / "routing_ml_pages"
TEMPLATES = "".join(path.read_text(encoding="utf-8") for path in PAGES.glob("templates/*.html"))
MODULES = sorted(
    ".".join(path.relative_to(PLUGINS).with_suffix("").parts)
    for path in PAGES.rglob("*.py")
    if path.name != "__init__.py"
)


def values(sentence):
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_is_there_in_every_language_with_the_same_values(language):
    english, other = catalogue("en"), catalogue(language)
    assert set(other) == set(english)
    assert {k: values(s) for k, s in other.items()} == {k: values(s) for k, s in english.items()}
    assert all(sentence.strip() for sentence in other.values())


def test_every_sentence_that_a_page_asks_for_is_there():
    asked = set(re.findall(r"\bt\('([a-z_0-9]+)'[,)]", TEMPLATES))
    assert len(asked) > 100
    assert asked - set(catalogue("en")) == set()


def test_every_sentence_is_asked_for_by_a_page():
    asked = set(re.findall(r"\bt\('([a-z_0-9]+)'[,)]", TEMPLATES))
    begun = tuple(re.findall(r"\bt\('([a-z_]+)' ~", TEMPLATES))
    ours = ("exact_match", "operation_f1", "resource_accuracy", "run_time_mdape")
    figures = {*ours, "setup_time_mdape", "items", "setup", "run", "helpful", "helpful_more"}
    left = {k for k in catalogue("en") if k not in asked | figures and not k.startswith(begun)}
    assert left == set()


def test_korean_is_korean():
    same = {k for k, s in catalogue("ko").items() if s == catalogue("en")[k] and k != "from_to"}
    assert same <= {"fact_code_version"}


@pytest.mark.parametrize(
    ("chosen", "accepted", "language"),
    [
        (None, "ko", "ko"),
        (None, "en;q=0.1, ko;q=0.9", "ko"),
        (None, "ko;q=x, en", "en"),
        (None, "", "en"),
        ("en", "ko", "en"),
        ("<script>", "ko", "ko"),
    ],
)
def test_a_language_is_chosen_or_the_browsers(chosen, accepted, language):
    assert language_of(chosen, accepted) == language


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_a_module_hold(module):
    assert doctest.testmod(importlib.import_module(module)).failed == 0
