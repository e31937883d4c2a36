"""The page: one file that asks for nothing, in which whatever an item is called is text."""

import json
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from pages_read import Read, assert_inert, assert_nested, texts
from quality_fixtures import dataset

from routing_ml.pages import HIDDEN
from routing_ml.quality.change import compare
from routing_ml.quality.kept import keep
from routing_ml.quality.looking import Look, look
from routing_ml.quality.page import Told, as_html

TOLD = Told("erp", datetime(2026, 11, 2, 6, 1), "run", "all.csv", zone="Asia/Seoul")


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


@settings(deadline=None, max_examples=60)
@given(texts)
def test_whatever_something_is_called_makes_no_element_and_stands_there_as_it_is(
    seen: Look, text: str
) -> None:
    plain, named = Read(page(seen, "name")), Read(page(seen, text))
    assert named.tags == plain.tags and named.others == plain.others == []
    shown = HIDDEN.sub("\ufffd", text.strip()).replace("\r\n", "\n").replace("\r", "\n")
    assert shown in "".join(named.text)


def test_the_page_asks_for_nothing_from_elsewhere_and_runs_nothing(seen: Look) -> None:
    assert_inert(page(seen, "name"))


def test_every_element_is_closed_in_turn(seen: Look) -> None:
    assert_nested(page(seen, "name"))


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
