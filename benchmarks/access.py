"""What the reader of Access files makes of awkward and of damaged files, of each type; its speed.

    python benchmarks/access.py [--part files|types|mutated|speed] [--data FOLDER]
        [--count 2000] [--source FILE.accdb]

`files` reads each awkward file: the right value, or the column left out by name. `types` compares
a column of each type of Access in six formats value by value. `mutated` flips bytes of them, swaps
pages and cuts them off; each is read in this process, within a limit of time. A byte of a value
that is flipped is another value: nothing in the format guards it. `speed` reads all tables of a
file and has `mdb-export` write them, in turn, so that a machine's changing speed hits both.
"""

import argparse
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from routing_ml.errors import InputError
from routing_ml.source.access import AccessFile

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import access_files as known  # noqa: E402

SAMPLE = ROOT / "sample" / "factory_sample.accdb"
LIMIT_S = 20
OUTCOMES = ("refused", "accepted equal", "accepted altered", "crashed", "hung")


def main() -> None:
    parts = {"files": files, "types": types, "mutated": mutated, "speed": speed}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--part", choices=parts, help="default: all of them, one after another")
    parser.add_argument("--data", type=Path, default=known.DATA, help="the folder of the files")
    parser.add_argument("--source", type=Path, default=SAMPLE, help="the file to time")
    parser.add_argument("--count", type=int, default=2000, help="mutated files (default 2000)")
    parser.add_argument("--runs", type=int, default=7, help="pairs of runs (default 7)")
    options = parser.parse_args()
    for part in [options.part] if options.part else parts:
        print(f"## {part}")
        parts[part](options)


def files(options: argparse.Namespace) -> None:
    """Each awkward file: what is right, and whether it is what is read."""
    for name, table, column, right in known.RIGHT:
        try:
            found = [row[column] for row in known.rows(known.unpacked(name, options.data), table)]
            told = "right" if found == right else f"WRONG: {short(found)}"
        except InputError as error:
            told = str(error)
        print(f"{name:26} {table + '.' + column:19} {told:6} {short(right)}")
    for name, _ in known.LEFT_OUT:
        with AccessFile(known.unpacked(name, options.data)) as file:
            for column in file.columns("items"):
                if column.kind is None:
                    told = f"left out: {column.type_name}, {column.why}"
                    print(f"{Path(name).name:26} {'items.' + column.name:19} {told}")


def types(options: argparse.Namespace) -> None:
    """Each format: values compared, those that differ, columns that are left out."""
    print(f"{'file':24} {'format':18} {'values':>7} {'differ':>7}  left out by name")
    for name in known.EVERY_TYPE:
        path = known.unpacked(f"every_type/{name}", options.data)
        values = differ = 0
        for table, right in known.every_type(name, options.data).items():
            found = known.rows(path, table)
            for expected, row in zip(right, found, strict=True):
                values += len(expected)
                differ += sum(row[key] != value for key, value in expected.items())
        with AccessFile(path) as file:
            out = [c.name for t in file.objects() for c in file.columns(t) if c.kind is None]
            print(f"{name:24} {file.format_name:18} {values:7} {differ:7}  {', '.join(out)}")


def mutated(options: argparse.Namespace) -> None:
    """What became of damaged files, by the kind of damage."""
    names = sorted({name for name, *_ in known.RIGHT})
    names += [f"every_type/{name}" for name in known.EVERY_TYPE]
    paths = [known.unpacked(name, options.data) for name in names]
    whole = {path: (path.read_bytes(), content(path)) for path in paths}
    kinds: dict[str, Callable[[bytearray, random.Random], None]] = {
        "a byte flipped": lambda data, rng: flip(data, rng, 1),
        "100 bytes flipped": lambda data, rng: flip(data, rng, 100),
        "two pages swapped": swap,
        "cut at a page": lambda data, rng: cut(data, rng, page_of(data)),
        "cut anywhere": lambda data, rng: cut(data, rng, 1),
    }
    counts: Counter[tuple[str, str]] = Counter()
    slowest = 0.0
    signal.signal(signal.SIGALRM, stop)
    with tempfile.TemporaryDirectory() as folder:
        damaged = Path(folder, "damaged.accdb")
        for seed in range(options.count):
            rng = random.Random(seed)
            path, kind = rng.choice(paths), list(kinds)[seed % len(kinds)]
            data = bytearray(whole[path][0])
            kinds[kind](data, rng)
            damaged.write_bytes(data)
            started = time.perf_counter()
            outcome = read(damaged, whole[path][1])
            slowest = max(slowest, time.perf_counter() - started)
            counts[kind, outcome] += 1
    print(f"{'':18}" + "".join(f"{outcome:>18}" for outcome in OUTCOMES))
    for kind in [*kinds, "all"]:
        numbers = [
            sum(n for (k, o), n in counts.items() if kind in (k, "all") and o == outcome)
            for outcome in OUTCOMES
        ]
        print(f"{kind:18}" + "".join(f"{number:18,}" for number in numbers))
    print(f"the slowest took {slowest:.2f} s")


def speed(options: argparse.Namespace) -> None:
    """The ratio of the time that reading all tables takes to that of `mdb-export`."""
    with AccessFile(options.source) as file:
        tables = [name for name, kind in file.objects().items() if kind == "table"]
    exports = [["mdb-export", str(options.source), table] for table in tables]
    count(options.source)
    ours, theirs = [], []
    for _ in range(options.runs):
        started = time.perf_counter()
        found = count(options.source)
        between = time.perf_counter()
        for command in exports:
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        ours.append(between - started)
        theirs.append(time.perf_counter() - between)
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    print(
        f"{found:,} rows: read in {statistics.median(ours):.2f} s, mdb-export "
        f"{statistics.median(theirs):.2f} s, ratio {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f})"
    )


def count(path: Path) -> int:
    """The rows of all tables, all their columns read."""
    rows = 0
    with AccessFile(path) as file:
        for table, kind in file.objects().items():
            if kind == "table":
                names = [column.name for column in file.columns(table) if column.kind]
                rows += sum(len(batch) for batch in file.batches(table, names))
    return rows


def content(path: Path) -> dict[str, list[str]]:
    """The rows of all tables, sorted: pages that changed places hold the same rows."""
    return {name: sorted(map(str, rows)) for name, rows in known.everything(path).items()}


def read(path: Path, right: dict[str, list[str]]) -> str:
    """One of OUTCOMES."""
    signal.alarm(LIMIT_S)
    try:
        return "accepted equal" if content(path) == right else "accepted altered"
    except InputError as error:
        return "refused" if "\n" not in str(error) else "crashed"
    except TimeoutError:
        return "hung"
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
        return "crashed"
    finally:
        signal.alarm(0)


def flip(data: bytearray, rng: random.Random, count: int) -> None:
    for _ in range(count):
        data[rng.randrange(len(data))] ^= rng.randrange(1, 256)


def swap(data: bytearray, rng: random.Random) -> None:
    page = page_of(data)
    a, b = (page * number for number in rng.sample(range(len(data) // page), 2))
    data[a : a + page], data[b : b + page] = data[b : b + page], data[a : a + page]


def cut(data: bytearray, rng: random.Random, step: int) -> None:
    del data[rng.randrange(step, len(data), step) :]


def page_of(data: bytearray) -> int:
    return 2048 if data[20] == 0 else 4096


def stop(_: int, __: FrameType | None) -> None:
    raise TimeoutError


def short(values: list[Any]) -> str:
    """Values as they are printed: at most three, and of a long text its ends and its length."""
    told = []
    for value in values[:3]:
        long = isinstance(value, str) and len(value) > 30
        told.append(f"{value[:2]}…{value[-1]} ({len(value):,})" if long else str(value))
    more = f", … ({len(values):,})" if len(values) > 3 else ""
    return ", ".join(told).replace("\0", "\\0") + more


if __name__ == "__main__":
    main()
