"""Reads a source, or does what `ROUTING_ML_SOURCE_AWAY` says where it cannot be reached: fails,
waits, or uses the last good dataset of it. Whichever it is, it is written down and told.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from routing_ml import dataset, files, modes, notices
from routing_ml.errors import InputError, RoutingError, SourceAwayError
from routing_ml.pipeline import monitor
from routing_ml.settings import Settings
from routing_ml.source import Columns, labels_of

AGAIN_S = 60.0
"""How long a command waits before it tries a source again."""
TITLE = "Routing ML: the source cannot be reached"

Found = TypeVar("Found")
log = logging.getLogger(__name__)
sleep = time.sleep  # a name of its own, for the tests


@dataclass(frozen=True)
class Away:
    """A source that is away: since when, why, and the dataset that is used instead, with its as-of;
    moments are the factory's, in ISO 8601."""

    since: str
    why: str
    dataset: str
    as_of: str

    @property
    def line(self) -> str:
        """All of it in one line."""
        return (
            f"the source has been away since {shown(self.since)} ({self.why}); used instead: the "
            f"last good dataset of it, as of {shown(self.as_of)}"
        )

    def as_dict(self) -> dict[str, str]:
        """As JSON takes it, the line included."""
        return asdict(self) | {"line": self.line}


def shown(moment: str) -> str:
    """A moment as people read it.

    >>> shown("2026-11-01T02:00:00.123")
    '2026-11-01 02:00'
    """
    return moment[:16].replace("T", " ")


def read(
    settings: Settings,
    source: str,
    *,
    columns: Columns,
    as_of: datetime,
    fetch: Callable[[], Found],
    instead: Callable[[Path], Found],
    whole: bool = False,
    limit: int | None = None,
    say: Callable[[str], None] | None = None,
) -> tuple[Found, Away | None]:
    """What `fetch` reads of a configured source; or, where that is away and the settings say
    `last`, what `instead` makes of the manifest of its last good dataset, and how that came; so
    long nobody writes another in its place.

    With `say`, which hears of each try, a source that is away is waited for here, where the
    settings say `wait`; without, that is left to the caller. `whole` and `limit` are as of
    `last_good`. Raises SourceAwayError where it stays away and nothing else is to be had.
    """
    end = time.monotonic() + settings.source_wait.total_seconds()
    while True:
        try:
            found = fetch()
        except SourceAwayError as error:
            since = _away(settings, source, error)
            if settings.source_away == "last":
                return _instead(
                    settings, source, columns, as_of, instead, whole, limit, error, since
                )
            if settings.source_away == "fail" or say is None:
                raise
            left = end - time.monotonic()
            if left <= 0:
                waited = f"{error}; {_span(settings)} were waited for it (ROUTING_ML_SOURCE_WAIT)"
                raise type(error)(waited) from error
            say(
                f"{error}; it is tried again every {AGAIN_S:g} s for {_minutes(left)} more "
                "(ROUTING_ML_SOURCE_AWAY is wait; Ctrl-C ends it)"
            )
            sleep(min(AGAIN_S, left))
        else:
            if settings.configured:
                _try(lambda: monitor.record_source_read(settings, source, as_of))
            return found, None


def last_good(
    settings: Settings,
    source: str,
    columns: Columns,
    as_of: datetime,
    *,
    whole: bool = False,
    limit: int | None = None,
) -> tuple[Path, Mapping[str, Any]] | None:
    """The newest dataset under `datasets/` that this very source, by the same columns file, gave
    not after `as_of`, every file as it was written; None where there is none.

    `whole` asks for one that no limit cut short, `limit` for one that none smaller did.
    """
    labels = labels_of(settings.source(source))
    found = (settings.home / "datasets").glob("training_dataset_??????.json")
    for path in sorted(found, reverse=True):  # they are called by their months
        try:
            path, manifest = dataset.read_manifest(path)
            same = manifest["source"] in labels and _asks(manifest, columns)
            past = datetime.fromisoformat(manifest["as_of"]) <= as_of
            if same and past and _is_enough(manifest, whole=whole, limit=limit):
                return path, manifest
        except (RoutingError, KeyError, TypeError, ValueError, AttributeError) as error:
            log.warning("dataset %s is passed over: %s", path.name, error)
    return None


def _asks(manifest: Mapping[str, Any], columns: Columns) -> bool:
    """Whether the dataset is what the columns file asks for; one of an earlier release says no more
    than its columns."""
    if "asked" in manifest:
        return bool(manifest["asked"] == columns.fingerprint)
    tables = [table for table in (columns.items, columns.routings, columns.results) if table]
    return bool(manifest["columns"] == {table.role: table.columns for table in tables})


def _is_enough(manifest: Mapping[str, Any], *, whole: bool, limit: int | None) -> bool:
    enough = not whole and (limit is None or manifest["limit"] >= limit)
    return enough or dataset.is_whole(manifest)


def _instead(
    settings: Settings,
    source: str,
    columns: Columns,
    as_of: datetime,
    instead: Callable[[Path], Found],
    whole: bool,
    limit: int | None,
    error: SourceAwayError,
    since: datetime,
) -> tuple[Found, Away]:
    where = settings.home / "datasets"
    with _unchanged(where):
        found = last_good(settings, source, columns, as_of, whole=whole, limit=limit)
        if found is None:
            kind = "whole and good dataset" if whole else "good dataset"
            raise type(error)(
                f"{error}; and {where} holds no {kind} of it as of {as_of:%Y-%m-%d %H:%M} or "
                "before (ROUTING_ML_SOURCE_AWAY is last)"
            ) from error
        path, manifest = found
        made = instead(path)
    away = Away(since.isoformat(), str(error), path.name, manifest["as_of"])
    log.warning("%s", away.line)
    if settings.configured:
        of = datetime.fromisoformat(manifest["as_of"])
        _try(lambda: monitor.record_source_data(settings, source, of))
        words = (
            f"Runs use the last good dataset of it, as of {shown(away.as_of)}, until it is back."
        )
        _tell(settings, source, error, since, words)
    return made, away


@contextmanager
def _unchanged(folder: Path) -> Iterator[None]:
    """Keep others from writing datasets: another source's has the same name in the same month."""
    if not folder.is_dir():
        yield
        return
    with files.told_as(InputError, f"{folder} cannot be used"):
        lock = FileLock(folder / ".lock", mode=modes.file_mode(folder), fallback_to_soft=False)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _away(settings: Settings, source: str, error: SourceAwayError) -> datetime:
    """Write down that the source is away; since when it has been. Of one that waits people hear."""
    now = settings.moment(None)
    if not settings.configured:
        return now
    since = _try(lambda: monitor.record_source_away(settings, source)) or now
    if settings.source_away == "wait":
        words = f"Runs wait for it, {_span(settings)} each, and go on when it is back."
        _tell(settings, source, error, since, words)
    return since


def _tell(
    settings: Settings, source: str, error: SourceAwayError, since: datetime, words: str
) -> None:
    """Tell people, once for each time that it is away."""
    subject = f"away/{source}/{since:%Y-%m-%dT%H:%M:%S}"
    text = f"{error}\nSource: {source}, away since {since:%Y-%m-%d %H:%M}\n{words}"
    _try(lambda: notices.tell(settings, subject, TITLE, text, level=notices.ATTENTION))


def _try(step: Callable[[], Found]) -> Found | None:
    """What keeps no run from its end: the store and the notices have troubles of their own."""
    try:
        return step()
    except RoutingError as error:
        log.warning("%s", error)
        return None


def _span(settings: Settings) -> str:
    return _minutes(settings.source_wait.total_seconds())


def _minutes(seconds: float) -> str:
    """A time in words.

    >>> _minutes(21_600), _minutes(5_430)
    ('6 h', '91 min')
    """
    minutes = -(-int(seconds) // 60)
    return f"{minutes // 60} h" if minutes and minutes % 60 == 0 else f"{minutes} min"
