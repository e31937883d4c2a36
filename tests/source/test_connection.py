from pathlib import Path

import pytest

from routing_ml.errors import RoutingError
from routing_ml.settings import BASE, Origin, is_connection_string
from routing_ml.source.opening import file_of, open_source


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


def test_a_password_that_looks_like_a_url_makes_none_of_a_connection_string(tmp_path: Path) -> None:
    with pytest.raises(RoutingError, match="through ODBC"):
        open_source(Origin("DRIVER={No such};SERVER=erp;PWD=a://b"), tmp_path)
    for url in ("postgresql://ml:a=b@erp/db", "jdbc:sqlserver://erp;user=ml;password=x"):
        with pytest.raises(RoutingError, match="is a URL; write an ODBC connection string"):
            open_source(Origin(url), tmp_path)
