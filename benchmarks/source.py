"""What a source gives where a reader is easily wrong.

`--part overwritten`: a file that is overwritten in place all the time, read again and again: how
many datasets are of one state or of the other, refused, or of a state that never was; and the same
without the guard.
`--part twin`: a factory of 2,600 items whose numbers are Singles and Integers, beside columns of
awkward types, against the same factory with Doubles and Longs: how many values differ.
"""

import argparse
import json
import sys
import tempfile
import threading
from collections import Counter
from datetime import datetime
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from access_factories import marked, twins, write_columns  # noqa: E402

from routing_ml import dataset  # noqa: E402
from routing_ml.errors import InputError  # noqa: E402
from routing_ml.source import Columns, extract  # noqa: E402

AS_OF = datetime(2026, 11, 1)
PIECE_BYTES, PIECE_SECONDS = 1 << 16, 0.005
PAUSE_SECONDS = 1.0


def main() -> None:
    """Print the figures of one part, or of all, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("overwritten", "twin"))
    parser.add_argument("--reads", type=int, default=25, help="of the overwritten file")
    options = parser.parse_args()
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        if options.part in (None, "overwritten"):
            found["overwritten"] = overwritten(Path(folder), options.reads)
            with patch("routing_ml.source.extraction.read_settled", lambda _, read: read()):
                found["overwritten, not guarded"] = overwritten(Path(folder), options.reads)
        if options.part in (None, "twin"):
            found["twin"] = twin(Path(folder))
    print(json.dumps(found, indent=1))


def overwritten(folder: Path, reads: int) -> dict[str, int]:
    """Reads of a file that another thread overwrites, a piece at a time, with a pause between."""
    columns = Columns.load(write_columns(folder))
    path, contents, stop = folder / "f.accdb", [marked(1), marked(2)], threading.Event()
    path.write_bytes(contents[0])

    def write() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            content = contents[turn % 2]
            with path.open("r+b", buffering=0) as file:
                for start in range(0, len(content), PIECE_BYTES):
                    file.write(content[start : start + PIECE_BYTES])
                    stop.wait(PIECE_SECONDS)
            stop.wait(PAUSE_SECONDS)

    writer = threading.Thread(target=write)
    writer.start()
    found: Counter[str] = Counter()
    try:
        for turn in range(reads):
            try:
                out = folder / str(turn)
                extract(str(path), out, columns=columns, as_of=AS_OF)
            except InputError:
                found["refused"] += 1
            else:
                data = dataset.load(out)
                marks = {*data.items["SIZE"], *data.routings["RUN_TIME"]}
                found["of one state" if len(marks) == 1 else "of a state that never was"] += 1
    finally:
        stop.set()
        writer.join()
    return {"reads": reads, **found}


def twin(folder: Path) -> dict[str, object]:
    """Values that differ between a factory of awkward types and its plain twin."""
    columns = Columns.load(write_columns(folder))
    data, left_out = [], []
    for name, content in zip(("plain", "awkward"), twins(), strict=True):
        (folder / name).write_bytes(content)
        taken = extract(str(folder / name), folder / f"{name}.out", columns=columns, as_of=AS_OF)
        data.append(dataset.load(taken.path))
        left_out = sorted(taken.left_out)
    plain, awkward = data
    differ = sum(
        int((one[column].fillna("") != other[column].fillna("")).sum())
        for one, other in ((plain.items, awkward.items), (plain.routings, awkward.routings))
        for column in one.columns.drop(["JOB_NM", "RES_CD"], errors="ignore")
    )
    return {
        "items": len(plain.items),
        "routing rows": len(plain.routings),
        "values that differ": differ,
        "left out by name": left_out,
    }


if __name__ == "__main__":
    main()
