"""What the pages read, kept in memory until the file that it came from is another: the versions,
the items of the newest dataset, the reasons of proposals.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from routing_ml import clock, dataset, pipeline
from routing_ml.errors import InputError, ModelError
from routing_ml.proposals import predict
from routing_ml.registry import Version
from routing_ml.settings import DEFAULT_SOURCE, Settings
from routing_ml.source import Columns

Found = TypeVar("Found")
NAMES = re.compile(r"(?i)name|(?:^|_)nm(?:_|$)|desc|bezeich|libell|denomin|spec|品|명$|규격")
"""Columns that people know an item by, beside the free texts of the columns file."""
KEPT_READINGS = 4
FRESH_SECONDS = 3_600
JUST_READ_SECONDS = 20
KEPT_EXPLANATIONS = 256


class Kept:
    """The last few results, by what they depend on; for several threads."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, Lock()
        self._found: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Found]) -> Found:
        """What `make` returned for this key. Two that ask for it at once may both make it."""
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
                return self._found[key]
        found = make()
        with self._lock:
            self._found[key] = found
            while len(self._found) > self._most:
                self._found.popitem(last=False)
        return found


_VERSIONS = Kept(1_000)
_KNOWN = Kept(KEPT_READINGS)
_JSON = Kept(64)
EXPLANATIONS = Kept(KEPT_EXPLANATIONS)
_FRESH: dict[Path, tuple[float, Known]] = {}
_READING = Lock()


def version_of(settings: Settings, name: str) -> Version:
    """A version, its manifest read once; ModelError where there is none, or it is damaged."""
    found = _read_version(settings, name)
    if isinstance(found, ModelError):
        raise found
    return found


def versions(settings: Settings) -> tuple[list[Version], dict[str, str]]:
    """The versions that can be read, newest first, and why the others cannot be."""
    folder = settings.home / "models"
    whole: list[Version] = []
    damaged: dict[str, str] = {}
    for name in sorted((path.name for path in folder.glob("model_*")), reverse=True):
        found = _read_version(settings, name)
        if isinstance(found, Version):
            whole.append(found)
        else:
            damaged[name] = str(found)
    return whole, damaged


def in_use(settings: Settings) -> Version:
    """The version in use; ModelError where there is none."""
    active = pipeline.registry(settings).active()
    if active is None:
        raise ModelError("no model is in use yet: trigger routing_ml_retrain")
    return active


def _read_version(settings: Settings, name: str) -> Version | ModelError:
    def read() -> Version | ModelError:
        try:
            return pipeline.registry(settings).get(name)
        except ModelError as error:
            return error

    state = _state(settings.home / "models" / name / "manifest.json")
    return read() if state is None else _VERSIONS.get((settings.home, name, state), read)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a file, {} where there is none or it is no object."""

    def read() -> dict[str, Any]:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    state = _state(path)
    return {} if state is None else _JSON.get((path, state), read)


def taken(kind: type[Found], row: Mapping[str, Any]) -> Found:
    """A dataclass of that kind with what a row of such a file has of it, None of what it lacks."""
    return kind(**{name: row.get(name) for name in kind.__dataclass_fields__})  # type: ignore


def known(settings: Settings) -> Known:
    """The items and routings of the newest dataset, or as they were read from the source since;
    InputError where there is neither."""
    at, fresh = _FRESH.get(settings.home, (0.0, None))
    if clock.seconds() - at > FRESH_SECONDS:
        fresh = None
    found = [(path.stat().st_mtime_ns, path) for path in _manifests(settings)]
    if not found:
        if fresh is None:
            raise InputError("no dataset was extracted yet: trigger routing_ml_retrain")
        return fresh
    _, path = max(found)
    last = _KNOWN.get((path, _state(path)), lambda: _read_known(path))
    return fresh if fresh is not None and fresh.as_of > last.as_of else last


def read_source(settings: Settings) -> Known:
    """Read items and routings from the default source as they are now, for an hour: of what was
    entered since the newest dataset there is nothing else. One at a time; who asks just afterwards
    gets that. RoutingError where it cannot be read, or is being read."""
    asked = clock.seconds() - JUST_READ_SECONDS
    # Nobody waits for another: they would hold the threads that Airflow's own calls need.
    if not _READING.acquire(blocking=False):
        raise InputError("the source is being read; ask again in a minute")
    try:
        at, fresh = _FRESH.get(settings.home, (0.0, None))
        if fresh is None or at < asked:
            columns = Columns.load(settings.columns.get(DEFAULT_SOURCE))
            now = settings.moment(None)
            data = predict.read_source(settings.origin(DEFAULT_SOURCE), columns, now)
            fresh = Known(data, dataset.newest_routings(data.routings), now)
            _FRESH[settings.home] = clock.seconds(), fresh
    finally:
        _READING.release()
    return fresh


def proposed(settings: Settings) -> Proposals | None:
    """The newest file of proposals, None before the first. An item that was entered after the
    newest dataset is in there alone."""
    files = (settings.home / "proposals").glob("*.parquet")
    found = [(path.stat().st_mtime_ns, path) for path in files if not path.name.startswith(".")]
    if not found:
        return None
    _, path = max(found)
    return _KNOWN.get((path, _state(path)), lambda: Proposals(first_routings(path)))


def first_routings(path: Path) -> Any:
    """The proposed routing of each item of a file of proposals, without the further ones."""
    import pandas as pd

    found = pd.read_parquet(path)
    return found[found["RANK"] == 1].drop(columns="RANK") if "RANK" in found else found


def rows_of(frame: Any) -> list[dict[str, Any]]:
    """The rows of a frame, missing values None."""
    known = frame.astype(object).where(frame.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in known.to_dict("records")]


def _manifests(settings: Settings) -> list[Path]:
    return list((settings.home / "datasets").glob("training_dataset_??????.json"))


def _read_known(path: Path) -> Known:
    data = dataset.load(path)
    newest = dataset.newest_routings(data.routings)
    return Known(data, newest, datetime.fromisoformat(data.manifest["as_of"]))


@dataclass(frozen=True)
class Proposals:
    """The rows of a file of proposals."""

    frame: Any

    @cached_property
    def places(self) -> Mapping[str, Any]:
        """The rows of each item, by its code in one case, in the order of the file."""
        groups = self.frame.groupby("ITEM_CD", sort=False).indices
        return {str(code).casefold(): rows for code, rows in groups.items()}

    def of(self, code: str) -> Any | None:
        """The rows of an item, None where there is none."""
        rows = self.places.get(code.strip().casefold())
        return None if rows is None else self.frame.iloc[rows]


@dataclass(frozen=True)
class Known:
    """A dataset as the pages look at it: `data` and the routings that count (`newest`)."""

    data: Any
    newest: Any
    as_of: datetime

    @cached_property
    def row_of(self) -> Mapping[str, int]:
        """The place of each item by its code in one case."""
        codes = self.data.items["ITEM_CD"].tolist()
        return {str(code).casefold(): row for row, code in enumerate(codes)}

    @cached_property
    def names(self) -> list[str]:
        """What each item is called beside its code, in one line; empty where nothing is said."""
        columns = self.data.items.select_dtypes("str").columns
        free = self.data.attributes.text
        told = [c for c in columns if c != "ITEM_CD" and (c in free or NAMES.search(str(c)))]
        if not told:
            return [""] * len(self.data.items)
        texts = self.data.items[told].fillna("").itertuples(index=False)
        return [" · ".join(dict.fromkeys(t.strip() for t in row if t.strip())) for row in texts]

    @cached_property
    def sought(self) -> list[tuple[str, str]]:
        """Code and name of each item as a search compares them."""
        codes = self.data.items["ITEM_CD"].tolist()
        return [
            (str(code).casefold(), name.casefold())
            for code, name in zip(codes, self.names, strict=True)
        ]

    @cached_property
    def routing_rows(self) -> Mapping[str, Any]:
        """The rows of `newest` of each item that has a routing, by its code in one case."""
        groups = self.newest.groupby("ITEM_CD", sort=False).indices
        return {str(code).casefold(): rows for code, rows in groups.items()}

    def item(self, code: str) -> dict[str, Any] | None:
        """The attributes of an item, None where it is not in this dataset."""
        row = self.row_of.get(code.strip().casefold())
        return None if row is None else self.data.items.iloc[row].to_dict()

    def is_waiting(self, code: str) -> bool:
        """Whether an item of this dataset has no routing yet."""
        key = code.strip().casefold()
        return key in self.row_of and key not in self.routing_rows

    def routing(self, code: str) -> list[dict[str, Any]]:
        """The planner's own routing of an item, in order; empty where there is none."""
        rows = self.routing_rows.get(code.strip().casefold())
        return [] if rows is None else rows_of(self.newest.iloc[rows])


def moment(settings: Settings, at: float | str | None) -> str:
    """A moment in seconds since 1970, or in ISO 8601, as the factory's clock shows it.

    >>> moment(Settings.from_env({}), 0)
    '1970-01-01 09:00'
    """
    if at is None:
        return ""
    if isinstance(at, str):
        return f"{settings.moment(at):%Y-%m-%d %H:%M}"
    return f"{settings.moment(datetime.fromtimestamp(at, UTC)):%Y-%m-%d %H:%M}"


def is_there(path: Path) -> bool:
    """Whether there is such a file; one whose name is too long for any is not."""
    return _state(path) is not None


def _state(path: Path) -> tuple[int, int, int] | None:
    """What is another once a file was written again; None where it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
