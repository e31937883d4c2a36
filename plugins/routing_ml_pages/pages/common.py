"""What every page needs: its style and script, the choice of a theme and a language."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import HTTPException, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from routing_ml_pages.document import document
from routing_ml_pages.rendering import (
    LANGUAGE_COOKIE,
    THEME_COOKIE,
    THEMES,
    root_of,
    static_files,
)
from routing_ml_pages.words import LANGUAGES

if TYPE_CHECKING:
    from routing_ml_pages.app import Routes

KINDS = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "txt": "text/plain"}
A_YEAR, A_DAY = 365 * 86_400, 86_400


def add(routes: Routes) -> None:
    """Add the routes."""

    @routes.get("/static/{name}")
    def static(name: str) -> Response:
        if name not in static_files():
            raise HTTPException(404, "no such file")
        return Response(
            static_files()[name],
            media_type=KINDS[name.rpartition(".")[2]],
            headers={"Cache-Control": f"private, max-age={A_DAY}"},
        )

    @routes.get("/choose")
    def choose(request: Request, theme: str = "", language: str = "", to: str = "") -> Response:
        root = root_of(request)
        # A path of ours and nothing else: "//elsewhere" and "/\elsewhere" are other sites.
        back = to if to.startswith(f"{root}/") and to[1:2] not in ("/", "\\") else f"{root}/"
        response = RedirectResponse(back, 303)
        for name, chosen, known in (
            (THEME_COOKIE, theme, THEMES),
            (LANGUAGE_COOKIE, language, LANGUAGES),
        ):
            if chosen in known:
                response.set_cookie(
                    name, chosen, max_age=A_YEAR, path=root or "/", httponly=True, samesite="lax",
                    secure=request.url.scheme == "https",
                )  # fmt: skip
        return response

    @routes.get("/api/openapi.json")
    def openapi() -> Response:
        return JSONResponse(document(routes.app))
