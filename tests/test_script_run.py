"""script/run as a newcomer types it, with a real Airflow on other ports and a temporary state."""

import ctypes
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import programs
import psutil
import pytest
from conftest import ROOT, free_port

sys.path.insert(0, str(ROOT / "script"))

import install
import processes

PR_SET_CHILD_SUBREAPER = 36
START_SECONDS, PATIENCE_SECONDS = 480, 60


@dataclass
class Started:
    """A script/run that goes on: its process, its ports and what it has printed."""

    process: subprocess.Popen
    airflow_port: int
    exporter_port: int
    home: Path

    def printed(self) -> str:
        return (self.home.parent / "printed.txt").read_text()

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + START_SECONDS
        while text not in self.printed():
            assert self.process.poll() is None, self.printed()
            assert time.monotonic() < end, self.printed()
            time.sleep(0.2)

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """Starts script/run; nothing that it started may be alive once it has ended."""
    # Whatever a script/run leaves behind becomes a child of this process.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    before = set(psutil.Process().children())  # such as a database of another test
    started: list[Started] = []

    def run(*options: str, home: Path = tmp_path / "home") -> Started:
        ports = free_port(), free_port()
        chosen = ["--airflow-port", str(ports[0]), "--exporter-port", str(ports[1])]
        with (tmp_path / "printed.txt").open("w") as output:
            process = subprocess.Popen(
                [str(ROOT / "script" / "run"), *chosen, *options],
                env=os.environ | {"ROUTING_ML_HOME": str(home)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        started.append(Started(process, *ports, home))
        return started[-1]

    yield run
    for each in started:
        if each.process.poll() is None:
            each.end(signal.SIGTERM)
    left = set(psutil.Process().children()) - before
    for process in left:
        for each_left in [*process.children(recursive=True), process]:
            each_left.kill()
    assert not left


def test_once_retrains_on_the_sample_and_ends_well(start):
    begun = start("--once")
    assert begun.process.wait(START_SECONDS) == 0, begun.printed()
    printed = begun.printed()
    [outcome] = begun.home.glob("runs/*/outcome.json")
    told = json.loads(outcome.read_text())
    assert told["succeeded"] and told["promoted"]
    assert (begun.home / "models" / "active").resolve().name == told["model"]
    assert f"{told['model']}, promoted" in printed
    assert told["page"] in printed
    for step in ("set-up", "Airflow's start", "extract", "audit", "train", "report"):
        assert step in printed

    serving = start()
    serving.wait_for("Ctrl-C ends both")
    assert f"no retraining: {told['model']} is in use" in serving.printed()
    assert serving.end(signal.SIGINT) == 0
    assert [*begun.home.glob("runs/*/outcome.json")] == [outcome]


def test_it_serves_only_where_it_is_told_to(start):
    serving = start("--no-retrain")
    serving.wait_for("Ctrl-C ends both")
    assert "no retraining: no model is in use yet" in serving.printed()
    assert not [*serving.home.glob("runs/*")]
    assert serving.end(signal.SIGINT) == 0


def test_a_linked_environment_is_not_emptied(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "script")
    import install

    others = tmp_path / "others"
    others.mkdir()
    (others / "precious").touch()
    link = tmp_path / ".venv"
    link.symlink_to(others)
    monkeypatch.setattr(install, "VENV", link)
    with pytest.raises(install.SetupError, match="would be emptied; remove the link"):
        install._make_venv(print, tmp_path / "log")
    assert (others / "precious").exists()


def test_it_serves_on_loopback_after_a_failed_run_until_ctrl_c(start, tmp_path, monkeypatch):
    # One item is too few, which no retry mends: the run fails at the check.
    with sqlite3.connect(tmp_path / "erp.db") as erp:
        erp.executescript(
            "CREATE TABLE item (code TEXT, made TIMESTAMP);"
            "CREATE TABLE route (code TEXT, revision TEXT, step INTEGER, made TIMESTAMP,"
            " job TEXT, setup REAL, run REAL);"
            "INSERT INTO item VALUES ('A', '2026-01-01 00:00:00');"
            "INSERT INTO route VALUES ('A', '1', 10, '2026-01-01 00:00:00', 'CUT', 5, 2);"
        )
    columns = tmp_path / "columns.toml"
    columns.write_text(
        '[items]\ntable = "item"\nitem = "code"\nentered = "made"\n'
        '[routings]\ntable = "route"\nitem = "code"\nrevision = "revision"\nsequence = "step"\n'
        'entered = "made"\noperation = "job"\nsetup_minutes = "setup"\nrun_minutes = "run"\n'
    )
    monkeypatch.setenv("ROUTING_ML_COLUMNS", str(columns))
    serving = start("--source", f"DRIVER={{SQLite3}};Database={tmp_path / 'erp.db'}")
    serving.wait_for("Ctrl-C ends both")
    outcome = serving.printed().partition("outcome   failed")[2]
    assert "1 item has a routing" in outcome, serving.printed()

    everyone = psutil.Process(serving.process.pid).children(recursive=True)
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for process in everyone
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    ports = {serving.airflow_port, serving.exporter_port}
    assert listening == {("127.0.0.1", port) for port in ports}

    second = subprocess.run(
        [str(ROOT / "script" / "run"), "--once"],
        env=os.environ | {"ROUTING_ML_HOME": str(serving.home)},
        capture_output=True,
        text=True,
    )
    assert second.returncode == 1
    assert second.stderr.startswith("script/run: script/run already runs on")
    assert second.stderr.count("\n") == 1

    assert serving.end(signal.SIGINT) == 1
    assert "stopping" in serving.printed()


def test_a_signal_during_the_start_ends_what_has_started(start):
    starting = start("--once")
    log = starting.home / "log" / "dag-processor.log"
    while not log.exists():
        assert starting.process.poll() is None, starting.printed()
        time.sleep(0.1)
    time.sleep(1)
    assert starting.end(signal.SIGTERM) == 128 + signal.SIGTERM
    assert "stopped" in starting.printed()


def test_a_busy_port_is_named_with_the_option_that_chooses_another(start):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for option in ("--airflow-port", "--exporter-port"):
            refused = start("--once", option, str(port))
            assert refused.process.wait(PATIENCE_SECONDS) == 1
            [line] = refused.printed().splitlines()
            assert f"port {port}" in line
            assert option in line


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--source", "/no/such.accdb"], "/no/such.accdb is not there"),
        (["--source", "/"], "/ is no file"),
        (["--airflow-port", "0"], "'0' is no port"),
        (["--airflow-port", "9000", "--exporter-port", "9000"], "port 9000 cannot serve both"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(start, options, named):
    refused = start("--once", *options)
    assert refused.process.wait(PATIENCE_SECONDS) != 0
    assert named in refused.printed().splitlines()[-1]
    assert not refused.home.exists()


def test_a_state_folder_that_cannot_be_written_is_named(start, tmp_path):
    (tmp_path / "file").touch()
    refused = start("--once", home=tmp_path / "file")
    assert refused.process.wait(PATIENCE_SECONDS) == 1
    [line] = (tmp_path / "printed.txt").read_text().splitlines()
    assert f"state folder {tmp_path / 'file'} cannot be written" in line


def test_a_python_out_of_range_is_refused_with_the_rule():
    refused = subprocess.run(
        [str(ROOT / "script" / "run"), "--once"],
        env=os.environ | {"PYTHON": "/bin/false"},
        capture_output=True,
        text=True,
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith("PYTHON is /bin/false, which is no Python 3.11 to 3.13")


def test_who_may_not_install_is_told_the_command(monkeypatch, tmp_path):
    programs = {"apt-get": "/usr/bin/apt-get", "dpkg-query": "/usr/bin/dpkg-query"}
    monkeypatch.setattr(install.shutil, "which", programs.get)
    monkeypatch.setattr(install.os, "geteuid", lambda: 1000)
    with pytest.raises(install.SetupError) as refused:
        install._install_system_packages(["no-such-package"], print, tmp_path / "log")
    assert "apt-get install -y --no-install-recommends no-such-package" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_every_program_that_a_test_starts_is_installed():
    brought = {*install.RUN_PACKAGES, *install.TEST_PACKAGES}
    assert set(programs.INSTALLED.values()) <= brought
    for name in (*programs.ESSENTIAL, *programs.INSTALLED):
        assert shutil.which(name), name
    with pytest.raises(AssertionError, match="starts ps, which"):
        subprocess.run(["ps"])


def test_what_a_test_starts_imports_what_is_installed():
    for option in ("-c", "-m"):
        with pytest.raises(AssertionError, match=f"starts Python with {option} and without -P"):
            subprocess.run(["bash", "-c", "true", sys.executable, option, "routing_ml"])


@pytest.mark.parametrize(("options", "code"), [([], 0), (["--no-skips"], 1)])
def test_a_skip_is_a_failure_where_ci_asks_for_it(options, code, tmp_path):
    assert "--no-skips" in (ROOT / ".ci" / "run").read_text()
    (tmp_path / "test_it.py").write_text("import pytest\ndef test_it(): pytest.skip('a reason')")
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-p", "conftest", "-rsf", *options, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "tests")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == code
    assert "a reason" in ran.stdout


def test_uv_looks_where_pip_was_told_to():
    told = install.uv_settings(
        "global.extra-index-url='https://a.example/simple https://b.example/simple'\n"
        "global.index-url='https://old.example/simple'\n"
        ":env:.index-url='https://new.example/simple'\n"
    )
    assert told["UV_DEFAULT_INDEX"] == "https://new.example/simple"
    assert told["UV_INDEX"] == "https://a.example/simple https://b.example/simple"


def test_stop_kills_what_ignores_the_request(tmp_path):
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import pathlib, processes, time, os\n"
        "processes.GRACE_SECONDS = 0.5\n"
        "all = processes.Processes(pathlib.Path(sys.argv[2]))\n"
        "deaf = \"trap '' TERM; (setsid sleep 60 &); while :; do sleep 1; done\"\n"
        "all.start('deaf', ['bash', '-c', deaf], os.environ)\n"
        "while len(processes._descendants()) < 3: time.sleep(0.05)\n"
        "all.stop(); print(processes._descendants())"
    )
    ended = subprocess.run(
        [sys.executable, "-P", "-c", script, str(ROOT / "script"), str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert ended.stdout.strip() == "[]", ended.stderr


def test_a_program_that_ends_is_reported_with_its_last_words(tmp_path):
    programs = processes.Processes(tmp_path)
    programs.start("brief", ["bash", "-c", "echo the reason; exit 3"], os.environ)
    with pytest.raises(processes.ProcessError, match=r"brief ended with code 3[^$]*the reason"):
        programs.finish("brief")


def test_what_looks_at_the_pages_is_installed_anew_when_its_lock_changes(tmp_path, monkeypatch):
    commands = []

    def call(command, log, environment):
        commands.append(command[1:2])
        (tmp_path / "node_modules").mkdir(exist_ok=True)

    monkeypatch.setattr(install, "NODE", tmp_path)
    monkeypatch.setattr(install, "_call", call)
    lock, said = tmp_path / "package-lock.json", []
    lock.write_text('{"packages": {"": {}, "node_modules/axe-core": {}}}')
    for _ in range(2):
        if not install._has_node_modules():
            install._install_node_modules(said.append, tmp_path / "log")
    assert commands == [["ci"]] and "1 npm packages" in said[0]
    lock.write_text('{"packages": {"": {}}}')
    assert not install._has_node_modules()


def test_a_browser_that_did_not_come_with_apt_is_one(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not install._is_installed("chromium")
    (tmp_path / "google-chrome").touch(mode=0o755)
    assert install._is_installed("chromium")


def test_further_people_of_airflow_stand_beside_the_administrator(tmp_path):
    from instance import Instance

    users = "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"
    one = Instance(tmp_path, "source", 1, 2)
    assert one.environment({})[users] == "admin:admin"
    assert one.environment({users: "kim:viewer"})[users] == "admin:admin,kim:viewer"
