"""The page: one file that asks for nothing, in which whatever an item is called is text."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quality_fixtures import dataset

from routing_ml.pages import HIDDEN
from routing_ml.quality.change import compare
from routing_ml.quality.kept import keep
from routing_ml.quality.looking import Look, look
from routing_ml.quality.page import Told, as_html

TOLD = Told("erp", datetime(2026, 11, 2, 6, 1), "run", "all.csv", zone="Asia/Seoul")
PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "</code></style><b>",
    "{{ 7 * 7 }}{% raw %}",
    "<!-- x",
    "&lt;b&gt;",
    "]]><![CDATA[",
    "javascript:alert(1)",
]


class Read(HTMLParser):
    """The tags with their attributes, and the text, of a page as a browser takes them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple]] = []
        self.text: list[str] = []
        self.others: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, tuple(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.others.append(data)

    def unknown_decl(self, data: str) -> None:
        self.others.append(data)

    handle_pi = unknown_decl


def spoil(items: pd.DataFrame, routings: pd.DataFrame, results: pd.DataFrame) -> None:
    items.loc[3, "KIND"] = "ring "
    items.loc[4, "UNIT"] = "FURLONG"
    routings.loc[[9, 30], "RUN_TIME"] = -1.0


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Look:
    return look(dataset(tmp_path_factory.mktemp("page"), spoil))


def called(seen: Look, text: str) -> Look:
    """The look at a factory in which everything that can be named is named so."""
    findings = seen.findings.assign(item=text, value=text, why=text, column=text, revision=text)
    return replace(
        seen, findings=findings, names={text.strip().casefold(): text}, rows={"items": 3},
        nulls={"items": {text: 0.5}},
    )  # fmt: skip


def page(seen: Look, text: str, earlier: dict | None = None) -> str:
    named = called(seen, text)
    told = replace(TOLD, source=text, run=text, all_findings=text, away=text)
    return as_html(named, compare(named, earlier), told)


texts = st.one_of(
    st.sampled_from(PAYLOADS),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip),
    st.builds("".join, st.lists(st.sampled_from(["<", ">", "&", '"', "'", "{", "%", "}", "-", "!",
                                                 "/", "script", "a"]), min_size=1)),
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(texts)
def test_whatever_something_is_called_makes_no_element_and_stands_there_as_it_is(
    seen: Look, text: str
) -> None:
    plain, named = Read(page(seen, "name")), Read(page(seen, text))
    assert named.tags == plain.tags and named.others == plain.others == []
    shown = HIDDEN.sub("\ufffd", text.strip()).replace("\r\n", "\n").replace("\r", "\n")
    assert shown in "".join(named.text)


def links(read: Read) -> Iterator[str]:
    for _, attributes in read.tags:
        for name, value in attributes:
            if name in ("src", "href", "srcset", "action", "data", "poster") or "url(" in str(
                value
            ):
                yield f"{name}={value}"


def test_the_page_asks_for_nothing_from_elsewhere_and_runs_nothing(seen: Look) -> None:
    text = page(seen, "name")
    read = Read(text)
    assert list(links(read)) == []
    assert {"script", "link", "img", "iframe", "object", "form"} & {
        t for t, _ in read.tags
    } == set()
    assert not [a for _, attributes in read.tags for a, _ in attributes if a.startswith("on")]
    assert "http://" not in text and "https://" not in text and "@import" not in text
    (policy,) = [dict(a)["content"] for _, a in read.tags if dict(a).get("http-equiv")]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    assert "prefers-color-scheme: dark" in text and 'name="viewport"' in text


def test_every_element_is_closed_in_turn(seen: Look) -> None:
    text = page(seen, "name")
    stack: list[str] = []

    class Nesting(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list) -> None:
            if tag not in ("meta", "br"):
                stack.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert stack.pop() == tag

    Nesting().feed(text)
    assert stack == []


def test_the_outcome_comes_first_then_the_measures_then_the_items_with_what_to_do(
    seen: Look, tmp_path: Path
) -> None:
    clean = look(dataset(tmp_path / "clean"))
    earlier = json.loads(keep(tmp_path, "a", clean, {}).read_text())
    words = re.sub(r"\s+", " ", "".join(Read(as_html(seen, compare(seen, earlier), TOLD)).text))
    order = [
        "3 things got worse",
        "Since 2026-11-02: 4 new, 0 mended. 4 findings in 3 items now.",
        "a time that cannot be, in routings.RUN_TIME: 2 (before: 0)",
        "What was measured",
        "Impossible times and numbers2 0 +2",
        "How much is empty",
        "The worst items",
        "IT-0003 Sleeve",
        "Correct the time of this operation in the ERP.",
    ]
    places = [words.index(text) for text in order]
    assert places == sorted(places)


def test_a_first_look_shows_no_change_and_old_data_are_said_to_be_old(seen: Look) -> None:
    first = compare(seen, None)
    words = "".join(Read(as_html(seen, first, TOLD)).text)
    assert "The first look" in words and "Change" not in words
    assert "This is old data" not in words
    told = replace(TOLD, away="the source has been away since 2026-11-01")
    assert "This is old data: the source has been away" in "".join(
        Read(as_html(seen, first, told)).text
    )


def test_a_factory_without_findings_has_a_page(tmp_path: Path) -> None:
    clean = look(dataset(tmp_path))
    assert "No item has any finding." in as_html(clean, compare(clean, None), TOLD)
