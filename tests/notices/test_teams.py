"""Whatever is in a card, Teams takes the message and shows each text as it stands."""

import json
import re
from collections.abc import Iterator

import pytest
from hostile_cards import cards_of, long_texts, texts, widest
from hypothesis import given, settings
from markdown_it import MarkdownIt
from slack_fixtures import is_card

from routing_ml.notices.card import Card, Fact, Link, Plot
from routing_ml.notices.teams import APART, MAX_BYTES, encoded, message, shown

FUNCTION = re.compile(r"\{\{|\$\{")
# As Adaptive Cards' own renderer for JavaScript has it, which takes more than Teams' subset.
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def body(card: Card) -> list[dict]:
    return message(card)["attachments"][0]["content"]["body"]


def shown_in(card: Card) -> Iterator[str]:
    """Every text that Teams shows of a card."""
    for block in body(card):
        if block["type"] == "FactSet":
            yield from (fact[key] for fact in block["facts"] for key in ("title", "value"))
        else:
            yield block["text"]
    content = message(card)["attachments"][0]["content"]
    yield from (action["title"] for action in content.get("actions", ()))


def means(text: str) -> list[str]:
    """What Markdown makes of a text other than a paragraph of it as it stands."""
    found = []
    for token in MARKDOWN.parse(text):
        if token.type == "inline":
            found += [one.type for one in token.children or () if one.type != "text"]
            if token.content != "".join(one.content for one in token.children or ()):
                found.append("other words")
        elif token.type not in ("paragraph_open", "paragraph_close"):
            found.append(token.type)
    return found


@given(cards_of(texts))
@settings(deadline=None)
def test_nothing_in_a_card_means_anything_to_markdown_or_to_the_card(card: Card) -> None:
    assert is_card(message(card))
    for text in shown_in(card):
        assert means(text) == [], text
        assert not FUNCTION.search(text)
        assert not re.search("[<>\n]", text)
        assert not re.search(r"@\w|\w://", text)


def test_the_check_finds_what_markdown_makes_of_a_text() -> None:
    for text in (
        "*a*",
        "[a](b)",
        "# a",
        "- a",
        "1. a",
        "&amp;",
        "\\*",
        "<b>",
        "a\n\nb\n---",
        "`a`",
    ):
        assert means(text), text


@given(cards_of(long_texts))
@settings(deadline=None, max_examples=50)
def test_a_message_of_long_texts_is_one_that_teams_takes(card: Card) -> None:
    assert is_card(message(card))


@pytest.mark.parametrize("sign", ["x", "&", '"', "\\", "가", "🙂", "\n", "a\n", "가\n", "@a", "["])
def test_the_greatest_card_is_one_that_teams_takes(sign: str) -> None:
    sent = message(widest(sign))
    assert is_card(sent)
    assert len(encoded(sent).encode()) <= MAX_BYTES < 28 * 1024


def test_the_outcome_comes_first_then_words_figures_plot_and_links() -> None:
    card = Card(
        "retrain/a",
        "A new model is in use",
        "it is better\nRun: a",
        "good",
        [Fact("right", "93.5 %", "+1.2 points since 2026-10-01")],
        Plot("right, of 3 runs", [1, 2, 3]),
        [Link("The run", "http://factory/run?a=1&b=2"), Link("Bad", "javascript:x")],
    )
    title, first, second, figures, plot = body(card)
    assert (title["text"], title["color"]) == ("✅ A new model is in use", "Good")
    assert (first["text"], second["text"]) == ("it is better", "Run: a")
    assert figures["facts"] == [
        {"title": "right", "value": "93.5 % (+1.2 points since 2026-10-01)"}
    ]
    assert plot["text"] == "right, of 3 runs  ▁▅█"
    content = message(card)["attachments"][0]["content"]
    assert content["version"] == "1.4"
    (action,) = content["actions"]
    assert (action["title"], action["url"]) == ("The run", "http://factory/run?a=1&b=2")


def test_names_that_people_copy_stay_as_they_are() -> None:
    for text in (
        "model_20261125_212627",
        "슬리브 74.4 → 17-4PH, Ø 3 µm, 30 %",
        "2.5 %",
        "+1.2",
        "-3",
        "(a) [b] c!",
    ):
        assert shown(text, 99) == text


def test_a_line_is_cut_to_what_fits_however_much_is_set_apart_in_it() -> None:
    assert shown("[a]" * 99, 50) == f"[a]{APART}" * 12 + "[…"
    assert len(shown("@a" * 99, 50)) == 50


def test_a_text_of_many_lines_has_its_last_ones_in_one() -> None:
    lines = [block["text"] for block in body(Card("a", "t", "\n".join(map(str, range(100)))))[1:]]
    assert len(lines) == 40
    assert lines[38:] == ["38", " ".join(map(str, range(39, 100)))]


def test_a_long_text_is_shorter_where_it_takes_more_bytes() -> None:
    def length(card: Card) -> int:
        return max(map(len, shown_in(card)))

    assert length(Card("a", "t", "x" * 10_000)) == length(widest("가")) == 3_000
    assert length(widest("🙂")) == 1_500


def test_it_is_sent_as_it_was_measured() -> None:
    sent = message(Card("a", "슬리브", "x"))
    assert "슬리브" in encoded(sent) and json.loads(encoded(sent)) == sent
    assert APART not in encoded(sent)
