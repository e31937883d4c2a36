"""Keeps looks at the data as JSON, and finds the one that a later look is compared with."""

import json
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from routing_ml import files, modes
from routing_ml.errors import InputError
from routing_ml.quality.looking import Look

FORMAT = 1
A_WEEK = timedelta(days=6)
"""An earlier look is of last week when it is so much older: Mondays are seven days apart, and a
look by hand in between is not what Monday's is compared with."""

log = logging.getLogger(__name__)


def keep(folder: Path, run: str, look: Look, told: Mapping[str, Any]) -> Path:
    """Write a look into `folder` under the name of its run, with what is `told` of it; the file."""
    path = folder / f"{run}.json"
    facts = {
        "format": FORMAT,
        "run": run,
        "source": look.source,
        "asked": look.asked,
        "as_of": look.as_of.isoformat(),
        "rows": dict(look.rows),
        "nulls": {table: dict(columns) for table, columns in look.nulls.items()},
        "counts": [[*key, count] for key, count in look.counts.items()],
        "keys": look.findings["key"].tolist(),
        "told": dict(told),
    }
    with files.told_as(InputError, f"{path} cannot be written"):
        modes.make_folder(folder)
        files.remove_leftovers(folder, path.name)
        files.atomic_write(path, json.dumps(facts, ensure_ascii=False) + "\n")
    return path


def told(folder: Path, run: str) -> dict[str, Any]:
    """What was told of the look of a run; InputError where that cannot be read."""
    path = folder / f"{run}.json"
    with files.told_as(InputError, f"{path} cannot be read"):
        text = path.read_text(encoding="utf-8")
    try:
        return dict(json.loads(text)["told"])
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path} is no look at the data; look again") from None


def before(folder: Path, run: str, look: Look) -> Mapping[str, Any] | None:
    """The look that this one is to be compared with: of the same source by the same columns file,
    the newest of a week ago or more; where there is none, the newest before this one."""
    found = []
    for path in sorted(folder.glob("*.json")):
        if path.stem == run:
            continue  # this very run, tried once before
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            of = datetime.fromisoformat(kept["as_of"])
            same = (kept["format"], kept["source"], kept["asked"])
            if same == (FORMAT, look.source, look.asked) and of <= look.as_of:
                _require(kept)
                found.append((of, path.name, kept))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("look %s is passed over: %s", path.name, error)
    weekly = [one for one in found if one[0] <= look.as_of - A_WEEK]
    return max(weekly or found, key=lambda one: one[:2], default=(None, "", None))[2]


def _require(kept: Mapping[str, Any]) -> None:
    """ValueError, KeyError or TypeError where a look is not what `keep` writes."""
    if not all(isinstance(key, str) for key in kept["keys"]):
        raise ValueError("its keys are no texts")
    for kind, table, column, count in kept["counts"]:
        if not all(isinstance(name, str) for name in (kind, table, column)) or count < 0:
            raise ValueError("its counts are none")
    for columns in kept["nulls"].values():
        for share in columns.values():
            if not 0 <= share <= 1:
                raise ValueError("its shares are none")
