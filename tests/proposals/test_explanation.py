import dataclasses
import json
import re

import models_factory as valves
import numpy as np
import pandas as pd
import pytest

from routing_ml import models
from routing_ml.errors import InputError
from routing_ml.models import CANDIDATES
from routing_ml.models.base import RoutingModel
from routing_ml.models.trees.boosting import sigmoid
from routing_ml.proposals import explanation as explain
from routing_ml.proposals.reasons import EXACT, OCCLUSION, Change

FACTORY = valves.make(700)
OLD, NEW, TRUTH = valves.split(FACTORY)


@pytest.fixture(scope="module")
def fitted() -> dict[str, RoutingModel]:
    return {
        name: models.fit(name, FACTORY.items, OLD, attributes=valves.Attributes())
        for name in CANDIDATES
    }


def one(**wanted: str):
    """The first new item with these values."""
    rows = NEW
    for name, value in wanted.items():
        rows = rows[rows[name].str.strip().str.upper() == value.upper()]
    return rows.iloc[0]


def reasons(explanation: explain.Explanation, job: str, occurrence: int = 1):
    return next(o for o in explanation.operations if (o.job, o.occurrence) == (job, occurrence))


@pytest.mark.parametrize("name", CANDIDATES)
def test_text_and_json_name_the_item_its_operations_and_similar_items(fitted, name):
    found = explain.explain(fitted[name], NEW, NEW["ITEM_CD"][0])
    text = found.as_text()
    assert text.startswith(NEW["ITEM_CD"][0])
    for row in found.proposal:
        assert f"{row['JOB_CD']} {row['JOB_NM']}" in text
    assert len(found.similar) == 3
    assert all(past.item in text for past in found.similar)
    data = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert [row["JOB_CD"] for row in data["proposal"]] == [row["JOB_CD"] for row in found.proposal]
    assert data["method"] == (OCCLUSION if name == "nearest" else EXACT)


@pytest.mark.parametrize("name", ["boosted", "forest"])
def test_start_and_contributions_sum_exactly_to_the_likelihood(fitted, name):
    for code in NEW["ITEM_CD"][:5]:
        for operation in explain.explain(fitted[name], NEW, code).operations:
            score = operation.start + sum(reason.effect for reason in operation.reasons)
            likely = sigmoid(np.array(score)) if name == "boosted" else np.clip(score, 0, 1)
            assert likely == pytest.approx(operation.likelihood, abs=1e-4)


def test_the_attribute_that_decides_an_operation_is_named_first(fitted):
    steel = explain.explain(fitted["boosted"], NEW, one(Werkstoff="STAHL")["ITEM_CD"])
    assert reasons(steel, "SCHLEIFEN").reasons[0].words == "Werkstoff is STAHL"
    assert reasons(steel, "SCHLEIFEN").reasons[0].effect > 0
    assert reasons(steel, "WASCHEN", 2).reasons[0].attribute == "Werkstoff"
    thread = one()
    found = explain.explain(fitted["boosted"], NEW, thread["ITEM_CD"])
    if "mit Gewinde" in thread["Beschreibung"]:
        assert reasons(found, "GEWINDE").reasons[0].attribute == "Beschreibung"


def test_the_item_itself_is_not_among_its_similar_items(fitted):
    past = FACTORY.items["ITEM_CD"][3]
    found = explain.explain(fitted["boosted"], FACTORY.items, past, similar=5)
    assert len(found.similar) == 5
    assert past not in [other.item for other in found.similar]
    scores = [other.similarity for other in found.similar]
    assert scores == sorted(scores, reverse=True)


def test_a_similar_item_says_what_matches_what_differs_and_how_its_routing_differs(fitted):
    row = dict(one(Werkstoff="MESSING"))
    for past in explain.explain(fitted["boosted"], NEW, row, similar=30).similar:
        proposed = explain.explain(fitted["boosted"], NEW, row).proposal
        jobs = [operation["JOB_CD"] for operation in proposed]
        assert past.same_routing == (past.routing == jobs)
        assert sorted(jobs + past.only_there) == sorted(past.routing + past.only_here)
        named = " ".join([*past.matches, *(one.in_words() for one in past.differs)])
        assert "Werkstoff MESSING" in named
        assert "Beschreibung" in named


def test_what_is_missing_is_named_with_what_it_would_change(fitted):
    row = dict(one(Werkstoff="STAHL"))
    row["Werkstoff"] = None
    found = explain.explain(fitted["boosted"], NEW, row)
    gap = next(gap for gap in found.missing if gap.attribute == "Werkstoff")
    assert gap.filled is None
    assert gap.changes
    assert "Werkstoff is empty; if" in found.as_text()
    told = next(gap for gap in found.as_dict()["missing"] if gap["attribute"] == "Werkstoff")
    assert told["changes"] == [change.in_words() for change in gap.changes]
    row["Beschreibung"] = " "
    gap = next(
        gap for gap in explain.explain(fitted["boosted"], NEW, row).missing
        if gap.attribute == "Beschreibung"
    )  # fmt: skip
    assert gap.filled is None


def test_of_what_is_missing_the_first_few_are_shown_and_how_many_more_there_are(fitted):
    found = explain.explain(fitted["boosted"], NEW, NEW["ITEM_CD"][0])
    changes = [Change(str(value), False, ["X"], []) for value in range(5)]
    missing = [explain.Missing(f"C{number}", None, []) for number in range(40)]
    missing[30] = explain.Missing("TOLD", None, changes)
    text = dataclasses.replace(found, missing=missing, helpful=None).as_text()
    said = text[text.index("What is missing") :].splitlines()
    assert said == [
        "What is missing",
        "  TOLD is empty; if 0: with X",
        "  TOLD is empty; if 1: with X (and 3 more of its values)",
        "  C0 is empty.",
        "  C1 is empty.",
        "  C2 is empty.",
        "  36 more are empty: C3, C4, C5, C6, ... (--json has all)",
    ]


@pytest.mark.parametrize("name", CANDIDATES)
def test_the_text_has_no_number_and_no_word_that_needs_a_glossary(fitted, name):
    row = dict(one(), Laenge=123_456.0)
    text = explain.explain(fitted[name], NEW, row, quantity=1e9).as_text()
    assert not re.search(r"\de[+-]\d", text)
    assert "log-odds" not in text and "occlusion" not in text
    assert "Why these operations\n" in text and " in all " in text


def test_a_number_that_stands_in_the_text_too_is_said_to_be_taken_from_there(fitted):
    row = dict(one())
    row["Laenge"] = np.nan
    found = explain.explain(fitted["boosted"], NEW, row)
    gap = next(gap for gap in found.missing if gap.attribute == "Laenge")
    assert float(gap.filled) == pytest.approx(float(row["Beschreibung"].split()[4]), rel=1e-3)


def test_a_row_without_a_code_is_a_new_item_and_an_unknown_code_is_refused(fitted):
    found = explain.explain(fitted["boosted"], NEW, {"Teil": "Kegel"})
    assert found.item == "(new item)"
    with pytest.raises(InputError, match="'NOPE' is not among the 140 items"):
        explain.explain(fitted["boosted"], NEW, "NOPE")


def test_a_code_in_another_case_is_found_but_an_exact_one_goes_before(fitted):
    assert explain.explain(fitted["boosted"], NEW, NEW["ITEM_CD"][3].lower()).item == "V00563"
    both = NEW.iloc[:2].assign(ITEM_CD=["AB1", "ab1"])
    assert explain.explain(fitted["boosted"], both, "ab1").item == "ab1"
    assert explain.explain(fitted["boosted"], both, "Ab1").item == "AB1"


def test_a_time_that_nobody_knows_is_not_spoken_of():
    routings = OLD[OLD["JOB_CD"] == "SAEGEN"]
    for unknown, said, unsaid in (
        (["SETUP_TIME", "RUN_TIME"], "SAEGEN Saegen on SAE-", " min"),
        (["RUN_TIME"], ": setup ", "run "),
        (["SETUP_TIME"], ": run ", "setup"),
    ):
        model = models.fit(
            "nearest", FACTORY.items, routings.assign(**dict.fromkeys(unknown, np.nan)),
            attributes=valves.Attributes(),
        )  # fmt: skip
        found = explain.explain(model, NEW, NEW["ITEM_CD"][0])
        first, operation = found.as_text().splitlines()[:2]
        assert "1 operation proposed" in first
        assert said in operation
        assert unsaid not in operation
        data = json.loads(json.dumps(found.as_dict(), allow_nan=False))
        assert all(data["proposal"][0][name] is None for name in unknown)


def test_a_list_among_the_attributes_is_explained_as_its_text(fitted):
    row = {**dict(one()), "Teil": ["Kegel", "Spindel"]}
    assert "Similar past items" in explain.explain(fitted["boosted"], NEW, row).as_text()


def test_what_a_missing_value_would_change_is_what_is_proposed_with_it():
    random = np.random.default_rng(0)
    metal = random.choice(["STEEL", "BRASS", "PLASTIC"], 300)
    group = np.where(metal == "PLASTIC", "SOFT", "HARD")
    items = pd.DataFrame({
        "ITEM_CD": [f"P{k:03d}" for k in range(300)],
        "KIND": random.choice(["A", "B"], 300), "METAL": metal, "GROUP": group,
    })  # fmt: skip
    rows = [
        (code, k, job)
        for code, g, m in zip(items["ITEM_CD"], group, metal, strict=True)
        for k, job in enumerate(["CUT", "MOULD" if g == "SOFT" else "HARDEN",
                                 *(["PICKLE"] if m == "BRASS" else [])])
    ]  # fmt: skip
    routings = pd.DataFrame(rows, columns=["ITEM_CD", "PROC_SEQ", "JOB_CD"])
    routings = routings.assign(SETUP_TIME=5.0, RUN_TIME=5.0)
    model = models.fit("boosted", items, routings, attributes=valves.Attributes((), {}))
    asked = pd.DataFrame({"ITEM_CD": ["N"], "KIND": ["A"]})
    now = set(model.predict(asked)["JOB_CD"])
    (gap,) = [gap for gap in explain.explain(model, asked, "N").missing if gap.attribute == "METAL"]
    told = {one.value: (set(one.more), set(one.less)) for one in gap.changes}
    for value in ("STEEL", "BRASS", "PLASTIC"):
        then = set(model.predict(asked.assign(METAL=value))["JOB_CD"])
        assert told.get(value, (set(), set())) == (then - now, now - then)
    assert len(told) >= 2
    encoder = model.encoder_
    at = [category.column for category in encoder.categories].index("METAL")
    codes = np.arange(3)
    given = asked.loc[[0] * 3].assign(METAL=encoder.categories[at].values)
    supposed = encoder.supposing(encoder.transform(asked), at, codes)
    for mine, theirs in zip(supposed._parts, encoder.transform(given)._parts, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_second_time_that_is_likelier_than_the_first_is_told_with_it_as_it_is_proposed(
    monkeypatch,
):
    factory = valves.make(300)
    old, new, _ = valves.split(factory)
    model = models.fit("nearest", factory.items, old, attributes=valves.Attributes())
    at = {(o.job, o.occurrence): k for k, o in enumerate(model.operations_)}

    def likely(items, *given):
        found = plain(items, *given).copy()
        found[:, [at["WASCHEN", 0], at["WASCHEN", 1]]] = 0.2, 0.9
        return found

    plain = model.likely
    monkeypatch.setattr(model, "likely", likely)
    monkeypatch.setattr(model.alternatives_, "whole", True)
    found = explain.explain(model, new, {**new.iloc[3], "Teil": None, "Werkstoff": None})
    changes = [change for gap in found.missing for change in gap.changes]
    named = [one for change in changes for one in (*change.more, *change.less)]
    assert named and not any("WASCHEN" in one for one in named)
    told = [(one.job, one.occurrence) for one in found.operations]
    assert len(set(told)) == len(told)
    proposed = [one for one in found.operations if one.proposed]
    assert [one.job for one in proposed] == [row["JOB_CD"] for row in found.proposal]
    first, second = (one for one in proposed if one.job == "WASCHEN")
    assert (first.occurrence, second.occurrence) == (1, 2)
    assert first.likelihood < 0.5 < second.likelihood
