"""What the sample's last 24 months would have been: retrained monthly, on drift, both, or never.

    python benchmarks/replay.py [--policies A,B] [--candidates A,B] [--source FILE] [--from M]
        [--months N] [--replications N] [--at-once N] [--plot FILE] [--minutes N]

Prints a row a policy: what was judged, how right it was, the retrainings, new models and alarms,
the time it took, wall and processor; and draws all of them into docs/images/replay_sample.svg
(another file with --plot). With --at-once so many are played side by side, each slower for it. A
replay is deterministic: --replications plays each policy so often and
says whether all were equal. The exit code is 1 when they were not, or when one took longer than
--minutes (15).
"""

import argparse
import resource
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from routing_ml.pipeline import POLICIES, Play, draw, play
from routing_ml.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "sample" / "factory_sample.accdb"
HEADS = (
    *("retrained", "judged", "exactly right", "stated", "retrainings", "new models"),
    *("alarms: items, routings", "replaced by judged items", "seconds", "of processors"),
)
WORDS = {
    "monthly": "retrained monthly",
    "drift": "retrained on drift",
    "both": "retrained monthly and on drift",
    "never": "never retrained",
}


def processors() -> float:
    """Seconds of processor time that this process and its children have taken, also those of the
    forkserver, which waits for them itself."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    alive = [one.cpu_times() for one in psutil.Process().children()]
    return sum(one.ru_utime + one.ru_stime for one in used) + sum(
        one.user + one.system + one.children_user + one.children_system for one in alive
    )


def once(options: argparse.Namespace, policy: str) -> tuple[dict[str, Any], float]:
    """One replay, and the processor time that it took."""
    year, month = map(int, options.first.split("-"))
    candidates = options.candidates.split(",") if options.candidates else None
    plan = Play(date(year, month, 1), options.months, policy, candidates=candidates)
    with tempfile.TemporaryDirectory(prefix="routing-ml-replay-") as folder:
        given = {"ROUTING_ML_HOME": f"{folder}/none", "ROUTING_ML_SOURCE": str(options.source)}
        began = processors()
        found = play(Settings.from_env(given), plan, out=Path(folder) / "played", say=told)
        return found, processors() - began


def told(line: str) -> None:
    print(f"  {line}", file=sys.stderr, flush=True)


def row(policy: str, found: dict[str, Any], seconds: float) -> str:
    total = found["total"]
    kinds = [alarm["kind"] for alarm in total["alarms"]]
    low, high = (f"{100 * total[key]:.1f}" for key in ("low", "high"))
    cells = (
        WORDS[policy],
        f"{total['items']:,}",
        f"{total['exact'] or 0:.1%} ({low} to {high})",
        f"{total['confidence'] or 0:.1%}",
        len(total["retrainings"]),
        sum(one["promoted"] for one in total["retrainings"]),
        f"{kinds.count('items')}, {kinds.count('routings')}",
        len(total["replaced"]),
        f"{found['seconds']:.0f}",
        f"{seconds:.0f}",
    )
    return f"| {' | '.join(map(str, cells))} |"


def figures(found: dict[str, Any]) -> Any:
    """What two replays must have in common."""
    names = ("month", "items", "exact", "low", "high", "confidence", "model", "method", "alarms")
    return [{name: month[name] for name in names} for month in found["months"]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--policies", default="monthly,drift,never", help=", ".join(POLICIES))
    parser.add_argument("--candidates", help="default: all")
    parser.add_argument("--source", type=Path, default=SAMPLE, metavar="FILE")
    parser.add_argument("--from", dest="first", default="2024-11", metavar="M")
    parser.add_argument("--months", type=int, default=24)
    parser.add_argument("--replications", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=1)
    plot = ROOT / "docs" / "images" / "replay_sample.svg"
    parser.add_argument("--plot", type=Path, default=plot, metavar="FILE")
    parser.add_argument("--minutes", type=float, default=15.0, help="a replay may take")
    options = parser.parse_args()
    shown, missed = {}, []
    options.plot.parent.mkdir(parents=True, exist_ok=True)
    print(f"| {' | '.join(HEADS)} |\n{'|---' * len(HEADS)}|", flush=True)
    policies = options.policies.split(",")
    with ProcessPoolExecutor(options.at_once) as pool:
        all_played = {
            policy: [pool.submit(once, options, policy) for _ in range(options.replications)]
            for policy in policies
        }
        for policy, futures in all_played.items():
            played = [future.result() for future in futures]
            found, seconds = played[0]
            shown[policy] = found["months"]
            panels = {words: shown[name] for name, words in WORDS.items() if name in shown}
            options.plot.write_text(draw(panels), encoding="utf-8")
            print(row(policy, found, seconds), flush=True)
            if any(figures(other) != figures(found) for other, _ in played):
                missed.append(f"{policy} was not the same twice")
            if (longest := max(one["seconds"] for one, _ in played)) > 60 * options.minutes:
                missed.append(f"{policy} took {longest:.0f} s")
    print("\n".join(missed) or f"the plot: {options.plot}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
