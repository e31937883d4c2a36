from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing_ml.source import typed

DAY = datetime(2026, 1, 2)


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("code", [10, 10.0, Decimal("10.00"), 1.5, Decimal("1.50")], ["10"] * 3 + ["1.5"] * 2),
        ("code", ["A", 7, True, float("nan"), Decimal("NaN")], ["A", "7", "True", None]),
        ("code", ["AB\0\0", "\0", "A\0B", "ü😀"], ["AB", "", "A\0B", "ü😀"]),
        ("text", ["x" * 1_000_000, None, ""], ["x" * 1_000_000, None, ""]),
        ("number", [1, True, Decimal("2.5"), None, float("nan")], [1.0, 1.0, 2.5, None]),
        ("number", ["12,5", "0,125", "1234,567", ""], [12.5, 0.125, 1234.567]),
        ("number", [" -1,5 ", "1e3", None], [-1.5, 1e3]),
        ("whole number", [1, 2.0, "3", " 4,0 ", Decimal(5), None, "  "], [1, 2, 3, 4, 5]),
        ("whole number", [2**62, None], [2**62]),
        ("date", ["0001-01-01", "9999-12-31T23:59:59.999999"], [datetime.min, datetime.max]),
        ("date", [date(2999, 12, 31), DAY], [datetime(2999, 12, 31), DAY]),
        ("date", ["2026/1/2", "2026.01.02", 20260102, "2026-1-2 0:00", "00000000", 0], [DAY] * 4),
        ("date", ["2026-01-02T00:00:00Z", "20260102", " "], [DAY, DAY]),
        ("date", [datetime(2026, 1, 2, 3, tzinfo=UTC)], [datetime(2026, 1, 2, 3)]),
    ],
)  # fmt: skip
def test_what_drivers_hand_over_becomes_one_type(
    kind: str, values: list[Any], expected: list[Any]
) -> None:
    converted = typed.array(values, kind)
    assert converted.type == typed.ARROW_TYPES[kind]
    missing = [None] * (len(values) - len(expected))
    assert converted.to_pylist() == expected + missing


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("number", "ten"),
        ("number", "1,250"),
        ("number", "1.250,5"),
        ("number", date(2026, 1, 1)),
        ("number", b"1"),
        ("whole number", "10.5"),
        ("whole number", 1e300),
        ("whole number", float("inf")),
        ("whole number", 2**63),
        ("whole number", bytearray(b"1")),
        ("date", "31.12.2025"),
        ("date", "2026-02-30"),
        ("date", 46000),
        ("date", 46000.5),
        ("date", time(3, 4)),
        ("text", "\ud800"),
    ],
)
def test_a_value_of_another_kind_is_told_with_its_row(kind: str, value: Any) -> None:
    with pytest.raises(typed.ConversionError) as failed:
        typed.array([None, None, value, None], kind)
    assert failed.value.row == 2
    assert failed.value.value == value


def test_minus_zero_becomes_zero() -> None:
    assert not np.signbit(typed.array([-0.0], "number").to_numpy()[0])


def test_kinds_of_columns_that_nothing_can_be_learned_from_are_none() -> None:
    kinds = {bytes: None, bytearray: None, time: None, date: "date", datetime: "date"}
    kinds |= {bool: "number", int: "number", Decimal: "number", str: "text"}
    assert {kind: typed.kind_of(kind) for kind in kinds} == kinds


@given(st.lists(st.none() | st.datetimes()))
def test_every_moment_survives(moments: list[datetime | None]) -> None:
    assert typed.array(moments, "date").to_pylist() == moments
    texts = [None if moment is None else str(moment) for moment in moments]
    assert typed.array(texts, "date").to_pylist() == moments


@given(st.lists(st.none() | st.integers(-(2**53), 2**53)))
def test_every_whole_number_survives_in_any_form(numbers: list[int | None]) -> None:
    for form in (int, float, str, Decimal):
        values = [None if number is None else form(number) for number in numbers]
        assert typed.array(values, "whole number").to_pylist() == numbers


@given(st.lists(st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"))))
def test_every_text_survives(texts: list[str | None]) -> None:
    assert typed.array(texts, "text").to_pylist() == texts
    filled = typed.without_empty(typed.array(texts, "text"))
    assert filled.to_pylist() == [text or None for text in texts]
