"""The whole backup in one process, without Airflow: the same steps, the same outcome."""

import time
from datetime import UTC, datetime
from typing import Any

from routing_ml.backup.copying import copy
from routing_ml.backup.ending import end
from routing_ml.backup.keeping import forget
from routing_ml.backup.verifying import verify
from routing_ml.errors import reason_of
from routing_ml.settings import Settings


def backup(settings: Settings) -> dict[str, Any]:
    """Copy, verify, forget what is old, and end: the outcome, which says what failed."""
    run_id = f"command__{datetime.now(UTC):%Y-%m-%dT%H%M%S.%fZ}"
    started = time.monotonic()
    name = forgotten = None
    failed: dict[str, str] = {}
    step = "copy"
    try:
        name = copy(settings).name
        step = "verify"
        verify(settings, name)
    except Exception as error:
        failed[step] = reason_of(error)
    try:  # also after a night that failed for want of space
        forgotten = forget(settings)
    except Exception as error:
        failed["forget"] = reason_of(error)
    return end(
        settings,
        run_id,
        name=name,
        failed=failed,
        forgotten=forgotten,
        seconds=time.monotonic() - started,
    )
