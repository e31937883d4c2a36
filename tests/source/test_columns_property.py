"""A hundred columns files, right ones and wrong ones: each is understood, and then read as it says,
or refused in one line that names the file and the key.
"""

import copy
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from columns_files import File, files, names, toml, write
from data_fixtures import AS_OF, Rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routing_ml.dataset import frames
from routing_ml.errors import InputError, SourceError
from routing_ml.source import Columns, extract
from routing_ml.source.columns import MORE, STANDARD

A_HUNDRED = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
CODES = {key for columns in STANDARD.values() for key, (_, kind, _) in columns.items()
         if kind == "code"}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def settled() -> Iterator[None]:
    """Nobody else writes these files: they need not be waited for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("routing_ml.source.opening.SETTLED_S", 0)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("columns")


def load(folder: Path, given_: dict[str, Any]) -> Columns:
    path = folder / "c.toml"
    path.write_text(toml(given_), encoding="utf-8")
    return Columns.load(path)


def read(folder: Path, file: File, given_: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The rows that are extracted, under the keys of the columns file."""
    database = folder / "f.sqlite"
    write(database, file.tables)
    taken = extract(str(database), folder / "out", columns=load(folder, given_), as_of=AS_OF)
    _, manifest = frames.read_manifest(taken.path)
    found = {}
    for role, table in manifest["tables"].items():
        frame = pd.read_parquet(taken.path.parent / table["file"])
        keys = {name: key for key, (name, _, _) in STANDARD[role].items()}
        frame = frame.drop(columns="PROC_SUB", errors="ignore").rename(columns=keys)
        found[role] = frame.to_dict(orient="records")
    return found


def counted(rows: list[dict[str, Any]]) -> Counter[tuple[tuple[str, Any], ...]]:
    return Counter(tuple(sorted((key, plain(key, v)) for key, v in row.items())) for row in rows)


def plain(key: str, value: Any) -> Any:
    if value is None or value is pd.NaT or value != value or value == "":
        return None
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime()
    if key in CODES:
        return str(value)
    return float(f"{value:.9g}") if isinstance(value, (int, float)) else value


@A_HUNDRED
@given(files())
def test_a_file_that_is_right_is_read_as_it_says(folder: Path, file: File) -> None:
    found = read(folder, file, file.given)
    assert found.keys() == file.rows.keys()
    for role, rows in file.rows.items():
        assert counted(found[role]) == counted(rows), role


NOT_A_NAME = st.sampled_from([3, 1.5, True, [], [1], {}, "", " \n", [["A"]], date(2020, 10, 9)])
NOT_NAMES = st.sampled_from([3, "A", True, {}, [1], [""], [2.5], date(2020, 10, 9)])


@st.composite
def wrong_files(draw: st.DrawFn) -> tuple[dict[str, Any], list[str]]:
    """A columns file with one kind of mistake, and what must be said of it."""
    given_ = copy.deepcopy(draw(files()).given)
    kind = draw(st.sampled_from(sorted(MISTAKES)))
    return given_, MISTAKES[kind](draw, given_)


def missing(draw: st.DrawFn, given_: dict[str, Any]) -> list[str]:
    required = [
        (role, key)
        for role in STANDARD
        if role in given_
        for key, (_, _, must) in STANDARD[role].items()
        if must
    ]
    gone = draw(st.lists(st.sampled_from(required), min_size=1, unique=True))
    for role, key in gone:
        del given_[role][key]
    return [repr(key) for _, key in gone] + [f"[{role}]" for role, _ in gone]


def no_table(draw: st.DrawFn, given_: dict[str, Any]) -> list[str]:
    role = draw(st.sampled_from(["items", "routings"]))
    if draw(st.booleans()):
        given_[role] = draw(st.sampled_from([3, "parts", [], True]))
        return [f"it has no table [{role}]"]
    given_[role].pop("table", None)
    given_[role].pop("query", None)
    return [f"[{role}] has no 'table'"]


def both(draw: st.DrawFn, given_: dict[str, Any]) -> list[str]:
    role = draw(st.sampled_from(sorted(given_.keys() & STANDARD.keys())))
    given_[role] |= {"table": draw(names), "query": "SELECT 1"}
    return [f"[{role}] has both 'table' and 'query'"]


def no_name(draw: st.DrawFn, given_: dict[str, Any]) -> list[str]:
    role = draw(st.sampled_from(sorted(given_.keys() & STANDARD.keys())))
    key = draw(st.sampled_from(sorted(given_[role].keys() & {*STANDARD[role], "table", "where"})))
    given_[role][key] = draw(NOT_A_NAME)
    return [f"[{role}] {key} is "]


def no_list(draw: st.DrawFn, given_: dict[str, Any]) -> list[str]:
    role, key = draw(st.sampled_from([("items", "text"), ("items", "ignore"),
                                      ("routings", "active"), ("", "accept")]))  # fmt: skip
    (given_[role] if role else given_)[key] = draw(NOT_NAMES)
    return [f"{key} is ", "not a list of names"]


def no_unit(draw: st.DrawFn, given_: dict[str, Any]) -> list[str]:
    key = draw(st.sampled_from(["run_time_unit", "setup_time_unit"]))
    given_["routings"][key] = draw(NOT_A_NAME)
    return [f"[routings] {key} is "]


def no_quantity(draw: st.DrawFn, given_: dict[str, Any]) -> list[str]:
    wrong = [0, -1, 0.0, float("nan"), float("inf"), True, [], ["A"], "", {}]
    given_["routings"]["per_quantity"] = draw(st.sampled_from(wrong))
    return ["[routings] per_quantity is "]


def no_units(draw: st.DrawFn, given_: dict[str, Any]) -> list[str]:
    given_["items"]["units"] = draw(
        st.sampled_from([3, "MM", ["A"], {"A": 1}, {"A": ""}, {"": "A"}])
    )
    return ["[items.units] is no table of names"]


def unknown(draw: st.DrawFn, given_: dict[str, Any]) -> list[str]:
    role = draw(st.sampled_from(["", *sorted(given_.keys() & STANDARD.keys())]))
    keys = {"table", "query", "where", *STANDARD.get(role, ()), *MORE.get(role, ())}
    keys |= set() if role else {*STANDARD, "accept"}
    key = draw(st.text(min_size=0, max_size=9).filter(lambda key: key not in keys))
    (given_[role] if role else given_)[key] = 1
    return [f"has {key!r}, which means nothing", f"[{role}]" if role else "the file has"]


def twice(draw: st.DrawFn, given_: dict[str, Any]) -> list[str]:
    """One column for two keys, or twice in one."""
    role = draw(st.sampled_from(["items", "routings"]))
    name = draw(names)
    if draw(st.booleans()):
        given_[role]["item"] = [name, name]
        return [f"[{role}] item names a column twice"]
    key = "entered" if role == "items" else draw(st.sampled_from(["revision", "sequence"]))
    given_[role] |= {"item": name, key: name}
    return [f"[{role}] uses column ", f"as 'item' and as {key!r}"]


def half(draw: st.DrawFn, given_: dict[str, Any]) -> list[str]:
    """`status` without `active`, or the other way round."""
    routings = given_["routings"]
    had = {"status": "state", "active": ["REL"]}
    kept = draw(st.sampled_from(sorted(had)))
    for key in had:
        routings.pop(key, None)
    routings[kept] = had[kept]
    if kept == "status" and draw(st.booleans()):
        routings["active"] = []
    return ["[routings] has one of 'status' and 'active' alone"]


def ignored(draw: st.DrawFn, given_: dict[str, Any]) -> list[str]:
    items = given_["items"]
    used = [name for name in _used(items) if isinstance(name, str)]
    items["ignore"] = [draw(st.sampled_from(used))]
    return [f"[items] ignores {items['ignore'][0]!r} and uses it"]


def _used(items: dict[str, Any]) -> list[str]:
    item = items["item"] if isinstance(items["item"], list) else [items["item"]]
    entered = [items["entered"]] if "entered" in items else []
    units = items.get("units", {})
    return [*item, *entered, *items.get("text", []), *units, *units.values()]


MISTAKES = {
    function.__name__: function
    for function in (missing, no_table, both, no_name, no_list, no_unit, no_quantity, no_units,
                     unknown, twice, half, ignored)
}  # fmt: skip


@A_HUNDRED
@given(wrong_files())
def test_a_file_that_is_wrong_is_refused_in_one_line(
    folder: Path, wrong: tuple[dict[str, Any], list[str]]
) -> None:
    given_, shown = wrong
    with pytest.raises(InputError) as refused:
        load(folder, given_)
    line = str(refused.value)
    assert len(line.splitlines()) == 1 and line.startswith(f"columns file {folder / 'c.toml'}: ")
    for part in shown:
        assert part in line


@A_HUNDRED
@given(files(), st.data())
def test_a_column_that_is_not_there_is_named(folder: Path, file: File, data: st.DataObject) -> None:
    given_ = copy.deepcopy(file.given)
    role = data.draw(st.sampled_from(sorted(file.rows)))
    keys = [
        key for key in (*STANDARD[role], *MORE[role]) if key not in ("active", "ignore", "units")
    ]
    key = data.draw(st.sampled_from([key for key in keys if key not in ("status", "text")]))
    given_[role][key] = "fortnights"
    with pytest.raises(InputError) as refused:
        read(folder, file, given_)
    line = str(refused.value)
    assert len(line.splitlines()) == 1
    assert f"has no column 'fortnights', which [{role}] of the columns file names" in line


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=9)
    | st.dates(),
    lambda of: st.lists(of, max_size=3) | st.dictionaries(st.text(max_size=9), of, max_size=3),
    max_leaves=6,
).filter(lambda value: value is not None)  # fmt: skip


SMALL = """
[items]
table = "I"
item = "part"
{items}
[routings]
table = "S"
item = "p"
revision = "r"
sequence = "n"
operation = {operation}
{routings}
"""
TABLES = {
    "I": Rows({"part": "TEXT", "size": "REAL", "mm": "TEXT"}, [("A", 1.0, "MM")]),
    "S": Rows({"p": "TEXT", "r": "TEXT", "n": "INTEGER", "j": "TEXT"}, [("A", "1", 10, "J")]),
}


def extracted(folder: Path, text: str, tables: Mapping[str, Rows]) -> pd.DataFrame:
    """The items of a dataset."""
    (folder / "c.toml").write_text(text, encoding="utf-8")
    write(folder / "f.sqlite", tables)
    columns = Columns.load(folder / "c.toml")
    path = extract(str(folder / "f.sqlite"), folder / "out", columns=columns, as_of=AS_OF).path
    return pd.read_parquet(path.with_name(f"{path.stem}_items.parquet"))


@pytest.mark.parametrize(
    ("given_", "shown"),
    [
        ({"operation": '"R"'}, "[routings] of the columns file uses column 'r' as ROUT_NO and as"),
        (
            {"operation": '["j", "J"]'},
            "[routings] of the columns file joins column 'j' with itself",
        ),
        (
            {"items": 'entered = "PART"'},
            "[items] of the columns file uses column 'part' as ITEM_CD",
        ),
        ({"items": 'ignore = ["PART"]'}, "[items] of the columns file ignores column 'part' and"),
        (
            {"items": 'text = ["mm"]\nignore = ["MM"]'},
            "ignores column 'mm' and uses it; take it out",
        ),
        ({"items": 'ignore = ["Mm"]\nunits.size = "mm"'}, "ignores column 'mm' and uses it; take"),
    ],
)
def test_a_column_that_is_two_things_in_two_cases_is_refused(
    tmp_path: Path, given_: dict[str, str], shown: str
) -> None:
    with pytest.raises(SourceError) as refused:
        extracted(
            tmp_path,
            SMALL.format(**{"items": "", "routings": "", "operation": '"j"', **given_}),
            TABLES,
        )
    assert shown in str(refused.value)


KNOWN = sorted(
    {name for columns in STANDARD.values() for name, _, _ in columns.values()} - {"ITEM_CD"}
)


@pytest.mark.parametrize("kind", ["TEXT", "REAL", "DATE"])
@pytest.mark.parametrize("name", [*KNOWN, "PROC_SUB", "_RUN_UNIT", "_SETUP_UNIT", "_PER", "_size"])
def test_an_attribute_may_be_called_as_what_the_product_calls_its_own(
    tmp_path: Path, name: str, kind: str
) -> None:
    value = {"TEXT": "abc", "REAL": 2.5, "DATE": datetime(2030, 1, 1)}[kind]
    items = Rows({"part": "TEXT", name: kind}, [("A", value)])
    text = SMALL.format(items="", routings="", operation='"j"')
    found = extracted(tmp_path, text, TABLES | {"I": items})
    assert found.to_dict(orient="records") == [{"ITEM_CD": "A", name: value}]


@A_HUNDRED
@given(files(), st.data())
def test_whatever_stands_in_a_file_is_understood_or_refused_in_one_line(
    folder: Path, file: File, data: st.DataObject
) -> None:
    given_ = copy.deepcopy(file.given)
    for _ in range(data.draw(st.integers(1, 3))):
        role = data.draw(st.sampled_from(["items", "routings", "results"]))
        key = data.draw(st.sampled_from([*STANDARD[role], *MORE[role], "table", "query", "where"]))
        given_.setdefault(role, {})[key] = data.draw(anything.filter(_is_toml))
    written = toml(given_).encode()
    if data.draw(st.booleans()):
        written = written[: data.draw(st.integers(0, len(written)))]
    path = folder / "c.toml"
    path.write_bytes(written)
    try:
        Columns.load(path)
    except InputError as refused:
        assert len(str(refused).splitlines()) == 1
        assert str(refused).startswith(f"columns file {path}")


def _is_toml(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_toml, value))
    return all(map(_is_toml, value.values())) if isinstance(value, dict) else value is not None
