"""The errors a user can meet: each names the value, the rule and the next step in one line."""

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)

MAX_REASON = 2_000  # characters


class RoutingError(Exception):
    """Base of every error that is the input's or the environment's, not the program's."""


class SettingError(RoutingError):
    """A setting or an argument that cannot be used."""


class InputError(RoutingError):
    """A source, dataset, columns file or items file that cannot be read as what it should be."""


class SourceError(InputError):
    """A source that no retry mends: not there, no database, or not what the columns file says."""


class SourceAwayError(InputError):
    """A source that cannot be reached now, and may be later: a server that does not answer, a lock,
    a file that is being written."""


class SourceMissingError(SourceAwayError, SourceError):
    """A file that is not there: its share is not mounted, or its path is wrong."""


class AuditError(RoutingError):
    """A dataset that fails a data-quality gate."""


class BackupError(RoutingError):
    """A backup that cannot be made, is damaged, or cannot be restored as things are."""


class ModelError(RoutingError):
    """A model version that is missing, damaged, foreign or not fit for what was asked."""


def reason_of(error: Exception) -> str:
    """What an error says, in one line; of one that is no `RoutingError` its kind too, for nobody
    has foreseen it.

    >>> reason_of(ZeroDivisionError("division by zero"))
    'ZeroDivisionError: division by zero; this is a defect of Routing ML, please report it'
    """
    said = " ".join(str(error).split())[:MAX_REASON]
    if isinstance(error, RoutingError):
        return said
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return f"{what}; this is a defect of Routing ML, please report it"


def tried(step: Callable[[], object]) -> str | None:
    """Why a step could not be done that must not stop what comes after it; None where it was."""
    try:
        step()
    except Exception as error:
        log.debug("what comes after it goes on in spite of it", exc_info=True)
        return reason_of(error)
    return None
