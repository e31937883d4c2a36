"""Tells a source that cannot be reached, and may be later, from one that is wrong or damaged."""

import errno

GONE = frozenset({
    errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN,
    errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ECONNREFUSED, errno.ECONNRESET,
    errno.ECONNABORTED, errno.ENOTCONN, errno.EPIPE, errno.ENOLINK, errno.EREMOTEIO,
    errno.EIO,  # what NFS says of a server that went away, mounted `soft`
    errno.EBUSY, errno.EAGAIN, errno.ETXTBSY, errno.EDEADLK,  # what CIFS makes of Windows' locks
})  # fmt: skip
"""Of a file. Not EACCES: a right that is missing comes by itself no more than a path."""
LOST = frozenset(
    {"08003", "08006", "08007", "08S01", "HYT00", "HYT01", "53300", "57P01", "57P02", "57P03"}
)
"""SQLSTATEs of a server that is silent, full, going down or coming up."""
REFUSED = "08001"
ANSWERED = ("fatal", "치명", "致命")
"""psqlODBC gives one SQLSTATE for a server that is away and for one that refuses a password; only
the second says which of its errors it was, in its own language."""
COMING = ("starting up", "shutting down", "recovery", "not yet accepting", "too many", "slots")


def is_gone(error: OSError) -> bool:
    """Whether a file cannot be reached: it, its share or its server is away, or it is locked.

    >>> is_gone(FileNotFoundError(errno.ENOENT, "")), is_gone(PermissionError(errno.EACCES, ""))
    (True, False)
    """
    return error.errno in GONE


def is_silent(state: str, reason: str) -> bool:
    """Whether an ODBC driver's error means that its server cannot be reached now.

    >>> is_silent("08001", "port 5432 failed: Connection refused")
    True
    >>> is_silent("08001", "port 5432 failed: FATAL: password authentication failed for user")
    False
    >>> is_silent("08001", "port 5432 failed: FATAL: the database system is starting up")
    True
    """
    said = reason.casefold()
    if state != REFUSED:
        return state in LOST
    return not any(word in said for word in ANSWERED) or any(word in said for word in COMING)
