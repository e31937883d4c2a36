"""The DAGs as Airflow reads and runs them, in this process, on the sample; a first run of the
retraining is made once a process.
"""

import copy
import json
import shutil
import sys
from contextlib import closing, contextmanager
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from conftest import ROOT, SAMPLE, two_folds
from data_fixtures import access_rows, sqlite_source

from routing_ml.registry.registry import Registry
from routing_ml.settings import default_url
from routing_ml.store.store import Store

DAGS = ROOT / "dags"
SEOUL = ZoneInfo("Asia/Seoul")
# All of them each time: in one process, a parameter keeps the value of the run before.
QUICK = {
    "source": "default",
    "limit": 2000,
    "as_of": "2026-11-01T00:00:00+09:00",
    "candidates": ["forest"],
    "promotion": "automatic",
}


@pytest.fixture(scope="session")
def dag_bag():
    from airflow.dag_processing.dagbag import DagBag
    from airflow.utils.db import initdb

    initdb()
    sys.path.insert(0, str(DAGS))
    yield DagBag(DAGS)
    sys.path.remove(str(DAGS))


@contextmanager
def impatient(dag):
    """A DAG whose tries wait for nothing."""
    before = [(task, task.retry_delay, task.retry_exponential_backoff) for task in dag.tasks]
    for task in dag.tasks:
        task.retry_delay, task.retry_exponential_backoff = timedelta(0), 0
    yield dag
    for task, delay, backoff in before:
        task.retry_delay, task.retry_exponential_backoff = delay, backoff


@pytest.fixture
def dag(dag_bag):
    with impatient(dag_bag.dags["routing_ml_retrain"]) as dag:
        yield dag


def ran(dag, **given):
    """A run of `dag`, which keeps its own parameters: Airflow leaves those of the run in it."""
    before = copy.deepcopy(dag.params)
    try:
        with two_folds():
            return dag.test(run_conf=given)
    finally:
        dag.params = before


def states_of(dag, **changes):
    """The states of the tasks of a run of `dag`, and the run."""
    run = ran(dag, **changes)
    return {task.task_id: str(task.state) for task in run.get_task_instances()}, run


class Run:
    """A run that has ended: its state, its tasks' states and tries, its outcome, its XComs."""

    def __init__(self, dag, home, **changes):
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session

        run = ran(dag, **QUICK | changes)
        self.id, self.state = run.run_id, str(run.state)
        tasks = run.get_task_instances()
        names = {t: t.task_id + (f" {t.map_index}" if t.map_index >= 0 else "") for t in tasks}
        self.states = {name: str(t.state) for t, name in names.items()}
        self.tries = {name: t.try_number for t, name in names.items()}
        self.labels = [t.rendered_map_index for t in tasks if t.map_index >= 0]
        (folder,) = (home / "runs").glob(f"*{self.id[-18:-6].replace(':', '_')}*")
        self.outcome = json.loads((folder / "outcome.json").read_text())
        with create_session() as session:
            rows = session.query(XComModel).filter(XComModel.run_id == self.id).all()
            self.xcoms = {(row.task_id, row.key): row.value for row in rows}


@pytest.fixture(scope="session")
def first(dag_bag, tmp_path_factory):
    """A first run that succeeds, with nobody to tell; several tests look at it. Its paths are such
    as people have them."""
    folder = tmp_path_factory.mktemp("first")
    home, source = folder / "상태 é;{a}'", folder / "공장 데이터;{b} 'x'.accdb"
    home.mkdir()
    source.symlink_to(SAMPLE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROUTING_ML_HOME", str(home))
        patch.setenv("ROUTING_ML_SOURCE", str(source))
        return home, Run(dag_bag.dags["routing_ml_retrain"], home)


@pytest.fixture
def in_use(first, tmp_path, monkeypatch):
    """A home of its own with a model in use."""
    home = tmp_path / "in_use"
    shutil.copytree(first[0], home, symlinks=True)
    monkeypatch.setenv("ROUTING_ML_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def rows(sample):
    return access_rows(sample)


@pytest.fixture
def changed(rows, tmp_path, monkeypatch):
    """Makes the default source a copy of the sample with one column of a table set to a value."""

    def change(table, column, value):
        at = rows[table].index(column)
        new = rows[table].changed((*row[:at], value, *row[at + 1 :]) for row in rows[table].rows)
        monkeypatch.setenv(
            "ROUTING_ML_SOURCE", sqlite_source(tmp_path / "f.sqlite", rows | {table: new})
        )

    return change


def store(home):
    return closing(Store(default_url(home)))


@pytest.fixture
def unmounted(in_use, tmp_path, monkeypatch):
    """The home of `in_use`, whose source is on a share that is not mounted; mounts it when called.

    Its model is of the dataset that the source gave last."""
    given = Registry(in_use / "models").active().manifest["data_sha256"]
    path = tmp_path / "share" / "erp.accdb"
    for manifest in (in_use / "datasets").glob("*.json"):
        named = json.loads(manifest.read_text()) | {"source": str(path)}
        manifest.write_text(json.dumps(named))
    monkeypatch.setenv("ROUTING_ML_SOURCE", str(path))

    def mount():
        path.parent.mkdir()
        path.symlink_to(SAMPLE)

    mount.learned = given
    return mount
