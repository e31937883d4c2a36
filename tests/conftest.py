"""What the tests share: the sample, a state folder, a PostgreSQL."""

import atexit
import importlib
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import programs
import pytest
from postgresql import PostgreSQL, running

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "sample" / "factory_sample.accdb"

# Airflow reads its environment at import, so all this comes before any test module; the settings
# of whoever runs the tests must not reach them.
for name in list(os.environ):
    if name.startswith(("ROUTING_ML_", "AIRFLOW", "SLACK_", "TEAMS_")):
        del os.environ[name]
_AIRFLOW_HOME = tempfile.mkdtemp(prefix="routing-ml-airflow-")
atexit.register(shutil.rmtree, _AIRFLOW_HOME, ignore_errors=True)
os.environ |= {
    "AIRFLOW_HOME": _AIRFLOW_HOME,
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "OMP_NUM_THREADS": "1",
    # It comes with the tests' packages alone, and openpyxl would read otherwise with it.
    "OPENPYXL_DEFUSEDXML": "False",
}
sys.addaudithook(programs.refuse_others)
pytest_plugins = ["october", "dag_runs"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """CI asks for these: what a person's machine may lack, CI's may not."""
    parser.addoption("--no-skips", action="store_true", help="a skipped test is a failed one")
    parser.addoption("--wheel", action="store_true", help="the tests are of var/wheel's packages")


def pytest_configure(config: pytest.Config) -> None:
    """Sets what every run of the tests keeps to."""
    # pytest-randomly is for the order alone (--randomly-seed has one again): random numbers are
    # fixed where they are drawn, and the same in every run.
    config.option.randomly_reset_seed = False
    hypothesis.settings.register_profile("patient", deadline=None)
    hypothesis.settings.load_profile("patient")
    # The checkout is not tested where the wheel is asked for.
    if config.getoption("--wheel"):
        for name in ("routing_ml", "exporter"):
            found = Path(importlib.import_module(name).__file__ or "").parent
            if found != ROOT / "var" / "wheel" / name:
                raise pytest.UsageError(f"{name} is {found}, not the wheel's: use script/test")


# A minute and more each: begun last, one of them would keep a process busy when all else is done.
SLOW = (
    "test_pages_in_browser",
    "test_script_run",
    "test_compose",
    "test_dags_retrain",
    "test_dags_daily",
    "test_modes",
    "test_retraining",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Puts the slow files first where several processes share the tests, each in its order."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.path.stem not in SLOW)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Turns a skip into a failure where `--no-skips` is given."""
    report: pytest.TestReport = yield
    if report.skipped and item.config.getoption("--no-skips") and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"skipped, and may not be: {report.longrepr}"
    return report


@pytest.fixture(autouse=True, scope="session")
def _files_settle_quickly() -> None:
    """The tests write their files and read them at once, which a person does not."""
    from routing_ml.source import opening

    opening.SETTLED_S = 0.01


@pytest.fixture(scope="session")
def sample() -> Path:
    """The sample factory's Access file."""
    return SAMPLE


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh ROUTING_ML_HOME, set in the environment."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("ROUTING_ML_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL on loopback for all tests; one that is to be stopped has `running` itself."""
    with running() as server:
        yield server


@contextmanager
def two_folds() -> Iterator[None]:
    """While it lasts, a small factory's candidates are fitted three times in this process instead
    of six: half the time, where no figure is what is tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("routing_ml.pipeline.unseen.FOLDS", 2)
        yield


def free_port() -> int:
    """A TCP port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
