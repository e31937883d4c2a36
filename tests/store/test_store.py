"""The monitoring store, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from postgresql import PostgreSQL

from routing_ml.drift.detector import Baseline
from routing_ml.drift.watch import evaluate
from routing_ml.errors import SettingError
from routing_ml.settings import default_url, sqlite_path
from routing_ml.store import StoreError, StoreMissingError
from routing_ml.store.records import SCHEMA_VERSION, TABLES
from routing_ml.store.store import Store

TODAY = date(2026, 11, 1)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store that nothing was recorded in yet."""
    if request.param == "sqlite":
        return default_url(tmp_path)
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.fresh("monitoring")


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store(url)
    yield opened
    opened.close()


def record(store: Store, n: int, *, model: str = "m1", score: float = 0.8, start: int = 0) -> None:
    items = [f"I{start + i}" for i in range(n)]
    store.record_predictions(items, [score] * n, [0.9] * n, model=model, seconds=0.01 * n)


def test_a_batch_moves_every_total_at_once(store: Store) -> None:
    store.record_predictions(
        ["A", "B", "C"], [0.5, math.nan, math.inf], [0.9, 0.6, 0.1], model="m1", seconds=0.03
    )
    seen = store.snapshot()
    assert seen.count("predictions") == 3
    assert seen.count("prediction_batches") == 1
    assert seen.count("prediction_seconds") == pytest.approx(0.03)
    assert seen.labelled("proposals") == {"high": 1, "medium": 1, "low": 1}
    assert sum(seen.labelled("prediction_bucket").values()) == 3
    ids, items, scores, _ = zip(*store.predictions_after(0, model="m1"), strict=True)
    assert items == ("A", "B", "C") and list(ids) == sorted(ids)
    assert scores[0] == 0.5 and math.isnan(scores[1]) and math.isinf(scores[2])


def test_a_store_of_the_first_schema_is_brought_forward_and_keeps_its_rows(store: Store) -> None:
    record(store, 2)
    store.database.run("ALTER TABLE predictions DROP COLUMN novelty")
    store.set_fact("schema", 1)
    with closing(Store(store.url)) as newer:
        newer.record_predictions(["N"], [0.5], [0.4], model="m1", seconds=1, novelties=[0.75])
        found = newer.database.rows("SELECT item_cd, novelty FROM predictions ORDER BY id")
        assert found == [("I0", None), ("I1", None), ("N", 0.75)]
        assert newer.fact("schema") == SCHEMA_VERSION


def test_a_latency_on_a_bound_is_counted_at_it(store: Store) -> None:
    record(store, 4)
    assert store.snapshot().labelled("prediction_bucket") == {"4": 4}  # .01 s is "le 0.01"


def test_an_empty_batch_records_nothing(store: Store) -> None:
    store.record_predictions([], [], [], model="m1", seconds=1.0)
    assert store.snapshot().count("prediction_batches") == 0


def test_columns_of_unequal_length_are_refused_and_nothing_is_recorded(store: Store) -> None:
    with pytest.raises(ValueError, match="one length"):
        store.record_predictions(["A"], [0.5, 0.6], [0.9], model="m1", seconds=1.0)
    assert store.snapshot().count("predictions") == 0


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.transaction():
        record(store, 5)
        raise RuntimeError
    assert store.snapshot().count("predictions") == 0
    record(store, 5)
    assert store.snapshot().count("predictions") == 5


def test_many_writers_lose_nothing_and_never_fail(store: Store, url: str) -> None:
    def write(number: int) -> None:
        mine = Store(url)
        for batch in range(25):
            record(mine, 4, start=1000 * number + 4 * batch)
            # This one reads before it writes, and all four record the same run.
            mine.record_run(f"r{batch}", succeeded=True, seconds=1)
        mine.close()

    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            write(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert store.snapshot().count("predictions") == 400
    assert store.snapshot().labelled("runs") == {"success": 25}
    assert len({item for _, item, _, _ in store.predictions_after(0, model="m1")}) == 400


def test_what_reads_first_can_write_afterwards(store: Store, url: str) -> None:
    """SQLite refuses that at once, without waiting, when another wrote in between."""

    def write() -> None:
        other = Store(url)
        record(other, 1)
        other.close()

    writer = threading.Thread(target=write)
    with store.transaction():
        assert store.last_prediction() == 0
        writer.start()
        time.sleep(0.1)
        record(store, 1)
    writer.join()
    assert store.snapshot().count("predictions") == 2


def test_a_reader_that_follows_the_ids_misses_no_prediction(store: Store, url: str) -> None:
    """Ids are committed in their order: one that comes late below the last seen would be lost."""

    def write(number: int) -> None:
        mine = Store(url)
        for batch in range(30):
            record(mine, 3, start=1000 * number + 3 * batch)
        mine.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    seen: list[str] = []
    last = 0
    while True:
        ended = not any(thread.is_alive() for thread in threads)
        for number, item, _, _ in store.predictions_after(last, model="m1"):
            seen.append(item)
            last = number
        if ended:
            break
    assert len(seen) == len(set(seen)) == 270


WRITER = """
import sys
from routing_ml.store import Store
store, n = Store(sys.argv[1]), 0
while True:
    store.record_predictions([f"I{n}-{i}" for i in range(10)], [.5] * 10, [.5] * 10, model="m1",
                             seconds=.01)
    n += 1
    print(n, flush=True)
"""


def test_what_was_committed_survives_a_kill(url: str) -> None:
    process = subprocess.Popen([sys.executable, "-P", "-c", WRITER, url], stdout=subprocess.PIPE)
    assert process.stdout is not None
    told = 0
    while told < 20:
        told = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().split()
    told = int(rest[-1]) if rest else told
    process.wait()
    process.stdout.close()
    store = Store(url)
    totals = store.snapshot()
    details = store.predictions_after(0, model="m1")
    assert totals.count("predictions") == 10 * totals.count("prediction_batches") == len(details)
    assert totals.count("prediction_batches") in (told, told + 1)
    record(store, 1)
    store.close()


def test_prune_forgets_details_and_no_total(store: Store) -> None:
    old = time.time() - 200 * 86400
    store.record_predictions(["A"] * 3, [0.5] * 3, [0.5] * 3, model="m1", seconds=1, at=old)
    store.record_run("r1", succeeded=True, seconds=5, ended_at=old)
    record(store, 2)
    store.record_run("r2", succeeded=False, seconds=5)
    assert store.prune(older_than_days=180) == 4
    assert store.snapshot().count("predictions") == 5
    assert store.snapshot().labelled("runs") == {"success": 1, "failure": 1}
    assert len(store.predictions_after(0, model="m1")) == 2
    assert [run["run"] for run in store.runs()] == ["r2"]


def test_ids_go_on_rising_after_everything_was_pruned(store: Store) -> None:
    """An id used twice would be taken for one that the drift watch has seen."""
    record(store, 3)
    last = store.last_prediction()
    store.prune(older_than_days=-1)
    record(store, 1)
    assert store.last_prediction() > last


def test_a_run_recorded_twice_counts_once_with_its_last_outcome(store: Store) -> None:
    store.record_run("r1", succeeded=True, seconds=5, model="m1", promoted=True)
    store.record_run("r1", succeeded=False, seconds=6, model="m1", reason="report failed")
    assert {k: v for k, v in store.snapshot().labelled("runs").items() if v} == {"failure": 1}
    assert store.runs()[0]["reason"] == "report failed"


def test_a_run_told_late_is_not_taken_for_the_last(store: Store) -> None:
    store.record_run("new", succeeded=True, seconds=5, ended_at=2000.0)
    store.record_run("old", succeeded=False, seconds=5, ended_at=1000.0)
    assert store.snapshot().facts["last_run"]["run"] == "new"


def test_what_is_no_number_becomes_null(store: Store) -> None:
    store.record_model("m1", created_at=1.0, metrics={"exact_match": math.nan, "items": 3})
    assert store.snapshot().facts["model"]["metrics"] == {"exact_match": None, "items": 3}


def test_the_audit_keeps_the_worst_null_ratios(store: Store) -> None:
    ratios = {f"C{i}": i / 1000 for i in range(600)}
    store.record_audit({"items": ratios}, outliers={"OD": 3}, rows={"items": 10})
    audit = store.snapshot().facts["audit"]
    assert len(audit["null_ratios"]) == 500
    assert audit["null_ratios"][0] == ["items", "C599", 0.599]


def test_the_batch_that_a_store_of_the_second_schema_knew_is_not_counted_again(
    store: Store,
) -> None:
    store.set_fact("claim_batch", "run 1")
    store.database.run("DROP TABLE claims")
    store.set_fact("schema", 2)
    with closing(Store(store.url)) as newer:
        for batch in ("run 1", "run 2"):
            newer.record_predictions(["A"], [0.5], [0.9], model="m", seconds=1, batch=batch)
        assert newer.snapshot().count("predictions") == 1


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("schema", [1, 2, 3, 4, SCHEMA_VERSION])
def test_a_store_that_lost_a_table_works_again_and_keeps_the_others(
    store: Store, table: str, schema: int
) -> None:
    record(store, 3)
    store.record_run("r1", succeeded=True, seconds=5)
    store.set_fact("schema", schema)
    if schema == 1:
        store.database.run("ALTER TABLE predictions DROP COLUMN novelty")
    store.database.run(f"DROP TABLE {table}")
    for _ in range(2):
        with closing(Store(store.url)) as newer:
            assert newer.fact("schema") == SCHEMA_VERSION
            record(newer, 2)
            newer.record_run("r2", succeeded=False, seconds=5)
            assert newer.claim("batch", f"b{_}")
            newer.prune()
            assert len(newer.runs()) == (1 if table == "runs" else 2)
    counted = store.snapshot().count("predictions")
    assert counted == (4 if table == "counters" else 7)


def test_a_batch_of_long_ago_is_not_counted_again(store: Store) -> None:
    for batch in ("run 1", "run 2", "run 3", "run 1", "run 2"):
        store.record_predictions(["A"], [0.5], [0.9], model="m", seconds=1, batch=batch)
    assert store.snapshot().count("predictions") == 3


def test_a_claim_holds_once_for_all_processes(store: Store, url: str) -> None:
    other = Store(url)
    assert store.claim("drift_event", "2026-11-01")
    assert not other.claim("drift_event", "2026-11-01")
    assert other.claim("drift_event", "2026-11-02")
    other.close()


# Drift --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    return Baseline.fit(np.random.default_rng(1).beta(8, 2, 2000))


def predict(store: Store, n: int, mean: float, *, model: str = "m1", seed: int = 2) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.beta(10 * mean, 10 * (1 - mean), n)
    items = [f"{seed}-{i}" for i in range(n)]
    store.record_predictions(items, scores, np.full(n, 0.9), model=model, seconds=0.1)


def test_the_status_is_empty_before_the_first_evaluation(store: Store) -> None:
    status = store.drift_status()
    assert (status["drift_detected"], status["buffer_size"], status["should_retrain"]) == (
        False,
        0,
        False,
    )


def test_every_prediction_is_evaluated_once(store: Store, baseline: Baseline) -> None:
    predict(store, 300, 0.8)
    assert evaluate(store, "m1", baseline, day=TODAY)["buffer_size"] == 300
    assert evaluate(store, "m1", baseline, day=TODAY)["scores_seen"] == 300
    predict(store, 100, 0.8, seed=3)
    assert evaluate(store, "m1", baseline, day=TODAY)["scores_seen"] == 400


def test_five_drift_days_of_seven_advise_a_retraining(store: Store, baseline: Baseline) -> None:
    predict(store, 300, 0.7)
    advised = []
    for number in range(6):
        status = evaluate(store, "m1", baseline, day=TODAY + timedelta(days=number))
        assert status["drift_detected"] and status["kl_divergence"] < 1
        advised.append(status["should_retrain"])
    assert advised == [False] * 4 + [True] * 2


def test_a_kl_over_1_advises_a_retraining_at_once(store: Store, baseline: Baseline) -> None:
    predict(store, 300, 0.3)
    status = evaluate(store, "m1", baseline, day=TODAY)
    assert status["kl_divergence"] > 1 and status["severity"] == "severe"
    assert status["should_retrain"]


def test_the_days_last_evaluation_is_its_verdict(store: Store, baseline: Baseline) -> None:
    predict(store, 100, 0.6)
    assert evaluate(store, "m1", baseline, day=TODAY)["drift_days"] == 1
    predict(store, 1000, 0.8, seed=3)
    assert evaluate(store, "m1", baseline, day=TODAY)["drift_days"] == 0


def test_a_new_model_begins_without_drift_days(store: Store, baseline: Baseline) -> None:
    predict(store, 300, 0.5)
    assert evaluate(store, "m1", baseline, day=TODAY)["drift_days"] == 1
    predict(store, 20, 0.8, model="m2", seed=3)
    status = evaluate(store, "m2", baseline, day=TODAY + timedelta(days=1))
    assert (status["drift_days"], status["buffer_size"]) == (0, 20)


def use(store: Store, model: str) -> None:
    store.record_model(model, created_at=0.0, metrics={})


def test_a_model_that_comes_back_brings_its_window_and_its_drift_days(
    store: Store, baseline: Baseline
) -> None:
    use(store, "m1")
    predict(store, 300, 0.7)
    for number in range(3):
        known = evaluate(store, "m1", baseline, day=TODAY + timedelta(days=number))
    use(store, "m2")
    assert (store.drift_status()["drift_days"], store.drift_status()["buffer_size"]) == (0, 0)
    predict(store, 20, 0.8, model="m2", seed=3)
    evaluate(store, "m2", baseline, day=TODAY + timedelta(days=2))
    looked = store.drift_status()["evaluated_at"]
    use(store, "m1")
    assert store.drift_status() == known | {"evaluated_at": looked}
    assert looked > known["evaluated_at"]
    assert store.snapshot().facts["drift"]["drift_days"] == 3
    predict(store, 10, 0.7, seed=4)
    status = evaluate(store, "m1", baseline, day=TODAY + timedelta(days=3))
    assert (status["drift_days"], status["scores_seen"]) == (4, 310)
    use(store, "m2")
    assert store.drift_status()["scores_seen"] == 20


def test_on_the_day_of_a_switch_the_later_verdict_is_the_days(
    store: Store, baseline: Baseline
) -> None:
    predict(store, 300, 0.7)
    evaluate(store, "m1", baseline, day=TODAY)
    assert store.drift_summary(7, today=TODAY)["drift_count"] == 1
    use(store, "m2")
    predict(store, 300, 0.8, model="m2", seed=3)
    evaluate(store, "m2", baseline, day=TODAY)
    assert store.drift_summary(7, today=TODAY)["drift_count"] == 0
    use(store, "m1")
    evaluate(store, "m1", baseline, day=TODAY)
    (event,) = store.drift_summary(7, today=TODAY)["events"]
    assert event["model"] == "m1"


def test_each_day_that_was_evaluated_has_a_verdict_whether_it_was_a_drift_day_or_not(
    store: Store, baseline: Baseline
) -> None:
    predict(store, 300, 0.7)
    evaluate(store, "m1", baseline, day=TODAY - timedelta(days=1))
    use(store, "m2")
    predict(store, 300, 0.8, model="m2", seed=3)
    evaluate(store, "m2", baseline, day=TODAY)
    days = store.drift_verdicts(7, today=TODAY)
    assert [(one["model"], one["detected"]) for one in days] == [("m1", True), ("m2", False)]
    assert [one["model"] for one in store.drift_verdicts(1, today=TODAY)] == ["m2"]
    assert "detected" not in store.drift_summary(7, today=TODAY)["events"][0]


def test_a_reset_is_of_the_model_in_use_alone(store: Store, baseline: Baseline) -> None:
    for model in ("m2", "m1"):
        use(store, model)
        predict(store, 300, 0.7, model=model)
        evaluate(store, model, baseline, day=TODAY)
    for _ in range(2):
        store.reset_drift()
    assert evaluate(store, "m1", baseline, day=TODAY)["buffer_size"] == 0
    use(store, "m2")
    assert store.drift_status()["drift_days"] == 1


def test_the_window_of_a_model_of_long_ago_is_forgotten(store: Store, baseline: Baseline) -> None:
    for model in ("m1", "m2"):
        use(store, model)
        predict(store, 20, 0.8, model=model)
        evaluate(store, model, baseline, day=TODAY)
    store.prune(now=time.time() + 181 * 86400)
    assert store.detector("m1") is None and store.detector("m2") is not None


def test_a_detector_of_the_third_schema_goes_on(store: Store, baseline: Baseline) -> None:
    """In it one row was the detector and a day had one verdict, of whichever model."""
    predict(store, 300, 0.7)
    for number in range(2):
        known = evaluate(store, "m1", baseline, day=TODAY + timedelta(days=number))
    run = store.database.run
    run(
        "CREATE TABLE detector (id INTEGER PRIMARY KEY, model TEXT NOT NULL, epoch INTEGER"
        " NOT NULL, last_prediction BIGINT NOT NULL, state TEXT NOT NULL)"
    )
    run("INSERT INTO detector SELECT 1, model, epoch, last_prediction, state FROM detectors")
    run("CREATE TABLE verdicts AS SELECT * FROM drift_verdicts")
    run("DROP TABLE detectors")
    run("DROP TABLE drift_verdicts")
    store.set_fact("drift", {key: value for key, value in known.items() if key != "model"})
    store.set_fact("schema", 3)
    with closing(Store(store.url)) as newer:
        assert not newer.database.columns("detector") and not newer.database.columns("verdicts")
        use(newer, "m1")
        assert newer.drift_status()["drift_days"] == 2
        use(newer, "m2")
        assert newer.drift_status()["drift_days"] == 0
        use(newer, "m1")
        assert newer.drift_status()["drift_days"] == 2
        status = evaluate(newer, "m1", baseline, day=TODAY + timedelta(days=2))
        assert (status["drift_days"], status["scores_seen"]) == (3, 300)


def test_only_the_model_in_use_is_watched(store: Store, baseline: Baseline) -> None:
    predict(store, 300, 0.5, model="trial")
    assert evaluate(store, "m1", baseline, day=TODAY)["buffer_size"] == 0


def test_a_reset_forgets_the_window_and_what_waits(store: Store, baseline: Baseline) -> None:
    predict(store, 300, 0.5)
    evaluate(store, "m1", baseline, day=TODAY)
    predict(store, 50, 0.5, seed=3)
    store.reset_drift()
    assert not store.drift_status()["drift_detected"]
    status = evaluate(store, "m1", baseline, day=TODAY)
    assert (status["buffer_size"], status["drift_days"]) == (0, 0)


def test_a_reset_before_the_first_evaluation_is_no_error(store: Store) -> None:
    store.reset_drift()
    assert store.drift_summary(7, today=TODAY)["drift_count"] == 0


def test_the_summary_counts_days_of_the_period_only(store: Store, baseline: Baseline) -> None:
    predict(store, 300, 0.7)
    for number in (0, 1, 10):
        evaluate(store, "m1", baseline, day=TODAY + timedelta(days=number))
    summary = store.drift_summary(7, today=TODAY + timedelta(days=10))
    assert (summary["period_days"], summary["drift_count"]) == (7, 1)
    assert summary["events"][0]["day"] == "2026-11-11"
    assert summary["max_kl_divergence"] == summary["avg_kl_divergence"] > 0
    assert store.drift_summary(30, today=TODAY + timedelta(days=10))["drift_count"] == 3


def test_invalid_scores_are_counted_apart(store: Store, baseline: Baseline) -> None:
    scores = [0.8, math.nan, math.inf, -0.1, 1.5]
    store.record_predictions(list("ABCDE"), scores, [0.9] * 5, model="m1", seconds=0.1)
    status = evaluate(store, "m1", baseline, day=TODAY)
    assert status["scores_invalid"] == {"nan": 1, "infinite": 1, "out_of_range": 2}
    assert status["buffer_size"] == 1


# Opening ------------------------------------------------------------------------------------------


def test_a_reader_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreMissingError, match="the first retraining or prediction creates it"):
        Store(default_url(tmp_path), write=False)
    assert not list(tmp_path.iterdir())


def test_a_reader_of_an_empty_postgresql_says_that_nothing_was_recorded(
    postgresql: PostgreSQL,
) -> None:
    with pytest.raises(StoreMissingError):
        Store(postgresql.fresh("monitoring"), write=False).snapshot()


def test_a_reader_cannot_write(store: Store, url: str) -> None:
    reader = Store(url, write=False)
    with pytest.raises(StoreError, match=r"read-?only"):
        record(reader, 1)
    reader.close()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.write_bytes(b"no database" * 500), "not a database"),
        (lambda path: (path.unlink(), path.mkdir()), "unable to open|disk I/O error"),
    ],
)
def test_a_store_that_is_no_database_is_named(
    tmp_path: Path, damage: Callable[[Path], None], says: str
) -> None:
    Store(default_url(tmp_path)).close()
    damage(tmp_path / "store.db")
    for write in (True, False):
        with pytest.raises(StoreError, match=says) as caught:
            Store(default_url(tmp_path), write=write)
        assert str(tmp_path / "store.db") in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_store_of_a_newer_version_is_refused(store: Store, url: str) -> None:
    store.set_fact("schema", 99)
    with pytest.raises(StoreError, match="schema 99"):
        Store(url)


def test_a_read_only_folder_can_be_read(tmp_path: Path) -> None:
    """A WAL database needs a file beside it to be read; where none can be made, it is read as is.
    root may write everywhere, so the folder is taken from it by a file system that is full."""
    folder = tmp_path / "state"
    folder.mkdir()
    store = Store(default_url(folder))
    record(store, 3)
    store.close()
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "from routing_ml.store import Store\n"
        "print(Store(sys.argv[1], write=False).snapshot().count('predictions'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, default_url(folder)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.stdout.strip() == "3.0" or done.stdout.strip() == "3", done.stderr


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(StoreError) as caught:
        Store("postgresql://ml:s3cret@127.0.0.1:9/store")
    assert "postgresql://127.0.0.1:9/store" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_wrong_password_is_not_shown(postgresql: PostgreSQL) -> None:
    with pytest.raises(StoreError, match="password authentication failed") as caught:
        Store(postgresql.url.replace("s3cret", "other"))
    assert "other" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["mysql://x/y", "sqlite:///", "sqlite://x.db", "sqlite:///:memory:"]
)
def test_a_url_of_another_kind_is_a_setting_error(url: str) -> None:
    with pytest.raises(SettingError, match="ROUTING_ML_STORE_URL"):
        Store(url)


def test_a_folder_with_spaces_and_signs_can_hold_the_store(tmp_path: Path) -> None:
    folder = tmp_path / "a b%20?#ü"
    Store(default_url(folder)).close()
    assert (folder / "store.db").is_file()
    Store(default_url(folder), write=False).close()
    assert sqlite_path(default_url(folder)) == str(folder / "store.db")


def test_of_a_look_the_greatest_counts_are_kept_and_the_others_counted(tmp_path) -> None:
    with closing(Store(f"sqlite:///{tmp_path}/store.db")) as store:
        columns = [("units", "k", "items", f"C{n}", n) for n in range(600)]
        store.record_quality({"units": 1}, columns=columns, worse=0)
        found = store.fact("quality")
        assert len(found["columns"]) == 500 and found["columns"][0][-1] == 599
        assert found["left_out"] == {"quality_column_findings": 100}
        good = store.fact("quality_success")
        store.record_quality_run(succeeded=False)
        assert store.fact("quality") == found and store.fact("quality_success") == good
        assert store.fact("quality_run")["succeeded"] is False


def test_a_source_is_away_from_the_first_time_that_it_was_until_it_is_read(tmp_path) -> None:
    with closing(Store(f"sqlite:///{tmp_path}/store.db")) as store:
        assert store.source("default") == {}
        assert store.record_source_away("default", at=10) == 10
        assert store.record_source_away("default", at=20) == 10
        store.record_source_data("default", as_of=5)
        store.record_source_away("plant2", at=30)
        assert store.source("default") == {"away_since": 10, "as_of": 5}
        store.record_source_read("default", as_of=40)
        assert store.source("default") == {"away_since": None, "as_of": 40}
        assert store.record_source_away("default", at=50) == 50
        assert store.source("plant2") == {"away_since": 30}


def test_a_run_that_had_nothing_to_learn_is_counted_and_no_success(tmp_path) -> None:
    with closing(Store(f"sqlite:///{tmp_path}/store.db")) as store:
        store.record_run("r1", succeeded=True, seconds=1, ended_at=10)
        store.record_run("r2", succeeded=True, seconds=1, ended_at=20, learned=False)
        assert store.fact("last_run")["run"] == "r2"
        assert store.fact("last_success")["run"] == "r1"
        assert store.snapshot().labelled("runs") == {"success": 2}
