"""A person is asked before a new model goes into use: what they see, what counts as an answer."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from routing_ml.errors import ModelError, SettingError
from routing_ml.pipeline import approval, report
from routing_ml.pipeline import steps as pipeline
from routing_ml.settings import Settings

AT = datetime(2026, 11, 1, 1, 5, tzinfo=UTC)  # five past ten in Seoul
KEPT = Path(__file__).parents[1] / "kept" / "waiting_run"
CASE = {
    "challenger": "boosted",
    "test": {"items": 300, "exact": 0.9, "exact_against": 0.85, "difference": 0.05, "low": 0.01,
             "high": 0.09},
    "differing_items": [
        {"item": "P`1|[x](javascript:y)\u202e", "challenger_exact": True, "champion_exact": False,
         "challenger_wrong_operations": 0, "champion_wrong_operations": 3},
    ],
}  # fmt: skip
ANSWER = {"promote": True, "by": "Kim", "at": AT, "why": "as\n said  on Monday"}


@pytest.fixture
def settings(home):
    return Settings.from_env()


@pytest.fixture
def asked(settings):
    """What a run asks: whether to put m2 into use instead of m1."""
    facts = {
        "winner": "m2", "promote": False, "promotion": "approve", "asks": True, "champion": "m1",
        "place": "p", "withheld": ["dates"], "reason": "boosted is better", "metrics": {},
        "challengers": {"boosted": "m2", "forest": "m3"},
        "comparison": {"exact": {"boosted": 0.9}, "comparisons": [CASE]},
    }  # fmt: skip
    path = pipeline.run_folder(settings, "r1") / pipeline.DECISION
    pipeline.write_json(settings, path, facts)
    return pipeline.decision_of(settings, path)


def written(settings):
    return json.loads((pipeline.run_folder(settings, "r1") / pipeline.DECISION).read_text())


def test_the_question_has_the_reason_the_figures_and_what_to_look_at_first(settings, asked):
    said = approval.question(settings, "r1")
    assert said.startswith("boosted is better\n")
    assert "| m2 (boosted), **chosen** | 90.0% |" in said
    assert "m3" not in said  # it was not compared
    assert "**Look first at what check found:** dates" in said
    assert "In use: m1; without an answer it stays." in said
    assert "a difference of +5.0%, between +1.0% and +9.0%." in said
    assert "| `P\N{REPLACEMENT CHARACTER}1\N{REPLACEMENT CHARACTER}[x](javascript:y)" in said
    assert "\u202e" not in said
    assert said.count("| right | 3 wrong |") == 1


def test_a_yes_promotes_and_says_who_when_and_why(settings, asked):
    decision = approval.answered(settings, "r1", asked, **ANSWER)
    assert decision["promote"] is True
    assert decision["reason"] == (
        "m2: put into use by Kim on 2026-11-01 10:05, who said: as said on Monday; asked because: "
        "boosted is better"
    )
    assert written(settings)["promote"] is True
    assert report._reason(decision, {}) == decision["reason"]


def test_a_no_keeps_the_model_and_says_who(settings, asked):
    decision = approval.answered(settings, "r1", asked, **ANSWER | {"promote": False, "why": ""})
    assert decision["promote"] is False
    assert decision["reason"].startswith("m2: kept out by Kim on 2026-11-01 10:05; asked because")
    assert report._reason(decision, {}) == decision["reason"]


def test_what_nobody_has_answered_never_promotes(settings, asked):
    decision = approval.answered(settings, "r1", asked, **ANSWER | {"by": None})
    assert decision["promote"] is False
    assert "nobody answered until 2026-11-01 10:05" in decision["reason"]


def test_an_answer_that_is_given_again_changes_nothing(settings, asked):
    first = approval.answered(settings, "r1", asked, **ANSWER)
    again = approval.answered(settings, "r1", asked, **ANSWER | {"promote": False, "by": "Lee"})
    assert again == first


def test_an_answer_to_what_is_no_longer_asked_is_refused(settings, asked):
    path = pipeline.run_folder(settings, "r1") / pipeline.DECISION
    pipeline.write_json(settings, path, written(settings) | {"winner": "m3"})
    with pytest.raises(ModelError, match="has compared again since it asked"):
        approval.answered(settings, "r1", asked, **ANSWER)


def test_an_answer_to_what_was_compared_again_while_it_was_asked_is_refused(settings, asked):
    approval.require_first(settings, "r1", asked)
    path = pipeline.run_folder(settings, "r1") / pipeline.DECISION
    for later in ({"winner": "m3"}, {"winner": None, "asks": False}):
        pipeline.write_json(settings, path, written(settings) | later)
        with pytest.raises(ModelError, match="has asked about another comparison before"):
            now = pipeline.decision_of(settings, path)
            approval.answered(settings, "r1", now, **ANSWER)
    with pytest.raises(ModelError, match="no comparison any more that this could answer"):
        approval.answered(settings, "r1", None, **ANSWER)  # the task that compares has failed since
    assert "answer" not in written(settings)


def test_a_run_asks_about_one_comparison_alone(settings, asked):
    for _ in range(2):  # tried again
        approval.require_first(settings, "r1", asked)
    with pytest.raises(ModelError, match="which Airflow goes on showing: trigger routing_ml_retra"):
        approval.require_first(settings, "r1", asked | {"sha256": "of another comparison"})


GIVEN = {"chosen_options": ["Keep what is in use"], "responded_at": "2026-11-01T01:05:00Z"}


def test_nobody_is_told_that_a_run_waits_which_will_not(settings, asked, monkeypatch):
    told = []
    monkeypatch.setattr(approval.telling, "tell_waits", lambda *given: told.append(given))
    approval.ask(settings, "r1", asked)
    approval.require_first(settings, "r1", asked)
    with pytest.raises(ModelError, match="which Airflow goes on showing: trigger routing_ml_retra"):
        approval.ask(settings, "r1", asked | {"sha256": "of another comparison"})
    assert len(told) == 1


def test_a_task_that_was_cut_off_with_an_answer_goes_on_with_it(settings, asked):
    assert approval.require_first(settings, "r1", asked, asking=2) is None
    assert approval.require_first(settings, "r1", asked, asking=2) is None  # nobody has answered
    approval.taken(settings, "r1", GIVEN, asking=2)
    assert approval.require_first(settings, "r1", asked, asking=2) == GIVEN | {"asking": 2}


def test_what_was_answered_before_a_task_was_cleared_counts_no_more(settings, asked):
    approval.require_first(settings, "r1", asked, asking=2)
    approval.taken(settings, "r1", GIVEN, asking=2)
    for _ in range(2):
        assert approval.require_first(settings, "r1", asked, asking=3) is None
        approval.taken(settings, "r1", GIVEN, asking=2)  # it was written late


def test_an_answer_to_a_run_of_another_state_folder_is_not_kept(settings, asked):
    approval.taken(settings, "r1", GIVEN, asking=2)
    approval.taken(settings, "r2", GIVEN, asking=2)
    assert list((settings.home / "runs").glob("*/taken.json")) == []


@pytest.fixture
def kept(settings):
    """The folder of a run that has waited since the release that wrote asked.txt."""
    folder = pipeline.run_folder(settings, "r1")
    shutil.copytree(KEPT, folder)
    return pipeline.decision_of(settings, folder / pipeline.DECISION)


def test_a_run_that_waits_across_an_upgrade_keeps_to_what_it_asked(settings, kept):
    with pytest.raises(ModelError, match="which Airflow goes on showing: trigger routing_ml_retra"):
        approval.require_first(settings, "r1", kept | {"sha256": "of another comparison"})
    approval.require_first(settings, "r1", kept)


def test_an_answer_to_a_run_that_waits_across_an_upgrade_is_not_lost(settings, kept):
    approval.taken(settings, "r1", GIVEN, asking=2)
    assert approval.require_first(settings, "r1", kept, asking=2) == GIVEN | {"asking": 2}
    assert approval.require_first(settings, "r1", kept, asking=3) is None


def test_a_decision_waits_from_its_question_to_its_answer(settings, asked):
    assert approval.waits(asked)
    assert not approval.waits(asked | {"asks": False})
    for promote in (False, True):
        answer = {"promote": promote, "at": AT.replace(hour=promote)}
        assert not approval.waits(approval.answered(settings, "r1", asked, **ANSWER | answer))


def test_the_decision_that_counts_is_the_answer_to_this_very_question(settings, asked):
    answer = approval.answered(settings, "r1", asked, **ANSWER)
    assert approval.counts(asked, answer) is answer
    other = asked | {"sha256": "of another comparison"}
    assert approval.counts(other, answer) is other
    assert approval.counts(asked, None) is asked
    assert approval.counts(None, answer) is None


def test_a_winner_that_nobody_could_be_asked_about_is_said_to_wait(asked):
    said = report._reason(asked | {"withheld": []}, {})
    assert said.startswith("m2 waits for a person: 'routing-ml promote m2' puts it into use;")


@pytest.mark.parametrize("value", ["always", "yes"])
def test_another_way_to_promote_is_refused(value):
    with pytest.raises(SettingError, match=f"ROUTING_ML_PROMOTION is '{value}'; set it to automat"):
        Settings.from_env({"ROUTING_ML_PROMOTION": value})


def test_how_long_a_run_waits_is_set_as_the_other_waits_are():
    assert Settings.from_env({"ROUTING_ML_APPROVAL_WAIT": "2h"}).approval_wait.seconds == 7200
    with pytest.raises(SettingError, match=r"ROUTING_ML_APPROVAL_WAIT is '8d'.*from 1m to 7d"):
        Settings.from_env({"ROUTING_ML_APPROVAL_WAIT": "8d"})


def test_a_later_answer_counts_instead_of_a_no(settings, asked):
    approval.answered(settings, "r1", asked, **ANSWER | {"promote": False})
    later = {"by": "Lee", "at": AT.replace(hour=2)}
    decision = approval.answered(settings, "r1", asked, **ANSWER | later)
    assert decision["promote"] is True
    assert decision["reason"] == (
        "m2: put into use by Lee on 2026-11-01 11:05, who said: as said on Monday; asked because: "
        "boosted is better"
    )


def test_a_run_that_was_answered_with_yes_neither_asks_again_nor_takes_another_answer(
    settings, asked
):
    first = approval.answered(settings, "r1", asked, **ANSWER)
    later = {"promote": False, "at": AT.replace(hour=2)}
    assert approval.answered(settings, "r1", asked, **ANSWER | later) == first
    with pytest.raises(ModelError, match="was answered with yes, by Kim, and does not ask again"):
        approval.require_first(settings, "r1", asked)


def test_a_run_that_was_answered_with_no_may_ask_again(settings, asked):
    approval.answered(settings, "r1", asked, **ANSWER | {"promote": False})
    approval.require_first(settings, "r1", asked)
