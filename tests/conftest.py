"""What the tests share: the sample, a state folder, a PostgreSQL of their own."""

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

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
}


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


@dataclass(frozen=True)
class Postgres:
    """A running server on loopback; every client is trusted."""

    port: int
    user: str = "postgres"
    host: str = "127.0.0.1"

    def url(self, database: str = "postgres") -> str:
        """The address of a database, as `ROUTING_ML_STORE_URL` takes it."""
        return f"postgresql://{self.user}@{self.host}:{self.port}/{database}"

    def odbc(self, database: str = "postgres") -> str:
        """The connection string of a database for Debian's ODBC driver."""
        return (
            f"DRIVER={{PostgreSQL Unicode}};SERVER={self.host};PORT={self.port};"
            f"DATABASE={database};UID={self.user}"
        )


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Debian's PostgreSQL in a temporary folder, run as an ordinary user: it refuses root."""
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    programs = max(versions, key=lambda path: float(path.parent.name), default=None)
    assert programs, "PostgreSQL is not installed; script/test installs it"
    account = {"user": "postgres", "group": "postgres", "extra_groups": []}
    as_user = account if os.geteuid() == 0 else {}
    server = Postgres(free_port())
    folder = Path(tempfile.mkdtemp(prefix="routing-ml-postgres-"))
    data = folder / "data"
    if as_user:
        shutil.chown(folder, "postgres", "postgres")

    def call(*command: str) -> None:
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, **as_user)

    options = f"-c listen_addresses={server.host} -p {server.port} -k {folder} -c fsync=off"
    control = [str(programs / "pg_ctl"), "-D", str(data), "-w"]
    try:
        call(
            str(programs / "initdb"),
            "-D",
            str(data),
            "-U",
            server.user,
            "-A",
            "trust",
            "-E",
            "UTF8",
        )
        call(*control, "-o", options, "-l", str(folder / "server.log"), "start")
        try:
            yield server
        finally:
            call(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def postgres_database(postgres: Postgres) -> str:
    """The name of a new, empty database on that server."""
    import psycopg

    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return name


def free_port() -> int:
    """A TCP port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
