"""The page of drift and of how right the proposals are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Request, Response

from routing_ml.settings import Settings
from routing_ml_pages import charts, watched
from routing_ml_pages.rendering import page

if TYPE_CHECKING:
    from routing_ml_pages.app import Routes


def add(routes: Routes) -> None:
    """Add the routes."""

    @routes.get("/drift")
    def show(request: Request) -> Response:
        view = watched.watched(Settings.from_env())
        days = [charts.Point(day.day, day.kl, mark=day.drift) for day in view.days]
        weeks = [
            charts.Point(one.value, one.exact, one.low, one.high)
            for one in view.weeks
            if one.exact is not None
        ]
        return page(
            request, "drift.html",
            view=view, days=days, weeks=weeks, bands=watched.BANDS, all_days=watched.DAYS,
        )  # fmt: skip
