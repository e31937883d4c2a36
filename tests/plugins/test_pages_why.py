"""Why this routing: what the page says is what the library says, however an item is called."""

import io
import re
from contextlib import closing
from dataclasses import replace
from html import unescape

import openpyxl
import pandas as pd
import pytest
from conftest import SAMPLE
from pages_site import NOVEMBER, PREFIX, client, state
from routing_ml_pages import reading
from routing_ml_pages.rendering import plain
from routing_ml_pages.search import search
from routing_ml_pages.why import why

from routing_ml import dataset
from routing_ml.errors import InputError
from routing_ml.proposals import UNKNOWN, explain, predict
from routing_ml.store.store import Store

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "\u202egnirts\u202c",
    "*&@here_",
    "품목 é",
    "x" * 10_000,
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return state(tmp_path_factory.mktemp("why") / "home")


@pytest.fixture
def settings(shared, monkeypatch):
    monkeypatch.setenv("ROUTING_ML_HOME", str(shared.home))
    return shared


@pytest.fixture
def known(settings):
    return reading.known(settings)


@pytest.fixture
def item(known):
    """An item with a routing."""
    return known.newest["ITEM_CD"].iloc[0]


@pytest.fixture
def waiting(known):
    """An item without one."""
    return dataset.without_routing(known.data.items, known.data.routings)["ITEM_CD"].iloc[0]


def page(**query):
    return client().get(f"{PREFIX}/why", params=query)


def seen(settings):
    with closing(Store(settings.store_url, write=False)) as store:
        return {item for (item,) in store.database.rows("SELECT item_cd FROM seen_proposals")}


def test_an_item_is_found_by_a_part_of_its_code_and_its_name(settings, known):
    code = known.data.items["ITEM_CD"].iloc[7]
    assert search(settings, code.lower()).hits[0].code == code
    assert code in [hit.code for hit in search(settings, code[2:], most=10**6).hits]
    word = next(name.split()[0] for name in known.names if name)
    assert search(settings, word).total > 0
    assert search(settings, " ").total == search(settings, "no such item").total == 0


def test_the_code_itself_comes_before_those_that_begin_with_it_and_contain_it(settings, known):
    codes = [str(code).casefold() for code in known.data.items["ITEM_CD"]]

    def ranks(query, listed):
        return [0 if c == query else 1 if c.startswith(query) else 2 for c in listed if query in c]

    def is_in_order(found):
        return found == sorted(found)

    query = next(code[:1] for code in codes if not is_in_order(ranks(code[:1], codes)))
    hits = [hit.code.casefold() for hit in search(settings, query, most=10**6).hits]
    assert is_in_order(ranks(query, hits)) and len(hits) > 30
    assert search(settings, query).hits[:30] == search(settings, query, most=10**6).hits[:30]
    assert search(settings, codes[-1]).hits[0].code.casefold() == codes[-1]


def test_the_page_says_what_the_library_says(settings, known, waiting):
    model = predict.loaded(reading.in_use(settings))
    expected = explain(model, known.data.items, waiting, similar=4)
    view = why(settings, waiting, {})
    assert [step.job for step in view.steps] == [row["JOB_CD"] for row in expected.proposal]
    assert view.confidence == expected.confidence
    assert [past.item for past in view.similar] == [past.item for past in expected.similar]
    assert view.left_out == [] or view.left_out[0].likelihood < 0.5
    assert view.waiting and not view.learned and view.own == []
    text = unescape(page(item=waiting).text)
    assert all(step.job in text and (step.machine or "") in text for step in view.steps)


def test_what_spoke_for_an_operation_is_told_apart_from_what_spoke_against_it(
    settings, known, waiting
):
    model = predict.loaded(reading.in_use(settings))
    expected = explain(model, known.data.items, waiting)
    view = why(settings, waiting, {})
    told = 0
    for step, operation in zip((*view.steps, *view.left_out), expected.operations, strict=True):
        effects = {(one.attribute, one.words): one.fall for one in operation.reasons}
        for spoken, sign in ((step.favour, 1), (step.against, -1)):
            for one in spoken:
                (effect,) = [
                    size
                    for (attribute, words), size in effects.items()
                    if attribute == one.attribute and words.endswith(one.value)
                ]
                assert effect * sign > 0
                told += 1
    assert told > 5


def test_of_a_similar_item_only_what_differs_is_shown(settings, waiting):
    view = why(settings, waiting, {})
    told = [one for past in view.similar for one in past.differs]
    assert told and all(one.attribute and one.here != one.there for one in told)


def test_what_is_said_of_values_is_said_in_the_language_of_the_page(settings, known):
    given = {"PART_TYPE": known.data.items["PART_TYPE"].dropna().iloc[0]}
    view = why(settings, "", given)
    change = next(gap.changes[0] for gap in view.gaps if gap.changes)
    other = next(one for one in view.similar[0].differs if one.here == UNKNOWN)
    for language, begin, nothing in (("en", "If it", "nothing"), ("ko", "(값이 )?다음", "값 없음")):
        query, asked = (
            {"new": 1, "set.PART_TYPE": given["PART_TYPE"]},
            {"Accept-Language": language},
        )
        text = unescape(client().get(f"{PREFIX}/why", params=query, headers=asked).text)
        gaps = text[text.index('id="what-if"') :]
        assert re.search(rf"{begin}[^<]* <bdi>{re.escape(change.value)}</bdi>:", gaps)
        assert f"<td><i>{nothing}</i></td><td><bdi>{other.there}</bdi></td>" in text


def test_the_planners_own_routing_stands_beside_the_proposal(settings, known, item):
    view = why(settings, item, {})
    own = [row.own.job for row in view.own if row.own]
    assert own == known.newest[known.newest["ITEM_CD"] == item]["JOB_CD"].tolist()
    assert [row.proposed.job for row in view.own if row.proposed] == [s.job for s in view.steps]
    assert view.learned and not view.waiting
    assert "own routing" in page(item=item).text


def test_another_value_changes_what_the_library_says_it_changes(settings, known, waiting):
    model = predict.loaded(reading.in_use(settings))
    row = known.item(waiting)
    changed, effects = 0, 0
    for attribute in why(settings, waiting, {}).attributes[:12]:
        value = next((one for one in attribute.choices if one != attribute.value.upper()), None)
        if value is None:
            continue
        view = why(settings, waiting, {attribute.name: value})
        assert [(one.name, one.after) for one in view.changes] == [(attribute.name, value)]
        other = explain(model, known.data.items, row | {attribute.name: value})
        assert [step.job for step in view.steps] == [r["JOB_CD"] for r in other.proposal]
        changed, effects = changed + 1, effects + bool(view.effects)
    assert changed > 3 and effects > 0


def test_a_value_that_is_as_it_was_changes_nothing(settings, waiting):
    attribute = next(one for one in why(settings, waiting, {}).attributes if one.value)
    view = why(settings, waiting, {attribute.name: attribute.value})
    assert view.changes == view.effects == []


def test_a_value_that_is_no_number_is_told_and_the_item_shown_as_it_is(settings, waiting):
    attribute = next(one for one in why(settings, waiting, {}).attributes if one.number)
    answer = page(item=waiting, attribute=attribute.name, value="about <b>50</b>")
    assert answer.status_code == 200
    assert "is no number" in answer.text and "<b>50</b>" not in answer.text
    assert (
        why(settings, waiting, {attribute.name: "x"}).confidence
        == why(settings, waiting, {}).confidence
    )


def test_an_item_that_is_not_in_the_erp_is_typed_in(settings, known, waiting):
    form = page(new="1").text
    attributes = {one.name: one.value for one in why(settings, waiting, {}).attributes if one.value}
    assert all(f'name="set.{name}"' in unescape(form) for name in list(attributes)[:5])
    view = why(settings, "", attributes)
    assert view.is_new and len(view.changes) == len(attributes)
    assert [step.job for step in view.steps] == [
        step.job for step in why(settings, waiting, {}).steps
    ]
    query = {f"set.{name}": value for name, value in attributes.items()}
    assert view.steps[0].job in client().get(f"{PREFIX}/why", params={"new": 1} | query).text


def test_a_proposal_that_is_read_is_recorded_as_seen_and_is_no_event(
    waiting, item, tmp_path, monkeypatch
):
    settings = state(tmp_path / "own")  # others have read proposals too
    monkeypatch.setenv("ROUTING_ML_HOME", str(settings.home))

    def counted():
        with closing(Store(settings.store_url, write=False)) as store:
            return store.last_prediction(), store.snapshot().count("predictions")

    before = counted()
    page(item=item)
    page(item=waiting, attribute="nothing", value="x")
    assert seen(settings) == {waiting}
    assert counted() == before


@pytest.mark.parametrize("code", HOSTILE, ids=lambda code: ascii(code)[:12])
def test_a_code_is_text_whatever_is_in_it(settings, code):
    assert plain(code) in unescape(page(q=code).text)
    new = {"new": "1", "set.X": code}
    for query in ({"q": code}, {"item": code}, new, {"new": "1", f"set.{code}": "x"}):
        answer = page(**query)
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text and "<img" not in answer.text
        assert "\u202e" not in answer.text


def test_names_of_the_factory_are_text_whatever_is_in_them(settings, known, waiting, monkeypatch):
    hostile = "<script>alert(1)</script>\u202e"
    at = known.row_of[waiting.casefold()]
    monkeypatch.setitem(
        known.__dict__, "names", [hostile if k == at else n for k, n in enumerate(known.names)]
    )
    text = page(item=waiting).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\ufffd" in text
    assert "<script>alert" not in text


def test_the_proposal_is_downloaded_as_excel(settings, waiting):
    answer = client().get(f"{PREFIX}/why/routing.xlsx", params={"item": waiting, "quantity": "40"})
    rows = list(openpyxl.load_workbook(io.BytesIO(answer.content)).active.values)
    view = why(settings, waiting, {}, 40.0)
    assert [row[rows[0].index("JOB_CD")] for row in rows[1:]] == [step.job for step in view.steps]
    assert "TOTAL_MINUTES" in rows[0] and view.total is not None
    name = answer.headers["content-disposition"]
    assert name.isascii() and '"' not in name.partition('filename="')[2][:-1]
    missing = client().get(f"{PREFIX}/why/routing.xlsx", params={"item": "no such"})
    assert missing.status_code == 404


def test_a_quantity_that_is_none_is_left_out(settings, waiting):
    for text in ("nan", "inf", "-1", "0", "abc"):
        assert page(item=waiting, quantity=text).status_code == 200
        assert (
            'name="quantity" min="0.001" step="any" value=""'
            in page(item=waiting, quantity=text).text
        )


def test_an_item_that_came_after_the_dataset_has_its_proposal_without_reasons(settings, known):
    later = pd.read_parquet(next((settings.home / "proposals").glob("*.parquet")))
    later = later[later["ITEM_CD"] == later["ITEM_CD"].iloc[0]].assign(ITEM_CD="LATER-1")
    later.to_parquet(settings.home / "proposals" / "zz.parquet", index=False)
    try:
        assert search(settings, "later-1").hits[0].waiting
        view = why(settings, "later-1", {})
        assert [step.job for step in view.steps] == later["JOB_CD"].tolist()
        assert not view.explained and "newest dataset" in page(item="LATER-1").text
    finally:
        (settings.home / "proposals" / "zz.parquet").unlink()


def test_a_question_of_ten_thousand_words_costs_no_more_than_one_of_twenty(settings, known):
    held: list[str] = []

    class Sought(str):
        def __contains__(self, word: str) -> bool:
            held.append(word)
            return True

    known = replace(known)
    known.__dict__["sought"] = [(Sought("c"), Sought("n"))] * len(known.names)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "known", lambda settings: known)
        search(settings, " ".join(map(str, range(10_000))))
    assert len({word for word in held if " " not in word}) == 20


def test_an_item_is_read_from_the_erp_as_it_is_now(settings, known, monkeypatch):
    monkeypatch.setenv("ROUTING_ML_SOURCE", str(SAMPLE))
    monkeypatch.setattr(reading, "_FRESH", {})
    listed = {str(code).casefold() for code in known.data.items["ITEM_CD"]}
    answer = client("viewer").post(f"{PREFIX}/why/read", data={"item": "A&B"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PREFIX}/why?item=A%26B")
    fresh = reading.known(settings)
    later = [str(c) for c in fresh.data.items["ITEM_CD"] if str(c).casefold() not in listed]
    assert later and why(settings, later[-1], {}).explained
    assert reading.read_source(settings) is fresh  # just now
    monkeypatch.setattr(reading, "JUST_READ_SECONDS", -1)
    assert reading.read_source(settings) is not fresh
    with reading._READING, pytest.raises(InputError, match="is being read; ask again in a minute"):
        reading.read_source(settings)
    monkeypatch.setattr(reading, "FRESH_SECONDS", -1)
    assert reading.known(settings) is known


def test_a_newer_dataset_is_read_and_the_same_one_is_not_read_again(settings, monkeypatch):
    assert reading.known(settings) is reading.known(settings)
    path = settings.home / "datasets" / "training_dataset_202608.json"
    before = reading.known(settings)
    path.write_bytes(path.read_bytes())
    assert reading.known(settings) is not before
    assert reading.known(settings).as_of < NOVEMBER


def test_the_api_says_the_same(settings, waiting):
    answer = client("viewer").get(f"{PREFIX}/api/why", params={"item": waiting}).json()
    view = why(settings, waiting, {})
    assert [step["job"] for step in answer["steps"]] == [step.job for step in view.steps]
    assert client().get(f"{PREFIX}/api/why", params={"item": "no such"}).status_code == 404
    assert client().get(f"{PREFIX}/api/why").status_code == 400
    found = client().get(f"{PREFIX}/api/items", params={"q": waiting}).json()
    assert found["hits"][0]["code"] == waiting
