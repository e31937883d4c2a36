"""Each step of a retraining, on the sample: what it leaves, and what it refuses."""

import json

import numpy as np
import pytest
from october import LIMIT, NOVEMBER, OCTOBER, run, settings, whole_run

from routing_ml import files, models
from routing_ml.dataset import frames as dataset
from routing_ml.drift.baseline import Baseline
from routing_ml.errors import AuditError, InputError, ModelError, SettingError
from routing_ml.pipeline import steps as pipeline
from routing_ml.pipeline import training


def content(folder):
    """Every file below and its bytes, but for locks and the store, which says when a source was
    read."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (".lock", "store.db", "store.db-shm", "store.db-wal")
    }


def test_two_runs_of_one_moment_give_equal_data_and_metrics(october, tmp_path):
    given = settings(tmp_path)
    data, trained, decision = whole_run(given, "another", as_of=OCTOBER)
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


restored = models.candidate("forest")._restore


def other_references(model, stored):
    restored(model, stored)
    model.items_ = model.items_[::-1]


def no_model(model, stored):
    stored.refuse("times.logs", "has type float64")


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


def test_a_source_that_is_not_configured_is_named(tmp_path):
    with pytest.raises(SettingError, match="no source is named 'plant9'"):
        pipeline.extract(settings(tmp_path), "r", source="plant9", as_of=NOVEMBER)


def test_a_state_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(InputError, match="ROUTING_ML_HOME"):
        pipeline.extract(settings(tmp_path), "r", as_of=NOVEMBER)


def test_the_hash_of_a_reference_is_that_of_its_file(october):
    given, _, _, decision = october
    assert files.sha256(given.home / decision["uri"]) == decision["sha256"]


def test_a_store_that_cannot_be_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(SettingError, match="must begin with sqlite"):
        settings(tmp_path, ROUTING_ML_STORE_URL="mysql://erp/x")
