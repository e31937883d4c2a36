import pandas as pd
import pytest

from routing_ml.comparison import metrics


def rows(item: str, *operations: tuple) -> pd.DataFrame:
    """Rows of (job, machine, setup, run)."""
    frame = pd.DataFrame(operations, columns=["JOB_CD", "RES_CD", "SETUP_TIME", "RUN_TIME"])
    frame.insert(0, "ITEM_CD", item)
    frame.insert(1, "PROC_SEQ", range(10, 10 * len(frame) + 1, 10))
    return frame


TRUTH = pd.concat([
    rows("A", ("CUT", "S1", 10, 2), ("WASH", "W1", 5, 4), ("WASH", "W1", 5, 8)),
    rows("B", ("CUT", "S1", 10, 2), ("TEST", "T1", 0, 1)),
])  # fmt: skip


def test_a_perfect_proposal_scores_one_everywhere_and_errs_by_nothing():
    found = metrics.evaluate(TRUTH, TRUTH)
    assert found == {
        "items": 2, "exact_match": 1.0, "operation_precision": 1.0, "operation_recall": 1.0,
        "operation_f1": 1.0, "edit_similarity": 1.0, "run_time_mdape": 0.0,
        "setup_time_mdape": 0.0, "resource_accuracy": 1.0,
    }  # fmt: skip


def test_operations_are_counted_as_a_multiset_and_matched_by_occurrence():
    proposed = pd.concat([rows("A", ("CUT", "S2", 10, 3), ("WASH", "W1", 5, 4)),
                          rows("B", ("CUT", "S1", 10, 2), ("TEST", "T1", 0, 1))])  # fmt: skip
    found = metrics.evaluate(proposed, TRUTH)
    assert found["operation_precision"] == 1.0
    assert found["operation_recall"] == 4 / 5
    assert found["exact_match"] == 0.5
    assert found["edit_similarity"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["resource_accuracy"] == 3 / 4
    items = metrics.per_item(proposed, TRUTH)
    assert items.loc["A", ["tp", "fp", "fn"]].tolist() == [2, 0, 1]
    assert items.loc["A", "run_ape"] == pytest.approx(0.25)  # of 0.5 and 0.0


def test_the_same_operations_in_another_order_are_not_exact_but_count_for_f1():
    proposed = pd.concat([rows("A", ("WASH", "W1", 5, 4), ("CUT", "S1", 10, 2),
                               ("WASH", "W1", 5, 8)), TRUTH[TRUTH.ITEM_CD == "B"]])  # fmt: skip
    found = metrics.evaluate(proposed, TRUTH)
    assert (found["exact_match"], found["operation_f1"]) == (0.5, 1.0)


def test_an_item_without_proposal_is_an_empty_one_and_other_items_do_not_count():
    found = metrics.per_item(TRUTH[TRUTH.ITEM_CD == "A"], TRUTH[TRUTH.ITEM_CD == "B"])
    assert found.index.tolist() == ["B"]
    assert found.loc["B", ["exact", "tp", "fp", "fn"]].tolist() == [False, 0, 0, 2]
    assert metrics.evaluate(TRUTH[:0], TRUTH)["edit_similarity"] == 0.0


def test_what_cannot_be_counted_is_none_and_a_true_time_of_zero_is_left_out():
    empty = metrics.evaluate(TRUTH, TRUTH[:0])
    assert empty.pop("items") == 0
    assert set(empty.values()) == {None}
    only_test = TRUTH[(TRUTH.ITEM_CD == "B") & (TRUTH.JOB_CD == "TEST")]
    assert metrics.evaluate(only_test.assign(SETUP_TIME=5), only_test)["setup_time_mdape"] is None


def test_edit_distance_is_levenshteins():
    assert metrics.edit_distance("KITTEN", "SITTING") == 3
    assert metrics.edit_distance("", "AB") == 2
