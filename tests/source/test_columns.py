from pathlib import Path

import pytest
from data_fixtures import SMALL_COLUMNS

from routing_ml.errors import InputError
from routing_ml.source.columns import STANDARD, Columns


def load(folder: Path, text: str | bytes) -> Columns:
    path = folder / "columns.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return Columns.load(path)


def test_the_shipped_file_is_the_default() -> None:
    columns = Columns.load()
    assert columns.items.name == "dbo_BI_ITEM_INFO_VIEW"
    assert columns.results is not None
    assert columns.attributes.text == ("ITEM_SPEC",)
    assert columns.attributes.units["OUTDIAMETER"] == "OUTDIAMETER_UNIT"


def test_what_is_optional_may_be_left_out(tmp_path: Path) -> None:
    text = SMALL_COLUMNS.replace('run_minutes = "RUN_TIME"\n', "").replace(
        'setup_minutes = "SETUP_TIME"\n', ""
    )
    columns = load(tmp_path, text)
    assert columns.results is None
    assert set(columns.routings.columns) == {
        "ITEM_CD", "ROUT_NO", "PROC_SEQ", "INSRT_DT", "JOB_CD"
    }  # fmt: skip
    assert columns.routings.entered == "INSRT_DT"


def test_the_mark_that_windows_editors_put_first_does_no_harm(tmp_path: Path) -> None:
    assert load(tmp_path, b"\xef\xbb\xbf" + SMALL_COLUMNS.encode()).items.name == "items"


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("[items]", "[items", "cannot be read as TOML"),
        (
            "[routings]",
            "[routing]",
            "the file has 'routing', which means nothing; write 'routings'",
        ),
        (SMALL_COLUMNS, "[items]\ntable='i'\nitem='a'", "it has no table [routings]; add"),
        ("[routings]", "[routings]\nsetup = 1", "[routings] has 'setup', which means nothing"),
        ('operation = "JOB_CD"\n', "", "[routings] has no 'operation'; add each"),
        ('table = "items"', "table = 3", "[items] table is 3, not a text"),
        ('table = "items"', 'table = " "', "[items] table is ' ', not a text"),
        ('sequence = "PROC_SEQ"', 'sequence = "ROUT_NO"', "'ROUT_NO' as 'revision' and as"),
        ("[items.units]", 'text = "NOTES"\n[items.units]', "text is 'NOTES', not a list of names"),
        ("[items.units]", "ignore = [1]\n[items.units]", "ignore is [1], not a list of names"),
        ("[items.units]", 'ignore = ["UNIT"]\n[items.units]', "ignores 'UNIT' and uses it"),
        ('SIZE = "UNIT"', "SIZE = 1", "[items.units] is no table of names"),
        ("[items]", "items = 1\n[x]", "it has no table [items]"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_the_next_step(
    tmp_path: Path, old: str, new: str, shown: str
) -> None:
    changed = SMALL_COLUMNS.replace(old, new, 1)
    if old == "[items]" and "items = 1" in new:
        changed = "items = 1\n[routings]\n"
    with pytest.raises(InputError) as failed:
        load(tmp_path, changed)
    assert shown in str(failed.value)
    assert str(failed.value).startswith(f"columns file {tmp_path / 'columns.toml'}")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x00"])
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match="cannot be read as TOML"):
        load(tmp_path, content)


def test_the_example_of_the_guide_is_understood(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "columns.md").read_text(encoding="utf-8")
    columns = load(tmp_path, guide.split("```toml\n")[1].split("```")[0])
    assert columns.items.parts["ITEM_CD"] == ("Company", "PartNo")
    assert columns.routings.active == ("RELEASED",)
    assert columns.routings.times.run_unit == columns.routings.times.setup_unit == "TimeUnit"
    for tables in STANDARD.values():
        assert all(f"`{key}`" in guide for key in tables)
