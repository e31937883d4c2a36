"""Which model is to be in use: what may replace which, and what is said of it."""

import json
import shutil
from datetime import datetime

import pytest
from october import copy_of, run

from routing_ml import models
from routing_ml.dataset import frames as dataset
from routing_ml.errors import ModelError
from routing_ml.pipeline import report as pipeline_report
from routing_ml.pipeline import steps as pipeline
from routing_ml.pipeline import training


def test_a_model_in_use_that_was_tampered_with_stops_the_comparison(after_october, october):
    _, data, trained, _ = october
    registry = pipeline.registry(after_october)
    other = copy_of(registry, registry.active(), key="other")
    registry.promote(other.name, who="test", why="test")
    (other.folder / "twin" / "0" / "arrays.npz").write_bytes(b"x")
    with pytest.raises(ModelError, match=f"{other.name} is refused: twin/0/arrays.npz"):
        pipeline.compare(after_october, "october", data, [trained])


def test_a_first_model_is_not_put_into_use_when_the_run_was_told_never(after_october, october):
    _, data, trained, _ = october
    (after_october.home / "models" / "active").unlink()
    decision = pipeline.compare(after_october, "october", data, [trained], promotion="never")
    assert (decision["winner"], decision["promote"]) == (trained["model"], False)
    assert pipeline.registry(after_october).active() is None


def test_a_first_model_that_is_no_better_than_simple_rules_stays_out_and_they_are_shown(
    after_october, october
):
    _, data, *_ = october
    (after_october.home / "models" / "active").unlink()
    trained = pipeline.train(after_october, "october", data, "nearest")
    decision = pipeline.compare(after_october, "october", data, [trained])
    assert (decision["winner"], decision["promote"]) == (None, False)
    assert decision["reason"].startswith(
        "no model goes into use: nearest is not shown to be better than "
    )
    assert "; what would help: " in decision["reason"]
    facts = json.loads((after_october.home / "runs/october/decision.json").read_text())
    compared = facts["comparison"]
    assert list(compared["baselines"]) == ["commonest", "copy", "usual"]
    for rule in compared["baselines"].values():
        assert rule["metrics"].keys() == trained["metrics"].keys()
        assert rule["metrics"]["items"] == trained["metrics"]["items"]
    assert trained["seconds"] > 0 and trained["items_fitted"] > trained["metrics"]["items"] / 2
    assert compared["why_not"] == {
        "nearest": decision["reason"].removeprefix("no model goes into use: ")
    }
    shown = compared["examples"]
    assert (shown["models"], len(shown["items"])) == (["nearest"], 5)
    assert all(one["planner"] not in one["proposed"] for one in shown["items"])
    outcome = pipeline_report.outcome_of(
        after_october, "october", data=data, trained=[trained], decision=decision, failed={},
        cause="test", seconds=5.0,
    )  # fmt: skip
    pipeline_report.write(after_october, outcome)
    assert pipeline_report.notice(outcome)[0] == "Routing ML: no model is in use yet"
    text = (after_october.home / "runs/october/report.md").read_text()
    words = compared["baselines"]["commonest"]["words"]
    assert words == "taking the commonest routing of the items with the same PART_TYPE"
    heads = ["nearest", *(rule["words"] for rule in compared["baselines"].values())]
    assert f"| on items that it was not fitted on | {' | '.join(heads)} |" in text
    assert f"| nearest | {words} | exact matches | 0." in text


def test_a_run_of_the_past_does_not_replace_a_model_of_later_data(after_october):
    active = pipeline.registry(after_october).active().name
    _, _, decision = run(after_october, "april", as_of=datetime(2024, 4, 1))
    assert (decision["winner"], decision["promote"]) == (None, False)
    assert "was fitted on later data (as of 2026-10-01T02:00:00, this" in decision["reason"]
    assert pipeline.registry(after_october).active().name == active


def test_a_model_in_use_that_has_seen_all_the_newest_items_stays(after_october, october):
    _, data, trained, _ = october
    registry = pipeline.registry(after_october)
    october = registry.active()

    def write(folder):  # its twin is fitted on everything
        shutil.copytree(october.folder / "model", folder / "model")
        shutil.copytree(october.folder / "model", folder / "twin")

    names = ("candidate", "metrics", "as_of", "agreement")
    facts = {name: october.manifest[name] for name in names}
    version = registry.register(write, key="seen", facts=facts)
    registry.promote(version.name, who="test", why="test")
    decision = pipeline.compare(after_october, "october", data, [trained])
    assert (decision["winner"], decision["promote"]) == (None, False)
    assert "so that nothing can be compared fairly: it stays" in decision["reason"]


def test_a_model_that_proposes_otherwise_than_it_was_judged_is_not_put_into_use(
    after_october, october, monkeypatch
):
    _, data, trained, _ = october
    (after_october.home / "models" / "active").unlink()
    # It may agree less than .9 where planners' routings are hardly found, as long as it agrees more
    # than with those.
    monkeypatch.setattr(training, "BELOW_ACCURACY", -0.2)
    monkeypatch.setattr(training, "MIN_AGREEMENT", 1.1)
    decision = pipeline.compare(after_october, "october", data, [trained])
    assert (decision["winner"], decision["promote"]) == (None, False)
    assert (
        "it proposes something else than fitted without what it is judged by" in decision["reason"]
    )
    assert "twin" not in decision["reason"]


def test_agreement_is_the_share_of_operations_in_common():
    import pandas as pd

    def of(*jobs):
        return pd.DataFrame(
            {
                "ITEM_CD": "A",
                "PROC_SEQ": range(10, 10 * len(jobs) + 10, 10),
                "JOB_CD": list(jobs),
                "RES_CD": "R",
                "SETUP_TIME": 1.0,
                "RUN_TIME": 1.0,
            }
        )

    assert training._agreement(of("a", "b"), of("a", "b")) == 1.0
    assert training._agreement(of("a", "b"), of("a", "c")) == 0.5


def test_a_fresh_fit_is_also_held_against_versions_that_were_in_use_this_year(
    after_october, october, monkeypatch
):
    _, data, trained, _ = october
    seen = {}

    def decide(champion, challengers, *, references, **given):
        seen.update(references)
        return training.comparison.Decision(None, "the model in use stays", 1, {})

    registry = pipeline.registry(after_october)
    other = copy_of(registry, registry.active(), key="other")
    registry.promote(other.name, who="test", why="test")
    monkeypatch.setattr(training.comparison, "decide", decide)
    pipeline.compare(after_october, "october", data, [trained])
    assert list(seen) == [trained["model"]]


def test_a_winner_waits_while_nobody_has_looked_at_what_check_found(counted, october):
    _, data, trained, _ = october
    (counted.home / "models" / "active").unlink()
    found = {"withheld": ["one entry date"]}
    decision = pipeline.compare(counted, "october", data, [trained], **found)
    assert (decision["winner"], decision["promote"]) == (trained["model"], False)
    assert decision["reason"].startswith(
        f"{trained['model']} waits: check found \"one entry date\", look with 'routing-ml check'; "
        'when it is right as it is, write accept = ["one entry date"] at the top of the columns '
        f"file, or promote by hand; {trained['candidate']} would go in, the first model: "
    )
    assert pipeline.registry(counted).active() is None


def test_a_model_that_loses_is_not_said_to_wait(counted):
    active = pipeline.registry(counted).active().name
    given = {"as_of": datetime(2024, 4, 1), "withheld": ["few operations"]}
    _, _, decision = run(counted, "april", **given)
    assert (decision["winner"], decision["champion"]) == (None, active)
    assert "waits" not in decision["reason"]


def test_a_decision_of_an_earlier_release_is_kept_when_its_run_is_repeated(counted, october):
    _, data, trained, _ = october
    path = counted.home / "runs/october/decision.json"
    facts = json.loads(path.read_text())
    del facts["withheld"]
    path.write_text(json.dumps(facts))
    again = pipeline.compare(counted, "october", data, [trained])
    assert (again["promote"], again["withheld"]) == (True, [])


def test_nothing_to_compare_is_said(october):
    with pytest.raises(ModelError, match="no candidate was fitted"):
        pipeline.compare(october[0], "october", october[1], [])


def test_a_models_own_score_is_taken_on_items_it_was_fitted_without(october):
    given, data, trained, _ = october
    version = pipeline.registry(given).get(trained["model"])
    loaded = dataset.load(given.home / data["uri"])
    expected = trained["metrics"] | {"intervals": trained["intervals"]}
    assert json.loads(json.dumps(training.evaluate(version, loaded))) == expected


def test_a_score_on_items_that_were_all_fitted_on_is_refused(counted, october):
    _, data, trained, _ = october
    version = pipeline.registry(counted).get(trained["model"])
    loaded = dataset.load(counted.home / data["uri"])
    whole = models.load(version.folder / "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "unseen", lambda version: training.Unseen((whole,), {}))
        with pytest.raises(ModelError, match="fitted on every item of this dataset's holdout"):
            training.evaluate(version, loaded)


def test_a_decision_against_a_model_no_longer_in_use_promotes_nothing(counted):
    _, trained, decision = run(counted, "november", promotion="never")
    registry = pipeline.registry(counted)
    other = copy_of(registry, registry.get(trained["model"]), key="by hand")
    registry.promote(other.name, who="a person", why="by hand")
    stale = decision | {"winner": trained["model"]}
    with pytest.raises(ModelError, match=f"{other.name} was put into use by a person: retrain to"):
        pipeline.promote(counted, "november", stale)
    assert registry.active().name == other.name


def test_a_model_of_another_factory_stays_in_use(counted, monkeypatch):
    monkeypatch.setattr(
        pipeline.dataset, "load", lambda path, load=dataset.load: elsewhere(load(path))
    )
    *_, decision = run(counted, "november")
    assert not decision["promote"]
    assert "learned from another factory (only 0% of its items" in decision["reason"]


def elsewhere(data):
    """The same factory under other item codes."""
    for table in (data.items, data.routings, data.results):
        table["ITEM_CD"] = "OTHER-" + table["ITEM_CD"]
    return data
