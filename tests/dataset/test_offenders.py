import csv
import io
import re

import pandas as pd
from hypothesis import example, given, settings
from hypothesis import strategies as st

from routing_ml.dataset.offenders import as_csv, listed, together, worst

# Also with spaces before it, and as Japanese and Korean keyboards write it.
STARTS_A_FORMULA = re.compile(r"[\t\r\n]|\s*[=+\-@＝＋－＠]")


def offenders(values: list, column: str = "VALUE") -> pd.DataFrame:
    table = pd.DataFrame({"ITEM_CD": [f"I{n}" for n in range(len(values))], column: values})
    return together([listed("outliers", "items", table, table.index, column, "why")])


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


@settings(deadline=None)
@given(st.lists(st.text(), max_size=5))
@example(["＝1+1", " =1+1", "=1+1", "-x"])
def test_no_text_is_a_formula_and_none_is_lost(values: list[str]) -> None:
    found = rows(as_csv(offenders(values)))
    assert len(found) == len(values) + 1
    for value, row in zip(values, found[1:], strict=True):
        assert not STARTS_A_FORMULA.match(row[6])
        assert row[6] in (value, f"'{value}")


def test_numbers_stay_numbers_below_zero_too() -> None:
    found = rows(as_csv(offenders([-5.0, 1e9, 0.1 + 0.2])))
    assert [row[6] for row in found[1:]] == ["-5", "1000000000", "0.3"]


def test_it_begins_with_a_byte_order_mark_so_that_excel_reads_korean() -> None:
    assert as_csv(offenders(["밀링"])).encode().startswith(b"\xef\xbb\xbf")


def test_of_many_the_first_few_are_the_worst_and_all_are_counted() -> None:
    (told,) = worst(offenders([float(n) for n in range(100)]))
    assert (told["gate"], told["table"], told["column"]) == ("outliers", "items", "VALUE")
    assert told["count"] == 100
    assert [one["item"] for one in told["worst"]] == ["I0", "I1", "I2", "I3", "I4"]


def test_no_offenders_are_an_empty_table() -> None:
    assert worst(together([])) == []
    assert rows(as_csv(together([]))) == [
        ["gate", "table", "column", "item", "revision", "sequence", "value", "why"]
    ]
