import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from routing_ml import __version__, files
from routing_ml.errors import ModelError
from routing_ml.registry.registry import Registry, Version

NOW = datetime(2026, 11, 1, 2, 0, 0, tzinfo=UTC)
WHO = {"who": "tester", "why": "test"}


def write(folder: Path) -> None:
    for part in ("model", "twin"):
        (folder / part).mkdir()
        (folder / part / "arrays.npz").write_bytes(b"\x00" * 100)
    (folder / "validation_scores.npy").write_bytes(b"\x01" * 100)


@pytest.fixture(autouse=True)
def fsynced(monkeypatch):
    """The files handed to fsync, in order. Without its wait (a disk's 5 ms, thousands of times):
    what a killed process leaves does not depend on it."""
    paths: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda fd: paths.append(str(Path(f"/proc/self/fd/{fd}").readlink()))
    )
    return paths


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "models")


def add(registry: Registry, key: str, *, days_ago: float = 0) -> Version:
    return registry.register(write, key=key, facts={}, now=NOW - timedelta(days=days_ago))


def put_into_use(registry: Registry, *keys: str) -> list[str]:
    return [registry.promote(add(registry, key).name, **WHO).name for key in keys]


def leftovers(registry: Registry) -> list[str]:
    hidden = [*registry.folder.glob(".claims/*"), *registry.folder.glob(".trash/*")]
    pending = registry.folder / ".pending.json"
    return [str(p) for p in [*hidden, *registry.folder.rglob("*.tmp")]] + [
        str(pending) for _ in range(pending.exists())
    ]


# Registering


def test_a_version_is_named_by_its_time_and_a_taken_second_moves_on(registry):
    names = [add(registry, key).name for key in "abc"]
    assert names == [f"model_20261101_02000{i}" for i in range(3)]
    assert registry.get(names[1]).created_at == NOW + timedelta(seconds=1)


def test_the_manifest_has_the_facts_and_what_made_the_version(registry):
    facts = {"metrics": {"exact": np.float64(0.9), "none": float("nan")}, "as_of": NOW}
    manifest = registry.register(write, key="run/boosted", facts=facts, now=NOW).manifest
    assert manifest["metrics"] == {"exact": 0.9, "none": None}
    assert manifest["as_of"] == manifest["created_at"] == "2026-11-01T02:00:00+00:00"
    assert manifest["key"] == "run/boosted"
    assert manifest["code_version"] == __version__
    assert manifest["library_versions"]["numpy"] == np.__version__
    assert sorted(manifest["files"]) == [
        "model/arrays.npz",
        "twin/arrays.npz",
        "validation_scores.npy",
    ]


def test_every_file_is_on_the_disk_before_the_manifest_says_so(registry, fsynced):
    version = add(registry, "a")
    steps = [
        p.removeprefix(f"{version.folder}/") for p in fsynced if p.startswith(str(registry.folder))
    ]
    manifest = next(i for i, p in enumerate(steps) if p.startswith(".manifest.json."))
    assert {*version.manifest["files"], "model", "twin", str(version.folder)} <= {*steps[:manifest]}
    assert steps[manifest + 1 : manifest + 3] == [str(version.folder), str(registry.folder)]


def test_facts_cannot_pose_as_the_registrys_own(registry):
    with pytest.raises(ValueError, match="'files'"):
        registry.register(write, key="a", facts={"files": {}})


def test_facts_without_a_json_form_are_refused_before_anything_is_written(registry):
    with pytest.raises(TypeError, match="no JSON form"):
        registry.register(write, key="a", facts={"x": object()})
    assert not registry.folder.exists()


def test_a_retry_with_the_same_key_finds_the_finished_version(registry):
    first = add(registry, "run")
    again = registry.register(lambda folder: pytest.fail("written twice"), key="run", facts={})
    assert again == first


def test_a_model_that_fails_to_write_leaves_nothing(registry):
    def fail(folder: Path) -> None:
        write(folder)
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        registry.register(fail, key="a", facts={})
    assert registry.versions() == [] and registry.damaged() == {} and leftovers(registry) == []


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(registry):
    def fill(folder: Path) -> None:
        (folder / "model").mkdir()
        with Path("/dev/full").open("w") as full:  # the kernel's own ENOSPC
            full.write("x" * 100_000)

    with pytest.raises(ModelError) as caught:
        registry.register(fill, key="a", facts={}, now=NOW)
    assert str(caught.value) == (
        "model_20261101_020000 cannot be stored: No space left on device: "
        "free some space there, then run it again"
    )
    assert registry.versions() == [] and registry.damaged() == {} and leftovers(registry) == []


def test_a_model_that_writes_nothing_a_link_or_a_manifest_is_refused(registry):
    for writes, complaint in (
        (lambda f: None, "no file"),
        (lambda f: (f / "a").symlink_to("/etc/passwd"), "neither a plain file"),
        (lambda f: (f / "manifest.json").touch(), "manifest.json"),
    ):
        with pytest.raises(ModelError, match=complaint):
            registry.register(writes, key="a", facts={})
    assert registry.damaged() == {} and leftovers(registry) == []


def test_an_unwritable_folder_is_one_clear_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match=r"file/models cannot be used .*ROUTING_ML_HOME"):
        add(Registry(tmp_path / "file" / "models"), "a")


# Refusing


def change(path: Path) -> None:
    path.write_bytes(b"\x02" * 100)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


@pytest.mark.parametrize("damage", [change, truncate])
def test_a_changed_or_truncated_file_is_refused_by_its_name(registry, damage):
    version = add(registry, "a")
    damage(version.folder / "twin" / "arrays.npz")
    with pytest.raises(ModelError, match=r"model_20261101_020000 .*twin/arrays.npz is not"):
        registry.promote(version.name, **WHO)
    assert registry.active() is None


def test_a_missing_an_added_and_a_linked_file_are_refused_by_name(registry):
    missing, added, linked = (add(registry, key) for key in "abc")
    (missing.folder / "validation_scores.npy").unlink()
    (added.folder / "model" / "extra.py").touch()
    (linked.folder / "validation_scores.npy").unlink()
    (linked.folder / "validation_scores.npy").symlink_to(missing.folder / "model" / "arrays.npz")
    for version, complaint in (
        (missing, "validation_scores.npy is missing"),
        (added, "model/extra.py is not in its manifest"),
        (linked, "validation_scores.npy is neither"),
    ):
        with pytest.raises(ModelError, match=complaint):
            version.verify()


def edit(manifest: Path, **changes: object) -> None:
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | changes))


def test_a_damaged_manifest_is_refused_and_the_others_stay_usable(registry):
    edited, cut, gone, good = (add(registry, key) for key in "abcd")
    edit(edited.folder / "manifest.json", metrics={"exact": 1.0})
    truncate(cut.folder / "manifest.json")
    (gone.folder / "manifest.json").unlink()
    reasons = registry.damaged()
    assert "manifest.json was changed" in reasons[edited.name]
    assert "manifest.json is truncated" in reasons[cut.name]
    assert "never finished" in reasons[gone.name]
    assert registry.versions() == [good]
    assert registry.promote(good.name, **WHO) == good


def test_a_version_copied_under_another_name_is_refused(registry):
    version = add(registry, "a")
    version.folder.rename(version.folder.with_name("model_20270101_000000"))
    with pytest.raises(ModelError, match="is the manifest of model_20261101_020000"):
        registry.get("model_20270101_000000")


def test_a_manifest_that_names_files_outside_its_folder_is_refused(registry, monkeypatch):
    from routing_ml.registry import version as version_module

    version = add(registry, "a")
    monkeypatch.setattr(version_module, "_digest", lambda m: m["digest"])  # a forger's digest
    for path in ("../secret", "/etc/passwd", "model/../../secret", "model\\..\\secret"):
        edit(version.folder / "manifest.json", files={path: "0" * 64})
        with pytest.raises(ModelError, match="not in its folder"):
            registry.get(version.name)


@pytest.mark.parametrize("name", ["../models", "", "model_1", "/etc", "model_20261101_020000/.."])
def test_what_is_no_version_name_is_refused(registry, name):
    add(registry, "a")
    with pytest.raises(ModelError, match="is no version name"):
        registry.promote(name, **WHO)


def test_a_version_folder_that_is_a_link_is_refused(registry, tmp_path):
    other = add(Registry(tmp_path / "other"), "a")
    add(registry, "a")
    (registry.folder / "model_20270101_000000").symlink_to(other.folder)
    with pytest.raises(ModelError, match="no version model_20270101_000000"):
        registry.get("model_20270101_000000")


# Switching


def test_nothing_is_active_before_the_first_promotion(registry):
    assert registry.active() is None and registry.previous() is None
    assert registry.versions() == [] and registry.history() == []
    assert not registry.folder.exists()


def test_promote_switches_a_relative_link_and_writes_down_who_and_why(registry):
    first, second = put_into_use(registry, "a", "b")
    assert (registry.folder / "active").readlink() == Path(second)
    assert registry.active() == registry.get(second)
    assert [(e["from"], e["to"]) for e in registry.history()] == [(None, first), (first, second)]
    assert {(e["who"], e["why"], e["action"]) for e in registry.history()} == {
        ("tester", "test", "promote")
    }


def test_promoting_the_active_version_again_is_no_switch(registry):
    (name,) = put_into_use(registry, "a")
    registry.promote(name, **WHO)
    assert len(registry.history()) == 1


def test_rollback_goes_further_back_each_time_and_then_refuses(registry):
    first, second, third = put_into_use(registry, "a", "b", "c")
    assert registry.previous() == registry.get(second)
    assert [registry.rollback(**WHO).name for _ in range(2)] == [second, first]
    with pytest.raises(ModelError, match="no earlier version"):
        registry.rollback(**WHO)
    assert registry.active() == registry.get(first)
    registry.promote(third, **WHO)
    assert registry.previous() == registry.get(first)
    assert [e["action"] for e in registry.history()] == ["promote"] * 3 + ["rollback"] * 2 + [
        "promote"
    ]


def test_rollback_refuses_a_damaged_version_and_keeps_the_active_one(registry):
    first, second = put_into_use(registry, "a", "b")
    change(registry.folder / first / "model" / "arrays.npz")
    with pytest.raises(ModelError, match=f"{first} is refused"):
        registry.rollback(**WHO)
    assert registry.active() == registry.get(second)


def test_a_link_changed_by_hand_is_written_into_the_history(registry):
    first, _ = put_into_use(registry, "a", "b")
    third = add(registry, "c").name
    (registry.folder / "active").unlink()
    (registry.folder / "active").symlink_to(first)
    registry.promote(third, **WHO)
    assert [(e["action"], e["to"]) for e in registry.history()][2:] == [
        ("outside", first),
        ("promote", third),
    ]
    assert registry.previous() == registry.get(first)


@pytest.mark.parametrize("target", ["../elsewhere", "/etc", "model_20300101_000000"])
def test_a_link_to_what_is_no_version_is_refused_until_one_is_promoted(registry, target):
    (name,) = put_into_use(registry, "a")
    (registry.folder / "active").unlink()
    (registry.folder / "active").symlink_to(target)
    with pytest.raises(
        ModelError, match=f"active (points to|model cannot be used: no).* ?{target}"
    ):
        registry.active()
    registry.promote(name, **WHO)
    assert registry.active() == registry.get(name)


def test_a_folder_in_the_links_place_is_named(registry):
    add(registry, "a")
    (registry.folder / "active").mkdir()
    with pytest.raises(ModelError, match="active is not a symlink"):
        registry.active()


def test_a_damaged_history_is_named_by_its_line_and_nothing_is_overwritten(registry):
    put_into_use(registry, "a", "b")
    path = registry.folder / "history.jsonl"
    path.write_bytes(path.read_bytes()[:-30])
    damaged = path.read_bytes()
    for use in (registry.history, registry.previous, registry.prune):
        with pytest.raises(ModelError, match=r"history\.jsonl line 2"):
            use()
    assert path.read_bytes() == damaged
    assert registry.active() is not None  # whoever predicts does not need the history


def test_a_full_disk_stops_a_switch_before_anything_changed(registry):
    first, second = put_into_use(registry, "a")[0], add(registry, "b").name
    before = (registry.folder / "history.jsonl").read_bytes()
    code = (
        "import resource, sys; from pathlib import Path; from routing_ml.registry import Registry\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (250, 250))\n"  # the intent fits, the rest not
        "Registry(Path(sys.argv[1])).promote(sys.argv[2], who='t', why='t')\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, registry.folder, second], capture_output=True, text=True
    )
    assert f"ModelError: {second} cannot be put into use: File too large" in done.stderr
    assert registry.active() == registry.get(first)
    assert (registry.folder / "history.jsonl").read_bytes() == before
    assert leftovers(registry) == []


def test_a_switch_that_fails_after_the_link_changed_is_still_recorded(registry, monkeypatch):
    first, second = put_into_use(registry, "a")[0], add(registry, "b").name

    def fail_late(path: Path, target: str) -> None:
        replace_link(path, target)
        raise OSError(errno.EIO, "Input/output error")  # as the fsync after the rename may

    replace_link = files.replace_link
    monkeypatch.setattr(files, "replace_link", fail_late)
    with pytest.raises(ModelError, match="Input/output error"):
        registry.promote(second, **WHO)
    monkeypatch.undo()
    assert registry.active() == registry.get(second)
    assert [(e["from"], e["to"]) for e in registry.history()][1:] == [(first, second)]
    registry.prune(now=NOW)
    assert [(e["action"], e["to"]) for e in registry.history()][1:] == [("promote", second)]
    assert leftovers(registry) == []


# Pruning


def test_prune_removes_old_versions_but_never_the_active_or_the_one_before(registry):
    old = [add(registry, f"old {i}", days_ago=300 - i).name for i in range(4)]
    young = add(registry, "young", days_ago=179).name
    for name in old[:3]:
        registry.promote(name, **WHO)
    assert registry.prune(now=NOW) == [old[0], old[3]]
    assert [v.name for v in registry.versions()] == [old[1], old[2], young]
    assert registry.rollback(**WHO).name == old[1]
    with pytest.raises(ModelError, match="no earlier version"):
        registry.rollback(**WHO)
    assert len(registry.history()) == 4


def test_prune_spares_what_it_is_told_to_keep(registry):
    names = [add(registry, key, days_ago=400).name for key in "ab"]
    assert registry.prune(now=NOW, keep=[names[0]]) == [names[1]]


def test_prune_removes_old_damaged_versions_and_empty_folders(registry):
    old = add(registry, "a", days_ago=400)
    (old.folder / "manifest.json").unlink()
    (registry.folder / "model_20261031_000000").mkdir()
    (registry.folder / "notes").mkdir()
    assert registry.prune(now=NOW) == [old.name, "model_20261031_000000"]
    assert (registry.folder / "notes").exists()


def test_a_half_copied_version_is_left_alone(registry):
    copied = registry.folder / "model_20261031_000000"
    copied.mkdir(parents=True)
    (copied / "arrays.npz").touch()
    assert registry.prune(now=NOW) == []
    assert "never finished" in registry.damaged()[copied.name]


def test_a_version_is_a_reference_to_the_end_of_its_year(registry):
    names = []
    for key in "abc":
        names += put_into_use(registry, key)
        time.sleep(0.01)
    ended = datetime.fromisoformat(registry.history()[1]["at"]) + timedelta(days=365)
    moment = timedelta(milliseconds=1)
    assert [v.name for v in registry.references(now=ended - moment)] == [names[1], names[0]]
    assert [v.name for v in registry.references(now=ended + moment)] == [names[1]]


def test_a_pruned_version_is_a_reference_until_a_year_after_its_use(registry):
    old = [add(registry, f"old {i}", days_ago=300 - i).name for i in range(4)]
    for name in old:
        registry.promote(name, **WHO)
    assert registry.prune(now=NOW) == old[:2]
    assert [v.verify().name for v in registry.references()] == old[2::-1]
    with pytest.raises(ModelError, match="no version"):
        registry.promote(old[0], **WHO)
    # A name is never given twice, also when its version is gone from sight.
    assert add(registry, "same second", days_ago=300).name not in old
    later = datetime.now(UTC) + timedelta(days=366)
    assert registry.references(now=later) == []
    registry.prune(now=later)
    assert list((registry.folder / ".references").iterdir()) == []


# Several processes, and those that die


def children(count: int, body: Callable[[int], None]) -> None:
    """Run `body(i)` in that many forked processes at once; fail when one fails."""
    pids = []
    for i in range(count):
        if not (pid := os.fork()):
            code = 1
            try:
                body(i)
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * count


def test_processes_at_once_lose_no_version_and_no_switch(registry):
    def work(i: int) -> None:
        for j in range(5):
            name = registry.register(write, key=f"{i}-{j}", facts={}, now=NOW).name
            registry.promote(name, who=f"process {i}", why=str(j))

    children(4, work)
    assert len(registry.versions()) == 20
    history = registry.history()
    assert len(history) == 20
    assert [e["from"] for e in history] == [None, *(e["to"] for e in history[:-1])]


def test_one_key_is_written_once_by_processes_that_try_at_once(registry):
    def work(i: int) -> None:
        def slowly(folder: Path) -> None:
            write(folder)
            time.sleep(0.3)

        registry.register(slowly, key="run", facts={})

    children(3, work)
    assert len(registry.versions()) == 1


def test_a_retry_gives_up_on_a_process_that_writes_its_key_for_ever(registry):
    impatient = Registry(registry.folder, same_key_seconds=0.3)
    with pytest.raises(ModelError, match="another process has been writing the version of 'run'"):
        registry.register(
            lambda folder: impatient.register(write, key="run", facts={}), key="run", facts={}
        )


def test_prune_and_promote_leave_a_version_that_is_being_written(registry):
    (other,) = put_into_use(registry, "a")

    def meanwhile(folder: Path) -> None:
        write(folder)
        thread = threading.Thread(target=lambda: registry.prune(now=NOW + timedelta(days=999)))
        thread.start()
        thread.join()
        with pytest.raises(ModelError, match="never finished"):
            registry.promote(folder.name, **WHO)

    assert registry.register(meanwhile, key="b", facts={}, now=NOW).verify()
    assert registry.active() == registry.get(other)


def test_a_lock_that_is_never_freed_is_named(registry):
    add(registry, "a")
    impatient = Registry(registry.folder, lock_seconds=0.1)
    with registry._locked(), pytest.raises(ModelError, match=r"locked by another.*\.lock"):
        impatient.prune()


def killed_at(event: int, operate: Callable[[], None]) -> bool:
    """Fork, SIGKILL the child just before its `event`-th step on the file system; was there one?"""
    pid = os.fork()
    if not pid:
        count = 0

        def kill(name: str, _: object) -> None:
            nonlocal count
            if name.startswith(("os.", "open", "fcntl.", "shutil.")):
                count += 1
                if count == event:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.addaudithook(kill)
            operate()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


OPERATIONS = {
    "register": lambda r, new: r.register(write, key="new", facts={}, now=NOW),
    "promote": lambda r, new: r.promote(new, **WHO),
    "rollback": lambda r, new: r.rollback(**WHO),
    "prune": lambda r, new: r.prune(now=NOW),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_process_killed_at_any_step_leaves_a_valid_active_version_and_loses_nothing(
    tmp_path, operation
):
    prepared = Registry(tmp_path / "prepared")
    first, second = put_into_use(prepared, "a", "b")
    new = add(prepared, "c").name
    old = add(prepared, "old", days_ago=400).name
    event, alive = 0, True
    while alive:
        event += 1
        registry = Registry(tmp_path / str(event))
        shutil.copytree(prepared.folder, registry.folder, symlinks=True)
        alive = killed_at(event, lambda r=registry, n=new: OPERATIONS[operation](r, n))

        finished = {v.name: v.folder.stat().st_ino for v in registry.versions() if v.name != old}

        # As a reader finds it, before any other command has put it right.
        active = registry.active().verify().name
        assert active in {"promote": (second, new), "rollback": (second, first)}.get(
            operation, (second,)
        )
        assert registry.history()[-1]["to"] == active

        OPERATIONS[operation](registry, new) if operation != "rollback" else registry.prune(now=NOW)
        assert registry.active().verify().name == {"promote": new}.get(
            operation, registry.active().name
        )
        history = registry.history()
        assert history[-1]["to"] == registry.active().name
        assert [e["from"] for e in history] == [None, *(e["to"] for e in history[:-1])]
        assert {e["action"] for e in history} <= {"promote", operation}
        assert len(history) == 2 + (registry.active().name != second)
        kept = {v.verify().name: v.folder.stat().st_ino for v in registry.versions()}
        assert finished.items() <= kept.items() and {first, second, new} <= finished.keys()
        assert sum(v.manifest["key"] == "new" for v in registry.versions()) == (
            operation == "register"
        )
        if operation in ("prune", "rollback"):
            assert not (registry.folder / old).exists()
        assert registry.damaged() == {} and leftovers(registry) == []
    assert event > 20
