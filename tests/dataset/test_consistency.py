import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from routing_ml.dataset.consistency import broken, spellings


def texts(*values: str | None) -> pd.Series:
    return pd.Series(list(values), dtype="str")


def test_case_and_spaces_tell_no_texts_apart() -> None:
    found = spellings(
        texts("STEEL 304", "steel 304", "STEEL  304", "STEEL304", "STEEL 304", "BRASS")
    )
    assert found.to_dict() == {1: "STEEL 304", 2: "STEEL 304", 3: "STEEL 304"}


def test_of_spellings_that_are_equally_common_the_first_is_the_usual_one() -> None:
    assert spellings(texts("b", "B", None, " ")).to_dict() == {0: "B"}


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(" aAbBß0", max_size=4)), max_size=30))
def test_a_column_written_as_usual_has_no_other_spelling(values: list[str | None]) -> None:
    column = texts(*values)
    written = column.copy()
    usual = spellings(column)
    written[usual.index] = usual
    assert spellings(written).empty


def parts(size: int = 400) -> pd.DataFrame:
    """Types that determine a name, a group and an account, and a colour that nothing does."""
    random = np.random.default_rng(0)
    kind = random.choice(["RING", "SLEEVE", "GLAND", "NUT", "BOLT"], size)
    table = pd.DataFrame({"TYPE": kind, "COLOUR": random.choice(["red", "blue", "green"], size)})
    table["NAME"] = table["TYPE"].str.title()
    table["GROUP"] = table["TYPE"].str[:2]
    table["ACCOUNT"] = table["TYPE"].map({"RING": "1", "SLEEVE": "2", "GLAND": "2"}).fillna("3")
    return table.astype("str")


def found(table: pd.DataFrame) -> dict[str, list[int]]:
    return {name: why.index.tolist() for name, why in broken(table, list(table.columns))}


def test_nothing_breaks_in_a_table_whose_columns_agree() -> None:
    assert found(parts()) == {}


def test_the_value_that_most_columns_speak_against_is_named_with_the_reason() -> None:
    table = parts()
    row = int(np.flatnonzero(table["TYPE"] == "RING")[3])
    table.loc[row, "TYPE"] = "GLAND"
    assert found(table) == {"TYPE": [row]}
    ((_, why),) = broken(table, list(table.columns))
    assert "goes with 'RING' in" in why.iloc[0]


def test_columns_that_agree_in_less_than_98_percent_say_nothing() -> None:
    table = parts()[["TYPE", "NAME"]]
    table.loc[::20, "NAME"] = "Other"
    assert found(table) == {}


def test_a_column_that_is_nearly_constant_or_all_different_says_nothing() -> None:
    table = parts()[["TYPE"]].assign(
        PLANT=["1000"] * 399 + ["2000"], CODE=[f"C{n}" for n in range(400)], EMPTY=None
    )
    assert found(table.astype("str")) == {}


def test_missing_values_break_nothing() -> None:
    table = parts()
    table.loc[:30, "GROUP"] = None
    assert found(table) == {}
