"""One client's connection: HTTP/1.1 and 1.0, nothing else, each step of it within a time.

HTTP/2 (by prior knowledge, by an upgrade or by TLS) and websockets are not spoken: nobody needs
them here, and a few kilobytes of either held a core and half a gigabyte.
"""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Protocol, cast

import h11

from exporter.request import Answer, Request

# Who takes longer than this to send a request's head, or to take in an answer, is dropped.
CLIENT_SECONDS = 5.0
# So long, and so much, a client may go on sending what was answered before it had come: were the
# connection cut at once, the answer would be lost on the way.
LINGER_SECONDS = 1.0
BODY_BYTES_MOST = 64 * 1024
HEAD_BYTES_MOST = 16 * 1024
VERSIONS = (b"1.0", b"1.1")
# The client's side before its request has come to its end.
UNFINISHED = (h11.SEND_BODY, h11.ERROR)

# What arrives is put here and copied on at once, so that a connection that waits holds no buffer.
_ARRIVED = memoryview(bytearray(16 * 1024))


class House(Protocol):
    """Where connections belong: it answers, and knows which of them may be dropped."""

    async def answer(self, request: Request) -> Answer:
        """The answer to a request; it does not fail."""

    def refuse(self, status: int, text: str) -> Answer:
        """The answer to what is no request."""

    def turn_away(self, head: bytes) -> Answer | None:
        """The answer to a request that has to come again later, where its head says so."""

    def waits(self, connection: Connection) -> None:
        """It waits for its client from now on."""

    def works(self, connection: Connection) -> None:
        """Its client waits for an answer from now on."""

    def left(self, connection: Connection) -> None:
        """It is no more."""


class Connection(asyncio.BufferedProtocol):
    """Reads a request, has it answered, writes the answer, and only then reads the next one."""

    def __init__(self, house: House) -> None:
        """`asked` once a whole head has come, `answered` once an answer was begun."""
        self.asked = False
        self.answered = False
        self._house = house
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MOST)
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._full = False  # the transport holds what the client has not taken yet
        self._written = False  # an answer was handed to the transport and is not all gone
        self._last = False  # nothing more is answered
        self._begun = False  # something has come that h11 has
        self._bodiless = False  # the request is a HEAD
        self._discarded = 0

    def drop(self) -> None:
        """End it now, whatever it does."""
        self._last = True
        if self._transport is not None:
            self._transport.abort()

    # What the transport calls ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._last:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=1, low=0)  # to be told when all is gone
        self._within(CLIENT_SECONDS)

    def connection_lost(self, error: Exception | None) -> None:
        self._last = True
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        self._house.left(self)

    def get_buffer(self, hint: int) -> memoryview:
        return _ARRIVED

    def buffer_updated(self, count: int) -> None:
        if self._last:
            self._discarded += count
            if self._discarded >= BODY_BYTES_MOST and self._transport is not None:
                self._transport.pause_reading()
            return
        data = bytes(_ARRIVED[:count])
        # Reading and writing by h11 takes longer than all else of a request, and a thousand wrong
        # passwords at once would hold up who comes after them.
        whole = not self._begun and data.startswith(b"GET ") and data.endswith(b"\r\n\r\n")
        if whole and (answer := self._house.turn_away(data)) is not None:
            self._turn_away(answer)
            return
        self._begun = True
        self._http.receive_data(data)
        if self._task is None and not self._written:
            self._next()

    def eof_received(self) -> bool:
        if self._task is None and not self._written:
            return False
        self._last = True
        # TLS has no half-open state; asyncio would complain.
        return self._transport is not None and self._transport.can_write_eof()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self._written:
            self._gone()

    # One request after the other ---------------------------------------------------------------

    def _next(self) -> None:
        """Look for a whole head in what has arrived."""
        try:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                return
            if not isinstance(event, h11.Request):
                self._close()
                return
            self._bodiless = event.method == b"HEAD"
            if event.http_version not in VERSIONS:
                self._refuse(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
                return
            # A small body comes along with its head; no answer depends on it.
            while isinstance(self._http.next_event(), h11.Data):
                pass
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint, "this is no HTTP request")
            return
        request = Request.of(event.method, event.target, tuple(event.headers))
        self._within(None)
        self.asked = True
        self._house.works(self)
        assert self._transport is not None
        self._transport.pause_reading()
        self._task = asyncio.get_running_loop().create_task(self._answer(request))

    async def _answer(self, request: Request) -> None:
        answer = await self._house.answer(request)
        self._task = None
        try:
            self._write(answer)
        except h11.LocalProtocolError:  # a header that is none: nothing was sent yet
            self.drop()
            raise

    def _refuse(self, status: int, text: str) -> None:
        self._last = True
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._write(self._house.refuse(status, text))
        else:
            self._close()

    def _turn_away(self, answer: Answer) -> None:
        """Answer without h11, since the connection ends with it."""
        self.asked = self._last = True
        self._house.works(self)
        lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in _headers(answer, last=True)]
        assert self._transport is not None
        self._transport.write("\r\n".join((*lines, "", "")).encode("latin-1") + answer.body)
        self._transport.close()

    def _write(self, answer: Answer) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._last = self._last or self._http.their_state in UNFINISHED
        headers = _headers(answer, last=self._last)
        sent = [
            self._http.send(
                h11.Response(
                    status_code=answer.status,
                    headers=headers,
                    reason=HTTPStatus(answer.status).phrase,
                )
            ),
            self._http.send(h11.Data(data=b"" if self._bodiless else answer.body)),
            self._http.send(h11.EndOfMessage()),
        ]
        self._written = True
        self.answered = True
        self._house.waits(self)
        self._within(CLIENT_SECONDS)
        transport.write(b"".join(part for part in sent if part))
        if not self._full:
            self._gone()

    def _gone(self) -> None:
        """The answer is on its way: on to the next request, or the end."""
        self._written = False
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._last or self._http.our_state is not h11.DONE:
            self._close()
            return
        self._http.start_next_cycle()
        self._bodiless = False
        transport.resume_reading()
        self._next()

    def _close(self) -> None:
        self._last = True
        transport = self._transport
        assert transport is not None
        self._within(LINGER_SECONDS)
        if self._http.their_state not in UNFINISHED or not transport.can_write_eof():
            transport.close()
        else:
            try:
                transport.write_eof()
            except OSError:  # the client has cut it
                transport.abort()
                return
            transport.resume_reading()

    def _within(self, seconds: float | None) -> None:
        """Drop it after so long unless something comes in between; None for no limit."""
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = None if seconds is None else loop.call_later(seconds, self.drop)


def _headers(answer: Answer, *, last: bool) -> list[tuple[str, str]]:
    """All headers of an answer; `last` when the connection ends with it."""
    return [
        ("content-type", answer.content_type),
        ("content-length", str(len(answer.body))),
        ("cache-control", "no-store"),
        ("date", _date()),
        *answer.headers,
        *((("connection", "close"),) if last else ()),
    ]


_date_at: tuple[int, str] = (0, "")


def _date() -> str:
    """The Date header's value, written once a second."""
    global _date_at
    now = int(time.time())
    if _date_at[0] != now:
        _date_at = (now, formatdate(now, usegmt=True))
    return _date_at[1]
