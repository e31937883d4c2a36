"""The state folder is its owner's, or its group's where that was asked for, and nobody else's."""

import os
import shutil
import socket
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from conftest import ROOT, SAMPLE
from slack_fixtures import FakeSlack

from routing_ml import files, modes
from routing_ml.cli import main
from routing_ml.errors import SettingError
from routing_ml.settings import Settings, default_url
from routing_ml.store import Store

KEPT = Path(__file__).parent / "kept"
RUN = ("retrain", "--as-of", "2026-11-01", "--limit", "3000", "--candidates", "nearest")


def command(home: Path, umask: int, *arguments: str, **env: str) -> None:
    """Run the real command line with a umask, and the sample as its source."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "routing_ml", *arguments],
        cwd=ROOT,
        env=os.environ | {"ROUTING_ML_HOME": str(home), "ROUTING_ML_SOURCE": str(SAMPLE)} | env,
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def wrong(home: Path, *, file: int = 0o600, folder: int = 0o700) -> dict[str, str]:
    """What under a state folder, itself included, has another mode than that."""
    found = [path for path in (home, *home.rglob("*")) if not path.is_symlink()]
    return {
        str(path.relative_to(home)): oct(mode(path))
        for path in found
        if mode(path) != (folder if path.is_dir() else file)
    }


@contextmanager
def masked(umask: int) -> Iterator[None]:
    before = os.umask(umask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    ("umask", "group", "file", "folder"),
    [(0o000, "", 0o600, 0o700), (0o077, "true", 0o640, 0o750)],
    ids=["private whatever the umask", "the group's whatever the umask"],
)
def test_a_whole_run_leaves_nothing_that_others_may_read(
    tmp_path: Path, umask: int, group: str, file: int, folder: int
) -> None:
    home = tmp_path / "state" / "home"
    with FakeSlack() as slack:
        env = {"SLACK_WEBHOOK_URL": slack.url, "ROUTING_ML_GROUP_READABLE": group}
        # Looked at after each: the next one mends what this one leaves.
        command(home, umask, *RUN, **env)
        assert wrong(home, file=file, folder=folder) == {}
        [version] = (path.name for path in (home / "models").glob("model_*"))
        command(home, umask, "promote", version, **env)
        assert wrong(home, file=file, folder=folder) == {}
        command(home, umask, "predict", **env)
        assert wrong(home, file=file, folder=folder) == {}
        # A store that is open has its log beside it.
        with masked(umask), closing(Store(default_url(home))) as store:
            store.set_fact("x", 1)
            assert wrong(home, file=file, folder=folder) == {}
            names = {path.name for path in home.rglob("*")}
    assert {"store.db", "store.db-wal", "store.db-shm", "report.md", "history.jsonl"} <= names
    assert {"manifest.json", "arrays.npz", "outbox", ".lock", ".sending.lock"} <= names
    assert {".parquet", ".xlsx"} <= {path.suffix for path in (home / "proposals").iterdir()}
    assert list((home / "outbox").glob("*.json"))


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A state folder of 2.1.0 that everybody may read, as that release left it."""
    home = tmp_path / "home"
    home.mkdir()
    filtered = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(next(KEPT.glob("state_*.tar.xz"))) as archive:
        archive.extractall(home, **filtered)  # noqa: S202 - our own
    for path in (home, *home.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
    return home


def test_a_state_folder_of_an_earlier_release_is_closed_when_it_is_opened(
    kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wrong(kept)
    monkeypatch.setenv("ROUTING_ML_HOME", str(kept))
    assert main(["models"]) == 0
    assert "model_20261125_190932" in capsys.readouterr().out
    assert wrong(kept) == {}


def test_a_group_may_be_let_in_and_shut_out_again(kept: Path) -> None:
    for group, file, folder in ((True, 0o640, 0o750), (False, 0o600, 0o700)):
        modes.open_state(kept, group=group)
        assert wrong(kept, file=file, folder=folder) == {}


def test_what_is_not_ours_stays_as_it_is(kept: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "folder").mkdir(parents=True)
    (elsewhere / "folder" / "file").write_text("")
    (kept / "airflow").mkdir(mode=0o755)
    (kept / "notes.txt").write_text("")
    (kept / "models" / "link").symlink_to(elsewhere / "folder" / "file")
    (kept / "runs" / "link").symlink_to(elsewhere / "folder")
    shutil.rmtree(kept / "proposals")
    (kept / "proposals").symlink_to(elsewhere / "folder")
    os.mkfifo(kept / "runs" / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(kept / "runs" / "socket"))
        others = [elsewhere, elsewhere / "folder", elsewhere / "folder" / "file"]
        others += [kept / "airflow", kept / "notes.txt", kept / "runs/pipe", kept / "runs/socket"]
        before = [mode(path) for path in others]
        modes.open_state(kept, group=False)
        assert [mode(path) for path in others] == before
    assert mode(kept / "store.db") == 0o600


def test_a_file_of_another_user_stays_as_it_is(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    before = wrong(kept)
    modes.open_state(kept, group=False)
    assert wrong(kept) == before != {}


def test_a_folder_of_everybody_is_not_taken_for_a_state_folder(tmp_path: Path) -> None:
    for folder, given in ((tmp_path / "tmp", 0o1777), (Path.home(), None)):
        if given:
            folder.mkdir()
            folder.chmod(given)
        before = mode(folder)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(modes, "OURS", ())
            patched.setattr(modes, "OUR_FILES", ())
            patched.setattr(modes, "_opened", set())
            modes.open_state(folder, group=False)
        assert mode(folder) == before


@pytest.mark.parametrize(
    "path", ["//", "/tmp/..", "/proc/self/root", f"{Path.home()}/../{Path.home().name}"]
)
def test_the_system_and_a_home_are_no_state_folder_by_whatever_path(path: str) -> None:
    assert not modes._is_ours(Path(path), Path(path).stat())


def test_a_folder_with_something_else_in_it_is_not_closed(tmp_path: Path) -> None:
    for name in ("bin", "store.db"):
        (tmp_path / name).write_text("")
    tmp_path.chmod(0o755)
    modes.open_state(tmp_path, group=False)
    assert (mode(tmp_path), mode(tmp_path / "store.db")) == (0o755, 0o600)
    (tmp_path / "bin").unlink()
    modes._opened.clear()
    modes.open_state(tmp_path, group=False)
    assert mode(tmp_path) == 0o700


def test_a_folder_goes_on_giving_its_group_to_what_is_made_in_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o2770)
    modes.open_state(home, group=True)
    modes.make_folder(home / "runs" / "a")
    assert [mode(path) for path in (home, home / "runs", home / "runs" / "a")] == [0o2750] * 3


@pytest.mark.parametrize(
    ("folder", "umask", "file"),
    [
        (0o700, 0o000, 0o600),
        (0o750, 0o077, 0o640),
        (0o755, 0o022, 0o644),
        (0o755, 0o077, 0o600),
        (0o777, 0o002, 0o664),
    ],
)
def test_a_file_takes_after_its_folder_and_elsewhere_after_the_umask(
    tmp_path: Path, folder: int, umask: int, file: int
) -> None:
    made = tmp_path / "folder"
    made.mkdir()
    made.chmod(folder)
    with masked(umask):
        files.atomic_write(made / "a", "x")
        assert os.umask(umask) == umask
    assert mode(made / "a") == file


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_store_elsewhere_is_for_nobody_else(tmp_path: Path, umask: int) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "store.db").touch(mode=0o666)
    (folder / "store.db").chmod(0o666)
    with masked(umask), closing(Store(default_url(folder))) as store:
        store.set_fact("x", 1)
        assert {mode(path) for path in folder.iterdir()} == {0o600}
        assert len(list(folder.iterdir())) == 3


def test_proposals_that_a_person_asked_for_elsewhere_are_as_the_umask_says(
    tmp_path: Path, kept: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o755)
    command(kept, 0o022, "predict", "--out", str(out / "p.csv"))
    command(kept, 0o022, "extract", "--out", str(out), "--limit", "3000")
    assert {mode(path) for path in out.iterdir()} == {0o644}
    assert len(list(out.iterdir())) == 6


@pytest.mark.parametrize("name", ["ROUTING_ML_GROUP_READABLE", "ROUTING_ML_DAILY_FILES_SEEN"])
@pytest.mark.parametrize("value", ["yes", "1", "0640"])
def test_a_setting_that_is_neither_true_nor_false_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=rf"{name} is .*true or false"):
        Settings.from_env({name: value})


def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    given = Settings.from_env({"ROUTING_ML_HOME": str(tmp_path / "file" / "home")})
    with pytest.raises(SettingError, match=r"file/home cannot be used: File exists; choose"):
        given.opened()
