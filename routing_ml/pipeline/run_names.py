"""Says a run's moment as the factory's clock has it: the id of a run names it in UTC, where the
first of a month is often still the last of the one before.
"""

import re
from datetime import datetime

from routing_ml.errors import SettingError
from routing_ml.settings import Settings

MOMENT = re.compile(
    r"__(\d{4}-\d\d-\d\d)T(\d\d)[:_-]?(\d\d)[:_-]?(\d\d)(?:\.\d+)?(Z|[+-]\d\d:?\d\d)?"
)


def moment_of(settings: Settings, run_id: str) -> datetime | None:
    """The moment that a run's id names, in the factory's time zone; None where it names none.

    >>> moment_of(Settings.from_env({}), "scheduled__2026-11-30T17:00:00+00:00").isoformat()
    '2026-12-01T02:00:00'
    """
    found = MOMENT.search(run_id)
    if found is None:
        return None
    day, hours, minutes, seconds, offset = found.groups()
    try:
        return settings.moment(f"{day}T{hours}:{minutes}:{seconds}{offset or ''}")
    except SettingError:  # somebody's own id, which only looks like one
        return None


def run_in_words(settings: Settings, run_id: str) -> str:
    """A run by its id, and by its moment as the factory's clock has it.

    >>> run_in_words(Settings.from_env({}), "scheduled__2026-11-30T17:00:00+00:00")
    'scheduled__2026-11-30T17:00:00+00:00, which is of 2026-12-01 02:00 here'
    """
    moment = moment_of(settings, run_id)
    return named(run_id, moment.isoformat() if moment else None)


def named(run_id: str, moment: str | None) -> str:
    """A run by its id, and by its `moment` (ISO 8601) in the factory's time zone where it has one.

    >>> named("scheduled__2026-11-30T17:00:00+00:00", "2026-12-01T02:00:00")
    'scheduled__2026-11-30T17:00:00+00:00, which is of 2026-12-01 02:00 here'
    >>> named("october", None)
    'october'
    """
    here = f", which is of {moment[:16].replace('T', ' ')} here" if moment else ""
    return f"{run_id}{here}"
