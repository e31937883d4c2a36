"""docs/disaster_recovery.md, run: what a section says is lost is lost, its steps are done as they
stand there, and it is back.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import backed_up
import pytest
from backed_up import ACTIVE, rows, state
from conftest import ROOT

from routing_ml.backup import Vault, copy, moving, restore, verify
from routing_ml.registry import Registry
from routing_ml.settings import Settings
from routing_ml.store import Store

PAGE = (ROOT / "docs" / "disaster_recovery.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def steps(section: str) -> list[str]:
    """The shell steps of a section, as they stand there."""
    blocks = re.findall(r"^( *)```sh\n(.*?)^ *```", SECTIONS[section], re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in blocks]


class Factory:
    """A factory with a verified backup, and a shell in which its settings are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = backed_up.of(folder)
        self.source = Path(self.settings.sources["default"])
        program = folder / "bin" / "routing-ml"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m routing_ml "$@"\n')
        program.chmod(0o755)

    def follow(self, section: str, which: slice = slice(None), **more: str) -> str:
        """Do the steps of a section, or some of them; returns all that they said."""
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        env = {"PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HOME": "/nowhere"}
        done = subprocess.run(
            ["bash", "-euxo", "pipefail", "-c", "\n".join(steps(section)[which])],
            env=env | backed_up.environment(self.folder) | more,
            cwd=self.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        return said


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    settings = backed_up.make(folder)
    verify(settings, copy(settings).name)
    return folder


@pytest.fixture
def factory(kept: Path, tmp_path: Path) -> Iterator[Factory]:
    shutil.copytree(kept, tmp_path, symlinks=True, dirs_exist_ok=True)
    yield Factory(tmp_path)


def active(home: Path) -> str:
    version = Registry(home / "models").active()
    assert version is not None
    return version.verify().name


def test_every_section_with_steps_is_run_here() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    followed = set(re.findall(r'follow\(\s*"([^"]+)"', here))
    assert {name for name in SECTIONS if steps(name)} == followed


def test_is_there_a_backup(factory):
    said = factory.follow("Is there a backup?")
    assert "verified" in said and len(Vault(factory.settings.backup_folder).backups()) == 2


def test_the_database_is_lost(factory):
    was = factory.source.read_bytes()
    factory.source.unlink()
    assert "A retraining would learn this." in factory.follow("The database is lost")
    assert factory.source.read_bytes() == was


def test_the_models_are_lost(factory):
    was = state(factory.settings.home)
    shutil.rmtree(factory.settings.home / "models")
    said = factory.follow("The models are lost")
    assert f"* {ACTIVE}" in said and (factory.folder / "proposals.csv").stat().st_size > 1000
    assert state(factory.settings.home) == was


@pytest.mark.parametrize("damaged", [False, True])
def test_the_store_is_lost(factory, damaged):
    store = factory.settings.home / "store.db"
    was = rows(store)
    store.write_bytes(b"\xff" * 5000) if damaged else store.unlink()
    assert "no drift" in factory.follow("The store is lost")
    assert rows(store) == was


def test_the_store_of_postgresql_is_lost(factory, postgresql):
    url = postgresql.fresh("lost")
    more = {"ROUTING_ML_STORE_URL": url}
    settings = backed_up.of(factory.folder, **more)
    with closing(Store(url)) as store:
        store.record_predictions(["A"], [0.5], [0.5], model=ACTIVE, seconds=1.0)
        store.reset_drift(why="the test")
    verify(settings, copy(settings).name)
    postgresql.fresh("lost")
    assert "not evaluated yet since the reset" in factory.follow("The store is lost", **more)
    with closing(Store(url)) as store:
        assert store.last_prediction() == 1


def test_a_bad_model_is_in_use(factory):
    said = factory.follow("A bad model is in use")
    assert f"* {ACTIVE}" in said and active(factory.settings.home) != ACTIVE
    last = Registry(factory.settings.home / "models").history()[-1]
    assert (last["action"], last["why"]) == ("rollback", "planners find its proposals worse")


def test_the_source_is_away_for_a_week(factory):
    """The first steps while it is away; the last when it is back."""
    away = factory.source.with_suffix(".away")
    factory.source.rename(away)
    for _ in range(2):
        night = verify(factory.settings, copy(factory.settings).name)
    assert night.of("database") and list(night.missing) == ["database default"]
    items = "ITEM_CD,PART_TYPE,ITEM_MATERIAL\nNEW-1,SLEEVE,316SS\n"
    (factory.folder / "new_items.csv").write_text(items)
    away_steps, back = slice(2), slice(2, None)
    said = factory.follow("The source is away for a week", away_steps)
    assert "NEW-1" in (factory.folder / "proposals.csv").read_text()
    assert "A retraining would learn this." in said
    away.rename(factory.source)
    factory.follow("The source is away for a week", back)
    assert Vault(factory.settings.backup_folder).backups()[-1].is_good


def test_a_new_machine(factory):
    home = factory.settings.home
    was = state(home), rows(home / "store.db"), factory.source.read_bytes()
    backups = factory.folder / "share"
    (home / "backups").rename(backups)
    home.rename(factory.folder / "burnt")
    factory.source.unlink()
    new = factory.folder / "새 기계"
    said = factory.follow(
        "A new machine", NEW_HOME=str(new), BACKUPS=str(backups), ROUTING_ML_SOURCE="",
        ROUTING_ML_HOME="",
    )  # fmt: skip
    assert f"* {ACTIVE}" in said and "A retraining would learn this." in said
    assert state(new) == was[0]
    assert rows(new / "store.db")["runs"] == was[1]["runs"]
    assert (new / "restored" / "database" / "default" / factory.source.name).read_bytes() == was[2]
    settings = Settings.from_env({"ROUTING_ML_HOME": str(new), "ROUTING_ML_BACKUPS": str(backups)})
    newest = Vault(settings.backup_folder).newest()
    assert newest.home == str(new) and newest.is_good


def test_a_restore_was_interrupted(factory, monkeypatch):
    was = state(factory.settings.home)
    shutil.rmtree(factory.settings.home / "models")
    monkeypatch.setattr("routing_ml.backup.restoring._carry_out", lambda *given: None)
    restore(factory.settings, parts=["models"])
    assert moving.begun(factory.settings.home) is not None
    assert "is finished" in factory.follow("A restore was interrupted")
    assert state(factory.settings.home) == was
