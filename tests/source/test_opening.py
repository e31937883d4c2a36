"""Any path and any name; a file that changes while it is read; what a file is that cannot be."""

import os
import shutil
import struct
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from access_builder import DATE, LONG, TEXT, Builder
from access_builder import Column as AccessColumn
from access_factories import marked, twins, write_columns
from conftest import SAMPLE
from data_fixtures import AS_OF, SMALL_COLUMNS, small_factory, sqlite_source
from hypothesis import example, given, settings
from hypothesis import strategies as st

from routing_ml.dataset import frames as dataset
from routing_ml.errors import InputError, RoutingError, SourceError
from routing_ml.settings import Origin, Settings
from routing_ml.source import columns as columns_file
from routing_ml.source import opening
from routing_ml.source.columns import Attributes, Columns
from routing_ml.source.extraction import extract

NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]),
    min_size=1,
    max_size=40,
).filter(lambda name: len(name.encode()) < 100 and name.strip(". ") == name)


@settings(max_examples=30, deadline=None)
@given(NAMES, NAMES)
@example("공장 데이터", "日本語 é;ü {a} 'b' \"c\"")
@example("a=b;c={d}", "DSN=x")
@example("%41 ?#&", "~")
def test_a_file_can_have_any_name(tmp_path_factory, folder: str, name: str) -> None:
    path = tmp_path_factory.mktemp("any") / folder / f"{name}.accdb"
    path.parent.mkdir()
    path.symlink_to(SAMPLE)
    taken = extract(str(path), path.parent / "out", columns=Columns.load(), as_of=AS_OF, limit=500)
    assert taken.rows["items"] == 2_400


@pytest.mark.parametrize("name", ["공장 é;{ü}.accdb", 'it\'s "quoted".accdb', "日本 a=b.mdb"])
def test_a_path_of_any_name_works_from_the_command_line_and_from_the_environment(
    tmp_path: Path, name: str
) -> None:
    home = tmp_path / "상태 {é};'"
    shutil.copyfile(SAMPLE, tmp_path / name)
    ran = [sys.executable, "-P", "-m", "routing_ml", "extract", "--limit", "500", "--out"]
    environment = {**os.environ, "ROUTING_ML_HOME": str(home)}
    by_hand = [*ran, "a", "--source", name]
    subprocess.run(by_hand, cwd=tmp_path, env=environment, check=True, capture_output=True)
    environment["ROUTING_ML_SOURCE"] = str(tmp_path / name)
    subprocess.run([*ran, "b"], cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert len(list((tmp_path / "a").iterdir())) == len(list((tmp_path / "b").iterdir())) == 4
    assert not home.exists()


@settings(max_examples=40, deadline=None)
@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30).filter(
        # A name that no table can have, and those that Access gives its own.
        lambda name: name.strip() and not name.startswith(("~sq_", "~TMP", "MSys"))
    )
)
@example("품목 마스터;{x} 'é'")
def test_tables_and_columns_of_access_can_have_any_name(tmp_path_factory, name: str) -> None:
    folder = tmp_path_factory.mktemp("names")
    builder = Builder()
    code = AccessColumn(name, TEXT, length=200)
    number, moment = AccessColumn(name + "1", LONG), AccessColumn(name + "2", DATE)
    revision, job = (AccessColumn(name + end, TEXT, length=200) for end in "34")
    a, b = ("A".encode("utf-16-le"), "B".encode("utf-16-le"))
    builder.table(name, [code, number], [[a, struct.pack("<i", 1)], [b, struct.pack("<i", 2)]])
    step = [struct.pack("<i", 10), struct.pack("<d", 46_000.0), a, b]
    steps = [code, number, moment, revision, job]
    builder.table(name + "_r", steps, [[a, *step], [b, *step]])
    (folder / "f.accdb").write_bytes(builder.build())
    names = {
        "items": {"table": name, "item": name},
        "routings": {
            "table": name + "_r",
            "item": name,
            "revision": name + "3",
            "entered": name + "2",
            "sequence": name + "1",
            "operation": name + "4",
        },
    }
    columns = read_given(names)
    taken = extract(str(folder / "f.accdb"), folder / "out", columns=columns, as_of=AS_OF)
    assert taken.rows == {"items": 2, "routings": 2}


def read_given(names: dict[str, dict[str, str]]) -> Columns:
    """A columns file of these names, which TOML might have to quote."""
    read = columns_file._Reader(Path("columns.toml"))
    tables = {role: read.table({"table": given_["table"]}, role) for role, given_ in names.items()}
    for role, given_ in names.items():
        standard = columns_file.STANDARD[role]
        parts = {standard[key][0]: (name,) for key, name in given_.items() if key != "table"}
        tables[role] = replace(tables[role], parts=parts)
    return Columns(tables["items"], tables["routings"], None, Attributes())


def overwrite(path: Path, contents: list[bytes], stop: threading.Event, pause: float) -> None:
    """Write the contents in turn, as a copy over a file does: from its start, a piece at a time."""
    turn = 0
    while not stop.is_set():
        with path.open("r+b") as file:
            content = contents[turn % len(contents)]
            for start in range(0, len(content), 1 << 16):
                file.write(content[start : start + (1 << 16)])
                file.flush()
                stop.wait(0.005)
            file.truncate()
        turn += 1
        stop.wait(pause)


def test_a_file_that_is_written_while_it_is_read_gives_no_dataset_that_never_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "SETTLED_S", 0.05)
    columns = Columns.load(write_columns(tmp_path))
    path = tmp_path / "f.accdb"
    contents = [marked(1), marked(2)]
    path.write_bytes(contents[0])
    stop = threading.Event()
    writer = threading.Thread(target=overwrite, args=(path, contents, stop, 0.2))
    writer.start()
    try:
        for turn in range(12):
            out = tmp_path / str(turn)
            try:
                extract(str(path), out, columns=columns, as_of=AS_OF)
            except InputError as error:
                assert "is being written" in str(error)
            else:
                data = dataset.load(out)
                marks = {*data.items["SIZE"], *data.routings["RUN_TIME"]}
                assert len(marks) == 1
                assert len(data.items) == len(data.routings) == 4_000
    finally:
        stop.set()
        writer.join()


def test_a_factory_of_awkward_types_gives_the_dataset_of_its_plain_twin(tmp_path: Path) -> None:
    columns = Columns.load(write_columns(tmp_path))
    data = []
    for name, content in zip(("plain", "awkward"), twins(), strict=True):
        (tmp_path / name).write_bytes(content)
        taken = extract(
            str(tmp_path / name), tmp_path / f"{name}.out", columns=columns, as_of=AS_OF
        )
        data.append(dataset.load(taken.path))
    plain, awkward = data
    pd.testing.assert_frame_equal(plain.routings, awkward.routings)
    pd.testing.assert_frame_equal(plain.items, awkward.items[plain.items.columns])
    assert set(awkward.items) - set(plain.items) == {"VALID_TO", "BIG", "ID", "EXACT", "SMALL"}
    assert set(taken.left_out) == {"items.BYTES", "items.SUM"}


def test_a_file_that_changed_is_read_again_and_refused_when_it_always_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f.accdb"
    path.write_bytes(b"1")
    seen = []

    def read(changes: int) -> str:
        seen.append(path.read_bytes())
        if len(seen) <= changes:
            other = tmp_path / "other"
            other.write_bytes(b"%d" % len(seen))  # replaced, of the same size
            other.replace(path)
        return f"read {len(seen)}"

    assert opening.read_settled(str(path), lambda: read(2)) == "read 3"
    seen.clear()
    with pytest.raises(InputError, match="it changed 3 times while it was read") as failed:
        opening.read_settled(str(path), lambda: read(9))
    assert not isinstance(failed.value, SourceError)  # a later try may find it quiet


def test_a_damaged_file_is_read_again_only_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "f.accdb"
    path.write_bytes(b"1")
    tries = []

    def read() -> str:
        tries.append(1)
        if len(tries) == 1:
            path.write_bytes(b"22")
        if len(tries) < 3:
            raise InputError("damaged")
        return "whole"

    with pytest.raises(InputError, match="damaged"):
        opening.read_settled(str(path), read)
    assert len(tries) == 2


def test_a_missing_file_is_named_with_the_setting_that_gave_it(tmp_path: Path) -> None:
    given_ = {"ROUTING_ML_SOURCE_PLANT2": str(tmp_path / "gone.accdb")}
    origin = Settings.from_env(given_).origin("plant2")
    with pytest.raises(SourceError, match="is not there; set ROUTING_ML_SOURCE_PLANT2 to"):
        extract(origin, tmp_path / "out", columns=Columns.load(), as_of=AS_OF)
    with pytest.raises(SourceError, match="set ROUTING_ML_SOURCE or --source to"):
        extract(str(tmp_path / "gone.accdb"), tmp_path / "out", columns=Columns.load(), as_of=AS_OF)


def test_a_path_that_cannot_be_is_told(tmp_path: Path) -> None:
    for source, line in (
        ("~nobody-of-this-name/f.accdb", "begins with the home folder of no user; write the whole"),
        ("DRIVER={SQLite3};Database=", "names no file; write DATABASE="),
        ("DRIVER={MDBTools}", "names no file; write DATABASE="),
    ):
        with pytest.raises(RoutingError, match=line):
            extract(source, tmp_path / "out", columns=Columns.load(), as_of=AS_OF)


def test_a_linked_table_a_query_and_no_table_are_told_apart(tmp_path: Path) -> None:
    builder = Builder()
    code = AccessColumn("ITEM_CD", TEXT, length=50)
    builder.table("items", [code], [["A".encode("utf-16-le")]])
    builder.objects += [(77, "linked", 6, 0), (78, "saved", 5, 0), (79, "~sq_fForm", 5, 0)]
    (tmp_path / "f.accdb").write_bytes(builder.build())
    for name, shown in (
        ("linked", "'linked' is a linked table, whose rows are in another database"),
        ("saved", "'saved' is a saved query, which only Access can run"),
        ("nowhere", "has no table 'nowhere' (it has: items, linked, saved)"),
    ):
        columns = tmp_path / "c.toml"
        columns.write_text(SMALL_COLUMNS.replace('table = "items"', f'table = "{name}"'))
        with pytest.raises(SourceError) as failed:
            extract(
                str(tmp_path / "f.accdb"),
                tmp_path / "out",
                columns=Columns.load(columns),
                as_of=AS_OF,
            )
        assert shown in str(failed.value)


def test_a_sqlite_file_can_be_given_by_its_path_alone(tmp_path: Path) -> None:
    source = sqlite_source(tmp_path / "f.db", small_factory())
    columns = tmp_path / "c.toml"
    columns.write_text(SMALL_COLUMNS)
    taken = [
        extract(given_, tmp_path / "out", columns=Columns.load(columns), as_of=AS_OF).rows
        for given_ in (source, Origin(str(tmp_path / "f.db")))
    ]
    assert taken[0] == taken[1]


@pytest.mark.parametrize("command", ["extract --out out", "check"])
def test_a_source_that_is_a_pipe_is_refused_at_once(tmp_path: Path, command: str) -> None:
    os.mkfifo(tmp_path / "erp.accdb")
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "routing_ml", *command.split(), "--source", "erp.accdb"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1].endswith("give the path of a file")
