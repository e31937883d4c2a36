import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from routing_ml import files
from routing_ml.errors import InputError, ModelError


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_atomic_write_replaces_the_whole_content(tmp_path):
    path = tmp_path / "a.json"
    files.atomic_write(path, "a much longer first text")
    files.atomic_write(path, "가")
    assert path.read_bytes() == "가".encode()
    assert names(tmp_path) == ["a.json"]


def test_a_failed_write_leaves_the_old_content_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    files.atomic_write(path, "old")
    with pytest.raises(RuntimeError), files.atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.json"]


def test_a_write_that_the_system_refuses_leaves_the_old_content(tmp_path):
    # A real refusal by the kernel: the limit on file sizes, in a process of its own.
    path = tmp_path / "a.json"
    files.atomic_write(path, "old")
    code = (
        "import resource, sys; from pathlib import Path; from routing_ml import files\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "try: files.atomic_write(Path(sys.argv[1]), 'x' * 100)\n"
        "except OSError as error: print(error.strerror)\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code, path], capture_output=True, text=True)
    assert done.stdout == "File too large\n", done.stderr
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.json"]


def test_replace_link_switches_a_link_in_one_step(tmp_path):
    files.replace_link(tmp_path / "active", "first")
    files.replace_link(tmp_path / "active", "second")
    assert (tmp_path / "active").readlink() == Path("second")
    assert names(tmp_path) == ["active"]


def test_replace_link_that_fails_leaves_nothing(tmp_path):
    (tmp_path / "active" / "content").mkdir(parents=True)
    with pytest.raises(OSError, match="Is a directory"):
        files.replace_link(tmp_path / "active", "second")
    assert names(tmp_path) == ["active"]


def test_remove_leftovers_takes_only_the_temporary_files_of_that_name(tmp_path):
    for name in (".a.json.01234567.tmp", ".b.json.01234567.tmp", ".a.json", "a.json"):
        (tmp_path / name).touch()
    files.remove_leftovers(tmp_path, "a.json")
    assert names(tmp_path) == [".a.json", ".b.json.01234567.tmp", "a.json"]


def test_remove_folder_leaves_neither_the_folder_nor_trash(tmp_path):
    (tmp_path / "old" / "model").mkdir(parents=True)
    (tmp_path / "old" / "model" / "a").touch()
    files.remove_folder(tmp_path / "old", trash=tmp_path / ".trash")
    assert names(tmp_path) == [".trash"]
    assert names(tmp_path / ".trash") == []


def test_empty_trash_frees_what_an_interrupted_removal_left(tmp_path):
    files.empty_trash(tmp_path / ".trash")
    (tmp_path / ".trash" / "old.0123" / "model").mkdir(parents=True)
    files.empty_trash(tmp_path / ".trash")
    assert names(tmp_path / ".trash") == []


def test_sha256_is_the_digest_of_the_standard(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert files.sha256(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223b00361a3")
    (tmp_path / "million").write_bytes(b"a" * 1_000_000 * 3)
    assert len(files.sha256(tmp_path / "million")) == 64


def test_a_symlink_is_no_regular_file(tmp_path):
    (tmp_path / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(ValueError, match="passwd is neither"):
        list(files.regular_files(tmp_path))


def test_told_as_names_what_failed_where_and_the_next_step(tmp_path):
    blocked = tmp_path / "file" / "models"
    (tmp_path / "file").touch()
    with pytest.raises(ModelError) as caught, files.told_as(ModelError, "no models"):
        blocked.mkdir()
    line = str(caught.value)
    assert line.startswith(f"no models: Not a directory ({blocked}): ")
    assert "ROUTING_ML_HOME" in line and "\n" not in line


def test_a_full_disk_is_told_with_what_to_do():
    with (
        pytest.raises(ModelError, match=r"No space left on device.*: free some space"),
        files.told_as(ModelError, "x"),
        Path("/dev/full").open("w") as full,
    ):
        full.write("x")
        full.flush()


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_pipe_or_a_device_is_no_file(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "erp.accdb")
    with pytest.raises(InputError, match=r"erp\.accdb is no file but a pipe, a device or a socket"):
        files.require_plain(tmp_path / "erp.accdb")


def test_a_file_is_plain_and_what_is_not_there_is_for_its_reader_to_tell(tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(b"")
    for name in ("here", "gone", ".", "zero\0"):
        files.require_plain(tmp_path / name)
