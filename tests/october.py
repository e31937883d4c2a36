"""A state folder whose model in use was fitted on October's data, made once a process."""

import shutil
from contextlib import closing
from datetime import datetime

import pytest
from conftest import two_folds

from routing_ml.pipeline import steps as pipeline
from routing_ml.settings import Settings
from routing_ml.store.store import Store

OCTOBER, NOVEMBER = datetime(2026, 10, 1, 2), datetime(2026, 11, 1, 2)
LIMIT = 2_500


def settings(home, **env):
    return Settings.from_env({"ROUTING_ML_HOME": str(home)} | env)


def run(given, run_id, **options):
    """Every step up to the decision, and the promotion where it says so."""
    with two_folds():
        return whole_run(given, run_id, **options)


def whole_run(given, run_id, *, as_of=NOVEMBER, limit=LIMIT, **options):
    """The same with as many folds as the product has."""
    data = pipeline.extract(given, run_id, as_of=as_of, limit=limit)
    pipeline.check(given, run_id, data)
    pipeline.audit(given, run_id, data)
    trained = pipeline.train(given, run_id, data, "forest")
    decision = pipeline.compare(given, run_id, data, [trained], **options)
    if decision["promote"]:
        pipeline.promote(given, run_id, decision)
    return data, trained, decision


@pytest.fixture(scope="session")
def october(tmp_path_factory):
    """A state folder whose model in use was fitted on October's data; read, never changed."""
    home = tmp_path_factory.mktemp("october")
    given = settings(home)
    return given, *whole_run(given, "october", as_of=OCTOBER)


@pytest.fixture
def after_october(october, tmp_path):
    """A copy of it to change."""
    shutil.copytree(october[0].home, tmp_path / "home", symlinks=True)
    return settings(tmp_path / "home")


@pytest.fixture
def counted(after_october):
    """The same, and its run has been recorded."""
    with closing(Store(after_october.store_url)) as store:
        store.record_run("october", succeeded=True, seconds=1)
    return after_october


def copy_of(registry, version, *, key, now=None):
    def write(folder):
        for name in ("model", "twin"):
            shutil.copytree(version.folder / name, folder / name)

    facts = {
        name: version.manifest[name] for name in ("candidate", "metrics", "as_of", "agreement")
    }
    return registry.register(write, key=key, facts=facts, now=now)
