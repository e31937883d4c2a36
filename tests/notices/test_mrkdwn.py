"""Whatever stands in a text, Slack shows it and makes nothing of it."""

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from routing_ml.notices.mrkdwn import HIDDEN, escaped, linked, plain

SEEDS = [
    *("<!here>", "<!channel>", "<!everyone>", "<!subteam^S012|team>", "<@U024BE7LH>"),
    *("<#C024BE7LR|general>", "<https://evil/|click>", "<mailto:a@b|c>", "<!date^1^{date}|x>"),
    *("@here", "@channel", "@everyone", "@all", "#general", "https://evil/x", "http://evil"),
    *("*bold*", "_slanted_", "~gone~", "`code`", "```", ">quote", ":fire:", "&lt;", "&amp;"),
    *("\u202e", "\u200d", "\u2066", "\x00", "\x1b[31m", "\ud800", "\r", "\t", " ", "\n", "a", "1"),
    *("@", "#", ":", "/", "<", ">", "&", "!", "|", "_", "*", "~"),
]
texts = st.lists(st.sampled_from(SEEDS) | st.text(max_size=5), max_size=12).map("".join)

# What Slack, or a server that is compatible with it, makes something of, by its documents.
MENTION = re.compile(r"@\w")
CHANNEL = re.compile(r"(?<!\w)#\w")
ADDRESS = re.compile(r"\w://")
EMOJI = re.compile(r":[\w+-]*[a-z][\w+-]*:")
MARKUP = re.compile(r"[*~`\t]|(?<!\w)_|_(?!\w)")
QUOTE = re.compile(r"^[ \t]*&gt;", re.MULTILINE)
ENTITY = re.compile(r"&(?:amp|lt|gt);")


@given(texts)
@example("_#general")
def test_nothing_in_a_text_means_anything(text: str) -> None:
    shown = escaped(text, 10_000)
    for meant in (MENTION, CHANNEL, ADDRESS, EMOJI, MARKUP, QUOTE):
        assert not meant.search(shown), meant.pattern
    assert not re.search("[&<>]", ENTITY.sub("", shown))


@given(texts)
def test_nothing_in_a_text_hides_or_turns(text: str) -> None:
    for sign in escaped(text, 10_000):
        assert sign in "\n\u200b" or unicodedata.category(sign)[0] != "C"


@given(st.text(alphabet=st.characters(categories=["L", "N"]) | st.sampled_from(" .,()/%=+-\n")))
def test_a_text_without_such_signs_is_as_it_was(text: str) -> None:
    assert escaped(text, 10_000) == text


@pytest.mark.parametrize(
    "text",
    [
        "model_20261125_212627",
        "manual__2026-11-25T21:25:58+00:00",
        "슬리브 74.4 → 17-4PH, Ø 3 µm, 30 %",
        "/var/lib/routing-ml/runs/manual__1/report.md",
        "'routing-ml promote' puts it in",
    ],
)
def test_names_that_people_copy_stay_as_they_are(text: str) -> None:
    assert escaped(text, 999) == text


@given(texts, st.integers(1, 60))
def test_a_text_is_cut_to_what_fits_and_not_within_an_escape(text: str, most: int) -> None:
    shown, whole = escaped(text, most), escaped(text, 10_000)
    assert len(shown) <= most
    assert shown == whole or (shown.endswith("…") and whole.startswith(shown[:-1]))
    assert "&" not in ENTITY.sub("", shown)


@given(texts)
def test_only_an_address_of_its_own_signs_becomes_a_link(address: str) -> None:
    shown = linked(address)
    if shown.startswith("<"):
        assert re.fullmatch(r"<https?://[^<>|\s@]+(/[^<>|\s]*)?>", shown)
    else:
        assert not ADDRESS.search(shown) and "<" not in shown


def test_signs_that_slant_mean_nothing_where_there_are_several_of_them() -> None:
    assert plain("__init__ ___ a__b _") == "‗‗init‗‗ ‗‗‗ a__b ‗"


def test_a_sign_that_is_none_is_shown_as_such() -> None:
    assert plain("a\u202eb\x00") == f"a{HIDDEN}b{HIDDEN}"
