"""What the bot says keeps to Slack's limits, and every text is shown as it stands."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing_ml.slackbot.blocks import LEFT_OUT, Button, Said, message, without_buttons

HOSTILE = (
    "<script>alert(1)</script> *bold* & @here <!channel> \u202eteg\u202c :tada: " + "長" * 10_000
)
TEXTS = st.text(max_size=5_000) | st.sampled_from([HOSTILE, "x\n" * 9_000, "&" * 10_000])


@given(title=TEXTS, text=TEXTS, label=TEXTS, why=st.text(max_size=300), link=st.none() | TEXTS)
def test_a_message_keeps_to_the_limits_of_slack(title, text, label, why, link):
    said = Said(title, text, link, (Button(label, "routing_ml_promote", {"why": why}),) * 9)
    made = message(said)
    assert len(made["blocks"]) <= 50
    total = 0
    for block in made["blocks"]:
        if block["type"] == "actions":
            assert 1 <= len(block["elements"]) <= 25
            for element in block["elements"]:
                assert len(element["text"]["text"]) <= 75
                assert len(element["value"]) <= 2_000
                assert json.loads(element["value"]) == {"why": why}
            continue
        limit = 150 if block["type"] == "header" else 3_000
        assert 0 < len(block["text"]["text"]) <= limit
        total += len(block["text"]["text"])
    assert total <= 13_000


@given(text=TEXTS)
def test_nothing_of_a_text_is_markup_a_mention_or_a_link(text):
    for block in message(Said(text, text))["blocks"]:
        written = block["text"]["text"]
        assert not any(sign in written for sign in ("<", ">", "*", "`", "~", "\u202e"))
        if block["type"] == "section":
            assert block["text"]["verbatim"] is True
            assert all(s in ("&amp;", "&lt;", "&gt;") for s in entities(written))


def entities(text: str) -> list[str]:
    return [f"&{part.split(';')[0]};" for part in text.split("&")[1:]]


def test_hostile_text_is_shown_as_text():
    made = message(Said("A", "<!here> @here *M07* a_b_c"))
    assert made["blocks"][1]["text"]["text"] == "&lt;!here&gt; @\u200bhere \u2217M07\u2217 a_b_c\n"


def test_what_does_not_fit_is_said_to_be_left_out():
    text = "\n".join(f"line {number} of a long answer" for number in range(2_000))
    sections = [b["text"]["text"] for b in message(Said("A", text))["blocks"][1:]]
    assert sections[0].startswith("line 0 of")
    assert sections[-1].endswith(LEFT_OUT)
    assert LEFT_OUT not in message(Said("A", "short"))["blocks"][1]["text"]["text"]


def test_a_button_that_carries_too_much_is_no_button():
    with pytest.raises(ValueError, match="Slack takes 2000"):
        message(Said("A", buttons=(Button("b", "x", {"why": "w" * 2_000}),)))


def test_the_buttons_of_a_message_give_way_to_the_answer():
    blocks = [*message(Said("A", "b", buttons=(Button("b", "x", {}),)))["blocks"]]
    kept = without_buttons(blocks, Said("Kim has <answered>"))
    assert [block["type"] for block in kept] == ["header", "section", "section"]
    assert kept[-1]["text"]["text"] == "Kim has &lt;answered&gt;"


@pytest.mark.parametrize("blocks", [None, "text", [None, 3], [{}] * 80])
def test_what_slack_hands_back_may_be_anything(blocks):
    kept = without_buttons(blocks, Said("answered"))
    assert len(kept) <= 50
    assert kept[-1]["text"]["text"] == "answered"
