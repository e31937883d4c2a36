"""Item masters and routings of every shape: each candidate fits, saves and loads, and the loaded
one proposes and explains the same; or what cannot be learned is refused in one line."""

import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import models_factory as valves
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing_ml import models
from routing_ml.errors import ModelError
from routing_ml.models import CANDIDATES
from routing_ml.models.base import PROPOSAL_COLUMNS, RoutingModel
from routing_ml.models.features import gower
from routing_ml.models.features.reading import Source
from routing_ml.proposals import explain

Random = np.random.Generator
Values = Callable[[Random, int], object]  # a column of so many rows

TEXTS = [
    "SLEEVE", "슬리브 59.4x46.8x9.5 탭", "ring\x00\x07", "NO TAP KEYWAY", "x" * 3000, "-", "n/a",
    "", "Ø12,5 mm", "DN50 L=120", "1/0", "²", "٣٤", "9" * 400, "9" * 400 + "x1", "🙂", "İ", "1e999",
    "DN" + "9" * 400, "½", "1 1/2\"",
]  # fmt: skip
NUMBERS = [1e308, -1e308, 1e-308, 5e-324, np.inf, -np.inf, np.nan, 0.0, -0.0, 1.0, 2.0**63, -3.5]


def of(*values: object) -> Values:
    """Drawn from `values`."""
    return lambda random, count: [values[k] for k in random.integers(0, len(values), count)]


def days(random: Random, count: int) -> pd.Series:
    since = pd.to_timedelta(random.integers(0, 90_000, count), unit="D")
    return pd.Series(pd.Timestamp("1905-01-01") + since)


ATTRIBUTES: dict[str, Values] = {
    "few texts": of("A", "b ", "B", "c"),
    "odd texts": of(*TEXTS),
    "free texts": lambda r, n: [" ".join(words) for words in r.choice(TEXTS[:12], (n, 3))],
    "sparse texts": of(None, None, None, "A", np.nan),
    "one text": of("SAME"),
    "different texts": lambda random, count: [f"Z-{k} {3 * k}x{k}" for k in range(count)],
    "blank texts": of("", " ", "-", "N/A"),
    "nothing": of(None),
    "numbers": lambda random, count: np.round(random.lognormal(3, 1, count), 1),
    "numbers as texts": lambda random, count: [f"{v:.2f} mm" for v in random.normal(0, 50, count)],
    "one number": of(7),
    "odd numbers": of(*NUMBERS),
    "whole numbers": lambda random, count: random.integers(-5, 5, count),
    "big whole numbers": of(2**62, -(2**62), 10**30, 0),
    "nullable numbers": lambda r, n: pd.array(of(1, 2, None)(r, n), dtype="Int64"),
    "no numbers": of(np.nan),
    "yes or no": of(True, False),
    "yes, no or nothing": lambda r, n: pd.array(of(True, False, None)(r, n), dtype="boolean"),
    "dates": days,
    "dates with a zone": lambda random, count: days(random, count).dt.tz_localize("UTC"),
    "one date": of(pd.Timestamp("2024-05-01")),
    "no dates": of(pd.NaT),
    "pandas categories": lambda random, count: pd.Categorical(of("A", "B", None)(random, count)),
    "durations": lambda random, count: pd.to_timedelta(random.integers(0, 9, count), unit="D"),
    "anything": of("A", 1, 2.5, None, True, pd.Timestamp("2024-05-01"), b"\xff", [1], 10**400),
}  # fmt: skip
MINUTES: dict[str, Values] = {
    "usual": lambda random, count: np.round(random.lognormal(2, 1, count), 2),
    "missing": of(np.nan),
    "zero": of(0.0),
    "mostly zero": of(0.0, 0.0, 0.0, 4.0),
    "the same": of(5.0),
    "impossible": of(-1.0, np.inf, -np.inf, np.nan),
    "odd": of(*NUMBERS),
    "one huge": lambda random, count: np.r_[np.full(count - 1, 3.0), 1e300],
}  # fmt: skip
MACHINES: dict[str, Values] = {
    "two": of("M1", "M2"),
    "missing": of(None),
    "some missing": of("M1", None),
    "one each": lambda random, count: [f"M{k}" for k in range(count)],
}  # fmt: skip
JOBS: dict[str, Values] = {
    "four": of("A", "B", "C", "D"),
    "one": of("A"),
    "odd": of("A", "절단\x00", "x" * 300, " ", None),
    "nearly all different": lambda r, n: np.where(r.random(n) < 0.2, "A", [*map(str, range(n))]),
}  # fmt: skip
LENGTHS = {"one": of(1), "one to three": of(1, 2, 3), "one long": lambda r, n: [12, *[1] * (n - 1)]}
SEQUENCES = {"tens": lambda place: 10 * place, "equal": lambda place: 100, "falling": lambda p: -p}


@st.composite
def factories(draw) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame | None, pd.DataFrame]:
    """Items, newest routings, results or None, and further items as they may be asked: of columns
    that are missing, added, or of another type."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kinds = st.lists(st.sampled_from(sorted(ATTRIBUTES)), max_size=4)
    count = draw(st.integers(20, 45))
    items = master(random, count, draw(kinds))
    routings = made(
        random, items["ITEM_CD"], draw(st.sampled_from(sorted(LENGTHS))),
        draw(st.sampled_from(sorted(JOBS))), draw(st.sampled_from(sorted(MACHINES))),
        draw(st.sampled_from(sorted(MINUTES))), draw(st.sampled_from(sorted(MINUTES))),
        draw(st.sampled_from(sorted(SEQUENCES))),
    )  # fmt: skip
    if draw(st.booleans()):
        items["INSRT_DT"] = draw(st.sampled_from([days, of(pd.NaT)]))(random, count)
    if draw(st.booleans()):
        items = pd.concat([items, items.iloc[:3]], ignore_index=True)  # repeated
    reports = draw(st.sampled_from([None, *sorted(MINUTES)]))
    results = reports and reported(random, routings, MINUTES[reports])
    absent = draw(st.sampled_from([[], ["RES_CD"], ["RES_CD", "SETUP_TIME", "RUN_TIME"]]))
    routings = routings.drop(columns=absent)
    return items, routings, results, master(random, 7, draw(kinds), "new-")


def master(random: Random, count: int, kinds: list[str], prefix: str = "") -> pd.DataFrame:
    """Items with a column of each kind, named by where it stands: `column 0`, `column 1`, ..."""
    columns = {f"column {k}": ATTRIBUTES[kind](random, count) for k, kind in enumerate(kinds)}
    return pd.DataFrame({"ITEM_CD": [f"{prefix}{k}" for k in range(count)], **columns})


def made(
    random: Random, codes: pd.Series, lengths: str = "one to three", jobs: str = "four",
    machines: str = "two", setup: str = "usual", run: str = "usual", sequence: str = "tens",
) -> pd.DataFrame:  # fmt: skip
    """A routing for each of the items `codes`."""
    many = LENGTHS[lengths](random, len(codes))
    place = np.concatenate([np.arange(1, length + 1) for length in many])
    count = len(place)
    return pd.DataFrame({
        "ITEM_CD": np.repeat(codes.to_numpy(object), many), "ROUT_NO": "R1",
        "PROC_SEQ": [SEQUENCES[sequence](k) for k in place], "JOB_CD": JOBS[jobs](random, count),
        "RES_CD": MACHINES[machines](random, count), "SETUP_TIME": MINUTES[setup](random, count),
        "RUN_TIME": MINUTES[run](random, count),
    })  # fmt: skip


def reported(random: Random, routings: pd.DataFrame, minutes: Values) -> pd.DataFrame:
    """Five work results of each routing row."""
    rows = pd.concat([routings[["ITEM_CD", "ROUT_NO", "PROC_SEQ"]]] * 5, ignore_index=True)
    hours = ("MACH_WORKED_HOURS", "SETUP_HOURS", "ORDER_QTY")
    return rows.assign(**{name: np.asarray(minutes(random, len(rows)), float) for name in hours})


def fit(name: str, items: pd.DataFrame, routings: pd.DataFrame, results=None) -> RoutingModel:
    attributes = valves.Attributes(("column 0",), {"column 1": "column 2"})
    return models.fit(name, items, routings, results, attributes=attributes)


def loaded(model: RoutingModel) -> RoutingModel:
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder))
        return models.load(Path(folder))


def agree(model: RoutingModel, again: RoutingModel, items: pd.DataFrame) -> pd.DataFrame:
    """The proposals of both, which must be equal in every column, as must their reasons."""
    found = model.predict(items)
    assert tuple(found.columns) == PROPOSAL_COLUMNS
    pd.testing.assert_frame_equal(again.predict(items), found, check_exact=True)
    assert found["ITEM_CD"].drop_duplicates().tolist() == items["ITEM_CD"].unique().tolist()
    assert found[["CONFIDENCE", "SIMILARITY_SCORE"]].to_numpy(float).min() >= 0
    assert found[["CONFIDENCE", "SIMILARITY_SCORE"]].to_numpy(float).max() <= 1
    assert not np.isinf(found[["SETUP_TIME", "RUN_TIME", "RUN_TIME_HIGH"]].to_numpy(float)).any()
    code = items["ITEM_CD"].iloc[0]
    alone = model.predict(items[items["ITEM_CD"] == code].iloc[:1])
    same = found[found["ITEM_CD"] == code].iloc[: len(alone)]
    pd.testing.assert_frame_equal(alone, same, rtol=1e-5)
    one, two = (explain(each, items, code) for each in (model, again))
    assert one.as_dict() == two.as_dict()
    assert one.as_text() == two.as_text()
    return found


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", CANDIDATES)
@settings(max_examples=25, deadline=None)
@given(factory=factories())
def test_any_factory_is_learned_and_proposed_alike_after_loading_or_refused(name, factory):
    items, routings, results, asked = factory
    try:
        model = fit(name, items, routings, results)
    except ModelError as error:
        assert "\n" not in str(error)
        return
    again = loaded(model)
    agree(model, again, items)
    agree(model, again, asked)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ATTRIBUTES)
def test_each_kind_of_column_may_be_the_only_one(kind):
    random = np.random.default_rng(1)
    items = master(random, 40, [kind])
    model = fit("nearest", items, made(random, items["ITEM_CD"]))
    agree(model, loaded(model), items)


@pytest.mark.parametrize("name", CANDIDATES)
def test_items_without_attributes_get_the_routing_that_most_have_and_are_like_none(name):
    random = np.random.default_rng(1)
    items = master(random, 40, [])
    routings = made(random, items["ITEM_CD"], lengths="one", jobs="one")
    other = routings["ITEM_CD"].isin(items["ITEM_CD"][30:])
    model = fit(name, items, routings.assign(JOB_CD=np.where(other, "B", "A")))
    for asked in (items, master(random, 5, ["few texts", "numbers"], "new-")):
        found = agree(model, loaded(model), asked)
        assert set(found["JOB_CD"]) == {"A"}
        assert (found["SIMILARITY_SCORE"] == 0).all()


def test_a_column_of_thousands_of_values_teaches_nothing_and_keeps_nothing():
    count = 3000
    random = np.random.default_rng(1)
    items = master(random, count, ["few texts"])
    routings = made(random, items["ITEM_CD"], lengths="one").assign(JOB_CD="A")
    many = [f"V{k}" for k in random.integers(0, 2500, count)]
    without, model = (fit("boosted", each, routings) for each in (items, items.assign(many=many)))
    assert model.design_.features == without.design_.features
    assert [category.column for category in model.encoder_.categories] == ["column 0"]
    agree(model, loaded(model), items.assign(many=many).iloc[:50])


def test_similarities_to_items_of_many_values_are_not_all_kept(monkeypatch):
    count, values = 2000, 400
    items = master(np.random.default_rng(1), count, [])
    items["column"] = [f"V{k % values}" for k in range(count)]
    routings = made(np.random.default_rng(1), items["ITEM_CD"], lengths="one")
    routings["JOB_CD"] = [f"J{k % values % 7}" for k in range(count)]
    model = fit("nearest", items, routings)
    alike = model.predict(items[:values])
    monkeypatch.setattr(gower, "MAX_LINES", 50 * count)
    model = loaded(model)
    tracemalloc.start()
    pd.testing.assert_frame_equal(model.predict(items[:values]), alike)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 2 * 50 * count * 4


@pytest.mark.parametrize(("wrong", "same"), [(1e300, np.nan), (-5.0, np.nan), (1e-300, 0.0)])
def test_a_time_that_no_operation_can_take_is_as_good_as_missing(wrong, same):
    factory = valves.make(120)
    found = []
    for value in (wrong, same):
        routings, results = factory.routings.copy(), factory.results.copy()
        routings.loc[5, ["SETUP_TIME", "RUN_TIME"]] = value
        results.loc[5, ["SETUP_HOURS", "MACH_WORKED_HOURS"]] = value
        model = fit("nearest", factory.items, routings, results)
        found.append(model.predict(factory.items))
    pd.testing.assert_frame_equal(*found)


@pytest.mark.parametrize(("given", "day"), [
    (["2024-05-01", "2024-05-01T00:00:00+00:00"], 19_844), ([20240501, 1e300], np.nan),
    (["soon", None], np.nan), ([True, False], np.nan),
])  # fmt: skip
def test_a_date_may_come_as_a_text_and_a_number_is_none(given, day):
    source = Source(pd.DataFrame({"made": given}))
    np.testing.assert_equal(source.days("made"), [day, day])
