"""The page that says why a routing is proposed."""

from __future__ import annotations

import math
import re
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode

from fastapi import BackgroundTasks, Form, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from routing_ml import pipeline
from routing_ml.errors import InputError, tried
from routing_ml.proposals import predict, save
from routing_ml.settings import Settings
from routing_ml_pages import asking, reading
from routing_ml_pages.rendering import page, root_of
from routing_ml_pages.search import search
from routing_ml_pages.why import Why, frame_of, why

if TYPE_CHECKING:
    from routing_ml_pages.app import Routes

EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
SHOWN = 20
_SEEN = reading.Kept(5_000)


def add(routes: Routes) -> None:
    """Add the routes."""

    @routes.get("/why")
    def show(
        request: Request, later: BackgroundTasks, q: str = "", item: str = "", new: str = ""
    ) -> Response:
        settings, given = Settings.from_env(), asking.asked(request.query_params)
        view, trouble = None, None
        quantity, text = quantity_of(request)
        if item or (new and given):
            try:
                view = why(settings, item, given, quantity)
            except InputError as error:
                trouble = str(error)
        if view and view.waiting:
            later.add_task(seen, settings, view)
        found = search(settings, q or item) if q or (item and not view and not trouble) else None
        form = None
        if new:
            form = asking.attributes(predict.loaded(reading.in_use(settings)), {})
        return page(
            request, "why.html",
            query=q, item=item, new=new, given=given, found=found, view=view, trouble=trouble,
            form=form, first=asking.FIRST, quantity_text=text, fields=_fields,
            without=lambda name: _fields({k: v for k, v in given.items() if k != name}),
            waiting=[] if view or found or form else newest_waiting(settings),
        )  # fmt: skip

    @routes.post("/why/read")
    def read(request: Request, item: Annotated[str, Form(max_length=20_000)] = "") -> Response:
        reading.read_source(Settings.from_env())
        return RedirectResponse(f"{root_of(request)}/why?{urlencode({'item': item})}", 303)

    @routes.get("/why/routing.xlsx")
    def download(
        request: Request, later: BackgroundTasks, item: str = "", new: str = ""
    ) -> Response:
        settings, given = Settings.from_env(), asking.set_in(request.query_params)
        quantity, _ = quantity_of(request)
        frame = frame_of(settings, item, given, quantity) if item or new else None
        if frame is None:
            raise HTTPException(404, "no item of that code is known")
        with tempfile.TemporaryDirectory(prefix="routing-ml-") as folder:
            path = Path(folder) / "routing.xlsx"
            save(frame, path)
            content = path.read_bytes()
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", item)[:60] or "new_item"
        if view := why(settings, item, given, quantity):
            later.add_task(seen, settings, view)
        return Response(
            content,
            media_type=EXCEL,
            headers={"Content-Disposition": f'attachment; filename="routing_{name}.xlsx"'},
            background=later,
        )


def newest_waiting(settings: Settings) -> list[tuple[str, float]]:
    """The newest items of the last proposals, with their confidence."""
    proposed = reading.proposed(settings)
    if proposed is None:
        return []
    firsts = [rows[0] for rows in list(proposed.places.values())[::-1][:SHOWN]]
    rows = proposed.frame.iloc[firsts]
    return list(zip(rows["ITEM_CD"].tolist(), rows["CONFIDENCE"].tolist(), strict=True))


def quantity_of(request: Request) -> tuple[float | None, str]:
    """The pieces that are asked for, and as they were typed; None and nothing of what is none."""
    text = request.query_params.get("quantity", "")[:20]
    try:
        quantity = float(text)
    except ValueError:
        return None, ""
    return (quantity, text) if quantity > 0 and math.isfinite(quantity) else (None, "")


def seen(settings: Settings, view: Why, how: str = "page") -> None:
    """Record that people have seen what is proposed for an item that waits for its routing: what
    its planner writes now is no independent witness. Once a process is enough."""
    if not view.waiting:
        return

    def record() -> bool:
        pipeline.monitor.record_seen(settings, [view.item], how=how)
        return True

    # What could not be recorded is not kept: the next view tries again.
    tried(partial(_SEEN.get, (settings.store_url, view.item), record))


def _fields(given: dict[str, str]) -> dict[str, str]:
    return {f"{asking.SET}{name}": value for name, value in given.items()}
