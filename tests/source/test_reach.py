"""A source that cannot be reached is told from one that is wrong."""

import errno
import re
from pathlib import Path

import pytest
from conftest import free_port
from data_fixtures import AS_OF, SMALL_COLUMNS, odbc
from postgresql import PostgreSQL

from routing_ml.errors import InputError, SourceAwayError, SourceError, SourceMissingError
from routing_ml.source.access import AccessFile
from routing_ml.source.columns import Columns
from routing_ml.source.extraction import extract


@pytest.fixture
def columns(tmp_path: Path) -> Columns:
    (tmp_path / "c.toml").write_text(SMALL_COLUMNS)
    return Columns.load(tmp_path / "c.toml")


def error_of(source: str, out: Path, columns: Columns) -> Exception:
    with pytest.raises(InputError) as failed:
        extract(source, out, columns=columns, as_of=AS_OF)
    return failed.value


def test_a_server_that_nobody_answers_for_is_away_also_when_read_in_another_process(
    tmp_path: Path, columns: Columns, postgresql: PostgreSQL
) -> None:
    there = odbc(postgresql.fresh("reach"))
    refused = re.sub("PORT=[^;]*", f"PORT={free_port()}", there)
    error = error_of(refused, tmp_path / "out", columns)
    assert isinstance(error, SourceAwayError) and not isinstance(error, SourceError)
    assert "cannot be reached through ODBC" in str(error) and "Connection refused" in str(error)
    nowhere = re.sub("SERVER=[^;]*", "SERVER=erp.invalid", there)
    assert isinstance(error_of(nowhere, tmp_path / "out", columns), SourceAwayError)


def test_a_server_that_refuses_a_password_or_has_no_such_database_is_not(
    tmp_path: Path, columns: Columns, postgresql: PostgreSQL
) -> None:
    there = odbc(postgresql.fresh("reach"))
    for wrong in (
        there.replace("PWD=", "PWD=another"),
        re.sub("DATABASE=[^;]*", "DATABASE=none", there),
        "DSN=nothing",
        there,  # which has none of the tables
    ):
        assert not isinstance(error_of(wrong, tmp_path / "out", columns), SourceAwayError)


def test_a_missing_file_and_a_missing_folder_are_away(tmp_path: Path, columns: Columns) -> None:
    for path in (tmp_path / "erp.accdb", tmp_path / "share" / "erp.sqlite"):
        assert isinstance(error_of(str(path), tmp_path / "out", columns), SourceMissingError)


@pytest.mark.parametrize(
    ("code", "away"),
    [
        (errno.EBUSY, True),
        (errno.ESTALE, True),
        (errno.EHOSTDOWN, True),
        (errno.EACCES, False),
        (errno.EISDIR, False),
    ],
)
def test_what_the_system_says_of_a_file_decides(
    tmp_path: Path, columns: Columns, monkeypatch: pytest.MonkeyPatch, code: int, away: bool
) -> None:
    (tmp_path / "erp.accdb").write_bytes(b"x" * 100)

    def fails(*given: object) -> bytes:
        raise OSError(code, "no")

    monkeypatch.setattr("routing_ml.source.opening.os.read", fails)
    error = error_of(str(tmp_path / "erp.accdb"), tmp_path / "out", columns)
    assert isinstance(error, SourceAwayError) is away


def test_a_share_that_goes_away_amid_the_reading_is_away_and_a_bad_page_is_damage(
    sample: Path,
) -> None:
    for error, away in ((OSError(errno.EIO, "gone"), True), (OSError(errno.EINVAL, "x"), False)):

        class Ends:
            def seek(self, *given: int) -> None:
                raise error  # noqa: B023

            def close(self) -> None:
                pass

        with AccessFile(sample) as file:
            file._pages._file.close()
            file._pages._file = Ends()  # type: ignore[assignment]
            with pytest.raises(InputError) as failed:
                file.objects()
            assert isinstance(failed.value, SourceAwayError) is away


def test_a_file_that_never_rests_is_away(
    tmp_path: Path, columns: Columns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routing_ml.source.opening.WAIT_S", 0.0)
    monkeypatch.setattr("routing_ml.source.opening.SETTLED_S", 1e6)
    path = tmp_path / "erp.accdb"
    path.write_bytes(b"x" * 100)
    error = error_of(str(path), tmp_path / "out", columns)
    assert isinstance(error, SourceAwayError) and "is being written" in str(error)
