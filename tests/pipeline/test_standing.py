"""Who may replace the model in use, and does, by what planners wrote; with a real registry."""

import json
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace as Fake

import pytest
from slack_fixtures import FakeSlack

from routing_ml.comparison import PairedSequence
from routing_ml.comparison.cases import Decision
from routing_ml.errors import ModelError
from routing_ml.judging import Challengers
from routing_ml.pipeline import standing
from routing_ml.pipeline import steps as pipeline
from routing_ml.settings import Settings
from routing_ml.store.store import Store

FLOOR = {"boosted": [{"passes": True}], "forest": [{"passes": True}]}
AHEAD = PairedSequence().update([1.0] * 40 + [0.0] * 200, [1] * 240).state()


@pytest.fixture
def settings(home):
    return Settings.from_env()


def register(settings, candidate):
    """A version that holds a file and says of what method it is."""

    def write(folder):
        (folder / "model").mkdir()
        (folder / "model" / "model.json").write_text("{}")

    facts = {"candidate": candidate, "as_of": "2026-10-01T00:00:00", "metrics": {}}
    registry = pipeline.registry(settings)
    return registry.register(write, key=f"{candidate} {len(registry.versions())}", facts=facts).name


@pytest.fixture
def versions(settings):
    """The one in use, of forest, and two that were fitted after it."""
    names = {
        name: register(settings, name.split()[0]) for name in ("forest", "boosted", "forest 2")
    }
    pipeline.registry(settings).promote(names["forest"], who="run r0", why="the first")
    return names


def outcome(settings, versions, *, promoted=False, run="r1", **about):
    """A retraining that kept the model, or put boosted into use, as `report.outcome_of` has it."""
    folder = settings.home / "runs" / run
    folder.mkdir(parents=True, exist_ok=True)
    compared = {"exact": {"boosted": 0.9, "forest": 0.9}, "floor": FLOOR, "comparisons": []}
    compared["streams"] = {"boosted": AHEAD}
    decision = {
        "winner": versions["boosted"] if promoted else None, "champion": versions["forest"],
        "challengers": {"boosted": versions["boosted"], "forest": versions["forest 2"]},
        "withheld": [], "comparison": compared | about.pop("compared", {}),
    } | about  # fmt: skip
    (folder / "decision.json").write_text(json.dumps(decision))
    data = {"as_of": "2026-10-01T02:00:00"}
    return {"run": run, "report": str(folder / "report.md"), "promoted": promoted, "data": data}


def known(settings):
    with closing(Store(settings.store_url)) as store:
        return Challengers.known(store)


def judged(settings):
    """As if a routing that a planner wrote since had been judged."""
    with closing(Store(settings.store_url)) as store:
        known = Challengers.known(store)
        by_method = {name: replace(one, judged=1) for name, one in known.by_method.items()}
        replace(known, by_method=by_method).save(store)


def shown(settings):
    with closing(Store(settings.store_url)) as store:
        return standing.shown(settings, store)


def test_what_a_retraining_fitted_and_did_not_put_into_use_may_replace_the_model(
    settings, versions
):
    standing.record_challengers(settings, outcome(settings, versions))
    found = known(settings)
    assert found.champion == versions["forest"]
    boosted, fresh = found.by_method["boosted"], found.by_method["forest"]
    assert (boosted.version, boosted.fresh_fit, boosted.barred) == (
        versions["boosted"],
        False,
        None,
    )
    assert (boosted.since, boosted.state) == ("2026-10-01", AHEAD)
    assert (fresh.version, fresh.fresh_fit, fresh.state) == (versions["forest 2"], True, None)


@pytest.mark.parametrize(
    ("about", "why"),
    [
        ({"withheld": ["units"]}, "check found what a person must look at first"),
        ({"compared": {"floor": {"boosted": [{"passes": True}, {"passes": False}]}}},
         "it is not shown to be better than the simple rules of the last comparison"),
        ({"compared": {"comparisons": [{"challenger": "boosted", "guards": [
            {"name": "run time error", "stops": True}, {"name": "F1", "stops": False}]}]}},
         "it is worse by its run time error"),
        ({"promotion": "never"}, "its retraining was told to change nothing"),
        ({"compared": {"comparisons": [
            {"challenger": "boosted", "guards": [], "failed": True}]}},
         "it is behind a version that was in use earlier"),
        ({"compared": {"exact": {"forest": 0.9}}}, "the last comparison could not judge it"),
    ],
)  # fmt: skip
def test_what_must_not_go_in_is_barred_by_name(settings, versions, about, why):
    standing.record_challengers(settings, outcome(settings, versions, **about))
    assert known(settings).by_method["boosted"].barred == why
    judged(settings)
    assert shown(settings) is None


@pytest.mark.parametrize(
    ("by", "why"), [("kim", "a person kept it out"), (None, None)], ids=["no", "nobody answered"]
)
def test_what_a_person_kept_out_does_not_go_in_by_itself(settings, versions, by, why):
    answer = {"by": by, "promote": False}
    asked = outcome(settings, versions, winner=versions["boosted"], answer=answer)
    standing.record_challengers(settings, asked)
    assert known(settings).by_method["boosted"].barred == why
    assert known(settings).by_method["forest"].barred is None


def test_a_run_that_was_overtaken_has_no_say(settings, versions):
    standing.record_challengers(settings, outcome(settings, versions))
    before = known(settings)
    pipeline.registry(settings).promote(versions["boosted"], who="me", why="by hand")
    standing.record_challengers(settings, outcome(settings, versions, withheld=["units"]))
    assert known(settings) == before
    assert shown(settings) is None  # what it was compared with is not in use any more


def test_without_a_decision_nothing_is_known(settings, versions):
    ended = outcome(settings, versions)
    (settings.home / "runs" / "r1" / "decision.json").unlink()
    standing.record_challengers(settings, ended)
    assert not (settings.home / "store.db").exists()


def test_a_version_that_is_shown_to_be_better_goes_in_and_people_hear_of_it(settings, versions):
    standing.record_challengers(settings, outcome(settings, versions))
    assert shown(settings) is None  # by the held-out items alone
    judged(settings)
    decision = shown(settings)
    assert (decision["winner"], decision["champion"]) == (versions["boosted"], versions["forest"])
    run = "scheduled__2026-11-30T18:00:00+00:00"
    with FakeSlack() as slack:
        told = replace(settings, slack_webhook_url=slack.url)
        assert standing.replace_model(told, run, decision)["model"] == versions["boosted"]
        assert standing.replace_model(told, run, decision)["model"] == versions["boosted"]
        assert len(slack.messages) == 1
        assert f"Run: {run}, which is of 2026-12-01 03:00 here" in slack.texts()[0]
        assert (
            "by routings that planners wrote later: boosted is shown to be better"
            in (slack.texts()[0])
        )
    registry = pipeline.registry(settings)
    assert registry.active().name == versions["boosted"]
    switches = [(entry["to"], entry["who"]) for entry in registry.history()]
    assert switches[-1] == (versions["boosted"], f"run {run}") and len(switches) == 2
    with closing(Store(settings.store_url, write=False)) as store:
        assert store.fact("model")["name"] == versions["boosted"]
        assert store.snapshot().labelled("hands") == {}  # a run did it


def test_a_decision_that_a_person_has_overtaken_changes_nothing(settings, versions):
    standing.record_challengers(settings, outcome(settings, versions))
    judged(settings)
    decision = shown(settings)
    registry = pipeline.registry(settings)
    registry.promote(versions["forest 2"], who="me", why="by hand")
    registry.promote(versions["forest"], who="me", why="and back")
    with pytest.raises(ModelError, match="since then"):
        standing.replace_model(settings, "run 7", decision)
    assert registry.active().name == versions["forest"]


def decided(winner=None, exact=("boosted", "forest"), **about):
    return Decision(winner, "nothing is better", 100, dict.fromkeys(exact, 0.9), **about)


def test_the_monthly_decision_uses_what_planners_wrote(settings, versions):
    champion = versions["forest"]
    assert standing.judged_since(settings, champion, decided()) == (None, "")  # no store yet
    standing.record_challengers(settings, outcome(settings, versions))
    judged(settings)
    method, words = standing.judged_since(settings, champion, decided())
    assert method == "boosted"
    assert words.startswith("the routings that planners wrote since: boosted is shown to be better")
    method, words = standing.judged_since(settings, champion, decided(winner="forest"))
    assert method is None and "boosted is shown to be" in words
    assert standing.judged_since(settings, champion, decided(exact=["forest"]))[0] is None
    assert standing.judged_since(settings, versions["boosted"], decided()) == (None, "")
    assert standing.judged_since(settings, None, decided()) == (None, "")


def test_planners_routings_are_no_way_around_a_guard(settings, versions):
    standing.record_challengers(settings, outcome(settings, versions))
    judged(settings)
    stopped = Fake(challenger="boosted", guards=[Fake(stops=True)])
    found = standing.judged_since(settings, versions["forest"], decided(comparisons=(stopped,)))
    assert found[0] is None
    floor = {"boosted": (Fake(passes=False),)}
    assert standing.judged_since(settings, versions["forest"], decided(floor=floor))[0] is None


def test_who_went_back_is_not_overruled_by_what_was_known_before(settings, versions):
    standing.record_challengers(settings, outcome(settings, versions))
    judged(settings)
    registry = pipeline.registry(settings)
    standing.replace_model(settings, "run 7", shown(settings))
    registry.rollback(who="me", why="it is wrong")
    assert registry.active().name == versions["forest"]
    assert shown(settings) is None
    assert standing.judged_since(settings, versions["forest"], decided()) == (None, "")


def test_a_challenger_that_is_gone_is_not_named(settings, versions):
    standing.record_challengers(settings, outcome(settings, versions))
    judged(settings)
    (settings.home / "models" / versions["boosted"]).rename(settings.home / "gone")
    assert shown(settings) is None
