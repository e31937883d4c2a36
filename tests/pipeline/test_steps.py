import json
import os
import shutil
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from routing_ml import files, models
from routing_ml.dataset import frames as dataset
from routing_ml.drift.baseline import Baseline
from routing_ml.errors import AuditError, InputError, ModelError, SettingError
from routing_ml.pipeline import report as pipeline_report
from routing_ml.pipeline import steps as pipeline
from routing_ml.pipeline import training
from routing_ml.settings import Settings
from routing_ml.store.store import Store

OCTOBER, NOVEMBER = datetime(2026, 10, 1, 2), datetime(2026, 11, 1, 2)
LIMIT = 2_500


def settings(home, **env):
    return Settings.from_env({"ROUTING_ML_HOME": str(home)} | env)


def run(given, run_id, *, as_of=NOVEMBER, limit=LIMIT, **options):
    """Every step up to the decision, and the promotion where it says so."""
    data = pipeline.extract(given, run_id, as_of=as_of, limit=limit)
    pipeline.check(given, run_id, data)
    pipeline.audit(given, run_id, data)
    trained = pipeline.train(given, run_id, data, "forest")
    decision = pipeline.compare(given, run_id, data, [trained], **options)
    if decision["promote"]:
        pipeline.promote(given, run_id, decision)
    return data, trained, decision


def content(folder):
    """Every file below and its bytes, but for locks and the store, which says when a source was
    read."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (".lock", "store.db", "store.db-shm", "store.db-wal")
    }


@pytest.fixture(scope="module")
def october(tmp_path_factory):
    """A state folder whose model in use was fitted on October's data; read, never changed."""
    home = tmp_path_factory.mktemp("october")
    given = settings(home)
    return given, *run(given, "october", as_of=OCTOBER)


@pytest.fixture
def after_october(october, tmp_path):
    """A copy of it to change."""
    shutil.copytree(october[0].home, tmp_path / "home", symlinks=True)
    return settings(tmp_path / "home")


def test_two_runs_of_one_moment_give_equal_data_and_metrics(october, tmp_path):
    given = settings(tmp_path)
    data, trained, decision = run(given, "another", as_of=OCTOBER)
    _, first_data, first_trained, first_decision = october
    assert data["sha256"] == first_data["sha256"]
    assert trained["metrics"] == first_trained["metrics"]
    assert decision["reason"] == first_decision["reason"]
    one, other = (pipeline.registry(s).active() for s in (october[0], given))
    for version in (one, other):
        assert version.manifest["data_sha256"] == data["sha256"]
    assert one.manifest["files"] == other.manifest["files"]


def test_a_step_repeated_gives_the_same_and_leaves_nothing_more(after_october):
    given = after_october
    data, trained, decision = run(given, "november")
    before = content(given.home)
    assert pipeline.extract(given, "november", as_of=NOVEMBER, limit=LIMIT) == data
    pipeline.audit(given, "november", data)
    assert pipeline.train(given, "november", data, "forest") == trained
    assert pipeline.compare(given, "november", data, [trained]) == decision
    if decision["promote"]:
        pipeline.promote(given, "november", decision)
    assert content(given.home) == before


def test_a_run_repeated_after_its_promotion_keeps_its_decision(after_october, october):
    _, data, trained, decision = october
    assert decision["promote"]
    again = pipeline.compare(after_october, "october", data, [trained])
    assert again == decision
    pipeline.promote(after_october, "october", again)
    assert len(pipeline.registry(after_october).history()) == 1


def test_a_run_repeated_on_corrected_data_fits_anew(after_october, october):
    _, data, trained, _ = october
    corrected = pipeline.extract(after_october, "october", as_of=OCTOBER, limit=LIMIT - 300)
    assert corrected["sha256"] != data["sha256"]
    again = pipeline.train(after_october, "october", corrected, "forest")
    assert again["model"] != trained["model"]
    version = pipeline.registry(after_october).get(again["model"])
    assert version.manifest["data_sha256"] == corrected["sha256"]


def test_references_are_small_and_relative_and_name_the_rows(october):
    given, data, trained, decision = october
    assert data["uri"] == "runs/october/training_dataset_202610.json"
    assert data["rows"]["routings"] <= LIMIT
    assert data["bytes"] == sum(
        path.stat().st_size for path in (given.home / "runs/october").glob("*.parquet")
    )
    for reference in (data, trained, decision):
        assert len(json.dumps(reference)) < 2_000


def test_the_dataset_of_a_run_is_shown_under_datasets(october):
    given, data, *_ = october
    path, manifest = dataset.read_manifest(given.home / "datasets")
    assert path.name == "training_dataset_202610.json"
    assert dataset.data_hash(manifest) == data["sha256"]


def test_the_version_holds_what_the_watch_and_the_comparison_need(october):
    given, _, trained, _ = october
    version = pipeline.registry(given).active()
    assert version.name == trained["model"]
    scores = np.load(version.folder / "validation_scores.npy", allow_pickle=False)
    assert len(scores) == version.manifest["metrics"]["items"]
    assert ((scores >= 0) & (scores <= 1)).all()
    low, high = version.manifest["intervals"]["exact_match"]
    assert low < version.manifest["metrics"]["exact_match"] < high
    one, whole = training.unseen(version), models.load(version.folder / "model")
    assert len(one.models) == 5 and set(one.fold_of) == set(whole.items_) == one.fitted
    assert len(scores) == len(whole.items_)
    assert version.manifest["parents"] == []


def other_references(model, stored):
    restored(model, stored)
    model.items_ = model.items_[::-1]


def no_model(model, stored):
    stored.refuse("times.logs", "has type float64")


restored = models.candidate("forest")._restore


@pytest.mark.parametrize(
    ("restore", "message"),
    [
        (other_references, "a forest proposes something else once it was saved and loaded again"),
        (no_model, r"a forest cannot be loaded once it was saved \(.* has type float64"),
    ],
)
def test_a_version_that_is_not_the_same_once_it_was_saved_is_not_registered(
    after_october, october, monkeypatch, restore, message
):
    _, data, *_ = october
    before = {version.name for version in pipeline.registry(after_october).versions()}
    monkeypatch.setattr(models.candidate("forest"), "_restore", restore)
    with pytest.raises(ModelError, match=message) as error:
        pipeline.train(after_october, "again", data, "forest")
    assert "\n" not in str(error.value)
    assert str(error.value).endswith("this is a defect of Routing ML, please report it")
    registry = pipeline.registry(after_october)
    assert {version.name for version in registry.versions()} == before
    assert registry.damaged() == {}


@pytest.mark.parametrize("step", ["audit", "train", "compare"])
def test_a_parquet_file_that_was_changed_is_refused_by_name(after_october, october, step):
    _, data, trained, _ = october
    (victim,) = (after_october.home / "runs/october").glob("*_items.parquet")
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    pipeline.registry(after_october).get(trained["model"])
    with pytest.raises(InputError, match=r"training_dataset_202610_items\.parquet is not what"):
        if step == "audit":
            pipeline.audit(after_october, "october", data)
        elif step == "train":
            pipeline.train(after_october, "november", data, "forest")
        else:
            (after_october.home / "runs/october/decision.json").unlink()
            pipeline.compare(after_october, "october", data, [trained])


def test_another_dataset_under_the_same_name_is_refused(after_october, october):
    _, data, *_ = october
    pipeline.extract(after_october, "october", as_of=OCTOBER, limit=LIMIT - 300)
    with pytest.raises(InputError, match="is not the dataset this run extracted"):
        pipeline.audit(after_october, "october", data)


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


def copy_of(registry, version, *, key, now=None):
    def write(folder):
        for name in ("model", "twin"):
            shutil.copytree(version.folder / name, folder / name)

    facts = {
        name: version.manifest[name] for name in ("candidate", "metrics", "as_of", "agreement")
    }
    return registry.register(write, key=key, facts=facts, now=now)


@pytest.fixture
def counted(after_october):
    """The same, and its run has been recorded."""
    with closing(Store(after_october.store_url)) as store:
        store.record_run("october", succeeded=True, seconds=1)
    return after_october


@pytest.mark.parametrize("last", [None, 100, 40])
def test_a_clock_that_is_ahead_has_nothing_pruned_that_is_not_old_by_the_last_run(
    after_october, last
):
    """Here it is not the clock that is ahead: the last run is `last` days ago."""
    (after_october.home / "runs" / "old").mkdir()
    moment = time.time() - 185 * 86_400
    os.utime(after_october.home / "runs" / "old", (moment, moment))
    registry = pipeline.registry(after_october)
    october = registry.active()
    for days in (185, 300):
        copy_of(registry, october, key=str(days), now=datetime.now(UTC) - timedelta(days=days))
    with closing(Store(after_october.store_url)) as store:
        store.record_predictions(["A"], [0.9], [0.9], model="m", seconds=1, at=moment)
        if last is not None:
            at = time.time() - last * 86_400
            store.record_run("r", succeeded=True, seconds=1, ended_at=at)
    removed = pipeline.prune(after_october)
    assert (removed["runs"], removed["details"]) == ([], 0)
    assert len(removed["models"]) == (0 if last is None else 1)
    with closing(Store(after_october.store_url)) as store:
        store.record_run("s", succeeded=True, seconds=1)
    removed = pipeline.prune(after_october)
    assert (removed["runs"], removed["details"]) == (["old"], 1)


def test_prune_removes_what_is_old_but_not_the_model_in_use_nor_the_one_before(counted):
    given = counted
    registry = pipeline.registry(given)
    october = registry.active()
    ages = {"unused": 300, "before": 250, "active": 200, "recent": 100}
    named = {
        key: copy_of(registry, october, key=key, now=datetime.now(UTC) - timedelta(days=days)).name
        for key, days in ages.items()
    }
    for key in ("before", "active"):
        registry.promote(named[key], who="test", why="test")
    assert pipeline.prune(given)["models"] == [named["unused"]]
    left = {version.name for version in registry.versions()}
    assert left == {october.name, named["before"], named["active"], named["recent"]}


def test_prune_removes_run_folders_of_half_a_year_ago(counted):
    runs = counted.home / "runs"
    for name, days in (("old", 181), ("new", 179), (".trash", 400)):
        (runs / name).mkdir()
        (runs / name / "audit.json").write_text("{}")
        moment = time.time() - days * 86_400
        os.utime(runs / name, (moment, moment))
    assert pipeline.prune(counted)["runs"] == ["old"]
    assert sorted(path.name for path in runs.iterdir()) == [".trash", "new", "october"]
    assert not list((runs / ".trash").glob("old*"))


def test_prune_removes_proposals_and_recorded_details_but_no_total(counted):
    proposals = counted.home / "proposals"
    (proposals / "a.folder").mkdir(parents=True)
    os.utime(proposals / "a.folder", (0, 0))
    for name, days in (("old.parquet", 181), ("old.csv", 181), ("new.parquet", 179)):
        (proposals / name).touch()
        moment = time.time() - days * 86_400
        os.utime(proposals / name, (moment, moment))
    with closing(Store(counted.store_url)) as store:
        for days in (181, 179):
            at = time.time() - days * 86_400
            store.record_predictions(["A"], [0.9], [0.9], model="m", seconds=1, at=at)
        removed = pipeline.prune(counted)
        assert (removed["proposals"], removed["details"]) == (["old.csv", "old.parquet"], 1)
        assert len(store.predictions_after(0, model="m")) == 1
        assert store.snapshot().count("predictions") == 2
    assert sorted(path.name for path in proposals.iterdir()) == ["a.folder", "new.parquet"]


def test_drift_is_measured_from_the_model_that_scores_what_is_new(october):
    given, data, *_ = october
    version = pipeline.registry(given).active()
    loaded = dataset.load(given.home / data["uri"])
    newest = dataset.newest_routings(loaded.routings)
    fitted, held_out = dataset.split(loaded.items, newest)
    whole = models.load(version.folder / "model")
    asked = loaded.items.set_index("ITEM_CD").loc[[*fitted, *held_out]].reset_index()
    expected = whole.similarities(asked, dataset.entered(loaded.items, newest))
    scores = np.load(version.folder / "validation_scores.npy", allow_pickle=False)
    assert scores.tolist() == expected.tolist()
    assert Baseline.load(version.folder).mean == pytest.approx(scores.mean())


def test_what_killed_writers_left_goes_with_the_next_try(counted):
    given = counted
    left = [
        given.home / "datasets" / ".training_dataset_202611.parquet.0a1b2c3d.tmp",
        given.home / "runs/november/.training_dataset_202611.json.0a1b2c3d.tmp",
        given.home / "runs/november/.audit.json.0a1b2c3d.tmp",
        given.home / "runs/november/.extract-999999999/items.parquet",
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    pipeline.audit(
        given, "november", pipeline.extract(given, "november", as_of=NOVEMBER, limit=LIMIT)
    )
    assert [path for path in left if path.exists()] == []
    assert not list((given.home / "runs/november").glob(".*"))


@pytest.mark.parametrize("name", ["..", ".", "../../etc", "a/b", ".trash", "/etc", "가 나"])
def test_the_folder_of_a_run_lies_among_the_runs_whatever_its_name(tmp_path, name):
    folder = pipeline.run_folder(settings(tmp_path), name)
    assert folder.resolve().parent == tmp_path / "runs"
    assert not folder.name.startswith(".")


def test_data_below_a_gate_raise_and_leave_the_audit_to_the_report(tmp_path):
    given = settings(tmp_path)
    data = pipeline.extract(given, "few", as_of=NOVEMBER, limit=150)
    with pytest.raises(AuditError, match="at least 30 are needed"):
        pipeline.audit(given, "few", data)
    assert json.loads((tmp_path / "runs/few/audit.json").read_text())["passed"] is False


def test_all_offenders_of_the_audit_lie_beside_it(october):
    given, *_ = october
    folder = given.home / "runs" / "october"
    told = json.loads((folder / "audit.json").read_text())["offenders"]
    text = (folder / "offenders.csv").read_text(encoding="utf-8-sig")
    assert len(text.splitlines()) - 1 == sum(one["count"] for one in told) > 100


def test_what_check_found_is_written_down_and_passed_on_in_one_line(october):
    given, data, *_ = october
    checked = pipeline.check(given, "october", data)
    facts = json.loads((given.home / "runs/october/check.json").read_text())
    assert (checked["withheld"], facts["withheld"], facts["passed"]) == ([], [], True)
    assert checked["found"] == "nothing found"
    assert len(facts["routings_shown"]) == 5
    assert len(json.dumps(checked)) < 2_000


def test_what_cannot_be_right_raises_and_leaves_the_check_to_the_report(tmp_path):
    given = settings(tmp_path)
    data = pipeline.extract(given, "few", as_of=NOVEMBER, limit=150)
    with pytest.raises(AuditError, match=r"^this cannot be right: few items: "):
        pipeline.check(given, "few", data)
    assert json.loads((tmp_path / "runs/few/check.json").read_text())["passed"] is False


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


def test_a_source_that_is_not_configured_is_named(tmp_path):
    with pytest.raises(SettingError, match="no source is named 'plant9'"):
        pipeline.extract(settings(tmp_path), "r", source="plant9", as_of=NOVEMBER)


def test_a_state_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(InputError, match="ROUTING_ML_HOME"):
        pipeline.extract(settings(tmp_path), "r", as_of=NOVEMBER)


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


def test_the_hash_of_a_reference_is_that_of_its_file(october):
    given, _, _, decision = october
    assert files.sha256(given.home / decision["uri"]) == decision["sha256"]


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


def test_a_store_that_cannot_be_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(SettingError, match="must begin with sqlite"):
        settings(tmp_path, ROUTING_ML_STORE_URL="mysql://erp/x")
