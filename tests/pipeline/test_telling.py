"""What people are told, with what became of it since the last time."""

import json
from dataclasses import replace

import pytest
from slack_fixtures import TOKEN, FakeSlack

from routing_ml.backup import ending
from routing_ml.notices import ATTENTION, BAD, GOOD, Fact
from routing_ml.notices import destinations as destinations_module
from routing_ml.pipeline import looking, report, standing, telling
from routing_ml.pipeline import steps as pipeline
from routing_ml.settings import Settings


@pytest.fixture
def given(tmp_path):
    return Settings.from_env({"ROUTING_ML_HOME": str(tmp_path)})


def outcome(run="r9", as_of="2026-11-01T02:00:00", exact=0.935, **changes):
    facts = {
        "run": run, "succeeded": True, "model": "model_1", "withheld": [], "nothing_new": False,
        "metrics": {"exact_match": exact, "operation_f1": None, "run_time_mdape": 0.1},
        "data": {"as_of": as_of, "rows": {"items": 2400}}, "promoted": True, "reason": "better",
        "source_away": None, "intervals": None, "cause": "by hand", "report": "r",
    }  # fmt: skip
    return facts | changes


def kept(given, found):
    folder = given.home / "runs" / found["run"]
    folder.mkdir(parents=True)
    (folder / "outcome.json").write_text(json.dumps(found))


def card(given, found):
    return telling.run_card(given, found, "t", "x", "http://factory/run")


def test_the_figures_of_a_run_are_against_those_of_the_last_one_before_it(given):
    for run, as_of, exact in (("r1", "2026-09", 0.90), ("r2", "2026-10-01", 0.923)):
        kept(given, outcome(run, as_of, exact, data={"as_of": as_of, "rows": {"items": 2300}}))
    kept(given, outcome("r3", "2026-10-15", 0.5, succeeded=False))
    kept(given, outcome("r4", "2026-12-01", 0.5))
    kept(given, outcome("r9"))  # this very run, tried before
    found = card(given, outcome())
    assert list(found.facts) == [
        Fact("Routings exactly right", "93.5 %", "+1.2 points since 2026-10-01"),
        Fact("Run time error, median", "10.0 %", "the same since 2026-10-01"),
        Fact("Items in the data", "2,400", "+100 since 2026-10-01"),
    ]
    assert list(found.plot.values) == [0.90, 0.923, 0.935]
    assert found.plot.name == "Routings exactly right, last 3 runs"
    assert [(link.label, link.address) for link in found.links] == [
        ("Open the run", "http://factory/run")
    ]


SCHEDULED = "scheduled__2026-11-30T17:00:00+00:00"
BETTER = {"winner": "model_2", "champion": "model_1", "reason": "better"}
FAILED = {"succeeded": False, "reason": "away", "run": SCHEDULED, "cause": "schedule"}


@pytest.mark.parametrize(
    "tell",
    [
        lambda given: telling.tell_waits(given, SCHEDULED, BETTER),
        lambda given: standing.offer(given, SCHEDULED, BETTER),
        lambda given: looking._tell(given, "default", FAILED, None),
        lambda given: ending._tell(given, FAILED, None),
    ],
    ids=["a model waits", "a better one waits", "a look failed", "a backup failed"],
)
def test_a_run_is_named_with_its_moment_by_the_factorys_clock(given, tell):
    with FakeSlack() as slack:
        tell(replace(given, slack_webhook_url=slack.url))
    assert f"Run: {SCHEDULED}, which is of 2026-12-01 02:00 here" in slack.texts()[0]


def test_of_the_first_run_nothing_is_said_of_before(given):
    found = card(given, outcome())
    assert {fact.change for fact in found.facts} == {""}
    assert found.plot is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"run": "x"}', '{"metrics": {"exact_match": "1"}}', "[" * 9_999]
)
def test_what_is_no_outcome_is_passed_over(given, text):
    folder = given.home / "runs" / "odd"
    folder.mkdir(parents=True)
    (folder / "outcome.json").write_text(text)
    assert card(given, outcome()).plot is None


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({}, GOOD),
        ({"promoted": False}, GOOD),
        ({"succeeded": False}, BAD),
        ({"nothing_new": True}, ATTENTION),
        ({"withheld": ["few operations"]}, ATTENTION),
        ({"model": None, "metrics": None, "data": None}, ATTENTION),
    ],
)
def test_the_level_is_the_outcomes(given, changes, level):
    assert card(given, outcome(**changes)).level == level


def register(given, key, exact):
    def write(folder):
        (folder / "model.json").write_text("{}")

    facts = {"candidate": key, "metrics": {"exact_match": exact}, "as_of": "2026-11-01T00:00:00"}
    return pipeline.registry(given).register(write, key=key, facts=facts).name


def test_a_run_that_waits_is_one_message_that_says_in_the_end_how_it_ended(given, monkeypatch):
    champion, winner = register(given, "nearest", 0.9), register(given, "boosted", 0.93)
    decision = {"winner": winner, "champion": champion, "reason": "it is better"}
    with FakeSlack() as slack:
        monkeypatch.setattr(destinations_module, "SLACK_API", slack.api)
        env = {"ROUTING_ML_HOME": str(given.home), "SLACK_BOT_TOKEN": TOKEN}
        told = Settings.from_env(env | {"SLACK_CHANNEL": "#routing"})
        for _ in range(2):
            telling.tell_waits(told, "r9", decision, "http://factory/run")
        (waiting,) = slack.messages
        assert waiting["text"] == telling.APPROVAL
        assert waiting["blocks"][1]["text"]["text"].splitlines() == [
            "it is better", f"Waits: {winner}", f"In use until then: {champion}", "Run: r9"
        ]  # fmt: skip
        (field,) = waiting["blocks"][2]["fields"]
        assert field["text"] == (
            f"*Routings exactly right*\n93.0 % (+3.0 points against {champion})"
        )
        asked = {"dag": "routing_ml_retrain", "run": "r9", "task": "approve", "model": winner}
        for button in waiting["blocks"][-1]["elements"]:
            assert json.loads(button["value"]) == asked
        report.tell(told, outcome())
    assert len(slack.messages) == 1
    (edited,) = slack.edits
    assert edited["text"] == "Routing ML: a new model is in use"
    assert "actions" not in [block["type"] for block in edited["blocks"]]


def test_where_no_bot_listens_there_are_no_buttons(given):
    winner = register(given, "nearest", 0.9)
    decision = {"winner": winner, "champion": None, "reason": "it is better"}
    with FakeSlack() as slack:
        env = {"ROUTING_ML_HOME": str(given.home), "SLACK_WEBHOOK_URL": slack.url}
        telling.tell_waits(Settings.from_env(env), "r9", decision)
    (waiting,) = slack.messages
    assert "actions" not in [block["type"] for block in waiting["blocks"]]


def test_a_winner_without_a_model_in_use_waits_too(given):
    winner = register(given, "nearest", 0.9)
    decision = {"winner": winner, "champion": None, "reason": "it is better"}
    found = telling.waiting_card(given, "r9", decision, None)
    assert "In use until then: no model yet" in found.text
    assert list(found.facts) == [Fact("Routings exactly right", "90.0 %", "")]


def test_only_a_switch_by_hand_is_told_as_one(given):
    registry = pipeline.registry(given)
    names = [register(given, key, 0.9) for key in ("nearest", "boosted")]
    registry.promote(names[0], who="run r1", why="it is better")
    with FakeSlack() as slack:
        told = Settings.from_env(
            {"ROUTING_ML_HOME": str(given.home), "SLACK_WEBHOOK_URL": slack.url}
        )
        assert not telling.tell_switches(told, None)
        place = registry.place()
        assert not telling.tell_switches(told, place)
        registry.promote(names[1], who="ann", why="looks good")
        assert telling.tell_switches(told, place)
        assert not telling.tell_switches(told, place)
    assert slack.texts() == [f"{names[1]} is in use, before: {names[0]}\nBy: ann\nWhy: looks good"]


def test_the_findings_of_a_look_are_against_those_of_the_weeks_before(given):
    folder = given.home / "quality"
    folder.mkdir()
    for number, total in enumerate((150, 147, 140)):
        told = {"source": "erp", "as_of": f"2026-11-{2 + 7 * number:02}", "total": total}
        (folder / f"r{number}.json").write_text(json.dumps({"told": told}))
    other = {"source": "another", "as_of": "2026-11-03", "total": 9}
    (folder / "other.json").write_text(json.dumps({"told": other}))
    (folder / "odd.json").write_text("{")
    found = telling.look_card(
        given,
        "quality/a",
        {"succeeded": True, "worse": [], "since": "2026-11-02T00:00:00", "new": 1, "mended": 4,
         "total": 147, "source": "erp", "as_of": "2026-11-09"},
        "t", "x", None,
    )  # fmt: skip
    assert found.level == GOOD
    assert list(found.facts) == [Fact("Findings", "147", "1 new, 4 mended since 2026-11-02")]
    assert list(found.plot.values) == [150, 147]
