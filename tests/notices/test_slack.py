"""Whatever is in a card, Slack takes the message and shows each text as it stands."""

import re

import pytest
from hostile_cards import cards_of, long_texts, texts, widest
from hypothesis import given, settings
from slack_fixtures import texts_of, wrong_with

from routing_ml.notices.card import Card, Fact, Link, Plot
from routing_ml.notices.slack import message

MENTION = re.compile(r"@\w")
ADDRESS = re.compile(r"\w://")
LINK = re.compile(r"<https?://[^<>|\s@]+(?:\|[^<>\n]*)?>")
ENTITY = re.compile(r"&(?:amp|lt|gt);")
BOLD = re.compile(r"^\*([^*\n]*)\*\n")


@given(cards_of(texts))
def test_a_message_holds_no_meaning_of_its_texts_anywhere(card: Card) -> None:
    sent = message(card)
    assert wrong_with(sent) is None
    assert not sent.keys() & {"link_names", "parse", "attachments"}
    for text in (*texts_of(sent["blocks"]), {"type": "mrkdwn", "text": sent["text"]}):
        assert text["type"] == "plain_text" or text.get("verbatim", True)
        assert text["type"] == "mrkdwn" or text["emoji"] is False
        shown = LINK.sub("", BOLD.sub(r"\1\n", text["text"]))
        assert not MENTION.search(shown) and not ADDRESS.search(shown)
        assert not re.search("[<>*`~]", shown)
        if text["type"] == "mrkdwn":
            assert "&" not in ENTITY.sub("", shown)


@given(cards_of(long_texts))
@settings(deadline=None, max_examples=50)
def test_a_message_of_long_texts_is_one_that_slack_takes(card: Card) -> None:
    assert wrong_with(message(card)) is None


@pytest.mark.parametrize("sign", ["x", "&", "<", "가", "🙂", "\n", " ", "\x00", "a\n", "@a", "ab "])
def test_the_greatest_card_is_one_that_slack_takes(sign: str) -> None:
    sent = message(widest(sign))
    assert wrong_with(sent) is None
    assert len(sent["blocks"]) <= 9


def test_the_outcome_comes_first_then_words_figures_plot_and_links() -> None:
    card = Card(
        "retrain/a",
        "A new model is in use",
        "it is better",
        "good",
        [Fact("right", "93.5 %", "+1.2 points since 2026-10-01"), Fact("items", "2,400")],
        Plot("right, of 3 runs", [1, 2, 3]),
        [Link("The run", "http://factory/run?a=1&b=2"), Link("The page", "http://factory/page")],
    )
    sent = message(card)
    assert sent["text"] == "A new model is in use"
    header, section, figures, plot, links = sent["blocks"]
    assert header["text"]["text"] == "✅ A new model is in use"
    assert section["text"]["text"] == "it is better"
    assert [field["text"] for field in figures["fields"]] == [
        "*right*\n93.5 % (+1.2 points since 2026-10-01)",
        "*items*\n2,400",
    ]
    assert plot["elements"][0]["text"] == "right, of 3 runs  ▁▅█"
    assert links["elements"][0]["text"] == (
        "<http://factory/run?a=1&amp;b=2|The run>  <http://factory/page|The page>"
    )


def test_a_card_of_a_title_alone_is_a_header_alone() -> None:
    assert [block["type"] for block in message(Card("a", "t", " \n"))["blocks"]] == ["header"]


def test_a_text_is_cut_and_not_a_word_of_it_lost_before() -> None:
    assert message(Card("a", "t", "x" * 2_999 + "yy"))["blocks"][1]["text"]["text"] == (
        "x" * 2_999 + "…"
    )
