import json

import models_factory as valves
import numpy as np
import pandas as pd
import pytest

from routing_ml import models
from routing_ml.comparison import metrics
from routing_ml.errors import ModelError
from routing_ml.models import CANDIDATES
from routing_ml.models.base import PROPOSAL_COLUMNS, RoutingModel
from routing_ml.models.parts import operations
from routing_ml.models.parts.operations import Operation, decide

FACTORY = valves.make(900)
OLD, NEW, TRUTH = valves.split(FACTORY)


@pytest.fixture(scope="module")
def fitted() -> dict[str, RoutingModel]:
    return {name: fit(name) for name in CANDIDATES}


def fit(name: str, factory=FACTORY, routings=OLD, results=None) -> RoutingModel:
    return models.fit(name, factory.items, routings, results, attributes=valves.Attributes())


@pytest.mark.parametrize("name", CANDIDATES)
def test_proposals_have_the_fixed_columns_in_the_order_of_the_items(fitted, name):
    asked = NEW.iloc[::-1]
    found = fitted[name].predict(asked)
    assert tuple(found.columns) == PROPOSAL_COLUMNS
    assert found["ITEM_CD"].drop_duplicates().tolist() == asked["ITEM_CD"].tolist()
    assert found.groupby("ITEM_CD")["PROC_SEQ"].is_monotonic_increasing.all()
    assert (found["PROC_SEQ"] % 5 == 0).all()  # this factory numbers 5, 10, 15
    assert (found["RUN_TIME_LOW"] <= found["RUN_TIME"]).all()
    assert (found["RUN_TIME"] <= found["RUN_TIME_HIGH"]).all()
    for column in ("CONFIDENCE", "SIMILARITY_SCORE"):
        assert found[column].between(0, 1).all()
    assert set(found["REFERENCE_ITEM_CD"]) <= set(OLD["ITEM_CD"])


@pytest.mark.parametrize(("name", "least"), [("nearest", 0.5), ("forest", 0.6), ("boosted", 0.93)])
def test_a_factory_of_other_names_and_rules_is_learned(fitted, name, least):
    found = metrics.evaluate(fitted[name].predict(NEW), TRUTH)
    assert found["exact_match"] >= least
    assert found["run_time_mdape"] <= 0.1
    assert found["resource_accuracy"] >= 0.97


def test_a_second_time_is_never_proposed_without_the_first_nor_nothing_at_all():
    known = [Operation("WASH", 0, ""), Operation("WASH", 1, ""), Operation("TEST", 0, "")]
    found = decide(np.array([[0.4, 0.6, 0.1], [0.1, 0.2, 0.3]]), known)
    assert found.tolist() == [[True, True, False], [False, False, True]]


def test_repeated_operations_and_an_order_that_differs_are_proposed(fitted):
    found = metrics.sequences(fitted["boosted"].predict(NEW))
    truth = metrics.sequences(TRUTH)
    twice = [item for item, jobs in truth.items() if jobs.count("WASCHEN") == 2]
    assert np.mean([found[item].count("WASCHEN") == 2 for item in twice]) >= 0.97
    galvanised = NEW.loc[NEW["Oberflaeche"] == "VERZINKT", "ITEM_CD"]
    first = [found[item].index("STEMPELN") < found[item].index("PRUEFEN") for item in galvanised]
    others = NEW.loc[NEW["Oberflaeche"] != "VERZINKT", "ITEM_CD"]
    later = [found[item].index("STEMPELN") > found[item].index("PRUEFEN") for item in others]
    assert np.mean(first) >= 0.97
    assert np.mean(later) >= 0.97


@pytest.mark.parametrize("name", CANDIDATES)
def test_a_loaded_model_proposes_the_same_and_no_file_is_a_pickle(fitted, name, tmp_path):
    fitted[name].save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["arrays.npz", "model.json"]
    loaded = models.load(tmp_path)
    assert type(loaded) is models.candidate(name)
    pd.testing.assert_frame_equal(loaded.predict(NEW), fitted[name].predict(NEW))
    with np.load(tmp_path / "arrays.npz", allow_pickle=False) as arrays:
        assert all(arrays[key].dtype.kind in "iufb" for key in arrays.files)


@pytest.mark.parametrize("name", CANDIDATES)
def test_the_same_frames_give_the_same_bytes_whatever_their_order(fitted, name, tmp_path):
    shuffled = valves.Factory(
        FACTORY.items.sample(frac=1, random_state=3), FACTORY.routings, FACTORY.results,
        FACTORY.true_run,
    )  # fmt: skip
    fitted[name].save(tmp_path / "one")
    fit(name, shuffled, OLD.sample(frac=1, random_state=4)).save(tmp_path / "two")
    for file in ("model.json", "arrays.npz"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize("name", CANDIDATES)
def test_one_item_is_proposed_the_same_alone_as_among_others(fitted, name):
    together = fitted[name].predict(NEW)
    for code in NEW["ITEM_CD"][:5]:
        alone = fitted[name].predict(NEW[NEW["ITEM_CD"] == code])
        same = together[together["ITEM_CD"] == code].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, same, rtol=1e-5)


def test_columns_missing_added_or_of_another_type_do_not_stop_a_proposal(fitted):
    odd = pd.DataFrame({
        "ITEM_CD": ["X1", "X2", "X3"], "Teil": ["spindel", None, 7], "Neu": [1, 2, 3],
        "Nennweite": ["80", "n/a", "80,0 mm"], "INSRT_DT": pd.NaT,
    })  # fmt: skip
    found = fitted["boosted"].predict(odd)
    assert set(found["ITEM_CD"]) == {"X1", "X2", "X3"}
    assert np.isfinite(found[["RUN_TIME", "CONFIDENCE", "SIMILARITY_SCORE"]].to_numpy()).all()
    only_code = fitted["boosted"].predict(odd[["ITEM_CD"]])
    assert only_code["ITEM_CD"].nunique() == 3
    assert fitted["boosted"].predict(odd[:0]).empty
    with pytest.raises(ModelError, match="ITEM_CD"):
        fitted["boosted"].predict(odd.drop(columns="ITEM_CD"))


def test_a_past_item_asked_again_has_another_as_its_reference(fitted):
    past = FACTORY.items[FACTORY.items["ITEM_CD"].isin(OLD["ITEM_CD"])].iloc[:20]
    found = fitted["boosted"].predict(past).drop_duplicates("ITEM_CD")
    assert (found["REFERENCE_ITEM_CD"] != found["ITEM_CD"]).all()
    assert found["SIMILARITY_SCORE"].between(0.8, 1, inclusive="left").all()
    renamed = fitted["boosted"].predict(past.assign(ITEM_CD=past["ITEM_CD"] + "-COPY"))
    assert (renamed["SIMILARITY_SCORE"] == 1).all()
    strange = past.assign(Teil="FLANSCH", Werkstoff="TITAN", Beschreibung="?", Oberflaeche="ROH")
    assert (fitted["boosted"].predict(strange)["SIMILARITY_SCORE"] < 0.7).all()
    quick = fitted["boosted"].predict(past, similarity=False)
    assert quick["SIMILARITY_SCORE"].isna().all()
    assert quick["REFERENCE_ITEM_CD"].isna().all()


def test_the_baseline_of_drift_leaves_out_the_family_that_was_entered_together():
    """A new item's family is not known to the model either."""
    items = FACTORY.items.copy()
    twins = items.iloc[700:740].assign(ITEM_CD=lambda rows: rows["ITEM_CD"] + "-B")
    items = pd.concat([items, twins], ignore_index=True)
    rows = FACTORY.routings
    copied = rows[rows["ITEM_CD"].isin(items["ITEM_CD"].iloc[700:740])]
    routings = pd.concat([rows, copied.assign(ITEM_CD=copied["ITEM_CD"] + "-B")])
    model = models.fit("nearest", items, routings, attributes=valves.Attributes())
    days = items.set_index("ITEM_CD")["INSRT_DT"]
    apart = model.similarities(twins, days)
    imported = days.where(days.isna(), pd.Timestamp("2020-01-01"))
    assert (model.similarities(twins, imported) == 1).all()  # one day for all: an import
    assert (model.similarities(twins, days.mask(days > "2000-01-01")) == 1).all()  # no dates
    alone = models.fit(
        "nearest", items[~items["ITEM_CD"].str.endswith("-B")], rows, attributes=valves.Attributes()
    )
    others = alone.predict(items.iloc[700:740]).drop_duplicates("ITEM_CD")["SIMILARITY_SCORE"]
    assert (apart < 1).all()
    assert np.abs(apart - others.to_numpy()).mean() < 0.01


def test_confidence_is_calibrated_and_four_of_five_run_times_are_in_the_band():
    factory = valves.make(2400, noise=0.15)
    old, new, truth = valves.split(factory)
    found = fit("boosted", factory, old).predict(new, similarity=False)
    right = metrics.per_item(found, truth)["exact"]
    confidence = found.drop_duplicates("ITEM_CD").set_index("ITEM_CD")["CONFIDENCE"]
    assert abs(confidence.mean() - right.mean()) <= 0.05
    keyed = [
        frame.assign(k=frame.groupby(["ITEM_CD", "JOB_CD"]).cumcount()) for frame in (truth, found)
    ]
    both = keyed[0].merge(keyed[1], on=["ITEM_CD", "JOB_CD", "k"])
    within = both["RUN_TIME_x"].between(both["RUN_TIME_LOW"], both["RUN_TIME_HIGH"])
    assert 0.76 <= within.mean() <= 0.84


def test_reported_hours_are_blended_in_when_they_know_more_than_the_plan():
    exact = valves.make(400, report_noise=0.02)
    told = fit("nearest", exact, exact.routings, exact.results)
    untold = fit("nearest", exact, exact.routings)
    assert told.times_.report_shares[1] >= 0.8
    assert untold.times_.report_shares[1] == 0

    def error(model: RoutingModel) -> float:
        truth = exact.routings.assign(RUN_TIME=exact.true_run)
        return metrics.evaluate(model.predict(exact.items), truth)["run_time_mdape"]

    assert error(told) < error(untold)


def test_reports_that_are_only_the_plan_with_noise_are_not_listened_to():
    factory = valves.make(400)
    noisy = factory.routings["RUN_TIME"] * np.exp(
        np.random.default_rng(5).normal(0, 0.2, len(factory.routings))
    )
    results = factory.results.assign(MACH_WORKED_HOURS=noisy * 20 / 60)
    assert fit("nearest", factory, factory.routings, results).times_.report_shares[1] == 0


def test_machines_and_names_may_be_missing_altogether():
    bare = OLD.drop(columns=["RES_CD", "JOB_NM"])
    found = fit("nearest", routings=bare).predict(NEW)
    assert found["RES_CD"].isna().all()
    assert found["JOB_NM"].isna().all()
    assert metrics.evaluate(found, TRUTH.drop(columns="RES_CD"))["resource_accuracy"] is None


def test_too_few_items_and_an_unknown_candidate_are_refused_by_name():
    with pytest.raises(ModelError, match="3 items have a routing, a model needs 20"):
        fit("nearest", routings=OLD[OLD["ITEM_CD"].isin(FACTORY.items["ITEM_CD"][:3])])
    with pytest.raises(ModelError, match="'oracle' is unknown: choose from"):
        fit("oracle")


def test_the_facts_of_a_model_are_json_that_a_person_can_read(fitted, tmp_path):
    fitted["boosted"].save(tmp_path)
    facts = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    assert facts["candidate"] == "boosted"
    assert {"job": "WASCHEN", "occurrence": 1, "name": "Waschen"} in facts["operations"]


@pytest.mark.parametrize("name", CANDIDATES)
def test_operations_of_fewer_than_three_items_are_left_out_and_count_as_wrong(name, tmp_path):
    rare = OLD.copy()
    odd = OLD["ITEM_CD"].drop_duplicates()[::2]  # every operation of each second item is its own
    own = rare["ITEM_CD"].isin(odd)
    rare.loc[own, "JOB_CD"] = rare.loc[own, "ITEM_CD"] + rare.loc[own, "JOB_CD"]
    model = fit(name, routings=rare)
    assert {operation.job for operation in model.operations_} <= set(OLD["JOB_CD"])
    assert model.past_routing(model.items_.index(odd.iloc[1])) == []
    found = model.predict(NEW)
    assert found["PROC_SEQ"].min() == 5
    assert found.drop_duplicates("ITEM_CD")["CONFIDENCE"].mean() <= 0.55
    model.save(tmp_path)
    pd.testing.assert_frame_equal(models.load(tmp_path).predict(NEW), found)


def test_thousands_of_operations_are_cut_to_the_commonest(monkeypatch):
    monkeypatch.setattr(operations, "MAX_OPERATIONS", 4)
    model = fit("boosted")
    counts = OLD.groupby("JOB_CD")["ITEM_CD"].nunique().sort_values(ascending=False)
    assert len(model.operations_) == 4
    assert {operation.job for operation in model.operations_} == set(counts.index[:4])
    # most routings have an operation that was left out, so that hardly one can be right
    assert model.predict(NEW)["CONFIDENCE"].max() <= 0.2


def test_a_factory_where_every_operation_is_another_is_refused():
    with pytest.raises(ModelError, match=r"none of the \d+ operations occurs in 3 items"):
        fit("nearest", routings=OLD.assign(JOB_CD=OLD["ITEM_CD"] + OLD["PROC_SEQ"].astype(str)))


@pytest.mark.parametrize("name", CANDIDATES)
def test_a_time_that_nobody_knows_is_missing_and_one_that_is_0_is_0(name, tmp_path):
    times = ["SETUP_TIME", "RUN_TIME", "RUN_TIME_LOW", "RUN_TIME_HIGH"]
    for unknown in (OLD.drop(columns=times[:2]), OLD.assign(SETUP_TIME=None, RUN_TIME=np.nan)):
        assert fit(name, routings=unknown).predict(NEW)[times].isna().all(axis=None)
    some = OLD.copy()
    some.loc[some["JOB_CD"] == "SAEGEN", "RUN_TIME"] = 0.0
    some.loc[some["JOB_CD"] == "DREHEN", "RUN_TIME"] = np.nan
    model = fit(name, routings=some)
    model.save(tmp_path)
    found = models.load(tmp_path).predict(NEW)
    assert (found.loc[found["JOB_CD"] == "SAEGEN", times[1:]] == 0).all(axis=None)
    assert found.loc[found["JOB_CD"] == "DREHEN", times[1:]].isna().all(axis=None)
    assert (found.loc[~found["JOB_CD"].isin(["SAEGEN", "DREHEN"]), "RUN_TIME"] > 0).all()
    assert (found["SETUP_TIME"] > 0).all()


def test_where_no_attribute_says_anything_items_are_still_alike_whatever_their_date():
    model = fit("boosted", routings=OLD[OLD["JOB_CD"] == "SAEGEN"])
    dates = [number.kind == "entered" for number in model.encoder_.numbers]
    categories = len(model.encoder_.categories)
    weights = model.gower_.weights
    assert weights.sum() == pytest.approx(1)
    assert weights[categories : categories + len(dates)][dates].sum() == 0
    assert (model.predict(NEW)["SIMILARITY_SCORE"] > 0.7).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", CANDIDATES)
def test_huge_numbers_and_lists_are_read_without_a_warning(name):
    items = FACTORY.items.astype({"Teil": object})
    items.at[0, "Teil"] = ["Kegel", 1]
    items.loc[[1, 2], "Nennweite"] = 1e308, -1e308
    model = fit(name, valves.Factory(items, FACTORY.routings, FACTORY.results, FACTORY.true_run))
    odd = pd.DataFrame({
        "ITEM_CD": ["X1", "X2"], "Teil": [["Spindel"], {"a": 1}], "Nennweite": [1e308, 10**400],
        "Laenge": [1e308, "1" + "0" * 400], "Einheit": ["Zoll", ["mm"]],
    })  # fmt: skip
    found = model.predict(odd)
    assert np.isfinite(found[["RUN_TIME", "CONFIDENCE", "SIMILARITY_SCORE"]].to_numpy()).all()
    for code, row in found.groupby("ITEM_CD"):
        alone = model.predict(odd[odd["ITEM_CD"] == code].reset_index(drop=True))
        assert alone["JOB_CD"].tolist() == row["JOB_CD"].tolist()
