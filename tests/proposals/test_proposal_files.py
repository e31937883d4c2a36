"""Proposals that Excel opens, and takes no text of them for a formula."""

import csv
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from routing_ml.errors import InputError
from routing_ml.proposals.files import guarded, save
from routing_ml.proposals.tabular import FORMULA_STARTS, read

PROPOSALS = pd.DataFrame(
    {
        "ITEM_CD": ["00123", "=1+1", "@cmd", None],
        "PROC_SEQ": [10, 20, 30, 40],
        "JOB_NM": ["절단 😀", "-2", "a\nb", "\x01bad"],
        "RUN_TIME": [12.5, -1.0, float("nan"), 1e-3],
    }
)


def test_excel_opens_what_was_proposed(tmp_path: Path) -> None:
    written = save(PROPOSALS, tmp_path / "new" / "p.xlsx")
    assert [path.name for path in written] == ["p.xlsx", "p.parquet"]
    sheet = openpyxl.load_workbook(written[0]).active
    assert [cell.value for cell in sheet[1]] == list(PROPOSALS)
    assert sheet["A1"].font.bold and sheet.freeze_panes == "A2"
    assert [cell.value for cell in sheet["A"]][1:] == ["00123", "=1+1", "@cmd", None]
    assert [cell.data_type for cell in sheet["A"]][1:4] == ["s"] * 3
    assert [cell.value for cell in sheet["D"]][1:] == [12.5, -1, None, 0.001]
    assert sheet["C2"].value == "절단 😀" and sheet["C5"].value == "\ufffdbad"
    pd.testing.assert_frame_equal(pd.read_parquet(written[1]), PROPOSALS)


def test_csv_begins_with_the_mark_that_tells_excel_its_encoding(tmp_path: Path) -> None:
    save(PROPOSALS, tmp_path / "p.csv")
    assert (tmp_path / "p.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    with (tmp_path / "p.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["ITEM_CD"] for row in rows] == ["00123", "'=1+1", "'@cmd", ""]
    assert rows[1]["JOB_NM"] == "'-2" and rows[1]["RUN_TIME"] == "-1.0"


def test_only_the_file_that_was_asked_for_is_written_for_machines(tmp_path: Path) -> None:
    assert save(PROPOSALS, tmp_path / "p.parquet") == [tmp_path / "p.parquet"]
    assert save(PROPOSALS, tmp_path / "p.json") == [tmp_path / "p.json"]
    with pytest.raises(InputError, match=r"is no \.xlsx, \.csv, \.parquet or \.json file"):
        save(PROPOSALS, tmp_path / "p.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.json", "p.parquet"]


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(st.lists(TEXTS | TEXTS.map(lambda text: "=" + text), min_size=1, max_size=6))
@example(["'=1", "''=1", "=cmd|' /C calc'!A0", "\t=1", "-1"])
def test_no_text_becomes_a_formula_and_each_is_read_back(tmp_path_factory, texts) -> None:
    folder = tmp_path_factory.mktemp("any")
    table = pd.DataFrame({"CODE": [f"c{n}" for n in range(len(texts))], "TEXT": texts})
    save(table, folder / "p.csv")
    save(table, folder / "p.xlsx")
    for text in guarded(table)["TEXT"]:
        assert not text.startswith(FORMULA_STARTS)
    for row in openpyxl.load_workbook(folder / "p.xlsx").active.iter_rows(min_row=2):
        assert row[1].data_type != "f"
    found = [row[1] for row in read(folder / "p.csv").rows]
    assert found == [text.replace("\0", "\ufffd") for text in texts]
