"""The drift detector: what it alarms at, what it counts, and that it can be put away and resumed.

How often and how soon it alarms is measured over many replications in benchmarks/drift.py; here a
smaller version of the same figures keeps it from getting worse unnoticed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special

from routing_ml.drift.baseline import BASELINE_FILE
from routing_ml.drift.detector import Baseline, DriftDetector
from routing_ml.errors import ModelError, SettingError

Scores = NDArray[np.float64]
SHAPES: dict[str, Callable[[np.random.Generator, int], Scores]] = {
    "beta": lambda rng, n: rng.beta(8, 2, n),
    "tenths": lambda rng, n: rng.binomial(10, 0.8, n) / 10,
    "spiky": lambda rng, n: np.where(rng.random(n) < 0.6, 1.0, rng.beta(8, 2, n)),
    "nearly all 1": lambda rng, n: np.where(rng.random(n) < 0.97, 1.0, rng.random(n)),
    "bimodal": lambda rng, n: np.where(rng.random(n) < 0.3, rng.beta(3, 9, n), rng.beta(12, 2, n)),
}


def usual(n: int, seed: int = 1) -> Scores:
    return np.random.default_rng(seed).beta(8, 2, n)


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    return Baseline.fit(usual(2000))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [20, 500, 2000])
def test_weeks_without_drift_rarely_alarm(shape: str, size: int) -> None:
    """60 weeks a cell: more than 6 alarms have a chance under 1e-4 at the promised 2 to 3 %."""
    alarms = 0
    for number in range(60):
        rng = np.random.default_rng([number, size])
        detector = DriftDetector(Baseline.fit(SHAPES[shape](rng, size)))
        detector.update_many(SHAPES[shape](rng, 1000))
        week = SHAPES[shape](rng, 1400).reshape(-1, 20)
        alarms += any(detector.update_many(hours).drift_detected for hours in week)
    assert alarms <= 6


@pytest.mark.parametrize(
    ("draw", "within"),
    [
        (lambda rng, n: rng.beta(7.5, 2.5, n), 130),
        (lambda rng, n: rng.beta(7, 3, n), 75),
        (lambda rng, n: rng.beta(6, 4, n), 45),
        (lambda rng, n: np.where(rng.random(n) < 0.1, rng.beta(2, 6, n), rng.beta(8, 2, n)), 300),
        (lambda rng, n: np.where(rng.random(n) < 0.3, rng.beta(2, 6, n), rng.beta(8, 2, n)), 90),
    ],
)
def test_drift_is_found_soon(
    draw: Callable[[np.random.Generator, int], Scores], within: int
) -> None:
    delays = []
    for number in range(25):
        rng = np.random.default_rng([number, 7])
        detector = DriftDetector(Baseline.fit(rng.beta(8, 2, 2000)))
        detector.update_many(rng.beta(8, 2, 1000))
        scores = draw(rng, 600)
        at = next(
            (n for n in range(5, 601, 5) if detector.update_many(scores[n - 5 : n]).drift_detected),
            601,
        )
        delays.append(at)
    assert np.median(delays) <= within


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, n: rng.beta(8.8, 1.2, n),
        lambda rng, n: rng.beta(4, 1, n),
        lambda rng, n: rng.beta(40, 10, n),
    ],
)
def test_rising_wider_and_narrower_scores_are_found_too(
    draw: Callable[[np.random.Generator, int], Scores], baseline: Baseline
) -> None:
    detector = DriftDetector(baseline).update_many(draw(np.random.default_rng(3), 1000))
    assert detector.drift_detected


def test_repeated_items_count_once(baseline: Baseline) -> None:
    """The same item scored five times each made 94 to 100 % of weeks alarm when it counted five
    times."""
    alarms = 0
    for number in range(40):
        scores = usual(280, seed=100 + number)
        detector = DriftDetector(baseline).update_many(usual(1000, seed=number))
        for item in range(280):
            for _ in range(5):
                alarm = detector.update(scores[item], item=f"I{item}").drift_detected
            if alarm:
                alarms += 1
                break
        assert detector.seen == 1280
    assert alarms <= 4


def test_an_item_counts_again_when_it_has_left_the_window(baseline: Baseline) -> None:
    detector = DriftDetector(baseline, window=100)
    detector.update(0.8, item="A")
    detector.update_many(np.full(99, 0.8), items=[f"I{i}" for i in range(99)])
    assert detector.update(0.7, item="A").status()["scores_seen"] == 100
    detector.update(0.8, item="B")
    assert detector.update(0.7, item="A").status()["scores_seen"] == 102


def test_scores_without_items_push_items_out_of_the_window(baseline: Baseline) -> None:
    detector = DriftDetector(baseline, window=100).update(0.8, item="A")
    detector.update_many(np.full(100, 0.8))
    assert detector.update(0.7, item="A").status()["scores_seen"] == 102


def test_what_is_no_score_is_counted_apart_and_changes_nothing(baseline: Baseline) -> None:
    detector = DriftDetector(baseline).update_many(usual(500, seed=2))
    before = detector.status()
    detector.update_many([np.nan, np.inf, -np.inf, -1e-9, 1.0001, np.nan], items=list("ABCDEF"))
    after = detector.status()
    assert after.pop("scores_invalid") == {"nan": 2, "infinite": 2, "out_of_range": 2}
    before.pop("scores_invalid")
    assert after == before
    assert detector.update(0.8, item="A").seen == 500 and detector.status()["scores_seen"] == 501


def test_scores_of_0_and_1_are_scores(baseline: Baseline) -> None:
    detector = DriftDetector(baseline).update_many([0.0, 1.0])
    assert detector.status()["scores_seen"] == 2


def test_a_score_that_differs_in_its_last_bits_falls_in_the_same_bin() -> None:
    """Discrete scores computed another way (.1 + .2) flipped bins and made every week alarm."""
    rng = np.random.default_rng(5)
    scores = rng.binomial(10, 0.8, 2000) / 10
    baseline = Baseline.fit(scores)
    noisy = rng.permutation(scores)[:1000]
    exact = DriftDetector(baseline).update_many(noisy)
    off = DriftDetector(baseline).update_many(
        np.clip(noisy + rng.choice([-1e-12, 1e-12], 1000), 0, 1)
    )
    assert off.p_value == exact.p_value
    assert off.kl_divergence == exact.kl_divergence
    both = Baseline.fit(np.where(rng.random(2000) < 0.5, scores, scores * (1 - 1e-15)))
    assert both.bin_counts.tolist() == baseline.bin_counts.tolist()


def test_the_kl_divergence_is_that_of_the_bins() -> None:
    rng = np.random.default_rng(6)
    base, window = rng.beta(8, 2, 2000), rng.beta(6, 4, 1000)
    detector = DriftDetector(Baseline.fit(base)).update_many(window)
    tenths = np.arange(200, 2000, 200)
    edges = (np.sort(base)[tenths - 1] + np.sort(base)[tenths]) / 2
    q = np.histogram(base, [0, *edges, 1])[0] + 0.5
    p = np.histogram(window, [0, *edges, 1])[0] + 0.5
    p, q = p / p.sum(), q / q.sum()
    assert detector.kl_divergence == pytest.approx(float((p * np.log(p / q)).sum()), rel=1e-9)


@pytest.mark.parametrize(
    ("share", "severity"),
    [
        (0.2, "normal"),
        (0.34, "minor"),
        (0.46, "significant"),
        (0.6, "significant"),
        (0.8, "severe"),
    ],
)
def test_severity_is_the_band_of_the_kl(share: float, severity: str, baseline: Baseline) -> None:
    scores = usual(1000, seed=8)
    scores[: int(1000 * share)] = 0.2
    detector = DriftDetector(baseline).update_many(scores)
    kl = detector.kl_divergence
    assert detector.severity == severity
    bands = {"normal": (0, 0.3), "minor": (0.3, 0.5), "significant": (0.5, 1), "severe": (1, 9)}
    least, under = bands[severity]
    assert least <= kl < under
    assert detector.status()["severity"] == severity


def test_few_scores_have_no_kl_and_no_alarm(baseline: Baseline) -> None:
    detector = DriftDetector(baseline)
    assert (detector.kl_divergence, detector.p_value, detector.drift_detected) == (0, 1, False)
    detector.update_many(np.full(10, 0.1))
    assert (detector.kl_divergence, detector.drift_detected) == (0, False)


def test_twenty_scores_unlike_any_before_alarm(baseline: Baseline) -> None:
    assert DriftDetector(baseline).update_many(np.full(20, 0.1)).drift_detected


def test_the_alarm_ends_when_the_window_has_moved_on(baseline: Baseline) -> None:
    detector = DriftDetector(baseline).update_many(usual(300, seed=9) - 0.3)
    assert detector.drift_detected
    assert not detector.update_many(usual(1000, seed=10)).drift_detected


@pytest.mark.parametrize("items", [False, True])
def test_one_by_one_in_batches_and_restored_are_the_same(items: bool, baseline: Baseline) -> None:
    scores = np.random.default_rng(11).beta(7.7, 2.3, 3700)
    names = [f"I{i % 2500}" for i in range(3700)] if items else [None] * 3700
    window = 400  # so that the rings are moved several times
    single, batches = (DriftDetector(baseline, window=window) for _ in range(2))
    for at in range(0, 3700, 37):
        part = slice(at, at + 37)
        for score, name in zip(scores[part].tolist(), names[part], strict=True):
            single.update(score, item=name)
        batches.update_many(scores[part], items=names[part] if items else None)
        state = json.loads(json.dumps(batches.state()))
        batches = DriftDetector.restore(baseline, state, window=window)
        assert batches.p_value == single.p_value
    whole = DriftDetector(baseline, window=window).update_many(
        scores, items=names if items else None
    )
    assert single.status() == batches.status() == whole.status()
    assert single.state() == batches.state() == whole.state()


@pytest.mark.parametrize("items", [False, True])
def test_with_days_one_by_one_in_batches_and_restored_are_the_same(
    items: bool, baseline: Baseline
) -> None:
    """Mondays are unlike the other days, so that alarms are taken back."""
    rng = np.random.default_rng(31)
    single, batches = DriftDetector(baseline), DriftDetector(baseline)
    taken_back = 0
    for number in range(40):
        day = date(2026, 1, 1) + timedelta(number)
        scores = rng.beta(6, 4, 60) if day.weekday() == 0 else rng.beta(8.4, 1.6, 60)
        names = [f"{number}-{k}" for k in range(60)] if items else [None] * 60
        for score, name in zip(scores.tolist(), names, strict=True):
            single.update(score, item=name, day=day)
        batches.update_many(scores, items=names if items else None, day=day)
        state = json.loads(json.dumps(batches.state()))
        assert len(json.dumps(state["days"])) < 10_000
        batches = DriftDetector.restore(baseline, state)
        assert batches.status() == single.status()
        assert batches.state() == single.state()
        kept = {name: state[name] for name in state if name not in ("score_days", "days")}
        without = DriftDetector.restore(baseline, kept)
        taken_back += without.drift_detected and not single.drift_detected
    assert taken_back


def test_scores_one_by_one_count_for_their_own_day(baseline: Baseline) -> None:
    detector = DriftDetector(baseline)
    for day, score in ((1, 0.8), (1, 0.7), (2, 0.9)):
        detector.update(score, day=date(2026, 11, day))
    found = {day: row[0] for day, row in detector.state()["days"].items()}
    assert found == {"2026-11-01": 2, "2026-11-02": 1}


def test_a_detector_saved_by_2_1_0_goes_on_and_learns_the_days(baseline: Baseline) -> None:
    kept = {
        "scores": usual(300, seed=27).tolist(),
        "items": [None] * 300,
        "seen": 300,
        "invalid": {"nan": 0, "infinite": 0, "out_of_range": 0},
        "last_at": None,
    }
    detector = DriftDetector.restore(baseline, kept)
    assert detector.status() == DriftDetector(baseline).update_many(kept["scores"]).status()
    detector.update_many(usual(5, seed=28), day=date(2026, 11, 2))
    state = detector.state()
    assert state["score_days"] == [[0, 300], [date(2026, 11, 2).toordinal(), 5]]
    assert list(state["days"]) == ["2026-11-02"]


def test_looking_between_steps_changes_nothing(baseline: Baseline) -> None:
    detector = DriftDetector(baseline)
    seen = set()
    for score in (usual(400, seed=12) * 0.97).tolist():
        seen.add(detector.update(score).p_value)
    assert 20 < len(seen) <= 40 + 1  # one look in ten scores


def test_reset_forgets_the_scores(baseline: Baseline) -> None:
    detector = DriftDetector(baseline).update_many(np.full(300, 0.2), items=list(range(300)))
    detector.update(np.nan).reset()
    assert detector.status() == DriftDetector(baseline).status()
    assert detector.update(0.8, item=5).status()["scores_seen"] == 1


def test_the_status_is_json_and_names_the_last_score(baseline: Baseline) -> None:
    at = datetime(2026, 11, 1, 2, tzinfo=UTC)
    status = DriftDetector(baseline).update_many(usual(1000, seed=13), at=at).status()
    assert json.loads(json.dumps(status, allow_nan=False)) == status
    assert status["last_score_at"] == "2026-11-01T02:00:00+00:00"
    assert status["buffer_size"] == 1000
    assert status["buffer_mean"] == pytest.approx(0.8, abs=0.02)


def test_the_threshold_is_where_the_kl_test_alarms() -> None:
    """Against the simulated distribution of the KL between two samples."""
    rng = np.random.default_rng(14)
    baseline = Baseline.fit(rng.beta(8, 2, 2000))
    threshold = DriftDetector(baseline, alpha=0.1).update_many(rng.beta(8, 2, 1000)).status()
    over = 0
    for _ in range(600):
        base = Baseline.fit(rng.beta(8, 2, 2000))
        over += (
            DriftDetector(base).update_many(rng.beta(8, 2, 1000)).kl_divergence
            > threshold["threshold"]
        )
    assert 4 <= over <= 24  # .1 times its share of .2: 12 expected


@pytest.mark.parametrize(("window", "alpha"), [(99, 5e-4), (1000, 0), (1000, 0.2), (-1, 5e-4)])
def test_a_window_or_level_that_cannot_be_is_refused(
    window: int, alpha: float, baseline: Baseline
) -> None:
    with pytest.raises(SettingError, match="it must be"):
        DriftDetector(baseline, window=window, alpha=alpha)


@pytest.mark.parametrize("window", [100, 150, 450, 3000])
def test_every_window_finds_drift(window: int, baseline: Baseline) -> None:
    detector = DriftDetector(baseline, window=window)
    assert not detector.update_many(usual(2 * window, seed=15)).drift_detected
    assert detector.update_many(usual(window, seed=16) * 0.7).drift_detected
    assert detector.status()["buffer_size"] == window


def test_unequal_items_and_scores_are_refused(baseline: Baseline) -> None:
    with pytest.raises(ValueError, match="2 scores but 1 items"):
        DriftDetector(baseline).update_many([0.5, 0.6], items=["A"])


# The baseline -------------------------------------------------------------------------------------


def test_a_saved_baseline_says_the_same(tmp_path: Path, baseline: Baseline) -> None:
    assert baseline.save(tmp_path) == tmp_path / BASELINE_FILE
    loaded = Baseline.load(tmp_path)
    scores = usual(1000, seed=17)
    again = DriftDetector(loaded).update_many(scores)
    assert again.status() == DriftDetector(baseline).update_many(scores).status()


def test_too_few_scores_are_refused() -> None:
    with pytest.raises(ModelError, match="14 valid scores"):
        Baseline.fit([*usual(14), np.nan, 2.0])


def test_a_baseline_leaves_out_what_is_no_score() -> None:
    fitted = Baseline.fit([*usual(100), np.nan, np.inf, -1, 2])
    assert (fitted.size, fitted.left_out) == (100, 4)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:50],
        lambda text: "[]",
        lambda text: text.replace('"counts": [0, ', '"counts": [0, -1, '),
        lambda text: text.replace('"edges"', '"edge"'),
        lambda text: text.replace('"dispersion": 1.0', '"dispersion": 0.5'),
        lambda text: text.replace('"dispersion": 1.0', '"dispersion": NaN'),
        lambda text: text.replace('"bins": [', '"bins": [999, '),
        lambda text: text.replace('"edges": [', '"edges": [0.99, ').replace(
            ", 10, ", ", 5, 5, ", 1
        ),
    ],
)
def test_a_damaged_baseline_is_refused(
    tmp_path: Path, baseline: Baseline, damage: Callable[[str], str]
) -> None:
    path = baseline.save(tmp_path / "b.json")
    path.write_text(damage(path.read_text()))
    with pytest.raises(ModelError, match=r"b\.json"):
        Baseline.load(path)


def test_equal_scores_make_a_baseline_that_sees_lower_ones() -> None:
    detector = DriftDetector(Baseline.fit(np.full(200, 0.7)))
    assert not detector.update_many(np.full(1000, 0.7)).drift_detected
    assert detector.update_many(np.full(100, 0.6)).drift_detected


def test_a_heavy_value_has_a_bin_of_its_own() -> None:
    scores = np.concatenate([np.full(130, 0.8), usual(870, seed=18)])
    fitted = Baseline.fit(scores)
    assert 130 in fitted.bin_counts.tolist()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.floats(0, 1), min_size=50, max_size=300),
    st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=300),
)
def test_any_scores_give_a_sound_status(base: list[float], scores: list[float]) -> None:
    fitted = Baseline.fit(base)
    assert fitted.counts.sum() == len(base) and fitted.bin_counts.sum() == len(base)
    assert np.all(np.diff(fitted.edges) > 0)
    status = DriftDetector(fitted).update_many(scores).update_many(base).status()
    assert 0 <= status["p_value"] <= 1 and status["kl_divergence"] >= 0
    assert status["scores_seen"] + sum(status["scores_invalid"].values()) == len(scores) + len(base)


# Families of items that are entered together


def in_families(rng: np.random.Generator, n: int) -> Scores:
    shared = np.repeat(rng.normal(size=n), rng.geometric(1 / 3, n))[:n]
    return special.betaincinv(8, 2, special.ndtr(0.9 * shared + 0.436 * rng.normal(size=n)))


def test_families_that_score_alike_rarely_alarm() -> None:
    """Taken as independent, nearly every week alarmed."""
    alarms = {True: 0, False: 0}
    for number in range(30):
        for in_order in alarms:
            rng = np.random.default_rng([number, 21])
            detector = DriftDetector(Baseline.fit(in_families(rng, 1000), in_order=in_order))
            detector.update_many(in_families(rng, 1000))
            week = in_families(rng, 1400).reshape(-1, 20)
            alarms[in_order] += any(detector.update_many(s).drift_detected for s in week)
    assert alarms[True] <= 3
    assert alarms[False] >= 20


def test_a_few_families_have_no_kl_that_could_ask_for_a_retraining() -> None:
    """Sixty items of four families made a third of first looks advise one, without an alarm."""
    rng = np.random.default_rng(24)
    families = np.repeat(rng.beta(8, 2, 140), 15)
    baseline = Baseline.fit(families, in_order=True)
    assert baseline.dispersion > 10
    for _ in range(20):
        detector = DriftDetector(baseline).update_many(np.repeat(rng.beta(8, 2, 4), 15))
        assert detector.kl_divergence == 0 and not detector.drift_detected


def test_the_dispersion_is_that_of_the_families_and_1_without() -> None:
    rng = np.random.default_rng(22)
    families = in_families(rng, 4000)
    found = Baseline.fit(families, in_order=True).dispersion
    # of geometric sizes of mean 3: 1 + .81 * E[m (m - 1)] / E[m] = 1 + .81 * 4
    assert 4 < found < 6
    assert Baseline.fit(families).dispersion == 1
    shuffled = [Baseline.fit(usual(1000, seed), in_order=True).dispersion for seed in range(20)]
    assert shuffled.count(1.0) >= 14 and max(shuffled) < 1.6
    assert Baseline.fit(np.full(100, 0.5), in_order=True).dispersion == 1


def test_families_of_two_kinds_in_turn_are_seen() -> None:
    rng = np.random.default_rng(25)
    kinds = np.stack([in_families(rng, 2000), in_families(rng, 2000)], axis=1).ravel()
    assert 3 < Baseline.fit(kinds, in_order=True).dispersion < 7


def test_a_full_window_has_a_kl_whatever_the_families() -> None:
    rng = np.random.default_rng(26)
    baseline = Baseline.fit(np.repeat(rng.beta(8, 2, 70), 30), in_order=True)
    assert baseline.dispersion > 20
    assert DriftDetector(baseline).update_many(rng.uniform(0, 0.05, 1000)).severity == "severe"


def test_families_of_something_new_are_still_found() -> None:
    rng = np.random.default_rng(23)
    detector = DriftDetector(Baseline.fit(in_families(rng, 2000), in_order=True))
    detector.update_many(in_families(rng, 1000))
    assert detector.update_many(in_families(rng, 200) * 0.8).drift_detected
