"""The same as JSON, for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import BackgroundTasks, Depends, HTTPException, Query, Request
from pydantic import BaseModel

from routing_ml.registry import ANY
from routing_ml.settings import Settings
from routing_ml_pages import asking, found, search, versions, watched, why
from routing_ml_pages.health import Health
from routing_ml_pages.health import health as how_it_stands
from routing_ml_pages.pages.why_page import quantity_of, seen

if TYPE_CHECKING:
    from routing_ml_pages.app import Routes

Said = Annotated[str, Query(max_length=20_000)]


class Promotion(BaseModel):
    """Which version is to go in and why, and which one was seen in use."""

    model: str
    why: str
    instead_of: str | None = None


class Rollback(BaseModel):
    """Why to go back, and from which version."""

    why: str
    instead_of: str


class Done(BaseModel):
    """The version that is in use now."""

    model: str


def add(routes: Routes) -> None:
    """Add the routes."""

    @routes.get("/api/health")
    def health() -> Health:
        """What is in use, how the last runs ended, whether drift is told."""
        return how_it_stands(Settings.from_env())

    @routes.get("/api/items")
    def items(q: Said) -> search.Found:
        """Items by a part of their code or name."""
        return search.search(Settings.from_env(), q)

    @routes.get("/api/why")
    def explained(
        request: Request, later: BackgroundTasks, item: Said = "", quantity: float | None = None
    ) -> why.Why:
        """Why this routing: of an item, with attributes that `set.NAME=VALUE` changes, or of a new
        one of such attributes alone."""
        settings, given = Settings.from_env(), asking.set_in(request.query_params)
        if not item and not given:
            raise HTTPException(400, "give an item, or attributes as set.NAME=VALUE")
        view = why.why(settings, item, given, quantity_of(request)[0])
        if view is None:
            raise HTTPException(404, "no item of that code is known")
        later.add_task(seen, settings, view, "api")
        return view

    @routes.get("/api/models")
    def models() -> versions.Models:
        """The versions, newest first, and the history of who put which into use and why."""
        return versions.models(Settings.from_env())

    @routes.get("/api/models/compare")
    def compare(one: Said, other: Said) -> versions.Compared:
        """Two versions: what differs between them, and the items that they propose otherwise."""
        return versions.compare(Settings.from_env(), one, other)

    @routes.post("/api/models/promote")
    def promote(
        asked: Promotion, later: BackgroundTasks, who: str = Depends(routes.access.who)
    ) -> Done:
        """Put a version into use."""
        settings = Settings.from_env()
        place = versions.place(settings)
        seen_in_use = ANY if asked.instead_of is None else asked.instead_of
        name = versions.promote(
            settings, asked.model, who=who, why=asked.why, instead_of=seen_in_use
        )
        later.add_task(versions.tell, settings, place)
        return Done(model=name)

    @routes.post("/api/models/rollback")
    def rollback(
        asked: Rollback, later: BackgroundTasks, who: str = Depends(routes.access.who)
    ) -> Done:
        """Go back to the version that was in use before."""
        settings = Settings.from_env()
        place = versions.place(settings)
        name = versions.rollback(settings, who=who, why=asked.why, instead_of=asked.instead_of)
        later.add_task(versions.tell, settings, place)
        return Done(model=name)

    @routes.get("/api/drift")
    def drift() -> watched.Watched:
        """The drift of new items, and how right the proposals are."""
        return watched.watched(Settings.from_env())

    @routes.get("/api/data")
    def data() -> found.Data:
        """What was found in the data."""
        return found.found(Settings.from_env())
