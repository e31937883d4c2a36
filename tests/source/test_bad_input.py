"""Bad input through the real command line: one clear line, a non-zero exit, nothing left behind."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, SAMPLE
from data_fixtures import SMALL_COLUMNS, Rows, odbc, small_factory, sqlite_source
from postgresql import PostgreSQL

from routing_ml.registry.registry import Registry

PAGE_BYTES = 4096


def command(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "routing_ml", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a failed command ends with; nothing else is said, on either output."""
    assert done.returncode == 1, done
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("routing-ml: ")
    assert ";" in line or line.count(":") > 1, "it names no next step"
    return line


def extract(source: object, out: Path, *more: object) -> str:
    """The line that an extract is refused with; it leaves no file behind."""
    line = refused(command("extract", "--source", source, "--out", out, *more))
    assert not out.is_dir() or list(out.iterdir()) == []
    return line


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "columns.toml"
    path.write_text(SMALL_COLUMNS)
    return path


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    line = extract(tmp_path / "no.accdb", tmp_path / "out")
    assert f"{tmp_path / 'no.accdb'} is not there; set ROUTING_ML_SOURCE" in line


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"", "is empty"),
        (b"\0" * PAGE_BYTES, "is no Microsoft Access database"),
        (b"PK\x03\x04" + b"x" * 9000, "is no Microsoft Access database"),
        (b"\0\1\0\0Standard ACE DB\0" + b"\x05" * (2 * PAGE_BYTES - 20), "is encrypted"),
    ],
    ids=["empty", "zeros", "a zip file", "only a signature"],
)
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes, shown: str) -> None:
    path = tmp_path / "factory.accdb"
    path.write_bytes(content)
    line = extract(path, tmp_path / "out")
    assert str(path) in line
    assert shown in line
    assert "copy" in line


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be read: Is a directory" in extract(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (100, "ends in the middle of a page (100 bytes"),
        (3_000_001, "ends in the middle of a page (3000001 bytes"),
        (10 * PAGE_BYTES, "the file is damaged or was changed while it was read"),
        (60 * PAGE_BYTES, "the file is damaged or was changed while it was read"),
        (150 * PAGE_BYTES, "the file is damaged or was changed while it was read"),
        (1_000 * PAGE_BYTES, "the file is damaged or was changed while it was read"),
        (2_004 * PAGE_BYTES, "the file is damaged or was changed while it was read"),
    ],
)
def test_a_truncated_file_is_refused_wherever_it_ends(
    tmp_path: Path, size: int, shown: str
) -> None:
    path = tmp_path / "factory.accdb"
    path.write_bytes(SAMPLE.read_bytes()[:size])
    line = extract(path, tmp_path / "out")
    assert shown in line
    assert "restore" in line


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("dbo_BI_ROUTING_VIEW", "dbo_ROUTES", "has no table 'dbo_ROUTES' (it has: dbo_BI_ITEM"),
        ('"RUN_TIME"', '"RUN_MIN"', "dbo_BI_ROUTING_VIEW has no column 'RUN_MIN'"),
        ('sequence = "PROC_SEQ"', "sequence = 7", "[routings] sequence is 7, not a name"),
        ("[results]", "[result]", "has 'result', which means nothing"),
    ],
)
def test_a_columns_file_that_does_not_fit_is_refused(
    tmp_path: Path, old: str, new: str, shown: str
) -> None:
    path = tmp_path / "columns.toml"
    path.write_text(
        (ROOT / "routing_ml" / "source" / "columns.toml").read_text().replace(old, new, 1)
    )
    assert shown in extract(SAMPLE, tmp_path / "out", "--columns", path)


def test_a_missing_columns_file_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "no.toml"
    line = extract(SAMPLE, tmp_path / "out", "--columns", missing)
    assert f"columns file {missing} is not there" in line


@pytest.mark.parametrize(
    ("column", "value", "due"),
    [("RUN_TIME", "ten minutes", "a number"), ("INSRT_DT", "2026-02-30", "a date")],
)
def test_a_value_of_another_kind_is_named(
    tmp_path: Path, small: Path, column: str, value: str, due: str
) -> None:
    factory = small_factory()
    old = factory["routings"]
    rows = [list(row) for row in old.rows]
    rows[0][0], rows[0][old.index(column)] = "IT-042", value
    changed = Rows({**old.columns, column: "TEXT"}, [tuple(row) for row in rows])
    source = sqlite_source(tmp_path / "f.sqlite", factory | {"routings": changed})
    line = extract(source, tmp_path / "out", "--columns", small)
    assert f"table routings, item 'IT-042': {column} is {value!r}, where {due} is due" in line


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("--as-of", "2026-13-45"), "as-of '2026-13-45' is no ISO 8601 date"),
        (("--as-of", "yesterday"), "as-of 'yesterday' is no ISO 8601 date"),
    ],
)
def test_a_wrong_as_of_is_refused(tmp_path: Path, arguments: tuple[str, ...], shown: str) -> None:
    assert shown in extract(SAMPLE, tmp_path / "out", *arguments)


@pytest.mark.parametrize("limit", ["0", "-5", "many", "1.5"])
def test_a_wrong_limit_is_wrong_usage(tmp_path: Path, limit: str) -> None:
    done = command("extract", "--source", SAMPLE, "--out", tmp_path / "out", f"--limit={limit}")
    assert done.returncode == 2
    assert f"{limit!r} is no whole number of at least 1" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_a_driver_that_is_not_installed_is_named_without_the_password(tmp_path: Path) -> None:
    line = extract("DRIVER={Oracle 99};SERVER=erp;UID=ml;PWD={to;p=secret}", tmp_path / "out")
    assert "DRIVER={Oracle 99};SERVER=erp: it cannot be opened" in line
    assert "check ROUTING_ML_SOURCE and that the driver it names is installed" in line
    assert "secret" not in line


def test_a_wrong_password_is_not_shown_when_the_server_refuses_it(
    tmp_path: Path, postgresql: PostgreSQL
) -> None:
    good = odbc(postgresql.url).rpartition(";PWD=")[0]
    line = extract(f"{good};PWD=top-secret-word", tmp_path / "out")
    assert "password authentication failed" in line
    assert "PWD" not in line
    assert "secret-word" not in line


@pytest.mark.parametrize(
    "source",
    ["postgresql://ml:top-secret@erp/factory", "mysql://ml:top/se@cret@erp/db?ssl=on&x=1"],
)
def test_a_url_is_refused_without_its_password(tmp_path: Path, source: str) -> None:
    line = extract(source, tmp_path / "out")
    assert "is a URL; write an ODBC connection string" in line
    assert "://erp/" in line
    assert "cret" not in line.replace("***", "")


def test_a_connection_string_longer_than_a_file_name_is_one(tmp_path: Path) -> None:
    source = "DRIVER={None};" + "".join(f"OPTION{n}=value;" for n in range(100))
    assert "it cannot be opened through ODBC" in extract(source, tmp_path / "out")


def test_a_file_in_the_way_of_the_output_is_named(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("in the way")
    line = refused(command("extract", "--source", SAMPLE, "--out", out))
    assert f"dataset in {out} cannot be written: File exists" in line
    assert out.read_text() == "in the way"


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 kB where mounting is allowed; else a folder, its files held to that size."""
    disk = tmp_path / "disk"
    disk.mkdir()
    options = ["-t", "tmpfs", "-o", "size=256k", "tmpfs"]
    mounted = subprocess.run(["mount", *options, str(disk)], capture_output=True, check=False)
    yield disk
    if mounted.returncode == 0:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_leaves_no_half_dataset(tiny_disk: Path) -> None:
    limited = ["bash", "-c", 'ulimit -f 256; exec "$@"', "-"]
    command = [*limited, sys.executable, "-P", "-m", "routing_ml"]
    done = subprocess.run(
        [*command, "extract", "--source", str(SAMPLE), "--out", str(tiny_disk / "out")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    line = refused(done)
    assert "cannot be written" in line
    assert "No space left on device" in line or "File too large" in line
    assert list((tiny_disk / "out").iterdir()) == []


def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    out = tmp_path / "disk" / "out"
    out.parent.mkdir()
    options = ["-t", "tmpfs", "-o", "ro,size=256k", "tmpfs", str(out.parent)]
    mounted = subprocess.run(["mount", *options], capture_output=True, check=False)
    if mounted.returncode != 0:  # /proc is read-only for everyone, and always there
        out = Path("/proc/routing-ml")
    try:
        line = refused(command("extract", "--source", SAMPLE, "--out", out))
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", str(out.parent)], check=True)
    assert f"dataset in {out} cannot be written" in line


@pytest.mark.parametrize("damage", ["gone", "changed", "no manifest", "not JSON"])
def test_a_damaged_dataset_is_not_audited(tmp_path: Path, small: Path, damage: str) -> None:
    out = tmp_path / "out"
    source = sqlite_source(tmp_path / "f.sqlite", small_factory())
    arguments = ("--source", source, "--out", out, "--columns", small, "--as-of", "2026-11-01")
    assert command("extract", *arguments).returncode == 0
    manifest, rows = (out / f"training_dataset_202611.{end}" for end in ("json", "parquet"))
    shown = {
        "gone": "lacks its file training_dataset_202611.parquet",
        "changed": "is not what its manifest training_dataset_202611.json says",
        "no manifest": "holds no dataset (no training_dataset_YYYYMM.json)",
        "not JSON": "is no manifest of a dataset",
    }
    if damage == "gone":
        rows.unlink()
    elif damage == "changed":
        rows.write_bytes(rows.read_bytes() + b"x")
    elif damage == "no manifest":
        manifest.unlink()
    else:
        manifest.write_text("[1, 2")
    line = refused(command("audit", out))
    assert shown[damage] in line
    assert "'routing-ml extract" in line


def test_audit_ends_with_1_when_a_gate_fails_and_with_0_when_none_does(
    tmp_path: Path, small: Path
) -> None:
    source = sqlite_source(tmp_path / "f.sqlite", small_factory(items=20))
    command("extract", "--source", source, "--out", tmp_path / "few", "--columns", small)
    few = command("audit", tmp_path / "few")
    assert few.returncode == 1
    assert "error    items:" in few.stdout
    assert "at least 30 are needed" in few.stdout
    command("extract", "--source", SAMPLE, "--out", tmp_path / "many")
    many = command("audit", tmp_path / "many")
    assert many.returncode == 0
    assert "error " not in many.stdout


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A state folder with a model in use."""
    home = tmp_path / "home"
    registry = Registry(home / "models")
    version = registry.register(
        lambda folder: (folder / "weights").write_text("1"), key="k", facts={"metrics": {}}
    )
    registry.promote(version.name, who="test", why="first")
    return home


def state(home: Path) -> dict[str, bytes | str]:
    """Everything in the registry."""
    found: dict[str, bytes | str] = {}
    for path in sorted((home / "models").rglob("*")):
        if path.is_symlink():
            found[str(path)] = str(path.readlink())
        elif path.is_file():
            found[str(path)] = path.read_bytes()
    return found


@pytest.mark.parametrize("kind", ["truncated", "too few", "a file in the way"])
def test_a_retraining_on_bad_input_leaves_the_active_model(
    tmp_path: Path, small: Path, home: Path, kind: str
) -> None:
    before = state(home)
    source: object = tmp_path / "factory.accdb"
    shown = "the file is damaged or was changed while it was read"
    arguments: tuple[object, ...] = ()
    if kind == "truncated":
        (tmp_path / "factory.accdb").write_bytes(SAMPLE.read_bytes()[: 1_000 * PAGE_BYTES])
    elif kind == "too few":
        source = sqlite_source(tmp_path / "f.sqlite", small_factory(items=20))
        arguments = ("--columns", small)
        shown = "at least 30 are needed"
    elif kind == "a file in the way":
        source = SAMPLE
        (home / "datasets").write_text("in the way")
        shown = f"{home / 'datasets'} cannot be written"
    done = command("retrain", "--source", source, *arguments, ROUTING_ML_HOME=str(home))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("routing-ml: ")
    assert shown in done.stderr.splitlines()[-1]
    assert state(home) == before
    assert not list(home.rglob(".extract-*"))
    assert not list(home.rglob("*.tmp"))


def test_a_state_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("in the way")
    done = command("retrain", "--source", SAMPLE, ROUTING_ML_HOME=str(home))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "cannot be written: Not a directory" in done.stderr
    assert "ROUTING_ML_HOME" in done.stderr
    assert home.read_text() == "in the way"
