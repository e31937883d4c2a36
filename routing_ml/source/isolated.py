"""Reads an ODBC source in a process of its own: a driver that crashes takes only that one with it.

`python -m routing_ml.source.isolated` is that process: the order comes as JSON on standard input,
what happens goes as lines of JSON to standard output.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import routing_ml
from routing_ml.errors import InputError, SourceAwayError, SourceError, SourceMissingError
from routing_ml.redaction import named
from routing_ml.settings import Origin
from routing_ml.source import copying
from routing_ml.source.columns import Columns
from routing_ml.source.named import Attributes, Table, Times
from routing_ml.source.reading import Progress

KINDS = {
    kind.__name__: kind for kind in (SourceMissingError, SourceAwayError, SourceError, InputError)
}
"""What the child may raise, the most special first."""


def copy(
    origin: Origin, out: Path, columns: Columns, as_of: datetime, limit: int, progress: Progress
) -> dict[str, Any]:
    """`copying.copy` in a child process; the manifest.

    Raises what it raises, and SourceError where the child ended without a word.
    """
    order = {
        "origin": [origin.source, origin.given_by, origin.zone.key],
        "out": str(out.absolute()),
        "columns": asdict(columns),
        "as_of": as_of.isoformat(),
        "limit": limit,
    }
    package = str(Path(routing_ml.__file__).parent.parent)
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
        text=True,
        encoding="utf-8",
    )
    assert child.stdin is not None and child.stdout is not None
    try:
        with suppress(BrokenPipeError):  # it ended already: that is told below
            child.stdin.write(json.dumps(order))
            child.stdin.close()
        for line in child.stdout:
            said = json.loads(line)
            if "progress" in said:
                progress(*said["progress"])
            elif "error" in said:
                raise KINDS[said["kind"]](said["error"])
            else:
                return said["manifest"]
        raise SourceError(_last_words(child.wait(), origin))
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
        shutil.rmtree(out / f".extract-{child.pid}", ignore_errors=True)


def _last_words(code: int, origin: Origin) -> str:
    try:
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    except ValueError:
        how = f"signal {-code}"
    return (
        f"{named(origin.source)}: the process that read it ended without a word ({how}): its ODBC "
        "driver crashed; update the driver, or leave the column that it stumbles over out with a "
        "query in the columns file"
    )


def _columns(given: dict[str, Any]) -> Columns:
    """The inverse of `dataclasses.asdict`, of JSON."""

    def table(of: dict[str, Any] | None) -> Table | None:
        if of is None:
            return None
        parts = {name: tuple(columns) for name, columns in of["parts"].items()}
        lists = {name: tuple(of[name]) for name in ("required", "ignore", "active")}
        return Table(**{**of, "parts": parts, **lists, "times": Times(**of["times"])})

    items, routings = table(given["items"]), table(given["routings"])
    assert items is not None and routings is not None
    attributes = Attributes(tuple(given["attributes"]["text"]), given["attributes"]["units"])
    return Columns(items, routings, table(given["results"]), attributes, tuple(given["accept"]))


def main() -> None:
    """Carry out one order."""
    order = json.load(sys.stdin)
    # The driver may print what it likes: the answer has a descriptor of its own.
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(**what: Any) -> None:
        print(json.dumps(what), file=answer, flush=True)

    source, given_by, zone = order["origin"]
    try:
        manifest = copying.copy(
            Origin(source, given_by, ZoneInfo(zone)),
            Path(order["out"]),
            _columns(order["columns"]),
            datetime.fromisoformat(order["as_of"]),
            order["limit"],
            lambda table, rows: say(progress=[table, rows]),
        )
    except InputError as error:
        say(error=str(error), kind=next(n for n, kind in KINDS.items() if isinstance(error, kind)))
    else:
        say(manifest=manifest)


if __name__ == "__main__":
    main()
