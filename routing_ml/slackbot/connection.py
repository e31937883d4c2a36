"""Keeps a connection to Slack open (Socket Mode: envelopes as JSON over a WebSocket).

slack_sdk's own client is not used: 30 s after a connection was cut it had not made another one, and
it recurses for every message of a burst.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

OPEN_S, CLOSE_S = 10.0, 2.0
PING_S = 10.0
"""A connection that answers no ping for so long is given up."""
MAX_BYTES = 16 << 20
LONGEST_PAUSE_S = 60.0
ALIVE_S = 1.0
STEADY_S = 10.0
"""A connection that held less long is no reason to ask for the next one at once."""

Send = Callable[[Mapping[str, Any]], None]
Listen = Callable[[Send, Mapping[str, Any]], None]
"""Takes an envelope, and what answers on the connection that it came by."""

log = logging.getLogger(__name__)


class Link:
    """One connection, read in a thread of its own until either end closes it.

    `said_hello` once Slack has; `is_leaving` once another one is to take its place, for Slack is
    about to close it; `has_ended` when nothing comes any more, `trouble` being why.
    """

    def __init__(self, url: str, listen: Listen, changed: threading.Event) -> None:
        self.said_hello = self.is_leaving = self.has_ended = False
        self.trouble = "closed"
        self._url, self._listen, self._changed = url, listen, changed
        self._socket: ClientConnection | None = None
        threading.Thread(target=self._read, name="slack-bot-link", daemon=True).start()

    def close(self) -> None:
        """End it; what was read is still handled."""
        if self._socket is not None:
            with suppress(Exception):  # it is given up either way
                self._socket.close()

    def _read(self) -> None:
        from websockets.sync.client import connect

        try:
            with connect(
                self._url, open_timeout=OPEN_S, close_timeout=CLOSE_S, ping_interval=PING_S,
                ping_timeout=PING_S, max_size=MAX_BYTES,
            ) as self._socket:  # fmt: skip
                for message in self._socket:
                    self._take(message)
        except Exception as error:  # whatever it is, another connection is opened
            self.trouble = type(error).__name__
        self.has_ended = True
        self._changed.set()

    def _take(self, message: str | bytes) -> None:
        try:
            envelope = json.loads(message)
            kind = envelope.get("type")
        except (ValueError, AttributeError, RecursionError):
            log.warning("Slack sent what is no JSON object")
            return
        if kind == "hello":
            self.said_hello = True
            self._changed.set()
        elif kind == "disconnect":
            self.is_leaving = True
            self._changed.set()
        elif isinstance(envelope.get("envelope_id"), str):
            self._handle(envelope)

    def _handle(self, envelope: Mapping[str, Any]) -> None:
        try:
            self._listen(self._send, envelope)
        except Exception as error:  # one envelope that fails must not end the connection
            log.warning("an envelope was not handled: %s", type(error).__name__)

    def _send(self, body: Mapping[str, Any]) -> None:
        assert self._socket is not None
        self._socket.send(json.dumps(body))


def keep(
    open_url: Callable[[], str | None],
    listen: Listen,
    stop: threading.Event,
    *,
    alive: Callable[[], object],
) -> None:
    """Have one connection open until `stop` is set: a new one takes the place of each that ends or
    is about to. `open_url` gives the address of the next, None where `stop` was set before; `alive`
    is called every few seconds while Slack is connected."""
    changed, pause = threading.Event(), 1.0
    links: list[Link] = []
    try:
        while not stop.is_set() and (url := open_url()):
            link, begun = Link(url, listen, changed), time.monotonic()
            # The ones before go on until Slack closes them: requests may still come by them.
            links = [each for each in links if not each.has_ended] + [link]
            while not (stop.is_set() or link.is_leaving or link.has_ended):
                changed.wait(ALIVE_S)
                changed.clear()
                if link.said_hello and not link.has_ended:
                    alive()
            if link.is_leaving or time.monotonic() - begun > STEADY_S:
                pause = 1.0
            elif not stop.is_set():
                log.warning("no connection to Slack (%s); tried again in %g s", link.trouble, pause)
                stop.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
    finally:
        for link in links:
            link.close()
