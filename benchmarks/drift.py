"""How often the drift detector alarms without drift, how soon with it, and how fast it is.

    python benchmarks/drift.py [--replications 400] [--part PART] [--source FILE]

Every replication draws a baseline of its own, fills a window with scores like it, and then lives
through days of 200 scores with a look an hour. `anchors` runs other detectors on the same scores:
Kolmogorov-Smirnov, the first version's KL, and river's ADWIN and Evidently where they are
installed (`pip install river evidently`). `line` leaves one PART_TYPE of a factory out of training
and lets it be 30 % of what comes in, scored by the real model, at 200 items a day and at 5.
`families` enters items in families that score alike, as factories do.
`history` retrains at 20 moments of a factory's history and watches the items that really came next.
`calendar` lets a line come only on Mondays, or on two days a month (see drift_calendar.py); exit 1
where more than 5 % of weeks alarm.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

from routing_ml.drift import Baseline, DriftDetector

Scores = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Scores]
SAMPLE = Path(__file__).resolve().parent.parent / "sample" / "factory_sample.accdb"
LINES = 6
A_DAY = 200
WEEK = 7 * A_DAY
HOURLY = np.diff(np.round(np.arange(0, 24 * 14 + 1) * A_DAY / 24).astype(int))


class Watch(Protocol):
    """What is measured: takes scores in, tells whether it alarms."""

    def look(self, scores: Scores) -> bool: ...


class Ours:
    """The project's detector, with an hour's scores at a time."""

    def __init__(self, baseline: Scores, *, in_order: bool = False) -> None:
        self.detector = DriftDetector(Baseline.fit(baseline, in_order=in_order))

    def look(self, scores: Scores) -> bool:
        return self.detector.update_many(scores).drift_detected


class OneByOne(Ours):
    """The same, looked at after every score."""

    def look(self, scores: Scores) -> bool:
        return any(self.detector.update(score).drift_detected for score in scores.tolist())


class Window:
    """Keeps the last 1,000 scores for detectors that look at a sample."""

    def __init__(self, baseline: Scores) -> None:
        self.baseline, self.scores = np.sort(baseline), np.empty(0)

    def look(self, scores: Scores) -> bool:
        self.scores = np.concatenate([self.scores, scores])[-1000:]
        return self.alarms()

    def alarms(self) -> bool:
        raise NotImplementedError


class KolmogorovSmirnov(Window):
    """p < .05, two samples, asymptotic."""

    def alarms(self) -> bool:
        both = np.concatenate([self.baseline, self.scores])
        low = np.searchsorted(self.baseline, both, side="right") / len(self.baseline)
        high = np.searchsorted(np.sort(self.scores), both, side="right") / len(self.scores)
        n = len(self.baseline) * len(self.scores) / len(both)
        return bool(special.kolmogorov(np.abs(low - high).max() * math.sqrt(n)) < 0.05)


class FirstVersion(Window):
    """KL over 50 bins of the joint range, 1e-10 where a bin is empty, above .5."""

    def alarms(self) -> bool:
        low = min(self.baseline[0], self.scores.min())
        high = max(self.baseline[-1], self.scores.max())
        p, _ = np.histogram(self.scores, 50, (low, high))
        q, _ = np.histogram(self.baseline, 50, (low, high))
        shares, expected = p / p.sum() + 1e-10, q / q.sum() + 1e-10
        return bool((shares * np.log(shares / expected)).sum() > 0.5)


class Adwin:
    """river's ADWIN with its defaults, fed the baseline first."""

    def __init__(self, baseline: Scores) -> None:
        from river.drift import ADWIN

        self.adwin = ADWIN()
        for score in baseline.tolist():
            self.adwin.update(score)

    def look(self, scores: Scores) -> bool:
        found = False
        for score in scores.tolist():
            self.adwin.update(score)
            found |= self.adwin.drift_detected
        return found


class Evidently(Window):
    """Evidently's default for a numeric column of this size."""

    def alarms(self) -> bool:
        import pandas as pd
        from evidently import Report
        from evidently.metrics import ValueDrift

        report = Report([ValueDrift(column="score")])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = report.run(
                pd.DataFrame({"score": self.scores}), pd.DataFrame({"score": self.baseline})
            ).dict()["metrics"][0]
        method = str(result["config"].get("method") or result["metric_name"])
        distance = "p_value" not in method
        limit = float(result["config"].get("threshold") or (0.1 if distance else 0.05))
        value = float(result["value"])
        return value >= limit if distance else value < limit


def beta(a: float, b: float) -> Draw:
    return lambda rng, n: rng.beta(a, b, n)


def mixed(share: float, other: Draw, most: Draw) -> Draw:
    return lambda rng, n: np.where(rng.random(n) < share, other(rng, n), most(rng, n))


def tenths(rng: np.random.Generator, n: int) -> Scores:
    return rng.binomial(10, 0.8, n) / 10


def fixed(value: float) -> Draw:
    return lambda rng, n: np.full(n, value)


USUAL = beta(8, 2)
SHAPES: dict[str, Draw] = {
    "Beta(8, 2)": USUAL,
    "Beta(2, 2)": beta(2, 2),
    "tenths (binomial)": tenths,
    "tenths (rounded)": lambda rng, n: np.round(USUAL(rng, n), 1),
    "60 % at 1.0": mixed(0.6, fixed(1.0), USUAL),
    "three spikes": mixed(0.4, fixed(1.0), mixed(0.4, fixed(0.9), mixed(0.3, fixed(0.75), USUAL))),
    "bimodal": mixed(0.3, beta(3, 9), beta(12, 2)),
}
SIZES = (50, 500, 1000, 2000, 10_000)


def lower_mean(shift: float) -> Draw:
    return beta(10 * (0.8 - shift), 10 * (0.2 + shift))


def moved(shift: float) -> Draw:
    return lambda rng, n: np.clip(USUAL(rng, n) - shift, 0, 1)


DRIFTS: dict[str, tuple[Draw, int | None]] = {
    "mean -.02 (Beta(7.8, 2.2))": (lower_mean(0.02), 450),
    "mean -.05": (lower_mean(0.05), 130),
    "mean -.10": (lower_mean(0.1), 75),
    "mean -.20": (lower_mean(0.2), 45),
    "all scores -.02": (moved(0.02), 450),
    "all scores -.05": (moved(0.05), 130),
    "all scores -.10": (moved(0.1), 75),
    "all scores -.20": (moved(0.2), 45),
    "10 % at Beta(2, 6)": (mixed(0.1, beta(2, 6), USUAL), 300),
    "30 % at Beta(2, 6)": (mixed(0.3, beta(2, 6), USUAL), 90),
    "mean +.05 (Beta(8.5, 1.5))": (lower_mean(-0.05), None),
    "wider (Beta(4, 1))": (beta(4, 1), None),
}


def first_alarm(watch: Watch, scores: Scores, steps: Iterable[int]) -> float:
    """Scores until the first look that alarms; infinite when none does."""
    at = 0
    for step in steps:
        part = scores[at : at + step]
        if not len(part):
            break
        at += len(part)
        if watch.look(part):
            return at
    return math.inf


def replicate(
    make: Callable[[Scores], Watch],
    before: Draw,
    after: Draw,
    *,
    size: int,
    days: int,
    replications: int,
    filled: bool = True,
    seed: int = 1,
) -> NDArray[np.float64]:
    """The first alarm of each replication, in scores after the change."""
    found = []
    for number in range(replications):
        rng = np.random.default_rng([seed, number])
        watch = make(before(rng, size))
        if filled:
            watch.look(before(rng, 1000))
        found.append(first_alarm(watch, after(rng, days * A_DAY), HOURLY))
    return np.array(found)


def alarms(replications: int) -> None:
    """False alarms in 7 days without drift."""
    print(
        f"\nFalse alarms per 7 days without drift, {replications} replications a cell (at most 5 %)"
    )
    print(f"{'scores':24}" + "".join(f"{'baseline ' + str(size):>15}" for size in SIZES))
    worst = 0.0
    for name, draw in SHAPES.items():
        cells = []
        for size in SIZES:
            hits = replicate(Ours, draw, draw, size=size, days=7, replications=replications)
            cells.append(float(np.isfinite(hits).mean()))
        worst = max(worst, *cells)
        print(f"{name:24}" + "".join(f"{cell:15.1%}" for cell in cells), flush=True)
    print(f"worst cell {worst:.1%}")
    share = partial(
        replicate, before=USUAL, after=USUAL, size=2000, days=7, replications=replications
    )
    one, fresh = share(OneByOne), share(Ours, filled=False)
    print(f"looked at after every score: {np.isfinite(one).mean():.1%}", end="; ")
    print(f"from an empty window: {np.isfinite(fresh).mean():.1%}")


def delays(replications: int, make: Callable[[Scores], Watch] = Ours) -> None:
    """Scores until the alarm, from a full window and from an empty one."""
    print(f"\nMedian delay in scores, Beta(8, 2), baseline 2,000, {replications} replications")
    print(f"{'drift':28}{'at most':>8}{'delay':>8}{'in 7 days':>11}{'empty window':>14}")
    for name, (draw, most) in DRIFTS.items():
        run = partial(replicate, make, USUAL, draw, size=2000, days=14, replications=replications)
        hits, fresh = run(), run(filled=False)
        week = float((hits <= WEEK).mean())
        print(
            f"{name:28}{most or '':>8}{np.median(hits):8.0f}{week:11.0%}{np.median(fresh):14.0f}",
            flush=True,
        )


def repeated(replications: int) -> None:
    """Each item scored five times over, its name given."""
    hits = 0
    for number in range(replications):
        rng = np.random.default_rng([5, number])
        detector = DriftDetector(Baseline.fit(USUAL(rng, 2000)))
        scores = np.repeat(USUAL(rng, 480), 5)
        names = [f"item {place}" for place in np.repeat(np.arange(480), 5)]
        at, alarm = 0, False
        for step in HOURLY[:168] * 1:
            part = slice(at, at + step)
            at += step
            alarm |= detector.update_many(scores[part], items=names[part]).drift_detected
        hits += alarm
    print(f"\nEach item scored five times, named: {hits / replications:.1%} of weeks alarm (≤ 5 %)")


def families(replications: int) -> None:
    """Families of items entered together, geometric in size, their normal scores correlated."""
    sizes = (100, 300, 500, 1000, 2000)
    print(f"\nFalse alarms per 7 days, families entered together, {replications} replications")
    print(f"{'mean size, correlation':24}" + "".join(f"{'baseline ' + str(s):>15}" for s in sizes)
          + "   2,000, taken as independent")  # fmt: skip
    for size, alike in (
        (1, 0.0),
        (2, 0.5),
        (2, 0.9),
        (3, 0.5),
        (3, 0.8),
        (3, 0.9),
        (5, 0.9),
        (10, 0.9),
    ):
        draw = partial(in_families, size, alike)
        cells = []
        for known, in_order in (*((n, True) for n in sizes), (2000, False)):
            make = partial(Ours, in_order=in_order)
            hits = replicate(make, draw, draw, size=known, days=7, replications=replications)
            cells.append(float(np.isfinite(hits).mean()))
        print(f"{size}, {alike:<21}" + "".join(f"{cell:15.1%}" for cell in cells), flush=True)
    cells = []
    for known in sizes:
        make = partial(Ours, in_order=True)
        draw = partial(in_turn, 3, 0.8)
        hits = replicate(make, draw, draw, size=known, days=7, replications=replications)
        cells.append(float(np.isfinite(hits).mean()))
    print(f"{'3, 0.8, two in turn':24}" + "".join(f"{cell:15.1%}" for cell in cells))


def in_turn(size: float, alike: float, rng: np.random.Generator, n: int) -> Scores:
    """Two kinds of items, entered one by one in turn."""
    kinds = [in_families(size, alike, rng, n) for _ in range(2)]
    return np.stack(kinds, axis=1).ravel()[:n]


def in_families(size: float, alike: float, rng: np.random.Generator, n: int) -> Scores:
    """Beta(8, 2) scores of items in families of that mean size and correlation."""
    members = rng.geometric(1 / size, n)
    shared = np.repeat(rng.normal(size=n), members)[:n]
    mixed_in = math.sqrt(alike) * shared + math.sqrt(1 - alike) * rng.normal(size=n)
    scores: Scores = special.betaincinv(8, 2, special.ndtr(mixed_in))
    return scores


def speed() -> None:
    """Scores a second, the alarm read after every batch or score."""
    rng = np.random.default_rng(3)
    detector = DriftDetector(Baseline.fit(USUAL(rng, 2000)))
    scores = USUAL(rng, 400_000)
    print("\nThroughput, scores a second")
    for batch in (200, 1000, 10_000):
        start = time.perf_counter()
        for at in range(0, len(scores), batch):
            _ = detector.update_many(scores[at : at + batch]).drift_detected
        print(f"  batches of {batch:6,}, read each: {rate(scores, start)}")
    single = scores.tolist()
    start = time.perf_counter()
    for score in single:
        detector.update(score)
    _ = detector.drift_detected
    print(f"  one by one, read at the end:  {rate(scores, start)}")
    start = time.perf_counter()
    for score in single:
        _ = detector.update(score).drift_detected
    print(f"  one by one, read each time:   {rate(scores, start)}")


def rate(scores: Scores, start: float) -> str:
    return f"{len(scores) / (time.perf_counter() - start):12,.0f}"


def anchors(replications: int) -> None:
    """Other detectors on the same scores: false alarms, power in 7 days / median delay."""
    chosen = ["mean -.02 (Beta(7.8, 2.2))", "mean -.05", "mean -.10", "mean -.20"]
    chosen += ["10 % at Beta(2, 6)", "30 % at Beta(2, 6)"]
    makers: list[tuple[str, Callable[[Scores], Watch], int]] = [
        ("this detector", Ours, replications),
        ("Kolmogorov-Smirnov p < .05", KolmogorovSmirnov, replications),
        ("first version's KL", FirstVersion, replications),
        ("river ADWIN", Adwin, max(replications // 4, 1)),
        ("Evidently's default", Evidently, max(replications // 25, 1)),
    ]
    print("\nAnchors, baseline 2,000: false alarms a week (Beta / tenths), power in 7 days / delay")
    heads = ("no drift", "tenths", "-.02", "-.05", "-.10", "-.20", "10 % low", "30 % low")
    print(f"{'':28}" + "".join(f"{head:>11}" for head in heads) + "   replications")
    for name, make, times in makers:
        try:
            make(np.linspace(0, 1, 100)).look(np.linspace(0, 1, 100))
        except ImportError:
            print(f"{name:28}  not installed")
            continue
        run = partial(replicate, make, size=2000, days=7, replications=times)
        cells = [
            f"{np.isfinite(run(USUAL, USUAL)).mean():.1%}",
            f"{np.isfinite(run(tenths, tenths)).mean():.1%}",
        ]
        for drift in chosen:
            hits = run(USUAL, DRIFTS[drift][0])
            delay = float(np.median(hits))
            shown = f"{delay:.0f}" if math.isfinite(delay) else "-"
            cells.append(f"{np.isfinite(hits).mean():.2f}/{shown}")
        print(f"{name:28}" + "".join(f"{cell:>11}" for cell in cells) + f"{times:>9}", flush=True)


def line(replications: int, source: str) -> None:
    """A new product line through the real model; the factory's own item order first."""
    print("\nA new product line, one PART_TYPE left out of training, as 30 % of the items")
    print(f"{'left out':16}{'baseline':>9}{'own order':>11}{'200 a day, 7 days':>20}"
          f"{'5 a day, 14 days':>20}{'5 a day, without':>18}")  # fmt: skip
    for name, base, later, new in scored(source):
        pool = np.concatenate([base, later])
        own = Ours(base, in_order=True)
        alarm = any(own.look(later[at : at + 10]) for at in range(0, len(later), 10))
        drift = mixed(0.3, partial(redrawn, new), partial(redrawn, pool))
        usual = partial(redrawn, pool)
        run = partial(replicate, Ours, usual, replications=replications, size=len(base))
        week = run(drift, days=7)
        slow = [first_small(usual, drift, len(base), number, 14) for number in range(replications)]
        none = [first_small(usual, usual, len(base), number, 7) for number in range(replications)]
        print(
            f"{name:16}{len(base):9}{'ALARM' if alarm else 'quiet':>11}"
            f"{np.isfinite(week).mean():12.0%} /{np.median(week):6.0f}"
            f"{np.isfinite(slow).mean():12.0%} /{np.median(slow):6.0f}"
            f"{np.isfinite(none).mean():18.1%}",
            flush=True,
        )
    print(
        "found / median delay in scores; at least .95 and .9; without the line at most 5 % a week"
    )


def first_small(before: Draw, after: Draw, size: int, number: int, days: int) -> float:
    """The first alarm at 5 scores a day, looked at once a day, from a full window."""
    rng = np.random.default_rng([9, number])
    watch = Ours(before(rng, size))
    watch.look(before(rng, 1000))
    return first_alarm(watch, after(rng, 5 * days), [5] * days)


def redrawn(scores: Scores, rng: np.random.Generator, n: int) -> Scores:
    return rng.choice(scores, n)


def scored(source: str) -> Iterator[tuple[str, Scores, Scores, Scores]]:
    """(PART_TYPE left out, baseline, later items, the type's items): similarities as a retraining
    on the oldest 85 % of the other items makes them; the baseline is of the newest of those."""
    data, items, newest = read(source)
    kinds = items["PART_TYPE"].str.strip().str.upper()
    for kind in kinds.value_counts().index[:LINES]:
        rest = items[kinds != kind]
        old, later = rest.iloc[: int(0.85 * len(rest))], rest.iloc[int(0.85 * len(rest)) :]
        base, *scores = scores_of(data, newest, old, later, items[kinds == kind])
        yield str(kind), base, scores[0], scores[1]


def history(source: str) -> None:
    """Alarms on the items that came next, which no drift was put into."""
    data, items, newest = read(source)
    alarms, distances, moments = [], [], np.linspace(0.4, 0.95, 20)
    for share in moments:
        end = int(share * len(items))
        old, later = items.iloc[:end], items.iloc[end : end + min(WEEK, int(0.1 * len(items)))]
        base, after = scores_of(data, newest, old, later)
        watch = Ours(base, in_order=True)
        alarms.append(any(watch.look(after[at : at + 10]) for at in range(0, len(after), 10)))
        error = math.sqrt(base.var() / len(base) + after.var() / len(after))
        distances.append((after.mean() - base.mean()) / error)
    print(
        f"\nThe items that really came next, after {len(moments)} retrainings: {sum(alarms)} "
        f"alarms; their mean score is {np.mean(distances):+.2f} standard errors off the baseline's"
    )


def scores_of(data: Any, newest: Any, old: Any, *parts: Any) -> list[Scores]:
    """The baseline of a model fitted on the items `old`, and its scores of other items."""
    from routing_ml import dataset, models

    rows = newest[newest["ITEM_CD"].isin(old["ITEM_CD"])]
    model = models.fit("nearest", old, rows, attributes=data.attributes)
    _, held_out = dataset.split(old, rows)
    asked = old[old["ITEM_CD"].isin(held_out)]
    proposals = [model.predict(part).drop_duplicates("ITEM_CD") for part in parts]
    found = [proposal["SIMILARITY_SCORE"].to_numpy() for proposal in proposals]
    return [model.similarities(asked, dataset.entered(old, rows)), *found]


def read(source: str) -> tuple[Any, Any, Any]:
    """A factory's dataset, its items with a routing, oldest first, and their newest routings."""
    from routing_ml import dataset
    from routing_ml.source import Columns
    from routing_ml.source import extraction as extract

    with tempfile.TemporaryDirectory() as folder:
        extract.extract(
            source, Path(folder), columns=Columns.load(None), as_of=datetime(2100, 1, 1)
        )
        data = dataset.load(Path(folder))
    newest = dataset.newest_routings(data.routings)
    items = data.items[data.items["ITEM_CD"].isin(newest["ITEM_CD"])]
    return data, items.sort_values(["INSRT_DT", "ITEM_CD"]), newest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--replications", type=int, default=400)
    parts = (
        "alarms",
        "delays",
        "repeated",
        "families",
        "line",
        "history",
        "speed",
        "anchors",
        "calendar",
    )
    parser.add_argument("--part", choices=parts, action="append")
    parser.add_argument("--source", default=str(SAMPLE), help="for line and history: the factory")
    options = parser.parse_args()
    start, kept = time.perf_counter(), True
    for part in options.part or parts:
        if part == "speed":
            speed()
        elif part == "delays":
            delays(max(options.replications // 2, 1))
        elif part == "line":
            line(max(options.replications // 2, 1), options.source)
        elif part == "history":
            history(options.source)
        elif part == "families":
            families(max(options.replications // 2, 1))
        elif part == "anchors":
            anchors(max(options.replications // 4, 1))
        elif part == "calendar":
            from drift_calendar import calendar

            kept = calendar(options.replications)
        else:
            {"alarms": alarms, "repeated": repeated}[part](options.replications)
    print(f"\n{time.perf_counter() - start:.0f} s")
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
