"""Candidates fitted side by side come to what they come to one after the other."""

import multiprocessing
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from conftest import SAMPLE

from routing_ml import clock
from routing_ml.errors import ModelError
from routing_ml.pipeline import steps, workers
from routing_ml.pipeline.fitting import train_each
from routing_ml.settings import Settings

AS_OF = datetime(2026, 11, 1)


@pytest.fixture(scope="module")
def extracted(tmp_path_factory):
    home = tmp_path_factory.mktemp("side by side")
    env = {"ROUTING_ML_HOME": str(home), "ROUTING_ML_SOURCE": str(SAMPLE)}
    settings = Settings.from_env(env)
    return settings, steps.extract(settings, "r", as_of=AS_OF, limit=500)


def test_side_by_side_the_versions_are_those_of_one_after_the_other(extracted):
    settings, data = extracted
    moment = datetime(2026, 11, 2, 3, tzinfo=UTC)
    with clock.at(moment):
        both = dict(train_each(settings, "r", data, ["nearest", "forest"], at_once=2))
    registry = steps.registry(settings)
    made = {name: registry.get(found["model"]) for name, found in both.items()}
    # Their seconds are those of their order, whichever ends first.
    named = [made[name].name for name in ("nearest", "forest")]
    assert named == ["model_20261102_030000", "model_20261102_030001"]
    # In this process they find what was registered under the same key, which is of equal content.
    assert dict(train_each(settings, "r", data, ["nearest", "forest"])) == both


def test_one_that_fails_is_its_own_failure(extracted):
    settings, data = extracted
    found = dict(train_each(settings, "r2", data, ["nearest", "oracle"], at_once=2))
    assert "model" in found["nearest"]
    assert isinstance(found["oracle"], Exception)
    assert "oracle" in str(found["oracle"])


def test_one_whose_process_is_killed_says_so_and_the_other_goes_on(extracted, monkeypatch):
    settings, data = extracted
    start = workers._start

    def killed(*given):
        mine, process = start(*given)
        if not began:  # it gets the last one
            os.kill(process.pid, signal.SIGKILL)
            process.join()
        began.append(process)
        return mine, process

    began = []
    monkeypatch.setattr(workers, "_start", killed)
    found = dict(train_each(settings, "r3", data, ["nearest", "forest"], at_once=2))
    assert "model" in found["nearest"]
    assert isinstance(found["forest"], ModelError)
    assert str(found["forest"]).startswith("its process ended with -9 before it was fitted")


def test_who_stops_in_the_middle_leaves_no_process(extracted):
    settings, data = extracted
    each = train_each(settings, "r4", data, ["nearest", "forest", "boosted"], at_once=3)
    next(each)
    assert multiprocessing.active_children()
    each.close()
    assert multiprocessing.active_children() == []


def test_no_python_file_of_the_folder_that_it_is_started_in_is_run(tmp_path_factory):
    tmp_path, script = tmp_path_factory.mktemp("here"), tmp_path_factory.mktemp("bin") / "run"
    for name in ("multiprocessing", "numpy", "routing_ml", "signal"):
        (tmp_path / f"{name}.py").write_text("open('it ran', 'w')\n")
    script.write_text(  # as `routing-ml` is one
        "from routing_ml.pipeline.fitting import train_each\n"
        "from routing_ml.settings import Settings\n"
        "if __name__ == '__main__':\n"
        "    each = train_each(Settings.from_env(), 'r', {}, ['nearest', 'forest'], at_once=2)\n"
        "    print(sorted(name for name, _ in each))\n"
    )
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "['forest', 'nearest']\n"
    assert not (tmp_path / "it ran").exists()
