"""What is known of planners' minutes by machine and job, and bets that they have moved."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from routing_ml.drift.centres import Centres
from routing_ml.drift.minutes import Minutes
from routing_ml.drift.spread import BETS, CLIP, Spread, Units


def drawn(
    count: int, seed: int, *, family: int = 1, shared: float = 0.0, widths: tuple[float, ...]
) -> tuple[NDArray[np.float64], list[str], list[str]]:
    """Log ratios with a machine of each width, and their machines and families."""
    random = np.random.default_rng(seed)
    at = random.integers(len(widths), size=count)
    of = np.arange(count) // family
    both = random.normal(0, shared, (int(of[-1]) + 1, len(widths)))
    values = random.normal(0, np.array(widths)[at]) + both[of, at]
    return values, [f"M{k}" for k in at], [f"F{k}" for k in of]


def fitted(count: int = 600, seed: int = 1, **what: object) -> Spread:
    spread = Spread.fit(*drawn(count, seed, **{"widths": (0.15,) * 4, **what}))  # type: ignore[arg-type]
    assert spread is not None
    return spread


def growth(spread: Spread, seed: int, **what: object) -> NDArray[np.float64]:
    """The mean factor of each bet that times rose, of other items of the same factory."""
    values, machines, families = drawn(4000, seed, **{"widths": (0.15,) * 4, **what})  # type: ignore[arg-type]
    number = np.unique(families, return_inverse=True)[1]
    units = spread.units(machines, number, values)
    table = np.array(list(spread.places.values()))
    return np.exp(spread.logs(units, table[:, 0], table[:, 1])[0]).mean(axis=0)


@pytest.mark.parametrize(
    "what",
    [
        {},
        {"family": 5},
        {"family": 5, "shared": 0.1},
        {"family": 5, "widths": (0.05, 0.1, 0.2, 0.4)},
    ],
    ids=str,
)
def test_bets_on_times_that_did_not_move_do_not_grow(what: dict[str, object]) -> None:
    assert (growth(fitted(**what), 2, **what) <= 1.0).all()


def test_bets_on_times_that_rose_grow() -> None:
    spread = fitted()
    values, machines, families = drawn(4000, 3, widths=(0.15,) * 4)
    number = np.unique(families, return_inverse=True)[1]
    table = np.array(list(spread.places.values()))
    units = spread.units(machines, number, values + 0.14)
    rising, falling = spread.logs(units, table[:, 0], table[:, 1])
    assert rising.mean(axis=0).max() > 0.15
    assert falling.mean(axis=0).max() < 0


def test_what_a_family_has_in_common_is_told_from_what_each_item_has() -> None:
    spread = fitted(6000, family=5, shared=0.1)
    assert np.sqrt(spread.shared) == pytest.approx(0.1, rel=0.1)
    assert np.sqrt(spread.own) == pytest.approx(0.15, rel=0.1)
    alone = fitted(6000, family=5)
    assert np.sqrt(alone.shared) < 0.03


def test_a_machine_of_wide_times_has_a_wide_scale() -> None:
    spread = fitted(2000, widths=(0.05, 0.05, 0.05, 0.4))
    scales = {place: scale for place, (_, _, scale) in spread.places.items()}
    assert scales["M3"] > 3 * scales["M0"]


def test_a_place_of_fewer_than_eight_families_is_not_known() -> None:
    values = np.arange(23) / 100
    places = ["A"] * 15 + ["B"] * 8
    families = [f"F{k}" for k in range(7)] * 2 + ["F0"] + [f"G{k}" for k in range(8)]
    spread = Spread.fit(values, places, families)
    assert spread is not None and list(spread.places) == ["B"]
    assert Spread.fit(values[:15], places[:15], families[:15]) is None


def test_times_that_never_differ_are_known_as_well() -> None:
    spread = Spread.fit(np.zeros(50), ["A"] * 50, [f"F{k}" for k in range(50)])
    assert spread is not None and np.isfinite(spread.logs(
        Units(np.zeros(1, int), np.zeros(1, int), np.zeros(1), np.ones(1, int)),
        np.zeros(1), np.full(1, 0.01),
    )).all()  # fmt: skip


def test_units_are_means_of_a_place_and_family() -> None:
    spread = fitted()
    values = np.array([1.0, 3.0, 5.0, 7.0])
    units = spread.units(["M1", "M1", "M0", "other"], np.array([0, 0, 0, 1]), values)
    found = {
        (spread.names[place], family): (mean, count)
        for place, family, mean, count in zip(*(part.tolist() for part in units), strict=True)
    }
    assert found == {("M1", 0): (2.0, 2), ("M0", 0): (5.0, 1)}


def test_no_unit_counts_more_than_three_standard_deviations() -> None:
    spread = fitted()
    units = spread.units(["M1"], np.array([0]), np.array([1e6]))
    rising, _ = spread.logs(units, np.zeros(4), np.full(4, 0.01))
    assert rising[0] == pytest.approx(np.array(BETS) * CLIP - np.log(spread.rising))


def test_another_mix_of_machines_moves_nothing_over_all() -> None:
    random = np.random.default_rng(5)
    machines = ["A", "B"] * 200
    values = random.normal(0, 0.1, 400) + np.array([-0.5, 0.5] * 200)
    families = [f"F{k}" for k in range(400)]
    minutes = Minutes.fit(values, machines, ["J"] * 400, families)
    assert minutes is not None
    only_b = minutes.units(values[1::2], machines[1::2], ["J"] * 200, np.arange(200))
    assert abs(only_b["all"].means.mean()) < 0.05 < 0.3 < only_b["job"].means.mean()


def test_an_operation_without_a_machine_is_of_no_machine() -> None:
    values = np.random.default_rng(6).normal(0, 0.1, 60)
    minutes = Minutes.fit(values, [""] * 60, ["J"] * 60, [f"F{k}" for k in range(60)])
    assert minutes is not None and set(minutes.scopes) == {"job", "all"}


def test_one_wild_time_is_clipped() -> None:
    values = np.random.default_rng(7).normal(0, 0.1, 100)
    wild = np.append(values[:-1], 50.0)
    families = [f"F{k}" for k in range(100)]
    for given in (values, wild):
        minutes = Minutes.fit(given, ["M"] * 100, ["J"] * 100, families)
        assert minutes is not None and minutes.high < 6
    units = minutes.units(np.array([50.0]), ["M"], ["J"], np.array([0]))
    assert units["machine"].means[0] == minutes.high


@pytest.mark.filterwarnings("error")
def test_few_times_are_not_known() -> None:
    assert Minutes.fit(np.zeros(0), [], [], []) is None
    assert Minutes.fit(np.zeros(7), ["M"] * 7, ["J"] * 7, [f"F{k}" for k in range(7)]) is None
    assert Minutes.fit(np.zeros(9), ["M"] * 9, ["J"] * 9, ["F"] * 9) is None


def test_centres_move_to_what_is_learned_by_its_precision() -> None:
    values = np.random.default_rng(8).normal(0, 0.1, 100)
    minutes = Minutes.fit(values, ["M"] * 100, ["J"] * 100, [f"F{k}" for k in range(100)])
    assert minutes is not None
    centres = Centres({"run": minutes})
    mean, error = (part[0] for part in centres.of("run machine"))
    precision = error**-2
    centres.learn({"run machine": {"M": [9, 9.0, precision, precision * 1.0]}, "items": {}})
    later, sharper = (part[0] for part in centres.of("run machine"))
    assert later == pytest.approx((mean + 1.0) / 2)
    assert sharper == pytest.approx(error / np.sqrt(2))
    again = Centres({"run": minutes})
    again.restore(centres.state())
    assert again.state() == centres.state()
