"""What a model says of incomplete items and of kinds that it has never seen."""

import models_factory as valves
import numpy as np
import pandas as pd
import pytest

from routing_ml import models
from routing_ml.comparison import metrics
from routing_ml.models.features import attributes
from routing_ml.models.features.attributes import Encoder
from routing_ml.models.ground import Ground
from routing_ml.models.learning import MOST_COST, _cost
from routing_ml.models.nearest import Nearest
from routing_ml.models.parts import trials
from routing_ml.models.parts.confidence import Calibration, Confidence, logit
from routing_ml.proposals import explain

FACTORY = valves.make(1200)
OLD, NEW, TRUTH = valves.split(FACTORY)
GIVEN = ["ITEM_CD", "Teil", "Werkstoff", "Nennweite"]


@pytest.fixture(scope="module")
def boosted():
    return models.fit("boosted", FACTORY.items, OLD, attributes=valves.Attributes())


def judged(model, items, truth=TRUTH):
    """The mean stated confidence and the share of exact matches."""
    found = model.predict(items, similarity=False)
    right = metrics.per_item(found, truth)["exact"].mean()
    return found.drop_duplicates("ITEM_CD")["CONFIDENCE"].mean(), right


@pytest.mark.parametrize("missing", ["Werkstoff", "Beschreibung", "Oberflaeche", "all but three"])
def test_confidence_is_that_of_the_item_as_it_is_given(boosted, missing):
    asked = NEW[GIVEN] if missing == "all but three" else NEW.drop(columns=missing)
    said, right = judged(boosted, asked)
    assert said == pytest.approx(right, abs=0.1)
    assert said < judged(boosted, NEW)[0] - 0.1


def test_a_kind_that_was_left_out_is_said_to_be_new_and_less_certain():
    steel = FACTORY.items["Werkstoff"] == "STAHL"
    rows = FACTORY.routings
    known = rows["ITEM_CD"].isin(FACTORY.items.loc[~steel, "ITEM_CD"])
    model = models.fit("boosted", FACTORY.items, rows[known], attributes=valves.Attributes())
    found = model.predict(FACTORY.items[steel])
    assert (found["NEW_TO_MODEL"] == "Werkstoff").all()
    assert (found["NOVELTY"] > 0.05).all()
    said, right = judged(model, FACTORY.items[steel], rows[~known])
    assert right == 0  # only steel is ground
    # of the two that were known neither changed an operation: it cannot know that steel does
    assert said < judged(model, FACTORY.items[~steel], rows[known])[0] - 0.1
    width = found["RUN_TIME_HIGH"] / found["RUN_TIME_LOW"]
    same = model.predict(FACTORY.items[steel].assign(Werkstoff="MESSING"))
    assert same["NEW_TO_MODEL"].isna().all()
    usual = same["RUN_TIME_HIGH"] / same["RUN_TIME_LOW"]
    assert width.median() > 1.2 * usual.median()


def test_a_kind_of_which_three_items_are_known_is_made_as_they_are():
    steel = FACTORY.items.index[FACTORY.items["Werkstoff"] == "STAHL"][:63]
    items = FACTORY.items.assign(
        Werkstoff=FACTORY.items["Werkstoff"].mask(FACTORY.items.index.isin(steel), "HARTSTAHL")
    )
    asked = items.loc[steel[3:]]
    out = FACTORY.routings["ITEM_CD"].isin(asked["ITEM_CD"])
    model = models.fit("boosted", items, FACTORY.routings[~out], attributes=valves.Attributes())
    said, right = judged(model, asked, FACTORY.routings[out])
    assert right > 0.6  # most others are not ground
    assert said == pytest.approx(right, abs=0.25)


def test_a_number_of_few_values_is_a_category_too():
    step = np.tile([2.0, 4.0, 8.5], 100)
    items = pd.DataFrame({"ITEM_CD": range(300), "step": step, "size": np.arange(300.0)})
    encoder = Encoder.fit(items, valves.Attributes())
    assert [category.values for category in encoder.categories] == [["2", "4", "8.5"]]
    asked = pd.DataFrame({"ITEM_CD": range(4), "step": ["2", "8,50", "4.0", "6"]})
    told = encoder.transform(asked)
    assert told.codes[:, 0].tolist() == [0, 2, 1, attributes.UNSEEN]
    assert told.states[:, 0].tolist() == [attributes.GIVEN] * 3 + [attributes.NEW]


def test_a_code_in_a_text_is_not_the_number_that_it_spells():
    items = pd.DataFrame({"ITEM_CD": range(90), "code": np.tile(["7", "8", "20"], 30)})
    encoder = Encoder.fit(items, valves.Attributes())
    asked = pd.DataFrame({"ITEM_CD": range(4), "code": ["7", "007", "8 mm", "2 cm"]})
    assert encoder.transform(asked).codes[1:, 0].tolist() == [attributes.UNSEEN] * 3


def test_a_yes_or_no_is_a_number_that_knows_both():
    items = pd.DataFrame({"ITEM_CD": range(90), "hollow": np.arange(90) % 3 == 0})
    told = Encoder.fit(items, valves.Attributes()).transform(items[:2].assign(hollow=[1, 0]))
    assert told.numbers.tolist() == [[1.0], [0.0]]
    assert told.states.tolist() == [[attributes.GIVEN]] * 2


def test_every_value_is_left_out_in_some_trial():
    sizes = [40, 30, 25, 20, 18, 16, 15, 12, 11, 9, 8, 6]
    values = np.repeat(np.arange(len(sizes)), sizes)
    groups = trials._groups(values)
    assert sorted(value for group in groups for value in group) == list(range(len(sizes)))
    assert len(groups) <= trials.GROUPS[1]
    assert max(sum(sizes[value] for value in group) for group in groups) <= 0.25 * sum(sizes)


def test_a_value_of_few_items_is_rare_and_not_new(boosted):
    items = FACTORY.items.assign(Werkstoff=FACTORY.items["Werkstoff"].mask(
        FACTORY.items.index < 2, "TITAN"))  # fmt: skip
    encoder = Encoder.fit(items, valves.Attributes())
    material = encoder.columns.index("Werkstoff")
    asked = NEW.iloc[:2].assign(Werkstoff=["TITAN", "UNOBTANIUM"])
    assert encoder.transform(asked).states[:, material].tolist() == [3, 2]
    assert encoder.transform(asked.drop(columns="Werkstoff")).states[:, material].tolist() == [1, 1]


def test_a_number_far_beyond_all_is_new_and_one_a_little_beyond_is_not(boosted):
    found = boosted.predict(NEW.iloc[:2].assign(Laenge=[800.0, 50_000.0], Einheit="mm"))
    told = found.drop_duplicates("ITEM_CD")["NEW_TO_MODEL"]
    assert told.isna().tolist() == [True, False]
    assert "Laenge" in told.iloc[1]


def in_words(items):
    """The items with a text alone, no two alike."""
    steel = items["Werkstoff"].str.strip().str.upper() + "-Chrom13"
    said = items["Teil"].str.strip() + " aus " + steel + ", " + items["Oberflaeche"]
    return items[["ITEM_CD", "INSRT_DT"]].assign(Beschreibung=said + " " + items["Zeichnung"])


@pytest.mark.parametrize("old, new", [("(?i)kegel", "Kurbel"), ("(?i)stahl", "INCONEL718")])
def test_a_text_that_names_what_none_of_the_past_has_is_new(old, new):
    items, asked = in_words(FACTORY.items), in_words(NEW)
    model = models.fit("boosted", items, OLD, attributes=valves.Attributes())
    known = model.predict(asked)
    assert known["NEW_TO_MODEL"].isna().all() and (known["NOVELTY"] == 0).all()
    named = asked["Beschreibung"].str.contains(old)
    changed = asked[named].assign(
        Beschreibung=asked["Beschreibung"].str.replace(old, new, regex=True)
    )
    found = model.predict(changed)
    assert (found["NEW_TO_MODEL"] == "Beschreibung").all() and (found["NOVELTY"] > 0.1).all()
    assert found["CONFIDENCE"].mean() < 0.9 * known["CONFIDENCE"].mean()
    model.encoder_ = Encoder(
        model.encoder_.categories, model.encoder_.numbers,
        [attributes.Words(one.column, one.words) for one in model.encoder_.texts],
    )  # fmt: skip
    assert model.predict(changed)["NEW_TO_MODEL"].isna().all()  # as of models of 2.1.0


@pytest.mark.parametrize("every, new", [(200, True), (10, False)])
def test_where_another_word_comes_often_it_tells_nothing_new(every, new):
    items = in_words(FACTORY.items)
    names = [f" für {'ABCDEFGHIJ'[k % 10]}eu{chr(97 + k // 10)}kunde" for k in range(len(items))]
    often = np.arange(len(items)) % every == 0
    items["Beschreibung"] += np.where(often, names, "")
    encoder = Encoder.fit(items, valves.Attributes())
    asked = items[:1].assign(Beschreibung="Deckel aus STAHL-Chrom13, blank für Neukunde")
    at = encoder.labels.index("text Beschreibung")
    assert encoder.transform(asked).states[0, at] == (attributes.NEW if new else attributes.GIVEN)


def test_a_given_value_that_no_past_item_had_is_new_though_another_column_implies_a_known_one():
    items = FACTORY.items.assign(Kurz=FACTORY.items["Werkstoff"].str.strip().str.upper().str[:2])
    model = models.fit("boosted", items, OLD, attributes=valves.Attributes())
    encoder = model.encoder_
    at = encoder.columns.index("Werkstoff")
    assert encoder.columns.index("Kurz") in [other for other, _ in encoder.categories[at].fills]
    known = NEW.assign(Kurz=NEW["Werkstoff"].str.strip().str.upper().str[:2]).iloc[:20]
    asked = known.assign(Werkstoff="UNOBTANIUM")
    told = encoder.transform(asked)
    assert told.codes[:, at].tolist() == [attributes.UNSEEN] * 20
    assert told.states[:, at].tolist() == [attributes.NEW] * 20
    short = encoder.columns.index("Kurz")
    supposed = encoder.supposing(told.at([0]), short, told.codes[[0], short])
    assert supposed.codes[0, at] == attributes.UNSEEN
    before, after = (
        model.predict(of, similarity=True).drop_duplicates("ITEM_CD") for of in (known, asked)
    )
    assert before["NEW_TO_MODEL"].isna().all()
    assert after["NEW_TO_MODEL"].str.contains("Werkstoff").all()
    for figure in ("CONFIDENCE", "SIMILARITY_SCORE"):
        assert (after[figure].to_numpy() < before[figure].to_numpy()).all()
    (why,) = (explain(model, asked, str(code)) for code in asked["ITEM_CD"].iloc[:1])
    said = {reason.words for operation in why.operations for reason in operation.reasons}
    assert not any(words.startswith("Werkstoff is ") and "new" not in words for words in said)


def test_what_a_trials_few_trees_cost_items_like_all_is_given_back():
    ground = Ground.fit(FACTORY.items, OLD, attributes=valves.Attributes())
    model = Nearest().fit(ground)
    tried = [model._try(ground, np.arange(100) < right) for right in (0, 100)]
    assert tried[0].odds[1:] == tried[1].odds[1:]
    assert tried[0].odds[0] < tried[1].odds[0]


def test_a_trials_cost_is_what_is_shown_and_not_how_many_were_asked():
    many, few = np.ones(10_000, bool), np.ones(40, bool)
    assert _cost(few, many) == 0  # where all is right nothing is lost, however few they are
    assert _cost(few, np.arange(100) < 90) == 0  # never taken away
    shown = _cost(np.arange(100) < 86, np.arange(2_000) < 1_850)
    assert shown == pytest.approx(logit(np.array([0.925]))[0] - np.log(86 / 14), abs=0.02)
    assert _cost(np.arange(40) < 39, many) == MOST_COST  # one miss among none is not worth five


def test_a_column_that_others_imply_is_filled_also_where_it_was_never_missing():
    short = FACTORY.items["Werkstoff"].str[:2]
    items = FACTORY.items.assign(Kurz=short)
    model = models.fit("boosted", items, OLD, attributes=valves.Attributes())
    asked = NEW.assign(Kurz=NEW["Werkstoff"].str[:2])
    whole = model.predict(asked, similarity=False)["JOB_CD"].tolist()
    without = model.predict(asked.drop(columns="Werkstoff"), similarity=False)["JOB_CD"].tolist()
    assert without == whole


def test_entry_dates_are_no_attributes(boosted):
    later = NEW.assign(INSRT_DT=NEW["INSRT_DT"].max() + np.timedelta64(9_000, "D"))
    assert boosted.predict(later).equals(boosted.predict(NEW))


def test_explain_names_the_missing_value_that_helps_most(boosted):
    row = NEW.drop(columns=["Werkstoff", "Zeichnung"]).iloc[0]
    found = explain(boosted, NEW, row)
    assert found.helpful is not None
    assert found.helpful.attribute == "Werkstoff"
    assert found.helpful.confidence > found.confidence + 0.1
    assert "Werkstoff would help most" in found.as_text()
    assert explain(boosted, NEW, NEW["ITEM_CD"].iloc[0]).helpful is None


@pytest.mark.parametrize("days", [1, 3, 40])
def test_families_are_in_one_fold_and_few_families_are_none(days):
    items = FACTORY.items[:60].assign(
        INSRT_DT=pd.Timestamp("2025-01-01") + pd.to_timedelta(np.arange(60) % days, unit="D")
    )
    rows = FACTORY.routings[FACTORY.routings["ITEM_CD"].isin(items["ITEM_CD"])]
    ground = Ground.fit(items, rows, attributes=valves.Attributes())
    assert len(set(ground.families.tolist())) == (days if days == 40 else 60)
    assert models.candidate("nearest")().fit(ground).predict(items)["CONFIDENCE"].notna().all()


def test_an_item_of_which_all_is_new_is_no_newer_than_one(boosted, monkeypatch):
    told = boosted.telling_ / boosted.telling_.sum() * 1.03  # what tells of times may be more
    monkeypatch.setattr(boosted, "telling_", told)
    names = [name for name in NEW.columns if name not in ("ITEM_CD", "INSRT_DT")]
    odd = {name: "QWXZKJ" if NEW[name].dtype == "str" else 5e6 for name in names}
    assert boosted.given(boosted.encoder_.transform(NEW.assign(**odd))).never.max() > 1
    assert boosted.predict(NEW.assign(**odd))["NOVELTY"].max() == 1


def test_four_of_five_run_times_are_in_the_band_also_without_a_number_that_tells_of_times_alone():
    random = np.random.default_rng(8)
    codes = [f"T{k:04d}" for k in range(900)]
    items = pd.DataFrame({
        "ITEM_CD": codes,
        "KIND": random.choice(["RING", "DISC", "PLATE"], 900),
        "WEIGHT": random.lognormal(1, 0.8, 900),
    })  # fmt: skip
    kinds = {"RING": ["SAW", "TURN"], "DISC": ["SAW", "MILL", "DRILL"], "PLATE": ["CUT", "MILL"]}
    rows = pd.DataFrame(
        [
            (code, k, job, 1.0, 5 * weight * random.lognormal(0, 0.15))
            for code, kind, weight in items.itertuples(index=False)
            for k, job in enumerate(kinds[kind])
        ],
        columns=["ITEM_CD", "PROC_SEQ", "JOB_CD", "SETUP_TIME", "RUN_TIME"],
    )
    past = rows["ITEM_CD"].isin(codes[:400])
    model = models.fit("nearest", items, rows[past], attributes=valves.Attributes())
    assert model.gower_.weights[1] == 0
    asked = items.iloc[400:]
    for given in (asked, asked.drop(columns="WEIGHT")):
        found = rows.merge(model.predict(given, similarity=False), on=["ITEM_CD", "JOB_CD"])
        inside = found["RUN_TIME_x"].between(found["RUN_TIME_LOW"], found["RUN_TIME_HIGH"])
        assert 0.75 <= inside.mean() <= 0.85


def test_what_no_trial_has_taught_is_not_held_against_a_value_of_few_items():
    states = np.array([[attributes.GIVEN], [attributes.RARE], [attributes.FEW], [attributes.NEW]])
    curve = Calibration(np.array([-9.0, 9.0]), np.array([0.0, 1.0]))
    untaught = Confidence(curve, scale=1.0, slopes=np.ones(2))
    given = untaught.given(states, np.ones(1), ["is PART"])
    found = untaught.apply(np.full(4, 0.9), given)
    assert found[1] == found[2] == found[0] > found[3]


def test_an_order_that_is_free_is_not_said_to_be_known():
    random = np.random.default_rng(1)
    codes = [f"W{k:03d}" for k in range(300)]
    items = pd.DataFrame({"ITEM_CD": codes, "SIZE": random.lognormal(3, 1, 300)})
    rows = pd.DataFrame(
        [
            (code, place, job, 1.0, 2.0)
            for code in codes
            for place, job in enumerate(["SAW", *random.permutation(["A", "B"]), "PACK"])
        ],
        columns=["ITEM_CD", "PROC_SEQ", "JOB_CD", "SETUP_TIME", "RUN_TIME"],
    )
    past = rows["ITEM_CD"].isin(codes[:200])
    model = models.fit("nearest", items[:200], rows[past], attributes=valves.Attributes())
    said, right = judged(model, items[200:], rows[~past])
    assert said == pytest.approx(0.5, abs=0.12)
    assert right == pytest.approx(0.5, abs=0.12)


def test_items_that_the_model_holds_for_equally_certain_get_one_confidence_that_of_all():
    right = np.arange(100) >= 60
    curve = Calibration.fit(np.zeros(100), right)
    assert curve.apply(np.zeros(1))[0] == pytest.approx(0.4, abs=0.01)
