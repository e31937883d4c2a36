"""What is named in favour of an operation is what it depends on: without it the operation is less
likely; and what it does not depend on is not named."""

import sys
import types
from pathlib import Path

import models_factory as valves
import numpy as np
import pandas as pd
import pytest

from routing_ml import models
from routing_ml.models import Prepared, logit
from routing_ml.proposals import explain, leaving_out
from routing_ml.proposals.reasons import effects_of, lacks
from routing_ml.proposals.weighing import read_of

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from factories_by_rule import known_causes

FACTORY = valves.make(500)
OLD, NEW, TRUTH = valves.split(FACTORY)


def named_again(items):
    """With a column that says in other words what the material says."""
    spelled = items["Werkstoff"].str.strip().str.upper()
    return items.assign(Werkstoff_NM="Name " + spelled.astype(object))


class Told:
    text = ("TEXT",)
    units = types.MappingProxyType({})


@pytest.fixture(scope="module", params=["boosted", "forest", "nearest"])
def model(request):
    items = named_again(FACTORY.items)
    return models.fit(request.param, items, OLD, attributes=valves.Attributes())


def without(model, row, columns, asked=None):
    frame = pd.DataFrame([row])
    for column in columns:
        frame[column] = None
    return (asked or model.likelihoods)(model.encoder_.transform(frame))[0]


def test_without_what_is_named_first_an_operation_is_less_likely(model):
    at = {(o.job, o.occurrence + 1): k for k, o in enumerate(model.operations_)}
    told = 0
    for _, row in named_again(NEW).iloc[:25].iterrows():
        found = explain(model, pd.DataFrame(), row)
        for operation in found.operations:
            first = next((reason for reason in operation.reasons if reason.fall > 0), None)
            if first is None or lacks((first.attribute, first.words)):
                continue  # what is not said cannot be taken back
            columns = (*leaving_out.columns_of(model, first.attribute), *first.same)
            k = at[operation.job, operation.occurrence]
            own = without(model, row, columns, model.likely)[k]
            assert own < model.likely(model.encoder_.transform(pd.DataFrame([row])))[0, k], first
            if operation.proposed:
                assert without(model, row, columns)[k] < operation.likelihood
            told += 1
    assert told > 20


def test_what_says_the_same_is_named_beside_it(model):
    row = named_again(NEW).iloc[0]
    items = model.encoder_.transform(pd.DataFrame([row]))
    have = leaving_out.known(model, pd.DataFrame([row]))
    frame = pd.DataFrame([row])
    same = leaving_out.saying_the_same(model, frame, items, have)
    assert same["Werkstoff"] == ("Werkstoff_NM",)
    have.remove("Werkstoff_NM")
    assert "Werkstoff" not in leaving_out.saying_the_same(model, frame, items, have)


@pytest.mark.parametrize("cell", [" ", "-", "siehe Text", float("inf")])
def test_a_number_that_only_the_text_has_is_taken_back_with_the_text(model, cell):
    for _, row in NEW.iloc[:8].iterrows():
        empty, written = (
            explain(model, pd.DataFrame(), {**row, "Laenge": value}) for value in (None, cell)
        )
        assert written.operations == empty.operations


def test_a_new_value_of_a_number_that_the_text_has_is_taken_back_with_its_own_column(model):
    row = pd.DataFrame([{**named_again(NEW).iloc[0], "Nennweite": "siehe Text"}])
    items, have = model.encoder_.transform(row), leaving_out.known(model, row)
    _, _, effects = effects_of(model, items, model.likelihoods(items)[0])
    read = read_of(model, row, items, effects, model.effect_unit)
    said = {name: column.keys for name, column in zip(have, read.columns, strict=True)}
    new = ("Nennweite", "Nennweite is new to the model")
    assert new in said["Nennweite"] and new not in said["Beschreibung"]
    assert "Nennweite" in {attribute for attribute, _ in said["Beschreibung"]}


def test_a_number_that_a_text_has_too_is_said_by_it_but_not_one_that_it_has_otherwise(model):
    row = NEW[NEW["Einheit"] == "mm"].iloc[0]
    for length, said in ((row["Laenge"], True), (3 * row["Laenge"], False)):
        frame = pd.DataFrame([row]).assign(Laenge=length)
        items, have = model.encoder_.transform(frame), leaving_out.known(model, frame)
        same = leaving_out.saying_the_same(model, frame, items, have)
        assert (same.get("Laenge") == ("Beschreibung",)) is said


@pytest.fixture(scope="module", params=["boosted", "forest"])
def texts_that_tell(request):
    """MILL follows from any of three words where the length, which some texts have too, is missing
    or large."""
    random, count = np.random.default_rng(0), 400
    length = np.round(random.uniform(10, 100, count), 1)
    missing, said = random.random(count) < 0.25, random.random((count, 3)) < [0.45, 0.45, 0.2]
    twice = (random.random(count) < 0.5) & ~missing
    words = np.array(["NUTE", "SCHLITZ", "TASCHE"])
    text = [
        f"TEIL {random.choice(['ROT', 'BLAU', 'GRAU'])} {' '.join(words[said[k]])}"
        + (f" {length[k]:g}x5" if twice[k] else "")
        for k in range(count)
    ]
    items = pd.DataFrame(
        {
            "ITEM_CD": [f"P{k:03}" for k in range(count)],
            "KIND": random.choice(["A", "B"], count),
            "LEN": np.where(missing, np.nan, length),
            "TEXT": text,
        }
    )
    milled = said.any(axis=1) & (missing | (length >= 80))
    rows = [
        (code, place, job)
        for code, mill in zip(items["ITEM_CD"], milled, strict=True)
        for place, job in enumerate(["CUT", "MILL", "PACK"] if mill else ["CUT", "PACK"])
    ]
    routings = pd.DataFrame(rows, columns=["ITEM_CD", "PROC_SEQ", "JOB_CD"])
    routings = routings.assign(SETUP_TIME=5.0, RUN_TIME=5.0)
    return models.fit(request.param, items, routings, attributes=Told())


@pytest.mark.parametrize("cell", [None, "-", "siehe Text"])
def test_what_is_missing_is_no_reason_why_a_text_tells(texts_that_tell, cell):
    row = {"ITEM_CD": "N", "KIND": "A", "LEN": cell, "TEXT": "TEIL ROT NUTE SCHLITZ"}
    (mill,) = (
        one for one in explain(texts_that_tell, pd.DataFrame(), row).operations if one.job == "MILL"
    )
    assert mill.reasons[0].words in ("TEXT says NUTE", "TEXT says SCHLITZ")
    missing = next(one for one in mill.reasons if one.words == "LEN is missing")
    assert missing.effect > 0 and not missing.fall and not missing.stated


def test_the_text_says_so(model):
    text = "\n".join(
        explain(model, pd.DataFrame(), row).as_text()
        for _, row in named_again(NEW).iloc[:10].iterrows()
    )
    assert "as Werkstoff_NM say too" in text or "as Werkstoff say too" in text


def test_the_columns_of_an_attribute_are_its_own_or_the_two_of_a_ratio(model):
    one, two = (number.name for number in model.encoder_.numbers[:2])
    columns = tuple(number.column for number in model.encoder_.numbers[:2])
    assert leaving_out.columns_of(model, "Werkstoff") == ("Werkstoff",)
    assert leaving_out.columns_of(model, f"{one} / {two}") == columns
    assert leaving_out.columns_of(model, f"{one} - {two}") == columns
    assert leaving_out.columns_of(model, "no attribute") == ()


ODD_CELLS = {
    "Einheit": ["inch", None, "?"],
    "Nennweite": [True, [1, 2], 10**30, "siehe Text", pd.NaT],
    "Laenge": [np.float32(80), "1 1/2 CM", float("-inf"), pd.NA],
    "Werkstoff": [pd.Timestamp("2026-01-31"), {"a": 1}, "\ud800", 304.0],
    "Beschreibung": ["N" * 500, "ROT 10x5x2 DN50 L=120", "", 7],
}


@pytest.mark.parametrize(
    ("column", "cell"), [(column, cell) for column, cells in ODD_CELLS.items() for cell in cells]
)
def test_a_row_without_sets_of_columns_is_read_as_rows_that_never_had_them(model, column, cell):
    row = pd.DataFrame([{**named_again(NEW).iloc[0], column: None}]).astype(object)
    row.at[0, column] = cell
    encoder = model.encoder_
    sets = [*(frozenset([name]) for name in row.columns), frozenset(row.columns), frozenset()]
    found = encoder.without(row, sets)
    for at, columns in enumerate(sets):
        alone = encoder.transform(row.assign(**dict.fromkeys(columns)))
        for mine, theirs in zip(found._parts, alone._parts, strict=True):
            np.testing.assert_array_equal(mine[at], theirs[0])


def test_several_sets_are_left_out_in_one_go_as_each_is_alone(model):
    row = pd.DataFrame([named_again(NEW).iloc[0]]).reset_index(drop=True)
    items = model.encoder_.transform(row)
    have = leaving_out.known(model, row)
    sets = [*(frozenset([name]) for name in have), frozenset(have)]
    others = model.encoder_.without(row, sets)
    _, stated = leaving_out.fallen(model, items, others, "probability")
    for columns, fall in zip(sets, stated, strict=True):
        likely = model.likelihoods(items)[0] - fall
        np.testing.assert_allclose(likely, without(model, row.iloc[0], columns), atol=1e-9)


def test_how_far_an_operation_falls_is_by_the_models_own_word_and_not_by_what_a_gap_costs(model):
    row = pd.DataFrame([named_again(NEW).iloc[0]]).reset_index(drop=True)
    items = model.encoder_.transform(row)
    others = model.encoder_.without(row, [frozenset(["Oberflaeche"])])
    unit = model.effect_unit
    score = logit if unit == "log-odds" else np.asarray
    own, stated = leaving_out.fallen(model, items, others, unit)
    np.testing.assert_allclose(own, score(model.likely(items)) - score(model.likely(others)))
    always = [k for k, one in enumerate(model.operations_) if one.job == "SAEGEN"]
    model_costs = model.given(others).loss > model.given(items).loss
    assert not model_costs or (stated[0, always] > 0).all()


CAUSES = known_causes(900)
TWINS = CAUSES.twins | {"GRADE": "GRADE_AGAIN"}


@pytest.fixture(scope="module")
def causal():
    """A model of a factory whose causes are known, and explanations of its newest items. Its grade
    is written twice, so that neither tells alone."""
    data = CAUSES.data
    items = data.items.assign(GRADE_AGAIN="AGAIN " + data.items["GRADE"].astype("str"))
    newest = items.iloc[-60:]
    older = data.routings[~data.routings["ITEM_CD"].isin(newest["ITEM_CD"])]
    model = models.fit("boosted", items, older, attributes=data.attributes)
    return model, [explain(model, pd.DataFrame(), row) for _, row in newest.iterrows()]


def told(found):
    """Each operation with the reasons that are told of it."""
    return [
        (operation, [reason for reason in operation.reasons if reason.fall])
        for one in found
        for operation in one.operations
    ]


def test_a_true_cause_or_what_says_the_same_is_named_first(causal):
    asked = [(one, reasons) for one, reasons in told(causal[1]) if one.proposed]
    named = [(one, reasons) for one, reasons in asked if CAUSES.of[one.job]]
    right = 0
    for one, reasons in named:
        first = next(reason for reason in reasons if reason.fall > 0)
        causes = {*CAUSES.of[one.job], *map(TWINS.get, CAUSES.of[one.job])}
        right += bool({first.attribute, first.words} & causes)
    assert len(named) > 100
    assert right >= 0.98 * len(named)


def test_noise_and_the_numbers_and_words_that_do_not_matter_are_not_named(causal):
    every = told(causal[1])
    idle = [one for one, reasons in every for r in reasons
            if {r.attribute, r.words} & set(CAUSES.idle)]  # fmt: skip
    assert len(idle) <= 0.02 * len(every)  # of a number that the trees have split at by chance
    noise = {"COIN", "DIE", "DRAWN"}
    assert not [one for one, reasons in every for r in reasons if r.attribute in noise]


def test_an_operation_that_all_past_items_have_has_no_reason(causal):
    always = [reasons for one, reasons in told(causal[1]) if one.usual == 1]
    assert len(always) >= 120
    assert not any(always)


def test_what_says_less_is_not_named_before_what_it_follows_from(causal):
    asked = 0
    for one, reasons in told(causal[1]):
        names = [reason.attribute for reason in reasons]
        if "GRADE" in CAUSES.of[one.job] and names:
            assert names[0] in ("GRADE", "GRADE_AGAIN")
            asked += 1
    assert asked > 20


def test_two_that_say_the_same_are_one_reason(causal):
    kinds = [
        [reason for reason in reasons if reason.attribute in ("KIND", "KIND_NAME")]
        for one, reasons in told(causal[1])
        if one.proposed and one.job in ("TURN", "MILL")
    ]
    assert kinds and all(len(reasons) == 1 for reasons in kinds)
    assert all({kinds[0][0].attribute, *kinds[0][0].same} == {"KIND", "KIND_NAME"} for _ in kinds)


def test_of_a_gap_that_another_attribute_fills_the_other_is_named(causal):
    row = CAUSES.data.items.iloc[-1].copy()
    row["KIND"] = None
    found = explain(causal[0], pd.DataFrame(), row)
    names = {reason.attribute for _, reasons in told([found]) for reason in reasons}
    assert "KIND_NAME" in names and "KIND" not in names


def test_what_tells_alone_is_named_before_what_tells_with_others(causal):
    for _, reasons in told(causal[1]):
        most = max((abs(reason.fall) for reason in reasons), default=0)
        first = [reason.tells_alone and abs(reason.fall) >= most / 2 for reason in reasons]
        assert first == sorted(first, reverse=True)


def test_the_share_of_effects_still_sums_with_what_is_not_told(causal):
    for one in causal[1][0].operations:
        score = one.start + sum(reason.effect for reason in one.reasons)
        assert 1 / (1 + np.exp(-score)) == pytest.approx(one.likelihood, abs=1e-4)


@pytest.mark.parametrize("spelled", [bool, np.bool_])
def test_a_yes_or_no_is_left_out_as_a_number(spelled):
    random = np.random.default_rng(0)
    items = pd.DataFrame({
        "ITEM_CD": [f"P{k}" for k in range(300)],
        "KIND": random.choice(["A", "B", "C"], 300),
        "HOLLOW": random.random(300) < 0.5,
    })  # fmt: skip
    rows = [
        (code, place, job)
        for code, hollow in zip(items["ITEM_CD"], items["HOLLOW"], strict=True)
        for place, job in enumerate(["SAW", *(["BORE"] if hollow else [])])
    ]
    routings = pd.DataFrame(rows, columns=["ITEM_CD", "PROC_SEQ", "JOB_CD"])
    routings = routings.assign(SETUP_TIME=5.0, RUN_TIME=5.0)
    model = models.fit("boosted", items, routings, attributes=valves.Attributes((), {}))
    found = explain(model, pd.DataFrame(), {"KIND": "A", "HOLLOW": spelled(True)})
    bore = next(one for one in found.operations if one.job == "BORE")
    assert [reason.attribute for reason in bore.reasons if reason.fall] == ["HOLLOW"]
    row = pd.DataFrame([{"KIND": "A", "HOLLOW": spelled(True)}])
    others = model.encoder_.without(row, [frozenset(["KIND"]), frozenset(["HOLLOW"])])
    assert others.numbers[0, 0] == 1 and np.isnan(others.numbers[1, 0])
    assert isinstance(others, Prepared)


def test_an_item_of_which_nothing_is_known_is_explained(causal):
    found = explain(causal[0], pd.DataFrame(), {"ITEM_CD": "NEW"})
    assert not any(reason.fall for one in found.operations for reason in one.reasons)
