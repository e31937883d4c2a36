"""A state folder of an earlier release goes on working: models, history, store, proposals."""

import json
import tarfile
from pathlib import Path

import pandas as pd
import pytest

from routing_ml.cli import main
from routing_ml.registry import Registry

KEPT = Path(__file__).parent / "kept"
NEAREST, BOOSTED = "model_20261125_190923", "model_20261125_190932"


@pytest.fixture(params=sorted(KEPT.glob("state_*.tar.xz")), ids=lambda path: path.name)
def state(request: pytest.FixtureRequest, home: Path) -> Path:
    """A state folder as that release left it, in use."""
    # Debian 12's Python 3.11.2 has no filters yet.
    filtered = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(request.param) as archive:
        archive.extractall(home, **filtered)  # noqa: S202 - our own
    return home


def said(capsys: pytest.CaptureFixture[str], *command: str) -> dict:
    capsys.readouterr()
    assert main([*command, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_model_in_use_proposes_what_it_proposed_then(state, sample, capsys, tmp_path):
    out = tmp_path / "proposals.parquet"
    found = said(capsys, "predict", "--source", str(sample), "--out", str(out))
    assert found["model"] == BOOSTED
    (kept,) = (state / "proposals").glob("*.parquet")
    then, now = pd.read_parquet(kept), pd.read_parquet(out)
    pd.testing.assert_frame_equal(now[then.columns], then)


def test_versions_and_history_can_be_read_and_rolled_back(state, capsys):
    listed = said(capsys, "models")
    assert {row["model"] for row in listed["models"] if row["active"]} == {BOOSTED}
    assert [entry["to"] for entry in listed["history"]] == [NEAREST, BOOSTED]
    assert said(capsys, "rollback")["model"] == NEAREST
    active = Registry(state / "models").active()
    assert active is not None and active.name == NEAREST


def test_a_dataset_of_then_is_loaded_audited_and_scored(state, capsys):
    data = str(state / "datasets")
    assert said(capsys, "audit", data)["passed"]
    found = said(capsys, "evaluate", BOOSTED, data)
    kept = json.loads((state / "models" / BOOSTED / "manifest.json").read_text())["metrics"]
    assert {name: found[name] for name in kept} == kept


def test_the_drift_watch_goes_on_with_its_window(state, capsys):
    then = said(capsys, "drift", "status")
    assert then["buffer_size"] == 21
    assert said(capsys, "drift", "evaluate")["buffer_size"] == 21


def test_a_retraining_compares_with_the_model_of_then(state, sample, capsys):
    outcome = said(
        capsys,
        *("retrain", "--source", str(sample), "--as-of", "2026-11-01", "--limit", "3000"),
        *("--candidates", "nearest", "--promotion", "never"),
    )
    assert outcome["model"] == BOOSTED and not outcome["promoted"]
    assert "nearest" in outcome["reason"]
