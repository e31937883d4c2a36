"""Has everything be done once, whatever is delivered twice, pressed twice or killed in between.

What is to be done is claimed first: a file that only one can make, which holds the whole order.
Once it is done the file says what came of it. One that says nothing after a restart was begun by a
bot that was killed, and can be carried out from the file: every act is made so that a second time
changes nothing (`acting`).
"""

import hashlib
import json
import logging
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from routing_ml import clock, files, modes
from routing_ml.errors import RoutingError

KEPT_DAYS = 30
MAX_BYTES = 100_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """What is to be done: `what`, with which arguments, asked for by whom (`who` as in a history,
    `user` by id), since `at` in seconds since 1970; where to answer."""

    key: str
    what: str
    arguments: Mapping[str, Any]
    who: str
    user: str
    at: float
    channel: str = ""
    response_url: str = ""

    @property
    def id(self) -> str:
        """The same for the same key, of 12 letters and digits."""
        return _digest(self.key)[:12]


@dataclass(frozen=True)
class Claim:
    """An order somebody has claimed, and what came of it; None where that is not known (yet)."""

    order: Order
    outcome: str | None


class Claims:
    """The claims in a folder, which is made on first use. RoutingError where it cannot be used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def claim(self, order: Order) -> Claim | None:
        """Claim an order; None where that was done just now, else what was claimed before."""
        with files.told_as(RoutingError, f"{self.folder} cannot be used"):
            modes.make_folder(self.folder)
            while not self._made(order):
                # None: it was given up in this moment.
                if (there := self._read(self._path(order.key))) is not None:
                    return there
        return None

    def end(self, order: Order, outcome: str) -> None:
        """Note what came of a claimed order."""
        with files.told_as(RoutingError, f"{self.folder} cannot be written"):
            files.atomic_write(self._path(order.key), _as_json(Claim(order, outcome)))

    def give_up(self, order: Order) -> None:
        """Let it be asked for again: nothing was done."""
        with files.told_as(RoutingError, f"{self.folder} cannot be written"):
            self._path(order.key).unlink(missing_ok=True)

    def begun(self) -> list[Order]:
        """The orders of which nobody knows what came, oldest first."""
        found = [claim for claim in self._all() if claim.outcome is None]
        return sorted((claim.order for claim in found), key=lambda order: order.at)

    def tidy(self) -> None:
        """Forget what was done long ago: Slack delivers nothing again after so long."""
        before = clock.seconds() - KEPT_DAYS * 86_400
        with suppress(OSError):
            for path in self.folder.glob(".*.tmp"):
                path.unlink(missing_ok=True)
        for claim in self._all():
            if claim.outcome is not None and claim.order.at < before:
                with suppress(OSError):
                    self._path(claim.order.key).unlink(missing_ok=True)

    def _made(self, order: Order) -> bool:
        """Make the file, whole from its first moment; False where there is one."""
        path = self._path(order.key)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            modes.make_file(temporary).write_text(_as_json(Claim(order, None)))
            files.fsync(temporary)
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        files.fsync(self.folder)
        return True

    def _all(self) -> list[Claim]:
        if not self.folder.is_dir():
            return []
        with files.told_as(RoutingError, f"{self.folder} cannot be read"):
            found = [self._read(path) for path in sorted(self.folder.glob("*.json"))]
        return [claim for claim in found if claim is not None]

    def _read(self, path: Path) -> Claim | None:
        """The claim in a file; None where there is none. One that is damaged stays claimed."""
        try:
            with path.open("rb") as file:
                given = json.loads(file.read(MAX_BYTES))
            return Claim(Order(**given["order"]), given["outcome"])
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            log.warning("%s holds no claim: %s", path, error)
            damaged = Order(path.stem, "unknown", {}, "unknown", "", 0.0)
            return Claim(damaged, "its record is damaged: look whether it was done")

    def _path(self, key: str) -> Path:
        return self.folder / f"{_digest(key)}.json"


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _as_json(claim: Claim) -> str:
    return json.dumps(asdict(claim)) + "\n"
