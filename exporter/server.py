"""Takes in clients, no more at a time than memory and open files allow. In a full house who comes
is let in, and who was answered before must leave, or else who has kept it waiting longest.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

from exporter.app import App
from exporter.connection import CLIENT_SECONDS, LINGER_SECONDS, Connection
from exporter.log import Log
from exporter.request import Answer, Request

# Prometheus, some people and their monitoring are a dozen. A connection over TLS takes 100 kB.
CONNECTIONS_MOST = 128
# Of the open files, so many are for the store, the libraries and what asyncio itself needs.
FILES_KEPT = 32
# Clients that are let in before others get on: a thousand at once would otherwise hold up everyone.
AT_ONCE = 16
# All of 128 are being answered: some are done by then.
FULL_SECONDS = 0.002
# What the system keeps of what a client has not taken in. It would be 4 MB otherwise, and a slow
# client that asks again and again would have 400 scrapes made.
SEND_BYTES = 64 * 1024
# At the limit of open files accept fails again at once, a hundred thousand times a second.
REST_SECONDS = 0.1


class Server:
    """Lets in clients of one listening socket; `Connection` says what it is to them."""

    def __init__(
        self,
        app: App,
        listener: socket.socket,
        *,
        tls: Callable[[], ssl.SSLContext | None] = lambda: None,
        log: Log | None = None,
        most: int | None = None,
    ) -> None:
        """`tls` is asked at each new connection; `most` is how many there may be, by default as
        many as this process's limit of open files leaves room for, 128 at most."""
        self.app = app
        self.most = most or connections_most(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self.connections: set[Connection] = set()
        self._listener = listener
        self._tls = tls
        self._log = log or Log()
        # Who may be dropped, of each kind the longest waiting first: whose client was answered and
        # asks nothing now, or does not take it in; whose client was answered and asks again; whose
        # client has not asked yet.
        self._idle: dict[Connection, None] = {}
        self._again: dict[Connection, None] = {}
        self._new: dict[Connection, None] = {}
        self._opening: dict[Connection, asyncio.Task[None]] = {}
        self._open = False

    def start(self) -> None:
        """Begin to let in; call it inside the event loop."""
        self._listener.setblocking(False)
        # Each connection has it from the listener.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        self._open = True
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    async def stop(self, seconds: float) -> None:
        """Let in nobody; whose answer is being made may wait for it so long."""
        self._open = False
        asyncio.get_running_loop().remove_reader(self._listener)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.connections:
                    for connection in (*self._idle, *self._new):
                        self._drop(connection)
                    await asyncio.sleep(0.02)
        for connection in list(self.connections):
            self._drop(connection)
        await asyncio.sleep(0)  # what was dropped is closed by the loop

    # What a connection calls -------------------------------------------------------------------

    async def answer(self, request: Request) -> Answer:
        """The app's answer."""
        return await self.app.answer(request)

    def refuse(self, status: int, text: str) -> Answer:
        """The app's answer to what is no request."""
        return self.app.refuse(status, text)

    def turn_away(self, head: bytes) -> Answer | None:
        """The app's answer to a request that has to come again later."""
        return self.app.turn_away(head)

    def waits(self, connection: Connection) -> None:
        """It may be dropped from now on, after those of its kind that wait already."""
        self._again.pop(connection, None)
        (self._idle if connection.answered else self._new)[connection] = None

    def works(self, connection: Connection) -> None:
        """It may not be dropped from now on, unless it was answered before."""
        self._idle.pop(connection, None)
        self._new.pop(connection, None)
        if connection.answered:
            self._again[connection] = None

    def left(self, connection: Connection) -> None:
        """It takes no room from now on."""
        self.connections.discard(connection)
        for kind in (self._idle, self._again, self._new):
            kind.pop(connection, None)

    # Letting in --------------------------------------------------------------------------------

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            if len(self.connections) >= self.most and not self._make_room():
                self._pause(FULL_SECONDS)
                return
            try:
                client, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._rest(error)
                return
            self._let_in(client)

    def _rest(self, error: OSError) -> None:
        """No file is left to be opened: have one given back, and look again in a while."""
        self._log.say(
            "accept",
            f"no connection can be taken in: {error.strerror} ({len(self.connections)} are open); "
            "raise the limit of open files (ulimit -n)",
        )
        self._make_room()
        self._pause(REST_SECONDS)

    def _pause(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener)
        loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        if self._open:
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _let_in(self, client: socket.socket) -> None:
        client.setblocking(False)
        connection = Connection(self)
        self.connections.add(connection)
        task = asyncio.get_running_loop().create_task(self._connect(connection, client))
        self._opening[connection] = task
        task.add_done_callback(lambda _: self._opening.pop(connection, None))

    async def _connect(self, connection: Connection, client: socket.socket) -> None:
        """Shake hands and begin; whoever cannot is not missed."""
        tls = self._tls()
        seconds = {
            "ssl_handshake_timeout": CLIENT_SECONDS,
            "ssl_shutdown_timeout": LINGER_SECONDS,
        }
        if tls:
            self.waits(connection)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection, client, ssl=tls, **(seconds if tls else {})
            )
        except OSError:
            self.left(connection)
            return
        # What its client has sent already is read by the loop's next round: a crowd that comes
        # meanwhile must not push it out before.
        await asyncio.sleep(0)
        if connection in self.connections and not connection.asked:
            self.waits(connection)

    def _make_room(self) -> bool:
        """Drop one, where there is one that may be; whether there was."""
        for candidates in (self._idle, self._again, self._new):
            for longest in candidates:
                self._drop(longest)
                return True
        return False

    def _drop(self, connection: Connection) -> None:
        connection.drop()
        if (opening := self._opening.get(connection)) is not None:
            opening.cancel()
        self.left(connection)


def connections_most(files: int) -> int:
    """How many connections a process may hold that may have so many open files; at least 4."""
    if files == resource.RLIM_INFINITY:
        return CONNECTIONS_MOST
    return max(4, min(CONNECTIONS_MOST, files - FILES_KEPT))
