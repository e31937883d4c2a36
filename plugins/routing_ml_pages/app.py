"""The application: pages for people, the same as JSON for programs, each route behind what
`access.PERMISSIONS` says of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException as AnyHTTPException

import routing_ml
from routing_ml.errors import ModelError, RoutingError, SettingError, reason_of
from routing_ml.redaction import redact
from routing_ml_pages import api, rendering
from routing_ml_pages.access import Access
from routing_ml_pages.pages import common, data_page, drift_page, models_page, start_page, why_page

Next = Callable[[Request], Awaitable[Response]]


class Problem(BaseModel):
    """Why there is no answer, in a line."""

    detail: str


class Routes:
    """Adds routes to an application, none without its permission."""

    def __init__(self, app: FastAPI, access: Access) -> None:
        self.app, self.access = app, access

    def get(self, path: str, **options: Any) -> Callable[..., Any]:
        """A decorator: what is answered to a GET."""
        return self._route("GET", path, options)

    def post(self, path: str, **options: Any) -> Callable[..., Any]:
        """A decorator: what is answered to a POST, where it comes from the page itself."""
        return self._route("POST", path, options)

    def _route(self, method: str, path: str, options: dict[str, Any]) -> Callable[..., Any]:
        asked = [Depends(one) for one in self.access.to(method, path)]
        shown = path.startswith("/api/") and path != "/api/openapi.json"
        if shown:
            options["responses"] = {
                "default": {"model": Problem, "description": "Refused, or there is none."}
            }
        return self.app.api_route(
            path, methods=[method], dependencies=asked, include_in_schema=shown, **options
        )


def make(access: Access) -> FastAPI:
    """The application, for those whom `access` lets in."""
    app = FastAPI(
        title="Routing ML",
        version=routing_ml.__version__,
        description="What Routing ML's pages show, as JSON. Permissions are Airflow's own.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    routes = Routes(app, access)
    for part in (common, start_page, why_page, models_page, drift_page, data_page, api):
        part.add(routes)
    app.middleware("http")(_closed)
    app.exception_handler(RoutingError)(_told)
    app.exception_handler(AnyHTTPException)(_refused)
    app.exception_handler(Exception)(_unforeseen)
    return app


async def _closed(request: Request, call_next: Next) -> Response:
    """Every answer with the headers that keep it to itself, unless it has its own."""
    response = await call_next(request)
    for name, value in rendering.HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _told(request: Request, error: Exception) -> Response:
    """What a person can see to, in its one line."""
    status = 404 if isinstance(error, ModelError) else 400
    return _failed(request, 500 if isinstance(error, SettingError) else status, str(error))


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException | AnyHTTPException)
    return _failed(request, error.status_code, str(error.detail))


def _unforeseen(request: Request, error: Exception) -> Response:
    """What nobody has foreseen; the server's log has all of it."""
    return _failed(request, 500, redact(reason_of(error)))


def _failed(request: Request, status: int, message: str) -> Response:
    below = request.url.path.removeprefix(rendering.root_of(request))
    if below.startswith("/api/"):
        return JSONResponse({"detail": message}, status)
    return rendering.page(request, "error.html", status=status, message=message, place="")
