"""The versions as the registry has them; who may, puts another into use, once and with a reason."""

import json
from contextlib import closing
from dataclasses import replace
from html import unescape

import pytest
from pages_site import PREFIX, client, state
from routing_ml_pages import reading, versions
from slack_fixtures import FakeSlack

from routing_ml.errors import ModelError
from routing_ml.pipeline import steps as pipeline
from routing_ml.store.store import Store


@pytest.fixture
def settings(tmp_path, monkeypatch):
    found = state(tmp_path / "home")
    monkeypatch.setenv("ROUTING_ML_HOME", str(found.home))
    return found


@pytest.fixture
def names(settings):
    """The version in use, and the other one."""
    active = pipeline.registry(settings).active().name
    (other,) = [v.name for v in pipeline.registry(settings).versions() if v.name != active]
    return active, other


def post(path, role="editor", **form):
    return client(role).post(f"{PREFIX}/models/{path}", data=form)


def in_use(settings):
    return pipeline.registry(settings).active().name


def test_the_page_has_each_version_with_its_figures_and_the_history(settings, names):
    view = versions.models(settings)
    assert [row.name for row in view.versions] == sorted(names, reverse=True)
    assert [row.name for row in view.versions if row.in_use] == [names[0]]
    assert view.since.why and view.since.after == names[0]
    row = next(row for row in view.versions if row.in_use)
    exact = row.figures["exact_match"]
    manifest = pipeline.registry(settings).active().manifest
    assert exact.value == manifest["metrics"]["exact_match"]
    assert exact.low <= exact.value <= exact.high
    text = unescape(client("viewer").get(f"{PREFIX}/models").text)
    assert names[0] in text and names[1] in text and view.since.why in text


def test_who_may_not_act_is_shown_no_form_to_do_so(settings):
    assert 'method="post"' in client("editor").get(f"{PREFIX}/models").text
    assert 'method="post"' not in client("viewer").get(f"{PREFIX}/models").text


def test_a_version_goes_into_use_by_name_and_reason_of_who_did_it(settings, names):
    answer = post("promote", model=names[1], why="a try <b>", instead_of=names[0])
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{PREFIX}/models?done=promoted"
    last = pipeline.registry(settings).history()[-1]
    assert (last["to"], last["who"], last["why"]) == (names[1], "Airflow user kim", "a try <b>")
    with closing(Store(settings.store_url, write=False)) as store:
        assert store.fact("model")["name"] == names[1]
        assert store.snapshot().labelled("hands").get("promote") == 1
    assert "a try &lt;b&gt;" in client().get(f"{PREFIX}/models").text


def test_it_goes_back_to_the_version_before(settings, names):
    post("promote", model=names[1], why="a try", instead_of=names[0])
    answer = post("rollback", why="it was worse", instead_of=names[1])
    assert answer.status_code == 303 and in_use(settings) == names[0]
    assert pipeline.registry(settings).history()[-1]["action"] == "rollback"


def test_people_are_told_of_a_switch_once(settings, names, monkeypatch):
    with FakeSlack() as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        post("promote", model=names[1], why="a try", instead_of=names[0])
        post("promote", model=names[1], why="again", instead_of=names[0])
        assert len(slack.messages) == 1
        assert names[1] in str(slack.messages[0]) and "kim" in str(slack.messages[0])


@pytest.mark.parametrize("path", ["promote", "rollback"])
def test_a_viewer_changes_nothing(settings, names, path):
    answer = post(path, role="viewer", model=names[1], why="x", instead_of=names[0])
    assert answer.status_code == 403
    assert in_use(settings) == names[0]
    assert len(pipeline.registry(settings).history()) == 1


@pytest.mark.parametrize("why", ["", "   "])
def test_without_a_reason_nothing_changes(settings, names, why):
    answer = post("promote", model=names[1], why=why, instead_of=names[0])
    assert answer.status_code == 400 and "no reason was given" in answer.text
    assert in_use(settings) == names[0]


def test_who_has_an_old_page_open_changes_nothing(settings, names):
    post("promote", model=names[1], why="a try", instead_of=names[0])
    for answer in (
        post("promote", model=names[1], why="again", instead_of="model_20200101_000000"),
        post("promote", model=names[0], why="late", instead_of=names[0]),
        post("rollback", why="late", instead_of=names[0]),
    ):
        assert answer.status_code in (303, 404)
    assert in_use(settings) in (names[0], names[1])
    assert len(pipeline.registry(settings).history()) == 2


@pytest.mark.parametrize("name", ["model_20200101_000000", "../..", "<script>", ""])
def test_a_version_that_is_none_is_refused(settings, names, name):
    answer = post("promote", model=name, why="x", instead_of=names[0])
    assert answer.status_code in (404, 422)
    assert "<script>" not in answer.text
    assert in_use(settings) == names[0]


def test_a_damaged_version_is_named_and_hides_no_other(settings, names):
    manifest = settings.home / "models" / names[1] / "manifest.json"
    manifest.write_text("{")
    view = versions.models(settings)
    assert [row.name for row in view.versions] == [names[0]]
    assert names[1] in view.damaged
    with pytest.raises(ModelError):
        reading.version_of(settings, names[1])
    assert client().get(f"{PREFIX}/models").status_code == 200


def test_a_damaged_history_is_told(settings):
    (settings.home / "models" / "history.jsonl").write_text("no record\n")
    view = versions.models(settings)
    assert view.trouble and len(view.versions) == 2
    assert "no record of a switch" in client().get(f"{PREFIX}/models").text


def test_of_two_versions_only_what_differs_is_shown(settings, names):
    view = versions.compare(settings, *names)
    assert all(pair.one.value != pair.other.value for pair in view.figures)
    assert view.facts.keys() == {"candidate"}  # of one run, on one dataset
    assert 0 < len(view.others) <= view.asked
    assert all(one.only_one or one.only_other for one in view.others[:3])
    same = versions.compare(settings, names[0], names[0])
    assert (same.figures, same.facts, same.others) == ([], {}, [])
    text = (
        client().get(f"{PREFIX}/models/compare", params={"one": names[0], "other": names[1]}).text
    )
    assert view.others[0].item in unescape(text)


def test_moments_that_differ_are_those_of_the_factorys_clock(settings, names, monkeypatch):
    at = dict(zip(names, ("2026-10-31T17:00:00+00:00", "2026-12-01T02:00:00+09:00"), strict=True))
    read = reading.version_of

    def dated(settings, name):
        version = read(settings, name)
        return replace(version, manifest={**version.manifest, "as_of": at[name]})

    monkeypatch.setattr(reading, "version_of", dated)
    facts = versions.compare(settings, *names).facts
    assert facts["as_of"] == ("2026-11-01 02:00", "2026-12-01 02:00")


def test_the_test_of_a_retraining_is_shown_in_the_direction_that_is_asked(settings, names):
    test = {"items": 100, "exact": 0.9, "exact_against": 0.8, "difference": 0.1, "low": 0.05,
            "high": 0.15, "p_value": 0.01}  # fmt: skip
    case = {"challenger": "forest", "test": test, "differing_items": []}
    facts = {"champion": names[0], "challengers": {"forest": names[1]},
             "comparison": {"comparisons": [case]}}  # fmt: skip
    folder = settings.home / "runs" / "later"
    folder.mkdir()
    (folder / "decision.json").write_text(json.dumps(facts))
    newer = versions.compare(settings, names[1], names[0]).test
    assert (newer.run, newer.difference, newer.low, newer.high) == ("later", 0.1, 0.05, 0.15)
    older = versions.compare(settings, *names).test
    assert (older.exact, older.difference, older.low, older.high) == (0.8, -0.1, -0.15, -0.05)
    address = f"{PREFIX}/models/compare?one={names[1]}&other={names[0]}"
    assert "+10.0 points" in client().get(address).text


def test_the_api_promotes_for_who_may(settings, names):
    address = f"{PREFIX}/api/models/promote"
    asked = {"model": names[1], "why": "by a program", "instead_of": names[0]}
    assert client("viewer").post(address, json=asked).status_code == 403
    assert client().post(address, json=asked).json() == {"model": names[1]}
    back = client().post(f"{PREFIX}/api/models/rollback", json={"why": "x", "instead_of": names[1]})
    assert back.json() == {"model": names[0]}
    listed = client("viewer").get(f"{PREFIX}/api/models").json()
    assert [one["action"] for one in listed["history"]] == ["rollback", "promote", "promote"]
