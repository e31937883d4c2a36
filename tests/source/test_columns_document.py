"""What docs/columns.md says of the columns file is so: its example, its keys, its messages."""

import re
import tomllib
from datetime import datetime
from pathlib import Path

import pytest
from columns_files import write
from data_fixtures import Rows

from routing_ml import dataset
from routing_ml.errors import InputError
from routing_ml.source import Columns, extract
from routing_ml.source.columns import ANY_TABLE, MORE, STANDARD

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "columns.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", DOCUMENT, re.DOTALL)


def table(mark: str) -> list[dict[str, str | None]]:
    """The rows of the table below a mark; an empty cell is missing."""
    head, _, *rows = DOCUMENT.split(f"<!-- {mark} -->\n")[1].split("\n\n")[0].splitlines()
    names = [cell.strip() for cell in head.strip("|").split("|")]
    cells = [[cell.strip() or None for cell in row.strip("|").split("|")] for row in rows]
    return [dict(zip(names, row, strict=True)) for row in cells]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The example's ERP, its numbers as texts, which any ERP may have."""
    tables = {}
    for name in re.findall(r"<!-- table (\w+) -->", DOCUMENT):
        rows = table(f"table {name}")
        kinds = {c: "REAL" if c.endswith(("Time", "Qty", "Diameter")) else "TEXT" for c in rows[0]}
        tables[name] = Rows(kinds, [tuple(row.values()) for row in rows])
    write(tmp_path / "erp.sqlite", tables)
    return tmp_path / "erp.sqlite"


def test_the_example_is_read_as_the_document_says(database: Path) -> None:
    path = database.with_name("columns.toml")
    path.write_text(BLOCKS[0], encoding="utf-8")
    columns, as_of = Columns.load(path), datetime(2026, 11, 1)
    data = dataset.load(extract(str(database), database.parent, columns=columns, as_of=as_of).path)
    due = table("read")
    newest = dataset.newest_routings(data.routings)[list(due[0])].astype(object)
    found = newest.where(newest.notna(), None).to_dict(orient="records")
    for row in found:
        for name in ("SETUP_TIME", "RUN_TIME"):
            row[name] = None if row[name] is None else f"{row[name]:.4g}"
        row["PROC_SEQ"] = str(row["PROC_SEQ"])
    assert found == due
    assert dataset.without_routing(data.items, data.routings)["ITEM_CD"].tolist() == ["2/A-100"]
    assert "Buyer" not in data.items and data.attributes.text == ("Description",)


def test_the_smallest_file_is_one(database: Path) -> None:
    path = database.with_name("columns.toml")
    path.write_text(BLOCKS[1], encoding="utf-8")
    columns, as_of = Columns.load(path), datetime(2026, 11, 1)
    assert extract(str(database), database.parent, columns=columns, as_of=as_of).rows["items"] == 4


def test_what_is_said_of_a_wrong_file_is_what_the_document_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    [text] = re.findall(r"<!-- wrong -->\n```toml\n(.*?)```", DOCUMENT, re.DOTALL)
    [said] = re.findall(r"<!-- said -->\n```text\n(.*?)```", DOCUMENT, re.DOTALL)
    for text_, line in zip((text, text.replace("itme", "item")), said.splitlines(), strict=True):
        Path("columns.toml").write_text(text_, encoding="utf-8")
        with pytest.raises(InputError) as refused:
            Columns.load(Path("columns.toml"))
        assert str(refused.value) == line


@pytest.mark.parametrize("role", STANDARD)
def test_every_key_is_in_the_document_and_in_its_example(role: str) -> None:
    example = tomllib.loads(BLOCKS[0])
    for key in (*STANDARD[role], *MORE[role], *ANY_TABLE, "accept"):
        assert f"`{key}`" in DOCUMENT or f"`[{role}.{key}]`" in DOCUMENT, key
    if role == "routings":
        assert {*STANDARD[role], *MORE[role]} - example[role].keys() == {"setup_time_unit"}


def test_every_ready_file_is_in_the_document() -> None:
    files = sorted((ROOT / "routing_ml" / "source" / "erps").glob("*.toml"))
    assert len(files) == 4
    for file in files:
        assert f"](../routing_ml/source/erps/{file.name})" in DOCUMENT
        columns = Columns.load(file)
        assert columns.items.query and columns.routings.query


@pytest.mark.parametrize("heading", ["SAP", "Business Central"])
def test_what_is_to_be_replaced_in_a_ready_file_is_in_it(heading: str) -> None:
    name = heading.lower().replace(" ", "_")
    text = (ROOT / "routing_ml" / "source" / "erps" / f"{name}.toml").read_text(encoding="utf-8")
    part = DOCUMENT.split(f"### {heading}\n")[1].split("\n### ")[0]
    changes = [row for row in re.findall(r"^\| .*? \|$", part, re.MULTILINE) if "`" in row]
    assert changes
    for row in changes:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        wanted = cells[-2].strip("`")
        assert wanted in text, wanted
