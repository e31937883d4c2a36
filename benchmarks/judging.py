"""How long a day's judging takes, and a scrape, with millions of proposals in the store.

    python benchmarks/judging.py [--proposals 10000000] [--judged 1000000] [--days 730] [--new 1000]

Trains a model on the sample as of a day, and fills its monitoring store with proposals of four
versions for items that never get a routing, and with judged ones of so many days, a version a
month; then lets planners write the routings of `--new` proposals at once, and judges. Beside it
the same on a store with a thousand of each. Exits with 1 when a day's judging takes longer than
10 s, or a scrape over 1.5 times as long as with the small store.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from routing_ml import pipeline
from routing_ml.judging.judgement import week_of
from routing_ml.proposals import predict
from routing_ml.settings import Settings
from routing_ml.source import Columns
from routing_ml.store import Judged, Proposed
from routing_ml.store.store import Store

AS_OF, NOW = datetime(2026, 6, 1), datetime(2026, 11, 20, 12)
MOST_SECONDS, MOST_TIMES = 10.0, 1.5
VERSIONS = 4
AT_ONCE = 100_000
OPERATIONS = '[[10,"CUT","M1",10,1.5,1.2,1.9,0.9],[20,"TURN","M2",20,2.5,2.2,2.9,0.8]]'


def fill(settings: Settings, proposals: int, judged: int, days: int) -> None:
    """Put proposals that nothing judges, and judged ones, into the store."""
    at = settings.seconds(NOW)

    def waiting(k: int) -> Proposed:
        model = f"model_2025010{k % VERSIONS + 1}_000000"
        return Proposed(f"W{k // VERSIONS}", model, "forest", 0, at, 0.9, 0.0, OPERATIONS)

    def done(k: int) -> Judged:
        moment = NOW - timedelta(days=days * (judged - k) / judged)
        day = moment.date().isoformat()
        model = f"model_{moment:%Y%m}01_000000"
        return Judged(
            f"J{k}", model, "forest", 1, at, at, day, week_of(day), f"{day} {k // 3}", 1, 0,
            f"KIND {k % 12}", (k % 10) / 10, 0.0, int(k % 7 > 0), 1, 5, 0, 0, 0.1, 0.1, 4, 5, 5,
        )  # fmt: skip

    with closing(Store(settings.store_url)) as store:
        for some in parts(proposals):
            with store.transaction():
                store.keep_proposals(map(waiting, some))
        for some in parts(judged):
            store.record_judged([done(k) for k in some])


def parts(count: int) -> Iterator[range]:
    """The numbers up to `count`, some at a time."""
    for start in range(0, count, AT_ONCE):
        yield range(start, min(start + AT_ONCE, count))


def measured(
    home: Path, *, proposals: int, judged: int, days: int, new: int
) -> tuple[float, float]:
    """Seconds of a day's judging, and milliseconds of a scrape's reading."""
    settings = Settings.from_env({"ROUTING_ML_HOME": str(home)})
    pipeline.retrain(settings, as_of=AS_OF, limit=4_000, candidates=["forest"])
    version = pipeline.registry(settings).active()
    assert version is not None
    fill(settings, proposals, judged, days)
    data = predict.read_source(settings.origin(), Columns.load(None), NOW, results=True)
    routed = data.routings["ITEM_CD"].unique().tolist()[:new]
    theirs = data.routings["ITEM_CD"].isin(routed)  # written today, after they were proposed
    entered = data.routings["INSRT_DT"].mask(theirs, NOW - timedelta(hours=1))
    data = replace(data, routings=data.routings.assign(INSRT_DT=entered))
    with closing(Store(settings.store_url)) as store, store.transaction():
        store.keep_proposals(
            Proposed(code, version.name, "forest", 1, settings.seconds(AS_OF), 0.9, 0.0, OPERATIONS)
            for code in routed
        )
    started = time.perf_counter()
    found = pipeline.judge_data(settings, data, as_of=NOW)
    seconds = time.perf_counter() - started
    assert found["items"] == len(routed), found
    reads = []
    with closing(Store(settings.store_url, write=False)) as store:
        for _ in range(200):
            began = time.perf_counter()
            store.snapshot()
            reads.append(time.perf_counter() - began)
    return seconds, 1000 * statistics.median(reads)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--proposals", type=int, default=10_000_000)
    parser.add_argument("--judged", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=730)
    parser.add_argument("--new", type=int, default=1_000)
    options = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, proposals, judged in (
            ("small", 1_000, 1_000),
            ("full", options.proposals, options.judged),
        ):
            home = Path(folder) / name
            home.mkdir()
            figures[name] = measured(
                home, proposals=proposals, judged=judged, days=options.days, new=options.new
            )
            seconds, scrape = figures[name]
            print(
                f"{proposals:>12,} proposals, {judged:>9,} judged: {options.new:,} judged in "
                f"{seconds:.2f} s (at most {MOST_SECONDS:g}), a scrape reads {scrape:.2f} ms",
                flush=True,
            )
    times = figures["full"][1] / figures["small"][1]
    print(f"a scrape takes {times:.2f} times as long (at most {MOST_TIMES:g})")
    return int(figures["full"][0] > MOST_SECONDS or times > MOST_TIMES)


if __name__ == "__main__":
    sys.exit(main())
