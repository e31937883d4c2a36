"""Writes proposals as files: Parquet for programs, Excel and CSV for people, JSON for both."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from routing_ml import files
from routing_ml.errors import InputError


def save(proposals: pd.DataFrame, path: Path) -> Path:
    """Write proposals as Parquet, CSV or JSON, by the path's ending; nothing half-written."""
    writers: dict[str, Callable[[Path], object]] = {
        ".parquet": lambda to: proposals.to_parquet(to, index=False),
        ".csv": lambda to: proposals.to_csv(to, index=False, encoding="utf-8-sig"),
        ".json": lambda to: proposals.to_json(to, orient="records", force_ascii=False, indent=1),
    }
    if path.suffix.lower() not in writers:
        raise InputError(f"{path} is no .parquet, .csv or .json file; choose such a name")
    with files.told_as(InputError, f"{path} cannot be written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.atomic_path(path) as temporary:
            writers[path.suffix.lower()](temporary)
    return path


def default_path(home: Path) -> Path:
    """Where proposals go when no file is named."""
    return home / "proposals" / f"proposals_{datetime.now(UTC):%Y%m%d_%H%M%S_%f}.parquet"
