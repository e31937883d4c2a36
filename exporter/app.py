"""The exporter's HTTP side, an ASGI application: which path gives what."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any
from urllib.parse import parse_qsl

from prometheus_client.exposition import choose_encoder

from exporter.link import Link
from exporter.metrics import Collector, Process, as_json
from exporter.openapi import DAYS_MOST, document
from exporter.webconfig import Passwords, WebConfig, bears
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

BODY_BYTES_MOST = 64 * 1024
BODY_SECONDS = 5.0
# Scrapes closer together than this share one text: rendering it takes 2 ms of the one thread, and
# 64 clients that each had their own held up everybody for a tenth of a second.
RENDERED_SECONDS = 0.1
JSON = "application/json"


@dataclass(frozen=True)
class Answer:
    """A response: status, body and headers beside its length."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


class App:
    """Answers from what the link reads; knows no store by itself."""

    def __init__(
        self,
        link: Link,
        *,
        api_token: str | None,
        timezone: tzinfo | None = None,
        web: WebConfig | None = None,
    ) -> None:
        """`api_token` is what a call that changes something must bear; without one none may.
        `timezone` is the factory's, whose days the verdicts are of."""
        self.link = link
        self.timezone = timezone
        self.process = Process(started_at=time.time())
        self._api_token = api_token
        self._web = web or WebConfig()
        self._passwords = Passwords(self._web.users)
        self._rendered: dict[str, tuple[float, asyncio.Task[bytes]]] = {}
        self._routes: dict[str, dict[str, Callable[..., Awaitable[Answer]]]] = {
            "/metrics": {"GET": self.metrics},
            "/api/metrics": {"GET": self.metrics},
            "/api/metrics/json": {"GET": self.metrics_json},
            "/api/health": {"GET": self.health},
            "/api/drift/status": {"GET": self.drift_status},
            "/api/drift/summary": {"GET": self.drift_summary},
            "/api/drift/reset": {"POST": self.drift_reset},
            "/openapi.json": {"GET": self.openapi},
        }

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        """One connection's event, as ASGI has it."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})

    async def metrics(self, request: Request) -> Answer:
        """Prometheus text, or OpenMetrics where the client prefers it."""
        encode, content_type = choose_encoder(request.header("accept"))
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
        return _json(200, as_json(self.process, await self._snapshot(), time.time()))

    async def _snapshot(self) -> Snapshot | None:
        try:
            return await self.link.snapshot()
        except StoreError:
            return None

    async def health(self, request: Request) -> Answer:
        """That the process lives; it asks nobody, so nothing can hold it up."""
        now = time.time()
        return _json(
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
            return _json(200, await self.link.read(Store.drift_status))
        except StoreMissingError:
            return _json(200, dict(EMPTY_DRIFT))

    async def drift_summary(self, request: Request) -> Answer:
        """The verdicts of the last days."""
        days = request.days()
        if days is None:
            raise BadRequestError(f"days must be one whole number from 1 to {DAYS_MOST}")
        today = datetime.now(self.timezone).date()
        try:
            found = await self.link.read(lambda store: store.drift_summary(days, today=today))
            return _json(200, found)
        except StoreMissingError:
            return _json(200, empty_summary(days))

    async def drift_reset(self, request: Request) -> Answer:
        """Have the detector begin anew."""
        if not self._api_token:
            return _problem(403, "no call may change anything until ROUTING_ML_API_TOKEN is set")
        if not bears(request.header("authorization"), self._api_token):
            return _unauthorized("Bearer", "'Authorization: Bearer <API token>'")
        await self.link.change(lambda store: store.reset_drift(why="api"))
        return _json(200, {"message": "The drift detector begins anew with its next evaluation."})

    async def openapi(self, request: Request) -> Answer:
        """What this is, for machines."""
        return _json(200, document())

    async def _answer(self, request: Request) -> Answer:
        if self._web.users and not await self._let_in(request.header("authorization")):
            return _unauthorized('Basic realm="Routing ML"', "'Authorization: Basic ...'")
        methods = self._routes.get(request.path)
        if methods is None:
            return _problem(404, "there is nothing here; /openapi.json lists what there is")
        method = "GET" if request.method == "HEAD" else request.method
        if method not in methods:
            allowed = ", ".join((*methods, "HEAD") if "GET" in methods else methods)
            answer = _problem(405, f"only {allowed} can be asked of this path")
            return Answer(405, answer.body, headers=(("allow", allowed),))
        try:
            return await methods[method](request)
        except BadRequestError as error:
            return _problem(400, str(error))
        except RoutingError as error:
            return _problem(503, str(error))

    async def _let_in(self, header: str) -> bool:
        """By a user's password, or by the API token, since a request has one such header only."""
        token = self._api_token
        return bool(token and bears(header, token)) or await self._passwords.accept(header)

    async def _serve(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        request = Request(scope)
        answer = await self._answer(request)
        self.process.requests += 1
        self.process.errors += answer.status >= 500
        if request.header("content-length") or request.header("transfer-encoding"):
            await _drain(receive)
        headers = [
            (b"content-type", answer.content_type.encode()),
            (b"content-length", str(len(answer.body)).encode()),
            (b"cache-control", b"no-store"),
            *(
                (name.lower().encode(), value.encode())
                for name, value in (*answer.headers, *self._web.headers)
            ),
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        # The server itself leaves the body out of an answer to HEAD.
        await send({"type": "http.response.body", "body": answer.body})

    async def _live(self, receive: Any, send: Any) -> None:
        while True:
            event = await receive()
            if event["type"] == "lifespan.startup":
                self.link.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await send({"type": "lifespan.shutdown.complete"})
                return


class BadRequestError(Exception):
    """The client asked for what cannot be."""


class Request:
    """The parts of an ASGI scope that answers depend on."""

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self._query: bytes = scope["query_string"]
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]

    def header(self, name: str) -> str:
        """A header's value, joined where it came more than once, empty where it did not."""
        wanted = name.encode()
        return ",".join(v.decode("latin-1") for key, v in self._headers if key == wanted)

    def days(self) -> int | None:
        """`days` of the query, 7 where it is not given, None where it is no number in range."""
        query = parse_qsl(self._query.decode("latin-1"), keep_blank_values=True)
        given = [value for key, value in query if key == "days"]
        if not given:
            return 7
        text = given[0]
        if len(given) > 1 or not (text.isascii() and text.isdigit() and len(text) < 5):
            return None
        return int(text) if 1 <= int(text) <= DAYS_MOST else None


async def _drain(receive: Any) -> None:
    """Take in a small body, so that the connection can be used again; a large one ends it."""
    taken = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while taken <= BODY_BYTES_MOST:
                event = await receive()
                taken += len(event.get("body", b""))
                if not event.get("more_body"):
                    return
    except TimeoutError:
        return


def _json(status: int, value: Any) -> Answer:
    return Answer(status, json.dumps(value, ensure_ascii=False).encode())


def _unauthorized(challenge: str, header: str) -> Answer:
    body = _problem(401, f"this needs the header {header}").body
    return Answer(401, body, headers=(("www-authenticate", challenge),))


def _problem(status: int, text: str) -> Answer:
    return _json(status, {"detail": text})
