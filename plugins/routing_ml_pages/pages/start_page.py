"""The start page, and the page of a run: its report, or the items that it proposed for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response
from fastapi.responses import HTMLResponse

from routing_ml import pipeline
from routing_ml.settings import Settings
from routing_ml_pages import reading
from routing_ml_pages.health import health
from routing_ml_pages.rendering import page, theme_of

if TYPE_CHECKING:
    from routing_ml_pages.app import Routes

MOST_ITEMS = 200
INERT = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'; sandbox allow-popups"
)
"""A report has its style in itself, and nothing that runs."""


def add(routes: Routes) -> None:
    """Add the routes."""

    @routes.get("/")
    def start(request: Request) -> Response:
        settings = Settings.from_env()
        return page(request, "start.html", health=health(settings),
                    zone=settings.timezone.key)  # fmt: skip

    @routes.get("/run")
    def run(request: Request, run_id: str = "", dag_id: str = "") -> Response:
        settings = Settings.from_env()
        name = pipeline.run_folder(settings, run_id[:500]).name if run_id else ""
        # Runs of two DAGs may have one name; each has its own kind of result.
        report = {
            "routing_ml_retrain": settings.home / "runs" / name / "report.html",
            "routing_ml_quality": settings.home / "quality" / f"{name}.html",
        }.get(dag_id)
        if name and report is not None and reading.is_there(report):
            said = report.read_text(encoding="utf-8")
            if (theme := theme_of(request)) != "auto":
                said = said.replace("<html ", f'<html class="{theme}" ', 1)
            return HTMLResponse(said, headers={"Content-Security-Policy": INERT})
        outcome, text, proposals = dict[str, Any](), "", list[dict[str, Any]]()
        decision = dict[str, Any]()
        if name and dag_id == "routing_ml_retrain":
            outcome = reading.read_json(settings.home / "runs" / name / "outcome.json")
            if not outcome:
                decision = reading.read_json(settings.home / "runs" / name / "decision.json")
            text = _text(settings.home / "runs" / name / "report.md")
        elif name and dag_id == "routing_ml_predict":
            proposals = _proposals(settings, name)
        return page(
            request, "run.html",
            run=run_id[:500], dag=dag_id[:500], outcome=outcome, decision=decision, text=text,
            waits=pipeline.approval.waits(decision), proposals=proposals[:MOST_ITEMS],
            count=len(proposals), place="",
        )  # fmt: skip


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _proposals(settings: Settings, name: str) -> list[dict[str, Any]]:
    """The items that a run proposed for, the least certain first."""
    path = settings.home / "proposals" / f"{name}.parquet"
    if not reading.is_there(path):
        return []
    items = reading.first_routings(path).groupby("ITEM_CD", sort=False).agg(
        operations=("JOB_CD", "size"), confidence=("CONFIDENCE", "first"),
        reference=("REFERENCE_ITEM_CD", "first"), similarity=("SIMILARITY_SCORE", "first"),
    )  # fmt: skip
    items = items.reset_index().sort_values("confidence", kind="stable")
    return reading.rows_of(items)
