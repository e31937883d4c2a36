"""The record of what was done from Slack: a line before each act, and one after it."""

import json
import logging
import os
from pathlib import Path

from routing_ml import clock, files, modes
from routing_ml.errors import RoutingError
from routing_ml.slackbot.claims import Order

FILE = "audit.jsonl"
BEGUN = "begun"

log = logging.getLogger(__name__)


class Audit:
    """`slack_bot/audit.jsonl` of a state folder; a line is a JSON object: `at`, `who`, `user`,
    `what`, `arguments`, `id` (one for each order), `outcome`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def write(self, order: Order, outcome: str) -> None:
        """Add a line, on disk when this returns. RoutingError where it cannot be: who is not
        written down does nothing."""
        line = json.dumps(
            {
                "at": clock.utc().isoformat(timespec="milliseconds"),
                "who": order.who,
                "user": order.user,
                "what": order.what,
                "arguments": dict(order.arguments),
                "id": order.id,
                "outcome": outcome,
            },
            ensure_ascii=False,
        )
        log.info("%s: %s %s: %s", order.who, order.what, order.id, outcome)
        with files.told_as(RoutingError, f"{self.path} cannot be written"):
            modes.make_folder(self.path.parent)
            mode = modes.file_mode(self.path.parent)
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, mode)
            try:
                # One write: lines of two threads do not mix. One that a full disk cut short gets
                # its end from the next.
                cut = os.fstat(file).st_size and not _ends_a_line(self.path)
                os.write(file, (b"\n" if cut else b"") + line.encode("utf-8", "replace") + b"\n")
                os.fsync(file)
            finally:
                os.close(file)


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
