"""Proposals as files: what people's programs show is what was proposed, and never a formula."""

import re
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routing_ml.errors import InputError
from routing_ml.models.base import PROPOSAL_COLUMNS
from routing_ml.proposals import add_workbook, beside, save, tables
from routing_ml.proposals import files as written

TEXTS = st.lists(
    st.sampled_from(
        ["=", "+", "-", "@", "\t", "\r", "\n", "'", '"', ",", ";", "＝", "_x000D_", "_"]
    )
    | st.text(st.characters(codec="utf-8"), max_size=3),
    max_size=6,
).map("".join)
TEXT_COLUMNS = (
    "ITEM_CD", "JOB_CD", "JOB_NM", "RES_CD", "REFERENCE_ITEM_CD", "RES_OTHERS", "NOTE",
    "NEW_TO_MODEL",
)  # fmt: skip


def proposals(texts: list[str | None], number: float = -2.5) -> pd.DataFrame:
    """A row a text, which is in each of the columns of text."""
    frame = pd.DataFrame(
        {
            name: pd.Series(texts, dtype="str") if name in TEXT_COLUMNS else [number] * len(texts)
            for name in PROPOSAL_COLUMNS
        }
    )
    frame["PROC_SEQ"] = range(10, 10 * len(texts) + 1, 10)
    return frame


def shown(text: str) -> str | None:
    """What a reader of a table makes of a text: of spaces alone, nothing."""
    return text if text.strip() else None


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=st.lists(TEXTS, min_size=1, max_size=5), ending=st.sampled_from([".xlsx", ".csv"]))
def test_any_text_is_read_back_as_it_was(tmp_path: Path, texts: list[str], ending: str) -> None:
    if ending == ".csv":  # which holds any text but NUL, that no reader takes
        texts = [text.replace("\0", "") for text in texts]
    frame = proposals(texts)
    save(frame, tmp_path / f"p{ending}")
    table = tables.read(tmp_path / f"p{ending}")
    assert table.header == list(PROPOSAL_COLUMNS)
    for at, name in enumerate(PROPOSAL_COLUMNS):
        values = [values[at] for _, values in table.rows]
        if name in TEXT_COLUMNS:
            assert values == [shown(text) for text in texts]
        elif name != "PROC_SEQ":
            assert [float(value) for value in values] == [-2.5] * len(texts)
    assert pd.read_parquet(tmp_path / "p.parquet").equals(frame)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_no_cell_is_a_formula_and_numbers_stay_numbers(tmp_path: Path, texts: list[str]) -> None:
    texts = [text.replace("\0", "") for text in ("=1+1", "#N/A", "-5", *texts)]
    save(proposals(texts), tmp_path / "p.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "p.xlsx").active
    for row in sheet.iter_rows(min_row=2):
        for cell, name in zip(row, PROPOSAL_COLUMNS, strict=True):
            wanted = "s" if name in TEXT_COLUMNS and cell.value is not None else "n"
            assert cell.data_type == wanted
    save(proposals(texts), tmp_path / "p.csv")
    lines = (tmp_path / "p.csv").read_bytes()
    assert lines.startswith(b"\xef\xbb\xbfITEM_CD,")
    frame = pd.read_csv(tmp_path / "p.csv", dtype="str", keep_default_na=False, encoding="utf-8")
    for name in TEXT_COLUMNS:
        assert not any(re.match(r"\s*[=+\-@＝＋－＠]|[\t\r\n]", value) for value in frame[name])
    assert set(frame["RUN_TIME"]) == {"-2.5"}


def test_a_sheet_has_a_bold_frozen_header_formats_and_widths(tmp_path: Path) -> None:
    frame = proposals(["시트 링 ⚙", None], 0.25)
    frame.loc[1, "RUN_TIME"] = float("nan")
    save(frame, tmp_path / "p.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "p.xlsx").active
    assert sheet.freeze_panes == "A2"
    assert all(cell.font.bold for cell in sheet[1])
    assert [sheet.cell(2, at).number_format for at in (1, 2, 6, 7, 10)] == [
        "@", "0", "0.0", "0.00", "0.00",
    ]  # fmt: skip
    assert (sheet["G2"].value, sheet["G3"].value, sheet["A3"].value) == (0.25, None, None)
    assert sheet.column_dimensions["L"].width == len("REFERENCE_ITEM_CD") + 3


def test_parquet_comes_beside_what_people_open_alone(tmp_path: Path) -> None:
    frame = proposals(["A"])
    for name, parquet in (("a.xlsx", "a.parquet"), ("b.CSV", "b.parquet"), ("c.json", None)):
        save(frame, tmp_path / name)
        assert beside(tmp_path / name) == (parquet and tmp_path / parquet)
        assert parquet is None or (tmp_path / parquet).exists()
    names = ["a.parquet", "a.xlsx", "b.CSV", "b.parquet", "c.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_a_workbook_is_added_unless_it_would_take_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(proposals(["A", "B"]), tmp_path / "p.parquet")
    assert add_workbook(tmp_path / "p.parquet") == tmp_path / "p.xlsx"
    monkeypatch.setattr(written, "MAX_ROWS_UNASKED", 1)
    assert add_workbook(tmp_path / "p.parquet") is None


def test_what_cannot_be_written_is_refused_before_anything_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written, "MAX_ROWS", 1)
    (tmp_path / "file").write_text("")
    for path, complaint in (
        (tmp_path / "p.xlsx", "2 operations are more than a sheet's 1 rows"),
        (tmp_path / "p.xls", "is no .parquet, .xlsx, .csv or .json file"),
        (tmp_path / "file" / "p.csv", "cannot be written"),
    ):
        with pytest.raises(InputError, match=complaint):
            save(proposals(["A", "B"]), path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
