"""What is copied, by hash and count, while others write; and what is not called good."""

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import backed_up
import pytest
from backed_up import ACTIVE, rows
from conftest import ROOT

from exporter.metrics import Collector, Process
from routing_ml.backup import (
    Vault,
    blobs,
    copy,
    forget,
    nightly,
    restore,
    verify,
    verifying,
)
from routing_ml.backup.manifest import Link, written
from routing_ml.cli import main
from routing_ml.errors import BackupError, InputError
from routing_ml.registry import Registry
from routing_ml.settings import Settings, sqlite_path
from routing_ml.source import whole
from routing_ml.store import Store


@pytest.fixture(autouse=True)
def _without_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed process leaves does not depend on it, and it takes most of the time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    backed_up.make(folder)
    return folder


@pytest.fixture
def settings(kept: Path, tmp_path: Path) -> Settings:
    """A factory of this test's own."""
    shutil.copytree(kept, tmp_path, symlinks=True, dirs_exist_ok=True)
    return backed_up.of(tmp_path)


def source_of(settings: Settings) -> Path:
    return Path(settings.sources["default"])


def elsewhere(settings: Settings, tmp_path: Path) -> Settings:
    """A machine on which there is no state folder yet, with the same backups."""
    backups = str(settings.backup_folder)
    return backed_up.of(tmp_path, ROUTING_ML_HOME=str(tmp_path / "new"), ROUTING_ML_BACKUPS=backups)


def some_blob(settings: Settings, path: str) -> Path:
    vault = Vault(settings.backup_folder)
    (backup, *_) = vault.backups()
    (digest,) = [file.sha256 for file in backup.files if file.path.endswith(path)]
    return vault.blobs.path(digest)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_what_is_restored_into_an_empty_folder_is_what_was_there(settings, tmp_path):
    backup = verify(settings, copy(settings).name)
    assert backup.is_good and backup.verified["rows"] == 30_526
    source_was = source_of(settings).read_bytes()
    source_of(settings).unlink()
    there = elsewhere(settings, tmp_path)
    restore(there)
    restored = there.home
    assert source_of(settings).read_bytes() == source_was
    assert backed_up.state(restored) == backed_up.state(settings.home)
    assert rows(restored / "store.db") == rows(settings.home / "store.db")
    active = Registry(restored / "models").active()
    assert active is not None and active.verify().name == ACTIVE
    assert Registry(restored / "models").history() == Registry(settings.home / "models").history()


def test_what_did_not_change_is_not_stored_again(settings):
    first, second = copy(settings), copy(settings)
    assert first.new_bytes > 8_000_000 and second.new_bytes == 0
    assert second.files == first.files and second.name > first.name


def test_a_backup_is_its_owners_alone_whatever_the_umask_and_the_group_say(settings, tmp_path):
    env = backed_up.environment(tmp_path) | {"ROUTING_ML_GROUP_READABLE": "true"}
    command = [sys.executable, "-P", "-m", "routing_ml", "backup"]
    subprocess.run(command, env=os.environ | env, umask=0, cwd=ROOT, check=True)
    found = [settings.backup_folder, *settings.backup_folder.rglob("*")]
    modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in found}
    assert modes == {(True, 0o700), (False, 0o600)}


def test_odd_names_and_symlinks_come_back_as_they_are(settings, tmp_path):
    run = settings.home / "runs" / "scheduled__한글 é"
    run.mkdir()
    (run / "보고서\n;{x} '\".md").write_text("하나")
    Path(os.fsdecode(os.fsencode(run) + b"/\xff\xfe.json")).write_text("{}")
    (run / "latest").symlink_to("../../elsewhere")
    (run / "folder").symlink_to(tmp_path)
    os.mkfifo(run / "pipe")
    os.mkfifo(os.fsencode(run) + b"/\xff pipe")
    (run / ".half.tmp").write_text("not whole yet")
    backup = verify(settings, copy(settings).name)
    assert len([note for note in backup.notes if "pipe is no file" in note]) == 2
    assert all(note.encode() for note in backup.notes)
    there = elsewhere(settings, tmp_path)
    restore(there, parts=["records"])
    (run / "pipe").unlink()
    Path(os.fsdecode(os.fsencode(run) + b"/\xff pipe")).unlink()
    before = backed_up.tree(settings.home / "runs")
    del before[f"{run.name}/.half.tmp"]
    assert backed_up.tree(there.home / "runs") == before


def test_a_flipped_byte_is_found_by_verification_and_healed_by_the_next_copy(settings):
    name = verify(settings, copy(settings).name).name
    flip(some_blob(settings, ".accdb"))
    with pytest.raises(BackupError, match="its bytes are not the ones that were copied"):
        verify(settings, name)
    assert Vault(settings.backup_folder).newest() is None
    again = copy(settings)
    assert again.new_bytes == source_of(settings).stat().st_size
    assert verify(settings, again.name).is_good and verify(settings, name).is_good


def test_a_content_that_is_gone_is_found(settings):
    name = copy(settings).name
    some_blob(settings, "history.jsonl").unlink()
    with pytest.raises(BackupError, match="it is missing"):
        verify(settings, name)


@pytest.mark.parametrize("size", [0, 4096, 1_000_000, 5_000_001])
def test_a_source_that_was_cut_off_is_no_copy_and_the_last_one_stays(settings, size):
    good = verify(settings, copy(settings).name)
    with source_of(settings).open("r+b") as file:
        file.truncate(size)
    later = verify(settings, copy(settings).name)
    assert list(later.missing) == ["database default"] and not later.is_good
    assert str(source_of(settings)) in later.missing["database default"]
    assert ".scratch" not in later.missing["database default"]
    assert later.of("database") == good.of("database")
    assert later.facts["database"]["default"]["of"] == good.name
    assert Vault(settings.backup_folder).get(good.name).is_good


def test_a_source_and_columns_that_are_pipes_are_no_copies_and_hold_nobody_up(settings, tmp_path):
    source = source_of(settings)
    source.unlink()
    for path in (source, tmp_path / "columns.toml"):
        os.mkfifo(path)
    piped = backed_up.of(tmp_path, ROUTING_ML_COLUMNS=str(tmp_path / "columns.toml"))
    missing = copy(piped).missing
    assert missing.keys() == {"database default", "settings"}
    assert all(why.endswith("give the path of a file") for why in missing.values())


def test_a_source_that_is_written_whenever_it_is_copied_is_no_copy(settings, monkeypatch):
    read, times = whole._bytes, []

    def written_meanwhile(path: Path, target: Path) -> None:
        read(path, target)
        times.append(path)
        with path.open("r+b") as file:
            file.write(file.read(1))

    monkeypatch.setattr(whole, "_bytes", written_meanwhile)
    backup = copy(settings)
    assert "is being written: it changed 3 times" in backup.missing["database default"]
    assert times == [source_of(settings)] * 3


def test_a_sqlite_source_is_copied_with_what_is_in_its_log_while_it_is_written(settings, tmp_path):
    erp = tmp_path / "erp.sqlite"
    with closing(sqlite3.connect(erp, isolation_level=None, check_same_thread=False)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE a (n INTEGER)")
        database.execute("CREATE TABLE b (n INTEGER)")
        stop = threading.Event()

        def write() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                database.execute("BEGIN")
                database.execute("INSERT INTO a VALUES (?)", (number,))
                database.execute("INSERT INTO b VALUES (?)", (number,))
                database.execute("COMMIT")

        writer = threading.Thread(target=write)
        writer.start()
        try:
            given = backed_up.of(tmp_path, ROUTING_ML_SOURCE=str(erp))
            copies = [verify(given, copy(given).name) for _ in range(3)]
        finally:
            stop.set()
            writer.join()
    for backup in copies:
        assert backup.is_good
        counts = backup.facts["database"]["default"]["rows"]
        assert counts["a"] == counts["b"]


def test_what_goes_into_the_log_of_sqlite_during_a_copy_is_copied_too(tmp_path, monkeypatch):
    erp, read = tmp_path / "erp.sqlite", whole._bytes
    with closing(sqlite3.connect(erp, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE a (n INTEGER)")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

        def busy(path: Path, target: Path) -> None:
            read(path, target)
            database.execute("INSERT INTO a VALUES (1)")

        monkeypatch.setattr(whole, "_bytes", busy)
        whole.copy_file(erp, tmp_path / "first")
        assert rows(tmp_path / "first") == {"a": [(1,)]}
        monkeypatch.setattr(whole, "_bytes", None)  # its log has something: by bytes is no use
        whole.copy_file(erp, tmp_path / "second")
        assert rows(tmp_path / "second") == {"a": [(1,)]}


def test_a_server_is_said_to_be_none_that_is_copied(settings, tmp_path):
    connection = "DRIVER={PostgreSQL Unicode};SERVER=erp;UID=ml;PWD=geh;eim"
    given = backed_up.of(tmp_path, ROUTING_ML_SOURCE=connection)
    backup = verify(given, copy(given).name)
    assert backup.is_good and not backup.of("database")
    assert "the newest dataset is copied" in backup.facts["database"]["default"]["note"]
    assert [file for file in backup.files if file.path.startswith("datasets/")]


def test_a_version_that_is_half_written_is_none(settings):
    registry = Registry(settings.home / "models")
    found = []

    def write(folder: Path) -> None:
        (folder / "arrays.npz").write_bytes(b"half")
        found.append(copy(settings))

    version = registry.register(write, key="k", facts={})
    assert version.name not in found[0].facts["models"]["versions"]
    assert not [file for file in found[0].files if version.name in file.path]
    assert verify(settings, found[0].name).is_good
    assert version.name in copy(settings).facts["models"]["versions"]


def test_a_damaged_version_is_left_out_and_the_one_in_use_fails_the_part(settings):
    models = settings.home / "models"
    other = next(path for path in models.glob("model_*") if path.name != ACTIVE)
    flip(other / "model" / "arrays.npz")
    backup = verify(settings, copy(settings).name)
    assert backup.is_good and backup.facts["models"]["versions"] == [ACTIVE]
    assert [note for note in backup.notes if other.name in note]
    flip(models / ACTIVE / "twin" / "arrays.npz")
    later = verify(settings, copy(settings).name)
    assert f"{ACTIVE}: twin/arrays.npz is not the file" in later.missing["models"]
    assert later.of("models") == backup.of("models")


def test_a_version_pruned_meanwhile_has_the_registry_taken_again(settings, monkeypatch):
    registry = Registry(settings.home / "models")
    old = next(v.name for v in registry.versions() if v.name != ACTIVE)
    take = blobs.Blobs.take

    def gone(self, path):
        if old in str(path) and path.is_file():
            monkeypatch.setattr(blobs.Blobs, "take", take)
            shutil.rmtree(registry.folder / old)
        return take(self, path)

    monkeypatch.setattr(blobs.Blobs, "take", gone)
    backup = copy(settings)
    assert backup.facts["models"]["versions"] == [ACTIVE]
    assert not [file for file in backup.files if old in file.path]
    assert verify(settings, backup.name).is_good


def change_bytes(within: Path) -> None:
    flip(within / "models" / "history.jsonl")


def lose_one(within: Path) -> None:
    (within / "models" / "history.jsonl").unlink()


def add_one(within: Path) -> None:
    (within / "models" / "more").write_text("x")


def turn_link(within: Path) -> None:
    (within / "models" / "active").unlink()
    (within / "models" / "active").symlink_to("model_20261125_190923")


@pytest.mark.parametrize("disk", [change_bytes, lose_one, add_one, turn_link])
def test_what_was_restored_is_read_a_second_time(settings, monkeypatch, disk):
    """A disk that gives back something else than was written to it."""
    laid = verifying.lay_out

    def lay_out(blobs, within, *given):
        laid(blobs, within, *given)
        disk(within)

    name = copy(settings).name
    monkeypatch.setattr(verifying, "lay_out", lay_out)
    with pytest.raises(BackupError, match=f"{name} is no good: models/"):
        verify(settings, name)
    assert Vault(settings.backup_folder).newest() is None


def test_counts_are_of_what_was_restored(settings):
    vault, backup = Vault(settings.backup_folder), copy(settings)
    for part, key, wrong in (
        ("store", "tables", {"facts": 1}),
        ("models", "active", "model_20200101_000000"),
        ("models", "switches", 7),
    ):
        facts = {**backup.facts, part: {**backup.facts[part], key: wrong}}
        vault.put(type(backup)(**{**vars(backup), "facts": facts}))
        with pytest.raises(BackupError, match="is no good"):
            verify(settings, backup.name)
    default = {**backup.facts["database"]["default"], "rows": {"dbo_BI_ITEM_INFO_VIEW": 1}}
    facts = {**backup.facts, "database": {"default": default}}
    vault.put(type(backup)(**{**vars(backup), "facts": facts}))
    with pytest.raises(BackupError, match="2400"):
        verify(settings, backup.name)
    assert vault.newest() is None


@pytest.mark.parametrize("database", ["large", "small"])
def test_a_backup_that_runs_out_of_space_leaves_the_older_ones_and_no_new_one(
    settings, tmp_path, database
):
    if database == "small":  # then it is the content of a record that cannot be written
        with closing(sqlite3.connect(tmp_path / "small.sqlite")) as erp:
            erp.execute("CREATE TABLE a (n INTEGER)")
        (tmp_path / "small.sqlite").replace(source_of(settings))
    good = verify(settings, copy(settings).name)
    (settings.home / "proposals" / "large.parquet").write_bytes(os.urandom(3_000_000))
    command = [sys.executable, "-P", "-m", "routing_ml", "backup", "--json"]
    done = subprocess.run(
        ["prlimit", "--fsize=2000000", *command],
        env=os.environ | backed_up.environment(tmp_path),
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    outcome = json.loads(done.stdout)
    assert done.returncode == 1 and not outcome["succeeded"]
    assert "File too large" in outcome["failed"]["copy"] and "ulimit -f" in outcome["reason"]
    assert "Traceback" not in done.stderr
    vault = Vault(settings.backup_folder)
    assert [one.name for one in vault.backups()] == [good.name]
    assert verify(settings, good.name).is_good
    assert not list(vault.folder.rglob("*.tmp")) and not vault.scratch.exists()
    with closing(Store(settings.store_url)) as store:
        assert store.snapshot().labelled("backups") == {"failure": 1}


def test_what_a_killed_copy_left_goes_with_the_next_night(settings, tmp_path):
    good = verify(settings, copy(settings).name)
    kept = {path.name for path in (settings.backup_folder / "blobs").rglob("*") if path.is_file()}
    (settings.home / "proposals" / "new.parquet").write_bytes(b"new")
    code = (
        "import os; from routing_ml.backup import vault, copy; from routing_ml.settings import "
        "Settings; vault.Vault.put = lambda *_: os._exit(9); copy(Settings.from_env())"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=os.environ | backed_up.environment(tmp_path), cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 9 and Vault(settings.backup_folder).newest() == good
    blobs_now = {p.name for p in (settings.backup_folder / "blobs").rglob("*") if p.is_file()}
    assert blobs_now > kept
    assert forget(settings)["freed"]
    blobs_now = {p.name for p in (settings.backup_folder / "blobs").rglob("*") if p.is_file()}
    assert blobs_now == kept


def test_no_secret_is_in_a_backup_and_each_is_named(settings, tmp_path):
    secrets = {
        "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T000/B000/geheim1",
        "ROUTING_ML_API_TOKEN": "geheim2",
        "SLACK_BOT_TOKEN": "xoxb-geheim7",
        "TEAMS_WEBHOOK_URL": "https://x.logic.azure.com/workflows/geheim8",
        "ROUTING_ML_SOURCE_PLANT2": "DRIVER={X};SERVER=erp2;UID=ml;PWD=geheim3",
        "AIRFLOW__API__BASE_URL": "https://user:geheim4@factory:8080",
        "ROUTING_ML_STORE_URL": "postgresql://ml:geheim5@127.0.0.1:1/store",
        "ROUTING_ML_NEW_THING": "geheim6",
    }
    columns = tmp_path / "columns.toml"
    shutil.copyfile(ROOT / "routing_ml" / "source" / "columns.toml", columns)
    given = backed_up.of(tmp_path, **secrets, ROUTING_ML_COLUMNS=str(columns))
    backup = verify(given, copy(given).name)
    assert list(backup.missing) == ["store"]
    assert backup.facts["settings"]["supply_anew"] == sorted(secrets)
    for path in given.backup_folder.rglob("*"):
        if path.is_file():
            assert b"geheim" not in path.read_bytes(), path
    (text,) = [
        Vault(given.backup_folder).blobs.path(file.sha256).read_text()
        for file in backup.of("settings") if file.path.endswith(".env")
    ]  # fmt: skip
    assert f"ROUTING_ML_COLUMNS={columns}" in text and "SERVER=erp2" in text
    assert "# SLACK_WEBHOOK_URL: supply it anew" in text
    assert [f.path for f in backup.of("settings")] == [
        "settings/settings.env", "settings/columns/default.toml"
    ]  # fmt: skip


def test_an_address_that_is_none_keeps_nothing_from_being_copied(settings, tmp_path):
    backup = copy(backed_up.of(tmp_path, AIRFLOW__API__BASE_URL="http://[factory:8080"))
    assert not backup.missing
    assert backup.facts["settings"]["supply_anew"] == ["AIRFLOW__API__BASE_URL"]


def test_what_never_was_copied_is_missing_and_the_rest_can_be_restored(settings, tmp_path):
    """Of a first backup no earlier one has the part: not the source, nor the columns file."""
    source_of(settings).unlink()
    missing = backed_up.of(tmp_path, ROUTING_ML_COLUMNS=str(tmp_path / "none.toml"))
    backup = verify(missing, copy(missing).name)
    assert list(backup.missing) == ["database default", "settings"]
    there = elsewhere(settings, tmp_path)
    done = restore(there)
    assert backed_up.state(there.home) == backed_up.state(settings.home)
    assert {step.part for step in done.steps} == {"store", "models", "records"}
    assert [note.partition(" was not")[0] for note in done.notes] == list(backup.missing)
    with pytest.raises(BackupError, match=r"has no database: .* is not there"):
        restore(there, parts=["database"])


def test_backups_are_not_copied_into_themselves(settings, tmp_path):
    inside = str(settings.home / "runs" / "backups")
    with pytest.raises(BackupError, match="would be copied into themselves: choose a folder"):
        copy(backed_up.of(tmp_path, ROUTING_ML_BACKUPS=inside))
    assert not Path(inside).exists()


def test_a_record_that_goes_while_it_is_copied_is_left_out(settings, monkeypatch):
    path, hashed = settings.home / "proposals" / "sent.json", blobs._hashed
    path.write_text("a notice")

    def sent(of: Path) -> str:
        found = hashed(of)
        if of == path:
            path.unlink()
        return found

    monkeypatch.setattr(blobs, "_hashed", sent)
    backup = copy(settings)
    assert not backup.missing and "proposals/sent.json" not in backup.paths
    assert verify(settings, backup.name).is_good


def test_two_backups_at_once_take_turns_or_say_so(settings):
    second = Vault(settings.backup_folder, lock_seconds=0.05)
    said = pytest.raises(BackupError, match="another process")
    with Vault(settings.backup_folder).locked(), said, second.locked():
        pass


def test_a_manifest_that_is_damaged_or_newer_is_told_and_frees_nothing(settings, capsys):
    vault, first = Vault(settings.backup_folder), copy(settings)
    second = verify(settings, copy(settings, now=datetime(2026, 1, 1, tzinfo=UTC)).name)
    path = vault.folder / f"{first.name}.json"
    path.write_text(written(first).replace('"format": 1', '"format": 2'))
    (settings.home / "proposals" / "gone.parquet").write_bytes(b"gone")
    third = copy(settings)
    vault.drop(third)
    assert "has format 2, this version knows 1: update" in forget(settings)["note"]
    path.write_text(written(first).replace('"new_bytes": ', '"new_bytes": 1'))
    assert "it was changed after it was written" in forget(settings)["note"]
    path.write_text(written(first)[:-100])
    assert "is no manifest of a backup" in forget(settings)["note"]
    assert second.name in vault.damaged() or vault.newest() == second
    path.unlink()
    assert forget(settings)["freed"] > 0


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../x", "models/../../x", "models/active/x", "", "runs/a", "models/active"],
)
def test_a_manifest_cannot_lead_out_of_the_folder(settings, path):
    vault, backup = Vault(settings.backup_folder), copy(settings)
    (one, *others) = backup.files
    bad = type(one)("records", path, one.sha256, one.bytes)
    files = (bad, bad) if path == "runs/a" else (bad,)
    vault.put(type(backup)(**{**vars(backup), "files": (*others, *files)}))
    with pytest.raises(BackupError, match="is no manifest of a backup"):
        vault.get(backup.name)


@pytest.mark.parametrize(
    "bad",
    [
        {"facts": []}, {"facts": {"database": [1]}}, {"facts": {"database": {"default": 1}}},
        {"facts": {"store": {"tables": None}}}, {"facts": {"settings": {"columns": []}}},
        {"facts": {"models": "none"}}, {"missing": ["store"]}, {"verified": "yes"},
        {"links": (Link("models", "models/active", "a\0"),)},
        {"links": (Link("models", "models/active", 3),)},  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_a_manifest_of_another_form_is_none(settings, bad):
    vault, backup = Vault(settings.backup_folder), copy(settings)
    vault.put(type(backup)(**{**vars(backup), **bad}))
    with pytest.raises(BackupError, match="is no manifest of a backup"):
        vault.get(backup.name)
    assert vault.backups() == [] and list(vault.damaged()) == [backup.name]


def test_a_file_that_grows_while_it_is_taken_is_taken_again_or_refused(tmp_path, monkeypatch):
    path, kept = tmp_path / "grows", blobs.Blobs(tmp_path / "blobs")
    path.write_bytes(b"1")
    hashed, times = blobs._hashed, []

    def growing(of: Path) -> str:
        found = hashed(of)
        if of == path and len(times) < 2:
            times.append(1)
            with path.open("ab") as file:
                file.write(b"more")
        return found

    monkeypatch.setattr(blobs, "_hashed", growing)
    taken = kept.take(path)
    assert kept.path(taken.sha256).read_bytes() == path.read_bytes() == b"1moremore"
    monkeypatch.setattr(blobs, "_hashed", lambda of: growing(of) if times.clear() is None else "")
    with pytest.raises(InputError, match="is being written"):
        kept.take(path)


def test_the_command_lists_them_and_says_where_they_should_be(
    settings, tmp_path, capsys, monkeypatch
):
    for name, value in backed_up.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    assert main(["backups"]) == 0
    assert "no backup in" in capsys.readouterr().out
    assert main(["backup", "--json"]) == 0
    outcome = json.loads(capsys.readouterr().out)
    assert outcome["succeeded"] and "on the disk of the state folder" in outcome["notes"][0]
    assert main(["backups", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [one["backup"] for one in listed["backups"]] == [outcome["backup"]]
    source_of(settings).unlink()
    assert main(["backup"]) == 1
    said = capsys.readouterr().out
    assert "NOT COPIED database default" in said and "is not there" in said
    kept = json.loads((settings.backup_folder / "last_outcome.json").read_text())
    assert not kept["succeeded"]
    assert Path(sqlite_path(settings.store_url)).is_file()


def shown(settings: Settings) -> dict[str, float]:
    """What the exporter shows of backups, without `routing_ml_backup`."""
    with closing(Store(settings.store_url, write=False)) as store:
        families = Collector(Process(0.0), store.snapshot(), now=0.0).collect()
    samples = [sample for family in families for sample in family.samples]
    ours = [sample for sample in samples if sample.name.startswith("routing_ml_backup")]
    return {
        one.name.removeprefix("routing_ml_backup") + "".join(one.labels.values()): one.value
        for one in ours
    }


def test_the_exporter_shows_the_last_good_backup_and_counts_all(settings):
    first = nightly.backup(settings)
    newest = Vault(settings.backup_folder).newest()
    verified = datetime.fromisoformat(newest.verified["at"]).timestamp()
    good = {
        "_last_verified_timestamp_seconds": verified,
        "_bytes": newest.bytes,
        "_new_bytes": newest.new_bytes,
        "_seconds": first["seconds"],
    }
    assert shown(settings) == {**good, "s_totalsuccess": 1, "s_totalfailure": 0}
    source_of(settings).unlink()
    assert not nightly.backup(settings)["succeeded"]
    assert shown(settings) == {**good, "s_totalsuccess": 1, "s_totalfailure": 1}
