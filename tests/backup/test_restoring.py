"""What is there is moved aside and never lost, and all is restored or nothing."""

import fcntl
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import backed_up
import pytest
from backed_up import ACTIVE, rows, state, tree
from conftest import ROOT
from hypothesis import given as for_all
from hypothesis import settings as limits
from hypothesis import strategies as st

from routing_ml.backup import Vault, copy, moving, restore, restoring, verify
from routing_ml.cli import main
from routing_ml.errors import BackupError, ModelError, RoutingError
from routing_ml.pipeline import monitor
from routing_ml.registry import Registry
from routing_ml.settings import Settings
from routing_ml.store import Store, StoreError, copy_in, copy_out, count_tables


@pytest.fixture(autouse=True)
def _without_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed process leaves does not depend on it, and it takes most of the time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A factory with a verified backup."""
    folder = tmp_path_factory.mktemp("kept")
    settings = backed_up.make(folder)
    verify(settings, copy(settings).name)
    return folder


@pytest.fixture
def settings(kept: Path, tmp_path: Path) -> Settings:
    shutil.copytree(kept, tmp_path, symlinks=True, dirs_exist_ok=True)
    return backed_up.of(tmp_path)


@pytest.fixture
def run(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., tuple[int, str, str]]:
    for name, value in backed_up.environment(tmp_path).items():
        monkeypatch.setenv(name, value)

    def command(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


def source_of(settings: Settings) -> Path:
    return Path(settings.sources["default"])


def change(settings: Settings) -> None:
    """A day after the backup: another version in use, another proposal, more in the store."""
    registry = Registry(settings.home / "models")
    registry.rollback(who="planner", why="later")
    (settings.home / "proposals" / "later.parquet").write_bytes(b"later")
    (settings.home / "runs" / "later").mkdir()
    (settings.home / "runs" / "later" / "outcome.json").write_text("{}")
    with closing(Store(settings.store_url)) as store:
        store.record_predictions(["A"], [0.5], [0.5], model=ACTIVE, seconds=1.0)


def test_what_is_replaced_is_moved_aside_and_the_rest_is_as_it_was(settings):
    was = state(settings.home), rows(settings.home / "store.db")
    change(settings)
    later = state(settings.home), rows(settings.home / "store.db")
    done = restore(settings)
    assert (state(settings.home), rows(settings.home / "store.db")) == was
    (aside,) = (settings.home / "replaced").iterdir()
    assert rows(aside / "store.db") == later[1]
    moved = {step.inside: step.aside for step in done.steps if step.aside}
    assert set(moved) == {"models", "runs", "proposals", "store/store.db"}
    old = tree(aside)
    for name, content in later[0].items():
        if name.split("/")[0] in moved:
            assert old[name] == content
    assert not (settings.home / ".restore").exists()


def test_the_history_says_who_and_when_as_before(settings):
    before = Registry(settings.home / "models").history()
    shutil.rmtree(settings.home / "models")
    restore(settings, parts=["models"])
    registry = Registry(settings.home / "models")
    assert registry.history() == before
    with registry.held():  # whoever takes the lock adds nothing of a link that was changed outside
        pass
    assert registry.history() == before


def test_a_dry_run_says_what_would_be_replaced_and_touches_nothing(settings, run):
    change(settings)
    source_of(settings).unlink()
    before = tree(settings.home)
    code, out, _ = run("restore", "--dry-run", "--json")
    assert code == 0 and tree(settings.home) == before and not source_of(settings).exists()
    steps = {step["inside"]: step for step in json.loads(out)["steps"]}
    actions = {inside.partition("/")[0]: step["action"] for inside, step in steps.items()}
    assert actions == {
        "database": "new", "settings": "new", "models": "replace", "runs": "replace",
        "datasets": "same", "proposals": "replace", "store": "replace",
    }  # fmt: skip
    assert "1 that the backup has not" in steps["proposals"]["note"]
    assert "would replace" in run("restore", "--dry-run")[1]


@pytest.mark.parametrize("part", ["models", "store", "database", "settings", "records"])
def test_one_part_leaves_the_others_alone(settings, part):
    change(settings)
    source_of(settings).unlink()
    before = tree(settings.home, but=("replaced", "restored"))
    restore(settings, parts=[part])
    after = tree(settings.home, but=("replaced", "restored"))
    touched = {name for name in before | after if before.get(name) != after.get(name)}
    expected = {"models": {"models"}, "store": {"store.db"}, "database": set(), "settings": set(),
                "records": {"runs", "proposals"}}[part]  # fmt: skip
    if part in ("models", "store"):  # the store is told which model is in use now
        expected |= {"store.db", "store.db-wal", "store.db-shm"}
    assert {name.split("/")[0] for name in touched} <= expected
    assert source_of(settings).exists() == (part == "database")


def test_a_run_of_long_ago_is_none_that_ended_now(settings):
    """By its age a run that the store does not know is counted, and any is removed one day."""
    (path,) = (settings.home / "runs").glob("*/outcome.json")
    outcome = json.loads(path.read_text())
    path.write_text(json.dumps({"seconds": 1.0, "started_by": "hand", "hands": []} | outcome))
    long_ago = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()
    os.utime(path, (long_ago, long_ago))
    name = verify(settings, copy(settings).name).name
    change(settings)
    restore(settings, name, parts=["records"])
    assert path.stat().st_mtime == long_ago
    with closing(Store(settings.store_url)) as store:
        store.database.run("DELETE FROM runs")
    assert monitor.record_missed(settings) == []


def test_notices_that_are_there_stay_and_those_of_the_backup_are_not_told_again(settings):
    outbox = settings.home / "outbox"
    outbox.mkdir(exist_ok=True)
    (outbox / "old.json").write_text("waits")
    verify(settings, copy(settings).name)
    (outbox / "old.json").unlink()
    (outbox / "new.json").write_text("waits")
    restore(settings, parts=("records",))
    assert [path.name for path in outbox.glob("*.json")] == ["new.json"]
    shutil.rmtree(outbox)
    restore(settings, parts=("records",))
    assert "old.json" in {path.name for path in outbox.iterdir()}


def test_the_store_knows_which_model_a_restored_registry_has_in_use(settings):
    change(settings)
    monitor.record_model(settings)
    restore(settings, parts=["models"])
    with closing(Store(settings.store_url, write=False)) as store:
        assert store.fact("model")["name"] == ACTIVE


def test_a_database_that_is_there_is_not_replaced_unless_that_is_asked(settings, run):
    was = source_of(settings).read_bytes()
    source_of(settings).write_bytes(b"newer")
    code, out, _ = run("restore", "--only", "database")
    assert code == 1 and "another file is there, and stays" in out
    assert source_of(settings).read_bytes() == b"newer"
    code, out, _ = run("restore", "--only", "database", "--replace-database")
    assert code == 0 and source_of(settings).read_bytes() == was
    (aside,) = source_of(settings).parent.glob("*.replaced_*")
    assert aside.read_bytes() == b"newer" and str(aside) in out


def test_a_symlink_to_a_share_that_is_away_stays(settings, tmp_path):
    source_of(settings).unlink()
    source_of(settings).symlink_to(tmp_path / "share" / "erp.accdb")
    (step,) = restore(settings, parts=["database"]).steps
    assert source_of(settings).is_symlink()
    assert step.target is not None and step.target.is_relative_to(settings.home / "restored")
    assert step.target.stat().st_size > 8_000_000


def test_elsewhere_nothing_outside_of_the_folder_is_touched(settings, run, tmp_path):
    source_of(settings).unlink()
    before = tree(settings.home)
    code, _, _ = run("restore", "--into", str(tmp_path / "여기"))
    assert code == 0 and tree(settings.home) == before and not source_of(settings).exists()
    assert state(tmp_path / "여기") == state(settings.home)
    assert rows(tmp_path / "여기" / "store.db") == rows(settings.home / "store.db")


def test_a_folder_that_is_not_there_is_restored_in_one_command(
    settings, run, tmp_path, monkeypatch
):
    monkeypatch.setenv("ROUTING_ML_HOME", str(tmp_path / "new machine" / "var"))
    assert "there is no state folder" in run("models")[2]
    code, _, err = run("restore")
    assert code == 1 and "give it with --from" in err
    assert not (tmp_path / "new machine").exists()
    code, out, _ = run("restore", "--from", str(settings.backup_folder))
    assert code == 0 and "restored to" in out
    assert state(tmp_path / "new machine" / "var") == state(settings.home)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "new machine" / "var").rglob("*")}
    assert modes <= {0o600, 0o700}


def test_it_refuses_while_a_version_is_written(settings, monkeypatch):
    registry, before = Registry(settings.home / "models"), []
    change(settings)

    def write(folder: Path) -> None:
        (folder / "arrays.npz").write_bytes(b"half")
        before.append(tree(settings.home))
        with pytest.raises(ModelError, match="is being written by another process"):
            restore(settings)
        assert tree(settings.home) == before[0]

    registry.register(write, key="k", facts={})


def test_it_refuses_while_the_registry_is_locked(settings, monkeypatch):
    monkeypatch.setattr("routing_ml.backup.restoring.LOCK_SECONDS", 0.1)
    change(settings)
    before = tree(settings.home)
    with (settings.home / "models" / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ModelError, match="has been locked by another process"):
            restore(settings)
    assert tree(settings.home) == before


def test_it_refuses_while_the_store_is_written(settings, monkeypatch):
    monkeypatch.setattr("routing_ml.store.copies.LOCK_SECONDS", 0.1)
    change(settings)
    before = tree(settings.home)
    with closing(sqlite3.connect(settings.home / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another process writes to the monitoring store"):
            restore(settings)
        other.execute("ROLLBACK")
    assert {k: v for k, v in tree(settings.home).items() if "store.db" not in k} == {
        k: v for k, v in before.items() if "store.db" not in k
    }


def test_a_damaged_content_stops_it_before_anything_is_touched(settings):
    change(settings)
    vault = Vault(settings.backup_folder)
    backup = vault.newest()
    blob = vault.blobs.path(backup.of("models")[-1].sha256)
    blob.write_bytes(b"x" * blob.stat().st_size)
    before = tree(settings.home)
    with pytest.raises(BackupError, match="is damaged: it is not what models/"):
        restore(settings, dry_run=True)
    with pytest.raises(BackupError, match="its bytes are not the ones"):
        restore(settings)
    assert tree(settings.home) == before


def test_a_full_disk_stops_it_before_anything_is_touched(settings, tmp_path):
    change(settings)
    source_of(settings).unlink()
    before = tree(settings.home)
    done = subprocess.run(
        ["prlimit", "--fsize=200000", sys.executable, "-P", "-m", "routing_ml", "restore"],
        env=os.environ | backed_up.environment(tmp_path),
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert tree(settings.home) == before and [one.name for one in tmp_path.iterdir()] == ["home"]


KILLED = """
import os, sys
from routing_ml.backup import moving, restore
from routing_ml.settings import Settings
step, left = moving._rename, [int(sys.argv[1])]
def dying(*given):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), 9)
    step(*given)
moving._rename = dying
restore(Settings.from_env())
"""


@pytest.mark.parametrize("renames", [0, 1, 2, 3, 5, 7, 8])
def test_one_that_was_killed_is_finished_by_the_next(settings, run, tmp_path, renames):
    was = state(settings.home), rows(settings.home / "store.db")
    change(settings)
    later = state(settings.home)
    kept = source_of(settings).read_bytes()
    source_of(settings).unlink()
    done = subprocess.run(
        [sys.executable, "-P", "-c", KILLED, str(renames)],
        env=os.environ | backed_up.environment(tmp_path), cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    code, _, err = run("models")
    assert code == 1 and "was interrupted: 'routing-ml restore' finishes it" in err
    assert "would be finished" in run("restore", "--dry-run")[1]
    code, out, _ = run("restore")
    assert code == 0 and "was interrupted, and is finished" in out
    assert (state(settings.home), rows(settings.home / "store.db")) == was
    assert source_of(settings).read_bytes() == kept
    assert not (settings.home / ".restore").exists()
    old = set(tree(settings.home / "replaced").values())
    assert set(later.values()) <= old | set(was[0].values())
    assert run("models")[0] == 0


def test_two_do_not_restore_at_once(settings, monkeypatch):
    monkeypatch.setattr("routing_ml.backup.restoring.LOCK_SECONDS", 0.1)
    change(settings)
    before = tree(settings.home)
    with (settings.home / ".restore.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BackupError, match="is being written by another process"):
            restore(settings)
        assert tree(settings.home) == before
        monkeypatch.setattr("routing_ml.backup.restoring._carry_out", lambda *given: None)
        monkeypatch.setattr("routing_ml.backup.restoring.ALONE", ".other.lock")
        restore(settings)  # is killed before its first step
        monkeypatch.undo()
        monkeypatch.setattr("routing_ml.backup.restoring.LOCK_SECONDS", 0.1)
        with pytest.raises(BackupError, match="is being written by another process"):
            restore(settings)
    assert restore(settings).finished


def test_one_that_waited_for_another_that_was_killed_leaves_that_to_be_finished(
    settings, monkeypatch
):
    change(settings)
    planned, put = restoring.plan, restoring._carry_out
    monkeypatch.setattr(restoring, "_carry_out", lambda *given: None)  # is killed

    def slow(*given, **more):
        monkeypatch.setattr(restoring, "plan", planned)
        restore(settings, parts=["models"])
        monkeypatch.setattr(restoring, "_carry_out", put)
        return planned(*given, **more)

    monkeypatch.setattr(restoring, "plan", slow)
    monkeypatch.setattr(Vault, "reading", lambda vault: nullcontext())  # as of two folders
    with pytest.raises(BackupError, match="was interrupted: 'routing-ml restore' finishes it"):
        restore(settings, parts=["records"])
    assert restore(settings).finished


@pytest.mark.parametrize("fails_at", range(8))
def test_one_that_cannot_go_on_is_undone(settings, monkeypatch, fails_at):
    change(settings)
    source_of(settings).unlink()
    before = tree(settings.home)
    rename, left = moving._rename, [fails_at]

    def failing(path: Path, target: Path) -> None:
        left[0] -= 1
        if left[0] == -1:
            raise PermissionError(13, "Permission denied", str(target))
        rename(path, target)

    monkeypatch.setattr(moving, "_rename", failing)
    with pytest.raises(BackupError, match="cannot be put in place: Permission denied"):
        restore(settings)
    assert tree(settings.home) == before and not source_of(settings).exists()
    assert not (settings.home / ".restore").exists()


def test_a_damaged_registry_or_store_is_replaced_all_the_same(settings, run):
    was = state(settings.home)
    (settings.home / "models" / "history.jsonl").write_text("nonsense\n")
    (settings.home / "store.db").write_bytes(b"no database at all" * 100)
    assert "'routing-ml restore --only store'" in run("drift", "status")[2]
    assert run("restore")[0] == 0
    assert state(settings.home) == was
    assert run("drift", "status")[0] == 0 and run("models")[0] == 0


def test_the_log_of_a_replaced_store_goes_with_it(settings, monkeypatch):
    """Where SQLite has not cleared it away: the new store must not be read with it."""
    monkeypatch.setattr("routing_ml.backup.restoring.require_free", lambda url: None)
    for name in ("store.db", "store.db-wal", "store.db-shm"):
        (settings.home / name).write_text(name)
    restore(settings, parts=["store"])
    (aside,) = (settings.home / "replaced").iterdir()
    assert {one.name: one.read_text() for one in aside.iterdir()} == {
        name: name for name in ("store.db", "store.db-wal", "store.db-shm")
    }
    assert not (settings.home / "store.db-wal").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("backup_20200101_000000",), "there is no backup_20200101_000000"),
        (("nonsense",), "is no backup's name"),
        (("--from", "/nowhere/at/all"), "there is no folder of backups"),
    ],
)
def test_what_cannot_be_restored_is_told_in_one_line(run, arguments, said):
    code, _, err = run("restore", *arguments)
    assert code == 1 and said in err and err.count("\n") == 1


@pytest.mark.parametrize("shut", ["home", "home/backups"])
@pytest.mark.parametrize("command", ["models", "backups", "backup", "restore"])
def test_a_folder_that_this_user_may_not_enter_is_told_in_one_line(
    settings, tmp_path, shut, command
):
    for name in ("models", "store.db"):  # what a restore has something to do for
        (settings.home / name).rename(tmp_path / name)
    without = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if not os.geteuid() else []
    (tmp_path / shut).chmod(0o000)
    done = subprocess.run(
        [*without, sys.executable, "-P", "-m", "routing_ml", command],
        env=os.environ | backed_up.environment(tmp_path), cwd=ROOT, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    (tmp_path / shut).chmod(0o700)
    assert done.returncode == (0 if (shut, command) == ("home/backups", "models") else 1)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0 or "Permission denied" in done.stdout + done.stderr


def test_a_file_is_no_state_folder_to_restore_into(run, tmp_path):
    (tmp_path / "there").touch()
    code, _, err = run("restore", "--into", str(tmp_path / "there"))
    assert code == 1 and err.count("\n") == 1
    assert err.startswith(f"routing-ml: {tmp_path / 'there'} cannot be written: File exists")


def test_what_was_never_verified_is_restored_only_by_its_name(settings, run):
    vault = Vault(settings.backup_folder)
    vault.drop(vault.newest())
    name = copy(settings).name
    code, _, err = run("restore")
    assert code == 1 and f"only {name}, never verified" in err
    assert run("restore", name)[0] == 0


def test_of_two_factories_in_one_folder_the_others_is_restored_only_by_its_name(
    settings, run, tmp_path, monkeypatch
):
    """Each has its own newest, whichever was backed up last."""
    own = verify(settings, copy(settings).name).name
    backups = str(settings.backup_folder)
    other = backed_up.make(
        tmp_path / "other", ROUTING_ML_HOME=str(tmp_path / "other"), ROUTING_ML_BACKUPS=backups
    )
    theirs = verify(other, copy(other).name).name
    before = backed_up.tree(settings.home, but=("backups",))
    code, _, err = run("restore")
    assert code == 1 and "of several state folders" in err and err.count("\n") == 1
    assert f"{own} of {settings.home}" in err and f"{theirs} of {other.home}" in err
    assert backed_up.tree(settings.home, but=("backups",)) == before
    assert run("restore", own)[0] == 0
    (tmp_path / "link").symlink_to(other.home)
    linked = backed_up.of(
        tmp_path, ROUTING_ML_HOME=str(tmp_path / "link"), ROUTING_ML_BACKUPS=backups
    )
    assert restore(linked).backup == theirs
    assert restore(other).backup == theirs


def test_the_newest_is_none_of_a_clock_that_was_ahead(settings):
    ahead = copy(settings, now=datetime.now(UTC) + timedelta(days=400))
    verify(settings, ahead.name)
    newest = verify(settings, copy(settings).name)
    assert ahead.name > newest.name
    assert restore(settings, dry_run=True).backup == newest.name


# The store on PostgreSQL


def fill(url: str) -> None:
    with closing(Store(url)) as store:
        for number in range(3):
            store.record_predictions(
                [f"I{number}", "한글"], [0.5, float("inf")], [0.5, None], model="m", seconds=1.0
            )
        store.set_fact("model", {"name": ACTIVE})
        store.database.run("DELETE FROM predictions WHERE id > 4")


def test_a_postgresql_store_comes_back_with_its_numbers_and_what_was_there_is_kept(
    settings, postgresql, tmp_path
):
    url = postgresql.fresh("backed_up")
    fill(url)
    there = backed_up.of(tmp_path, ROUTING_ML_STORE_URL=url)
    backup = verify(there, copy(there).name)
    assert backup.is_good and backup.facts["store"]["tables"]["predictions"] == 4
    assert copy(there).of("store") == backup.of("store")
    with closing(Store(url)) as store:
        was = store.database.rows("SELECT * FROM predictions ORDER BY id")
        store.record_predictions(["later"], [0.1], [0.1], model="m", seconds=1.0)
    (step,) = restore(there, backup.name, parts=["store"]).steps
    with closing(Store(url)) as store:
        assert store.database.rows("SELECT * FROM predictions ORDER BY id") == was
        store.record_predictions(["next"], [0.1], [0.1], model="m", seconds=1.0)
        assert store.last_prediction() == 7  # 5 and 6 were pruned, and were counted
    assert count_tables(step.aside)["predictions"] == 5
    restore(backed_up.of(tmp_path, ROUTING_ML_HOME=str(tmp_path / "new"),
                         ROUTING_ML_BACKUPS=str(there.backup_folder)), backup.name)  # fmt: skip
    with closing(Store(f"sqlite:///{tmp_path}/new/store.db")) as store:
        assert store.database.rows("SELECT * FROM predictions ORDER BY id") == was
        store.record_predictions(["next"], [0.1], [0.1], model="m", seconds=1.0)
        assert store.last_prediction() == 7


def test_a_postgresql_store_that_is_written_refuses_and_undoes_the_rest(
    settings, postgresql, tmp_path, monkeypatch
):
    monkeypatch.setattr("routing_ml.store.copies.LOCK_SECONDS", 0.1)
    url = postgresql.fresh("in_use")
    fill(url)
    there = backed_up.of(tmp_path, ROUTING_ML_STORE_URL=url)
    verify(there, copy(there).name)
    change(settings)
    before = tree(settings.home, but=("replaced",))
    with closing(Store(url)) as other, other.transaction():
        other.set_fact("later", 1)
        with pytest.raises(RoutingError, match="cannot write the monitoring store"):
            restore(there)
    assert tree(settings.home, but=("replaced",)) == before
    with closing(Store(url)) as store:
        assert store.fact("later") == 1


def test_a_postgresql_store_is_copied_as_it_is_at_one_moment(postgresql, tmp_path):
    """Of each pair that a writer adds in one transaction there are both, or neither."""
    url = postgresql.fresh("written")
    with closing(Store(url)):
        pass
    code = (
        "import sys; from routing_ml.store import Store\n"
        "store = Store(sys.argv[1])\n"
        "for n in range(100_000):\n"
        "    with store.transaction():\n"
        "        store.set_fact(f'fact{n}', n); store.add({(f'counter{n}', ''): 1})\n"
        "        print(n, flush=True)\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-P", "-c", code, url], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert writer.stdout is not None
        for _ in range(20):
            writer.stdout.readline()
        for number in range(5):
            counts = copy_out(url, tmp_path / f"{number}.db")
            assert counts["facts"] - 1 == counts["counters"] > 10  # one fact is the schema
    finally:
        writer.kill()
        writer.wait()


TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"))
NUMBERS = st.one_of(st.none(), st.floats(0, 1), st.just(float("inf")))


@pytest.fixture(scope="module")
def two(postgresql):
    """Two databases that are made once: that takes most of the time."""
    return postgresql.fresh("one"), postgresql.fresh("other")


@limits(max_examples=15, deadline=None)
@for_all(st.lists(st.tuples(TEXTS, NUMBERS, NUMBERS)))
def test_whatever_a_postgresql_store_holds_comes_back(two, tmp_path_factory, given):
    folder = tmp_path_factory.mktemp("any")
    with closing(Store(two[0])) as store:
        store.database.run("DELETE FROM predictions")
        items, scores, confidences = zip(*given, strict=True) if given else ((), (), ())
        store.record_predictions(items, scores, confidences, model="m", seconds=0.1)
    copy_out(two[0], folder / "a.db")
    copy_in(folder / "a.db", two[1])
    copy_out(two[1], folder / "b.db")
    assert rows(folder / "a.db") == rows(folder / "b.db")
    assert len(rows(folder / "b.db")["predictions"]) == len(given)
