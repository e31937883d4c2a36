"""The page of what was found in the data, and its lists as CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import HTTPException, Request, Response
from fastapi.responses import FileResponse

from routing_ml.settings import Settings
from routing_ml_pages import found
from routing_ml_pages.rendering import page

if TYPE_CHECKING:
    from routing_ml_pages.app import Routes


def add(routes: Routes) -> None:
    """Add the routes."""

    @routes.get("/data")
    def show(request: Request) -> Response:
        settings = Settings.from_env()
        lists = [which for which in found.LISTS if found.list_of(settings, which)]
        return page(request, "data.html", view=found.found(settings), lists=lists)

    @routes.get("/data/{which}.csv")
    def download(which: str) -> Response:
        path = found.list_of(Settings.from_env(), which) if which in found.LISTS else None
        if path is None:
            raise HTTPException(404, "there is no such list yet")
        name = f"routing_ml_{which}.csv"
        return FileResponse(path, media_type="text/csv; charset=utf-8", filename=name)
