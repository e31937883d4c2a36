import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT

from routing_ml.source import typed
from routing_ml.source.spool import Spool

KINDS = {"ITEM_CD": "code", "ROUT_NO": "code", "PROC_SEQ": "whole number", "INSRT_DT": "date"}
SCHEMA = pa.schema([(name, typed.ARROW_TYPES[kind]) for name, kind in KINDS.items()])
START = datetime(2026, 1, 1)
Row = tuple[str | None, str | None, int | None, datetime | None]


def spooled(path: Path, rows: list[Row], limit: int | None = None, batch_rows: int = 7) -> Spool:
    spool = Spool(path, SCHEMA, entered="INSRT_DT", limit=limit)
    for first in range(0, len(rows), batch_rows):
        columns = zip(*rows[first : first + batch_rows], strict=True)
        arrays = [typed.array(c, kind) for c, kind in zip(columns, KINDS.values(), strict=True)]
        spool.add(pa.RecordBatch.from_arrays(arrays, schema=SCHEMA))
    spool.close()
    return spool


def kept(tmp_path: Path, rows: list[Row], limit: int) -> list[str]:
    """The item codes that are written."""
    spool = spooled(tmp_path / "s.arrow", rows, limit)
    spool.write(tmp_path / "s.parquet", spool.newest_revisions())
    return pq.read_table(tmp_path / "s.parquet")["ITEM_CD"].to_pylist()


@pytest.mark.parametrize("rows", [0, 1, 6, 7, 8, 14])
def test_every_row_is_written_whatever_the_size_of_the_last_batch(
    tmp_path: Path, rows: int
) -> None:
    given: list[Row] = [(f"A{n:02}", "1", n, START) for n in range(rows)]
    spool = spooled(tmp_path / "s.arrow", given)
    assert spool.newest_revisions() is None
    assert spool.write(tmp_path / "s.parquet") == rows
    assert pq.read_table(tmp_path / "s.parquet").num_rows == rows


def test_revisions_tied_at_the_cut_are_taken_by_their_key(tmp_path: Path) -> None:
    rows: list[Row] = [(code, "1", n, START) for code in "DBCA" for n in range(3)]
    assert kept(tmp_path, rows, 7) == ["A"] * 3 + ["B"] * 3


def test_a_revision_is_as_new_as_its_newest_row(tmp_path: Path) -> None:
    rows: list[Row] = [("OLD", "1", 1, START), ("OLD", "1", 2, START + timedelta(days=9))]
    rows += [("MID", "1", n, START + timedelta(days=5)) for n in range(2)]
    assert kept(tmp_path, rows, 3) == ["OLD", "OLD"]


def test_an_older_revision_is_not_taken_for_one_that_does_not_fit(tmp_path: Path) -> None:
    rows: list[Row] = [("NEW", "1", n, START + timedelta(days=9)) for n in range(3)]
    rows += [("BIG", "1", n, START + timedelta(days=5)) for n in range(4)]
    rows += [("OLD", "1", 1, START)]
    assert kept(tmp_path, rows, 5) == ["NEW"] * 3


def test_spellings_of_a_code_are_one_revision(tmp_path: Path) -> None:
    rows: list[Row] = [("ab", "r1", 1, START), (" AB ", "R1 ", 2, START + timedelta(days=9))]
    rows += [("X", "1", n, START + timedelta(days=5)) for n in range(3)]
    assert sorted(kept(tmp_path, rows, 2)) == [" AB ", "ab"]


def test_the_cut_is_found_when_more_rows_come_than_are_kept_in_mind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routing_ml.source.spool.CHUNK_ROWS", 10)
    rows: list[Row] = [(f"A{n}", "1", 1, START + timedelta(hours=499 - n)) for n in range(500)]
    spool = spooled(tmp_path / "s.arrow", rows, limit=20)
    assert spool.cut == START + timedelta(hours=479)


MEASURE = """
import resource, sys
from pathlib import Path
import numpy as np
import pyarrow as pa
from routing_ml.source import typed
from routing_ml.source.spool import Spool

rows, folder = int(sys.argv[1]), Path(sys.argv[2])
kinds = {"ITEM_CD": "code", "ROUT_NO": "code", "PROC_SEQ": "whole number", "INSRT_DT": "date",
         "RUN_TIME": "number"}
schema = pa.schema([(name, typed.ARROW_TYPES[kind]) for name, kind in kinds.items()])
spool = Spool(folder / "s.arrow", schema, entered="INSRT_DT", limit=20_000)
random = np.random.default_rng(0)
for first in range(0, rows, 4000):
    numbers = random.integers(0, rows // 8, 4000)
    days = [f"20{n % 25:02}-01-0{n % 9 + 1}" for n in numbers]
    values = ([f"ITEM-{n:08}" for n in numbers], ["1"] * 4000, numbers, days, numbers / 7)
    arrays = [typed.array(list(v), kind) for v, kind in zip(values, kinds.values())]
    spool.add(pa.RecordBatch.from_arrays(arrays, schema=schema))
spool.close()
spool.write(folder / "newest.parquet", spool.newest_revisions())
spool.write(folder / "all.parquet")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    peak = {}
    for rows in (50_000, 400_000):
        command = [sys.executable, "-P", "-c", MEASURE, str(rows), str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        peak[rows] = int(done.stdout)
    assert peak[400_000] < 1.15 * peak[50_000], peak
