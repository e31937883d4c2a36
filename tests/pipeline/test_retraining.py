import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from datetime import datetime

import pytest
from conftest import two_folds
from slack_fixtures import FakeSlack

from routing_ml import models
from routing_ml.errors import ModelError
from routing_ml.pipeline import steps as pipeline
from routing_ml.pipeline.retraining import StepError, retrain
from routing_ml.settings import Settings
from routing_ml.store.store import Store

AS_OF = datetime(2026, 11, 1, 2)
OUTCOME_KEYS = {
    *("moment", "page"),
    "run",
    "seconds",
    "started_by",
    "hands",
    "found_better",
    "succeeded",
    "model",
    "promoted",
    "reason",
    "metrics",
    "intervals",
    "candidates",
    "data",
    "cause",
    "failed",
    "withheld",
    "report",
    "nothing_new",
    "source_away",
}


def settings(home, **env):
    return Settings.from_env({"ROUTING_ML_HOME": str(home)} | env)


def quick(given, **options):
    options = {"as_of": AS_OF, "limit": 1_500, "candidates": ["forest"]} | options
    with two_folds():
        return retrain(given, **options)


def outcomes(home):
    paths = sorted((home / "runs").glob("*/outcome.json"))
    return [json.loads(path.read_text()) for path in paths]


def test_two_retrainings_of_one_moment_have_equal_data_and_metrics(tmp_path):
    given = settings(tmp_path)
    first, second = quick(given), quick(given)
    assert first["data"]["sha256"] == second["data"]["sha256"]
    metrics = [one["candidates"]["forest"]["metrics"] for one in (first, second)]
    assert metrics[0] == metrics[1]
    assert [first["promoted"], first["succeeded"], second["succeeded"]] == [True] * 3
    assert first["run"] != second["run"]


def test_the_outcome_says_what_a_caller_needs_and_is_what_the_file_holds(tmp_path):
    said = []
    with FakeSlack() as slack:
        outcome = quick(settings(tmp_path, SLACK_WEBHOOK_URL=slack.url), say=said.append)
    assert [line.split()[0] for line in said] == ["extract", "check", "audit", "train", "compare"]
    assert outcome.keys() == OUTCOME_KEYS
    assert outcomes(tmp_path) == [outcome]
    assert outcome["model"] == pipeline.registry(settings(tmp_path)).active().name
    assert outcome["cause"] == "by command"
    assert [message["text"] for message in slack.messages] == ["Routing ML: a new model is in use"]


def test_a_source_that_cannot_be_read_ends_in_one_line_an_outcome_and_a_message(tmp_path):
    bad = tmp_path / "erp.accdb"
    bad.write_bytes(b"")
    with FakeSlack() as slack:
        given = settings(tmp_path / "home", SLACK_WEBHOOK_URL=slack.url, ROUTING_ML_SOURCE=str(bad))
        with pytest.raises(StepError, match=f"^extract: .*{bad}") as error:
            quick(given)
    assert "\n" not in str(error.value)
    assert outcomes(given.home) == [error.value.outcome]
    assert error.value.outcome["model"] is None
    assert [message["text"] for message in slack.messages] == ["Routing ML: the retraining failed"]


def test_a_candidate_that_fails_leaves_the_other_to_be_used_and_the_run_failed(
    tmp_path, monkeypatch
):
    fit = models.learn

    def fails(name, *given, **options):
        if name == "boosted":
            raise ModelError("boosted cannot be fitted on this")
        return fit(name, *given, **options)

    monkeypatch.setattr(models, "learn", fails)
    given = settings(tmp_path)
    with pytest.raises(StepError, match="train boosted: boosted cannot be fitted") as error:
        quick(given, candidates=["boosted", "forest"])
    assert error.value.outcome["promoted"]
    assert pipeline.registry(given).active().name == error.value.outcome["model"]


def test_when_every_candidate_fails_nothing_is_compared(tmp_path, monkeypatch):
    def fails(*given, **options):
        raise ModelError("cannot be fitted")

    monkeypatch.setattr(models, "learn", fails)
    with pytest.raises(StepError) as error:
        quick(settings(tmp_path))
    assert error.value.outcome["failed"] == {"train forest": "cannot be fitted"}
    assert not (tmp_path / "models" / "active").exists()


def test_a_slack_that_is_away_makes_no_good_run_a_failed_one(tmp_path, caplog):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/services/x"
    outcome = quick(settings(tmp_path, SLACK_WEBHOOK_URL=url))
    assert outcome["succeeded"] and outcome["promoted"]
    assert outcomes(tmp_path) == [outcome]
    assert "nobody could be told of run" in caplog.text
    with closing(Store(settings(tmp_path).store_url)) as store:
        assert store.fact("model")["name"] == outcome["model"]


@pytest.mark.parametrize("step", ["extract", "check", "audit", "train", "compare", "promote"])
def test_an_error_that_nobody_has_foreseen_leaves_an_outcome_and_is_counted(
    tmp_path, monkeypatch, step
):
    def fails(*given, **options):
        raise IndexError("list index out of range")

    monkeypatch.setattr(pipeline, step, fails)
    with pytest.raises(StepError, match="IndexError: list index out of range; this is a defect"):
        quick(settings(tmp_path))
    (outcome,) = outcomes(tmp_path)
    assert not outcome["succeeded"]
    assert list(outcome["failed"]) == [f"{step} forest" if step == "train" else step]
    with closing(Store(settings(tmp_path).store_url)) as store:
        assert [run["reason"] for run in store.runs()] == [outcome["reason"]]


def test_a_link_to_no_version_is_told_of(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "active").symlink_to("model_20200101_000000")
    with pytest.raises(StepError, match="report: the active model cannot be used") as error:
        quick(settings(tmp_path))
    assert error.value.outcome["model"] is None
    assert not error.value.outcome["succeeded"]


def test_a_retraining_that_is_killed_leaves_the_model_in_use(tmp_path):
    given = settings(tmp_path)
    first = quick(given)
    code = (
        "from datetime import datetime; from routing_ml.pipeline import retrain;"
        "from routing_ml.settings import Settings;"
        "retrain(Settings.from_env(), as_of=datetime(2026, 11, 1, 2), candidates=['forest'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", code], env=os.environ | {"ROUTING_ML_HOME": str(tmp_path)}
    )
    models_folder, before = tmp_path / "models", set((tmp_path / "models").iterdir())
    end = time.monotonic() + 60
    while len(list((tmp_path / "runs").glob("*/audit.json"))) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert pipeline.registry(given).active().verify().name == first["model"]
    assert {path for path in models_folder.iterdir() if path.name.startswith("model_")} <= before
