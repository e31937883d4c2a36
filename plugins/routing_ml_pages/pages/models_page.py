"""The pages of the model versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import BackgroundTasks, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from routing_ml.settings import Settings
from routing_ml_pages import charts, versions
from routing_ml_pages.rendering import page, root_of

if TYPE_CHECKING:
    from routing_ml_pages.app import Routes

SHOWN = 30
DONE = ("promoted", "rolled_back")
Text = Annotated[str, Form(max_length=4_000)]


def add(routes: Routes) -> None:
    """Add the routes."""

    @routes.get("/models")
    def show(
        request: Request, everything: str = "", done: str = "",
        may: bool = Depends(routes.access.may_act),
    ) -> Response:  # fmt: skip
        view = versions.models(Settings.from_env())
        points = [
            charts.Point(
                f"{row.created[:10]} {row.candidate}", figure.value, figure.low, figure.high,
                mark=row.in_use,
            )
            for row in reversed(view.versions)
            for figure in (row.figures["exact_match"],)
        ]  # fmt: skip
        return page(
            request, "models.html",
            view=view, points=points, most=10**6 if everything else SHOWN, may=may,
            done=done if done in DONE else None,
        )  # fmt: skip

    @routes.get("/models/compare")
    def compare(request: Request, one: str = "", other: str = "") -> Response:
        settings = Settings.from_env()
        view = versions.compare(settings, one, other) if one and other else None
        names = [row.name for row in versions.models(settings).versions]
        return page(
            request, "compare.html",
            view=view, names=names, one=one, other=other, place="models",
            most=versions.LISTED_ITEMS,
        )  # fmt: skip

    @routes.post("/models/promote")
    def promote(
        request: Request, later: BackgroundTasks, model: Text, why: Text = "",
        instead_of: Text = "", who: str = Depends(routes.access.who),
    ) -> Response:  # fmt: skip
        settings = Settings.from_env()
        place = versions.place(settings)
        versions.promote(settings, model, who=who, why=why, instead_of=instead_of or None)
        later.add_task(versions.tell, settings, place)
        return RedirectResponse(f"{root_of(request)}/models?done=promoted", 303)

    @routes.post("/models/rollback")
    def rollback(
        request: Request, later: BackgroundTasks, why: Text = "", instead_of: Text = "",
        who: str = Depends(routes.access.who),
    ) -> Response:  # fmt: skip
        settings = Settings.from_env()
        place = versions.place(settings)
        versions.rollback(settings, who=who, why=why, instead_of=instead_of)
        later.add_task(versions.tell, settings, place)
        return RedirectResponse(f"{root_of(request)}/models?done=rolled_back", 303)
