"""Which path gives what."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, tzinfo
from typing import Any

from exporter.exposition import chosen
from exporter.link import Link
from exporter.log import Log
from exporter.metrics import Collector, Process
from exporter.metrics import as_json as metrics_as_json
from exporter.openapi import DAYS_MOST, document
from exporter.passwords import BusyError, Passwords, bears
from exporter.request import Answer, Request, as_json, problem
from exporter.start import HTML, page
from exporter.webconfig import WebConfig
from routing_ml import __version__
from routing_ml.errors import RoutingError
from routing_ml.store import (
    EMPTY_DRIFT,
    Snapshot,
    Store,
    StoreError,
    StoreMissingError,
    empty_summary,
)

# Scrapes closer together than this share one text: rendering it takes 2 ms of the one thread, and
# 64 clients that each had their own held up everybody for a tenth of a second.
RENDERED_SECONDS = 0.1
AUTHORIZATION = re.compile(rb"\r\nauthorization:[ \t]*([^\r\n]*)", re.IGNORECASE)


class App:
    """Answers from what the link reads; knows no store by itself."""

    def __init__(
        self,
        link: Link,
        *,
        api_token: str | None,
        timezone: tzinfo | None = None,
        web: WebConfig | None = None,
        log: Log | None = None,
    ) -> None:
        """`api_token` is what a call that changes something must bear; without one none may.
        `timezone` is the factory's, whose days the verdicts are of."""
        self.log = log or Log()
        self.link = link
        self.timezone = timezone
        self.process = Process(started_at=time.time())
        self._api_token = api_token
        self._web = web or WebConfig()
        self._passwords = Passwords(self._web.users)
        self._rendered: dict[str, tuple[float, asyncio.Task[bytes]]] = {}
        self._routes: dict[str, dict[str, Callable[..., Awaitable[Answer]]]] = {
            "/": {"GET": self.start},
            "/metrics": {"GET": self.metrics},
            "/api/metrics": {"GET": self.metrics},
            "/api/metrics/json": {"GET": self.metrics_json},
            "/api/health": {"GET": self.health},
            "/api/drift/status": {"GET": self.drift_status},
            "/api/drift/summary": {"GET": self.drift_summary},
            "/api/drift/reset": {"POST": self.drift_reset},
            "/openapi.json": {"GET": self.openapi},
        }

    def reload(self, web: WebConfig) -> None:
        """Answer by another web configuration; who was let in and has not changed stays known."""
        self._passwords = Passwords(web.users, before=self._passwords)
        self._web = web

    @property
    def tls(self) -> ssl.SSLContext | None:
        """How new connections are encrypted, None for plain text."""
        return self._web.tls

    async def metrics(self, request: Request) -> Answer:
        """Prometheus text, or OpenMetrics where the client prefers it."""
        encode, content_type = chosen(request.header("accept"))
        at, text = self._rendered.get(content_type, (0.0, None))
        now = time.monotonic()
        if text is None or now - at > RENDERED_SECONDS:
            text = asyncio.create_task(self._render(encode))
            self._rendered[content_type] = (now, text)
        # Whoever leaves early must not end it for the others.
        return Answer(200, await asyncio.shield(text), content_type)

    async def _render(self, encode: Callable[[Any], bytes]) -> bytes:
        return encode(Collector(self.process, await self._snapshot(), time.time()))

    async def metrics_json(self, request: Request) -> Answer:
        """The same as JSON."""
        return as_json(200, metrics_as_json(self.process, await self._snapshot(), time.time()))

    async def _snapshot(self) -> Snapshot | None:
        try:
            return await self.link.snapshot()
        except StoreError:
            return None

    async def health(self, request: Request) -> Answer:
        """That the process lives; it asks nobody, so nothing can hold it up."""
        now = time.time()
        return as_json(
            200,
            {
                "status": "healthy",
                "version": __version__,
                "uptime_seconds": now - self.process.started_at,
                "timestamp": datetime.fromtimestamp(now).astimezone().isoformat(),
            },
        )

    async def drift_status(self, request: Request) -> Answer:
        """The last evaluation."""
        try:
            return as_json(200, await self.link.read(Store.drift_status))
        except StoreMissingError:
            return as_json(200, dict(EMPTY_DRIFT))

    async def drift_summary(self, request: Request) -> Answer:
        """The verdicts of the last days."""
        days = request.days()
        if days is None:
            raise BadRequestError(f"days must be one whole number from 1 to {DAYS_MOST}")
        today = datetime.now(self.timezone).date()
        try:
            found = await self.link.read(lambda store: store.drift_summary(days, today=today))
            return as_json(200, found)
        except StoreMissingError:
            return as_json(200, empty_summary(days))

    async def drift_reset(self, request: Request) -> Answer:
        """Have the detector begin anew."""
        if not self._api_token:
            return problem(403, "no call may change anything until ROUTING_ML_API_TOKEN is set")
        if not bears(request.header("authorization"), self._api_token):
            return _unauthorized("Bearer", "'Authorization: Bearer <API token>'")
        await self.link.change(lambda store: store.reset_drift(why="api"))
        return as_json(200, {"message": "The drift detector begins anew with its next evaluation."})

    async def start(self, request: Request) -> Answer:
        """What there is, for people."""
        return Answer(200, page(), HTML)

    async def openapi(self, request: Request) -> Answer:
        """What this is, for machines."""
        return as_json(200, document())

    async def answer(self, request: Request) -> Answer:
        """The answer to a request, counted. Whatever fails on the way is a 500 in one line."""
        try:
            found = await self._answer(request)
        except BadRequestError as error:
            found = problem(400, str(error))
        except BusyError:
            found = self._busy()
        except RoutingError as error:
            found = problem(503, str(error))
        except Exception as error:  # of any kind: no client is left without an answer
            self.log.fault(f"{request.method} {request.path}", error)
            kind = type(error).__name__
            found = problem(500, f"the exporter failed ({kind}); its log says where, report it")
        return self._counted(found)

    def refuse(self, status: int, text: str) -> Answer:
        """The answer to what is no request, counted."""
        return self._counted(problem(status, text))

    def turn_away(self, head: bytes) -> Answer | None:
        """The answer, counted, to a head whose password cannot be checked now; None for others."""
        if not self._passwords.crowded:
            return None
        given = AUTHORIZATION.findall(head)
        if len(given) != 1 or not self._passwords.turned_away(given[0].decode("latin-1")):
            return None
        return self._counted(self._busy())

    def _busy(self) -> Answer:
        text = "too many unknown passwords are waiting to be checked; ask again in a second"
        self.process.logins_busy += 1
        return problem(429, text, retry_after="1")

    def _counted(self, answer: Answer) -> Answer:
        self.process.requests += 1
        self.process.errors += answer.status >= 500
        return replace(answer, headers=(*answer.headers, *self._web.headers))

    async def _answer(self, request: Request) -> Answer:
        if self._web.users and not await self._let_in(request.header("authorization")):
            self.process.logins_wrong += 1
            return _unauthorized('Basic realm="Routing ML"', "'Authorization: Basic ...'")
        methods = self._routes.get(request.path)
        if methods is None:
            return problem(404, "there is nothing here; / and /openapi.json list what there is")
        method = "GET" if request.method == "HEAD" else request.method
        if method not in methods:
            allowed = ", ".join((*methods, "HEAD") if "GET" in methods else methods)
            return problem(405, f"only {allowed} can be asked of this path", allow=allowed)
        return await methods[method](request)

    async def _let_in(self, header: str) -> bool:
        """By a user's password, or by the API token, since a request has one such header only."""
        token = self._api_token
        return bool(token and bears(header, token)) or await self._passwords.accept(header)


class BadRequestError(Exception):
    """The client asked for what cannot be."""


def _unauthorized(challenge: str, header: str) -> Answer:
    return problem(401, f"this needs the header {header}", www_authenticate=challenge)
