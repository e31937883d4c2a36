from pathlib import Path

import pytest

from routing_ml.settings import BASE, is_connection_string
from routing_ml.source.connection import label
from routing_ml.source.opening import file_of


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("DRIVER={X};UID=me;PWD=secret", "DRIVER={X};UID=me;PWD=***"),
        ("driver=X;pwd = secret ;uid=me", "driver=X;pwd =***;uid=me"),
        ("DSN=x;Password={se;cr}}et};A=b", "DSN=x;Password=***;A=b"),
        ("DSN=x;AccessToken=secret=;A=b", "DSN=x;AccessToken=***;A=b"),
        ("DSN=x;PWD=a=secret;A=b", "DSN=x;PWD=***;A=b"),
        ("postgresql://ml:secret@erp/x", "postgresql://ml:***@erp/x"),
        ("/data/factory.accdb", "/data/factory.accdb"),
    ],
)
def test_a_label_shows_no_secret(source: str, shown: str) -> None:
    assert label(source) == shown


def test_what_is_a_file_is_read_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a relative path means the same from every folder
    assert file_of("erp.accdb") == BASE / "erp.accdb"
    assert file_of("a=b.accdb") == BASE / "a=b.accdb"
    assert file_of("DRIVER={MDBTools};DBQ=/x/공장 a.accdb") == Path("/x/공장 a.accdb")
    assert file_of("Driver=MDBTools;DBQ={/x/a;b}}c.mdb};") == Path("/x/a;b}c.mdb")
    assert file_of("DRIVER={SQLite3};Database=/x/erp.db;Timeout=1") == Path("/x/erp.db")
    for server in (
        "DSN=erp",
        "DRIVER={PostgreSQL Unicode};SERVER=erp;DATABASE=erp",
        "DRIVER={Microsoft Access Driver (*.mdb, *.accdb)};DBQ=C:\\erp.accdb",
        "postgresql://erp/erp",
    ):
        assert file_of(server) is None


def test_a_file_by_its_ending_is_no_connection_string() -> None:
    assert is_connection_string("DSN=erp")
    assert is_connection_string("DRIVER={X};DBQ=erp.accdb")
    assert not is_connection_string("A=B.accdb")
    assert not is_connection_string("/data/공장 a;b={c}")
